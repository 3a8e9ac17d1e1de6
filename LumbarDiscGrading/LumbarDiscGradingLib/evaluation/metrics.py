"""What scores amount to: every figure of the report, with its 95 % interval by patient, for each source and part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset.labelled import person_count, person_of
from ..measures.bootstrap import interval
from ..pfirrmann import GRADES, GROUPS
from .measures import ALL_DISCS, CARD_FIGURES, Measure, chosen_scores, graded_scores, measured_parts
from .scores import DiscScore

BOOTSTRAP_ROUNDS = 2000
ALL_SOURCES = "all sources"


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    Attributes
    ----------
    source : str
        Data set, or `ALL_SOURCES`.
    part : str
        Part of the discs: a level, a group, `CONFIDENT`, `UNCERTAIN` or `ALL_DISCS`.
    name : str
    value : float
        NaN where it is not defined.
    low, high : float
        95 % bootstrap interval by patient; NaN with fewer than two patients.
    patients, discs : int
        How many it is about.
    """

    source: str
    part: str
    name: str
    value: float
    low: float
    high: float
    patients: int
    discs: int

    def row(self) -> dict[str, Any]:
        """Return the figure as JSON-ready data; what is not defined is None."""
        return {field: json_ready(value) for field, value in asdict(self).items()}


def json_ready(value: Any) -> Any:
    """Return a number to five digits, None where it is not finite; anything else as it is."""
    if not isinstance(value, float):
        return value
    return round(value, 5) if np.isfinite(value) else None


@dataclass(frozen=True)
class Drawn:
    """How often each patient is drawn in each round of a bootstrap.

    Attributes
    ----------
    patients : dict
        Column of `times` of each patient, by source and pseudonym.
    times : ndarray, shape (rounds, patients)
    """

    patients: dict[tuple[str, str], int]
    times: NDArray[np.float64]

    @classmethod
    def of(cls, patients: Sequence[tuple[str, str]]) -> Drawn:
        """Draw patients with replacement, those of each source among themselves; none where there is only one."""
        ordered = sorted(set(patients))
        times = np.zeros((BOOTSTRAP_ROUNDS if len(ordered) > 1 else 0, len(ordered)))
        random = np.random.default_rng(0)
        for source in sorted({source for source, _ in ordered}):
            own = [column for column, patient in enumerate(ordered) if patient[0] == source]
            times[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=len(times))
        return cls({patient: column for column, patient in enumerate(ordered)}, times)

    def weights(self, scores: Sequence[DiscScore]) -> NDArray[np.float64]:
        """Return how often each disc counts, shape (rounds, discs)."""
        return self.times[:, [self.patients[person_of(score)] for score in scores]]


def sources_of(scores: Sequence[DiscScore]) -> dict[str, list[DiscScore]]:
    """Return the scores of each source, and of all together where there are several."""
    names = sorted({score.source for score in scores})
    by_source = {name: [score for score in scores if score.source == name] for name in names}
    return by_source if len(names) < 2 else {**by_source, ALL_SOURCES: list(scores)}


def figures_of(scores: Sequence[DiscScore]) -> list[Figure]:
    """Return all figures of all sources and parts, each with its 95 % bootstrap interval by patient."""
    figures = []
    for source, own in sources_of(scores).items():
        drawn = Drawn.of([person_of(score) for score in own])
        for part, measure, belongs in measured_parts(own):
            figures.append(_figure(source, part, measure, chosen_scores(measure, own, belongs), drawn))
    return figures


def _figure(source: str, part: str, measure: Measure, scores: Sequence[DiscScore], drawn: Drawn) -> Figure:
    statistic = measure.statistic(scores)
    value = float(statistic(np.ones((1, len(scores))))[0])
    low, high = interval(statistic(drawn.weights(scores))) if measure.resampled else (np.nan, np.nan)
    patients = person_count(scores)
    return Figure(source, part, measure.name, value, low, high, patients, len(scores))


def metrics_of(figures: Iterable[Figure], data: str) -> list[dict[str, Any]]:
    """Return the headline figures of one source as a model's manifest takes them.

    Parameters
    ----------
    figures : iterable of Figure
        From `figures_of`.
    data : str
        What they were measured on.
    """
    return [
        {
            "name": figure.name,
            "value": round(figure.value, 4),
            "interval": [round(figure.low, 4), round(figure.high, 4)] if np.isfinite(figure.low) else None,
            "n": figure.discs,
            "data": data,
        }
        for figure in figures
        if figure.part == ALL_DISCS and figure.name in CARD_FIGURES and np.isfinite(figure.value)
    ]


def confusion(scores: Sequence[DiscScore], of_grades: bool = False) -> NDArray[np.int64]:
    """Count reference (rows) against prediction (columns) of lumbar discs: three groups, or five grades."""
    classes = len(GRADES) if of_grades else len(GROUPS)
    table = np.zeros((classes, classes), dtype=np.int64)
    for score in graded_scores(scores):
        if score.group_pair is not None and score.grade is not None and score.predicted_grade is not None:
            table[(score.grade - 1, score.predicted_grade - 1) if of_grades else score.group_pair] += 1
    return table
