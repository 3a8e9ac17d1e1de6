"""What scores amount to: every figure of the report, with its 95 % interval by patient, for each source and part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import GRADES, GROUPS, LUMBAR_LEVELS
from . import evaluation_statistics as statistics
from .evaluation import DiscScore
from .evaluation_statistics import Average, Statistic

BOOTSTRAP_ROUNDS = 2000
CONFIDENCE = 0.95
ALL_SOURCES = "all sources"
ALL_DISCS = ""
"""Part of the discs that a figure is about: all of them."""
LUMBAR = (*LUMBAR_LEVELS, "L5-L6", "L6-S1")
"""Levels that count; thoracic discs at the edge of the picture do not."""
CONFIDENT, UNCERTAIN = "confident", "uncertain"

PAPER_FIGURES = {
    "median disc Dice": 0.920,
    "median disc IoU": 0.853,
    "AUC mild-moderate": 0.89,
    "AUC mild-serious": 0.95,
    "AUC moderate-serious": 0.90,
}
PAPER_QUARTILES = {"median disc Dice": (0.796, 0.935), "median disc IoU": (0.661, 0.877)}
PAPER_TABLE_2 = {"ACC": 0.913, "SEN": 0.916, "SPE": 0.912, "F1": 0.759}
"""What the study reports on its own 94 test discs, split at random by disc."""

ONE_CLASS_FIGURES = {
    "ACC": statistics.rest_accuracy,
    "SEN": statistics.sensitivity,
    "SPE": statistics.specificity,
    "F1": statistics.f1_score,
}


@dataclass(frozen=True)
class Measure:
    """A figure that can be worked out from scores.

    Attributes
    ----------
    name : str
    counts : callable
        Whether a disc counts.
    statistic : callable
        From the discs that count to the `Statistic` of them.
    lower_is_better : bool
    headline : bool
        Whether it decides over a model; these go into the model's card, too.
    one_per_patient : bool
        Whether all discs of a patient share one value, of which one counts.
    """

    name: str
    counts: Callable[[DiscScore], bool]
    statistic: Callable[[Sequence[DiscScore]], Statistic]
    lower_is_better: bool = False
    headline: bool = False
    one_per_patient: bool = False


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
        numbers = {
            key: round(value, 5) if np.isfinite(value) else None
            for key, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }
        keys = {"source": self.source, "part": self.part, "name": self.name}
        return {**keys, **numbers, "patients": self.patients, "discs": self.discs}


def _groups(scores: Sequence[DiscScore]) -> tuple[list[int], list[int]]:
    pairs = [pair for pair in (score.group_pair for score in scores) if pair is not None]
    return [reference for reference, _ in pairs], [predicted for _, predicted in pairs]


def _probabilities(scores: Sequence[DiscScore]) -> NDArray[np.float64]:
    return np.array([score.group_probabilities for score in scores]).reshape(-1, len(GROUPS))


def _top(scores: Sequence[DiscScore]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    reference, predicted = _groups(scores)
    return np.equal(reference, predicted), _probabilities(scores).max(axis=1)


def _of_groups(function: Callable[..., NDArray]) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.of_table(*_groups(scores), len(GROUPS), function)


def _of_grades(function: Callable[..., NDArray]) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.of_table(
        [(score.grade or 1) - 1 for score in scores],
        [(score.predicted_grade or 1) - 1 for score in scores],
        len(GRADES),
        function,
    )


def _quantile_of(field: str, q: float = 0.5) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.quantile([getattr(score, field) for score in scores], q)


def _mean_of(field: str) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.mean([getattr(score, field) for score in scores])


def _share_of(condition: Callable[[DiscScore], bool]) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.mean([condition(score) for score in scores])


def _has_mask(score: DiscScore) -> bool:
    return score.dice is not None and (score.level in LUMBAR or not score.level)


def _has_contours(score: DiscScore) -> bool:
    return _has_mask(score) and score.surface_mm is not None and score.surface_95_mm is not None


def _named_by_mask(score: DiscScore) -> bool:
    return score.dice is not None and score.level in LUMBAR


def _named_by_grade(score: DiscScore) -> bool:
    return score.dice is None and score.level in LUMBAR


def _graded(score: DiscScore) -> bool:
    return score.level in LUMBAR and score.group_pair is not None


def _pairwise(first: int, second: int) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.pairwise_auc(_groups(scores)[0], _probabilities(scores), first, second)


def table_2_name(figure: str, average: Average) -> str:
    """Return the name of a figure of Table 2 in one of its readings."""
    return f"{figure} ({average.value})"


def auc_name(first: int, second: int) -> str:
    """Return the name of a pairwise AUC."""
    return f"AUC {GROUPS[first].value}-{GROUPS[second].value}"


SEGMENTATION_MEASURES = (
    Measure("median disc Dice", _has_mask, _quantile_of("dice"), headline=True),
    Measure("median disc IoU", _has_mask, _quantile_of("iou"), headline=True),
    Measure("mean disc Dice", _has_mask, _mean_of("dice"), headline=True),
    Measure("mean disc IoU", _has_mask, _mean_of("iou")),
    Measure("lower quartile of disc Dice", _has_mask, _quantile_of("dice", 0.25)),
    Measure("upper quartile of disc Dice", _has_mask, _quantile_of("dice", 0.75)),
    Measure("lower quartile of disc IoU", _has_mask, _quantile_of("iou", 0.25)),
    Measure("upper quartile of disc IoU", _has_mask, _quantile_of("iou", 0.75)),
    Measure("surface distance of discs found, mean in mm", _has_contours, _mean_of("surface_mm"), True, True),
    Measure("95 % surface distance of discs found, mean in mm", _has_contours, _mean_of("surface_95_mm"), True, True),
    Measure("discs found under any name", _has_mask, _share_of(lambda score: bool(score.named_level))),
    Measure(
        "lumbar discs found and rightly named",
        _named_by_mask,
        _share_of(lambda score: score.named_level == score.level),
        headline=True,
    ),
    Measure("graded discs found", _named_by_grade, _share_of(lambda score: bool(score.named_level)), headline=True),
    Measure(
        "slice found: median distance from the mid-sagittal one in mm",
        lambda score: score.slice_error_mm is not None,
        _quantile_of("slice_error_mm"),
        lower_is_better=True,
        headline=True,
        one_per_patient=True,
    ),
    Measure(
        "slice found: largest distance from the mid-sagittal one in mm",
        lambda score: score.slice_error_mm is not None,
        _quantile_of("slice_error_mm", 1.0),
        lower_is_better=True,
        one_per_patient=True,
    ),
)

GRADING_MEASURES = (
    Measure("quadratic kappa of the groups", _graded, _of_groups(statistics.quadratic_kappa), headline=True),
    Measure("linear kappa of the groups", _graded, _of_groups(statistics.linear_kappa)),
    Measure("quadratic kappa of the grades", _graded, _of_grades(statistics.quadratic_kappa), headline=True),
    Measure("linear kappa of the grades", _graded, _of_grades(statistics.linear_kappa)),
    Measure("accuracy of the groups", _graded, _of_groups(statistics.accuracy), headline=True),
    Measure("balanced accuracy of the groups", _graded, _of_groups(statistics.balanced_accuracy), headline=True),
    Measure("accuracy of the grades", _graded, _of_grades(statistics.accuracy)),
    *(
        Measure(auc_name(*pair), _graded, _pairwise(*pair), headline=True)
        for pair in combinations(range(len(GROUPS)), 2)
    ),
    *(
        Measure(table_2_name(name, average), _graded, _of_groups(statistics.averaged(figure, average)))
        for name, figure in ONE_CLASS_FIGURES.items()
        for average in Average
    ),
    Measure(
        "expected calibration error of the groups",
        _graded,
        lambda scores: statistics.calibration_error(*_top(scores)),
        lower_is_better=True,
        headline=True,
    ),
    Measure(
        "Brier score of the groups",
        _graded,
        lambda scores: statistics.brier_score(_groups(scores)[0], _probabilities(scores)),
        lower_is_better=True,
        headline=True,
    ),
    Measure(
        "share of discs graded with confidence",
        lambda score: _graded(score) and score.confident is not None,
        _share_of(lambda score: bool(score.confident)),
    ),
)
MEASURES = (*SEGMENTATION_MEASURES, *GRADING_MEASURES)
LOWER_IS_BETTER = frozenset(measure.name for measure in MEASURES if measure.lower_is_better)

_OF_A_LEVEL = (
    "median disc Dice",
    "median disc IoU",
    "surface distance of discs found, mean in mm",
    "95 % surface distance of discs found, mean in mm",
    "lumbar discs found and rightly named",
    "graded discs found",
    "quadratic kappa of the groups",
    "accuracy of the groups",
    "balanced accuracy of the groups",
    "expected calibration error of the groups",
)
_OF_A_GROUP = ("median disc Dice", "lumbar discs found and rightly named", "graded discs found")
_OF_CONFIDENCE = ("accuracy of the groups", "balanced accuracy of the groups", "quadratic kappa of the groups")


def _group_measures(index: int) -> list[Measure]:
    return [
        Measure(name, _graded, _of_groups(statistics.of_class(figure, index)))
        for name, figure in ONE_CLASS_FIGURES.items()
    ]


def _measures_of_parts() -> Iterator[tuple[str, Callable[[DiscScore], bool], Sequence[Measure]]]:
    """Yield each part of the discs, whether a disc belongs to it, and what is measured there."""
    by_name = {measure.name: measure for measure in MEASURES}
    yield ALL_DISCS, lambda score: True, MEASURES
    for level in LUMBAR:
        yield level, lambda score, level=level: score.level == level, [by_name[name] for name in _OF_A_LEVEL]
    for index, group in enumerate(GROUPS):
        # one group against the rest is about all discs, the others about the discs of the group
        yield group.value, lambda score: True, _group_measures(index)
        yield (
            group.value,
            lambda score, group=group: score.grade in group.grades,
            [by_name[name] for name in _OF_A_GROUP],
        )
    for part, wanted in ((CONFIDENT, True), (UNCERTAIN, False)):
        chosen = [by_name[name] for name in _OF_CONFIDENCE]
        yield part, lambda score, wanted=wanted: score.confident is wanted, chosen


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
    def of(cls, patients: Sequence[tuple[str, str]], seed: int = 0, rounds: int = BOOTSTRAP_ROUNDS) -> Drawn:
        """Draw patients with replacement, those of each source among themselves; none where there is only one."""
        ordered = sorted(set(patients))
        times = np.zeros((rounds if len(ordered) > 1 else 0, len(ordered)))
        random = np.random.default_rng(seed)
        for source in sorted({source for source, _ in ordered}):
            own = [column for column, patient in enumerate(ordered) if patient[0] == source]
            times[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=len(times))
        return cls({patient: column for column, patient in enumerate(ordered)}, times)

    def weights(self, scores: Sequence[DiscScore]) -> NDArray[np.float64]:
        """Return how often each disc counts, shape (rounds, discs)."""
        return self.times[:, [self.patients[score.source, score.patient] for score in scores]]


def sources_of(scores: Sequence[DiscScore]) -> dict[str, list[DiscScore]]:
    """Return the scores of each source, and of all together where there are several."""
    names = sorted({score.source for score in scores})
    by_source = {name: [score for score in scores if score.source == name] for name in names}
    return by_source if len(names) < 2 else {**by_source, ALL_SOURCES: list(scores)}


def chosen_scores(
    measure: Measure, scores: Sequence[DiscScore], belongs: Callable[[DiscScore], bool]
) -> list[DiscScore]:
    """Return the scores that count for a measure on a part of the discs."""
    chosen = [score for score in scores if belongs(score) and measure.counts(score)]
    if measure.one_per_patient:
        chosen = list({(score.source, score.patient): score for score in chosen}.values())
    return chosen


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of bootstrapped values; NaN where there are none."""
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def measured_parts(
    scores: Sequence[DiscScore],
) -> Iterator[tuple[str, Measure, Callable[[DiscScore], bool]]]:
    """Yield each part with each measure that has something to count there, and whether a disc belongs to the part."""
    for part, belongs, measures in _measures_of_parts():
        for measure in measures:
            if any(belongs(score) and measure.counts(score) for score in scores):
                yield part, measure, belongs


