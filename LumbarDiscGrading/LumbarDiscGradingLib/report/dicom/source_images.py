"""The DICOM images that a volume was read from: their headers, made complete, and which slice each of them shows."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from ...imaging.dicom_frames import DicomFrame, frames_of
from ...imaging.volume import SagittalVolume
from .coding import DicomOutputError

REQUIRED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
EMPTY_IF_MISSING = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName", "Manufacturer"),
)
"""Attributes of type 2, which an anonymiser may have removed."""

INDEX_TOLERANCE = 0.1
"""How far, in parts of a voxel, the pixels of an image may lie from those of the volume."""


def source_images(files: tuple[Path, ...], slice_distance_mm: float) -> list[pydicom.Dataset]:
    """Read the headers of the images; what of them may be empty and is missing is added.

    Raises
    ------
    DicomOutputError
        If they lack what a reference to them needs, naming the attribute.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks quote values
        images = [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in files]
    for image in images:
        missing = next((keyword for keyword in REQUIRED if not image.get(keyword)), None)
        if missing:
            raise DicomOutputError(f"The DICOM images lack {missing}, so that nothing can refer to them.")
        for keyword in EMPTY_IF_MISSING:
            if keyword not in image:
                setattr(image, keyword, "")
        if "PerFrameFunctionalGroupsSequence" not in image and not image.get("SliceThickness"):
            image.SliceThickness = round(slice_distance_mm, 6)
        if not image.get("FrameOfReferenceUID"):
            seed = [image.SeriesInstanceUID, "frame of reference"]
            image.FrameOfReferenceUID = pydicom.uid.generate_uid(entropy_srcs=seed)
    if len({image.SOPInstanceUID for image in images}) < len(images):
        raise DicomOutputError("The DICOM images share a SOPInstanceUID, so that nothing can refer to one of them.")
    if len({image.SeriesInstanceUID for image in images}) > 1:
        raise DicomOutputError("The DICOM images differ in SeriesInstanceUID; export them as one series.")
    return images


def masks_on_images(
    labels: NDArray[np.uint8], volume: SagittalVolume, files: tuple[Path, ...], images: list[pydicom.Dataset]
) -> NDArray[np.uint8]:
    """Bring labels onto the frames of the images, in their order and on their own rows and columns.

    Parameters
    ----------
    labels : ndarray, shape (slices, rows, columns)
        In the canonical order of the volume.

    Raises
    ------
    DicomOutputError
        If the volume does not lie where its images do.
    """
    frames = [frame for path, image in zip(files, images, strict=True) for frame in frames_of(image, path)]
    planes = np.stack([_plane(labels, volume, frame) for frame in frames])
    if len({frame.position_lps for frame in frames}) < len(frames):
        raise DicomOutputError(
            "The DICOM image holds several frames at one place (echoes or phases); export the graded ones alone."
        )
    if np.count_nonzero(planes) != np.count_nonzero(labels):
        raise _misplaced()
    return planes


def _plane(labels: NDArray[np.uint8], volume: SagittalVolume, frame: DicomFrame) -> NDArray[np.uint8]:
    if frame.pixel_spacing_mm is None:
        raise DicomOutputError("The DICOM images lack PixelSpacing, which a segmentation must state.")
    if not frame.has_geometry:
        raise DicomOutputError("The DICOM images lack ImagePositionPatient or ImageOrientationPatient.")
    to_lps = np.zeros((4, 3))
    to_lps[:3, 0] = np.array(frame.column_direction_lps) * frame.pixel_spacing_mm[0]
    to_lps[:3, 1] = np.array(frame.row_direction_lps) * frame.pixel_spacing_mm[1]
    to_lps[:, 2] = [*(frame.position_lps or ()), 1.0]
    pixels = np.indices((frame.rows, frame.columns)).reshape(2, -1)
    exact = (np.linalg.inv(volume.index_to_lps) @ to_lps @ np.vstack([pixels, np.ones(pixels.shape[1])]))[:3]
    index = np.rint(exact).astype(int)
    inside = np.all((index >= 0) & (index < np.array(labels.shape)[:, None]), axis=0)
    if not inside.all() or np.abs(exact - index).max() > INDEX_TOLERANCE:
        raise _misplaced()
    return labels[tuple(index)].reshape(frame.rows, frame.columns)


def _misplaced() -> DicomOutputError:
    return DicomOutputError("The volume does not lie where its DICOM images do; grade the series as it was received.")
