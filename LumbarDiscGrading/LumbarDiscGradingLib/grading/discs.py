"""From tissue probabilities on one slice to separate discs, vertebral bodies and their order along the spine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..imaging.crop import DiscAxis, disc_axis
from ..pfirrmann import Tissue

MIN_DISC_AREA_MM2 = 45.0
"""A collapsed lumbar disc is 25 mm by 2-3 mm on the slice; anything smaller is a speck or a sliver at the edge."""
MIN_BODY_AREA_MM2 = 200.0
"""Half of a small vertebral body."""
MAX_FRAGMENT_GAP_MM = 9.0
"""Pieces of one disc that are parted by gas or a dark band lie closer together than this, along the disc."""
USUAL_GAP = 1.6
"""Centres of neighbouring discs that are this many times the usual distance apart have a disc between them."""
FAINT_PROBABILITY, MIN_FAINT_AREA_MM2 = 0.15, 20.0
"""Between such discs, pixels of this probability are taken for the collapsed disc that must be there."""
HALF_LENGTH_MM = 28.0
"""No lumbar disc reaches further than this from the line through the centres of its neighbours."""
MAX_TO_CANAL_MM = 65.0
"""No disc's centre lies further in front of the canal at its height: half a disc is 20 mm, the canal's bend 20 more."""
MARGIN_MM = 3.0
"""What lies this near to a disc's last pixel is its posterior margin."""
SPLIT_RADII_MM = (0.7, 1.4, 2.1)
"""Openings tried, one after the other, on discs that grew together."""


@dataclass(frozen=True)
class DiscRegion:
    """One disc on the slice.

    Attributes
    ----------
    mask : ndarray of bool, shape (rows, columns)
    axis : DiscAxis
    area_mm2 : float
    lumbosacral : float
        Mean probability over the disc's pixels that it is L5-S1; NaN where the network does not tell.
    probability : float
        Mean probability of being disc.
    touches_border : bool
        Whether the disc is cut by the edge of the image.
    spacing_mm : tuple of float
    """

    mask: NDArray[np.bool_]
    axis: DiscAxis
    area_mm2: float
    lumbosacral: float
    probability: float
    touches_border: bool
    spacing_mm: tuple[float, float] = (1.0, 1.0)

    @property
    def center_mm(self) -> NDArray[np.float64]:
        """Centroid (row, column) in mm."""
        return np.array(self.axis.center_mm)

    @property
    def posterior_mm(self) -> NDArray[np.float64]:
        """Middle of the posterior margin (row, column) in mm."""
        return posterior_margin_mm(self.mask, self.axis, self.spacing_mm)


