"""What the label values of a mask are to a network: tissue classes, and which disc is the lumbosacral one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from ..dataset.level_points import median_step
from ..pfirrmann import DISC_LABELS, Tissue

LANDMARK_UNKNOWN, LANDMARK_OTHER, LANDMARK_LUMBOSACRAL = 0, 1, 2
"""Target of the lumbosacral landmark: unknown or no disc, another disc, the disc L5-S1."""


def tissues_and_landmark(labels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Split label values into tissue classes and the lumbosacral landmark's target."""
    named = np.isin(labels, list(DISC_LABELS.values()))
    tissues = np.where(named, np.uint8(Tissue.DISC), labels).astype(np.uint8)
    landmark = np.where(named, np.uint8(LANDMARK_OTHER), np.uint8(LANDMARK_UNKNOWN)).astype(np.uint8)
    landmark[labels == DISC_LABELS["L5-S1"]] = LANDMARK_LUMBOSACRAL
    return tissues, landmark


NEAR_POINT = 0.2
"""Largest distance of a disc from the point that marks it, in distances of neighbouring points (about 35 mm)."""
SPECK = 0.03
"""Of the square of that distance: smaller parts are no discs of their own."""


def shows_discs_at(discs: NDArray[np.bool_], points: Mapping[str, tuple[float, float]]) -> bool:
    """Return whether each point marks a disc of its own, and between the points there is no other.

    Parameters
    ----------
    discs : ndarray of bool, shape (rows, columns)
    points : mapping of str to tuple of float
        Row and column of a place on each disc's margin, by level; with less than two nothing is asked.
    """
    step = median_step(points.values())
    if step is None:
        return True
    order = sorted(points.values())
    parts, count = label(discs)
    pixels = [np.argwhere(parts == number) for number in range(1, count + 1)]
    pixels = [of_part for of_part in pixels if len(of_part) >= SPECK * step**2]
    marked = set()
    for place in order:
        apart = [float(np.linalg.norm(of_part - place, axis=1).min()) for of_part in pixels]
        if not apart or min(apart) > NEAR_POINT * step:
            return False
        marked.add(int(np.argmin(apart)))
    middles = [float(of_part[:, 0].mean()) for of_part in pixels]
    between = {index for index, row in enumerate(middles) if order[0][0] < row < order[-1][0]}
    return len(marked) == len(order) and between <= marked
