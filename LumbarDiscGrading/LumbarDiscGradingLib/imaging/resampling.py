"""A volume on a coarser grid, with its mask: what another protocol would have shown of the same patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .volume import SagittalVolume


def resampled(
    volume: SagittalVolume, spacing_mm: tuple[float, float, float], mask: NDArray[np.uint8] | None = None
) -> tuple[SagittalVolume, NDArray[np.uint8] | None]:
    """Return a volume on a grid of another spacing over the same field of view.

    A new voxel is the mean, over what it covers, of the volume interpolated linearly, as a thicker slice or a larger
    pixel shows it; nothing is displaced by parts of a voxel. A voxel of the mask gets the label that fills most of it.

    Where the field of view is no whole number of new voxels, the new ones are centred on it: a remainder of less than
    three quarters of a voxel is cut off, evenly at both ends; of a larger one the outermost voxels show what there is.

    Parameters
    ----------
    volume : SagittalVolume
    spacing_mm : tuple of float
        Wanted distance of voxel centres along slices, rows and columns.
    mask : ndarray of uint8, shape (slices, rows, columns), optional
        Labels on the voxels of `volume`.

    Returns
    -------
    tuple
        The volume (float32, stored in canonical order) and its mask, None where none was given.
    """
    shape = volume.voxels.shape
    axes = [_axis_weights(*parts) for parts in zip(shape, volume.spacing_mm, spacing_mm, strict=True)]
    weights = [weight for weight, _, _ in axes]
    matrix = volume.index_to_lps.copy()
    first = np.array([start for _, start, _ in axes])
    matrix[:3, 3] = (volume.index_to_lps @ np.append(first, 1.0))[:3]
    matrix[:3, :3] *= np.array([step for _, _, step in axes])
    coarse = replace(
        volume,
        voxels=_applied(volume.voxels, weights),
        index_to_lps=matrix,
        stored_axes=(0, 1, 2),
        stored_flipped=(False, False, False),
    )
    return coarse, None if mask is None else _most_frequent_labels(mask, weights)


def isotropic(
    volume: SagittalVolume, spacing_mm: float, mask: NDArray[np.uint8] | None = None
) -> tuple[SagittalVolume, NDArray[np.uint8] | None]:
    """Return a volume, and its mask, with voxels of the same size along all axes; a single slice stays one.

    Parameters and results as in `resampled`.
    """
    through = spacing_mm if volume.slice_count > 1 else volume.spacing_mm[0]
    return resampled(volume, (through, spacing_mm, spacing_mm), mask)


def slabs(
    volume: SagittalVolume, thickness_mm: float, mask: NDArray[np.uint8] | None = None
) -> tuple[SagittalVolume, NDArray[np.uint8] | None]:
    """Return a volume, and its mask, with thin slices averaged to slabs; slices that are as thick stay as they are.

    Parameters and results as in `resampled`.
    """
    through, row_mm, column_mm = volume.spacing_mm
    if volume.slice_count == 1 or through >= thickness_mm:
        return volume, mask
    return resampled(volume, (thickness_mm, row_mm, column_mm), mask)


def _axis_weights(size: int, old_mm: float, new_mm: float) -> tuple[NDArray[np.float32], float, float]:
    """Return the (new, old) weights along one axis, the first new centre and the new step, both in old voxels."""
    step = new_mm / old_mm
    if abs(step - 1.0) < 1e-6:
        return np.eye(size, dtype=np.float32), 0.0, 1.0
    count = max(1, int(np.floor(size / step + 0.25)))
    start = (size - 1) / 2 - (count - 1) / 2 * step
    centers = start + step * np.arange(count)
    offsets = centers[:, None] - np.arange(size)
    weights = _triangle_integral(offsets + step / 2) - _triangle_integral(offsets - step / 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), start, step


def _triangle_integral(end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate the weight of a voxel in linear interpolation, a triangle from -1 to 1, up to `end`."""
    inside = np.clip(end, -1.0, 1.0)
    return np.where(inside < 0, (1 + inside) ** 2 / 2, 1 - (1 - inside) ** 2 / 2)


def _applied(array: NDArray, weights: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Apply the weights of each axis in turn."""
    values = np.asarray(array, dtype=np.float32)
    for axis, weight in enumerate(weights):
        if weight.shape[0] != weight.shape[1] or not np.array_equal(weight, np.eye(len(weight), dtype=np.float32)):
            values = np.moveaxis(np.tensordot(weight, values, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(values)


def _most_frequent_labels(mask: NDArray[np.uint8], weights: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    labels = np.zeros(tuple(weight.shape[0] for weight in weights), dtype=np.uint8)
    best, background = np.zeros(labels.shape, dtype=np.float32), np.ones(labels.shape, dtype=np.float32)
    for label, box in enumerate(ndimage.find_objects(mask), start=1):
        if box is None:
            continue
        parts = [weight[:, inside] for weight, inside in zip(weights, box, strict=True)]
        reached = tuple(slice(*np.flatnonzero(part.any(axis=1))[[0, -1]] + [0, 1]) for part in parts)
        share = _applied(mask[box] == label, [part[rows] for part, rows in zip(parts, reached, strict=True)])
        larger = share > best[reached]
        labels[reached][larger], best[reached][larger] = label, share[larger]
        background[reached] -= share
    labels[background > best] = 0
    return labels
