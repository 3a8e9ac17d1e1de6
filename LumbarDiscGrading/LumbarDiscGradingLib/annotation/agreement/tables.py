"""Agreement of a study as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...pfirrmann import ROMAN_GRADES
from ..storage.csv_files import csv_bytes
from ..storage.durable_files import make_folder, write_durable
from .agreement import Compared, Spread, StudyAgreement

_PAIR = ("kind", "first_reader", "second_reader", "level")
_KAPPAS = tuple(
    f"kappa_{weights}{part}" for weights in ("quadratic", "linear") for part in ("", "_ci95_low", "_ci95_high")
)
_GRADE_COLUMNS = (*_PAIR, "discs", "patients", "not_assessable", "agreed_percent", *_KAPPAS)
_CONFUSION_COLUMNS = (*_PAIR, "first_grade", *(f"second_grade_{grade}" for grade in ROMAN_GRADES.values()))
_SPREAD = ("mean", "lower_quartile", "median", "upper_quartile")
_MASK_COLUMNS = (
    *(*_PAIR, "discs", "only_one_reader", "level_conflicts"),
    *(f"dice_{part}" for part in _SPREAD),
    *(f"surface_distance_mm_{part}" for part in _SPREAD),
)
_TIME_COLUMNS = ("reader", "task", "cases", *(f"seconds_{part}" for part in _SPREAD))


def write_agreement_tables(agreement: StudyAgreement, folder: Path) -> tuple[Path, ...]:
    """Write the tables of an agreement into a folder.

    Returns
    -------
    tuple of Path
        ``grade_agreement.csv``, ``grade_confusion.csv``, ``mask_agreement.csv``, ``reading_times.csv``, and
        ``remarks.csv`` where there are any.
    """
    make_folder(folder)
    tables = {
        "grade_agreement.csv": csv_bytes(_GRADE_COLUMNS, _grade_rows(agreement)),
        "grade_confusion.csv": csv_bytes(_CONFUSION_COLUMNS, _confusion_rows(agreement)),
        "mask_agreement.csv": csv_bytes(_MASK_COLUMNS, _mask_rows(agreement)),
        "reading_times.csv": csv_bytes(_TIME_COLUMNS, _time_rows(agreement)),
    }
    if agreement.remarks:
        tables["remarks.csv"] = csv_bytes(("remark",), ([remark] for remark in agreement.remarks))
    for name, content in tables.items():
        write_durable(folder / name, content)
    return tuple(folder / name for name in tables)


def _grade_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for found in (*agreement.grades, *agreement.repeated_grades):
        kappas = (*found.kappa_quadratic.with_ends, *found.kappa_linear.with_ends)
        counts = (found.discs, found.patients, found.not_assessable)
        yield [*_pair(found), *counts, 100 * found.agreed_share, *kappas]


def _confusion_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for found in (*agreement.grades, *agreement.repeated_grades):
        for grade, counts in zip(ROMAN_GRADES.values(), found.table, strict=True):
            yield [*_pair(found), grade, *counts]


def _mask_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for found in (*agreement.masks, *agreement.repeated_masks):
        numbers = (*_numbers(found.dice), *_numbers(found.surface_mm))
        yield [*_pair(found), found.discs, found.only_one, found.conflicts, *numbers]


def _time_rows(agreement: StudyAgreement) -> Iterable[Sequence[object]]:
    for time in agreement.times:
        yield [time.reader, time.task.value, time.seconds.count, *_numbers(time.seconds)]


def _pair(found: Compared) -> list[object]:
    return ["repeated" if found.repeated else "two readers", found.first, found.second, found.level]


def _numbers(spread: Spread) -> tuple[float, ...]:
    return spread.mean, spread.lower_quartile, spread.median, spread.upper_quartile
