"""Telling T2-weighted, fat-suppressed and T1-weighted sagittal images of one person apart by their pixels.

The fluid of the spinal canal makes a tube along the spine that is brighter than vertebrae in front and bone behind on
T2-weighted images, with and without fat suppression, and darker on T1-weighted ones. The tube is looked for where it is
seen best; all images are then compared at that one place in the patient. Of those on which it is bright, the one on
which everything else is far darker is fat-suppressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..acquisition import Contrast
from ..volume import SagittalVolume

PIXEL_MM = 1.5
"""Size to which slices are brought; finer detail does not matter here."""
CANAL_MM, FLANK_MM, FLANK_DISTANCE_MM = 7.5, 6.0, 14.0
"""Width of what is taken for the canal and of the tissue beside it, and how far their centers are apart."""
LEAST_LENGTH_MM = 120.0
"""Length of the piece of the tube that is judged: the lumbar canal, which not every image shows as a whole."""
SMOOTHED_ALONG_MM = 9.0
DISTANCE_FROM_SKIN_MM = 22.0
"""Nearer to the air no canal is looked for: fat under the skin is a bright tube too."""
BODY_SIGNAL, LEAST_SIGNAL = 0.15, 0.1
"""Share of the brightest tissue above which a pixel is inside the body, and what is added to all before logarithms."""
BRIGHTEST_PERCENTILE = 90

BRIGHT_CANAL, DARK_CANAL = 0.2, 0.0
"""Logarithm of the canal's signal over that of its brighter side: from the one on bright, up to the other dark."""
BRIGHT_FLUID_TISSUE, DARK_FLUID_TISSUE = 0.8, 1.0
"""Signal of all tissue over that of fluid: up to the one the fluid is bright, from the other on it is dark."""
SUPPRESSED_TISSUE, SUPPRESSED_TIMES = 0.2, 1.8
"""The same where fat is suppressed, at most, and how much less it is than without."""
RIVAL_SHARE = 0.5
"""Tubes at least this bright, beside the brightest, must tell the same: one of them may be no canal."""
LEAST_SEEN = 0.8
"""Share of the tube that must lie within an image for it to be compared."""


@dataclass(frozen=True)
class _Tube:
    """The brightest tube on a slice: places in LPS mm, shape (rows, offsets, 3), and how bright it is."""

    places_lps: NDArray[np.float64]
    strength: float


def contrasts_seen(volumes: Sequence[SagittalVolume]) -> tuple[Contrast, ...] | None:
    """Tell images of one person apart.

    Parameters
    ----------
    volumes : sequence of SagittalVolume
        The middle slices of each series.

    Returns
    -------
    tuple of Contrast or None
        For each volume T2, T2 with fat suppression, or T1 for a dark canal; None where the pixels do not tell
        them apart.
    """
    volumes = [replace(volume, voxels=_from_zero(volume.voxels)) for volume in volumes]
    tubes = [_brightest_tube(volume) for volume in volumes]
    least = max(BRIGHT_CANAL, RIVAL_SHARE * max(tube.strength for tube in tubes))
    answers = {_contrasts_at(tube, volumes) for tube in tubes if tube.strength >= least}
    (answer,) = answers if len(answers) == 1 else (None,)
    return answer if answer is not None and len(set(answer)) > 1 else None


def _contrasts_at(tube: _Tube, volumes: Sequence[SagittalVolume]) -> tuple[Contrast, ...] | None:
    seen = [_signals_at(tube, volume) for volume in volumes]
    found = [None if signals is None else _canal_is_bright(*signals) for signals in seen]
    if None in found or not any(found):
        return None
    tissues = [signals[1] for signals in seen if signals is not None]
    most = max(tissue for tissue, is_bright in zip(tissues, found, strict=True) if is_bright)
    return tuple(
        Contrast.T1
        if not is_bright
        else Contrast.T2_FAT_SUPPRESSED
        if tissue < SUPPRESSED_TISSUE and tissue * SUPPRESSED_TIMES <= most
        else Contrast.T2
        for tissue, is_bright in zip(tissues, found, strict=True)
    )


def _canal_is_bright(canal: float, tissue: float) -> bool | None:
    """Whether the fluid of the canal is bright; None where it is neither that nor dark."""
    if canal >= BRIGHT_CANAL and tissue <= BRIGHT_FLUID_TISSUE:
        return True
    return False if canal <= DARK_CANAL and tissue >= DARK_FLUID_TISSUE else None


def _brightest_tube(volume: SagittalVolume) -> _Tube:
    return max((_tube_on(volume, index) for index in range(volume.slice_count)), key=lambda found: found.strength)


