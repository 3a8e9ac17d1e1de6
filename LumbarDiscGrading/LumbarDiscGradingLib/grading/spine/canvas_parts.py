"""What was segmented of the slices of a volume on one canvas: one slice as a whole, and parts of others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid
from ...pfirrmann import Tissue
from ..segmenter import SliceSegmentation

BESIDE_SPINE_MM = 20.0
"""What is looked at reaches so far in front of and behind the discs and the canal of the neighbouring slice."""
LEAST_DEPTH_MM = 4.0
"""Less of canal and discs than this in a column is no spine."""


@dataclass(frozen=True, eq=False)
class CanvasParts:
    """Segmented parts by slice, all on the pixels of the first slice's canvas.

    Attributes
    ----------
    first : SliceSegmentation
        The slice that was segmented as a whole.
    parts : dict
        (corner, segmentation) by slice index; the corner is the first row and column on the canvas, which may lie
        outside.
    """

    first: SliceSegmentation
    parts: dict[int, tuple[tuple[int, int], SliceSegmentation]] = field(default_factory=dict)

    @classmethod
    def of(cls, first: SliceSegmentation) -> CanvasParts:
        """Begin with a whole slice."""
        return cls(first, {first.slice_index: ((0, 0), first)})

    @property
    def grid(self) -> Grid:
        """The canvas."""
        return self.first.grid

    @property
    def indices(self) -> list[int]:
        """Canonical indices of the slices, in order."""
        return sorted(self.parts)

    def columns(self, index: int) -> tuple[int, int] | None:
        """Return first column and width of the spine on a slice with what is beside it; None where there is none.

        The width is a multiple of 16 pixels, as the network needs it.
        """
        (_, corner), segmentation = self.parts[index]
        maps, size = segmentation.probabilities, self.grid.pixel_size_mm
        shown = (maps[Tissue.CANAL] > 0.5) | (maps[Tissue.DISC] > 0.5)
        by_column = corner + np.flatnonzero(shown.sum(axis=0) * size >= LEAST_DEPTH_MM)
        if not len(by_column):
            return None
        first, last = by_column[0] - BESIDE_SPINE_MM / size, by_column[-1] + BESIDE_SPINE_MM / size
        width = int(16 * np.ceil((last - first) / 16))
        return round((first + last - width) / 2), width

    def canal_depths(self) -> NDArray[np.float64]:
        """Return the depth of the canal, front to back, in mm, shape (slices in order, rows of the canvas)."""
        depths = np.zeros((len(self.parts), self.grid.shape[0]))
        for depth, index in zip(depths, self.indices, strict=True):
            (row, _), segmentation = self.parts[index]
            by_row = segmentation.probabilities[Tissue.CANAL].sum(axis=1) * self.grid.pixel_size_mm
            last = min(row + len(by_row), len(depth))
            depth[row:last] = by_row[: last - row]
        return depths

    def mixed(self, slices: NDArray[np.int64]) -> SliceSegmentation:
        """Return the segmentation whose pixels come from the slices given; where those were not seen, from the first.

        Parameters
        ----------
        slices : ndarray of int, shape of the canvas
        """
        probabilities = self.first.probabilities.copy()
        lumbosacral = None if self.first.lumbosacral is None else self.first.lumbosacral.copy()
        for index, ((row, column), part) in self.parts.items():
            rows, columns = part.grid.shape
            top, left = max(row, 0), max(column, 0)
            bottom, right = min(row + rows, self.grid.shape[0]), min(column + columns, self.grid.shape[1])
            there = slices[top:bottom, left:right] == index
            own = slice(top - row, bottom - row), slice(left - column, right - column)
            probabilities[:, top:bottom, left:right][:, there] = part.probabilities[:, own[0], own[1]][:, there]
            if lumbosacral is not None and part.lumbosacral is not None:
                lumbosacral[top:bottom, left:right][there] = part.lumbosacral[own][there]
        return replace(self.first, probabilities=probabilities, lumbosacral=lumbosacral)
