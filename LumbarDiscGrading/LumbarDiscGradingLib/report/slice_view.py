"""The part of a slice that a picture shows: how its pixels and its greys come into the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .drawing import Color

HIGHLIGHT_KNEE = 0.6
"""Greys above this part of the window are compressed instead of cut, so that nerve roots in bright fluid are seen."""

BACKGROUND: Color = (13, 15, 18)
TEXT: Color = (236, 239, 242)


@dataclass(frozen=True)
class SliceView:
    """The part of the slice that is shown, and how pixels of the slice map to those of the picture.

    Attributes
    ----------
    row0, row1, column0, column1 : int
        First row and column, and those after the last.
    size : tuple of int
        Width and height of the picture in pixels.
    px_per_mm : float
    """

    row0: int
    row1: int
    column0: int
    column1: int
    size: tuple[int, int]
    px_per_mm: float

    def crop(self, plane: NDArray) -> NDArray:
        """Return the part of a plane, shape (rows, columns), that is shown."""
        return plane[self.row0 : self.row1, self.column0 : self.column1]

    def xy(self, row: float, column: float) -> tuple[float, float]:
        """Return the place in the picture of a pixel centre of the slice."""
        x = (column - self.column0 + 0.5) * self.size[0] / (self.column1 - self.column0)
        y = (row - self.row0 + 0.5) * self.size[1] / (self.row1 - self.row0)
        return x, y


def compress_highlights(grey: NDArray) -> NDArray:
    """Return greys, 0 to infinity, as 0 to 1: unchanged up to the knee, above it ever flatter."""
    headroom = 1 - HIGHLIGHT_KNEE
    above = np.maximum(grey - HIGHLIGHT_KNEE, 0)
    return np.where(grey > HIGHLIGHT_KNEE, 1 - headroom**2 / (headroom + above), grey)
