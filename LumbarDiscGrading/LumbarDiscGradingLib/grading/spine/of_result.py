"""The curved picture of a result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...imaging.crop import DiscAxis, disc_axis
from ..discs import pixels_of
from ..result import GradingResult
from .zones import DiscZones


def zones_of(result: GradingResult, spacing_mm: tuple[float, float] | None = None) -> DiscZones:
    """Return which slice each part of the curved picture of a result comes from, as its masks tell.

    Parameters
    ----------
    result : GradingResult
        Corrected or not.
    spacing_mm : tuple of float, optional
        Pixel spacing of the slice along rows and columns; that of the volume where it is not given.
    """
    spacing = spacing_mm or (result.volume.spacing_mm[1], result.volume.spacing_mm[2])
    if not result.is_curved:
        return DiscZones.of_one(result.slice_index)
    placed: list[tuple[DiscAxis, int]] = []
    for disc in result.discs:
        pixels = pixels_of(result.label_slice == disc.label_value)
        if len(pixels):
            placed.append((disc_axis(pixels, spacing), result.slice_of(disc)))
    return DiscZones.of_discs(placed) if placed else DiscZones.of_one(result.slice_index)


def curved_picture(result: GradingResult) -> NDArray:
    """Return the voxels of the curved picture of a result, shape (rows, columns)."""
    spacing = (result.volume.spacing_mm[1], result.volume.spacing_mm[2])
    return np.asarray(zones_of(result).picture(result.volume, spacing, thick=False))
