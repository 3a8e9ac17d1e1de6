"""Doubts about an image that do not stop the grading but must be said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import Tissue

FLUID_OVER_MARROW = 1.15
"""On T2-weighted images the canal's fluid is brighter than vertebral marrow; on T1-weighted ones it is darker."""


def contrast_warnings(slice_2d: NDArray, tissues: NDArray[np.uint8]) -> tuple[str, ...]:
    """Say so where the image does not look T2-weighted.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    tissues : ndarray of uint8, shape (rows, columns)
        Tissue classes as found by the network.
    """
    canal, marrow = slice_2d[tissues == Tissue.CANAL], slice_2d[tissues == Tissue.VERTEBRA]
    if canal.size < 50 or marrow.size < 50:
        return ("No spinal canal was recognized; the contrast could not be checked.",)
    if np.percentile(canal, 75) < FLUID_OVER_MARROW * np.median(marrow):
        return (
            "The image does not look T2-weighted (fluid is not bright); Pfirrmann grades need a T2-weighted image.",
        )
    return ()
