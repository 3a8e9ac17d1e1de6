"""How far readers agree with each other and with themselves, in a study and by disc level."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...measures.kappa import DEFAULT_RESAMPLES, Estimate, Weights, confusion_table, kappa_with_interval
from ...pfirrmann import GRADES
from ..errors import BlindedError
from ..log.comparison import Overlap
from ..protocol import READING_ROLE, Role, Task
from ..storage.grade_files import NOT_ASSESSABLE
from ..study.states import SignedReading, StudyStates
from ..study.study import Study

if TYPE_CHECKING:
    from ..work.session import ReaderSession

ALL_LEVELS = "all"
"""Stands for all levels together."""

PassThrough = Callable[[Sequence[Any]], Iterable[Any]]
"""Wraps a sequence and yields it unchanged, showing how far it has got."""


@dataclass(frozen=True)
class GradeAgreement:
    """Agreement of two gradings of the same discs.

    Attributes
    ----------
    first, second : str
        Readers; the same one twice for repeated readings.
    level : str
        Disc level, or `ALL_LEVELS`.
    discs, patients : int
        Compared: discs that both could assess, and their patients.
    not_assessable : int
        Discs that one or both could not assess; they are not compared.
    agreed_share : float
        Share of discs with the same grade, NaN for none.
    kappa_linear, kappa_quadratic : Estimate
    table : tuple of tuple of int
        Grades I to V of the first reader in rows, of the second in columns.
    """

    first: str
    second: str
    level: str
    discs: int
    patients: int
    not_assessable: int
    agreed_share: float
    kappa_linear: Estimate
    kappa_quadratic: Estimate
    table: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Spread:
    """Count, mean and quartiles of measured values; NaN for none."""

    count: int
    mean: float
    lower_quartile: float
    median: float
    upper_quartile: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise values."""
        array = np.fromiter(values, dtype=float)
        if array.size == 0:
            return cls(0, *[float("nan")] * 4)
        return cls(array.size, float(array.mean()), *(float(q) for q in np.quantile(array, (0.25, 0.5, 0.75))))


@dataclass(frozen=True)
class MaskAgreement:
    """Agreement of two masks of the same discs.

    Attributes
    ----------
    first, second, level : str
        As in `GradeAgreement`.
    dice, surface_mm : Spread
        Over the discs; a disc that only one reader drew has Dice 0 and no surface distance.
    only_one : int
        Discs that only one reader drew.
    conflicts : int
        Discs to which the readers gave different levels.
    """

    first: str
    second: str
    level: str
    dice: Spread
    surface_mm: Spread
    only_one: int
    conflicts: int


@dataclass(frozen=True)
class ReadingTime:
    """Seconds that a reader spent on a signed case."""

    reader: str
    task: Task
    seconds: Spread


@dataclass(frozen=True)
class StudyAgreement:
    """All agreement of a study.

    Attributes
    ----------
    study : str
        Name of the study.
    grades, masks : tuple
        Of two readers, before any adjudication; all levels together first.
    repeated_grades, repeated_masks : tuple
        Of a reader with the own first reading.
    times : tuple of ReadingTime
    """

    study: str
    grades: tuple[GradeAgreement, ...]
    repeated_grades: tuple[GradeAgreement, ...]
    masks: tuple[MaskAgreement, ...]
    repeated_masks: tuple[MaskAgreement, ...]
    times: tuple[ReadingTime, ...]


def study_agreement(
    study: Study,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    progress: PassThrough = lambda cases: cases,
) -> StudyAgreement:
    """Work out the agreement of all signed readings of a study, as they were before adjudication.

    Masks are compared as peer review left them.

    Parameters
    ----------
    resamples, seed : int
        Of the bootstrap.
    progress : callable, optional
        Wraps the list of cases.

    Raises
    ------
    StudyError
        If masks must be compared and a file is missing or damaged.
    """
    states = StudyStates(study)
    grades = _GradePairs(study.protocol.levels)
    repeated = _GradePairs(study.protocol.levels)
    masks, repeated_masks = _MaskPairs(), _MaskPairs()
    for case in progress(study.case_ids):
        patient = study.case(case).patient
        for task in study.protocol.tasks:
            readings = states.signed_readings(case, task)
            for a, b in itertools.combinations(readings, 2):
                if task is Task.GRADES:
                    grades.add(a.reader, b.reader, patient, a, b)
                else:
                    masks.add(a.reader, b.reader, states.overlaps(case, a, b))
            for first, second in _repeats(study, case, task):
                if task is Task.GRADES:
                    repeated.add(first.reader, second.reader, patient, first, second)
                else:
                    repeated_masks.add(first.reader, second.reader, states.overlaps(case, first, second))
    return StudyAgreement(
        study.protocol.name,
        tuple(grades.agreements(resamples, seed)),
        tuple(repeated.agreements(resamples, seed)),
        tuple(masks.agreements(study.protocol.levels)),
        tuple(repeated_masks.agreements(study.protocol.levels)),
        _times(study),
    )


