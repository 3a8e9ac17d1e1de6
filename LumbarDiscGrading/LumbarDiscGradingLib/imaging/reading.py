"""Reading a `SagittalVolume` from a volume file, a DICOM file or folder, or a 2-D picture."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..file_hash import file_sha256
from .acquisition import doubts, named_acquisition
from .admission import UnsuitableImageError, grey_values, mr_values, require_size
from .dicom import DicomStudy, is_dicom_file, open_dicom
from .file_integrity import (
    UnreadableFileError,
    check_file,
    cut_off_error,
    data_files,
    native_messages_hidden,
)
from .file_names import native_path, printable
from .stated_geometry import TYPICAL_FIELD_OF_VIEW_MM, index_to_lps_of, sagittal_from_stored
from .turned_picture import exif_orientation, upright
from .volume import MAX_IN_PLANE_SPACING_MM, ImagingError, SagittalVolume, VolumeSource

NIFTI_DIMENSIONS = "dim[0]"
"""Where ITK keeps the number of dimensions that a NIfTI header states."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
COMPOUND_SUFFIXES = (".nii.gz", ".img.gz", ".gipl.gz", ".hdr.gz", ".seg.nrrd")

TURNED_PICTURE = "The picture was turned to lie as its header says (EXIF orientation)."

PICTURE_SLICE_THICKNESS_MM = 4.0
"""Thickness given to a picture's only slice: a common one of clinical sagittal T2 series (no result depends on it)."""

PIXEL_SIZE_RANGE_MM = (0.05, 2.0)
"""Pixel sizes that a user may give for a picture."""

_COMPONENT_BYTES = {"Int8": 1, "UInt8": 1, "Int16": 2, "UInt16": 2, "Int32": 4, "UInt32": 4, "Float32": 4}
_BYTES_BY_PIXEL_ID = {
    getattr(sitk, f"sitk{kind}{name}"): size for name, size in _COMPONENT_BYTES.items() for kind in ("", "Vector")
}
_WIDEST_COMPONENT_BYTES = 8