def posterior_margin_mm(
    mask: NDArray[np.bool_], axis: DiscAxis, spacing_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the middle of a disc's posterior margin (row, column) in mm: of its last 3 mm along its axis."""
    points = pixels_of(mask) * np.array(spacing_mm)
    along = points @ axis.along
    return points[along >= along.max() - MARGIN_MM].mean(axis=0)


@dataclass(frozen=True)
class BodyRegion:
    """One vertebral body on the slice: mask, centroid (row, column) in mm, area in mm2."""

    mask: NDArray[np.bool_]
    center_mm: NDArray[np.float64]
    area_mm2: float


@dataclass(frozen=True)
class SpineRegions:
    """Discs and vertebral bodies of a slice, each from the feet upward, and the canal's mask."""

    discs: tuple[DiscRegion, ...]
    bodies: tuple[BodyRegion, ...]
    canal: NDArray[np.bool_]
    spacing_mm: tuple[float, float]


def find_regions(
    tissues: NDArray[np.uint8],
    disc_probability: NDArray[np.float32],
    lumbosacral: NDArray[np.float32] | None,
    inside: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
) -> SpineRegions:
    """Separate the discs and vertebral bodies of a slice.

    Parameters
    ----------
    tissues : ndarray of uint8, shape (rows, columns)
        Tissue classes.
    disc_probability : ndarray of float, shape (rows, columns)
    lumbosacral : ndarray of float, shape (rows, columns), or None
        Probability that a disc at this pixel is L5-S1.
    inside : ndarray of bool, shape (rows, columns)
        Where the image is (a canvas is larger than the field of view).
    spacing_mm : tuple of float
    """
    canal = _largest_parts(tissues == Tissue.CANAL, spacing_mm, 60.0)
    border = inside & ~_eroded(inside)
    pieces = [
        _region(piece, disc_probability, lumbosacral, border, spacing_mm)
        for piece in _disc_pieces(tissues == Tissue.DISC, spacing_mm)
    ]
    discs = _joined_fragments(pieces, tissues == Tissue.VERTEBRA, disc_probability, lumbosacral, border, spacing_mm)
    discs = [disc for disc in discs if disc.area_mm2 >= MIN_DISC_AREA_MM2]
    discs = in_front_of_canal(discs, canal, spacing_mm)
    discs.sort(key=lambda disc: -disc.center_mm[0])
    for between in _gaps(discs, tissues.shape, spacing_mm):
        faint = (disc_probability >= FAINT_PROBABILITY) & (tissues != Tissue.CANAL) & between
        parts = _faint_discs(faint, disc_probability, lumbosacral, border, spacing_mm)
        discs += [part for part in parts[:1] if part.area_mm2 >= MIN_FAINT_AREA_MM2]
    discs.sort(key=lambda disc: -disc.center_mm[0])
    bodies = _bodies(tissues == Tissue.VERTEBRA, canal, spacing_mm)
    return SpineRegions(tuple(discs), tuple(bodies), canal, spacing_mm)


def _gaps(discs: list[DiscRegion], shape: tuple[int, int], spacing_mm: tuple[float, float]) -> list[NDArray[np.bool_]]:
    """Return where a disc must lie that was not found: around the middle between two neighbours too far apart."""
    steps = [above.center_mm - below.center_mm for below, above in pairwise(discs)]
    lengths = [float(np.linalg.norm(step)) for step in steps]
    gaps = []
    for below, step, length in zip(discs, steps, lengths, strict=False):
        others = [other for other in lengths if other is not length]
        if len(others) < 2 or not USUAL_GAP < length / float(np.median(others)) < 3.0 - USUAL_GAP / 2:
            continue
        rows, columns = np.indices(shape)
        offset = np.stack([rows * spacing_mm[0] - below.center_mm[0], columns * spacing_mm[1] - below.center_mm[1]])
        along = (offset[0] * step[0] + offset[1] * step[1]) / length**2
        beside = np.abs(offset[0] * step[1] - offset[1] * step[0]) / length
        gaps.append((along > 0.3) & (along < 0.7) & (beside < HALF_LENGTH_MM))
    return gaps


def faint_discs(
    faint: NDArray[np.bool_], disc_probability: NDArray[np.float32], spacing_mm: tuple[float, float]
) -> list[DiscRegion]:
    """Return the discs that pixels can make up which the network does not call disc; pieces of one are one.

    Parameters
    ----------
    faint : ndarray of bool, shape (rows, columns)
    disc_probability : ndarray of float, shape (rows, columns)
    spacing_mm : tuple of float
    """
    border = ~_eroded(np.ones_like(faint))
    return _faint_discs(faint, disc_probability, None, border, spacing_mm)


def _faint_discs(
    faint: NDArray[np.bool_],
    disc_probability: NDArray[np.float32],
    lumbosacral: NDArray[np.float32] | None,
    border: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
) -> list[DiscRegion]:
    parts = [_region(part, disc_probability, lumbosacral, border, spacing_mm) for part in components(faint)]
    return _joined_fragments(parts, np.zeros_like(border), disc_probability, lumbosacral, border, spacing_mm)


def trimmed(disc: DiscRegion, free: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> DiscRegion:
    """Return a disc without what is not free, of which at least one pixel must be left."""
    mask = disc.mask & free
    area = float(mask.sum()) * spacing_mm[0] * spacing_mm[1]
    return replace(disc, mask=mask, axis=disc_axis(pixels_of(mask), spacing_mm), area_mm2=area)


def region_of_mask(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> DiscRegion:
    """Return the region of a disc whose mask was given, not found by a network.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)
        At least one pixel.
    spacing_mm : tuple of float
    """
    border = ~_eroded(np.ones_like(mask))
    return _region(mask, np.ones(mask.shape, dtype=np.float32), None, border, spacing_mm)


def joined_pieces(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> list[NDArray[np.bool_]]:
    """Return the pieces of a mask that was drawn, largest first; pieces that can be one disc's are one."""
    pieces = [region_of_mask(piece, spacing_mm) for piece in components(mask)]
    nothing, certain = np.zeros_like(mask), np.ones(mask.shape, dtype=np.float32)
    return [disc.mask for disc in _joined_fragments(pieces, nothing, certain, None, nothing, spacing_mm)]


def pixels_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (row, column) of a mask's pixels, shape (n, 2): what numpy's argwhere gives, twenty times as fast."""
    return np.column_stack(np.divmod(np.flatnonzero(mask), mask.shape[1]))


def components(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected parts of a mask (pixels that share a side or a corner), largest first."""
    box = _box_of(mask)
    if box is None:
        return []
    connect = sitk.ConnectedComponentImageFilter()
    connect.SetFullyConnected(True)
    connect.SetNumberOfWorkUnits(1)  # one slice is too small to share
    labelled = connect.Execute(sitk.GetImageFromArray(mask[box].astype(np.uint8)))
    values = sitk.GetArrayViewFromImage(labelled)
    sizes = np.bincount(values.ravel())[1:]
    parts = []
    for label in np.argsort(-sizes, kind="stable") + 1:
        part = np.zeros_like(mask)
        np.equal(values, label, out=part[box])
        parts.append(part)
    return parts


def _box_of(mask: NDArray[np.bool_], margin: tuple[int, int] = (0, 0)) -> tuple[slice, slice] | None:
    """Return the rows and columns that a mask reaches over, with a margin inside the image; None where it is empty."""
    edges = []
    for axis, more in ((1, margin[0]), (0, margin[1])):
        reached = np.flatnonzero(mask.any(axis=axis))
        if not reached.size:
            return None
        edges.append(slice(max(0, int(reached[0]) - more), int(reached[-1]) + 1 + more))
    return edges[0], edges[1]


def _disc_pieces(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> list[NDArray[np.bool_]]:
    smallest = MIN_DISC_AREA_MM2 / 4 / (spacing_mm[0] * spacing_mm[1])
    pieces: list[NDArray[np.bool_]] = []
    for piece in components(mask):
        if piece.sum() >= smallest:
            pieces += _split(piece, spacing_mm)
    return pieces


def _split(piece: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> list[NDArray[np.bool_]]:
    """Part discs that grew together: a single disc is at most about 25 mm thick at right angles to its axis."""
    rows = pixels_of(piece)[:, 0]
    if (rows.max() - rows.min()) * spacing_mm[0] < 35.0:
        return [piece]
    for radius in SPLIT_RADII_MM:
        cores = [
            core
            for core in components(_opened(piece, radius, spacing_mm))
            if core.sum() * spacing_mm[0] * spacing_mm[1] >= MIN_DISC_AREA_MM2
        ]
        if len(cores) > 1:
            return _grown_back(piece, cores, spacing_mm)
    return [piece]


def _grown_back(
    piece: NDArray[np.bool_], cores: list[NDArray[np.bool_]], spacing_mm: tuple[float, float]
) -> list[NDArray[np.bool_]]:
    """Give each pixel of `piece` to the nearest core."""
    distances = []
    for core in cores:
        image = sitk.GetImageFromArray(core.astype(np.uint8))
        image.SetSpacing((spacing_mm[1], spacing_mm[0]))
        distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        distances.append(sitk.GetArrayFromImage(distance))
    nearest = np.argmin(distances, axis=0)
    return [piece & (nearest == index) for index in range(len(cores))]


def _region(
    mask: NDArray[np.bool_],
    disc_probability: NDArray[np.float32],
    lumbosacral: NDArray[np.float32] | None,
    border: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
) -> DiscRegion:
    return DiscRegion(
        mask,
        disc_axis(pixels_of(mask), spacing_mm),
        float(mask.sum()) * spacing_mm[0] * spacing_mm[1],
        float(lumbosacral[mask].mean()) if lumbosacral is not None else float("nan"),
        float(disc_probability[mask].mean()),
        bool((mask & border).any()),
        spacing_mm,
    )


def _joined_fragments(
    pieces: list[DiscRegion],
    vertebra: NDArray[np.bool_],
    disc_probability: NDArray[np.float32],
    lumbosacral: NDArray[np.float32] | None,
    border: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
) -> list[DiscRegion]:
    """Join pieces of one disc: the larger one's axis runs through the smaller one and no vertebra lies between them."""
    pieces = sorted(pieces, key=lambda piece: -piece.area_mm2)
    joined: list[DiscRegion] = []
    for piece in pieces:
        host = next((i for i, disc in enumerate(joined) if _same_disc(disc, piece, vertebra, spacing_mm)), None)
        if host is None:
            joined.append(piece)
        else:
            mask = joined[host].mask | piece.mask
            joined[host] = _region(mask, disc_probability, lumbosacral, border, spacing_mm)
    return joined


def _same_disc(
    disc: DiscRegion, piece: DiscRegion, vertebra: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> bool:
    offset = piece.center_mm - disc.center_mm
    if abs(offset @ disc.axis.across) > 6.0:
        return False
    ours, theirs = pixels_of(disc.mask) * spacing_mm, pixels_of(piece.mask) * spacing_mm
    along_ours, along_theirs = (ours - disc.center_mm) @ disc.axis.along, (theirs - disc.center_mm) @ disc.axis.along
    gap = max(along_theirs.min() - along_ours.max(), along_ours.min() - along_theirs.max())
    if gap > MAX_FRAGMENT_GAP_MM:
        return False
    path = disc.center_mm + np.linspace(0, 1, 50)[:, None] * offset
    pixels = np.round(path / spacing_mm).astype(int)
    return bool(vertebra[pixels[:, 0], pixels[:, 1]].mean() < 0.25)


def in_front_of_canal(
    discs: list[DiscRegion], canal: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> list[DiscRegion]:
    """Drop what lies behind the canal, and what lies too far in front of it to be a disc of this spine.

    Parameters
    ----------
    discs : list of DiscRegion
    canal : ndarray of bool, shape (rows, columns)
        Where it is empty, nothing is dropped.
    spacing_mm : tuple of float
    """
    if not canal.any():
        return discs
    points = pixels_of(canal) * spacing_mm
    kept = []
    for disc in discs:
        nearest = points[np.argmin(np.linalg.norm(points - disc.center_mm, axis=1))]
        beside = points[np.abs(points[:, 0] - disc.center_mm[0]) < HALF_LENGTH_MM / 2, 1]
        far = len(beside) > 0 and beside.min() - disc.center_mm[1] > MAX_TO_CANAL_MM
        if disc.center_mm[1] < nearest[1] and not far:
            kept.append(disc)
    return kept


def _bodies(vertebra: NDArray[np.bool_], canal: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> list[BodyRegion]:
    points = pixels_of(canal) * spacing_mm
    bodies = []
    for part in components(_opened(vertebra, 1.3, spacing_mm)):
        area = float(part.sum()) * spacing_mm[0] * spacing_mm[1]
        if area < MIN_BODY_AREA_MM2:
            break
        center = pixels_of(part).mean(axis=0) * spacing_mm
        if len(points):
            nearest = points[np.argmin(np.linalg.norm(points - center, axis=1))]
            if center[1] >= nearest[1]:
                continue
        bodies.append(BodyRegion(part, center, area))
    return sorted(bodies, key=lambda body: -body.center_mm[0])


def _largest_parts(mask: NDArray[np.bool_], spacing_mm: tuple[float, float], least_mm2: float) -> NDArray[np.bool_]:
    kept = np.zeros_like(mask)
    for part in components(mask):
        if part.sum() * spacing_mm[0] * spacing_mm[1] < least_mm2:
            break
        kept |= part
    return kept


def _opened(mask: NDArray[np.bool_], radius_mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    rows, columns = (max(1, round(radius_mm / step)) for step in spacing_mm)
    opened = np.zeros_like(mask)
    box = _box_of(mask, (rows, columns))
    if box is not None:
        image = sitk.GetImageFromArray(mask[box].astype(np.uint8))
        opened[box] = sitk.GetArrayFromImage(sitk.BinaryMorphologicalOpening(image, [columns, rows])) > 0
    return opened


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    eroded = sitk.BinaryErode(sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8)), [1, 1])
    return sitk.GetArrayFromImage(eroded)[1:-1, 1:-1] > 0
