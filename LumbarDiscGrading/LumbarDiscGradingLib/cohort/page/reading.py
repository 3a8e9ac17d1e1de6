"""The two tables of a cohort as they are read back for its page."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ...errors import UserError
from ...imaging.file_names import printable
from ...pfirrmann import GRADES, GROUPS, LISTED_LEVELS, TASKS, Group
from ..scan import State
from ..tables import COHORT_COLUMNS, COHORT_FILE, SCAN_COLUMNS, SCANS_FILE
from .sentences import sentences

STATES: tuple[State, ...] = get_args(State)
SHOWN_OF_HASH = 12
LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for the place of the input in a reason: a page is passed on, and folders are named after patients."""


class CohortTableError(UserError):
    """A table of a cohort is missing or is not one; the message is one sentence for the user."""


@dataclass(frozen=True)
class DiscRow:
    """A listed disc; `group` and `grade` are None where it is not assessable, `probability` is that of the group."""

    level: str
    group: Group | None
    grade: int | None
    probability: float | None
    disc_height_index: float | None
    confident: bool
    warnings: tuple[str, ...]
    possible: tuple[int, ...]


@dataclass(frozen=True)
class ScanRow:
    """A scan with its discs, head to feet; `lowest_probability` is that of the least sure disc, None without one."""

    identifier: str
    state: State
    reason: str
    lowest_probability: float | None
    doubts: tuple[str, ...]
    age: str
    sex: str
    models: tuple[str, ...]
    """Name and beginning of the hash of each model that graded it."""
    discs: tuple[DiscRow, ...]
    discs_told: int
    """How many discs the scan's own row tells of; `discs` holds the rows that were there."""


def read_scans(folder: Path) -> list[ScanRow]:
    """Return the scans of a folder in the order of their table.

    Raises
    ------
    CohortTableError
        If a table is missing, cannot be read, or has not its columns.
    """
    discs: dict[str, list[DiscRow]] = {}
    for row in _rows(folder / COHORT_FILE, COHORT_COLUMNS):
        discs.setdefault(row["identifier"], []).append(_disc(row))
    return [_scan(row, discs.get(row["identifier"], [])) for row in _rows(folder / SCANS_FILE, SCAN_COLUMNS)]


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CohortTableError(f"{path} has no column {missing[0]}; grade the cohort again to write it anew.")
            yield from reader
    except FileNotFoundError as error:
        raise CohortTableError(f"{path} is missing; choose the output folder of a cohort that was graded.") from error
    except OSError as error:
        raise CohortTableError(f"{path} cannot be read ({error.strerror}).") from error
    except csv.Error as error:
        raise CohortTableError(f"{path} is no table ({error}); grade the cohort again to write it anew.") from error


def _disc(row: dict[str, str]) -> DiscRow:
    if row["level"] not in LISTED_LEVELS:
        raise _unknown(COHORT_FILE, "level", row["level"])
    group = next((group for group in GROUPS if group.value == row["group"]), None)
    grade = int(row["pfirrmann"]) if row["pfirrmann"] in map(str, GRADES) else None
    return DiscRow(
        level=row["level"],
        group=group,
        grade=grade,
        probability=None if group is None else _number(row[f"p_{group.value}"]),
        disc_height_index=_number(row["disc_height_index"]),
        confident=row["confident"] == "true",
        warnings=sentences(row["warnings"]),
        possible=tuple(grade for grade in GRADES if str(grade) in row["pfirrmann_set"].split()),
    )


def _scan(row: dict[str, str], discs: list[DiscRow]) -> ScanRow:
    state = next((state for state in STATES if state == row["state"]), None)
    if state is None:
        raise _unknown(SCANS_FILE, "state", row["state"])
    return ScanRow(
        identifier=row["identifier"],
        state=state,
        reason=_without_input(row["reason"], row["input"]),
        lowest_probability=_number(row["lowest_probability"]),
        doubts=sentences(row["doubts"]),
        age=row["age"],
        sex=row["sex"],
        models=tuple(
            f"{row[f'{task}_model']} ({row[f'{task}_sha256'][:SHOWN_OF_HASH]})"
            for task in TASKS
            if row[f"{task}_model"]
        ),
        discs=tuple(discs) if state == "graded" else (),
        discs_told=int(row["discs"]) if row["discs"].isdecimal() else 0,
    )


def _unknown(file: str, column: str, word: str) -> CohortTableError:
    return CohortTableError(f"{file} has the unknown {column} {word!r}; grade the cohort again to write it anew.")


def _without_input(reason: str, path: str) -> str:
    """Return a reason without the path of the scan's input, its name and the folders that it is in."""
    reason = reason.removeprefix(f"{path}: ").removeprefix(f"{printable(path)}: ")
    place = Path(path)
    folders = [str(folder) for folder in place.parents if folder.name]
    for text in (path, *folders, place.name):
        for spelling in (text, printable(text)):
            if len(spelling) > 1:
                reason = reason.replace(spelling, LEFT_OUT)
    return reason


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
