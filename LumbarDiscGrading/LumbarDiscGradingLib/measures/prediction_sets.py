"""Sets of neighbouring grades that hold the right one with a stated coverage (split conformal prediction).

A set grows from the most probable grade by the more probable of its two neighbours, as long as it has no more than the
threshold's probability (after the ordinal adaptive sets of Lu, Angelopoulos and Pomerantz, MICCAI 2022). Patients, not
discs, are exchangeable: each patient counts once, whatever its number of discs (Lee, Barber and Willett,
Distribution-free inference with hierarchical data, 2023).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

METHOD = "ordinal adaptive sets, patients exchangeable"
_ROUNDING = 1e-9


def growth_order(probabilities: ArrayLike) -> list[int]:
    """Return the classes in the order in which a set takes them in: the most probable, then ever a neighbour."""
    p = np.asarray(probabilities, dtype=float)
    low = high = int(np.argmax(p))
    order = [low]
    while len(order) < len(p):
        if high == len(p) - 1 or (low > 0 and p[low - 1] >= p[high + 1]):
            low -= 1
            order.append(low)
        else:
            high += 1
            order.append(high)
    return order


def prediction_set(probabilities: ArrayLike, threshold: float) -> tuple[int, ...]:
    """Return the neighbouring classes, ascending, whose sets have no more than the threshold's probability.

    The most probable class is always in it.
    """
    order = growth_order(probabilities)
    mass = np.cumsum(np.asarray(probabilities, dtype=float)[order])
    taken = max(1, int(np.count_nonzero(mass <= threshold + _ROUNDING)))
    return tuple(sorted(order[:taken]))


def set_scores(probabilities: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Return for each disc the least threshold at which its set holds the reference.

    Parameters
    ----------
    probabilities : array_like, shape (discs, classes)
    reference : array_like of int, shape (discs,)
    """
    scores = []
    for p, right in zip(np.asarray(probabilities, dtype=float), np.asarray(reference, dtype=int), strict=True):
        order = growth_order(p)
        place = order.index(int(right))
        scores.append(0.0 if place == 0 else float(p[order[: place + 1]].sum()))
    return np.array(scores)


def fit_threshold(scores: ArrayLike, patients: Sequence[Hashable], coverage: float) -> float | None:
    """Return the threshold at which sets of a new patient's disc hold the right class with at least this probability.

    None where there are too few patients to promise it (fewer than nine for a coverage of 0.9).

    Parameters
    ----------
    scores : array_like, shape (discs,)
        From `set_scores`.
    patients : sequence, length discs
        To whom each disc belongs.
    coverage : float
        Between 0 and 1.
    """
    values = np.asarray(scores, dtype=float)
    _, of_patient, counts = np.unique([str(patient) for patient in patients], return_inverse=True, return_counts=True)
    order = np.argsort(values, kind="stable")
    weights = 1.0 / (counts[of_patient][order] * (len(counts) + 1))
    enough = np.flatnonzero(np.cumsum(weights) >= coverage - _ROUNDING)
    return float(values[order][enough[0]]) if enough.size else None
