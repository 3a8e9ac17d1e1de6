"""An export brought back into a study: the same cases, readings, reviews and decisions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dataset.labelled import LabelledDataset
from ...dataset.manifest import DatasetError
from ...imaging.volume import SagittalVolume
from ...progress import ListProgress, unwatched
from ..errors import StudyError
from ..log.events import LOG_NAME, checked_events, event_line, valid_events
from ..storage.documents import read_document
from ..storage.durable_files import append_line, make_folder, read_limited, write_durable
from ..storage.nrrd_files import parse_nrrd
from ..study.cases import LARGEST_IMAGE_BYTES, StudyCase
from ..study.selection import selection_of
from ..study.study import LARGEST_READING_BYTES, STUDY_NAME, Study
from .export_check import MANIFEST_NAME, READINGS_FOLDER, verify_export
from .importing import ImportReport

READING_FILE = re.compile(r"(masks(\.2)?|review-[a-z0-9][a-z0-9_-]{0,31}|adjudication)\.seg\.nrrd|grades(\.2)?\.json")
"""Files that may be brought into a reader's folder."""


def is_export(folder: Path) -> bool:
    """Whether a folder looks like an exported study with its readings."""
    return (folder / MANIFEST_NAME).is_file() and (folder / READINGS_FOLDER / STUDY_NAME).is_file()


def import_export(study: Study, folder: Path, progress: ListProgress = unwatched) -> ImportReport:
    """Bring an export into a study that has its readers; what is there already is left as it is.

    Raises
    ------
    StudyError
        If the export is broken, has readers that the study lacks, or uses the name of another case.
    """
    problems = verify_export(folder)
    if problems:
        raise StudyError(f"{folder} is not whole: {problems[0]} Export the study again.")
    report, readings = ImportReport(), folder / READINGS_FOLDER
    cases: set[str] = set()
    readers = sorted(path.name for path in (readings / "readers").glob("*")) if (readings / "readers").is_dir() else []
    for reader in readers:
        study.protocol.reader(reader)
    try:
        dataset = LabelledDataset.open(folder)
        known = {study.case(case).content_sha256: case for case in study.case_ids}
        for case in progress(dataset.cases):
            document = read_document(readings / "cases" / f"{case.patient}.json", "case")
            content = document["image"]["content_sha256"]
            if content in known:
                report.duplicates.append((f"{folder}: {document['case']}", known[content]))
            else:
                around = _surroundings(readings / "cases" / f"{case.patient}.nrrd", document)
                added = _added_case(study, case.volume(), around, document)
                known[added.content_sha256] = added.id
                report.added.append(added.id)
            if known.get(content) == case.patient:
                cases.add(case.patient)
    except DatasetError as error:
        raise StudyError(str(error)) from None
    except FileNotFoundError as error:
        raise StudyError(f"{error.filename} is missing from the export; export the study again.") from None
    if selection := selection_of(readings):
        if {case.patient for case in dataset.cases} >= set(study.case_ids):
            selection.write(study.folder)
        else:  # of some cases only
            report.notes += selection.sentences()
    for reader in readers:
        report.readings += _import_reader(study, readings / "readers" / reader, reader, cases, report)
    study.refresh()
    return report


def _surroundings(path: Path, document: dict[str, Any]) -> NDArray[np.uint8] | None:
    if document["surroundings_sha256"] is None:
        return None
    shape = tuple(document["image"]["shape"])
    array, matrix, _ = parse_nrrd(read_limited(path, LARGEST_IMAGE_BYTES), str(path), shape)
    return SagittalVolume.from_stored(array, matrix).voxels


def _added_case(
    study: Study, volume: SagittalVolume, surroundings: NDArray[np.uint8] | None, document: dict[str, Any]
) -> StudyCase:
    window = document["window"]
    if window:
        volume = replace(volume, source=replace(volume.source, window=(float(window[0]), float(window[1]))))
    return study.add_case(
        volume,
        kind=document["kind"],
        patient=document["patient"],
        acquisition=document["acquisition"],
        source_kind=document["provenance"]["source_kind"],
        case_id=document["case"],
        surroundings=surroundings,
    )


def _import_reader(study: Study, source: Path, reader: str, cases: set[str], report: ImportReport) -> int:
    """Copy a reader's files and events; return how many readings were signed.

    What an interrupted import brought in already is not brought in twice; a case that the reader has worked on here in
    the meantime is left as it is.
    """
    target = study.reader_folder(reader)
    make_folder(target)
    present: dict[str, list[str]] = {}
    for event in valid_events(target / LOG_NAME):
        present.setdefault(event["case"], []).append(event_line(event))
    brought: dict[str, list[str]] = {}
    signed = set()
    for event in checked_events(source / LOG_NAME):
        brought.setdefault(event["case"], []).append(event_line(event))
        if event["kind"] == "signed":
            signed.add((event["case"], event["task"], event.get("round", 1)))
    added = set()
    for case in sorted(cases & set(brought)):
        here = present.get(case, [])
        if here != brought[case][: len(here)]:
            report.notes.append(f"Case {case}: {reader} has worked on it here; the export's readings were left out.")
            continue
        if len(here) < len(brought[case]):
            _copy_files(source / case, target / "cases" / case)
            for line in brought[case][len(here) :]:
                append_line(target / LOG_NAME, line)
            added.add(case)
    return sum(case in added for case, _, _ in signed)


def _copy_files(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    make_folder(target)
    for file in sorted(source.iterdir()):
        if READING_FILE.fullmatch(file.name) is None:
            raise StudyError(f"{file.name[:60]!r} is no file of a reading; export the study again.")
        write_durable(target / file.name, read_limited(file, LARGEST_READING_BYTES))
