"""Figures of merit over discs that count with a weight, for many sets of weights at a time.

A bootstrap by patient draws patients with replacement; a disc then counts as often as its patient was drawn. A
`Statistic` takes such weights, shape (rounds, discs), and returns its value for each round, shape (rounds,), NaN where
it is not defined. Weights of one give the plain value. Written this way, thousands of rounds cost little more than one.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .kappa import Weights, weighted_kappa

Statistic: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Tables: TypeAlias = NDArray[np.float64]
"""Confusion tables, shape (rounds, classes, classes): reference in rows, prediction in columns."""

CALIBRATION_BINS = 10
"""Bins of equal width over the probability of the most probable class."""


class Average(str, Enum):
    """How a figure of single classes becomes one of all."""

    MACRO = "macro"
    MICRO = "micro"
    WEIGHTED = "weighted"


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, np.divide(numerator, denominator), np.nan)


def mean(values: ArrayLike) -> Statistic:
    """Return the mean of one value for each disc; of a condition it is the share of discs that meet it."""
    column = np.asarray(values, dtype=float)
    return lambda weights: _ratio(weights @ column, weights.sum(axis=1))


def quantile(values: ArrayLike, q: float) -> Statistic:
    """Return a quantile, interpolated linearly between neighbours as numpy does; weights are whole numbers."""
    column = np.asarray(values, dtype=float)
    order = np.argsort(column, kind="stable")
    ranked = column[order]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        reached = np.cumsum(weights[:, order], axis=1)
        total = reached[:, -1]
        position = q * np.maximum(total - 1, 0)
        below = np.floor(position + 1e-9)
        last = len(ranked) - 1
        low, high = (
            ranked[np.minimum((reached <= rank[:, None]).sum(axis=1), last)]
            for rank in (below, np.ceil(position - 1e-9))
        )
        return np.where(total > 0, low + np.clip(position - below, 0, 1) * (high - low), np.nan)

    return statistic


def of_table(
    reference: ArrayLike, predicted: ArrayLike, classes: int, function: Callable[[Tables], NDArray[np.float64]]
) -> Statistic:
    """Return a statistic that a function works out from confusion tables.

    Parameters
    ----------
    reference, predicted : array_like of int, shape (discs,)
        Classes 0 to `classes` - 1.
    classes : int
    function : callable
        Tables, shape (rounds, classes, classes), to values, shape (rounds,).
    """
    cells = np.eye(classes**2)[np.asarray(reference, dtype=int) * classes + np.asarray(predicted, dtype=int)]
    return lambda weights: function((weights @ cells).reshape(len(weights), classes, classes))


def accuracy(tables: Tables) -> NDArray[np.float64]:
    """Return the share of discs in the right class."""
    return _ratio(np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2)))


def balanced_accuracy(tables: Tables) -> NDArray[np.float64]:
    """Return the mean sensitivity of the classes that are there."""
    return averaged(sensitivity, Average.MACRO)(tables)


def unweighted_kappa(tables: Tables) -> NDArray[np.float64]:
    """Return kappa where every disagreement counts the same."""
    return weighted_kappa(tables, Weights.NONE)


def linear_kappa(tables: Tables) -> NDArray[np.float64]:
    """Return kappa with linear weights."""
    return weighted_kappa(tables, Weights.LINEAR)


def quadratic_kappa(tables: Tables) -> NDArray[np.float64]:
    """Return kappa with quadratic weights."""
    return weighted_kappa(tables, Weights.QUADRATIC)


Counts = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""True positives, false positives, false negatives, true negatives, each of shape (rounds, classes)."""


def one_against_rest(tables: Tables) -> Counts:
    """Count each class against all others."""
    hits = np.diagonal(tables, axis1=1, axis2=2)
    false_positives, false_negatives = tables.sum(axis=1) - hits, tables.sum(axis=2) - hits
    rest = tables.sum(axis=(1, 2))[:, None] - hits - false_positives - false_negatives
    return hits, false_positives, false_negatives, rest


def sensitivity(counts: Counts) -> NDArray[np.float64]:
    """Return SEN = TP / (TP + FN), NaN for a class that no disc has."""
    hits, _, false_negatives, _ = counts
    return _ratio(hits, hits + false_negatives)


def specificity(counts: Counts) -> NDArray[np.float64]:
    """Return SPE = TN / (TN + FP), NaN where every disc has the class."""
    _, false_positives, _, rest = counts
    return _ratio(rest, rest + false_positives)


def f1_score(counts: Counts) -> NDArray[np.float64]:
    """Return F1 = 2 TP / (2 TP + FP + FN), NaN for a class that no disc has or was given."""
    hits, false_positives, false_negatives, _ = counts
    return _ratio(2 * hits, 2 * hits + false_positives + false_negatives)


