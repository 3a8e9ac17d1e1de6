"""`LevelSight`: where on a slice the disc of each level is seen, as probabilities over the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid

NEAR_MM = 11.0
"""A posterior margin counts as that of a disc if it lies this near to the disc's back: a third of a disc's distance."""
DOUBTED_PROBABILITY = 0.95
"""Below this calibrated probability of all names, the naming is doubtful."""


@dataclass(frozen=True)
class LevelSight:
    """Probabilities of the place of each level's posterior disc margin.

    Attributes
    ----------
    levels : tuple of str
        From the feet upward, as `pfirrmann.LEVELS_UPWARD` begins.
    maps : ndarray of float32, shape (levels, block rows, block columns)
        Probability that the margin lies in each block of the canvas.
    absent : ndarray of float32, shape (levels,)
        Probability that the level is not in view; it and the map of a level sum to 1.
    grid : Grid
        The canvas.
    block : int
        Canvas pixels along a side of a block.
    temperature : float
        By which the scores of whole namings are divided, so that their softmax is their probability.
    """

    levels: tuple[str, ...]
    maps: NDArray[np.float32]
    absent: NDArray[np.float32]
    grid: Grid
    block: int
    temperature: float = 1.0

    def near(self, points_mm: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the probability of each level near each point, shape (points, levels)."""
        positions = self._centers_mm
        flat = self.maps.reshape(len(self.levels), -1).astype(np.float64)
        inside = [np.linalg.norm(positions - point, axis=1) < NEAR_MM for point in points_mm]
        return np.array([flat[:, near].sum(axis=1) for near in inside]).reshape(len(points_mm), len(self.levels))

    def place_mm(self, level: int) -> NDArray[np.float64]:
        """Return the most probable place of a level, (row, column) in mm."""
        return self._centers_mm[int(np.argmax(self.maps[level]))]

    @property
    def _centers_mm(self) -> NDArray[np.float64]:
        rows, columns = np.indices(self.maps.shape[1:]).reshape(2, -1)
        return self.grid.to_mm(np.column_stack([rows, columns]) * self.block + (self.block - 1) / 2)
