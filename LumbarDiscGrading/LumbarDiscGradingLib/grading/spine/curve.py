"""Where the middle of the spinal canal lies at each height, by a look at the slices beside one that shows the spine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid
from ...imaging.volume import SagittalVolume
from ...pfirrmann import Tissue
from ..segmenter import Segmenter, SliceSegmentation

LOOK_STEP_MM = 5.0
"""A lumbar canal is about 20 mm wide: slices so far apart resolve its middle (on 176 discs of patients within 2.5 mm in
99 of 100; at half the network's resolution, which would be cheaper, the canal is not found well enough)."""
BESIDE_SPINE_MM = 20.0
"""What is looked at reaches so far in front of and behind the discs and the canal of the first slice."""
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
) -> tuple[SpineCurve, dict[int, SliceSegmentation]] | None:
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
    tuple of SpineCurve and dict, or None
        The curve, and what was segmented on the way by slice index; None where the first slice shows no canal.
    """
    seen = {first.slice_index: first}
    step = max(1, round(LOOK_STEP_MM / volume.spacing_mm[0]))
    columns = spine_columns(first)
    if columns is None:
        return None
    part = first.grid.part((0, columns[0]), (first.grid.shape[0], columns[1]))
    further = [first.slice_index - step, first.slice_index + step]
    while further := [index for index in further if 0 <= index < volume.slice_count]:
        before_batch()
        seen.update(zip(further, segmenter.segment_parts(volume, [(i, part) for i in further]), strict=True))
        further = _further(seen, step)
    depth = _depths(seen)
    greatest = depth.max(axis=0)
    known = greatest >= LEAST_DEPTH_MM
    if not known.any():
        return None
    weights = np.clip(depth - BASE_SHARE * greatest, 0.0, None)
    offsets = (np.array(sorted(seen)) - volume.middle_slice_index) * volume.spacing_mm[0]
    rows = np.arange(first.grid.shape[0])
    across = np.interp(rows, rows[known], (offsets @ weights)[known] / weights.sum(axis=0)[known])
    return SpineCurve(first.grid, across), seen


def spine_columns(segmentation: SliceSegmentation) -> tuple[int, int] | None:
    """Return first column and width, on the canvas, of the part around canal and discs; None where there is no canal.

    The width is a multiple of 16 pixels, as the network needs it.
    """
    maps, size = segmentation.probabilities, segmentation.grid.pixel_size_mm
    if not (maps[Tissue.CANAL] > 0.5).any():
        return None
    shown = (maps[Tissue.CANAL] > 0.5) | (maps[Tissue.DISC] > 0.5)
    by_column = np.flatnonzero(shown.sum(axis=0) * size >= LEAST_DEPTH_MM)
    if not len(by_column):
        return None
    first, last = by_column[0] - BESIDE_SPINE_MM / size, by_column[-1] + BESIDE_SPINE_MM / size
    width = int(16 * np.ceil((last - first) / 16))
    return round((first + last - width) / 2), width


def _depths(seen: dict[int, SliceSegmentation]) -> NDArray[np.float64]:
    """Return the canal's depth in mm, shape (slices, rows of the canvas), smoothed along the spine."""
    size = next(iter(seen.values())).grid.pixel_size_mm
    depth = np.stack([seen[i].probabilities[Tissue.CANAL].sum(axis=1) for i in sorted(seen)]).astype(float) * size
    half = round(3 * SMOOTHING_MM / size)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * size / SMOOTHING_MM) ** 2)
    kernel /= kernel.sum()
    return np.stack([np.convolve(row, kernel, mode="full")[half : half + len(row)] for row in depth])


def _further(seen: dict[int, SliceSegmentation], step: int) -> list[int]:
    """Return the slices to look at next: beyond an outermost one that shows the canal better than those inside."""
    depth, size = _depths(seen), next(iter(seen.values())).grid.pixel_size_mm
    best = depth.argmax(axis=0)
    known = depth.max(axis=0) >= LEAST_DEPTH_MM
    beyond = {0: min(seen) - step, len(depth) - 1: max(seen) + step}
    return [index for outermost, index in beyond.items() if (known & (best == outermost)).sum() * size > OPEN_LENGTH_MM]


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
