"""A volume segmented along its spine: one slice as a whole, and each disc on the disc's own slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid, normalized_slice
from ...imaging.stated_geometry import TYPICAL_FIELD_OF_VIEW_MM
from ...imaging.volume import ImagingError, SagittalVolume
from ...pfirrmann import Tissue
from ..discs import DiscRegion, SpineRegions, find_regions
from ..segmenter import Segmenter, SliceSegmentation
from .canvas_parts import CanvasParts
from .curve import SpineCurve, find_curve, shared_slices
from .zones import DiscZones

UPRIGHT_DEGREES = 15.0
"""A spine tilted further than this on its canvas is segmented on a canvas turned with it."""
USUAL_TILT_DEGREES = -7.0
"""In the scanner the line through the discs leans back towards the head by this much in the median patient."""
LUMBAR_STEP_MM = 35.5
"""Mean distance of the centres of neighbouring lumbar discs in adults, for pictures whose scale is not known.

Vertebral body about 27 mm and disc about 9 mm high (Zhou et al., Eur Spine J 9:242-248, 2000).
"""
SCALE_TOLERANCE = 0.06
LEAST_CANAL_MM2 = 300.0
"""Less canal than this on the best slice (10 mm by 30 mm) is no lumbar canal."""
SEARCH_STEP_MM = 8.0
"""A lumbar canal is about 20 mm wide: slices so far apart cannot miss it."""
MOST_ROUNDS = 2
"""Discs that are seen once their neighbours are taken from their own slices get theirs in the second round."""
DISC_MARGIN_MM = 55.0
"""Above and below the centre of a disc: the disc and both vertebrae beside it."""


@dataclass(frozen=True, eq=False)
class SegmentedSpine:
    """What the segmentation network sees along the spine.

    Attributes
    ----------
    segmentation : SliceSegmentation
        Of the curved picture, on the canvas of the first slice looked at, whose index it has.
    regions : SpineRegions
        On the curved picture (`zones.DiscZones.picture`), which is one slice where the spine is straight.
    tissues : ndarray of uint8, shape (rows, columns)
        Tissue classes of the curved picture.
    zones : DiscZones
    curve : SpineCurve or None
        None where one slice is used for all discs.
    reason : str
        Why the slice that most discs share.
    scale : float
        Factor on the volume's pixel spacing.
    """

    segmentation: SliceSegmentation
    regions: SpineRegions
    tissues: NDArray[np.uint8]
    zones: DiscZones
    curve: SpineCurve | None
    reason: str
    scale: float

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Pixel spacing along rows and columns, as it was used."""
        return self.segmentation.spacing_mm

    def slice_of(self, disc: DiscRegion) -> int:
        """Return the canonical index of the slice on which a disc of the regions lies: that of most of its pixels."""
        if not self.zones.is_curved:
            return self.zones.slices[0]
        slices = self.zones.slice_map(disc.mask.shape, self.spacing_mm)
        return int(np.bincount(slices[disc.mask]).argmax())


