"""The graded scans of a cohort, as its two tables and the files beside them say; what a person changed is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from ...errors import UserError
from ...grading.result import NOT_ASSESSABLE
from ...pfirrmann import GRADES, GROUPS, LISTED_LEVELS, TASKS, group_of_grade
from ..scan import State
from ..tables import COHORT_COLUMNS, COHORT_FILE, SCAN_COLUMNS, SCANS_FILE

SEGMENTATION_ENDING, RESULT_ENDING = "_discs.seg.nrrd", "_result.json"
GRADE_CELLS: dict[str, int | None] = {"": None, **{str(grade): grade for grade in GRADES}}
FLAG_CELLS = {"true": True, "false": False}
P_TOLERANCE = 1e-3
"""Probabilities in tables have four decimals."""

T = TypeVar("T")


class CohortError(UserError):
    """A cohort cannot be used; the message is one sentence for the user: what is wrong and what to do."""


@dataclass(frozen=True)
class CohortModel:
    """A model that graded scans of a cohort: its task, name and hash."""

    task: str
    name: str
    sha256: str


@dataclass(frozen=True)
class CohortDisc:
    """A row of ``cohort.csv``.

    Attributes
    ----------
    level : str
    group_probabilities : tuple of float
    pfirrmann : int or None
        None for a disc that is not assessable.
    slice_index : int
        Graded slice along the volume's sagittal axis as stored.
    slice_center_lps_mm : tuple of float
    confident : bool
    grade_set : tuple of int
    warnings : str
    """

    level: str
    group_probabilities: tuple[float, float, float]
    pfirrmann: int | None
    slice_index: int
    slice_center_lps_mm: tuple[float, float, float]
    confident: bool
    grade_set: tuple[int, ...]
    warnings: str


@dataclass(frozen=True)
class GradedScan:
    """A scan of a cohort with what the models made of it.

    Attributes
    ----------
    folder : Path
        Of the cohort.
    identifier, input, series : str
        As in ``cohort_scans.csv``; they may tell who the patient is.
    input_sha256 : str
    models : tuple of CohortModel
        Segmentation, grading.
    discs : tuple of CohortDisc
    doubts : str
        What the program said against the whole result; empty for nothing.
    lowest_probability, naming_confidence : float or None
    """

    folder: Path
    identifier: str
    input: str
    series: str
    input_sha256: str
    models: tuple[CohortModel, ...]
    discs: tuple[CohortDisc, ...]
    doubts: str
    lowest_probability: float | None
    naming_confidence: float | None

    @property
    def segmentation_path(self) -> Path:
        """The file of its masks; it need not exist."""
        return self.folder / f"{self.identifier}{SEGMENTATION_ENDING}"

    def stored_result(self) -> dict[str, Any] | None:
        """Read ``<identifier>_result.json``, None where there is none.

        Raises
        ------
        CohortError
            If it is damaged, or says something else than the tables.
        """
        name = f"{self.identifier}{RESULT_ENDING}"
        try:
            stored = json.loads((self.folder / name).read_text(encoding="utf-8"))
            said = {disc["level"]: disc["pfirrmann"] if disc["assessable"] else None for disc in stored["discs"]}
            models = {model["task"]: model["sha256"] for model in stored["models"]}
            same = stored["input"]["sha256"] == self.input_sha256
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise CohortError(f"{name} cannot be read; grade the scan again.") from None
        same &= models == {model.task: model.sha256 for model in self.models}
        listed = {level: grade for level, grade in said.items() if level in LISTED_LEVELS}
        if not same or listed != {disc.level: disc.pfirrmann for disc in self.discs}:
            raise CohortError(f"{COHORT_FILE} and {name} do not say the same; {_AS_WRITTEN}.")
        return stored


@dataclass(frozen=True)
class GradedCohort:
    """The output folder of a cohort.

    Attributes
    ----------
    scans : tuple of GradedScan
        Those that were graded, in the order of the table.
    """

    folder: Path
    scans: tuple[GradedScan, ...]

    @property
    def models(self) -> tuple[CohortModel, ...]:
        """All models that graded scans, segmentation first."""
        found = {model for scan in self.scans for model in scan.models}
        return tuple(sorted(found, key=lambda model: (TASKS.index(model.task), model.name, model.sha256)))


def read_cohort(folder: Path) -> GradedCohort:
    """Read the tables of a cohort.

    Raises
    ------
    CohortError
        If one is missing or cannot be read, has a row that ``grade`` does not write, or both do not fit each other.
    """
    discs: dict[str, list[CohortDisc]] = {}
    facts: dict[str, set[tuple[str, ...]]] = {}

    def take_disc(row: dict[str, str]) -> None:
        disc, identifier = _disc(row), row["identifier"]
        if any(other.level == disc.level for other in discs.setdefault(identifier, [])):
            raise ValueError(f"{disc.level} is there twice for one scan")
        discs[identifier].append(disc)
        facts.setdefault(identifier, set()).add(_facts(row))

    scans: list[GradedScan] = []
    seen: set[str] = set()

    def take_scan(row: dict[str, str]) -> None:
        identifier = row["identifier"]
        if not identifier or identifier in seen or Path(identifier).name != identifier:
            raise ValueError(f"{identifier[:40]!r} cannot be the identifier of one scan")
        seen.add(identifier)
        if row["state"] == "graded":
            found = tuple(discs.get(identifier, ()))
            if [len(found)] != _numbers(row["discs"], int, 1):
                raise ValueError(f"{COHORT_FILE} has {len(found)} discs of this scan, not {row['discs']}")
            if facts.get(identifier, {_facts(row)}) != {_facts(row)}:
                raise ValueError(f"{COHORT_FILE} names other models or another input for this scan")
            scans.append(_scan(folder, row, found))
        elif identifier in discs:
            raise ValueError(f"{COHORT_FILE} has discs of this scan, which was not graded")
        elif row["state"] not in get_args(State):
            raise ValueError(f"{row['state'][:40]!r} is no state")

    _read(folder / COHORT_FILE, COHORT_COLUMNS, take_disc)
    _read(folder / SCANS_FILE, SCAN_COLUMNS, take_scan)
    if unknown := next((identifier for identifier in discs if identifier not in seen), None):
        raise CohortError(f"{COHORT_FILE} has discs of {unknown[:40]!r}, which {SCANS_FILE} lacks; {_AS_WRITTEN}.")
    return GradedCohort(folder, tuple(scans))


_AS_WRITTEN = "the tables must be as 'grade' leaves them at its end: run it again on the same output folder"


def _read(path: Path, columns: Sequence[str], take: Callable[[dict[str, str]], None]) -> None:
    """Hand over each row of a table; what it raises as `ValueError` is told with the line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise CohortError(f"{path} has no column {missing[0]}; {_AS_WRITTEN}.")
            for row in reader:
                if None in row or None in row.values():
                    raise CohortError(f"{path}, line {reader.line_num}: cells are missing or too many; {_AS_WRITTEN}.")
                try:
                    take(row)
                except ValueError as error:
                    raise CohortError(f"{path}, line {reader.line_num}: {error}; {_AS_WRITTEN}.") from None
    except FileNotFoundError:
        raise CohortError(f"{path.parent} has no {path.name}; give the output folder of a cohort.") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        raise CohortError(f"{path} cannot be read as a table in UTF-8; {_AS_WRITTEN}.") from None


