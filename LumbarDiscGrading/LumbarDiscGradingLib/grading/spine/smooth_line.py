"""A smooth line through values at some rows, led on where there are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_line(
    rows: NDArray[np.int64], values: NDArray[np.float64], weights: NDArray[np.float64], count: int, sigma: float
) -> NDArray[np.float64]:
    """Return the line at each row: straight through the weighted values near it, by least squares.

    Beyond the outermost values it goes on as it runs there.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        At least one, ascending.
    values, weights : ndarray, shape (n,)
    count : int
        Rows of the line.
    sigma : float
        Standard deviation, in rows, of what counts as near.

    Returns
    -------
    ndarray, shape (count,)
    """
    all_rows = np.arange(count)
    within = np.clip(all_rows, rows[0], rows[-1])
    near = (np.exp(-0.5 * ((within[:, None] - rows[None]) / sigma) ** 2) + 1e-9) * weights
    total = near.sum(axis=1)
    row, value = near @ rows / total, near @ values / total
    spread = near @ rows.astype(float) ** 2 / total - row**2
    slope = (near @ (rows * values) / total - row * value) / np.maximum(spread, 1.0)
    return value + slope * (all_rows - row)
