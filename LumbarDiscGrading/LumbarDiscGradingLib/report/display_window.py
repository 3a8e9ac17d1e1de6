"""The grey-value window in which discs are read: made for the spine, not for the fat behind it."""

from __future__ import annotations

import numpy as np

from ..grading.result import GradingResult
from ..pfirrmann import Tissue


def display_window(result: GradingResult) -> tuple[float, float]:
    """Return the intensities shown as black and as white."""
    image = np.asarray(result.volume.voxels[result.slice_index], dtype=np.float32)
    spine = image[np.isin(result.tissue_slice, (Tissue.VERTEBRA, Tissue.DISC, Tissue.CANAL))]
    if spine.size < 100:
        spine = image
    low, high = np.percentile(spine, [0.5, 97])
    return float(low), float(high if high > low else low + 1)
