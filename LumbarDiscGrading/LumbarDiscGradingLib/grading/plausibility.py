"""Whether what was found can be a row of lumbar discs: the checks that a radiologist makes by eye, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import ImagingError
from ..pfirrmann import Tissue

if TYPE_CHECKING:
    from ..imaging.crop import DiscAxis
    from .discs import DiscRegion, SpineRegions
    from .naming.levels import NamedDiscs

DISC_LENGTH_MM = (14.0, 62.0)
"""Extent along the disc's own axis: 26-44 mm in 9 of 10 discs of some 400 patients; a child's disc, a mask that misses
an end and one that takes in an osteophyte lie between these limits."""
MOST_HEIGHT_MM = 17.0
"""Mean height over the length: about 9 mm, 14 mm in the highest disc of some 400 patients; a vertebra has 25 mm."""
LEAST_ELONGATION = 1.5
"""Spread along the disc's axis over that across it: 2.2 or more in a whole disc, 1 in a round blob."""
LEAST_FILL = 0.25
"""Share of the disc's own box that is disc: 0.7 usually; scattered crumbs fill less than this."""
LEAST_SHARE_OF_LENGTH = 0.42
"""Of the median disc of the same spine; neighbours differ by a fifth, and less than this is a fragment of one."""
MOST_TURNED_DEGREES = 50.0
"""Between a disc's short axis and the line through its neighbours: 5 degrees usually, 40 beside a vertebral slip."""
MOST_CANAL_GAP_MM = 30.0
"""From a disc's back to the canal behind it: 2 mm usually; a slip, or a slice that leaves the canal, makes it wide."""
BESIDE_MM = 8.0
"""The canal that lies within this height of a disc is beside it."""

LEAST_DISCS = 3
"""Two discs have no spacing that could be compared, and a lumbar series shows five."""
LEAST_SHARE_OF_DISCS = 0.5
"""Where no more than this share of the discs has the shape and place of one, the others are chance as well."""
LEAST_BETWEEN = 0.6
"""Share of vertebra on the lines between neighbouring discs: 0.67 or more in real spines, mostly all."""
LEAST_BESIDE_CANAL = 0.4
"""Share of discs with canal beside them, on a slice that can be called mid-sagittal."""
DOUBTFUL_BESIDE_CANAL = 0.7
MOST_ASTRAY_DEGREES = 22.0
"""Median of how far the discs are turned from the line through them; 9 degrees in 99 of 100 images, 17 at most."""
LYING_DEGREES = 35.0
"""A line through the discs that leans further than this is that of a turned picture: 18 at most in 400 patients."""
MOST_STEP_RATIO = 2.6
"""Longest over median distance of neighbours: 1.5 at most, 2 where a disc was missed; more is no one chain."""
MOST_BEHIND_CANAL = 0.15
"""Share of what was taken for disc that lies behind the canal: none in 400 patients, most where front is back."""
USUAL_STEP_MM, POSSIBLE_STEP_MM = (25.5, 45.0), (20.0, 58.0)
"""Median distance of neighbouring lumbar discs: 35 mm, 26.1-42.0 in 137 of 138 images of known scale (the other is
scaled wrongly); and what no adult can have."""
LUMBAR_STEPS = 5
"""Steps from the feet upward that are lumbar; thoracic discs lie nearer to each other."""

SPECK_SHARE = 0.02
"""A piece with less than this share of a mask, or a pixel or two, is a slip of the brush."""

WRONG_SCALE = "the pixel size is probably wrong; correct it"


class NoDiscsError(ImagingError):
    """No intervertebral disc was found."""


class ImplausibleResultError(NoDiscsError):
    """What was found cannot be a row of discs; the message names the likely cause."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said of the discs that were found.

    Attributes
    ----------
    odd_levels : tuple of str
        Levels whose mask has not the shape or the place of a disc.
    fault : str
        Why the whole cannot be a lumbar spine, as half a sentence; empty where it can.
    cause : str
        What probably made the fault and what to do, as half a sentence; empty where the discs do not tell.
    doubts : tuple of str
        What speaks against the whole without ruling it out, one sentence each.
    """

    odd_levels: tuple[str, ...] = ()
    fault: str = ""
    cause: str = ""
    doubts: tuple[str, ...] = ()


