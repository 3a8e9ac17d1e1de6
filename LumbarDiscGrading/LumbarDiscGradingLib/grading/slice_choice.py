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
PLATEAU_SHARE = 0.85
"""Slices over the canal's width show about the same; those above this share of the best score decide, by its centre."""
KEPT_MIDDLE_MM = 3.0
"""Nearer than this to it, the centre of the canal is no reason to leave the geometric middle."""
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
    around the best. A slice scores by its area of canal plus discs. The scores are flat over the width of the canal, so
    their centre is taken and not their peak, which noise would decide: in fine steps from the geometric middle, which
    is kept where the centre is near it. `before_batch` is called before each batch of slices that the network looks at;
    an exception raised in it stops the search.

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
        return seen[index].area_mm2(Tissue.CANAL) + 0.5 * seen[index].area_mm2(Tissue.DISC)

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
    steps = steps_to_center({index: score(index) for index in seen}, middle, fine, volume.spacing_mm[0])
    chosen = int(np.clip(middle + fine * steps, 0, volume.slice_count - 1))
    look([chosen])
    offset_mm = (chosen - middle) * volume.spacing_mm[0]
    where = "the geometric middle" if chosen == middle else f"{abs(offset_mm):.1f} mm {_side(offset_mm)} of the middle"
    return seen[chosen], f"chosen by content (middle of the spinal canal and discs): {where}", seen


def steps_to_center(scores: dict[int, float], middle: int, fine: int, spacing_mm: float) -> int:
    """Return how many fine steps the centre of the best scores lies from the geometric middle.

    Parameters
    ----------
    scores : dict of int to float
        Score of each slice looked at, by index.
    middle, fine : int
        Index of the geometric middle; slices of a fine step.
    spacing_mm : float
        Distance of neighbouring slices.
    """
    indices = np.array(sorted(scores))
    values = np.array([scores[index] for index in indices])
    weights = np.clip(values / values.max() - PLATEAU_SHARE, 0.0, None)
    center_mm = float((indices - middle) @ weights / weights.sum()) * spacing_mm
    if abs(center_mm) < KEPT_MIDDLE_MM:
        return 0
    return int(np.sign(center_mm)) * max(1, round(abs(center_mm) / (fine * spacing_mm)))


def _side(offset_mm: float) -> str:
    return "left" if np.sign(offset_mm) > 0 else "right"
