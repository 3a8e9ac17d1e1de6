"""Writes small DICOM series to test with; all values are made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
T2_TIMES = {"RepetitionTime": 3500.0, "EchoTime": 105.0}
T1_TIMES = {"RepetitionTime": 550.0, "EchoTime": 11.0}


@dataclass
class Series:
    """One series: voxels (slices, rows, columns), where they lie, and any other DICOM attributes."""

    voxels: np.ndarray
    orientation: tuple[float, ...] = SAGITTAL
    origin_lps: tuple[float, float, float] = (-20.0, -90.0, 120.0)
    spacing_mm: tuple[float, float, float] = (4.0, 0.7, 0.6)
    number: int = 1
    attributes: dict = field(default_factory=lambda: dict(T2_TIMES))
    uid: str = field(default_factory=generate_uid)

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])


def slice_dataset(series: Series, index: int, **attributes: object) -> FileDataset:
    """Make the dataset of one slice."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "SECRET-4711"
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "MR", series.uid, series.number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    dataset.SeriesDescription = "Doe Jane study"
    plane = np.ascontiguousarray(series.voxels[index], dtype=np.uint16)
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.ImageOrientationPatient = list(series.orientation)
    position = np.array(series.origin_lps) + index * series.spacing_mm[0] * series.normal
    dataset.ImagePositionPatient = [f"{value:.6g}" for value in position]
    dataset.PixelSpacing = list(series.spacing_mm[1:])
    dataset.SliceThickness = series.spacing_mm[0]
    dataset.InstanceNumber = index + 1
    for keyword, value in {**series.attributes, **attributes}.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = plane.tobytes()
    return dataset


def write_series(folder: Path, series: Series, names: list[str] | None = None, **attributes: object) -> list[Path]:
    """Write a series, one file a slice; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(len(series.voxels)):
        name = names[index] if names else f"s{series.number:02d}_{index:03d}_{pydicom.uid.generate_uid()[-6:]}.dcm"
        slice_dataset(series, index, **attributes).save_as(folder / name, enforce_file_format=True)
        paths.append(folder / name)
    return paths


def write_enhanced(path: Path, series: Series, order: list[int]) -> Path:
    """Write all slices, in `order`, as one enhanced multi-frame image."""
    dataset = slice_dataset(series, 0)
    for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness", "EchoTime"):
        delattr(dataset, keyword)
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(series.orientation)
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = list(series.spacing_mm[1:])
    shared.PixelMeasuresSequence[0].SliceThickness = series.spacing_mm[0]
    shared.MREchoSequence = [Dataset()]
    shared.MREchoSequence[0].EffectiveEchoTime = 100.0
    for index in order:
        groups = Dataset()
        groups.PlanePositionSequence = [Dataset()]
        groups.PlanePositionSequence[0].ImagePositionPatient = [
            f"{value:.6g}" for value in np.array(series.origin_lps) + index * series.spacing_mm[0] * series.normal
        ]
        frames.append(groups)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = np.ascontiguousarray(series.voxels[order], dtype=np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
