"""Building blocks of the built-in phantom's pictures: smooth noise, soft steps, rounded shapes, the point spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale_pixels: float | tuple[float, float]
) -> NDArray[np.float32]:
    """Return Gaussian noise of unit variance, smooth over about `scale_pixels` (along rows, along columns)."""
    scales = scale_pixels if isinstance(scale_pixels, tuple) else (scale_pixels, scale_pixels)
    weights = []
    for size, scale in zip(shape, scales, strict=True):
        nodes = np.arange(-scale, size + 2 * scale, scale)
        spread = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes[None]) / (0.7 * scale)) ** 2)
        weights.append((spread / np.sqrt((spread**2).sum(1, keepdims=True))).astype(np.float32))
    coarse = rng.standard_normal((weights[0].shape[1], weights[1].shape[1]), dtype=np.float32)
    return weights[0] @ coarse @ weights[1].T


def soft_step(x: NDArray) -> NDArray:
    """Logistic step from 0 to 1 about zero."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0)))


def bump(x: NDArray, width: float) -> NDArray:
    """Gaussian of height 1 about zero that falls to 1/e at `width`."""
    return np.exp(-((x / width) ** 2))


def rounded_corner(a: NDArray, b: NDArray, radius: float) -> NDArray:
    """Signed distance of the intersection of two half spaces (distances `a` and `b`) with a rounded corner."""
    return (
        np.hypot(np.maximum(a + radius, 0), np.maximum(b + radius, 0))
        + np.minimum(np.maximum(a, b) + radius, 0)
        - radius
    )


def depth_share(x_mm: float, half_width_mm: float) -> float:
    """Share of the front-to-back extent left at `x_mm` from the midline of a rounded outline."""
    return float(max(1.0 - (abs(x_mm) / half_width_mm) ** 3, 0.0) ** (1 / 3))


def linear_weights(positions: NDArray, nodes: NDArray) -> NDArray:
    """Return the matrix that interpolates values at evenly spaced `nodes` linearly at `positions`."""
    return np.maximum(1.0 - abs(positions[:, None] - nodes[None]) / (nodes[1] - nodes[0]), 0.0)


def blurred(signal: NDArray) -> NDArray[np.float32]:
    """Blur a little, as the limited readout of a turbo spin echo does."""
    padded = np.pad(signal, 1, mode="edge")
    rows = 0.17 * padded[:-2] + 0.66 * padded[1:-1] + 0.17 * padded[2:]
    return (0.17 * rows[:, :-2] + 0.66 * rows[:, 1:-1] + 0.17 * rows[:, 2:]).astype(np.float32)
