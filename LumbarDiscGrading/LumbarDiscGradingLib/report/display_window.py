"""The grey-value window in which discs are read: made for the spine, not for the fat behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..grading.result import GradingResult
from ..pfirrmann import Tissue

VERTEBRA_GREY = 0.40
"""Part of the window's width at which vertebral marrow is shown: darker and brighter discs can be told apart."""
DISC_GREY = 0.85
"""The brightest disc tissue stays below this part of the window, so that no nucleus is burnt out."""
MIN_SAMPLE_PX = 200
"""With fewer pixels of a tissue its signal is not estimated."""


def display_window(result: GradingResult) -> tuple[float, float]:
    """Return the intensities shown as black and as white on the graded slice, or the curved picture.

    Marrow is shown at a middle grey and the brightest disc below white; cerebrospinal fluid may reach white, and
    subcutaneous fat, often several times brighter, is left out of account. Without vertebrae the percentiles of
    the region around the discs are taken, without discs those of the slice.

    Returns
    -------
    tuple of float
        Low and high, low < high.
    """
    from ..grading.spine.of_result import curved_picture  # loads SimpleITK, which an open panel need not wait for

    image = np.asarray(curved_picture(result), dtype=np.float32)
    marrow, discs = (image[result.tissue_slice == tissue] for tissue in (Tissue.VERTEBRA, Tissue.DISC))
    region = _around(image, result.tissue_slice > 0)
    low = float(np.percentile(region, 1))
    high = float(np.percentile(region, 98))
    if marrow.size >= MIN_SAMPLE_PX:
        wanted = low + (float(np.median(marrow)) - low) / VERTEBRA_GREY
        if discs.size >= MIN_SAMPLE_PX:
            wanted = max(wanted, low + (float(np.percentile(discs, 98)) - low) / DISC_GREY)
        high = min(wanted, float(np.percentile(region, 99.8)))
    return low, high if high > low else low + 1.0


def _around(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the pixels of the box around a mask; all pixels where the mask is empty."""
    if not mask.any():
        return image.ravel()
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].ravel()
