"""Whether a study's images and readings are what was imported and signed."""

from __future__ import annotations

import hashlib

from ...file_hash import file_sha256
from ..disc_grading import codes
from ..errors import StudyError
from ..protocol import Task
from ..storage.durable_files import read_limited
from ..storage.grade_files import parse_grades
from .cases import IMAGE_NAME, SURROUNDINGS_NAME
from .study import LARGEST_READING_BYTES, Study


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
