"""Confidence intervals of values that were measured again on patients drawn with replacement.

The percentile bootstrap over patients, not over discs: the discs of one patient are not independent (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of bootstrapped values.

    NaN where there are none, or where too many rounds had no value: the others alone would pretend to be sure.
    """
    total, values = values.size, values[np.isfinite(values)]
    if not total or values.size < CONFIDENCE * total:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
