"""Looking again for a disc that was missed: where its level must lie, on one segmented slice after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import ImagingError
from ..pfirrmann import DISC_LABELS, Tissue
from .discs import (
    FAINT_PROBABILITY,
    HALF_LENGTH_MM,
    MIN_FAINT_AREA_MM2,
    DiscRegion,
    SpineRegions,
    faint_discs,
    find_regions,
    in_front_of_canal,
    region_of_mask,
    trimmed,
)
from .measurements import extent_mm
from .missing_places import is_in_image, missing_places, slice_at
from .plausibility import LEAST_BETWEEN, odd_discs, share_between
from .result import DiscGrade, GradingResult

if TYPE_CHECKING:
    from .segmenter import SliceSegmentation

REACH_MM = 10.0
"""Slices are looked at that lie no further than this from the graded one: a lumbar disc is 50 mm wide, the canal 20."""
LEAST_STEP_MM = 1.8
"""Nearer to each other than this, slices show the same."""
COST_PER_MM = 0.03
"""What a slice loses against the graded one for each mm that lies between them, in mean probability of being disc."""
LOWER_PROBABILITIES = (0.3, FAINT_PROBABILITY)
"""Thresholds tried, one after the other, where the network calls nothing a disc."""
HALF_WINDOW_STEPS = 0.4
"""Along the spine the disc's centre lies within this many distances of neighbouring discs of the expected place."""
LEAST_LENGTH_SHARE, LEAST_AREA_SHARE = 0.6, 0.2
"""Of the median disc of the spine: what is less is a shadow beside an end plate or a piece of something else."""
MOST_COVERED = 0.3
"""Share of a candidate that may lie within another disc of the result."""


@dataclass(frozen=True, eq=False)
class FoundDisc:
    """A missing disc that was found when the networks looked again.

    Attributes
    ----------
    level : str
    slice_index : int
        Canonical index of the slice on which it was seen, graded and measured.
    mask : ndarray of bool, shape (rows, columns)
        On that slice; where no other disc of the result lies, at the same place in the plane.
    disc : DiscGrade
    """

    level: str
    slice_index: int
    mask: NDArray[np.bool_]
    disc: DiscGrade


@dataclass(frozen=True, eq=False)
class Look:
    """What the segmentation network sees on one slice.

    Attributes
    ----------
    segmentation : SliceSegmentation
    regions : SpineRegions
    tissues : ndarray of uint8, shape (rows, columns)
    disc_probability : ndarray of float32, shape (rows, columns)
    """

    segmentation: SliceSegmentation
    regions: SpineRegions
    tissues: NDArray[np.uint8]
    disc_probability: NDArray[np.float32]

    @classmethod
    def at(cls, segmentation: SliceSegmentation, slice_shape: tuple[int, int]) -> Look:
        """Look at a segmented slice."""
        tissues, disc_probability, landmark = segmentation.on_slice(slice_shape)
        inside = np.ones(slice_shape, dtype=bool)
        regions = find_regions(tissues, disc_probability, landmark, inside, segmentation.spacing_mm)
        return cls(segmentation, regions, tissues, disc_probability)


def slices_to_search(result: GradingResult, level: str) -> list[int]:
    """Return the slices to look at for a missing level: that of the nearest disc first, then the nearest on both sides.

    Parameters
    ----------
    result : GradingResult
        Corrected or not.
    level : str

    Returns
    -------
    list of int
        Canonical indices; none where the level must lie outside the image.

    Raises
    ------
    ImagingError
        If the level is not missing.
    """
    if level not in result.missing_levels:
        raise ImagingError(f"{level} is not missing in the result; there is nothing to look for.")
    place = missing_places(result).get(level)
    if place is None or not is_in_image(result, place):
        return []
    volume, graded = result.volume, slice_at(result, place)
    step = max(1, round(LEAST_STEP_MM / volume.spacing_mm[0]))
    reach = range(step, int(REACH_MM / volume.spacing_mm[0] + 1e-6) + 1, step)
    wanted = [graded, *(graded + side * offset for offset in reach for side in (-1, 1))]
    return [index for index in wanted if 0 <= index < volume.slice_count]


