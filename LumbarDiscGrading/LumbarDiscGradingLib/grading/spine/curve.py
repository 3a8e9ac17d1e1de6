"""Where the middle of the spinal canal lies at each height, by a look at the slices beside one that shows the spine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid
from ...imaging.volume import SagittalVolume
from ..segmenter import Segmenter, SliceSegmentation
from .canvas_parts import CanvasParts

LOOK_STEP_MM = 5.0
"""A lumbar canal is about 20 mm wide: slices so far apart resolve its middle (on 176 discs of patients within 2.5 mm in
99 of 100; at half the network's resolution, which would be cheaper, the canal is not found well enough)."""
OPEN_LENGTH_MM = 10.0
"""Where the outermost slice shows most of the canal over this length, the canal goes on beyond it."""
LEAST_DEPTH_MM = 4.0
"""Less canal than this at a height tells nothing of its middle there."""
BASE_SHARE = 0.3
"""Depth of the canal, over the greatest at that height, that does not count: partial volume and lateral recess."""
SMOOTHING_MM = 8.0
"""Standard deviation along the spine of the smoothing of the canal's depth."""


@dataclass(frozen=True, eq=False)
class SpineCurve:
    """The middle of the canal across the slices, by height.

    Attributes
    ----------
    grid : Grid
        The canvas on which the spine stands upright; heights are its rows.
    across_mm : ndarray, shape (rows of the canvas,)
        Slice position of the canal's middle, in mm from the geometric middle slice, towards the patient's left.
    """

    grid: Grid
    across_mm: NDArray[np.float64]

    def across_at(self, center_mm: Sequence[float] | NDArray[np.float64]) -> float:
        """Return the slice position of the canal's middle at the height of a place (row, column) in mm."""
        row = self.grid.from_mm(np.asarray(center_mm, dtype=float)[None])[0, 0]
        return float(np.interp(row, np.arange(len(self.across_mm)), self.across_mm))


def find_curve(
    volume: SagittalVolume,
    segmenter: Segmenter,
    first: SliceSegmentation,
    before_batch: Callable[[], None] = lambda: None,
) -> tuple[SpineCurve, CanvasParts] | None:
    """Follow the canal through the slices of a volume.

    On the slices about 5 mm beside the first, the part around the spine is segmented as one batch, and on further ones
    on a side where the outermost slice shows the canal best. The depth of the canal, front to back, is greatest in its
    middle; the mean slice weighted by the depth is the middle at that height, smoothed along the spine.

    Parameters
    ----------
    volume : SagittalVolume
    segmenter : Segmenter
    first : SliceSegmentation
        A whole slice that shows canal and discs.
    before_batch : callable
        Called before each batch.

    Returns
    -------
    tuple of SpineCurve and CanvasParts, or None
        The curve, and what was segmented on the way; None where the first slice shows no canal.
    """
    seen = CanvasParts.of(first)
    step = max(1, round(LOOK_STEP_MM / volume.spacing_mm[0]))
    if seen.columns(first.slice_index) is None:
        return None
    further = [(first.slice_index, -step), (first.slice_index, step)]
    while further := [(index, side) for index, side in further if 0 <= index + side < volume.slice_count]:
        before_batch()
        _look_beside(volume, segmenter, seen, further)
        further = _further(seen, step)
    depth = _depths(seen)
    greatest = depth.max(axis=0)
    known = greatest >= LEAST_DEPTH_MM
    if not known.any():
        return None
    weights = np.clip(depth - BASE_SHARE * greatest, 0.0, None)
    offsets = (np.array(seen.indices) - volume.middle_slice_index) * volume.spacing_mm[0]
    rows = np.arange(first.grid.shape[0])
    across = np.interp(rows, rows[known], (offsets @ weights)[known] / weights.sum(axis=0)[known])
    return SpineCurve(first.grid, across), seen


def _look_beside(
    volume: SagittalVolume, segmenter: Segmenter, seen: CanvasParts, further: list[tuple[int, int]]
) -> None:
    """Segment slices, each where its neighbour shows the spine, in one batch where the parts are of one size."""
    rows = seen.grid.shape[0]
    columns = [seen.columns(index) or (0, seen.grid.shape[1]) for index, _ in further]
    width = max(size for _, size in columns)
    corners = [(0, first - (width - size) // 2) for first, size in columns]
    parts = [
        (index + side, seen.grid.part(corner, (rows, width)))
        for (index, side), corner in zip(further, corners, strict=True)
    ]
    for corner, segmentation in zip(corners, segmenter.segment_parts(volume, parts), strict=True):
        seen.parts[segmentation.slice_index] = corner, segmentation


def _depths(seen: CanvasParts) -> NDArray[np.float64]:
    """Return the canal's depth in mm, shape (slices, rows of the canvas), smoothed along the spine."""
    size, depth = seen.grid.pixel_size_mm, seen.canal_depths()
    half = round(3 * SMOOTHING_MM / size)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * size / SMOOTHING_MM) ** 2)
    kernel /= kernel.sum()
    return np.stack([np.convolve(row, kernel, mode="full")[half : half + len(row)] for row in depth])


def _further(seen: CanvasParts, step: int) -> list[tuple[int, int]]:
    """Return, with the way on, the outermost slices that show the canal better over a length than those inside."""
    depth = _depths(seen)
    best = depth.argmax(axis=0)
    known = depth.max(axis=0) >= LEAST_DEPTH_MM
    ends = ((0, seen.indices[0], -step), (len(depth) - 1, seen.indices[-1], step))
    return [
        (index, side)
        for place, index, side in ends
        if (known & (best == place)).sum() * seen.grid.pixel_size_mm > OPEN_LENGTH_MM
    ]


def shared_slices(across_mm: Sequence[float], volume: SagittalVolume, first: int) -> list[int]:
    """Choose the slice of each disc: the fewest slices that are near enough to the curve at all of them.

    Near enough is a slice within `NEAR_MM`, or `NEAR_STEPS` of the distance of the slices where that is more. The slice
    that is near enough for most discs is taken first (of several the first slice looked at, else the one nearest to
    them all), and so on for the discs that are left; then each disc gets the nearest of the slices taken.

    Parameters
    ----------
    across_mm : sequence of float
        Position of the curve at each disc, in mm from the geometric middle slice.
    volume : SagittalVolume
    first : int
        Canonical index of the first slice looked at.

    Returns
    -------
    list of int
        Canonical index for each disc.
    """
    step, count = volume.spacing_mm[0], volume.slice_count
    slices = (np.arange(count) - volume.middle_slice_index) * step
    wanted = np.clip(np.array(across_mm, dtype=float), slices[0], slices[-1])
    apart = np.abs(slices[:, None] - wanted[None])  # (slices, discs)
    near = apart <= max(NEAR_MM, NEAR_STEPS * step)
    left, taken = np.ones(len(wanted), dtype=bool), list[int]()
    while left.any():
        covered = (near & left).sum(axis=1)
        best = np.flatnonzero(covered == covered.max()).tolist()
        chosen = first if first in best else min(best, key=lambda index: float(apart[index, near[index] & left].sum()))
        taken.append(chosen)
        left &= ~near[chosen]
    return [taken[int(np.argmin(apart[taken, disc]))] for disc in range(len(wanted))]


NEAR_MM = 1.5
NEAR_STEPS = 0.75
"""Half a slice distance and a little more: where the canal's middle lies between two slices, neighbours share one."""
