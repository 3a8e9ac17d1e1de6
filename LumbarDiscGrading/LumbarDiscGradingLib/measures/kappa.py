"""Kappa of two readers, weighted or not, with its confidence interval by patients.

Cohen, Psychol Bull 70:213-220 (1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bootstrap import interval

DEFAULT_RESAMPLES = 2000


class Weights(str, Enum):
    """How much a disagreement counts by its distance."""

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% confidence interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def with_ends(self) -> tuple[float, float, float]:
        """Value and both ends of its interval."""
        return self.value, self.low, self.high


def confusion_table(first: ArrayLike, second: ArrayLike, categories: int) -> NDArray[np.int64]:
    """Count pairs of categories 0 to `categories` - 1.

    Returns
    -------
    ndarray of int, shape (categories, categories)
        First reader in rows, second in columns.
    """
    pairs = np.asarray(first, dtype=np.int64) * categories + np.asarray(second, dtype=np.int64)
    return np.bincount(pairs, minlength=categories**2).reshape(categories, categories)


def weighted_kappa(table: NDArray, weights: Weights) -> NDArray[np.float64]:
    """Return the kappa of one or many confusion tables.

    Parameters
    ----------
    table : ndarray, shape (..., categories, categories)

    Returns
    -------
    ndarray, shape (...)
        NaN where both readers used one and the same category only.
    """
    counts = np.asarray(table, dtype=float)
    categories = np.arange(counts.shape[-1])
    distance = np.abs(categories[:, None] - categories).astype(float)
    cost = distance ** {Weights.NONE: 0, Weights.LINEAR: 1, Weights.QUADRATIC: 2}[weights] * (distance > 0)
    total = counts.sum(axis=(-2, -1))
    expected = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    observed_cost = (counts * cost).sum(axis=(-2, -1)) * total
    expected_cost = (expected * cost).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected_cost > 0, 1 - observed_cost / expected_cost, np.nan)


def kappa_with_interval(
    tables: NDArray, weights: Weights, resamples: int = DEFAULT_RESAMPLES, seed: int = 0
) -> Estimate:
    """Return the weighted kappa of all patients together with its bootstrap interval.

    There is no interval where kappa is not defined in more than a twentieth of the rounds (see `bootstrap.interval`).

    Parameters
    ----------
    tables : ndarray, shape (patients, categories, categories)
        Confusion table of each patient.
    resamples : int
        How many times the patients are drawn with replacement; 0 for no interval.
    seed : int
    """
    tables = np.asarray(tables, dtype=float)
    patients, categories = tables.shape[0], tables.shape[-1]
    value = float(weighted_kappa(tables.sum(axis=0), weights)) if patients else float("nan")
    if patients < 2 or resamples < 1:
        return Estimate(value, float("nan"), float("nan"))
    times = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    drawn = (times @ tables.reshape(patients, -1)).reshape(resamples, categories, categories)
    return Estimate(value, *interval(weighted_kappa(drawn, weights)))
