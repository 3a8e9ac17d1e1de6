"""Where a disc lies on a slice, and the crop of it that the grading network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .canvas import Grid

CROP_SHAPE = (128, 256)
CROP_PIXEL_SIZE_MM = 0.25
"""The crop covers 32 x 64 mm: a whole disc with the end plates and marrow on both sides of it."""

MAX_AXIS_DEGREES = 75.0
"""The long axis of a lumbar disc points backwards; the lumbosacral one is tilted most."""


class MaskUse(str, Enum):
    """How the grading network is shown which disc of a crop it grades.

    `channels` names the network's input channels, as a model's manifest does.
    """

    CHANNEL = "channel"
    MULTIPLIED = "multiplied"
    NONE = "none"

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the input channels: crop and mask side by side, crop times mask (as in the study), or crop alone."""
        return {
            MaskUse.CHANNEL: ("image", "mask"),
            MaskUse.MULTIPLIED: ("image times mask",),
            MaskUse.NONE: ("image",),
        }[self]

    @classmethod
    def of_channels(cls, names: Sequence[str]) -> MaskUse:
        """Return the use whose channels have these names.

        Raises
        ------
        ValueError
            If there is none.
        """
        for use in cls:
            if use.channels == tuple(names):
                return use
        raise ValueError(f"A grading network with the input channels {', '.join(names)} is not known.")


@dataclass(frozen=True)
class DiscAxis:
    """Position and direction of a disc on its slice.

    Attributes
    ----------
    center_mm : tuple of float
        Centroid along rows and columns in mm from the first pixel's centre.
    angle_degrees : float
        Direction of the long axis, front to back, turned from the slice's columns towards its rows.
    """

    center_mm: tuple[float, float]
    angle_degrees: float

    @property
    def along(self) -> NDArray[np.float64]:
        """Unit vector front to back as (row, column)."""
        angle = np.radians(self.angle_degrees)
        return np.array([np.sin(angle), np.cos(angle)])

    @property
    def across(self) -> NDArray[np.float64]:
        """Unit vector towards the feet, at right angles to `along`, as (row, column)."""
        angle = np.radians(self.angle_degrees)
        return np.array([np.cos(angle), -np.sin(angle)])


def disc_axis(row_column: NDArray, spacing_mm: tuple[float, float]) -> DiscAxis:
    """Fit a disc's centre and long axis to its pixels (first principal component).

    Parameters
    ----------
    row_column : ndarray, shape (n, 2)
        Pixels of the disc; at least one.
    spacing_mm : tuple of float
        Pixel spacing along rows and columns.
    """
    points = np.asarray(row_column, dtype=float) * np.asarray(spacing_mm)
    center = points.mean(axis=0)
    angle = 0.0
    if len(points) > 2:
        _, vectors = np.linalg.eigh(np.cov((points - center).T))
        axis = vectors[:, 1] if vectors[1, 1] >= 0 else -vectors[:, 1]
        angle = float(np.degrees(np.arctan2(axis[0], axis[1])))
        angle = float(np.clip(angle, -MAX_AXIS_DEGREES, MAX_AXIS_DEGREES))
    return DiscAxis((float(center[0]), float(center[1])), angle)


def disc_grid(axis: DiscAxis, pixel_size_mm: float = CROP_PIXEL_SIZE_MM, shape: tuple[int, int] = CROP_SHAPE) -> Grid:
    """Lay the crop over a disc, its columns along the disc's long axis from front to back."""
    return Grid(shape, pixel_size_mm, axis.center_mm, axis.angle_degrees)


def referenced_crop(
    slice_2d: NDArray, spacing_mm: tuple[float, float], grid: Grid, reference: float
) -> NDArray[np.float32]:
    """Sample a crop and divide it by a reference signal, so that 1 is as bright as the canal's fluid.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    spacing_mm : tuple of float
    grid : Grid
    reference : float
        Signal of fluid near the disc, in the slice's units; positive.

    Returns
    -------
    ndarray of float32, shape of the grid, clipped to 0-1.5
    """
    return np.clip(grid.sample(slice_2d, spacing_mm) / max(reference, 1e-6), 0.0, 1.5).astype(np.float32)
