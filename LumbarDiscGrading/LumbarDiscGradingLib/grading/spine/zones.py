"""The curved mid-sagittal picture: each disc, with half of each vertebra beside it, from the disc's own slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...imaging.canvas import Grid
from ...imaging.crop import DiscAxis
from ...imaging.volume import SagittalVolume


@dataclass(frozen=True)
class DiscZones:
    """Which slice each part of the picture comes from.

    The zones of neighbouring discs meet half way between them, along the mean of the two discs' long axes.

    Attributes
    ----------
    axes : tuple of DiscAxis
        Of the discs, head to feet, in mm on the slice.
    slices : tuple of int
        Canonical index of each disc's slice; at least one.
    """

    axes: tuple[DiscAxis, ...]
    slices: tuple[int, ...]

    @classmethod
    def of_one(cls, slice_index: int) -> DiscZones:
        """Return the zones of a picture that is one slice."""
        return cls((DiscAxis((0.0, 0.0), 0.0),), (slice_index,))

    @classmethod
    def of_discs(cls, discs: Sequence[tuple[DiscAxis, int]]) -> DiscZones:
        """Return the zones of discs, each given by axis and slice."""
        ordered = sorted(discs, key=lambda disc: disc[0].center_mm[0])
        return cls(tuple(axis for axis, _ in ordered), tuple(index for _, index in ordered))

    @property
    def main_slice(self) -> int:
        """The slice that most discs share; of several the one in the middle of the slices."""
        counts = {index: self.slices.count(index) for index in self.slices}
        most = sorted(index for index, count in counts.items() if count == max(counts.values()))
        return most[len(most) // 2]

    @property
    def is_curved(self) -> bool:
        """Whether the discs lie on more than one slice."""
        return len(set(self.slices)) > 1

    def _slices_at(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the slice that each place in mm comes from; rows and columns are broadcast."""
        zones = np.zeros(np.broadcast_shapes(rows.shape, columns.shape), dtype=np.uint8)
        for index, (upper, lower) in enumerate(pairwise(self.axes), start=1):
            row, column = (np.array(upper.center_mm) + np.array(lower.center_mm)) / 2
            down, back = upper.across + lower.across
            zones[(rows - row) * down + (columns - column) * back > 0] = index
        return np.array(self.slices)[zones]

    def slice_at(self, place_mm: NDArray[np.float64]) -> int:
        """Return the slice that a place (row, column) in mm comes from."""
        return int(self._slices_at(place_mm[:1, None], place_mm[None, 1:])[0, 0])

    def slice_map(self, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> NDArray[np.int64]:
        """Return the canonical index of the slice that each pixel comes from, shape (rows, columns)."""
        return self._slices_at(np.arange(shape[0])[:, None] * spacing_mm[0], np.arange(shape[1])[None] * spacing_mm[1])

    def slice_map_on(self, grid: Grid) -> NDArray[np.int64]:
        """Return the canonical index of the slice that each pixel of a canvas comes from."""
        rows, columns = grid.to_mm(np.indices(grid.shape).reshape(2, -1).T).T.reshape(2, *grid.shape)
        return self._slices_at(rows, columns)

    def picture(self, volume: SagittalVolume, spacing_mm: tuple[float, float], thick: bool = True) -> NDArray:
        """Return the curved picture, shape (rows, columns), of thick slices (`SagittalVolume.thick_slice`) or thin."""

        def plane(index: int) -> NDArray:
            return volume.thick_slice(index) if thick else volume.voxels[index]

        if not self.is_curved:
            return plane(self.slices[0])
        slices = self.slice_map(volume.voxels.shape[1:], spacing_mm)
        picture = plane(self.main_slice).copy()
        for index in set(self.slices) - {self.main_slice}:
            picture = np.where(slices == index, plane(index), picture)
        return picture
