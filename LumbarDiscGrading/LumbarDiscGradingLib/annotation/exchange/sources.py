"""What a file or folder holds that can be imported: DICOM studies, volumes, pictures, with or without labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom

from ...dataset.importing import IMAGE_ENDING, LABELS_ENDING, VOLUME_SUFFIXES
from ...dataset.labelled import read_grades
from ...dataset.manifest import GRADES_NAME, DatasetError
from ...imaging.dicom import SKIPPED_NAMES, header_of, is_dicom_file, people_on, study_stacks
from ...imaging.dicom_frames import DicomFrame, frames_of
from ...imaging.dicom_series import choose_stack
from ...imaging.dicom_study.people import Person
from ...imaging.reading import PICTURE_SUFFIXES, stem_of
from ...imaging.volume import ImagingError
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
    series_uid : str or None
        The DICOM series to read.
    acquisition : dict
        What the allow-list let through.
    labels : Path or None
        Label map (0 background, 1 vertebra, 2 disc, 3 canal, or disc level values) on the voxels of the image.
    grades : dict
        Pfirrmann grade by (reader, level); the reader is empty where the table names none.
    """

    path: Path
    kind: str
    source_patient: str
    series_uid: str | None = None
    acquisition: dict[str, Any] = field(default_factory=dict)
    labels: Path | None = None
    grades: dict[tuple[str, str], int] = field(default_factory=dict)


def find_sources(path: Path) -> list[ImportSource]:
    """Return what a file or folder holds.

    A folder with files named ``PATIENT_t2`` is taken with ``PATIENT_labels`` and ``grades.csv`` (patient, level,
    pfirrmann and, if there, reader). Else a folder is searched for DICOM studies, each a case, and for volume files.

    Raises
    ------
    StudyError
        If there is nothing to import.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist; check the path.")
    if path.is_file():
        return [_of_dicom([path], path) if is_dicom_file(path) else _of_file(path)]
    images = _files_ending(path, IMAGE_ENDING)
    if images:
        return _labelled(path, images)
    found = list(_dicom_studies(path))
    if not found:
        found = [_of_file(file) for file in sorted(path.rglob("*")) if _is_volume(file)]
    if not found:
        raise StudyError(f"{path} holds no DICOM study and no volume file; give the folder that holds the images.")
    return found


def _is_volume(file: Path) -> bool:
    name = file.name.lower()
    return file.is_file() and name.endswith(VOLUME_SUFFIXES) and not name.endswith((".seg.nrrd", "_labels.nrrd"))


def _of_file(path: Path) -> ImportSource:
    kind = "picture" if path.name.lower().endswith(PICTURE_SUFFIXES) else "volume"
    return ImportSource(path, kind, f"{path.resolve().parent.name}/{stem_of(path)}")


def _files_ending(folder: Path, ending: str) -> dict[str, Path]:
    files = {}
    for file in sorted(folder.iterdir()):
        for suffix in (*VOLUME_SUFFIXES, *PICTURE_SUFFIXES):
            if file.is_file() and file.name.lower().endswith(ending + suffix):
                files.setdefault(file.name[: -len(ending + suffix)], file)
    return files


def _labelled(folder: Path, images: dict[str, Path]) -> list[ImportSource]:
    labels = _files_ending(folder, LABELS_ENDING)
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


def _dicom_studies(folder: Path) -> Iterator[ImportSource]:
    """Yield each DICOM study below a folder: files of one patient and study instance belong together."""
    studies: dict[tuple[str, ...], list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name.upper() not in SKIPPED_NAMES and is_dicom_file(file):
            header = header_of(file)
            if header is not None:
                keywords = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
                key = tuple(str(header.get(keyword) or "") for keyword in keywords)
                key += ("",) if key[-1] else (str(file.parent),)
                studies.setdefault(key, []).append(file)
    for key, files in studies.items():
        parents = {file.parent for file in files}
        own = next(iter(parents)) if len(parents) == 1 else _common(parents)
        others = (file for other, theirs in studies.items() if other != key for file in theirs)
        alone = not any(own in file.parents for file in others)
        yield _of_dicom(files, own, alone)


def _common(folders: Iterable[Path]) -> Path:
    folders = list(folders)
    common = folders[0]
    while not all(folder == common or common in folder.parents for folder in folders):
        common = common.parent
    return common


def _of_dicom(files: list[Path], path: Path, alone: bool = True) -> ImportSource:
    """Describe a study; which of its series is read is the choice of the imaging room."""
    frames: list[DicomFrame] = []
    headers: dict[Path, pydicom.Dataset] = {}
    for file in files:
        header = header_of(file)
        if header is not None:
            headers[file] = header
            frames += frames_of(header, file)
    person = frames[0].person if frames else Person()
    named = person.identifier if person.telling_identifier else ""  # a placeholder joins nobody
    patient = named or person.study_uid or str(path.resolve())
    try:
        stack, _ = choose_stack(study_stacks(tuple(frames), people_on(tuple(frames))), None, path.is_file())
    except (ImagingError, ValueError):
        return ImportSource(path, "dicom", patient)  # reading it will say what is wrong
    chosen = headers[stack.first.path]
    series = None if alone else stack.first.series_uid
    return ImportSource(path, "dicom", patient, series, acquisition_of(chosen))
