"""What was segmented of the slices of a volume laid into one: one slice as a whole, and parts of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..segmenter import SliceSegmentation


@dataclass(frozen=True, eq=False)
class SlicePart:
    """A part of a slice, segmented, and where it begins on the canvas of the whole.

    Attributes
    ----------
    corner : tuple of int
        Row and column.
    segmentation : SliceSegmentation
    """

    corner: tuple[int, int]
    segmentation: SliceSegmentation


def mixed(first: SliceSegmentation, parts: Sequence[SlicePart], slices: NDArray[np.int64]) -> SliceSegmentation:
    """Return the segmentation whose pixels come from the slices given; where those were not seen, from the first.

    Parameters
    ----------
    first : SliceSegmentation
        The slice that was segmented as a whole.
    parts : sequence of SlicePart
    slices : ndarray of int, shape of the canvas
    """
    probabilities = first.probabilities.copy()
    lumbosacral = None if first.lumbosacral is None else first.lumbosacral.copy()
    for part in parts:
        seen, (top, left), (height, width) = part.segmentation, part.corner, part.segmentation.grid.shape
        rows, columns = slice(top, top + height), slice(left, left + width)
        there = slices[rows, columns] == seen.slice_index
        probabilities[:, rows, columns][:, there] = seen.probabilities[:, there]
        if lumbosacral is not None and seen.lumbosacral is not None:
            lumbosacral[rows, columns][there] = seen.lumbosacral[there]
    return replace(first, probabilities=probabilities, lumbosacral=lumbosacral)
