"""Which level each disc is: counted from the lumbosacral junction, which is recognized, never the lowest blob."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..pfirrmann import LEVELS_UPWARD
from .discs import BodyRegion, DiscRegion, SpineRegions

NEXT_DISC_MM = (18.0, 55.0)
"""Centre-to-centre distances of neighbouring lumbar discs lie in this range (about 30-40 mm in adults)."""
MISSING_DISC_RATIO = 1.6
"""A gap this many times the usual distance of neighbours hides a disc that was not found."""
MARKED_PROBABILITY = 0.5
"""A disc whose mean landmark probability is at least this is marked as L5-S1."""
BODY_BELOW_MM = 38.0
"""A vertebral body whose centre is nearer than this below a disc rests right under it."""


@dataclass(frozen=True)
class NamedDiscs:
    """Discs with their levels.

    Attributes
    ----------
    levels : tuple of str
        Level of each disc of `discs`.
    discs : tuple of DiscRegion
        From the feet upward; regions that are no lumbar or thoracic disc (a sacral remnant) are left out.
    missing : tuple of str
        Levels that must be there, between others, below a vertebral body or above one, but were not found.
    warnings : tuple of str
    trusted : bool
        False where the lumbosacral junction was not seen, so that the names are an assumption.
    """

    levels: tuple[str, ...]
    discs: tuple[DiscRegion, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    trusted: bool


def name_levels(regions: SpineRegions, image_bottom_mm: float) -> NamedDiscs:
    """Name the discs of a slice.

    The lumbosacral disc is the one that the network marks as such and that has no vertebral body below it (the sacrum
    is not of the class vertebra). Where both signs fail, the vertebral bodies decide: a body without a disc below it
    means that L5-S1 was not found. Where the image ends above the junction the names are an assumption, and said to be.

    Parameters
    ----------
    regions : SpineRegions
    image_bottom_mm : float
        Row position in mm of the lower edge of the image.
    """
    discs = _one_chain(regions.discs)
    if not discs:
        return NamedDiscs((), (), (), ("No intervertebral disc was found.",), False)
    steps = [float(np.linalg.norm(above.center_mm - below.center_mm)) for below, above in pairwise(discs)]
    usual = float(np.median(steps)) if steps else 36.0
    anchor, offset, trusted, warnings = _anchor(discs, regions.bodies, image_bottom_mm, usual)
    discs, steps = discs[anchor:], steps[anchor:]

    positions, missing = [offset], list(range(offset))
    for step in steps:
        skipped = max(0, round(step / usual) - 1) if step > MISSING_DISC_RATIO * usual else 0
        missing += range(positions[-1] + 1, positions[-1] + 1 + skipped)
        positions.append(positions[-1] + 1 + skipped)
    kept = [(LEVELS_UPWARD[p], disc) for p, disc in zip(positions, discs, strict=True) if p < len(LEVELS_UPWARD)]
    missing_levels = tuple(LEVELS_UPWARD[p] for p in missing if p < len(LEVELS_UPWARD))
    warnings += [f"The disc {level} was not found; look at it yourself." for level in missing_levels]
    levels, named = tuple(level for level, _ in kept), tuple(disc for _, disc in kept)
    return NamedDiscs(levels, named, missing_levels, tuple(warnings), trusted)


def _one_chain(discs: tuple[DiscRegion, ...]) -> list[DiscRegion]:
    """Keep the discs that follow each other along the spine; drop a lone region beside or far from it."""
    chain = list(discs)
    while len(chain) > 2:
        distances = np.array([[np.linalg.norm(a.center_mm - b.center_mm) for b in chain] for a in chain])
        np.fill_diagonal(distances, np.inf)
        crowded = np.argwhere(distances < NEXT_DISC_MM[0])
        if len(crowded) == 0:
            break
        i, j = crowded[0]
        weaker = min((chain[i], chain[j]), key=lambda disc: disc.area_mm2 * disc.probability)
        chain = [disc for disc in chain if disc is not weaker]
    return chain


def _anchor(
    discs: list[DiscRegion], bodies: tuple[BodyRegion, ...], image_bottom_mm: float, usual: float
) -> tuple[int, int, bool, list[str]]:
    """Return the index of the lowest disc to keep, its position in `LEVELS_UPWARD`, whether sure, and warnings."""
    lowest = discs[0]
    body_below = [_has_body_below(disc, bodies) for disc in discs]
    marked = _marked_lumbosacral(discs, body_below)
    if marked is not None and not body_below[marked]:
        warnings = [] if marked == 0 else ["A disc below L5-S1 (sacral remnant or transitional anatomy) was left out."]
        return marked, 0, True, warnings
    if body_below[0]:
        room_mm = image_bottom_mm - lowest.center_mm[0]
        if room_mm > 1.7 * usual:
            return 0, 1, marked is None or marked != 0, []
        return 0, 0 if marked == 0 else 1, False, [_UNSEEN]
    if marked is not None and marked != 0:
        return marked, 0, False, ["The lumbosacral junction is ambiguous; check the levels (transitional anatomy?)."]
    room_mm = image_bottom_mm - lowest.center_mm[0]
    if room_mm < 0.9 * usual and (marked is None):
        return 0, 0, False, [_UNSEEN]
    unsure = np.isfinite(lowest.lumbosacral) and lowest.lumbosacral < 0.5
    warnings = ["The lowest disc does not look like L5-S1; check the levels."] if unsure else []
    return 0, 0, not unsure, warnings


_UNSEEN = "The lumbosacral junction is not in the image; the levels are an assumption, check them."


def _marked_lumbosacral(discs: list[DiscRegion], body_below: list[bool]) -> int | None:
    """Return the disc that the network marks as L5-S1; of several, the lowest without a vertebral body below it."""
    marked = [index for index, disc in enumerate(discs) if disc.lumbosacral >= MARKED_PROBABILITY]
    if not marked:
        return None
    free = [index for index in marked if not body_below[index]]
    return free[0] if free else max(marked, key=lambda index: discs[index].lumbosacral)


def _has_body_below(disc: DiscRegion, bodies: tuple[BodyRegion, ...]) -> bool:
    for body in bodies:
        offset = body.center_mm - disc.center_mm
        below, beside = offset @ disc.axis.across, offset @ disc.axis.along
        if 6.0 < below < BODY_BELOW_MM and abs(beside) < 18.0:
            return True
    return False
