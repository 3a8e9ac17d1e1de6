"""Images whose header does not say orientation or pixel size: known by their default geometry; it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .admission import MIN_IN_PLANE_PIXELS
from .volume import NotSagittalError, SagittalVolume, VolumeSource

if TYPE_CHECKING:
    import SimpleITK as sitk

TYPICAL_FIELD_OF_VIEW_MM = 280.0
"""Height that a lumbar image of unknown scale is taken to show, until the anatomy tells better: the field of view of
a clinical sagittal lumbar series is commonly 260 to 300 mm."""

NO_GEOMETRY = (
    "The image has no pixel size or orientation in its header; it was read as if its axes were those of the patient, "
    "and lengths and areas are left out."
)
NO_ORIENTATION = (
    "The image has no orientation in its header; it was read as if its axes were those of the patient: check that the "
    "head is up and the front to the left."
)
NO_PIXEL_SIZE = "The image has no pixel size in its header; lengths and areas are left out."

_EXACT = 1e-6
_CENTERED_MM = 1.0
"""Slicer places an image without position at the origin, or its center there where the user asks for that."""


def index_to_lps_of(image: sitk.Image | sitk.ImageFileReader) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from (i, j, k, 1) to LPS mm of an image (or its header) of three or more axes."""
    dimensions = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dimensions, dimensions)[:3, :3]
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    matrix[:3, 3] = image.GetOrigin()[:3]
    return matrix


def orientation_is_stated(index_to_lps: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether a stored geometry is more than the default orientation of an image whose header says none.

    The default has the axes of the patient (as ITK or NIfTI count them), with the first voxel or the center of the
    image at the origin.

    Parameters
    ----------
    index_to_lps : ndarray, shape (4, 4)
        Maps (i, j, k, 1) to LPS mm.
    shape : tuple of int
        Of the stored array (k, j, i).
    """
    axes, origin = np.asarray(index_to_lps)[:3, :3], np.asarray(index_to_lps)[:3, 3]
    signs = np.diag(axes)
    is_default = np.allclose(axes, np.diag(signs), rtol=0, atol=_EXACT) and signs[0] * signs[1] > 0 and signs[2] > 0
    center = origin + axes @ ((np.array(shape[::-1]) - 1) / 2)
    at_origin = np.allclose(origin, 0, rtol=0, atol=_EXACT) or bool(np.all(np.abs(center) <= _CENTERED_MM))
    return not (is_default and at_origin)


def geometry_is_stated(index_to_lps: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether a stored geometry is more than the default orientation with a spacing of exactly 1 x 1 x 1 mm.

    Parameters
    ----------
    index_to_lps, shape
        As for `orientation_is_stated`.
    """
    one_mm = np.allclose(np.abs(np.diag(np.asarray(index_to_lps))), 1, rtol=0, atol=_EXACT)
    return not one_mm or orientation_is_stated(index_to_lps, shape)


def sagittal_from_stored(
    array: NDArray,
    index_to_lps: NDArray[np.float64],
    source: VolumeSource,
    notes: tuple[str, ...] = (),
    pixel_size_stated: bool = True,
) -> SagittalVolume:
    """Reorder a stored array into canonical sagittal order; its scale is known only where the header stated it.

    Parameters
    ----------
    array, index_to_lps, source, notes
        As for `SagittalVolume.from_stored`.
    pixel_size_stated : bool
        False where a header is known to lack the pixel size, so that `index_to_lps` has a default or an estimate.

    Raises
    ------
    ImagingError
        As `SagittalVolume.from_stored` does, and if nothing is stated and the slices as they are stored cannot be
        sagittal.
    """
    oriented, stated = orientation_is_stated(index_to_lps, array.shape), geometry_is_stated(index_to_lps, array.shape)
    try:
        volume = SagittalVolume.from_stored(array, index_to_lps, source, notes, stated and pixel_size_stated)
    except NotSagittalError:
        if oriented:
            raise
        raise _no_orientation(stated) from None
    if not oriented and min(volume.voxels.shape[1:]) < MIN_IN_PLANE_PIXELS:
        raise _no_orientation(stated)
    said = [
        *([NO_GEOMETRY] if not stated else []),
        *([NO_ORIENTATION] if stated and not oriented else []),
        *([NO_PIXEL_SIZE] if stated and not volume.scale_known else []),
    ]
    return replace(volume, notes=(*volume.notes, *said))


def _no_orientation(spacing_stated: bool) -> NotSagittalError:
    what = "orientation" if spacing_stated else "pixel size or orientation"
    return NotSagittalError(
        f"No sagittal slices: the image has no {what} in its header, so that which of its planes are sagittal cannot "
        "be told; load the original DICOM series, or save the image again with its orientation."
    )
