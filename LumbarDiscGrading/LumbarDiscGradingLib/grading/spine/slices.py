"""Which slices are used along a curve: one wherever it is near enough, others for what leaves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from .curve import SpineCurve

NEAR_MM = 2.5
"""A slice nearer than this, or than the next slice, cuts a disc near enough to its middle: none is left for another."""
KNOWN_MM = 1.0
"""The curve is not known better than this: of slices as near, the one nearest to the first is taken."""
MOST_SLICES = 8
LEVEL_MM = 28.0
"""Least distance of neighbouring discs: so far from those that were found, another may lie on another slice."""


@dataclass(frozen=True, eq=False)
class SpineSlices:
    """The slices used along a curve.

    Attributes
    ----------
    curve : SpineCurve
    taken : tuple of int
        Canonical indices; the first is used wherever it is near enough to the curve.
    offsets_mm : tuple of float
        Their positions, as those of the curve.
    near_mm : float
        How far a slice may lie from the curve before another is used.
    """

    curve: SpineCurve
    taken: tuple[int, ...]
    offsets_mm: tuple[float, ...]
    near_mm: float

    @classmethod
    def along(cls, curve: SpineCurve, volume: SagittalVolume) -> SpineSlices:
        """Choose the first slice.

        The geometric middle if it is near at half of the heights, else the slice in the middle of the curve; of two
        between which that lies, the one nearer to the geometric middle, so that noise does not decide.
        """
        apart = _apart_mm(volume, curve.across_mm[curve.known])
        middle = volume.middle_slice_index
        if np.count_nonzero(apart[middle] <= _near_mm(volume)) >= apart.shape[1] / 2:
            return cls._of(curve, volume, [middle])
        mean = apart.mean(axis=1)
        nearest = np.flatnonzero(mean <= mean.min() + KNOWN_MM).tolist()
        return cls._of(curve, volume, [min(nearest, key=lambda index: abs(index - middle))])

    @classmethod
    def _of(cls, curve: SpineCurve, volume: SagittalVolume, taken: list[int]) -> SpineSlices:
        offsets = _offsets_mm(volume)[taken].tolist()
        return cls(curve, tuple(taken), tuple(offsets), _near_mm(volume))

    def with_others(self, volume: SagittalVolume, places_mm: NDArray[np.float64]) -> SpineSlices:
        """Take further slices, each near at most of the places (row, column) in mm that are left, (n, 2)."""
        across = self.curve.across_at(places_mm)
        apart = _apart_mm(volume, across)
        taken, left = list(self.taken), apart[self.taken[0]] > self.near_mm
        while left.any() and len(taken) < MOST_SLICES:
            near = (apart <= self.near_mm) & left
            best = np.flatnonzero(near.sum(axis=1) == near.sum(axis=1).max()).tolist()
            # where the curve leaves the volume no slice is near: the nearest is taken
            of = {index: float(apart[index, near[index] if near.any() else left].mean()) for index in best}
            nearest = [index for index in best if of[index] <= min(of.values()) + KNOWN_MM]
            chosen = min(nearest, key=lambda index: abs(index - taken[0]))
            taken.append(chosen)
            left &= (apart[chosen] > self.near_mm) & near.any()
        return self._of(self.curve, volume, taken)

    def at(self, places_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the slice used at the height of each place (row, column) in mm, shape (n, 2)."""
        apart = np.abs(np.array(self.offsets_mm)[:, None] - self.curve.across_at(places_mm)[None])
        return np.array(self.taken)[np.where(apart[0] <= self.near_mm, 0, apart.argmin(axis=0))]

    def leaves_better(self, volume: SagittalVolume, places_mm: NDArray[np.float64]) -> bool:
        """Tell whether a slice that is not taken would be nearer to a place (row, column) in mm that none is near."""
        across = self.curve.across_at(places_mm)
        apart = np.abs(np.array(self.offsets_mm)[:, None] - across[None]).min(axis=0)
        nearest = _apart_mm(volume, across).min(axis=0)
        return bool(((apart > self.near_mm) & (nearest < apart)).any())

    def unseen(self, found_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places of the canal where no disc was found near and one may lie on another slice, shape (n, 2)."""
        canal = self.curve.canal_mm[self.curve.known]
        places = list[NDArray[np.float64]]()
        taken = [place[0] for place in found_mm]
        for place in canal:
            if all(abs(place[0] - row) >= LEVEL_MM for row in taken):
                places.append(place)
                taken.append(place[0])
        return np.array(places).reshape(-1, 2)


def _near_mm(volume: SagittalVolume) -> float:
    return max(NEAR_MM, volume.spacing_mm[0])


def _offsets_mm(volume: SagittalVolume) -> NDArray[np.float64]:
    return (np.arange(volume.slice_count) - volume.middle_slice_index) * volume.spacing_mm[0]


def _apart_mm(volume: SagittalVolume, across_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each slice lies from positions of the curve, shape (slices, positions)."""
    return np.abs(_offsets_mm(volume)[:, None] - across_mm[None])
