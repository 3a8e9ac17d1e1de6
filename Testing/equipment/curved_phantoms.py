"""Phantoms of a lumbar spine that is bowed and tilted across the slices, with their truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LumbarDiscGradingLib.imaging.phantom import (
    ANCHOR_MM,
    FULL_SCALE,
    MATRIX_SIZE,
    NOISE_SIGMA,
    PIXEL_SIZE_MM,
    SAMPLE_GRADES,
)
from LumbarDiscGradingLib.imaging.phantom_spine import Spine
from LumbarDiscGradingLib.imaging.phantom_tissue import SlicePainter
from LumbarDiscGradingLib.imaging.volume import SagittalVolume, VolumeSource
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS

PAINTED_STEP_MM = 1.0
PAINTED_HALF_WIDTH_MM = 24


@dataclass(frozen=True)
class CurvedPhantom:
    """A volume, its disc labels, and where the middle of the spine lies at each row, in parts of a slice."""

    volume: SagittalVolume
    mask: NDArray[np.uint8]
    middle: NDArray[np.float64]

    def middle_at(self, level: str) -> float:
        """Return where the middle of the spine lies at the height of a disc, in parts of a slice."""
        rows = np.nonzero(self.mask == DISC_LABELS[level])[1]
        return float(self.middle[round(rows.mean())])


class PaintedSpine:
    """A straight spine, painted once, of which curved ones are made by moving its rows across."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        spine = Spine.build(rng, SAMPLE_GRADES, ANCHOR_MM)
        painter = SlicePainter(spine, SAMPLE_GRADES, rng, (MATRIX_SIZE, MATRIX_SIZE), PIXEL_SIZE_MM)
        self._at_mm = np.arange(-PAINTED_HALF_WIDTH_MM, PAINTED_HALF_WIDTH_MM + 0.5, PAINTED_STEP_MM)
        painted = [painter.paint(float(x)) for x in self._at_mm]
        self._signal = np.stack([signal for signal, _ in painted])
        self._mask = np.stack([mask for _, mask in painted])
        self._rng = rng

    def curved(
        self, bow_mm: float, tilt_degrees: float, slice_mm: float, width_mm: float = 72.0, off_mm: float = 0.0
    ) -> CurvedPhantom:
        """Return the spine bowed across the slices, most in the middle of its height, and tilted.

        Parameters
        ----------
        bow_mm : float
            Between the middle and both ends of the picture's height.
        tilt_degrees : float
        slice_mm, width_mm : float
            Distance of the slices, and how much they cover.
        off_mm : float
            How far the spine lies beside the middle of the volume.
        """
        height = np.arange(MATRIX_SIZE) * PIXEL_SIZE_MM
        centered = height - height.mean()
        across = off_mm + bow_mm * (np.cos(np.pi * centered / height[-1]) - 0.5)
        across += np.tan(np.radians(tilt_degrees)) * centered
        count = int(width_mm / slice_mm) // 2 * 2 + 1
        slices_mm = (np.arange(count) - count // 2) * slice_mm
        signal = np.empty((count, MATRIX_SIZE, MATRIX_SIZE), np.float32)
        mask = np.empty(signal.shape, np.uint8)
        rows = np.arange(MATRIX_SIZE)
        for index, x_mm in enumerate(slices_mm):
            nearest = np.clip(np.round((x_mm - across - self._at_mm[0]) / PAINTED_STEP_MM), 0, len(self._at_mm) - 1)
            signal[index], mask[index] = self._signal[nearest.astype(int), rows], self._mask[nearest.astype(int), rows]
        noise = self._rng.normal(0.0, NOISE_SIGMA, (2, *signal.shape)).astype(np.float32)
        voxels = np.rint(np.hypot(signal + noise[0], noise[1]) * FULL_SCALE).astype(np.int16)
        matrix = np.zeros((4, 4))
        matrix[0, 0], matrix[2, 1], matrix[1, 2], matrix[3, 3] = slice_mm, -PIXEL_SIZE_MM, PIXEL_SIZE_MM, 1.0
        volume = SagittalVolume(voxels, matrix, source=VolumeSource(name="CurvedPhantom", modality="MR"))
        return CurvedPhantom(volume, mask, across / slice_mm + count // 2)