def _tube_on(volume: SagittalVolume, slice_index: int) -> _Tube:
    """Find the path from head to feet along which the slice is brightest beside both its sides."""
    zoom = [mm / PIXEL_MM for mm in volume.spacing_mm[1:]]
    smooth = ndimage.gaussian_filter(volume.voxels[slice_index], [0.5 / share for share in zoom])
    image = ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest")
    log = np.log(image + LEAST_SIGNAL * _brightest(image))
    canal, flank = (ndimage.uniform_filter1d(log, _pixels(mm), axis=1) for mm in (CANAL_MM, FLANK_MM))
    distance = _pixels(FLANK_DISTANCE_MM)
    sides = [ndimage.shift(flank, (0, step), order=0, mode="nearest") for step in (-distance, distance)]
    deep = ndimage.binary_erosion(_body(image), np.ones((1, 2 * _pixels(DISTANCE_FROM_SKIN_MM) + 1)))
    ridge = np.where(deep, canal - np.maximum(*sides), -1.0)
    ridge = ndimage.uniform_filter1d(ridge, _pixels(SMOOTHED_ALONG_MM), axis=0)
    columns = _best_path(ridge)
    along = ridge[np.arange(len(ridge)), columns]
    length = min(len(along), _pixels(LEAST_LENGTH_MM))
    first = int(np.convolve(along, np.ones(length), "valid").argmax())
    rows = np.arange(first, first + length)
    offsets = np.arange(-distance - 2, distance + 3)
    index = np.empty((length, len(offsets), 3))
    index[..., 0] = slice_index
    index[..., 1] = ((rows + 0.5) / zoom[0] - 0.5)[:, None]
    index[..., 2] = (columns[rows][:, None] + offsets + 0.5) / zoom[1] - 0.5
    return _Tube(
        index @ volume.index_to_lps[:3, :3].T + volume.index_to_lps[:3, 3], float(np.percentile(along[rows], 30))
    )


def _best_path(ridge: NDArray) -> NDArray[np.intp]:
    """Return for each row the column of the path with the highest sum that moves one column a row at most."""
    best, came_from = ridge[0], []
    for row in ridge[1:]:
        padded = np.pad(best, 1, constant_values=-np.inf)
        choices = np.stack([padded[:-2], padded[1:-1], padded[2:]])
        came_from.append(choices.argmax(axis=0) - 1)
        best = choices.max(axis=0) + row
    columns = [int(best.argmax())]
    for steps in reversed(came_from):
        columns.append(columns[-1] + int(steps[columns[-1]]))
    return np.array(columns[::-1])


def _signals_at(tube: _Tube, volume: SagittalVolume) -> tuple[float, float] | None:
    """Return how bright the canal is beside its brighter side (as a logarithm), and all tissue over its fluid."""
    inverse = np.linalg.inv(volume.index_to_lps)
    index = tube.places_lps @ inverse[:3, :3].T + inverse[:3, 3]
    inside = ((index > -1) & (index < volume.voxels.shape)).all(axis=(1, 2))
    if inside.mean() < LEAST_SEEN:
        return None
    values = ndimage.map_coordinates(volume.voxels, np.moveaxis(index[inside], -1, 0), order=1, mode="nearest")
    middle = volume.voxels[round(float(np.median(index[inside][..., 0].clip(0, volume.slice_count - 1))))]
    log = np.log(values + LEAST_SIGNAL * _brightest(middle))
    width, center = _pixels(FLANK_MM), log.shape[1] // 2
    canal = log[:, center - _pixels(CANAL_MM) // 2 : center + _pixels(CANAL_MM) // 2 + 1]
    over = canal.mean(axis=1) - np.maximum(log[:, :width].mean(axis=1), log[:, -width:].mean(axis=1))
    fluid = float(np.median(values[:, center - 1 : center + 2]))
    return float(np.median(over)), float(np.median(middle[_body(middle)])) / max(fluid, 1e-6)


def _body(image: NDArray) -> NDArray[np.bool_]:
    bright = ndimage.binary_opening(image > BODY_SIGNAL * _brightest(image), iterations=2)
    return ndimage.binary_fill_holes(bright)


def _from_zero(voxels: NDArray) -> NDArray[np.float32]:
    values = voxels.astype(np.float32)
    return values - values.min()


def _brightest(image: NDArray) -> float:
    """Return the signal of the brightest tissue; 1 where there is next to none, so that it can be divided by."""
    return float(np.percentile(image, BRIGHTEST_PERCENTILE)) or 1.0


def _pixels(mm: float) -> int:
    return round(mm / PIXEL_MM)