def rest_accuracy(counts: Counts) -> NDArray[np.float64]:
    """Return ACC = (TP + TN) / all of a class against the rest."""
    hits, false_positives, false_negatives, rest = counts
    return _ratio(hits + rest, hits + rest + false_positives + false_negatives)


def averaged(
    figure: Callable[[Counts], NDArray[np.float64]], average: Average
) -> Callable[[Tables], NDArray[np.float64]]:
    """Return a figure of single classes as one of all.

    Macro is the plain mean over the classes for which it is defined, weighted the mean by the number of reference
    discs, micro the figure of all decisions, class against rest, counted together.
    """

    def function(tables: Tables) -> NDArray[np.float64]:
        counts = one_against_rest(tables)
        if average is Average.MICRO:
            return figure(tuple(part.sum(axis=1, keepdims=True) for part in counts))[:, 0]
        values = figure(counts)
        share = np.isfinite(values).astype(float)
        if average is Average.WEIGHTED:
            share = share * tables.sum(axis=2)
        return _ratio((np.nan_to_num(values) * share).sum(axis=1), share.sum(axis=1))

    return function


def of_class(figure: Callable[[Counts], NDArray[np.float64]], index: int) -> Callable[[Tables], NDArray[np.float64]]:
    """Return a figure of one class."""
    return lambda tables: figure(one_against_rest(tables))[:, index]


def pairwise_auc(reference: ArrayLike, probabilities: ArrayLike, first: int, second: int) -> Statistic:
    """Return the area under the ROC curve for telling the second class from the first.

    Among the discs of these two classes alone, by the second one's probability out of the two (`pairwise_score`): the
    probability that a disc of the second class scores higher than one of the first, ties counting half. It is measure A
    of Hand and Till (Machine Learning 45:171-186, 2001), which with this score is the same in both directions.

    Parameters
    ----------
    reference : array_like of int, shape (discs,)
    probabilities : array_like, shape (discs, classes)
    first, second : int
    """
    reference = np.asarray(reference, dtype=int)
    score = pairwise_score(probabilities, first, second)
    low, high = np.flatnonzero(reference == first), np.flatnonzero(reference == second)
    order = np.sign(score[high][:, None] - score[low]) / 2 + 0.5

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        won = ((weights[:, high] @ order) * weights[:, low]).sum(axis=1)
        return _ratio(won, weights[:, high].sum(axis=1) * weights[:, low].sum(axis=1))

    return statistic


def pairwise_score(probabilities: ArrayLike, first: int, second: int) -> NDArray[np.float64]:
    """Return p(second) / (p(first) + p(second)) of each disc; one half where both are 0."""
    p = np.asarray(probabilities, dtype=float).reshape(-1, 3)
    both = p[:, first] + p[:, second]
    return np.where(both > 0, p[:, second] / np.where(both > 0, both, 1.0), 0.5)


def calibration_bins(top: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each probability."""
    return np.minimum((np.asarray(top, dtype=float) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def calibration_error(right: ArrayLike, top: ArrayLike) -> Statistic:
    """Return the expected calibration error of the most probable class (Guo et al., ICML 2017).

    Parameters
    ----------
    right : array_like of bool, shape (discs,)
        Whether the most probable class is the reference.
    top : array_like, shape (discs,)
        Its probability.
    """
    gap = np.asarray(right, dtype=float) - np.asarray(top, dtype=float)
    by_bin = np.eye(CALIBRATION_BINS)[calibration_bins(top)] * gap[:, None]
    return lambda weights: _ratio(np.abs(weights @ by_bin).sum(axis=1), weights.sum(axis=1))


def calibration_error_by_chance(top: ArrayLike, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Return the calibration error that exactly right probabilities have on so many discs: mean and 95 % range.

    Outcomes are drawn from the probabilities (consistency resampling: Bröcker and Smith, Weather Forecast 22:651,
    2007), disc by disc, so that the range is rather too narrow where discs of one patient are alike.

    Parameters
    ----------
    top : array_like, shape (discs,)
        Probability of the most probable class; at least one disc.
    draws, seed : int
    """
    p = np.asarray(top, dtype=float)
    right = np.random.default_rng(seed).random((draws, len(p))) < p
    gaps = (right - p) @ np.eye(CALIBRATION_BINS)[calibration_bins(p)]
    errors = np.abs(gaps).sum(axis=1) / len(p)
    low, high = np.quantile(errors, (0.025, 0.975))
    return float(errors.mean()), float(low), float(high)


def brier_score(reference: ArrayLike, probabilities: ArrayLike) -> Statistic:
    """Return the mean over discs of the squared differences, summed over classes: 0 is perfect, 2 the worst."""
    p = np.asarray(probabilities, dtype=float)
    truth = np.eye(p.shape[1])[np.asarray(reference, dtype=int)]
    return mean(((p - truth) ** 2).sum(axis=1))
