"""Whether an export is whole, and whether a study's readings are what was signed."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...dataset.labelled import LabelledDataset
from ...dataset.manifest import DatasetError
from ...file_hash import file_sha256
from ..disc_grading import codes
from ..errors import StudyError
from ..protocol import Task
from ..storage.documents import read_document
from ..storage.durable_files import read_limited, require_inside
from ..storage.grade_files import parse_grades
from .cases import IMAGE_NAME, SURROUNDINGS_NAME
from .study import LARGEST_READING_BYTES, Study

MANIFEST_NAME = "manifest.json"
READINGS_FOLDER = "readings"
TEXT_ENDINGS = (".json", ".jsonl", ".csv", ".md")
_HEADER_BYTES = 1 << 14


def list_files(folder: Path) -> list[dict[str, Any]]:
    """Return path, size and hash of each file of an export, as its manifest lists them."""
    return [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    ]


def verify_export(folder: Path | str, identifiers: Iterable[str] = ()) -> list[str]:
    """Compare an export with its manifest and return the problems, one sentence each; none when it is whole.

    Parameters
    ----------
    identifiers : iterable of str
        Original identifiers that must not occur in it.

    Raises
    ------
    StudyError
        If the folder is no export or its manifest is not valid.
    """
    folder = Path(folder)
    try:
        manifest = read_document(folder / MANIFEST_NAME, "export")
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(f"{folder} is no export: it has no {MANIFEST_NAME}; export the study again.") from None
    problems = []
    listed = {entry["path"]: entry for entry in manifest["files"]}
    for name, entry in listed.items():
        path = folder / name
        require_inside(folder, path.parent)
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name} is missing.")
        elif path.stat().st_size != entry["bytes"] or file_sha256(path) != entry["sha256"]:
            problems.append(f"{name} has been changed since the export was written.")
    present = {Path(root, name).relative_to(folder).as_posix() for root, _, names in os.walk(folder) for name in names}
    problems += [f"{name} is not part of the export." for name in sorted(present - set(listed) - {MANIFEST_NAME})]
    if not problems and manifest["layout"] == "dataset":
        try:
            problems += LabelledDataset.open(folder).verify()
        except DatasetError as error:
            problems.append(str(error))
    return problems or identity_problems(folder, identifiers)


def identity_problems(folder: Path, identifiers: Iterable[str]) -> list[str]:
    """Return where an original identifier occurs in texts, names or image headers; one sentence each, not naming it."""
    wanted = [name.encode("utf-8").lower() for name in identifiers]
    problems = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not wanted:
            continue
        name = path.relative_to(folder).as_posix()
        if any(identifier in content for content in (name.encode().lower(), _words(path)) for identifier in wanted):
            problems.append(f"{name} holds an identifier of a patient's source; remove it from comments and names.")
    return problems


def verify_study(study: Study) -> list[str]:
    """Compare images and signed readings with what is known of them and return the problems, one sentence each."""
    problems = []
    for case_id in study.case_ids:
        try:
            case = study.case(case_id)
            if file_sha256(case.folder / IMAGE_NAME) != case.image_sha256:
                problems.append(f"Case {case_id}: the image has been changed since it was imported.")
            around = case.surroundings_sha256
            if around and file_sha256(case.folder / SURROUNDINGS_NAME) != around:
                problems.append(f"Case {case_id}: vertebrae and canal have been changed since they were imported.")
        except (StudyError, OSError) as error:
            problems.append(f"Case {case_id}: {error}")
    for reader, history in study.histories.items():
        if history.log.unreadable_lines:
            problems.append(f"{reader}: {history.log.unreadable_lines} lines of the event log cannot be read.")
        for (case_id, task, number), record in history.readings.items():
            if record.signed and record.sha256:
                problems += _reading_problems(study, reader, case_id, task, number)
    return problems


def _reading_problems(study: Study, reader: str, case_id: str, task: Task, number: int) -> list[str]:
    record = study.histories[reader].reading(case_id, task, number)
    path = study.reading_path(reader, case_id, task, number)
    where = f"{reader}, case {case_id}, {task.value}"
    try:
        content = read_limited(study.safe(path), LARGEST_READING_BYTES)
        if hashlib.sha256(content).hexdigest() != record.sha256:
            return [f"{where}: the file is not what was signed."]
        if task is Task.MASKS:
            study.masks(path, case_id)
        elif codes(parse_grades(content, str(path), case_id, reader)) != record.grades:
            return [f"{where}: file and event log hold different grades."]
    except FileNotFoundError:
        return [f"{where}: the signed file is missing."]
    except StudyError as error:
        return [f"{where}: {error}"]
    return []


def _words(path: Path) -> bytes:
    """Return the texts of a file: all of a text file, the header of an image."""
    if path.name.endswith(TEXT_ENDINGS):
        return path.read_bytes().lower()
    if path.name.endswith(".gz"):
        try:
            with gzip.open(path) as stream:
                return stream.read(_HEADER_BYTES).lower()
        except (OSError, EOFError, zlib.error):
            return b""
    with path.open("rb") as stream:
        return stream.read(_HEADER_BYTES).lower()
