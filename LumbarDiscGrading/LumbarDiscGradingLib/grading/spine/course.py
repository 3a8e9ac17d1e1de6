"""How the spine runs across the slices: in words for the choice of slices, and in numbers as a hint at scoliosis."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ...imaging.volume import SagittalVolume
from ..result import DiscGrade, DiscOffset, SpineCourse
from .curve import SpineCurve

LEAST_DISCS = 3
"""Two discs always lie on a straight line."""


def slice_reason(volume: SagittalVolume, reason: str, discs: tuple[DiscGrade, ...], main: int) -> str:
    """Return the reason for the slices, with how far the spine leaves the one that most discs share.

    Parameters
    ----------
    volume : SagittalVolume
    reason : str
        For the slice that most discs share.
    discs : tuple of DiscGrade
        Each with its slice.
    main : int
        Canonical index of that slice.
    """
    slices = {main} | {disc.slice_index for disc in discs if disc.slice_index is not None}
    if len(slices) == 1:
        return reason
    furthest = max(discs, key=lambda disc: abs((main if disc.slice_index is None else disc.slice_index) - main))
    apart_mm = abs((furthest.slice_index or 0) - main) * volume.spacing_mm[0]
    return f"{reason}; spine leaves the slice by {apart_mm:.0f} mm at {furthest.level}; {len(slices)} slices used"


def course_of(volume: SagittalVolume, curve: SpineCurve, discs: tuple[DiscGrade, ...]) -> SpineCourse | None:
    """Return the offset of each disc from the straight line between the outermost ones, and the tilts between them.

    Parameters
    ----------
    volume : SagittalVolume
    curve : SpineCurve
    discs : tuple of DiscGrade
        Head to feet.

    Returns
    -------
    SpineCourse or None
        None where there are fewer than three discs.
    """
    if len(discs) < LEAST_DISCS:
        return None
    heights = np.array([disc.center_row_column[0] for disc in discs]) * volume.spacing_mm[1]
    spacing = np.array(volume.spacing_mm[1:])
    across = curve.across_at(np.array([disc.center_row_column for disc in discs]) * spacing)
    line = across[0] + (across[-1] - across[0]) * (heights - heights[0]) / (heights[-1] - heights[0])
    tilts = [
        float(np.degrees(np.arctan2(a1 - a0, h1 - h0)))
        for (a0, a1), (h0, h1) in zip(pairwise(across), pairwise(heights), strict=True)
    ]
    return SpineCourse(
        tuple(
            DiscOffset(disc.level, round(float(offset), 1) + 0.0, None if tilt is None else round(tilt, 1) + 0.0)
            for disc, offset, tilt in zip(discs, across - line, (*tilts, None), strict=True)
        )
    )
