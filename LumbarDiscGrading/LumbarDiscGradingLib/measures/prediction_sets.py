"""Sets of neighbouring grades that hold the right one with a stated coverage (split conformal prediction).

A set holds the most probable grade, every grade that is improbable by no more than the threshold, and what lies between
them: no sets of the same coverage are smaller on average (the least ambiguous sets of Sadinle, Lei and Wasserman, JASA
2019, but without gaps). Patients, not discs, are exchangeable: each patient counts once, whatever its number of discs
(Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

METHOD = "least ambiguous ordinal sets, patients exchangeable"
"""A threshold of another method means something else."""
_ROUNDING = 1e-9


def prediction_set(probabilities: ArrayLike, threshold: float) -> tuple[int, ...]:
    """Return the neighbouring classes, ascending, from the first to the last whose improbability the threshold allows.

    The most probable class is always in it.

    Parameters
    ----------
    probabilities : array_like, shape (classes,)
    threshold : float
        0 to 1: a class of a probability of at least ``1 - threshold`` is in the set.
    """
    p = np.asarray(probabilities, dtype=float)
    held = np.flatnonzero((p >= 1.0 - threshold - _ROUNDING) | (p == p.max()))
    return tuple(range(int(held[0]), int(held[-1]) + 1))


def set_scores(probabilities: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Return for each disc the least threshold at which its set holds the reference.

    Parameters
    ----------
    probabilities : array_like, shape (discs, classes)
    reference : array_like of int, shape (discs,)
    """
    scores = []
    for p, right in zip(np.asarray(probabilities, dtype=float), np.asarray(reference, dtype=int), strict=True):
        best = np.flatnonzero(p == p.max())
        if best[0] <= right <= best[-1]:
            scores.append(0.0)
        else:
            outward = p[right:] if right > best[-1] else p[: right + 1]
            scores.append(1.0 - float(outward.max()))
    return np.array(scores)


def without_unknown_sets(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the calibration of a manifest without prediction sets of another `METHOD`, which are not made here."""
    stated = calibration.get("prediction_set")
    if stated is None or stated["method"] == METHOD:
        return dict(calibration)
    return {name: value for name, value in calibration.items() if name != "prediction_set"}


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
