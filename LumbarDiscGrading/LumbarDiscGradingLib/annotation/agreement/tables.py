"""Agreement and state of a study as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ...pfirrmann import ROMAN_GRADES
from ..storage.csv_files import csv_bytes
from ..storage.durable_files import make_folder, write_durable
from .agreement import GradeAgreement, MaskAgreement, StudyAgreement

GRADE_TABLE = "grade_agreement.csv"
CONFUSION_TABLE = "grade_confusion.csv"
MASK_TABLE = "mask_agreement.csv"
TIME_TABLE = "reading_times.csv"

Agreement = TypeVar("Agreement", GradeAgreement, MaskAgreement)


def write_agreement_tables(agreement: StudyAgreement, folder: Path) -> tuple[Path, ...]:
    """Write the tables of an agreement into a folder.

    Returns
    -------
    tuple of Path
        ``grade_agreement.csv``, ``grade_confusion.csv``, ``mask_agreement.csv``, ``reading_times.csv``.

    Raises
    ------
    NotSavedError
        If they cannot be written.
    """
    make_folder(folder)
    tables = {
        GRADE_TABLE: csv_bytes(_GRADE_COLUMNS, _grade_rows(agreement)),
        CONFUSION_TABLE: csv_bytes(_CONFUSION_COLUMNS, _confusion_rows(agreement)),
        MASK_TABLE: csv_bytes(_MASK_COLUMNS, _mask_rows(agreement)),
        TIME_TABLE: csv_bytes(_TIME_COLUMNS, _time_rows(agreement)),
    }
    for name, content in tables.items():
        write_durable(folder / name, content)
    return tuple(folder / name for name in tables)


_PAIR = ("kind", "first_reader", "second_reader", "level")
_KAPPAS = tuple(
    f"kappa_{weights}{part}" for weights in ("quadratic", "linear") for part in ("", "_ci95_low", "_ci95_high")
)
_GRADE_COLUMNS = (*_PAIR, "discs", "patients", "not_assessable", "agreed_percent", *_KAPPAS)
_CONFUSION_COLUMNS = (*_PAIR, "first_grade", *(f"second_grade_{ROMAN_GRADES[grade]}" for grade in ROMAN_GRADES))
_SPREAD = ("mean", "lower_quartile", "median", "upper_quartile")
_MASK_COLUMNS = (
    *(*_PAIR, "discs", "only_one_reader", "level_conflicts"),
    *(f"dice_{part}" for part in _SPREAD),
    *(f"surface_distance_mm_{part}" for part in _SPREAD),
)
_TIME_COLUMNS = ("reader", "task", "cases", *(f"seconds_{part}" for part in _SPREAD))


def _grade_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for kind, found in _by_kind(agreement.grades, agreement.repeated_grades):
        row: list[object] = [kind, found.first, found.second, found.level, found.discs, found.patients]
        row += [found.not_assessable, 100 * found.agreed_share]
        for kappa in (found.kappa_quadratic, found.kappa_linear):
            row += [kappa.value, kappa.low, kappa.high]
        yield row


def _confusion_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for kind, found in _by_kind(agreement.grades, agreement.repeated_grades):
        for grade, counts in zip(ROMAN_GRADES.values(), found.table, strict=True):
            yield [kind, found.first, found.second, found.level, grade, *counts]


def _mask_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for kind, found in _by_kind(agreement.masks, agreement.repeated_masks):
        row: list[object] = [kind, found.first, found.second, found.level, found.dice.count]
        row += [found.only_one, found.conflicts]
        for spread in (found.dice, found.surface_mm):
            row += [spread.mean, spread.lower_quartile, spread.median, spread.upper_quartile]
        yield row


def _time_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for time in agreement.times:
        s = time.seconds
        yield [time.reader, time.task.value, s.count, s.mean, s.lower_quartile, s.median, s.upper_quartile]


def _by_kind(between: Sequence[Agreement], repeated: Sequence[Agreement]) -> Iterable[tuple[str, Agreement]]:
    yield from (("two readers", found) for found in between)
    yield from (("repeated", found) for found in repeated)
