"""Stand-in for `slicer.dicomDatabase`, and loading of its series as Slicer's DICOM module does.

pydicom and SimpleITK are imported where they are used: a panel that merely opens must do without them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer


class DicomDatabase:
    """Gives values of DICOM files as texts, as ctkDICOMDatabase does; ``isOpen`` is a property there."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._copies: list[tempfile.TemporaryDirectory] = []
        self._open = True

    @property
    def isOpen(self) -> bool:
        return self._open

    def closeDatabase(self) -> None:
        self._open = False
        for copies in self._copies:
            copies.cleanup()

    def insert(self, folder: Path, copy_files: bool = False) -> list[str]:
        """Import the files of a folder and return its series; what lacks an SOPInstanceUID is not imported."""
        series = {}
        if copy_files:
            self._copies.append(tempfile.TemporaryDirectory(prefix="dicom-database-"))
            folder = Path(shutil.copytree(folder, self._copies[-1].name, dirs_exist_ok=True))
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            header = _header(path)
            if "SOPInstanceUID" in header:
                self._files[str(header.SOPInstanceUID)] = str(path)
                series[str(header.get("SeriesInstanceUID", ""))] = None
        return list(series)

    def filesForSeries(self, uid: str) -> list[str]:
        return [file for file in self._files.values() if self.fileValue(file, "0020,000E") == uid]

    def fileForInstance(self, uid: str) -> str:
        return self._files.get(uid, "") if self._open else ""

    def instanceValue(self, uid: str, tag: str) -> str:
        return self.fileValue(self.fileForInstance(uid), tag)

    def fileValue(self, file: str, tag: str) -> str:
        """Return a value of any file; several are parted by backslashes, a sequence is empty."""
        if not self._open or not file or not Path(file).is_file():
            return ""
        group, element = (int(part, 16) for part in tag.split(","))
        found = _header(file).get((group, element))
        if found is None or found.VR == "SQ" or found.value is None:
            return ""
        several = [found.value] if isinstance(found.value, str) or found.VM < 2 else found.value
        return "\\".join(str(value) for value in several)


def load_series(uid: str) -> Any:
    """Load a series of the database as the DICOM module does: with its number in the name and its images' UIDs."""
    database = slicer.dicomDatabase
    files = sorted(database.filesForSeries(uid), key=_depth)
    number, description = (database.fileValue(files[0], tag) for tag in ("0020,0011", "0008,103E"))
    node = _volume_node(files, (f"{number}: " if number else "") + (description or "Unnamed Series"))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    modality = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemAttribute(item, modality, database.fileValue(files[0], "0008,0060"))
    node.SetAttribute(
        "DICOM.instanceUIDs", " ".join(database.fileValue(file, "0008,0018") or "Unknown" for file in files)
    )
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetActiveVolumeID(node.GetID())
    slicer.app.applicationLogic().PropagateVolumeSelection()
    return node


def add_files(files: list[Path]) -> Any:
    """Load files as *Add Data* does: named by the file, without the images' UIDs, with a storage node."""
    node = _volume_node([str(file) for file in files], files[0].stem)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(files[0]))
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node


def _header(file: str | Path) -> Any:
    import pydicom

    return pydicom.dcmread(file, stop_before_pixels=True, force=True)


def _depth(file: str) -> float:
    header = _header(file)
    if "ImageOrientationPatient" not in header:
        return float(header.get("InstanceNumber", 0))
    orientation = np.array(header.ImageOrientationPatient, dtype=float)
    return float(np.cross(orientation[:3], orientation[3:]) @ np.array(header.ImagePositionPatient, dtype=float))


def _volume_node(files: list[str], name: str) -> Any:
    """Read files with GDCM, which gives a spacing of 1 and an identity where the header says nothing."""
    import SimpleITK as sitk

    image = sitk.ReadImage(files if len(files) > 1 else files[0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix))
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
    node.CreateDefaultDisplayNodes()
    return node
