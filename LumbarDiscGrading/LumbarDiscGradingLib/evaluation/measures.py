"""The figures that an evaluation can work out, which discs count for each, and the study's own values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..measures import classification as statistics
from ..measures.classification import Average, Statistic
from ..pfirrmann import GRADES, GROUPS, LUMBAR_LEVELS, Group
from .contour_sides import SIDES
from .scores import DiscScore

ALL_DISCS = ""
"""Part of the discs that a figure is about: all of them."""
LUMBAR = (*LUMBAR_LEVELS, "L5-L6", "L6-S1")
"""Levels that count; thoracic discs at the edge of the picture do not."""
SET_COVERAGE = "prediction sets that hold the reference grade"
SET_SIZE = "grades in a prediction set, mean"
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
        Whether it goes into the model's card.
    one_per_patient : bool
        Whether all discs of a patient share one value, of which one counts.
    resampled : bool
        Whether it has a bootstrap interval. The calibration error has none: drawing discs again adds to it, so that the
        interval would lie too high (`measures.classification.calibration_error_by_chance` says what is large).
    """

    name: str
    counts: Callable[[DiscScore], bool]
    statistic: Callable[[Sequence[DiscScore]], Statistic]
    lower_is_better: bool = False
    headline: bool = False
    one_per_patient: bool = False
    resampled: bool = True


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


def _has_side(side: str) -> Callable[[DiscScore], bool]:
    return lambda score: _has_mask(score) and getattr(score, f"{side}_mm") is not None


def _located(score: DiscScore) -> bool:
    return score.located and score.level in LUMBAR


def _named_by_grade(score: DiscScore) -> bool:
    return not score.located and score.level in LUMBAR


def _naming_known(score: DiscScore) -> bool:
    return score.all_named is not None


def _graded(score: DiscScore) -> bool:
    return score.level in LUMBAR and score.group_pair is not None


def _has_set(score: DiscScore) -> bool:
    return _graded(score) and bool(score.pfirrmann_set)


def _pairwise(first: int, second: int) -> Callable[[Sequence[DiscScore]], Statistic]:
    return lambda scores: statistics.pairwise_auc(_groups(scores)[0], _probabilities(scores), first, second)


def table_2_name(figure: str, average: Average) -> str:
    """Return the name of a figure of Table 2 in one of its readings."""
    return f"{figure} ({average.value})"


def auc_name(first: int, second: int) -> str:
    """Return the name of a pairwise AUC."""
    return f"AUC {GROUPS[first].value}-{GROUPS[second].value}"


def outward_name(side: str) -> str:
    """Return the name of how far contours lie outside the reference's on one of the `SIDES`."""
    return f"contour outside the reference, {side}, mean in mm"


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
    *(
        Measure(outward_name(side), _has_side(side), _mean_of(f"{side}_mm"), headline=side in ("above", "below"))
        for side in SIDES
    ),
    Measure("discs found under any name", _has_mask, _share_of(lambda score: bool(score.named_level))),
    Measure(
        "lumbar discs found and rightly named",
        _located,
        _share_of(lambda score: score.named_level == score.level),
        headline=True,
    ),
    Measure(
        "patients with all lumbar discs found and rightly named",
        _naming_known,
        _share_of(lambda score: bool(score.all_named)),
        headline=True,
        one_per_patient=True,
    ),
    Measure(
        "patients with a lumbar disc not found or wrongly named, and no word of it",
        _naming_known,
        _share_of(lambda score: not score.all_named and not score.levels_doubted),
        lower_is_better=True,
        headline=True,
        one_per_patient=True,
    ),
    Measure(
        "patients rightly named whose names are questioned",
        lambda score: bool(score.all_named),
        _share_of(lambda score: bool(score.levels_doubted)),
        lower_is_better=True,
        one_per_patient=True,
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
    Measure("linear kappa of the groups", _graded, _of_groups(statistics.linear_kappa), headline=True),
    Measure("unweighted kappa of the groups", _graded, _of_groups(statistics.unweighted_kappa), headline=True),
    Measure("quadratic kappa of the grades", _graded, _of_grades(statistics.quadratic_kappa), headline=True),
    Measure("linear kappa of the grades", _graded, _of_grades(statistics.linear_kappa), headline=True),
    Measure("unweighted kappa of the grades", _graded, _of_grades(statistics.unweighted_kappa), headline=True),
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
        resampled=False,
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
    Measure(SET_COVERAGE, _has_set, _share_of(lambda score: score.grade in score.set_grades), headline=True),
    Measure(
        SET_SIZE,
        _has_set,
        lambda scores: statistics.mean([len(score.set_grades) for score in scores]),
        lower_is_better=True,
        headline=True,
    ),
)
MEASURES = (*SEGMENTATION_MEASURES, *GRADING_MEASURES)
CARD_FIGURES = frozenset(measure.name for measure in MEASURES if measure.headline)
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
_OF_A_GROUP = ("median disc Dice", "lumbar discs found and rightly named", "graded discs found", SET_COVERAGE)
_OF_CONFIDENCE = ("accuracy of the groups", "balanced accuracy of the groups", "quadratic kappa of the groups")


def _group_measures(index: int) -> list[Measure]:
    return [
        Measure(name, _graded, _of_groups(statistics.of_class(figure, index)))
        for name, figure in ONE_CLASS_FIGURES.items()
    ]


def _is_of_level(level: str) -> Callable[[DiscScore], bool]:
    return lambda score: score.level == level


def _is_of_group(group: Group) -> Callable[[DiscScore], bool]:
    return lambda score: score.grade in group.grades


def _is_confident(wanted: bool) -> Callable[[DiscScore], bool]:
    return lambda score: score.confident is wanted


def _measures_of_parts() -> Iterator[tuple[str, Callable[[DiscScore], bool], Sequence[Measure]]]:
    """Yield each part of the discs, whether a disc belongs to it, and what is measured there."""
    by_name = {measure.name: measure for measure in MEASURES}
    yield ALL_DISCS, lambda score: True, MEASURES
    for level in LUMBAR:
        yield level, _is_of_level(level), [by_name[name] for name in _OF_A_LEVEL]
    for index, group in enumerate(GROUPS):
        # one group against the rest is about all discs, the others about the discs of the group
        yield group.value, lambda score: True, _group_measures(index)
        yield (
            group.value,
            _is_of_group(group),
            [by_name[name] for name in _OF_A_GROUP],
        )
    for part, wanted in ((CONFIDENT, True), (UNCERTAIN, False)):
        chosen = [by_name[name] for name in _OF_CONFIDENCE]
        yield part, _is_confident(wanted), chosen


def chosen_scores(
    measure: Measure, scores: Sequence[DiscScore], belongs: Callable[[DiscScore], bool]
) -> list[DiscScore]:
    """Return the scores that count for a measure on a part of the discs."""
    chosen = [score for score in scores if belongs(score) and measure.counts(score)]
    if measure.one_per_patient:
        chosen = list({(score.source, score.patient): score for score in chosen}.values())
    return chosen


def measured_parts(
    scores: Sequence[DiscScore],
) -> Iterator[tuple[str, Measure, Callable[[DiscScore], bool]]]:
    """Yield each part with each measure that has something to count there, and whether a disc belongs to the part."""
    for part, belongs, measures in _measures_of_parts():
        for measure in measures:
            if any(belongs(score) and measure.counts(score) for score in scores):
                yield part, measure, belongs


def graded_scores(scores: Sequence[DiscScore]) -> list[DiscScore]:
    """Return the lumbar discs that have a reference grade and were graded."""
    return [score for score in scores if _graded(score)]