class DiscSearch:
    """The search for the disc of one missing level.

    A candidate must lie where the level must lie, between its neighbours, in front of the canal, with vertebra on the
    way to each neighbour, and have the shape and the size of a disc of this spine. The best is the one whose mean
    probability of being disc is highest after `COST_PER_MM` is taken off for each mm between its slice and the graded
    one: a disc that is sure on the next slice wins over a shadow on the graded one, not over a disc there.

    Parameters
    ----------
    result : GradingResult
        Corrected or not.
    level : str
        One of its missing levels, whose place is known (`slices_to_search`).
    spacing_mm : tuple of float
        Pixel spacing of the slice along rows and columns with which it was graded.
    sees_vertebrae : bool
        False for a network that finds discs only.
    """

    def __init__(
        self, result: GradingResult, level: str, spacing_mm: tuple[float, float], sees_vertebrae: bool = True
    ) -> None:
        self.result, self.level, self.spacing_mm, self.sees_vertebrae = result, level, spacing_mm, sees_vertebrae
        self.place = missing_places(result)[level]
        self.start = slice_at(result, self.place)
        names = list(DISC_LABELS)
        discs = sorted(result.discs, key=lambda disc: -names.index(disc.level))  # from the feet up, as regions are
        self._discs = [region_of_mask(result.label_slice == disc.label_value, spacing_mm) for disc in discs]
        self._usual_mm2 = float(np.median([disc.area_mm2 for disc in self._discs]))
        self._usual_mm = float(np.median([extent_mm(disc.mask, disc.axis.along, spacing_mm) for disc in self._discs]))
        self._position = sum(names.index(disc.level) > names.index(level) for disc in discs)

    def best(self, slices: Iterable[int], look: Callable[[int], Look]) -> tuple[Look, DiscRegion] | None:
        """Return the best candidate and what is seen on its slice; None where there is none.

        Parameters
        ----------
        slices : iterable of int
            From `slices_to_search`; one that is too far away to win any more is not looked at.
        look : callable
            Segments the slice of an index.
        """
        best: tuple[Look, DiscRegion] | None = None
        best_score = 0.0
        for index in slices:
            cost = COST_PER_MM * abs(index - self.start) * self.result.volume.spacing_mm[0]
            if best_score >= 1.0 - cost:
                break
            seen = look(index)
            candidate = self.candidate(seen)
            if candidate is not None and candidate.probability - cost > best_score:
                best, best_score = (seen, candidate), candidate.probability - cost
        return best

    def candidate(self, seen: Look) -> DiscRegion | None:
        """Return what can be the disc on a slice, at the highest probability at which there is something."""
        window, free = self._window(), self.result.label_slice == 0
        allowed = window & free & (seen.tissues != Tissue.CANAL)
        candidates = [disc for disc in seen.regions.discs if _lies_in(window, disc, self.spacing_mm)]
        for least in (None, *LOWER_PROBABILITIES):
            if least is not None:
                faint = allowed & (seen.disc_probability >= least)
                candidates = faint_discs(faint, seen.disc_probability, self.spacing_mm)
            fitting = [trimmed(disc, free, self.spacing_mm) for disc in candidates if self._fits(disc, seen)]
            if fitting:
                return max(fitting, key=lambda disc: disc.area_mm2 * disc.probability)
        return None

    def _window(self) -> NDArray[np.bool_]:
        """Return where the disc's centre may lie: around the expected place, along the line through the neighbours."""
        center, step = np.array(self.place) * self.spacing_mm, self._step_mm()
        length = float(np.linalg.norm(step))
        rows, columns = np.indices(self.result.label_slice.shape)
        down, back = rows * self.spacing_mm[0] - center[0], columns * self.spacing_mm[1] - center[1]
        along = np.abs(down * step[0] + back * step[1]) / length**2
        beside = np.abs(down * step[1] - back * step[0]) / length
        return (along < HALF_WINDOW_STEPS) & (beside < HALF_LENGTH_MM)

    def _step_mm(self) -> NDArray[np.float64]:
        """Return the way from the expected place to that of the level above, or from that of the level below."""
        places = {disc.level: disc.center_row_column for disc in self.result.discs} | missing_places(self.result)
        row = [level for level in DISC_LABELS if level in places]
        at = row.index(self.level)
        lower, upper = (row[at], row[at - 1]) if at else (row[at + 1], row[at])
        return (np.array(places[upper]) - np.array(places[lower])) * self.spacing_mm

    def _fits(self, disc: DiscRegion, seen: Look) -> bool:
        covered = float((self.result.label_slice[disc.mask] > 0).mean())
        least = max(MIN_FAINT_AREA_MM2, LEAST_AREA_SHARE * self._usual_mm2)
        in_front = in_front_of_canal([disc], seen.regions.canal, self.spacing_mm)
        length_mm = extent_mm(disc.mask, disc.axis.along, self.spacing_mm)
        is_small = disc.area_mm2 < least or length_mm < LEAST_LENGTH_SHARE * self._usual_mm
        if covered > MOST_COVERED or is_small or not in_front:
            return False
        row = (*self._discs[: self._position], disc, *self._discs[self._position :])
        if odd_discs(row, seen.regions)[self._position]:
            return False
        neighbours = self._discs[max(0, self._position - 1) : self._position + 1]
        vertebra = seen.tissues == Tissue.VERTEBRA
        return not self.sees_vertebrae or all(
            share_between(disc, other, vertebra, self.spacing_mm) >= LEAST_BETWEEN for other in neighbours
        )


SAME_PLACE_MM = 12.0
"""A third of the distance of neighbouring discs: what lies further away in the plane is another disc."""


def disc_at(result: GradingResult, level: str, regions: SpineRegions) -> DiscRegion | None:
    """Return the disc of another slice that lies where a disc of the result does, without what others cover.

    Parameters
    ----------
    result : GradingResult
    level : str
        Of one of its discs.
    regions : SpineRegions
        Of the other slice.
    """
    disc = result.disc(level)
    if disc is None:
        raise ImagingError(f"There is no disc {level} in the result.")
    place = np.array(disc.center_row_column) * regions.spacing_mm
    apart = {id(region): float(np.linalg.norm(region.center_mm - place)) for region in regions.discs}
    near = [region for region in regions.discs if apart[id(region)] < SAME_PLACE_MM]
    if not near:
        return None
    region = min(near, key=lambda region: apart[id(region)])
    free = (result.label_slice == 0) | (result.label_slice == disc.label_value)
    return trimmed(region, free, regions.spacing_mm) if (region.mask & free).any() else None


def _lies_in(window: NDArray[np.bool_], disc: DiscRegion, spacing_mm: tuple[float, float]) -> bool:
    row, column = np.round(disc.center_mm / spacing_mm).astype(int)
    return bool(window[row, column])
