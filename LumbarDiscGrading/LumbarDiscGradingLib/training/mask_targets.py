"""What the label values of a mask are to a network: tissue classes, and which disc is the lumbosacral one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
