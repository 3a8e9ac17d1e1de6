"""Two masks of the same image compared disc by disc: Dice, surface distance, and levels named differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...pfirrmann import DISC_LABELS, LEVELS_BY_LABEL
from ..storage.segmentation_files import mask_levels


@dataclass(frozen=True)
class Overlap:
    """How two masks of one disc agree.

    Attributes
    ----------
    dice : float
        Twice the common volume over the sum of both; 0 where only one mask has the disc.
    surface_mm : float or None
        Average symmetric surface distance in mm (Heimann et al., IEEE Trans Med Imaging 28:1251-1265, 2009); None where
        only one mask has the disc.
    conflict : str or None
        The level that the second mask gives to most of this disc, if it is another one.
    """

    dice: float
    surface_mm: float | None
    conflict: str | None = None


def compare_masks(
    first: NDArray[np.uint8], second: NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> dict[str, Overlap]:
    """Compare two masks.

    Parameters
    ----------
    first, second : ndarray of uint8, same shape
        `pfirrmann.DISC_LABELS` values, 0 outside.
    spacing_mm : tuple of float
        Along the axes of the arrays.

    Returns
    -------
    dict of str to Overlap
        Each level that is in one of them, head to feet.
    """
    box = _bounding_box((first > 0) | (second > 0))
    first, second = first[box], second[box]
    levels = {*mask_levels(first), *mask_levels(second)}
    return {level: _overlap(first, second, level, spacing_mm) for level in DISC_LABELS if level in levels}


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks; 1 for two empty ones."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else 1.0


def mean_surface_distance_mm(
    first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> float:
    """Return the average symmetric surface distance of two masks that are not empty, in mm.

    The surface is the voxels with a face neighbour outside. Axes along which both masks are one voxel thick, as in a
    single slice, are left out: there all voxels would be surface.
    """
    box = _bounding_box(first | second)
    planes = [np.pad(mask[box], 1) for mask in (first, second)]
    thick = [axis for axis, size in enumerate(planes[0].shape) if size > 3]
    if thick and len(thick) < first.ndim:
        index = tuple(slice(None) if axis in thick else 1 for axis in range(first.ndim))
        planes = [mask[index] for mask in planes]
        spacing_mm = tuple(spacing_mm[axis] for axis in thick)
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in planes]
    total = count = 0.0
    for surface, other in (surfaces, surfaces[::-1]):
        distances = ndimage.distance_transform_edt(~other, sampling=spacing_mm)[surface]
        total, count = total + float(distances.sum()), count + distances.size
    return total / count


def _overlap(
    first: NDArray[np.uint8], second: NDArray[np.uint8], level: str, spacing_mm: tuple[float, float, float]
) -> Overlap:
    in_first, in_second = first == DISC_LABELS[level], second == DISC_LABELS[level]
    conflict = _other_level(second[in_first], level) or _other_level(first[in_second], level)
    if not in_first.any() or not in_second.any():
        return Overlap(0.0, None, conflict)
    return Overlap(dice(in_first, in_second), mean_surface_distance_mm(in_first, in_second, spacing_mm), conflict)


def _other_level(values: NDArray[np.uint8], level: str) -> str | None:
    """Return the level that more than half of a disc's voxels have in the other mask, if it is another one."""
    if values.size == 0:
        return None
    counts = np.bincount(values, minlength=256)
    value = int(np.argmax(counts))
    if value == 0 or value == DISC_LABELS[level] or 2 * counts[value] <= values.size:
        return None
    return LEVELS_BY_LABEL[value]


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    if not mask.any():
        return tuple(slice(0, 1) for _ in mask.shape)
    box = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
