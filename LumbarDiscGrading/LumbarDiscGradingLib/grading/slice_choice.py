"""The mid-sagittal slice by what is on it: the slice that shows most of canal and discs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..imaging.volume import SagittalVolume
from ..pfirrmann import Tissue
from .segmenter import Segmenter, SliceSegmentation

COARSE_STEP_MM = 9.0
FINE_STEP_MM = 4.0
"""A lumbar canal is about 20 mm wide: two coarse steps cannot miss it, and a fine one resolves its middle."""
OFF_CENTER_PENALTY = 0.004
"""Per mm from the geometric middle: decides only between slices that show about the same."""
LEAST_CANAL_MM2 = 300.0
"""Less canal than this on the best slice (10 mm by 30 mm) is no lumbar canal; the middle slice is taken."""


def choose_slice(
    volume: SagittalVolume,
    segmenter: Segmenter,
    scale: float = 1.0,
    before_batch: Callable[[], None] | None = None,
) -> tuple[SliceSegmentation, str, dict[int, SliceSegmentation]]:
    """Find the mid-sagittal slice.

    Slices are looked at in coarse steps from the geometric middle outward, as far as they get better, then finely
    around the best. A slice scores by its area of canal plus discs. `before_batch` is called before each batch of
    slices that the network looks at; an exception raised in it stops the search.

    Returns
    -------
    tuple
        Segmentation of the chosen slice, the reason in words, and all segmentations made on the way by slice index.
    """
    middle = volume.middle_slice_index
    seen: dict[int, SliceSegmentation] = {}

    def look(indices: list[int]) -> None:
        new = [i for i in dict.fromkeys(indices) if 0 <= i < volume.slice_count and i not in seen]
        if new:
            if before_batch is not None:
                before_batch()
            seen.update(zip(new, segmenter.segment(volume, new, scale), strict=True))

    def score(index: int) -> float:
        found = seen[index]
        area = found.area_mm2(Tissue.CANAL) + 0.5 * found.area_mm2(Tissue.DISC)
        off_center_mm = abs(index - middle) * volume.spacing_mm[0]
        return area * (1.0 - OFF_CENTER_PENALTY * min(off_center_mm, 100.0))

    if volume.slice_count == 1:
        look([0])
        return seen[0], "the only slice", seen
    coarse = max(1, round(COARSE_STEP_MM / volume.spacing_mm[0]))
    fine = max(1, round(FINE_STEP_MM / volume.spacing_mm[0]))
    look([middle, middle - coarse, middle + coarse])
    best = max(seen, key=score)
    while best in (min(seen), max(seen)) and (step := coarse if best == max(seen) else -coarse):
        look([best + step])
        if best + step not in seen or score(best + step) <= score(best):
            break
        best = best + step
    if seen[best].area_mm2(Tissue.CANAL) < LEAST_CANAL_MM2:
        return seen[middle], "the geometric middle: no spinal canal was recognized on the slices", seen
    look([best - fine, best + fine])
    best = max(seen, key=score)
    offset_mm = (best - middle) * volume.spacing_mm[0]
    where = "the geometric middle" if best == middle else f"{abs(offset_mm):.1f} mm {_side(offset_mm)} of the middle"
    return seen[best], f"chosen by content (most of the spinal canal and discs): {where}", seen


def _side(offset_mm: float) -> str:
    return "left" if np.sign(offset_mm) > 0 else "right"