def read_volume(
    path: str | Path,
    pixel_size_mm: float | None = None,
    series: str | None = None,
    study: DicomStudy | None = None,
) -> SagittalVolume:
    """Read a sagittal lumbar volume.

    Parameters
    ----------
    path : str or Path
        A volume file of a format that SimpleITK reads (NRRD, NIfTI, MetaImage, GIPL …), one DICOM file, a folder with
        DICOM files (searched with its subfolders), or a 2-D picture with the head up and the front to the left.
    pixel_size_mm : float, optional
        Pixel size of a picture in mm. Without it the scale of a picture is only an estimate (`scale_known` is False).
        Files that state their own scale keep it.
    series : str, optional
        Which series to read from a DICOM folder: its SeriesInstanceUID, its number or a part of its description, as
        `choose_series` takes it; without it the sagittal T2 series is chosen.
    study : DicomStudy, optional
        What `open_dicom` read of that DICOM folder before, or a part of it, so that no header is read again.

    Returns
    -------
    SagittalVolume
        Its `notes` say what was chosen or changed. Its `source.sha256` is that of the file's bytes (for a header with a
        detached data file: of both, one after the other; for DICOM: of the sorted hashes of the files used).

    Raises
    ------
    ImagingError
        With one sentence on what is wrong and what to do: the file is missing, empty, damaged, of an unknown kind, in
        colour, has several frames, no sagittal slices, too few voxels, invalid values or spacing, or is not MR.
    """
    source_path = Path(path)
    if pixel_size_mm is not None:
        _require_pixel_size(pixel_size_mm)
    try:
        return _read(source_path, pixel_size_mm, series, study)
    except PermissionError:
        raise UnreadableFileError("The file may not be read; ask for permission to read it, or copy it.") from None
    except MemoryError:
        raise UnsuitableImageError("The image does not fit into memory; load a single sagittal T2 series.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableFileError(f"The file cannot be read ({reason}); copy it to this computer and retry.") from None


def stem_of(path: str | Path) -> str:
    """Return the name of a file without its (possibly compound) suffix, or that of a folder; printable."""
    source_path = Path(path)
    name = printable(source_path.name or source_path.resolve().name)
    if source_path.is_dir():
        return name
    compound = next((suffix for suffix in COMPOUND_SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(compound)] if compound and len(name) > len(compound) else Path(name).stem


def _read(path: Path, pixel_size_mm: float | None, series: str | None, study: DicomStudy | None) -> SagittalVolume:
    if not path.exists():
        raise UnreadableFileError("There is no such file or folder; check the path.")
    name = stem_of(path)
    if path.is_file() and path.stat().st_size == 0:
        raise UnreadableFileError("The file is empty; copy or export it again.")
    if study is not None or path.is_dir() or is_dicom_file(path):
        volume, files = (study or open_dicom(path)).volume(name, series)
        volume = replace(volume, source=replace(volume.source, dicom_files=files))
        sha256 = hashlib.sha256("".join(sorted(file_sha256(file) for file in files)).encode("ascii")).hexdigest()
    elif series is not None:
        raise ImagingError("The file is no DICOM image, so no series can be chosen; leave --series out.")
    else:
        volume, sha256 = _read_image_file(path, name, pixel_size_mm), file_sha256(*data_files(path))
        said = doubts(named_acquisition(name), volume.slice_count, volume.spacing_mm[0])
        volume = replace(volume, notes=(*said, *volume.notes))
    return replace(volume, source=replace(volume.source, path=str(path), sha256=sha256))


def _require_pixel_size(pixel_size_mm: float) -> None:
    low, high = PIXEL_SIZE_RANGE_MM
    if not (math.isfinite(pixel_size_mm) and low <= pixel_size_mm <= high):
        raise ImagingError(f"A pixel size of {pixel_size_mm:g} mm is not possible; give one of {low:g} to {high:g} mm.")


def _read_image_file(path: Path, name: str, pixel_size_mm: float | None) -> SagittalVolume:
    with native_path(path) as readable:
        image, array, notes = _read_with_itk(readable)
    is_picture = _is_picture(path)
    if is_picture and array.ndim > 2:
        if array.shape[0] > 1:
            raise UnsuitableImageError(
                "The picture file has several pages; save the mid-sagittal slice as one picture."
            )
        array = array[0]
    array, padding = mr_values(array)
    notes += padding
    if array.dtype.kind == "b" or array.dtype.itemsize > 4:
        array = array.astype(np.float32)
    source = VolumeSource(name=name)
    if array.ndim == 2:
        stored_mm = None if is_picture else _stated_pixel_size(image)
        return _flat_picture(array, source, notes, pixel_size_mm, stored_mm)
    if pixel_size_mm is not None:
        notes += ("The pixel size given was not used: it is for pictures, and the file is a volume.",)
    return sagittal_from_stored(array, index_to_lps_of(image), source, notes)


def _read_with_itk(path: Path) -> tuple[sitk.Image, NDArray, tuple[str, ...]]:
    """Read a file; return the image, its single-channel voxels of two or three dimensions and notes."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with native_messages_hidden():
            reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise ImagingError(
                "The image axes in the file are not at right angles to each other; load the original series."
            ) from None
        raise UnreadableFileError(
            "The file is not an image that can be read (damaged, or of another kind than its name says); give a volume "
            "(.nrrd, .nii.gz, .mha), a DICOM folder or a picture."
        ) from None
    shape = tuple(reader.GetSize())
    component_bytes = _BYTES_BY_PIXEL_ID.get(reader.GetPixelID(), _WIDEST_COMPONENT_BYTES)
    voxel_bytes = component_bytes * reader.GetNumberOfComponents()
    require_size(shape, voxel_bytes)
    check_file(path, reader.GetSpacing(), math.prod(shape) * voxel_bytes)
    if len(shape) > 3 and math.prod(shape[3:]) > 1:
        raise UnsuitableImageError(
            f"The file has {math.prod(shape[3:])} frames (4-D); save one frame of the sagittal T2 series and load that."
        )
    try:
        with native_messages_hidden():
            image = reader.Execute()
    except RuntimeError:
        raise cut_off_error() from None
    array = sitk.GetArrayFromImage(image)
    notes: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    if _is_picture(path) and len(shape) == 2 and (orientation := exif_orientation(path)) != 1:
        array, turned = upright(array, orientation), (TURNED_PICTURE,)
    if image.GetNumberOfComponentsPerPixel() > 1:
        if not _is_picture(path) and array.shape[-1] == 2 and np.ptp(array[..., 1]) > 0:
            raise UnsuitableImageError(
                "The file has two values for each voxel (two echoes?); save the later echo, the T2-weighted one, alone."
            )
        array, notes = grey_values(array)
    if len(shape) > 3:
        array = array.reshape(array.shape[-3:])
    # of a NIfTI header's four dimensions ITK drops the last where it has one frame
    if len(shape) > 3 or (reader.HasMetaDataKey(NIFTI_DIMENSIONS) and int(reader.GetMetaData(NIFTI_DIMENSIONS)) > 3):
        notes += ("The file has four dimensions with one frame; that frame was used.",)
    return image, array, notes + turned


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _stated_pixel_size(image: sitk.Image) -> float | None:
    """Pixel size in mm of a 2-D medical image file, None where it has only the default of 1 x 1."""
    columns_mm, rows_mm = image.GetSpacing()[:2]
    if columns_mm == rows_mm == 1.0:
        return None
    if not math.isclose(columns_mm, rows_mm, rel_tol=1e-3):
        raise UnsuitableImageError(
            f"The picture's pixels are not square ({columns_mm:g} x {rows_mm:g} mm); resample it to square pixels."
        )
    return float(rows_mm)


def _flat_picture(
    array: NDArray, source: VolumeSource, notes: tuple[str, ...], given_mm: float | None, stated_mm: float | None
) -> SagittalVolume:
    """Make a volume of one sagittal slice from a picture with the head up and the front to the left."""
    pixel_mm = given_mm or stated_mm
    notes += ("A 2-D picture was read with the head up and the front to the left.",)
    if pixel_mm is None:
        pixel_mm = TYPICAL_FIELD_OF_VIEW_MM / array.shape[0]
        notes += (
            f"The picture does not say its scale; it was taken to be {TYPICAL_FIELD_OF_VIEW_MM:.0f} mm high "
            f"(--pixel-size gives the true scale).",
        )
    if pixel_mm > MAX_IN_PLANE_SPACING_MM:
        raise UnsuitableImageError(
            f"The picture is too coarse (a pixel is some {pixel_mm:.1f} mm); save the slice at its original size."
        )
    index_to_lps = np.zeros((4, 4))  # columns run to the back, rows to the feet, the slice normal to the left
    index_to_lps[1, 0] = pixel_mm
    index_to_lps[2, 1] = -pixel_mm
    index_to_lps[0, 2] = PICTURE_SLICE_THICKNESS_MM
    index_to_lps[3, 3] = 1.0
    known = given_mm is not None or stated_mm is not None
    return SagittalVolume.from_stored(array[np.newaxis], index_to_lps, source, notes, scale_known=known)