def segmented(
    segmenter: Segmenter,
    volume: SagittalVolume,
    slice_index: int | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> SegmentedSpine:
    """Find the slice of each disc and segment it, upright and, for a picture without scale, at that of its anatomy.

    Parameters
    ----------
    segmenter : Segmenter
    volume : SagittalVolume
    slice_index : int, optional
        Canonical index of the one slice for all discs; chosen by content, for each disc, when left out.
    before_batch : callable
        Called before each batch; an exception raised in it stops the work.

    Raises
    ------
    ImagingError
        If there is no such slice.
    """
    nominal, nominal_scale = at_nominal_scale(volume)
    if slice_index is not None:
        if not 0 <= slice_index < volume.slice_count:
            raise ImagingError(f"There is no slice {slice_index}; the volume has {volume.slice_count} slices.")
        return _on_one_slice(segmenter, nominal, slice_index, "given by the user", nominal_scale, before_batch)
    if volume.slice_count == 1:
        return _on_one_slice(segmenter, nominal, 0, "the only slice", nominal_scale, before_batch)
    first = _first_slice(segmenter, nominal, nominal_scale, before_batch)
    if not volume.scale_known:  # how far apart the slices are is not known either
        return first
    found = find_curve(volume, segmenter, first.segmentation, before_batch)
    return first if found is None else _along_curve(segmenter, volume, first, *found, before_batch)


def _first_slice(
    segmenter: Segmenter, nominal: SagittalVolume, nominal_scale: float, before_batch: Callable[[], None]
) -> SegmentedSpine:
    """Segment the geometric middle slice; where it shows hardly any canal, the one of the others that shows most."""
    middle = nominal.middle_slice_index
    spine = _on_one_slice(segmenter, nominal, middle, _reason(nominal, middle), nominal_scale, before_batch)
    if spine.segmentation.area_mm2(Tissue.CANAL) >= LEAST_CANAL_MM2:
        return spine
    step = max(1, round(SEARCH_STEP_MM / nominal.spacing_mm[0]))
    best, most_mm2 = middle, LEAST_CANAL_MM2
    for index in range(middle % step, nominal.slice_count, step):
        before_batch()
        canal_mm2 = segmenter.segment(nominal, [index])[0].area_mm2(Tissue.CANAL)
        if canal_mm2 > most_mm2:
            best, most_mm2 = index, canal_mm2
    if best == middle:
        return replace(spine, reason="the geometric middle: no spinal canal was recognized on the slices")
    return _on_one_slice(segmenter, nominal, best, _reason(nominal, best), nominal_scale, before_batch)


def _on_one_slice(
    segmenter: Segmenter,
    nominal: SagittalVolume,
    index: int,
    reason: str,
    nominal_scale: float,
    before_batch: Callable[[], None],
) -> SegmentedSpine:
    scale, shape = 1.0, nominal.voxels.shape[1:]
    segmentation = segmenter.segment(nominal, [index])[0]
    if not nominal.scale_known:
        for _ in range(2):
            estimate = scale * _scale_by_anatomy(regions_of(segmentation, shape)[0])
            if abs(estimate / scale - 1.0) < SCALE_TOLERANCE:
                break
            scale = estimate
            before_batch()
            segmentation = segmenter.segment(nominal, [index], scale)[0]
    regions, tissues = regions_of(segmentation, shape)
    if rotation := rotation_of(regions.discs):
        before_batch()
        segmentation = segmenter.segment(nominal, [index], scale, rotation)[0]
        regions, tissues = regions_of(segmentation, shape)
    zones = DiscZones.of_one(index)
    return SegmentedSpine(segmentation, regions, tissues, zones, None, reason, scale * nominal_scale)


def _along_curve(
    segmenter: Segmenter,
    volume: SagittalVolume,
    first: SegmentedSpine,
    curve: SpineCurve,
    seen: CanvasParts,
    before_batch: Callable[[], None],
) -> SegmentedSpine:
    """Find the discs along the curve, choose the slice of each, and lay the parts of these slices into one picture."""
    shape, main = volume.voxels.shape[1:], first.segmentation.slice_index
    segmentation, zones = seen.mixed(_nearest_seen(curve, volume, seen)), DiscZones.of_one(main)
    regions, tissues = regions_of(segmentation, shape)
    for _ in range(MOST_ROUNDS):
        if not regions.discs:
            return first
        slices = shared_slices([curve.across_at(disc.center_mm) for disc in regions.discs], volume, main)
        placed = list(zip(regions.discs, slices, strict=True))
        if zones.is_curved and all(zones.slice_at(disc.center_mm) == index for disc, index in placed):
            break
        zones = DiscZones.of_discs([(disc.axis, index) for disc, index in placed])
        if set(zones.slices) == {main}:
            return replace(first, curve=curve)
        for index in sorted(set(slices) - set(seen.indices)):
            before_batch()
            _look_at(segmenter, volume, seen, index, [disc for disc, its in placed if its == index])
        segmentation = seen.mixed(zones.slice_map_on(seen.grid))
        regions, tissues = regions_of(segmentation, shape)
    picture = _picture_on(volume, seen.grid, zones.slice_map_on(seen.grid))
    segmentation = replace(segmentation, sight=segmenter.sight_of(picture, segmentation))
    return SegmentedSpine(segmentation, regions, tissues, zones, curve, _reason(volume, zones.main_slice), first.scale)


def _nearest_seen(curve: SpineCurve, volume: SagittalVolume, seen: CanvasParts) -> NDArray[np.int64]:
    """Return for each pixel of the canvas the nearest to the curve, at its height, of the slices looked at."""
    indices = np.array(seen.indices)
    offsets = (indices - volume.middle_slice_index) * volume.spacing_mm[0]
    by_row = indices[np.searchsorted((offsets[:-1] + offsets[1:]) / 2, curve.across_mm)]
    return np.repeat(by_row[:, None], seen.grid.shape[1], axis=1)


def _look_at(
    segmenter: Segmenter, volume: SagittalVolume, seen: CanvasParts, index: int, discs: list[DiscRegion]
) -> None:
    """Segment the part of a slice around discs: both vertebrae beside each, and the canal behind."""
    grid = seen.grid
    places = grid.from_mm(np.array([disc.center_mm for disc in discs]))
    margin = DISC_MARGIN_MM / grid.pixel_size_mm
    top, bottom = max(0.0, places[:, 0].min() - margin), min(float(grid.shape[0]), places[:, 0].max() + margin)
    height = int(16 * np.ceil((bottom - top) / 16))
    nearest = min(seen.indices, key=lambda other: abs(other - index))
    first, width = seen.columns(nearest) or (0, grid.shape[1])
    corner = int(top), first
    (part,) = segmenter.segment_parts(volume, [(index, grid.part(corner, (height, width)))])
    seen.parts[index] = corner, part


def _picture_on(volume: SagittalVolume, grid: Grid, slices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the curved picture on the canvas, each slice in its own window as the network sees it."""
    spacing = (volume.spacing_mm[1], volume.spacing_mm[2])
    picture = np.zeros(grid.shape, dtype=np.float32)
    for index in np.unique(slices):
        picture = np.where(slices == index, grid.sample(normalized_slice(volume.voxels[index]), spacing), picture)
    return picture


def _reason(volume: SagittalVolume, index: int) -> str:
    offset_mm = (index - volume.middle_slice_index) * volume.spacing_mm[0]
    side = "left" if offset_mm > 0 else "right"
    where = f"{abs(offset_mm):.1f} mm {side} of the middle" if offset_mm else "the geometric middle"
    return f"chosen by content (middle of the spinal canal): {where}"


def at_nominal_scale(volume: SagittalVolume) -> tuple[SagittalVolume, float]:
    """Return a volume of unknown scale as if it showed the usual field of view, and the factor on its own spacing.

    At twice the size the network finds hardly anything, and without three discs the anatomy tells no scale. A picture
    is read at that scale, but a volume whose header lacks the pixel size has the default of 1 mm.
    """
    if volume.scale_known:
        return volume, 1.0
    factor = TYPICAL_FIELD_OF_VIEW_MM / (volume.voxels.shape[1] * volume.spacing_mm[1])
    matrix = volume.index_to_lps.copy()
    matrix[:3, 1:3] *= factor
    return replace(volume, index_to_lps=matrix), factor


def regions_of(segmentation: SliceSegmentation, slice_shape: tuple[int, int]) -> tuple[SpineRegions, NDArray[np.uint8]]:
    """Return the discs and bodies of a segmented slice, and its tissue classes, on the slice's own pixels."""
    tissues, disc_probability, landmark = segmentation.on_slice(slice_shape)
    inside = np.ones(slice_shape, dtype=bool)
    return find_regions(tissues, disc_probability, landmark, inside, segmentation.spacing_mm), tissues


def rotation_of(discs: tuple[DiscRegion, ...]) -> float:
    """Return by how much the canvas is to be turned so that the spine stands upright on it; 0 where it does."""
    tilt = spine_tilt_degrees(discs)
    # a grid turned so far has its rows along the leaning spine
    return USUAL_TILT_DEGREES - tilt if abs(tilt - USUAL_TILT_DEGREES) > UPRIGHT_DEGREES else 0.0


def spine_tilt_degrees(discs: tuple[DiscRegion, ...]) -> float:
    """Return how far the line through the discs leans, positive where the feet lie further back than the head."""
    centers = np.array([disc.center_mm for disc in discs])
    if len(centers) < 3:
        return USUAL_TILT_DEGREES
    _, _, directions = np.linalg.svd(centers - centers.mean(axis=0))
    down = directions[0] if directions[0][0] > 0 else -directions[0]
    return float(np.degrees(np.arctan2(down[1], down[0])))


def _scale_by_anatomy(regions: SpineRegions) -> float:
    centers = np.array([disc.center_mm for disc in regions.discs])
    if len(centers) < 3:
        return 1.0
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    return float(np.clip(LUMBAR_STEP_MM / np.median(steps[:5]), 0.5, 2.0))
