"""A lumbar spine made by code alone: a sagittal T2-weighted volume with the exact truth of its discs.

It is the sample that is graded when no input is given, and stands in for patients in demonstrations and tests. It
imitates what a clinical sagittal T2 turbo spin-echo series shows: the appearance of each Pfirrmann grade (Pfirrmann et
al., Spine 26(17):1873-1878, 2001), bright fluid around conus and cauda equina, fat, muscle, flow voids, the fall-off of
a surface coil and the Rician noise of magnitude images. No patient's image went into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import GRADES
from .phantom_spine import Spine
from .phantom_tissue import SlicePainter
from .volume import SagittalVolume, VolumeSource

SAMPLE_NAME = "LumbarPhantom"
SLICE_COUNT = 15
SLICE_SPACING_MM = 4.0
PIXEL_SIZE_MM = 0.7
MATRIX_SIZE = 384
FULL_SCALE = 1400.0
"""Stored value of fluid next to the coil."""

NOISE_SIGMA = 0.012
"""Standard deviation of the noise in each of the two receiver channels, fluid next to the coil being 1."""

ANCHOR_MM = (146.0, 121.0)
"""Centre of L3 from the front and the top edge of the picture."""

SAMPLE_GRADES = {"T11-T12": 2, "T12-L1": 1, "L1-L2": 1, "L2-L3": 2, "L3-L4": 3, "L4-L5": 4, "L5-S1": 5}
"""Pfirrmann grades of the sample: all five are there."""


@dataclass(frozen=True)
class LumbarPhantom:
    """A phantom and its truth.

    Attributes
    ----------
    volume : SagittalVolume
        int16 voxels, shape (slices, rows, columns).
    mask : ndarray of uint8, shape (slices, rows, columns)
        Disc labels (`pfirrmann.DISC_LABELS`), 1 vertebrae down to L5 (bodies and arches), 3 canal, 0 elsewhere. The
        sacrum and its remnant discs are not labelled.
    grades : dict
        Pfirrmann grade 1-5 by level.
    mid_slice_index : int
        Canonical index of the slice nearest to the mid-sagittal plane, not always the geometric middle slice.
    """

    volume: SagittalVolume
    mask: NDArray[np.uint8]
    grades: dict[str, int]
    mid_slice_index: int


def lumbar_phantom(
    seed: int = 0, grades: Mapping[str, int] | None = None, slice_count: int = SLICE_COUNT, name: str = SAMPLE_NAME
) -> LumbarPhantom:
    """Make a lumbar phantom; the same arguments give the same voxels.

    Parameters
    ----------
    seed : int
        Chooses body size, lordosis, position and all textures.
    grades : mapping, optional
        Pfirrmann grade by level; levels left out keep those of `SAMPLE_GRADES`.
    slice_count : int
        Number of slices, 4 mm apart, centred on the patient.
    name : str
        Name of the volume.

    Raises
    ------
    ValueError
        If a level is not in the phantom or a grade is not 1 to 5.
    """
    truth = dict(SAMPLE_GRADES)
    for level, grade in (grades or {}).items():
        if level not in truth or grade not in GRADES:
            raise ValueError(f"The phantom has levels {', '.join(truth)} and grades 1 to 5, not {level!r}: {grade!r}.")
        truth[level] = int(grade)
    rng = np.random.default_rng(seed)
    anchor = (ANCHOR_MM[0] + rng.uniform(-5, 5), ANCHOR_MM[1] + rng.uniform(-4, 4))
    spine = Spine.build(rng, truth, anchor)
    off_center_mm = float(rng.choice([-1.0, 1.0]) * rng.uniform(4.5, 7.5))
    painter = SlicePainter(spine, truth, rng, (MATRIX_SIZE, MATRIX_SIZE), PIXEL_SIZE_MM)
    lateral_mm = (np.arange(slice_count) - (slice_count - 1) / 2) * SLICE_SPACING_MM
    signal = np.empty((slice_count, MATRIX_SIZE, MATRIX_SIZE), np.float32)
    mask = np.empty(signal.shape, np.uint8)
    for index, position_mm in enumerate(lateral_mm):
        signal[index], mask[index] = painter.paint(float(position_mm) - off_center_mm)
    noise = rng.normal(0.0, NOISE_SIGMA, (2, *signal.shape)).astype(np.float32)
    magnitude = np.hypot(signal + noise[0], noise[1])
    voxels = np.clip(np.rint(magnitude * FULL_SCALE), 0, np.iinfo(np.int16).max).astype(np.int16)
    volume = SagittalVolume(voxels, _index_to_lps(slice_count), source=VolumeSource(name=name, modality="MR"))
    middle = int(np.argmin(abs(lateral_mm - off_center_mm)))
    return LumbarPhantom(volume, mask, truth, middle)


def _index_to_lps(slice_count: int) -> NDArray[np.float64]:
    """Return the (4, 4) matrix of the canonical axes: slices to the left, rows to the feet, columns to the back."""
    extent_mm = (MATRIX_SIZE - 1) * PIXEL_SIZE_MM
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[2, 1], matrix[1, 2], matrix[3, 3] = SLICE_SPACING_MM, -PIXEL_SIZE_MM, PIXEL_SIZE_MM, 1.0
    matrix[:3, 3] = -(slice_count - 1) / 2 * SLICE_SPACING_MM, -extent_mm / 2, extent_mm / 2
    return matrix