def judged(
    named: NamedDiscs,
    regions: SpineRegions,
    tissues: NDArray[np.uint8],
    scale_known: bool,
    sees_all: bool = True,
    slice_given: bool = False,
) -> Verdict:
    """Judge the discs of a slice: each one's shape and place, and the row that they make.

    Parameters
    ----------
    named : NamedDiscs
    regions : SpineRegions
    tissues : ndarray of uint8, shape (rows, columns)
        Tissue classes as found by the network.
    scale_known : bool
        False where the scale was made to fit the discs' distance, which then tells nothing.
    sees_all : bool
        False for a network that finds discs only, neither vertebrae nor canal.
    slice_given : bool
        Whether the user chose the slice: one beside the canal is then a doubt, no fault.
    """
    discs = named.discs
    if len(discs) < LEAST_DISCS:
        count = ("no disc was", "only one disc was", "only two discs were")[len(discs)]
        return Verdict(fault=f"{count} found, too few to tell that they are lumbar discs")
    shapes = [_Shape.of(disc.mask, disc.axis, regions.spacing_mm) for disc in discs]
    canal = _points_mm(regions.canal, regions.spacing_mm)
    backs = [_gap_to_canal(disc, shape, canal) for disc, shape in zip(discs, shapes, strict=True)]
    turned = _turned_degrees(discs)
    odd = _odd(shapes, backs, turned)
    beside = sum(back is not None for back in backs)
    step = float(np.median(_steps_mm(discs)[:LUMBAR_STEPS]))
    fault = _fault_of_row(discs, odd, turned)
    if not fault and sees_all and not slice_given and beside < LEAST_BESIDE_CANAL * len(discs):
        fault = "no spinal canal was recognized behind the discs"
    if not fault and sees_all:
        fault = _fault_of_surroundings(discs, tissues, regions.spacing_mm)
    cause = ""
    if scale_known and not POSSIBLE_STEP_MM[0] < step < POSSIBLE_STEP_MM[1]:
        fault, cause = f"the discs lie {step:.0f} mm apart, 35 mm in adults", WRONG_SCALE
    doubts = []
    if scale_known and not USUAL_STEP_MM[0] < step < USUAL_STEP_MM[1]:
        doubts.append(f"The discs lie {step:.0f} mm apart (35 mm in adults); check the pixel size.")
    if sees_all and beside < DOUBTFUL_BESIDE_CANAL * len(discs):
        doubts.append(
            f"The spinal canal was recognized beside {beside} of {len(discs)} discs; "
            "check that the slice is mid-sagittal."
        )
    odd_levels = tuple(level for level, is_odd in zip(named.levels, odd, strict=True) if is_odd)
    return Verdict(odd_levels, fault, cause, tuple(doubts))


def odd_discs(discs: tuple[DiscRegion, ...], regions: SpineRegions) -> list[bool]:
    """Tell for each disc of a row whether its shape or its place is not that of a disc.

    Parameters
    ----------
    discs : tuple of DiscRegion
        From the feet upward.
    regions : SpineRegions
        With the canal of the slice.
    """
    shapes = [_Shape.of(disc.mask, disc.axis, regions.spacing_mm) for disc in discs]
    canal = _points_mm(regions.canal, regions.spacing_mm)
    backs = [_gap_to_canal(disc, shape, canal) for disc, shape in zip(discs, shapes, strict=True)]
    return _odd(shapes, backs, _turned_degrees(discs))


def _odd(shapes: list[_Shape], backs: list[float | None], turned: list[float]) -> list[bool]:
    least_length = LEAST_SHARE_OF_LENGTH * float(np.median([shape.length_mm for shape in shapes]))
    return [
        not shape.is_disc
        or shape.length_mm < least_length
        or angle > MOST_TURNED_DEGREES
        or (back is not None and back > MOST_CANAL_GAP_MM)
        for shape, angle, back in zip(shapes, turned, backs, strict=True)
    ]


