"""The part of a slice that is worth looking at: its discs with some room around them."""

from __future__ import annotations

import numpy as np

from ..grading.missing_places import is_in_image, missing_places
from ..grading.result import GradingResult

MARGINS_MM = {"head": 25.0, "feet": 40.0, "front": 55.0, "back": 60.0}
"""What is shown around the discs and the places of missing levels; the slice is cut to it where it is larger."""


def spine_box(result: GradingResult) -> tuple[int, int, int, int]:
    """Return the first row and the one after the last, and the first column and the one after the last.

    Parameters
    ----------
    result : GradingResult
        Without discs the box is the whole slice.
    """
    rows, columns = result.label_slice.shape
    _, row_mm, column_mm = result.volume.spacing_mm
    missing = [place for place in missing_places(result).values() if is_in_image(result, place)]
    shown = np.concatenate([np.argwhere(result.label_slice), np.reshape(missing, (-1, 2))])
    if not len(shown):
        return 0, rows, 0, columns
    (top, front), (bottom, back) = shown.min(axis=0), shown.max(axis=0)
    return (
        max(int(top - MARGINS_MM["head"] / row_mm), 0),
        min(int(bottom + MARGINS_MM["feet"] / row_mm) + 1, rows),
        max(int(front - MARGINS_MM["front"] / column_mm), 0),
        min(int(back + MARGINS_MM["back"] / column_mm) + 1, columns),
    )