def _facts(row: Mapping[str, str]) -> tuple[str, ...]:
    return (row["input_sha256"], *(row[f"{task}_{what}"] for task in TASKS for what in ("model", "sha256")))


def _scan(folder: Path, row: Mapping[str, str], discs: tuple[CohortDisc, ...]) -> GradedScan:
    for column in ("input_sha256", *(f"{task}_sha256" for task in TASKS)):
        if len(row[column]) != 64 or set(row[column]) - set("0123456789abcdef"):
            raise ValueError(f"{column} is no SHA-256")
    return GradedScan(
        folder,
        row["identifier"],
        row["input"],
        row["series"],
        row["input_sha256"],
        tuple(CohortModel(task, row[f"{task}_model"], row[f"{task}_sha256"]) for task in TASKS),
        discs,
        row["doubts"],
        _probability(row["lowest_probability"]) if row["lowest_probability"] else None,
        _probability(row["naming_confidence"]) if row["naming_confidence"] else None,
    )


def _disc(row: Mapping[str, str]) -> CohortDisc:
    if row["level"] not in LISTED_LEVELS:
        raise ValueError(f"{row['level'][:40]!r} is no disc level")
    if row["manual_changes"]:
        raise ValueError("a reader has changed this disc, so it is not the model's")
    p_mild, p_moderate, p_serious = (_probability(row[f"p_{group.value}"]) for group in GROUPS)
    if abs(p_mild + p_moderate + p_serious - 1) > P_TOLERANCE:
        raise ValueError("the probabilities of the groups do not sum to 1")
    grade = _one_of(row["pfirrmann"], GRADE_CELLS, "Pfirrmann grade")
    if row["group"] != (NOT_ASSESSABLE if grade is None else group_of_grade(grade).value):
        raise ValueError(f"the group {row['group'][:40]!r} and the grade {row['pfirrmann']!r} do not go together")
    x, y, z = _numbers(row["slice_center_lps_mm"], float, 3)
    return CohortDisc(
        row["level"],
        (p_mild, p_moderate, p_serious),
        grade,
        _numbers(row["slice"], int, 1)[0],
        (x, y, z),
        _one_of(row["confident"], FLAG_CELLS, "true or false"),
        tuple(number for number in _numbers(row["pfirrmann_set"], int) if group_of_grade(number)),
        row["warnings"],
    )


def _probability(text: str) -> float:
    value = _numbers(text, float, 1)[0]
    if not 0 <= value <= 1:
        raise ValueError(f"{text[:40]!r} is no probability")
    return value


def _numbers(text: str, kind: Callable[[str], T], count: int | None = None) -> list[T]:
    try:
        numbers = [kind(word) for word in text.split()]
    except ValueError:
        numbers = []
        count = -1
    if count not in (None, len(numbers)):
        raise ValueError(f"{text[:40]!r} is no number")
    return numbers


def _one_of(text: str, meanings: Mapping[str, T], what: str) -> T:
    if text not in meanings:
        raise ValueError(f"{text[:40]!r} is no {what}")
    return meanings[text]
