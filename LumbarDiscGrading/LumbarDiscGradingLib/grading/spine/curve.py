"""Where the middle of the spinal canal lies across the slices, at each height."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid
from ...imaging.volume import SagittalVolume
from ..segmenter import Segmenter
from .canal import LEAST_DEPTH_MM, STRIP_COLUMNS, WIDE_STRIP_COLUMNS, CanalStrips
from .smooth_line import smooth_line

REACH_MM = 10.0
"""Half the width of a lumbar canal: so far to both sides of the middle slice the canal is looked at, in two steps."""
OPEN_SHARE, OPEN_LENGTH_MM = 0.7, 10.0
"""Where the outermost slice shows this share of the canal's depth over this length, the canal goes on beyond it."""
BASE_SHARE = 0.3
"""Depth of the canal, over the greatest at that height, that does not count: partial volume and lateral recess."""
BESIDE_MM = 25.0
"""Above and below these rows, a further slice is looked at too. Further off, the line is led on too far to be right."""
MOST_ROUNDS = 24
SMOOTHING_MM = 8.0
"""Standard deviation along the spine of the smoothing of the canal's depth."""
CURVE_SMOOTHING_MM = 10.0
"""That of the curve; discs are about 35 mm apart."""


@dataclass(frozen=True, eq=False)
class SpineCurve:
    """The middle of the canal across the slices, by height.

    Attributes
    ----------
    grid : Grid
        The canvas whose rows are the heights.
    across_mm : ndarray, shape (rows of the canvas,)
        Slice position of the canal's middle, in mm from the geometric middle slice, towards the patient's left.
    line : ndarray, shape (rows of the canvas,)
        Column of the canal.
    known : ndarray of bool, shape (rows of the canvas,)
        Whether the canal is seen at the height.
    """

    grid: Grid
    across_mm: NDArray[np.float64]
    line: NDArray[np.float64]
    known: NDArray[np.bool_]

    @property
    def canal_mm(self) -> NDArray[np.float64]:
        """Places (row, column) of the canal in mm on the slices, shape (rows of the canvas, 2)."""
        return self.grid.to_mm(np.column_stack([np.arange(len(self.line)), self.line]))

    def across_at(self, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the slice positions of the canal's middle at the heights of places (row, column) in mm, (n, 2)."""
        return np.interp(self.grid.from_mm(places_mm)[:, 0], np.arange(len(self.across_mm)), self.across_mm)


def find_curve(
    volume: SagittalVolume,
    segmenter: Segmenter,
    strips: CanalStrips,
    before_batch: Callable[[], None] = lambda: None,
) -> SpineCurve | None:
    """Follow the canal through the slices of a volume.

    Strips along the canal are segmented on the slice on which it was seen and on others 5 mm apart (in volumes less
    than 20 mm wide, a quarter of the width), as long as what lies beside, above or below still shows much of it. The
    depth of the canal, front to back, is greatest in its middle; the mean slice weighted by the depth is the middle at
    that height, smoothed along the spine.

    Parameters
    ----------
    volume : SagittalVolume
    segmenter : Segmenter
    strips : CanalStrips
        Begun on a slice.
    before_batch : callable
        Called before each batch.

    Returns
    -------
    SpineCurve or None
        None where no slice shows the canal.
    """
    spacing = volume.spacing_mm[0]
    step = max(1, int(min(REACH_MM, (volume.slice_count - 1) / 2 * spacing) / 2 / spacing + 1e-6))
    for _ in range(MOST_ROUNDS):
        looks = _further(strips, step, volume.slice_count)
        if not looks:
            break
        for rows, indices in looks.items():
            before_batch()
            near = all(abs(index - strips.start) <= 2 * step for index in indices)
            strips.look(volume, segmenter, indices, slice(*rows), STRIP_COLUMNS if near else WIDE_STRIP_COLUMNS)
    if not strips.depths_mm:
        return None
    depth = _smoothed(strips)
    greatest = depth.max(axis=0)
    known = greatest >= LEAST_DEPTH_MM
    if not known.any():
        return None
    weights = np.clip(depth - BASE_SHARE * greatest, 0.0, None)
    offsets = (np.array(strips.indices) - volume.middle_slice_index) * spacing
    rows = np.flatnonzero(known)
    middles = (offsets @ weights)[known] / weights.sum(axis=0)[known]
    sigma = CURVE_SMOOTHING_MM / strips.grid.pixel_size_mm
    across = smooth_line(rows, middles, greatest[known], len(known), sigma)
    return SpineCurve(strips.grid, across, strips.line, known)


def _smoothed(strips: CanalStrips) -> NDArray[np.float64]:
    """Return the canal's depth in mm, shape (slices, rows of the canvas), smoothed along the spine."""
    size = strips.grid.pixel_size_mm
    half = round(3 * SMOOTHING_MM / size)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * size / SMOOTHING_MM) ** 2)
    kernel /= kernel.sum()
    return np.stack([np.convolve(row, kernel, mode="full")[half : half + len(row)] for row in strips.depths()])


def _further(strips: CanalStrips, step: int, count: int) -> dict[tuple[int, int], list[int]]:
    """Return slices by the rows at which they are likely to show much of the canal and were not looked at.

    Likely are those that do so a little above or below, and the next ones to both sides.
    """
    size = strips.grid.pixel_size_mm
    if not strips.depths_mm:
        shown = {strips.start: strips.shown}
    else:
        depth = _smoothed(strips)
        greatest = depth.max(axis=0)
        much = (depth > OPEN_SHARE * greatest) & (greatest >= LEAST_DEPTH_MM)
        shown = dict(zip(strips.indices, much, strict=True))
    window, looks = np.ones(int(3 * OPEN_LENGTH_MM / size)), dict[tuple[int, int], list[int]]()
    for index in range(min(shown) - step, max(shown) + step + 1, step):
        near = [shown[i] for i in (index - step, index, index + step) if i in shown]
        likely = np.convolve(np.any(near, axis=0), window, mode="same") * size >= OPEN_LENGTH_MM
        rows = np.flatnonzero(likely & ~strips.looked_at(index)) if 0 <= index < count else np.empty(0, dtype=int)
        for together in np.split(rows, np.flatnonzero(np.diff(rows) > 2 * BESIDE_MM / size) + 1):
            if len(together):
                look = stretch(together[0] - BESIDE_MM / size, together[-1] + BESIDE_MM / size, len(likely))
                looks.setdefault((look.start, look.stop), []).append(index)
    return looks


def stretch(first: float, last: float, count: int) -> slice:
    """Return rows or columns of a canvas of `count` from first to last, a multiple of 16 as the network needs it."""
    first, last = max(0, int(first)), min(count, int(last) + 1)
    length = min(16 * -(-(last - first) // 16), count)
    start = min(first, count - length)
    return slice(start, start + length)
