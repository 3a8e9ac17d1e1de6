"""Pictures with the places of their discs, as other scanners, protocols and operators would have shown them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...imaging.canvas import INPUT_HIGH_PERCENTILE, INPUT_LOW_PERCENTILE, Grid
from .. import augmentation

MAX_SCALE, MAX_STRETCH = 1.3, 1.25
"""Factors on the pixel size, and between the sizes along rows and columns."""
CUT_SHARE, WHOLE_CUT_MM = 0.5, 25.0
"""Share of the views whose field of view is cut, and how much of the picture must stay around a disc that is kept."""
MAX_PIXELS = 576
"""Rows and columns of the largest view."""


@dataclass(frozen=True)
class PlacedPicture:
    """One slice and where its discs' posterior margins lie.

    Attributes
    ----------
    patient, source, split : str
    pixels : ndarray, shape (rows, columns)
    spacing_mm : tuple of float
    places : dict of str to tuple of float
        Row and column, in pixels, of the posterior margin of the disc of each level that is known.
    """

    patient: str
    source: str
    split: str
    pixels: NDArray
    spacing_mm: tuple[float, float]
    places: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class View:
    """A picture on the canvas of the segmentation network.

    Attributes
    ----------
    image : ndarray of float32, shape (rows, columns)
        Normalized as in use.
    places : ndarray, shape (levels, 2)
        Row and column on the canvas; NaN where the place is not known.
    in_view : ndarray of bool, shape (levels,)
        False where a known place lies outside the picture.
    """

    image: NDArray[np.float32]
    places: NDArray[np.float64]
    in_view: NDArray[np.bool_]


def view_of(
    picture: PlacedPicture, levels: tuple[str, ...], pixel_size_mm: float, random: np.random.Generator | None = None
) -> View:
    """Lay a picture on the canvas, varied at random where a generator is given.

    Parameters
    ----------
    picture : PlacedPicture
    levels : tuple of str
        Levels whose places are returned, in this order.
    pixel_size_mm : float
        Of the canvas.
    random : numpy.random.Generator, optional
    """
    unknown = (np.nan, np.nan)
    places = np.array([picture.places.get(level, unknown) for level in levels], dtype=float)
    pixels, spacing, rotation = picture.pixels.astype(np.float32), picture.spacing_mm, 0.0
    if random is not None:
        scale = np.exp(random.uniform(-1, 1) * np.log(MAX_SCALE))
        stretch = np.exp(random.uniform(-1, 1) * np.log(MAX_STRETCH) / 2)
        spacing = (spacing[0] * scale * stretch, spacing[1] * scale / stretch)
        rotation = float(np.clip(random.normal(0, 7), -20, 20))
        if random.random() < CUT_SHARE:
            first, last = _field_of_view(places, pixels.shape, spacing, random)
            pixels = pixels[first[0] : last[0], first[1] : last[1]]
            places = places - first
    inside = ((places >= 0) & (places <= np.array(pixels.shape) - 1)).all(axis=1)
    grid = Grid.fitting(pixels.shape, spacing, pixel_size_mm, rotation)
    if max(grid.shape) > MAX_PIXELS:
        grid = Grid(tuple(min(size, MAX_PIXELS) for size in grid.shape), pixel_size_mm, grid.center_mm, rotation)  # type: ignore[arg-type]
    low, high = np.percentile(pixels, (INPUT_LOW_PERCENTILE, INPUT_HIGH_PERCENTILE))
    image = grid.sample(np.maximum((pixels - low) / max(float(high - low), 1e-6), 0.0), spacing)
    if random is not None and random.random() < 0.85:
        transforms = augmentation.intensity_transforms(int(random.integers(2**31)))
        image = np.asarray(transforms(torch.from_numpy(image)[None])[0], dtype=np.float32)
        image = augmentation.random_gamma(image, random)
    image = np.sqrt(np.clip(image, 0.0, 1.0)).astype(np.float32)
    on_canvas = grid.from_mm(places * np.array(spacing))
    inside &= ((on_canvas >= 0) & (on_canvas <= np.array(grid.shape) - 1)).all(axis=1)
    return View(image, on_canvas, inside | ~np.isfinite(places).all(axis=1))


def _field_of_view(
    places: NDArray[np.float64], shape: tuple[int, ...], spacing: tuple[float, float], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last (row, column) of a smaller field of view that leaves at least three known discs whole."""
    known = places[np.isfinite(places).all(axis=1)]
    rows = np.sort(known[:, 0])
    first, last = np.zeros(2), np.array(shape, dtype=float)
    margin = WHOLE_CUT_MM / spacing[0]
    if len(rows) >= 3:
        if random.random() < 0.5:  # feet: anywhere below the third disc from the head that is known
            lowest = rows[2] + margin / 2
            last[0] = random.uniform(min(lowest, last[0]), last[0])
        if random.random() < 0.5:
            below = rows[rows < last[0]]
            highest = below[-3] - margin / 2 if len(below) >= 3 else 0.0
            first[0] = random.uniform(0.0, max(highest, 0.0))
        front, back = known[:, 1].min() - 45.0 / spacing[1], known[:, 1].max() + 25.0 / spacing[1]
        first[1] = random.uniform(0.0, max(front, 0.0)) if random.random() < 0.5 else 0.0
        last[1] = random.uniform(min(back, last[1]), last[1]) if random.random() < 0.5 else last[1]
    return first.astype(int), np.ceil(last).astype(int)
