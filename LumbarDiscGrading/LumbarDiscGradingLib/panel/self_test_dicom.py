"""Small DICOM series for the self-test, without descriptions: only echo and repetition time tell T1 from T2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.volume import SagittalVolume

TIMES = {"T1": (550.0, 10.0), "T2": (3500.0, 100.0)}
"""Repetition and echo time in ms of a spin echo of that contrast."""
SOME_SLICES = 9
"""More than a localizer has."""


def write_study(folder: Path, volume: SagittalVolume) -> dict[str, list[str]]:
    """Write a study of a T1 and a T2 series of a made-up patient.

    Parameters
    ----------
    folder : Path
        Gets a file for each slice.
    volume : SagittalVolume
        Its middle slices are those of both series.

    Returns
    -------
    dict
        SOP instance UIDs of the images by ``T1`` and ``T2``.
    """
    from pydicom.uid import generate_uid

    study = generate_uid()
    uids: dict[str, list[str]] = {}
    for number, contrast in ((1, "T2"), (2, "T1")):
        series, uids[contrast] = generate_uid(), []
        middle = volume.middle_slice_index
        for index in range(middle - SOME_SLICES // 2, middle + SOME_SLICES // 2 + 1):
            dataset = _slice(volume, index, contrast)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SeriesNumber = study, series, number
            dataset.save_as(folder / f"{contrast}_{index:03d}.dcm", enforce_file_format=True)
            uids[contrast].append(str(dataset.SOPInstanceUID))
    return uids


def _slice(volume: SagittalVolume, index: int, contrast: str) -> Any:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Self-test", "LumbarDiscGradingTest", "MR"
    dataset.StudyDate, dataset.ImageType = "20000101", ["ORIGINAL", "PRIMARY", "M"]
    dataset.RepetitionTime, dataset.EchoTime = TIMES[contrast]
    dataset.InstanceNumber = index + 1
    plane = np.ascontiguousarray(np.clip(volume.voxels[index], 0, None), dtype=np.uint16)
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    slice_mm, row_mm, column_mm = volume.spacing_mm
    along_rows, along_columns = volume.index_to_lps[:3, 2] / column_mm, volume.index_to_lps[:3, 1] / row_mm
    position = volume.index_to_lps[:3] @ np.array([index, 0.0, 0.0, 1.0])
    dataset.ImageOrientationPatient = [f"{value:.6f}" for value in (*along_rows, *along_columns)]
    dataset.ImagePositionPatient = [f"{value:.6f}" for value in position]
    dataset.PixelSpacing, dataset.SliceThickness = [row_mm, column_mm], slice_mm
    dataset.PixelData = plane.tobytes()
    return dataset
