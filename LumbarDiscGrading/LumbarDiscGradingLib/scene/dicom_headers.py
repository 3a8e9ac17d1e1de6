"""What the DICOM headers of a volume node tell: Slicer's DICOM database knows the files, each is read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..imaging.acquisition import Acquisition, Contrast, contrast_of, named_acquisition
from ..imaging.volume import ImagingError

INSTANCES_ATTRIBUTE = "DICOM.instanceUIDs"
"""Attribute in which Slicer's DICOM plugins list the images of a volume node."""
UNKNOWN_INSTANCE = "Unknown"

_MAGIC_OFFSET, _MAGIC = 128, b"DICM"


@dataclass(frozen=True)
class NodeHeader:
    """What is known of how the image of a volume node was acquired.

    Attributes
    ----------
    acquisition : Acquisition
        From the header; where there is none, from the name of the node.
    pixel_size_stated : bool
        False where there is a header and it does not state the pixel size.
    """

    acquisition: Acquisition
    pixel_size_stated: bool = True


_KNOWN: dict[str, NodeHeader | None] = {}
"""Headers that were read, by the UID of their image or the path of their file; None for a file that is no DICOM."""


def header_of_node(volumeNode: Any) -> NodeHeader:
    """Return what the header of a volume's middle image tells, or without a header what the node's name does.

    There is no header where the image is no DICOM, where the database is closed, or where it does not know the image,
    as for a scene of another computer.
    """
    name = volumeNode.GetName() or ""
    header = _header_of_images(volumeNode)
    if header is None:
        return NodeHeader(replace(named_acquisition(name), modality=_modality_in_hierarchy(volumeNode)))
    if contrast_of(header.acquisition) is not Contrast.UNKNOWN:
        return header
    labels = f"{header.acquisition.labels} {name.lower()}"
    return replace(header, acquisition=replace(header.acquisition, labels=labels))


def dicom_files_of(volumeNode: Any) -> tuple[Path, ...]:
    """Return the files of the images that a volume node was loaded from, as Slicer's DICOM database has them.

    Raises
    ------
    ImagingError
        If the node was not loaded from the database, or the database is closed or has the images no longer.
    """
    name, uids, database = volumeNode.GetName(), dict.fromkeys(_instances_of(volumeNode)), _open_database()
    if not uids:
        raise ImagingError(
            f"{name} was not loaded from Slicer's DICOM database; import its study in the DICOM module, load it from "
            "there and grade it."
        )
    if database is None:
        raise ImagingError("Slicer's DICOM database is not open; open the DICOM module and try again.")
    files = [database.fileForInstance(uid) for uid in uids]
    if not all(file and Path(file).is_file() for file in files):
        raise ImagingError(f"The DICOM database has not all images of {name}; import the study again.")
    return tuple(dict.fromkeys(map(Path, files)))


def _open_database() -> Any:
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None


def _instances_of(volumeNode: Any) -> list[str]:
    return [uid for uid in (volumeNode.GetAttribute(INSTANCES_ATTRIBUTE) or "").split() if uid != UNKNOWN_INSTANCE]


def _header_of_images(volumeNode: Any) -> NodeHeader | None:
    database = _open_database()
    if database is None:
        return None
    uids = _instances_of(volumeNode)
    key = uids[len(uids) // 2] if uids else _file_of(volumeNode)
    if not key or key in _KNOWN:
        return _KNOWN.get(key)
    path = database.fileForInstance(key) if uids else key
    header = _read(Path(path)) if path and (uids or _has_preamble(path)) else None
    if header is not None or not uids:  # an image that the database does not know may be imported later
        _KNOWN[key] = header
    return header


def _file_of(volumeNode: Any) -> str:
    storage = volumeNode.GetStorageNode()
    return (storage.GetFullNameFromFileName() or "") if storage is not None else ""


def _has_preamble(path: str) -> bool:
    """Whether a file is there and DICOM by its content; asked without the libraries that read DICOM."""
    try:
        with Path(path).open("rb") as file:
            file.seek(_MAGIC_OFFSET)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _read(path: Path) -> NodeHeader | None:
    """Read the header of a file as the command line does; of an enhanced image that of its middle frame."""
    from ..imaging.dicom import headers_in

    try:
        _, _, frames = next(headers_in([path]))
    except (OSError, StopIteration):
        return None
    if isinstance(frames, str) or not frames:
        return None
    middle = frames[len(frames) // 2]
    return NodeHeader(middle, middle.pixel_spacing_mm is not None)


def _modality_in_hierarchy(volumeNode: Any) -> str:
    """Return the DICOM modality that the subject hierarchy has for a volume; empty when it was no DICOM."""
    import slicer

    scene = volumeNode.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene) if scene is not None else None
    if hierarchy is None:
        return ""
    item = hierarchy.GetItemByDataNode(volumeNode)
    if not item:
        return ""
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return (hierarchy.GetItemAttribute(item, attribute) or "").upper()
