"""Window centre and width for showing a volume; what the networks see does not depend on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .volume import SagittalVolume

DISPLAY_LOW_PERCENTILE, DISPLAY_HIGH_PERCENTILE = 0.5, 99.0
"""Robust range of the tissue shown: the brightest percent, mostly fat next to the coil, may saturate."""

BACKGROUND_SHARE = 0.04
"""Pixels darker than this share of the bright end are air or noise, which the range should not hang on."""

MIN_SHARE_IN_WINDOW = 0.6
MAX_WINDOW_RATIO = 3.0
"""A DICOM window is sensible if this share of the tissue is neither black nor white in it, and if it is at most this
many times as wide as the robust range of the tissue."""


def automatic_window(image: SagittalVolume | NDArray) -> tuple[float, float]:
    """Choose the window centre and width to show an image with.

    The DICOM window is taken when it is sensible, else the robust range of the pixels (of a volume's middle slice).

    Parameters
    ----------
    image : SagittalVolume or ndarray
        A volume, or pixels of any shape.

    Returns
    -------
    center, width : float
        As in DICOM; the width is at least a small positive number.
    """
    if isinstance(image, SagittalVolume):
        pixels = image.voxels[image.middle_slice_index]
        stored = image.source.window
        if stored is not None and _is_sensible(stored, pixels):
            return float(stored[0]), float(stored[1])
    else:
        pixels = image
    low, high = _robust_range(pixels)
    return (low + high) / 2, high - low


def _robust_range(pixels: NDArray) -> tuple[float, float]:
    values = np.asarray(pixels, dtype=np.float32).ravel()
    low = float(np.percentile(values, DISPLAY_LOW_PERCENTILE))
    tissue = _tissue(values)
    high = float(np.percentile(tissue, DISPLAY_HIGH_PERCENTILE)) if tissue.size else low
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1.0


def _tissue(values: NDArray) -> NDArray:
    low, high = np.percentile(values, (DISPLAY_LOW_PERCENTILE, DISPLAY_HIGH_PERCENTILE))
    return values[values > low + BACKGROUND_SHARE * (high - low)]


def _is_sensible(window: tuple[float, float], pixels: NDArray) -> bool:
    center, width = window
    if not (np.isfinite(center) and np.isfinite(width) and width > 0):
        return False
    low, high = _robust_range(pixels)
    if width > MAX_WINDOW_RATIO * (high - low):
        return False
    tissue = _tissue(np.asarray(pixels, dtype=np.float32).ravel())
    if not tissue.size:
        return False
    inside = (tissue > center - width / 2) & (tissue < center + width / 2)
    return bool(inside.mean() >= MIN_SHARE_IN_WINDOW)
