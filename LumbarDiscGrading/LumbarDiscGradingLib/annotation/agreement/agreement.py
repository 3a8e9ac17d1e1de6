"""How far readers agree with each other and with themselves, in a study and by disc level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...measures.kappa import DEFAULT_RESAMPLES, Estimate, Weights, confusion_table, kappa_with_interval
from ...pfirrmann import GRADES
from ...progress import ListProgress, unwatched
from ..disc_grading import NOT_ASSESSABLE
from ..errors import BlindedError
from ..log.comparison import Overlap
from ..protocol import READING_ROLE, Role, Task
from ..study.selection import selection_of
from ..study.states import SignedReading, StudyStates
from ..study.study import Study

if TYPE_CHECKING:
    from ..work.session import ReaderSession

ALL_LEVELS = "all"
"""Stands for all levels together."""
COLOR = (0, 114, 178)
"""In which agreement is drawn, RGB, 0-255: blue of the palette of Okabe and Ito, which no degeneration group has."""
LONG_SECONDS = 120.0
"""A duration from this on is told in minutes."""

Entry = TypeVar("Entry")
GradePair = tuple[str, int, int]
"""Patient, and the codes that two readings give to a disc."""


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

    @property
    def interval(self) -> tuple[float, float, float]:
        """Median and both quartiles."""
        return self.median, self.lower_quartile, self.upper_quartile


@dataclass(frozen=True)
class Compared:
    """Two readings of the same discs.

    Attributes
    ----------
    first, second : str
        Readers; the same one twice for repeated readings.
    level : str
        Disc level, or `ALL_LEVELS`.
    """

    MEASURE: ClassVar[str]
    """What `interval` is, in words."""

    first: str
    second: str
    level: str

    @property
    def repeated(self) -> bool:
        """Whether a reader is compared with the own first reading."""
        return self.first == self.second


@dataclass(frozen=True)
class GradeAgreement(Compared):
    """Agreement of two gradings of the same discs.

    Attributes
    ----------
    discs, patients : int
        Compared: discs that both could assess, and their patients.
    not_assessable : int
        Discs that one or both could not assess; they are not compared.
    agreed_share : float
        Share of discs with the same grade, NaN for none.
    table : tuple of tuple of int
        Grades I to V of the first reader in rows, of the second in columns.
    """

    MEASURE = "Quadratic weighted kappa, 95% interval"

    discs: int
    patients: int
    not_assessable: int
    agreed_share: float
    kappa_linear: Estimate
    kappa_quadratic: Estimate
    table: tuple[tuple[int, ...], ...]

    @property
    def interval(self) -> tuple[float, float, float]:
        """Quadratic weighted kappa and both ends of its interval; NaN where they are not defined."""
        return self.kappa_quadratic.with_ends


@dataclass(frozen=True)
class MaskAgreement(Compared):
    """Agreement of two masks of the same discs.

    Attributes
    ----------
    dice, surface_mm : Spread
        Over the discs; a disc that only one reader drew has Dice 0 and no surface distance.
    only_one : int
        Discs that only one reader drew.
    conflicts : int
        Discs to which the readers gave different levels.
    """

    MEASURE = "Dice, median and quartiles"

    dice: Spread
    surface_mm: Spread
    only_one: int
    conflicts: int

    @property
    def discs(self) -> int:
        """Discs that were compared."""
        return self.dice.count

    @property
    def interval(self) -> tuple[float, float, float]:
        """Median of Dice and both quartiles; NaN for no disc."""
        return self.dice.interval


Pair = Sequence[GradeAgreement | MaskAgreement]
"""Agreement of two readers, or of a reader with the own repeat: all levels together, then each level."""


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
    remarks : tuple of str
        How the cases were chosen from a cohort, and what that means for these figures; empty for other studies.
    """

    study: str
    grades: tuple[GradeAgreement, ...]
    repeated_grades: tuple[GradeAgreement, ...]
    masks: tuple[MaskAgreement, ...]
    repeated_masks: tuple[MaskAgreement, ...]
    times: tuple[ReadingTime, ...]
    remarks: tuple[str, ...] = ()

    def pairs(self) -> list[Pair]:
        """Return the pairs of readings of which anything was compared: grades, masks, then repeats."""
        pairs: list[list] = []
        for found in itertools.chain(self.grades, self.masks, self.repeated_grades, self.repeated_masks):
            if found.level == ALL_LEVELS:
                pairs.append([])
            pairs[-1].append(found)
        return [pair for pair in pairs if pair[0].discs]

    def known_times(self) -> list[ReadingTime]:
        """Return the times of readers who have signed a case."""
        return [time for time in self.times if time.seconds.count]