def mask_question(level: str, mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> str:
    """Return what to ask about a mask that a reader has drawn before it is graded; empty where it can be a disc.

    Parameters
    ----------
    level : str
    mask : ndarray of bool, shape (rows, columns)
        On the graded slice.
    spacing_mm : tuple of float
        Pixel spacing along rows and columns; of a picture without known scale, as estimated.
    """
    from .discs import joined_pieces, region_of_mask

    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return ""
    pieces = joined_pieces(mask, spacing_mm)
    pieces = [piece for piece in pieces if piece.sum() >= max(3.0, SPECK_SHARE * float(mask.sum()))]
    if len(pieces) > 1:
        count = "two" if len(pieces) == 2 else str(len(pieces))
        apart = max(_distance_mm(piece, mask & ~piece, spacing_mm) for piece in pieces)
        return (
            f"The mask of {level} is in {count} pieces {apart:.0f} mm apart; "
            "erase what is no disc, or grade it as it is?"
        )
    if not _Shape.of(mask, region_of_mask(mask, spacing_mm).axis, spacing_mm).is_disc:
        return f"The mask of {level} has not the shape of a disc; correct it, or grade it as it is?"
    return ""


def odd_disc_warning(level: str) -> str:
    """Return what a row says whose mask has not the shape or the place of a disc."""
    return f"{level}: the mask has not the shape of a disc; look at it yourself."


@dataclass(frozen=True)
class _Shape:
    """A mask along its axis and across it: extents in mm, area in mm2, and the ratio of the two spreads."""

    length_mm: float
    thickness_mm: float
    area_mm2: float
    elongation: float

    @classmethod
    def of(cls, mask: NDArray[np.bool_], axis: DiscAxis, spacing_mm: tuple[float, float]) -> _Shape:
        points = _points_mm(mask, spacing_mm)
        along, across = points @ axis.along, points @ axis.across
        pixel = np.array(spacing_mm)
        return cls(
            float(np.ptp(along) + np.abs(axis.along) @ pixel),
            float(np.ptp(across) + np.abs(axis.across) @ pixel),
            len(points) * spacing_mm[0] * spacing_mm[1],
            float(np.std(along) / max(float(np.std(across)), 1e-6)),
        )

    @property
    def is_disc(self) -> bool:
        """Whether a disc can look like that."""
        return (
            DISC_LENGTH_MM[0] <= self.length_mm <= DISC_LENGTH_MM[1]
            and self.area_mm2 <= MOST_HEIGHT_MM * self.length_mm
            and self.area_mm2 >= LEAST_FILL * self.length_mm * self.thickness_mm
            and self.elongation >= LEAST_ELONGATION
        )


def _points_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    return np.column_stack(np.divmod(np.flatnonzero(mask), mask.shape[1])) * np.array(spacing_mm)


def _turned_degrees(discs: tuple[DiscRegion, ...]) -> list[float]:
    """Return how far each disc's short axis is turned from the line between its neighbours."""
    last = len(discs) - 1
    turned = []
    for index, disc in enumerate(discs):
        line = discs[min(index + 1, last)].center_mm - discs[max(index - 1, 0)].center_mm
        cosine = abs(line @ disc.axis.across) / max(float(np.linalg.norm(line)), 1e-6)
        turned.append(float(np.degrees(np.arccos(min(cosine, 1.0)))))
    return turned


def _gap_to_canal(disc: DiscRegion, shape: _Shape, canal_mm: NDArray[np.float64]) -> float | None:
    """Return how far the canal lies behind the disc's back, along the disc; None where none is beside it."""
    offsets = canal_mm - disc.center_mm
    along = offsets @ disc.axis.along
    along = along[(along > 0.0) & (np.abs(offsets @ disc.axis.across) < BESIDE_MM)]
    return float(along.min()) - shape.length_mm / 2 if len(along) else None


def _steps_mm(discs: tuple[DiscRegion, ...]) -> list[float]:
    return [float(np.linalg.norm(above.center_mm - below.center_mm)) for below, above in pairwise(discs)]


def _share_behind_canal(tissues: NDArray[np.uint8]) -> float:
    """Return the share of disc pixels behind the largest part of the canal, of those in its rows."""
    from .discs import components

    parts = components(tissues == Tissue.CANAL)
    rows, columns = np.nonzero(tissues == Tissue.DISC)
    if not parts or not len(rows):
        return 0.0
    canal_rows, canal_columns = np.nonzero(parts[0])
    width = np.bincount(canal_rows, minlength=len(tissues))
    middle = np.bincount(canal_rows, canal_columns, len(tissues)) / np.maximum(width, 1)
    beside = width[rows] > 0
    return float((columns > middle[rows])[beside].mean()) if beside.any() else 0.0


def _fault_of_row(discs: tuple[DiscRegion, ...], odd: list[bool], turned: list[float]) -> str:
    sound = len(discs) - sum(odd)
    if sound < LEAST_DISCS or sound <= LEAST_SHARE_OF_DISCS * len(discs):
        return f"{sum(odd)} of {len(discs)} masks without the shape or the place of a disc"
    centers = np.array([disc.center_mm for disc in discs])
    down, back = np.abs(np.linalg.svd(centers - centers.mean(axis=0))[2][0])
    if np.degrees(np.arctan2(back, down)) > LYING_DEGREES:
        return "the masks lie side by side instead of one above the other"
    if float(np.median(turned)) > MOST_ASTRAY_DEGREES:
        return "the masks do not follow each other in one row along a spine"
    steps = _steps_mm(discs)
    if max(steps) > MOST_STEP_RATIO * float(np.median(steps)):
        return "the masks are not one chain of discs"
    return ""


def _fault_of_surroundings(
    discs: tuple[DiscRegion, ...], tissues: NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> str:
    if _share_behind_canal(tissues) > MOST_BEHIND_CANAL:
        return "what looks like discs lies behind the spinal canal"
    vertebra = tissues == Tissue.VERTEBRA
    if float(np.mean([share_between(*pair, vertebra, spacing_mm) for pair in pairwise(discs)])) < LEAST_BETWEEN:
        return "no vertebral bodies were recognized between the discs"
    return ""


def share_between(
    below: DiscRegion, above: DiscRegion, vertebra: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> float:
    """Return the share of vertebra on the line between two discs, without its ends that lie in the discs."""
    path = below.center_mm + np.linspace(0.2, 0.8, 30)[:, None] * (above.center_mm - below.center_mm)
    rows, columns = np.round(path / spacing_mm).astype(int).T
    return float(vertebra[rows, columns].mean())


def _distance_mm(mask: NDArray[np.bool_], other: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> float:
    others = _points_mm(other, spacing_mm)
    return min(float(np.linalg.norm(others - point, axis=1).min()) for point in _points_mm(mask, spacing_mm))
