"""What a file or folder holds that can be imported: DICOM studies, volumes, pictures, with or without labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...dataset.dicom_masks import DICOM_ENDING
from ...dataset.importing import IMAGE_ENDING, LABELS_ENDING, VOLUME_SUFFIXES
from ...dataset.labelled import read_grades
from ...dataset.manifest import GRADES_NAME, DatasetError
from ...dataset.tables import same_letters
from ...imaging.dicom import DicomStudy, files_below, headers_in, people_on
from ...imaging.dicom_frames import DicomFrame, without_name_of_exam
from ...imaging.reading import PICTURE_SUFFIXES, stem_of
from ..errors import StudyError
from .deidentification import acquisition_of


@dataclass(frozen=True)
class ImportSource:
    """One image to import.

    Attributes
    ----------
    path : Path
        File, or folder of DICOM files.
    kind : str
        ``dicom``, ``volume`` or ``picture``.
    source_patient : str
        Original identifier of the patient; goes into the mapping only.
    study : DicomStudy or None
        The images of a DICOM study.
    acquisitions : dict
        What the allow-list let through of each DICOM file's header.
    labels : Path or None
        Label map (0 background, 1 vertebra, 2 disc, 3 canal, or disc level values) on the voxels of the image, or a
        DICOM Segmentation of it.
    grades : dict
        Pfirrmann grade by (reader, level); the reader is empty where the table names none.
    segmentations : dict
        DICOM Segmentations by the series that they are of; the one of the series that is read becomes `labels`.
    """

    path: Path
    kind: str
    source_patient: str
    study: DicomStudy | None = None
    acquisitions: dict[Path, dict[str, Any]] = field(default_factory=dict)
    labels: Path | None = None
    grades: dict[tuple[str, str], int] = field(default_factory=dict)
    segmentations: dict[str, list[Path]] = field(default_factory=dict)


def find_sources(path: Path) -> list[ImportSource]:
    """Return what a file or folder holds.

    A folder with files named ``PATIENT_t2`` is taken with ``PATIENT_labels`` and ``grades.csv`` (patient, level,
    pfirrmann and, if there, reader). Else a folder is searched for DICOM studies, each a case, with the DICOM
    Segmentation of the series that is read, and for volume files.

    Raises
    ------
    StudyError
        If there is nothing to import.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist; check the path.")
    if path.is_file():
        return list(_dicom_studies([path], is_single_file=True)) or [_of_file(path)]
    images = _files_ending(path, IMAGE_ENDING)
    if images:
        return _labelled(path, images)
    files = files_below(path)
    found = list(_dicom_studies(files)) or [_of_file(file) for file in files if _is_volume(file)]
    if not found:
        raise StudyError(f"{path} holds no DICOM study and no volume file; give the folder that holds the images.")
    return found


def _is_volume(file: Path) -> bool:
    name = file.name.lower()
    return file.is_file() and name.endswith(VOLUME_SUFFIXES) and not name.endswith((".seg.nrrd", "_labels.nrrd"))


def _of_file(path: Path) -> ImportSource:
    kind = "picture" if path.name.lower().endswith(PICTURE_SUFFIXES) else "volume"
    return ImportSource(path, kind, f"{path.resolve().parent.name}/{stem_of(path)}")


def _files_ending(folder: Path, ending: str, *suffixes: str) -> dict[str, Path]:
    files = {}
    for file in sorted(folder.iterdir()):
        for suffix in (*VOLUME_SUFFIXES, *PICTURE_SUFFIXES, *suffixes):
            if file.is_file() and file.name.lower().endswith(ending + suffix):
                files.setdefault(same_letters(file.name[: -len(ending + suffix)]), file)
    return files


def _labelled(folder: Path, images: dict[str, Path]) -> list[ImportSource]:
    labels = _files_ending(folder, LABELS_ENDING, DICOM_ENDING)
    grades: dict[str, dict[tuple[str, str], int]] = {}
    if (folder / GRADES_NAME).is_file():
        try:
            rows = read_grades(folder / GRADES_NAME)
        except DatasetError as error:
            raise StudyError(str(error)) from None
        for patient, level, grade, reader in rows:
            grades.setdefault(patient, {})[reader, level] = grade
    found = []
    for patient, path in images.items():
        kind = _of_file(path).kind
        source_patient = f"{folder.resolve().name}/{patient}"
        found.append(
            ImportSource(path, kind, source_patient, labels=labels.get(patient), grades=grades.get(patient, {}))
        )
    return found


def _dicom_studies(files: Iterable[Path], is_single_file: bool = False) -> Iterator[ImportSource]:
    """Yield each DICOM study among some files, of which each header is read once.

    Images of one person and one study instance belong together; where no study instance is stated, those of a folder.
    """
    frames: list[DicomFrame] = []
    kept: dict[Path, dict[str, Any]] = {}
    segmentations: dict[str, list[Path]] = {}
    for file, header, found in headers_in(files):
        if isinstance(found, str):
            yield ImportSource(file, "dicom", str(file.resolve()), study=DicomStudy((), refused=(found,)))
            continue
        if header.get("Modality") == "SEG":
            for series in {str(item.get("SeriesInstanceUID")) for item in header.get("ReferencedSeriesSequence") or ()}:
                segmentations.setdefault(series, []).append(file)
            continue
        frames += found
        kept[file] = acquisition_of(header)
    studies: dict[tuple[int, str | Path], list[DicomFrame]] = {}
    for frame, number in zip(frames, people_on(tuple(frames)), strict=True):
        studies.setdefault((number, frame.study_uid or frame.path.parent), []).append(frame)
    for members in studies.values():
        parents = {frame.path.parent for frame in members}
        path = members[0].path if is_single_file else _common(parents)
        person = members[0].person
        named = person.identifier if person.telling_identifier else ""  # a placeholder joins nobody
        patient = named or person.study_uid or str(path.resolve())
        study = DicomStudy(without_name_of_exam(members), is_single_file)
        yield ImportSource(path, "dicom", patient, study, kept, segmentations=segmentations)


def _common(folders: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([str(folder) for folder in folders]))
