"""What the voxels of an image must be like to be graded: big enough, grey, finite, not constant, not CT."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .volume import ImagingError

MIN_IN_PLANE_PIXELS = 32
"""An image with fewer pixels than this along its second longest side cannot show the lumbar discs."""

MAX_VOLUME_BYTES = 4 * 1024**3
"""Larger volumes are refused from their header; a sagittal lumbar series has some 10 MB."""

CT_MIN_VALUE = -200.0
CT_NEGATIVE_VALUE = -50.0
CT_NEGATIVE_SHARE = 0.05
"""MR magnitudes are not negative, but in Hounsfield units fat lies near -100 and air near -1000: an image that reaches
`CT_MIN_VALUE` with `CT_NEGATIVE_SHARE` of its voxels below `CT_NEGATIVE_VALUE` is taken for CT."""

CENTERED_SHARE = 0.005
"""Values whose mean is zero within this part of their standard deviation were centered (z-scored); a CT's are not."""

LUMINANCE_CHANNELS = {2: 1, 3: 3, 4: 3}
"""Number of channels that carry intensity, by number of channels stored (grey + alpha, RGB, RGB + alpha)."""


class UnsuitableImageError(ImagingError):
    """The file could be read, but what it shows cannot be graded."""


def require_size(shape: tuple[int, ...], bytes_per_voxel: int) -> None:
    """Refuse, before any voxel is read, an image that is too small to show a spine or too large to be a series.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along each axis, in any order.
    bytes_per_voxel : int

    Raises
    ------
    UnsuitableImageError
    """
    size_text = " x ".join(str(n) for n in shape)
    if math.prod(int(n) for n in shape) * bytes_per_voxel > MAX_VOLUME_BYTES:
        raise UnsuitableImageError(
            f"The image is too large ({size_text} voxels); load a single sagittal T2 series of the lumbar spine."
        )
    if len(shape) < 2 or sorted(shape)[-2] < MIN_IN_PLANE_PIXELS:
        raise UnsuitableImageError(
            f"The image is too small ({size_text} voxels); a sagittal slice needs at least "
            f"{MIN_IN_PLANE_PIXELS} x {MIN_IN_PLANE_PIXELS} pixels."
        )


def require_mr_modality(modality: str) -> None:
    """Refuse an image whose header states another modality than MR.

    Parameters
    ----------
    modality : str
        DICOM modality; empty when unknown.

    Raises
    ------
    UnsuitableImageError
    """
    if modality not in ("MR", ""):
        raise UnsuitableImageError(f"The images are {modality}; load a sagittal T2-weighted MR series.")


def grey_values(array: NDArray) -> tuple[NDArray, tuple[str, ...]]:
    """Reduce the channels of an image that is stored in colour but is grey.

    Parameters
    ----------
    array : ndarray, shape (..., channels)
        Grey with alpha, RGB or RGB with alpha.

    Returns
    -------
    grey : ndarray, shape (...)
    notes : tuple of str

    Raises
    ------
    UnsuitableImageError
        If the channels differ, or there are more than four.
    """
    channels = array.shape[-1]
    if channels not in LUMINANCE_CHANNELS:
        raise UnsuitableImageError(
            f"The image has {channels} values for each voxel (a sequence or a vector image); save one frame of the "
            f"sagittal T2 series and load that."
        )
    used = LUMINANCE_CHANNELS[channels]
    if any(not np.array_equal(array[..., 0], array[..., n]) for n in range(1, used)):
        raise UnsuitableImageError("The image is in colour; load the original grey-scale MR image without overlays.")
    return array[..., 0], (f"The image is stored with {channels} channels; its grey value was used.",)


def mr_values(array: NDArray, modality: str = "") -> tuple[NDArray, tuple[str, ...]]:
    """Refuse voxels that no MR magnitude image has, and take padding for the darkest of the image.

    Parameters
    ----------
    array : ndarray
        All voxels of the image.
    modality : str
        DICOM modality; empty when unknown. What is stated to be MR is not taken for CT.

    Returns
    -------
    values : ndarray, of the shape of the array
        The array itself where nothing was padded.
    notes : tuple of str

    Raises
    ------
    UnsuitableImageError
        If a value is not finite, all values are the same, or the values are those of a CT.
    """
    if array.dtype.kind not in "biuf":
        raise UnsuitableImageError(
            "The voxels are not plain numbers (complex?); load the magnitude images of the series."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnsuitableImageError(
            "The image has values that are not numbers (NaN or infinite); export the series again without masking it."
        )
    lowest, highest = float(array.min()), float(array.max())
    if lowest == highest:
        raise UnsuitableImageError(
            f"The image is blank (every voxel is {lowest:g}); load the sagittal T2 series of the lumbar spine."
        )
    if lowest > CT_MIN_VALUE:
        return array, ()
    darkest = array[array > lowest].min()
    negative = float(np.mean(array <= CT_NEGATIVE_VALUE)) >= CT_NEGATIVE_SHARE
    far_below = darkest >= CT_NEGATIVE_VALUE and darkest - lowest > highest - darkest
    if far_below or (negative and darkest >= 0):
        note = f"Voxels of the value {lowest:g} were taken for padding and read as the darkest others ({darkest:g})."
        return np.where(array > lowest, array, darkest), (note,)
    centered = abs(float(array.mean(dtype=np.float64))) <= CENTERED_SHARE * float(array.std(dtype=np.float64))
    if modality != "MR" and negative and not centered:
        raise UnsuitableImageError(
            f"The values look like CT (Hounsfield units down to {lowest:g}); load a sagittal T2-weighted MR series."
        )
    return array, ()
