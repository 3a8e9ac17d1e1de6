"""What the DICOM headers of a volume node tell: asked of Slicer's DICOM database, once for each image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..imaging.acquisition import Acquisition, Contrast, contrast_of, named_acquisition
from ..imaging.volume import ImagingError

INSTANCES_ATTRIBUTE = "DICOM.instanceUIDs"
"""Attribute in which Slicer's DICOM plugins list the images of a volume node."""
UNKNOWN_INSTANCE = "Unknown"

TAGS = {
    "Modality": "0008,0060",
    "StudyInstanceUID": "0020,000D",
    "SeriesNumber": "0020,0011",
    "SamplesPerPixel": "0028,0002",
    "EchoTime": "0018,0081",
    "EffectiveEchoTime": "0018,9082",
    "RepetitionTime": "0018,0080",
    "InversionTime": "0018,0082",
    "AcquisitionNumber": "0020,0012",
    "TemporalPositionIdentifier": "0020,0100",
    "DiffusionBValue": "0018,9087",
    "ImageType": "0008,0008",
    "ScanningSequence": "0018,0020",
    "ScanOptions": "0018,0022",
    "BodyPartExamined": "0018,0015",
    "SeriesDescription": "0008,103E",
    "ProtocolName": "0018,1030",
    "SequenceName": "0018,0024",
    "PixelSpacing": "0028,0030",
    "NumberOfFrames": "0028,0008",
}
"""Tags as the DICOM database takes them; its values are texts, several parted by a backslash."""

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
    header = _read(database, path) if path and _is_dicom(path) else None
    if header is not None or not uids:  # an image that the database does not know may be imported later
        _KNOWN[key] = header
    return header


def _file_of(volumeNode: Any) -> str:
    storage = volumeNode.GetStorageNode()
    return (storage.GetFullNameFromFileName() or "") if storage is not None else ""


def _is_dicom(path: str) -> bool:
    """Whether a file is there and DICOM by its content; the database would log each value that it cannot read."""
    try:
        with Path(path).open("rb") as file:
            file.seek(_MAGIC_OFFSET)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _read(database: Any, path: str) -> NodeHeader | None:
    values = {keyword: str(database.fileValue(path, tag) or "").strip() for keyword, tag in TAGS.items()}
    if not any(values.values()):
        return None
    if (_integer(values["NumberOfFrames"]) or 1) > 1:
        return _read_frames(path)
    return NodeHeader(_acquisition_of(values), _number(values["PixelSpacing"]) is not None)


def _read_frames(path: str) -> NodeHeader | None:
    """Read the header of an enhanced image, whose facts lie in sequences, for which the database has no values."""
    import pydicom

    from ..imaging.dicom_frames import frames_of

    try:
        frames = frames_of(pydicom.dcmread(path, stop_before_pixels=True), Path(path))
    except Exception:  # pydicom raises nearly anything on a damaged file
        return None
    if not frames:
        return None
    middle = frames[len(frames) // 2]
    return NodeHeader(middle, middle.pixel_spacing_mm is not None)


def _acquisition_of(values: dict[str, str]) -> Acquisition:
    labels = (values["SeriesDescription"], values["ProtocolName"], values["SequenceName"])
    echo_time = _number(values["EchoTime"])
    return Acquisition(
        modality=values["Modality"].upper(),
        study_uid=values["StudyInstanceUID"],
        series_number=_integer(values["SeriesNumber"]),
        samples=_integer(values["SamplesPerPixel"]) or 1,
        echo_time_ms=echo_time if echo_time is not None else _number(values["EffectiveEchoTime"]),
        repetition_time_ms=_number(values["RepetitionTime"]),
        inversion_time_ms=_number(values["InversionTime"]),
        acquisition=_integer(values["AcquisitionNumber"]),
        temporal_position=_integer(values["TemporalPositionIdentifier"]),
        diffusion_b_value=_number(values["DiffusionBValue"]),
        image_type=_words(values["ImageType"]),
        scanning_sequence=_words(values["ScanningSequence"]),
        scan_options=_words(values["ScanOptions"]),
        body_part=values["BodyPartExamined"].upper(),
        labels=" ".join(labels).lower(),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().upper() for word in text.split("\\") if word.strip())


def _number(text: str) -> float | None:
    try:
        number = float(text.split("\\")[0])
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _integer(text: str) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


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
