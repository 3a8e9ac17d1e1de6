"""The rows of a curved picture at their distance along the spine, which runs across the slices too."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..grading.result import GradingResult


def heights_along_spine_mm(result: GradingResult, row0: int, row1: int) -> NDArray[np.float64]:
    """Return where the upper edges of rows, and the lower edge of the last, lie along the spine.

    Between two discs the spine is longer than the rows by one over the cosine of its tilt; above the first and below
    the last it goes on as between the nearest two.

    Parameters
    ----------
    result : GradingResult
    row0, row1 : int
        First row and the one after the last.

    Returns
    -------
    ndarray, shape (row1 - row0 + 1,)
        In mm from the first edge. The rows' own where the result does not know the course of the spine.
    """
    stretch = np.ones(row1 - row0)
    if result.is_curved and result.course is not None:
        tilts = {disc.level: disc.tilt_degrees for disc in result.course.discs}
        discs = [disc for disc in result.discs if disc.level in tilts]
        middles = np.arange(row0, row1)
        for first, (upper, lower) in enumerate(pairwise(discs)):
            tilt = tilts[upper.level]
            if tilt is None:
                continue
            top = -np.inf if first == 0 else upper.center_row_column[0]
            bottom = np.inf if first == len(discs) - 2 else lower.center_row_column[0]
            stretch[(middles >= top) & (middles < bottom)] = 1.0 / np.cos(np.radians(tilt))
    return np.concatenate([[0.0], np.cumsum(stretch)]) * result.volume.spacing_mm[1]
