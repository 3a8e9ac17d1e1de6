"""Which level each disc is: by what is seen of each level, or counted from the lumbosacral junction.

It is never the lowest blob that decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...pfirrmann import LEVELS_UPWARD
from ..discs import USUAL_GAP, BodyRegion, DiscRegion, SpineRegions
from .chain import DOUBTED_COUNT, SURE_COUNT, Chain, best_chain
from .sight import DOUBTED_PROBABILITY, LevelSight

NEAREST_DISC_MM = 18.0
"""Centres of neighbouring lumbar discs lie at least this far apart (about 30-40 mm in adults)."""
SIDE_BY_SIDE_MM = 9.0
"""Centres that differ less than this in height belong to pieces of one level (neighbours in steep lordosis: 16 mm)."""
MARKED_PROBABILITY = 0.5
"""A disc whose mean landmark probability is at least this is marked as L5-S1."""
REMNANT_SHARE = 0.5
"""Of two discs that are marked, the lower is a sacral remnant if it has less than this share of the other's area."""
STEEP_DEGREES = 24.0
"""L4-L5 seldom falls forward more than this; L5-S1 mostly does."""
BODY_BELOW_MM = 38.0
"""A vertebral body whose centre is nearer than this below a disc rests right under it."""


CHECK_LEVELS = "check the levels"
"""In each warning that questions the names."""
WHOLE_BODY_SHARE = 0.6
"""Of the median body's area: less is a part of the sacrum that was taken for a vertebra."""
SACRUM_ROOM_STEPS = 0.8
"""Below the middle of a disc that is marked as L5-S1 the sacrum needs this many times the usual distance of discs (1.1
at least in 400 patients): an image that ends earlier does not show what tells L5-S1 from the discs above."""
JUNCTION_ROOM_STEPS = 1.7
"""Below the lowest disc found, L5 and the lumbosacral disc need this many times the usual distance of discs."""


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
    confidence : float or None
        Calibrated probability that the names are right; None where the network does not tell.
    """

    levels: tuple[str, ...]
    discs: tuple[DiscRegion, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    trusted: bool
    confidence: float | None = None


SEEN_SHARE = 0.05
"""Of the robust range of a slice: rows whose brightest pixels are darker show nothing."""


def shown_bottom_mm(slice_2d: NDArray, row_mm: float) -> float:
    """Return where a slice ends towards the feet: at its last row that shows anything, for pictures may be padded.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    row_mm : float
        Distance of the rows.
    """
    values = np.asarray(slice_2d, dtype=np.float32)
    dark, bright = np.percentile(values, (0.5, 99.5))
    shown = np.flatnonzero(np.percentile(values, 99, axis=1) - dark > SEEN_SHARE * (bright - dark))
    return float(shown[-1] if len(shown) else len(values) - 1) * row_mm


def name_levels(regions: SpineRegions, image_bottom_mm: float, sight: LevelSight | None = None) -> NamedDiscs:
    """Name the discs of a slice.

    Where the network tells where it sees which level, all discs are named at once by that (`chain.best_chain`).

    Else they are counted. The lumbosacral disc is the one that the network marks as such; of several, the highest
    without a vertebral body below it (the sacrum is not of the class vertebra). Where none is marked the bodies decide:
    one without a disc below it means that L5-S1 was not found. Where the image ends above the junction the names are an
    assumption, and said so.

    Parameters
    ----------
    regions : SpineRegions
    image_bottom_mm : float
        Row position in mm of the lower edge of the image, from `shown_bottom_mm`.
    sight : LevelSight, optional
    """
    counted = _counted(regions, image_bottom_mm)
    if sight is None or not regions.discs:
        return counted
    return _named_by_sight(_chain_of(regions, sight, counted), sight, counted)


def chain_of(regions: SpineRegions, image_bottom_mm: float, sight: LevelSight) -> Chain:
    """Return the chain by which `name_levels` names the discs; parameters as there, of at least one disc."""
    return _chain_of(regions, sight, _counted(regions, image_bottom_mm))


def _chain_of(regions: SpineRegions, sight: LevelSight, counted: NamedDiscs) -> Chain:
    by_counting = dict(zip(map(id, counted.discs), counted.levels, strict=True))
    positions = {
        index: LEVELS_UPWARD.index(by_counting[id(disc)])
        for index, disc in enumerate(regions.discs)
        if id(disc) in by_counting
    }
    if _UNSEEN in counted.warnings:
        return best_chain(regions.discs, sight)
    return best_chain(regions.discs, sight, positions, SURE_COUNT if counted.trusted else DOUBTED_COUNT)


def _counted(regions: SpineRegions, image_bottom_mm: float) -> NamedDiscs:
    discs = _one_chain(regions.discs)
    if not discs:
        return NamedDiscs((), (), (), ("No intervertebral disc was found.",), False)
    steps = [float(np.linalg.norm(above.center_mm - below.center_mm)) for below, above in pairwise(discs)]
    usual = float(np.median(steps)) if steps else 36.0
    anchor, offset, trusted, warnings = _anchor(discs, regions.bodies, image_bottom_mm, usual)
    discs, steps = discs[anchor:], steps[anchor:]

    positions, missing = [offset], list(range(offset))
    for step in steps:
        skipped = max(0, round(step / usual) - 1) if step > USUAL_GAP * usual else 0
        missing += range(positions[-1] + 1, positions[-1] + 1 + skipped)
        positions.append(positions[-1] + 1 + skipped)
    kept = [(LEVELS_UPWARD[p], disc) for p, disc in zip(positions, discs, strict=True) if p < len(LEVELS_UPWARD)]
    missing_levels = tuple(LEVELS_UPWARD[p] for p in missing if p < len(LEVELS_UPWARD))
    warnings += [f"The disc {level} was not found; look at it yourself." for level in missing_levels]
    levels, named = tuple(level for level, _ in kept), tuple(disc for _, disc in kept)
    return NamedDiscs(levels, named, missing_levels, tuple(warnings), trusted)


def _named_by_sight(chain: Chain, sight: LevelSight, counted: NamedDiscs) -> NamedDiscs:
    """Name the discs of a chain; what counting doubts, or names otherwise, is doubted however sure the chain is."""
    lowest, confidence = chain.positions[0], chain.confidence(sight.temperature)
    kept = [
        (LEVELS_UPWARD[p], disc) for p, disc in zip(chain.positions, chain.discs, strict=True) if p < len(LEVELS_UPWARD)
    ]
    otherwise = dict(zip(map(id, counted.discs), counted.levels, strict=True))
    differs = any(otherwise.get(id(disc), level) != level for level, disc in kept)
    junction_unseen = 0 in chain.unseen
    missing = [p for p in range(chain.positions[-1]) if p not in chain.positions and p not in chain.unseen]
    missing_levels = tuple(LEVELS_UPWARD[p] for p in missing if p < len(LEVELS_UPWARD))
    warnings = [_UNSEEN] if junction_unseen or _UNSEEN in counted.warnings else []
    if confidence < DOUBTED_PROBABILITY:
        warnings.append(f"{_IMPROBABLE.format(100 * confidence)} check the levels (transitional anatomy?).")
    elif differs:
        warnings.append("Counted from the lumbosacral junction, the levels have other names; check the levels.")
    else:
        warnings += [warning for warning in counted.warnings if CHECK_LEVELS in warning]
    if chain.below and lowest == 0:
        warnings.append("A disc below L5-S1 (sacral remnant or transitional anatomy) was left out.")
    warnings += [f"The disc {level} was not found; look at it yourself." for level in missing_levels]
    return NamedDiscs(
        tuple(level for level, _ in kept),
        tuple(disc for _, disc in kept),
        missing_levels,
        tuple(warnings),
        not any(mark in warning for warning in warnings for mark in (_UNSEEN, CHECK_LEVELS)),
        confidence,
    )


_IMPROBABLE = "The names of the levels are right with a probability of {:.0f} % only;"


def _one_chain(discs: tuple[DiscRegion, ...]) -> list[DiscRegion]:
    """Keep the discs that follow each other along the spine; of two at one level, drop the smaller."""
    chain = list(discs)
    while len(chain) > 2:
        offsets = np.array([[a.center_mm - b.center_mm for b in chain] for a in chain])
        too_near = (np.linalg.norm(offsets, axis=2) < NEAREST_DISC_MM) | (np.abs(offsets[..., 0]) < SIDE_BY_SIDE_MM)
        np.fill_diagonal(too_near, False)
        crowded = np.argwhere(too_near)
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
    resting_on = [_body_below(disc, bodies) for disc in discs]
    body_below = [body is not None for body in resting_on]
    room_mm = image_bottom_mm - lowest.center_mm[0]
    marked = _marked_lumbosacral(discs, body_below)
    if marked is not None:
        warnings = [] if marked == 0 else ["A disc below L5-S1 (sacral remnant or transitional anatomy) was left out."]
        if body_below[marked]:
            warnings.append("A vertebral body seems to lie below L5-S1; check the levels (transitional anatomy?).")
        rival = any(_is_marked(disc) for disc in discs[marked + 1 :])
        if rival:
            warnings.append("A disc above L5-S1 looks like it, too; check the levels (transitional anatomy?).")
        doubtful = not rival and _may_be_remnant(discs, marked)
        if doubtful:
            warnings.append("L5-S1 is small below a disc as steep as L5-S1; check the levels (transitional anatomy?).")
        ends = image_bottom_mm - discs[marked].center_mm[0] < SACRUM_ROOM_STEPS * usual
        if ends:
            warnings.insert(0, _UNSEEN)
        return marked, 0, not (body_below[marked] or rival or doubtful or ends), warnings
    if resting_on[0] is not None:
        below = _bodies_from(resting_on[0], bodies, usual)
        seen = room_mm > (JUNCTION_ROOM_STEPS + below - 1) * usual
        return 0, below, seen, [] if seen else [_UNSEEN]
    if room_mm < 0.9 * usual:
        return 0, 0, False, [_UNSEEN]
    unsure = np.isfinite(lowest.lumbosacral)
    warnings = ["The lowest disc does not look like L5-S1; check the levels."] if unsure else []
    return 0, 0, not unsure, warnings


_UNSEEN = "The lumbosacral junction is not in the image; the levels are an assumption, check them."


def _is_marked(disc: DiscRegion) -> bool:
    return disc.lumbosacral >= MARKED_PROBABILITY


def _may_be_remnant(discs: list[DiscRegion], marked: int) -> bool:
    """Tell whether the disc that is marked may lie in the sacrum: small, below one that is as steep as L5-S1."""
    if marked + 1 == len(discs):
        return False
    disc, above = discs[marked], discs[marked + 1]
    return disc.area_mm2 < REMNANT_SHARE * above.area_mm2 and above.axis.angle_degrees < -STEEP_DEGREES


def _marked_lumbosacral(discs: list[DiscRegion], body_below: list[bool]) -> int | None:
    """Return the disc that the network marks as L5-S1; of several, the highest without a vertebral body below it.

    What is marked below that one lies in the sacrum: the remnant of a sacral disc, small beside the disc above it.
    """
    marked = [index for index, disc in enumerate(discs) if _is_marked(disc)]
    if not marked:
        return None
    largest = max(discs[index].area_mm2 for index in marked)
    marked = [index for index in marked if discs[index].area_mm2 >= REMNANT_SHARE * largest or index == marked[-1]]
    free = [index for index in marked if not body_below[index]]
    return free[-1] if free else max(marked, key=lambda index: discs[index].lumbosacral)


def _body_below(disc: DiscRegion, bodies: tuple[BodyRegion, ...]) -> BodyRegion | None:
    """Return the whole vertebral body on which a disc rests, None where there is none."""
    for body in bodies:
        offset = body.center_mm - disc.center_mm
        below, beside = offset @ disc.axis.across, offset @ disc.axis.along
        if _is_whole(body, bodies) and 6.0 < below < BODY_BELOW_MM and abs(beside) < 18.0:
            return body
    return None


def _is_whole(body: BodyRegion, bodies: tuple[BodyRegion, ...]) -> bool:
    return body.area_mm2 >= WHOLE_BODY_SHARE * float(np.median([other.area_mm2 for other in bodies]))


def _bodies_from(body: BodyRegion, bodies: tuple[BodyRegion, ...], usual: float) -> int:
    """Count a vertebral body and the whole ones that follow below it, as far from each other as discs usually are."""
    count, last = 1, body.center_mm
    for other in sorted(bodies, key=lambda other: other.center_mm[0]):
        step = float(np.linalg.norm(other.center_mm - last))
        if _is_whole(other, bodies) and other.center_mm[0] > last[0] and 0.6 * usual < step < 1.4 * usual:
            count, last = count + 1, other.center_mm
    return count