def require_agreement_sight(session: ReaderSession) -> None:
    """Make sure that agreement may be shown to a reader: to adjudicators, and to others once they have read everything.

    Before, it would tell a reader how the others grade.

    Raises
    ------
    BlindedError
        If this reader has own readings that are not signed.
    """
    if Role.ADJUDICATOR in session.reader.roles:
        return
    progress = [session.progress(task) for task in session.tasks()]
    left = sum(found.total - found.done for found in progress)
    if left:
        raise BlindedError(
            f"Agreement is shown to {session.reader.id} when all own readings are signed, {left} are left: before, it "
            "would tell how others read."
        )


def _repeats(study: Study, case: str, task: Task) -> Iterator[tuple[SignedReading, SignedReading]]:
    for reader, history in study.histories.items():
        records = [history.reading(case, task, number) for number in (1, 2)]
        if all(record.signed and record.sha256 for record in records):
            first, second = (
                SignedReading(reader, r.sha256 or "", study.reading_path(reader, case, task, n), r.grades)
                for n, r in enumerate(records, start=1)
            )
            yield first, second


def _times(study: Study) -> tuple[ReadingTime, ...]:
    times = []
    for task in study.protocol.tasks:
        for reader in study.protocol.with_role(READING_ROLE[task]):
            readings = study.histories[reader.id].readings
            seconds = [record.seconds for (_, t, _), record in readings.items() if t is task and record.signed]
            times.append(ReadingTime(reader.id, task, Spread.of(seconds)))
    return tuple(times)


class _GradePairs:
    """Collects confusion tables by pair of readers, level and patient."""

    def __init__(self, levels: Sequence[str]) -> None:
        self.levels = levels
        self._codes: dict[tuple[str, str], dict[str, list[tuple[str, int, int]]]] = {}

    def add(self, first: str, second: str, patient: str, a: SignedReading, b: SignedReading) -> None:
        by_level = self._codes.setdefault((first, second), {level: [] for level in self.levels})
        for level in self.levels:
            if level in a.grades and level in b.grades:
                by_level[level].append((patient, a.grades[level], b.grades[level]))

    def agreements(self, resamples: int, seed: int) -> Iterator[GradeAgreement]:
        for (first, second), by_level in self._codes.items():
            together = [entry for level in self.levels for entry in by_level[level]]
            for level, entries in [(ALL_LEVELS, together), *by_level.items()]:
                yield _grade_agreement(first, second, level, entries, resamples, seed)


def _grade_agreement(
    first: str, second: str, level: str, entries: list[tuple[str, int, int]], resamples: int, seed: int
) -> GradeAgreement:
    assessed = [entry for entry in entries if NOT_ASSESSABLE not in entry[1:]]
    tables = _tables_by_patient(assessed)
    table = tables.sum(axis=0)
    return GradeAgreement(
        first,
        second,
        level,
        len(assessed),
        len(tables),
        len(entries) - len(assessed),
        float(np.trace(table) / len(assessed)) if assessed else float("nan"),
        kappa_with_interval(tables, Weights.LINEAR, resamples, seed),
        kappa_with_interval(tables, Weights.QUADRATIC, resamples, seed),
        tuple(tuple(int(count) for count in row) for row in table),
    )


def _tables_by_patient(entries: list[tuple[str, int, int]]) -> NDArray[np.int64]:
    by_patient: dict[str, list[tuple[int, int]]] = {}
    for patient, a, b in entries:
        by_patient.setdefault(patient, []).append((a - 1, b - 1))
    tables = [
        confusion_table([a for a, _ in pairs], [b for _, b in pairs], len(GRADES)) for pairs in by_patient.values()
    ]
    return np.array(tables, dtype=np.int64).reshape(len(tables), len(GRADES), len(GRADES))


class _MaskPairs:
    """Collects overlaps by pair of readers and level."""

    def __init__(self) -> None:
        self._overlaps: dict[tuple[str, str], dict[str, list[Overlap]]] = {}

    def add(self, first: str, second: str, overlaps: dict[str, Overlap]) -> None:
        by_level = self._overlaps.setdefault((first, second), {})
        for level, overlap in overlaps.items():
            by_level.setdefault(level, []).append(overlap)

    def agreements(self, levels: Sequence[str]) -> Iterator[MaskAgreement]:
        for (first, second), by_level in self._overlaps.items():
            read = {level: by_level.get(level, []) for level in levels}
            together = [overlap for overlaps in read.values() for overlap in overlaps]
            for level, overlaps in [(ALL_LEVELS, together), *read.items()]:
                yield MaskAgreement(
                    first,
                    second,
                    level,
                    Spread.of(overlap.dice for overlap in overlaps),
                    Spread.of(o.surface_mm for o in overlaps if o.surface_mm is not None),
                    sum(overlap.surface_mm is None for overlap in overlaps),
                    sum(overlap.conflict is not None for overlap in overlaps),
                )