def interval_text(interval: tuple[float, float, float], digits: int = 2, undefined: str = "-") -> str:
    """Return a value with its interval as text, such as ``0.81 (0.74, 0.88)``, the value alone if that is not known."""
    if not math.isfinite(interval[0]):
        return undefined
    value, low, high = (f"{number:.{digits}f}" for number in interval)
    return f"{value} ({low}, {high})" if math.isfinite(interval[1]) else value


def duration_text(seconds: float) -> str:
    """Return a duration as text, in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < LONG_SECONDS else f"{seconds / 60:.1f} min"


def axis_start(pair: Pair) -> float:
    """Return where an axis begins on which the intervals of a pair are drawn up to 1: at 0, or at a fifth below it."""
    numbers = [number for found in pair for number in found.interval if math.isfinite(number)]
    return math.floor(5 * min([0.0, *numbers])) / 5


def study_agreement(
    study: Study, resamples: int = DEFAULT_RESAMPLES, seed: int = 0, progress: ListProgress = unwatched
) -> StudyAgreement:
    """Work out the agreement of all signed readings of a study, as they were before adjudication.

    Masks are compared as peer review left them.

    Parameters
    ----------
    resamples, seed : int
        Of the bootstrap.
    progress : callable, optional
        Wraps the list of cases.
    """
    states = StudyStates(study)
    grades, repeated_grades = _Pairs[GradePair](), _Pairs[GradePair]()
    masks, repeated_masks = _Pairs[Overlap](), _Pairs[Overlap]()
    for case in progress(study.case_ids):
        patient = study.case(case).patient
        for task in study.protocol.tasks:
            between = itertools.combinations(states.signed_readings(case, task), 2)
            if task is Task.GRADES:
                for a, b in between:
                    grades.add(a, b, _graded_by_both(patient, a, b))
                for a, b in _repeats(study, case, task):
                    repeated_grades.add(a, b, _graded_by_both(patient, a, b))
            else:
                for a, b in between:
                    masks.add(a, b, states.overlaps(case, a, b))
                for a, b in _repeats(study, case, task):
                    repeated_masks.add(a, b, states.overlaps(case, a, b))
    levels = study.protocol.levels
    selection = selection_of(study.folder)

    def of_grades(pairs: _Pairs[GradePair]) -> tuple[GradeAgreement, ...]:
        return tuple(_grade_agreement(*found, resamples, seed) for found in pairs.by_level(levels))

    def of_masks(pairs: _Pairs[Overlap]) -> tuple[MaskAgreement, ...]:
        return tuple(_mask_agreement(*found) for found in pairs.by_level(levels))

    return StudyAgreement(
        study.protocol.name,
        of_grades(grades),
        of_grades(repeated_grades),
        of_masks(masks),
        of_masks(repeated_masks),
        _times(study),
        selection.sentences() if selection else (),
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


class _Pairs(Generic[Entry]):
    """Collects what was compared disc by disc, by pair of readers and level."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[str, list[Entry]]] = {}

    def add(self, first: SignedReading, second: SignedReading, discs: Mapping[str, Entry]) -> None:
        by_level = self._found.setdefault((first.reader, second.reader), {})
        for level, entry in discs.items():
            by_level.setdefault(level, []).append(entry)

    def by_level(self, levels: Sequence[str]) -> Iterator[tuple[str, str, str, list[Entry]]]:
        """Yield both readers, level and entries; all levels together first."""
        for (first, second), by_level in self._found.items():
            read = {level: by_level.get(level, []) for level in levels}
            together = [entry for entries in read.values() for entry in entries]
            for level, entries in [(ALL_LEVELS, together), *read.items()]:
                yield first, second, level, entries


def _graded_by_both(patient: str, a: SignedReading, b: SignedReading) -> dict[str, GradePair]:
    return {level: (patient, grade, b.grades[level]) for level, grade in a.grades.items() if level in b.grades}


def _grade_agreement(
    first: str, second: str, level: str, entries: list[GradePair], resamples: int, seed: int
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


def _tables_by_patient(entries: list[GradePair]) -> NDArray[np.int64]:
    by_patient: dict[str, list[tuple[int, int]]] = {}
    for patient, a, b in entries:
        by_patient.setdefault(patient, []).append((a - 1, b - 1))
    tables = [
        confusion_table([a for a, _ in pairs], [b for _, b in pairs], len(GRADES)) for pairs in by_patient.values()
    ]
    return np.array(tables, dtype=np.int64).reshape(len(tables), len(GRADES), len(GRADES))


def _mask_agreement(first: str, second: str, level: str, overlaps: list[Overlap]) -> MaskAgreement:
    return MaskAgreement(
        first,
        second,
        level,
        Spread.of(overlap.dice for overlap in overlaps),
        Spread.of(o.surface_mm for o in overlaps if o.surface_mm is not None),
        sum(overlap.surface_mm is None for overlap in overlaps),
        sum(overlap.conflict is not None for overlap in overlaps),
    )
