"""What scanners, sequences and readers vary, as transforms of MONAI on training patches.

The masks at hand come from thin-slice 3-D SPACE; clinical examinations are 4 mm TSE of other scanners. The transforms
stand for what differs: receive-coil bias, contrast between tissues, resolution, truncation ringing, noise and field of
view.
"""

from __future__ import annotations

import numpy as np
from monai.transforms import (
    Compose,
    RandBiasField,
    RandGaussianSmooth,
    RandGibbsNoise,
    RandRicianNoise,
    RandSimulateLowResolution,
)
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

MAX_ROTATION_DEGREES = 28.0
MAX_SCALE = 1.3
"""Patients and pixel sizes vary; 1.3 covers a small adult to a large one, and a wrongly estimated picture scale."""
MAX_ANISOTROPY = 1.12
"""Square root of how much longer one side of a pixel may be than is said: a quarter."""
MAX_SLAB_MM = 5.0
"""Thickest simulated slice: neighbouring thin slices are averaged up to this thickness."""


def intensity_transforms(seed: int) -> Compose:
    """Return the intensity transforms for a patch of shape (1, rows, columns) with values of about 0-1."""
    transforms = Compose(
        [
            RandSimulateLowResolution(prob=0.3, zoom_range=(0.5, 0.95), upsample_mode="bilinear"),
            RandGaussianSmooth(sigma_x=(0.25, 1.4), sigma_y=(0.25, 1.4), prob=0.35),
            RandBiasField(degree=3, coeff_range=(-0.35, 0.35), prob=0.6),
            RandGibbsNoise(prob=0.15, alpha=(0.2, 0.6)),
            RandRicianNoise(prob=0.5, std=0.03, sample_std=True),
        ]
    )
    transforms.set_random_state(seed)
    return transforms


def vary_tissue_contrast(
    patch: NDArray[np.float32], tissues: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.float32]:
    """Return a patch with vertebrae, discs, canal and the rest each scaled by a factor, softened at their borders.

    Stands for other echo times, field strengths and fat suppression.

    Parameters
    ----------
    patch : ndarray of float32, shape (rows, columns)
    tissues : ndarray of uint8, shape (rows, columns)
        `pfirrmann.Tissue` values.
    random : numpy.random.Generator
    """
    factors = np.exp(random.uniform(-0.45, 0.45, size=4)).astype(np.float32)
    return patch * gaussian_filter(factors[np.minimum(tissues, 3)], 1.0)


def cut_field_of_view(
    patch: NDArray[np.float32], labels: NDArray[np.uint8], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return copies of a patch and its labels with a blank margin at some sides, as where a field of view ends."""
    patch, labels = patch.copy(), labels.copy()
    rows, columns = patch.shape
    for side, extent in enumerate((rows, rows, columns, columns)):
        if random.random() < 0.15:
            margin = int(random.uniform(0.02, 0.3) * extent)
            cut = (
                (slice(0, margin), slice(None)),
                (slice(rows - margin, rows), slice(None)),
                (slice(None), slice(0, margin)),
                (slice(None), slice(columns - margin, columns)),
            )[side]
            patch[cut] = 0.0
            labels[cut] = 0
    return patch, labels


def wrap_around(patch: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch with a faint copy of itself laid over one side, as of a body larger than its field of view."""
    axis = int(random.integers(2))
    shift = int(random.uniform(0.5, 0.9) * patch.shape[axis]) * int(random.choice((-1, 1)))
    ghost = np.roll(patch, shift, axis)
    beyond = [slice(None), slice(None)]
    beyond[axis] = slice(None, shift) if shift > 0 else slice(shift, None)
    ghost[tuple(beyond)] = 0.0
    return patch + np.float32(random.uniform(0.1, 0.5)) * ghost


def random_gamma(patch: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch on another grey scale: windowed up to 0.6 to 1.7 times its robust maximum, gamma 0.6 to 1.5."""
    high = np.exp(random.uniform(np.log(0.6), np.log(1.7)))
    return np.clip(patch / high, 0.0, 1.0) ** np.exp(random.uniform(np.log(0.6), np.log(1.5)))
