"""Stand-in for `DICOMLib.DICOMUtils`: import into a temporary database, and load a patient's series."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import slicer

from .dicom_database import DicomDatabase, load_series


class TemporaryDICOMDatabase:
    """Gives Slicer another database for a while."""

    def __init__(self, directory: str | None = None) -> None:
        self._former: Any = None

    def __enter__(self) -> DicomDatabase:
        self._former, slicer.dicomDatabase = slicer.dicomDatabase, _PatientDatabase()
        return slicer.dicomDatabase

    def __exit__(self, *_: Any) -> None:
        slicer.dicomDatabase.closeDatabase()
        slicer.dicomDatabase = self._former


class _PatientDatabase(DicomDatabase):
    """Of one patient."""

    def __init__(self) -> None:
        super().__init__()
        self.series: list[str] = []

    def insert(self, folder: Path, copy_files: bool = False) -> list[str]:
        series = super().insert(folder, copy_files)
        self.series += series
        return series

    def patients(self) -> list[str]:
        return ["1"] if self.series else []


def importDicom(folder: str, database: Any = None, copyFiles: bool = False) -> bool:
    (database or slicer.dicomDatabase).insert(Path(folder), copyFiles)
    return True


def loadPatientByUID(patient: str) -> list[str]:
    return [load_series(uid).GetID() for uid in slicer.dicomDatabase.series]


def install() -> None:
    """Make `from DICOMLib import DICOMUtils` possible."""
    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.SimpleNamespace(
        TemporaryDICOMDatabase=TemporaryDICOMDatabase, importDicom=importDicom, loadPatientByUID=loadPatientByUID
    )
    sys.modules["DICOMLib"] = library
