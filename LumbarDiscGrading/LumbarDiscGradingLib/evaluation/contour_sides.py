"""On which sides of a disc, and how far, a contour lies outside or inside that of the reference."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, gaussian_filter

from ..imaging.crop import disc_axis

FINER = 5
"""Pixels are divided by this, so that the edge between two pixels has a place."""


@dataclass(frozen=True)
class OutwardDistances:
    """How far a contour lies outside the reference's on each side, in mm; negative inside, NaN on an empty side.

    Attributes
    ----------
    above, below : float
        At the end plates.
    front, rear : float
        At the anterior and the posterior margin.
    """

    above: float
    below: float
    front: float
    rear: float


SIDES = tuple(side.name for side in fields(OutwardDistances))


def outward_distances_mm(
    contour: NDArray[np.bool_], reference: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> OutwardDistances:
    """Return the mean signed distance between two contours on each side of the reference disc, in its own axis.

    Measured along the reference's contour, as the difference of the signed distances to the two contours; a place
    belongs to the side that it faces.

    Parameters
    ----------
    contour, reference : ndarray of bool, shape (rows, columns)
        Columns go to the back, rows to the feet; neither may be empty.
    spacing_mm : tuple of float
        Of rows and columns.
    """
    rows, columns = np.nonzero(contour | reference)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    contour, reference = (_finer(np.pad(mask[box], 1)) for mask in (contour, reference))
    spacing_mm = (spacing_mm[0] / FINER, spacing_mm[1] / FINER)
    beside = binary_dilation(reference) & ~binary_erosion(reference)
    to_reference = _signed_mm(reference, spacing_mm)
    outward = (to_reference - _signed_mm(contour, spacing_mm))[beside]
    axis = disc_axis(np.argwhere(reference), spacing_mm)
    slope = np.stack(np.gradient(gaussian_filter(to_reference, FINER), *spacing_mm), axis=-1)[beside]
    along, across = slope @ axis.along, slope @ axis.across
    at_plates = np.abs(across) > np.abs(along)
    sides = (at_plates & (across < 0), at_plates & (across > 0), ~at_plates & (along < 0), ~at_plates & (along > 0))
    return OutwardDistances(*(float(outward[side].mean()) if side.any() else float("nan") for side in sides))


def _finer(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask.repeat(FINER, axis=0).repeat(FINER, axis=1))


def _signed_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Return each pixel's distance to the mask's edge in mm, negative inside."""
    outside = distance_transform_edt(~mask, sampling=spacing_mm)
    inside = distance_transform_edt(mask, sampling=spacing_mm)
    return np.asarray(outside - inside)
