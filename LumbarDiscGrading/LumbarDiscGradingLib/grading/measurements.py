"""Measurements of a disc on the graded slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..imaging.crop import DiscAxis
from .discs import BodyRegion, DiscRegion, pixels_of
from .result import DiscMeasurements

CANAL_REACH_MM = 30.0
"""Fluid nearer than this to a disc is its reference: the coil's sensitivity is about the same there."""
FLUID_PERCENTILE = 85.0
"""Within the canal the fluid is brightest; nerve roots and partial volume lie below."""


def fluid_signal(
    slice_2d: NDArray, canal: NDArray[np.bool_], axis: DiscAxis, spacing_mm: tuple[float, float]
) -> float | None:
    """Return the signal of the canal's fluid next to a disc, None where no canal was found.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
        Intensities as stored.
    canal : ndarray of bool, shape (rows, columns)
    axis : DiscAxis
    spacing_mm : tuple of float
    """
    positions = pixels_of(canal)
    if len(positions) == 0:
        return None
    distance = np.linalg.norm(positions * spacing_mm - np.array(axis.center_mm), axis=1)
    near = positions[distance < max(CANAL_REACH_MM, float(distance.min()) + CANAL_REACH_MM / 2)]
    value = float(np.percentile(slice_2d[near[:, 0], near[:, 1]], FLUID_PERCENTILE))
    return value if value > 0 else None


def extent_mm(mask: NDArray[np.bool_], direction: NDArray[np.float64], spacing_mm: tuple[float, float]) -> float:
    """Return the extent of a mask in mm along a unit vector (row, column), one pixel included."""
    along = pixels_of(mask) * spacing_mm @ direction
    return float(along.max() - along.min() + abs(direction) @ np.array(spacing_mm))


def measure_disc(
    disc: DiscRegion,
    bodies: tuple[BodyRegion, ...],
    slice_2d: NDArray,
    fluid: float | None,
    spacing_mm: tuple[float, float],
    scale_known: bool,
) -> DiscMeasurements:
    """Measure a disc.

    Definitions: the anteroposterior diameter is the extent along the disc's long axis; the height is the area divided
    by that diameter, thus a mean over the disc; the disc height index is the disc's height over the mean height of the
    vertebral bodies next to it (after Masuda et al., Spine 30(1):5-14, 2005), a body's height measured in the same way,
    area over its extent along the disc's axis; the signal is the median over the disc's central half (along its axis)
    relative to the canal's fluid, the reference in Pfirrmann's criteria.

    Parameters
    ----------
    disc : DiscRegion
    bodies : tuple of BodyRegion
    slice_2d : ndarray, shape (rows, columns)
    fluid : float or None
        From `fluid_signal`.
    spacing_mm : tuple of float
    scale_known : bool
        False leaves out every length and area; ratios stay.
    """
    diameter = extent_mm(disc.mask, disc.axis.along, spacing_mm)
    height = disc.area_mm2 / diameter
    heights = [body.area_mm2 / extent_mm(body.mask, disc.axis.along, spacing_mm) for body in _neighbours(disc, bodies)]
    pixels = pixels_of(disc.mask)
    along = (pixels * spacing_mm - disc.center_mm) @ disc.axis.along
    central = pixels[np.abs(along) <= diameter / 4]
    signal = float(np.median(slice_2d[central[:, 0], central[:, 1]])) if len(central) else None
    return DiscMeasurements(
        height_mm=round(height, 2) if scale_known else None,
        diameter_mm=round(diameter, 2) if scale_known else None,
        area_mm2=round(disc.area_mm2, 1) if scale_known else None,
        disc_height_index=round(height / float(np.mean(heights)), 3) if heights else None,
        signal_to_canal=round(max(signal, 0.0) / fluid, 3) if signal is not None and fluid else None,
    )


def _neighbours(disc: DiscRegion, bodies: tuple[BodyRegion, ...]) -> list[BodyRegion]:
    """Return the bodies right above and below a disc."""
    found = []
    for side in (-1.0, 1.0):
        near = []
        for body in bodies:
            offset = body.center_mm - disc.center_mm
            beside, across = abs(offset @ disc.axis.along), side * (offset @ disc.axis.across)
            if beside < 18.0 and 6.0 < across < 38.0:
                near.append((across, body))
        if near:
            found.append(min(near, key=lambda pair: pair[0])[1])
    return found