def figures_of(scores: Sequence[DiscScore], seed: int = 0) -> list[Figure]:
    """Return all figures of all sources and parts, each with its 95 % bootstrap interval by patient."""
    figures = []
    for source, own in sources_of(scores).items():
        drawn = Drawn.of([(score.source, score.patient) for score in own], seed)
        for part, measure, belongs in measured_parts(own):
            figures.append(_figure(source, part, measure, chosen_scores(measure, own, belongs), drawn))
    return figures


def _figure(source: str, part: str, measure: Measure, scores: Sequence[DiscScore], drawn: Drawn) -> Figure:
    statistic = measure.statistic(scores)
    value = float(statistic(np.ones((1, len(scores))))[0])
    low, high = interval(statistic(drawn.weights(scores)))
    patients = len({(score.source, score.patient) for score in scores})
    return Figure(source, part, measure.name, value, low, high, patients, len(scores))


def metrics_of(scores: Sequence[DiscScore], data: str, seed: int = 0) -> list[dict[str, Any]]:
    """Return the headline figures of one data set as a model's manifest takes them.

    Parameters
    ----------
    scores : sequence of DiscScore
    data : str
        What they were measured on, for the card.
    seed : int

    Returns
    -------
    list of dict
        ``name``, ``value``, ``interval``, ``n`` (discs), ``data``.
    """
    drawn = Drawn.of([(score.source, score.patient) for score in scores], seed)
    entries = []
    for measure in MEASURES:
        chosen = chosen_scores(measure, scores, lambda score: True)
        if not measure.headline or not chosen:
            continue
        figure = _figure(data, ALL_DISCS, measure, chosen, drawn)
        if np.isfinite(figure.value):
            known = np.isfinite([figure.low, figure.high]).all()
            between = [round(figure.low, 4), round(figure.high, 4)] if known else None
            entries.append(
                {
                    "name": figure.name,
                    "value": round(figure.value, 4),
                    "interval": between,
                    "n": figure.discs,
                    "data": data,
                }
            )
    return entries


def confusion(scores: Sequence[DiscScore], of_grades: bool = False) -> NDArray[np.int64]:
    """Count reference (rows) against prediction (columns) of lumbar discs: three groups, or five grades."""
    classes = len(GRADES) if of_grades else len(GROUPS)
    table = np.zeros((classes, classes), dtype=np.int64)
    for score in scores:
        pair = score.group_pair
        if pair is not None and _graded(score) and score.grade is not None and score.predicted_grade is not None:
            table[(score.grade - 1, score.predicted_grade - 1) if of_grades else pair] += 1
    return table


def graded_scores(scores: Sequence[DiscScore]) -> list[DiscScore]:
    """Return the lumbar discs that have a reference grade and were graded."""
    return [score for score in scores if _graded(score)]
