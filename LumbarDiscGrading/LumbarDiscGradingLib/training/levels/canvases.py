"""What the locator of levels is trained on: views as the segmentation network sees them, coarse, and the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...atomic import replacing
from ...grading.segmenter import locator_input, reduced_precision
from ...networks.level_locator import BLOCK, LEAST_SIDE
from .pictures import LEVELS
from .views import PlacedPicture, view_of

if TYPE_CHECKING:
    from ...grading.segmenter import Segmenter

POOLING = 4
"""Canvas pixels along a side that are averaged: 2.5 mm."""
SPREAD_BLOCKS = 0.8
"""Standard deviation of a target's place: 4 mm, to which the points are good."""
IMAGE_ALONE, NO_LANDMARK, ONE_MAP_LOST, DISC_LOST, NO_IMAGE = 0.3, 0.28, 0.13, 0.4, 0.15
"""How often the locator must do without maps of the segmentation network, a disc in them, or the picture itself: so it
learns to see by all of them, and not to repeat what the segmentation network believes."""


@dataclass(frozen=True)
class CoarseView:
    """A view as the locator sees it.

    Attributes
    ----------
    source, split : str
    maps : ndarray of uint8, shape (5, rows, columns)
        `locator_input`, times 255.
    places : ndarray, shape (levels, 2)
        Row and column; NaN where the place is not known.
    in_view : ndarray of bool, shape (levels,)
    """

    source: str
    split: str
    maps: NDArray[np.uint8]
    places: NDArray[np.float64]
    in_view: NDArray[np.bool_]


def coarse_view(picture: PlacedPicture, segmenter: Segmenter, random: np.random.Generator | None = None) -> CoarseView:
    """Vary a picture (as it is, without a generator) and show it to the segmentation network."""
    view = view_of(picture, LEVELS, segmenter.pixel_size_mm, random)
    image = torch.from_numpy(view.image)[None, None].to(segmenter.device)
    with torch.inference_mode(), reduced_precision(segmenter.device):
        maps = segmenter.tissue_maps(segmenter.network(image.contiguous(memory_format=torch.channels_last)).float())
    coarse = (locator_input(image, maps, POOLING)[0] * 255).round().to(torch.uint8).cpu().numpy()
    places = (view.places - (POOLING - 1) / 2) / POOLING
    return CoarseView(picture.source, picture.split, coarse, places, view.in_view)


def stored_view(path: Path, picture: PlacedPicture, segmenter: Segmenter, seed: tuple[int, ...] | None) -> CoarseView:
    """Return a coarse view from its file, which is written first where it is not there: a training can be resumed."""
    if not path.exists():
        view = coarse_view(picture, segmenter, None if seed is None else np.random.default_rng(seed))
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, maps=view.maps, places=view.places, in_view=view.in_view)
    with np.load(path, allow_pickle=False) as arrays:
        return CoarseView(picture.source, picture.split, arrays["maps"], arrays["places"], arrays["in_view"])


def training_canvas(
    view: CoarseView, random: np.random.Generator | None
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Lay a view on a square canvas, somewhere at random, with some of what is seen taken away.

    Without a generator it lies in the middle and is left as it is.

    Returns
    -------
    image : ndarray of float32, shape (5, LEAST_SIDE, LEAST_SIDE)
    places, in_view : ndarray
        As in `CoarseView`, on the canvas.
    """
    canvas = np.zeros((len(view.maps), LEAST_SIDE, LEAST_SIDE), dtype=np.float32)
    slack = [LEAST_SIDE - size for size in view.maps.shape[1:]]
    shift = [
        int(random.integers(min(0, room), max(0, room) + 1)) if random is not None else room // 2 for room in slack
    ]
    onto = tuple(slice(max(0, by), max(0, by) + LEAST_SIDE) for by in shift)
    taken = tuple(slice(max(0, -by), max(0, -by) + LEAST_SIDE - max(0, by)) for by in shift)
    part = view.maps[:, taken[0], taken[1]]
    canvas[:, onto[0], onto[1]][:, : part.shape[1], : part.shape[2]] = part / 255.0
    places = view.places + np.array(shift)
    known = np.isfinite(places).all(axis=1)
    inside = ((places >= 0) & (places <= LEAST_SIDE - 1)).all(axis=1)
    in_view = np.where(known, view.in_view & inside, view.in_view)
    if random is not None:
        _take_away(canvas, places[known & in_view], random)
    return canvas, places, in_view


def _take_away(canvas: NDArray[np.float32], places: NDArray[np.float64], random: np.random.Generator) -> None:
    drawn = random.random()
    if drawn < IMAGE_ALONE:
        canvas[1:] = 0
    elif drawn < IMAGE_ALONE + NO_LANDMARK:
        canvas[4] = 0
    elif drawn < IMAGE_ALONE + NO_LANDMARK + ONE_MAP_LOST:
        canvas[int(random.integers(1, 4))] = 0
    if len(places) and random.random() < DISC_LOST:
        row, column = places[random.integers(len(places))].astype(int)
        rows, columns = slice(max(0, row - 6), row + 6), slice(max(0, column - 18), column + 4)
        canvas[2, rows, columns] *= random.uniform(0.0, 0.4)
        canvas[4, rows, columns] *= random.uniform(0.0, 0.6)
    if random.random() < NO_IMAGE:
        canvas[0] = 0
    canvas[0] = np.clip(canvas[0] * random.uniform(0.8, 1.2), 0.0, 1.0)


def targets(places: NDArray[np.float64], in_view: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Return what the locator should say.

    Parameters
    ----------
    places : ndarray, shape (batch, levels, 2)
    in_view : ndarray of bool, shape (batch, levels)

    Returns
    -------
    Tensor, shape (batch, levels, blocks + 1)
        Probability of each block and, last, of absence.
    Tensor of bool, shape (batch, levels)
        Where that is known.
    """
    side = LEAST_SIDE // BLOCK
    known = torch.from_numpy(np.isfinite(places).all(axis=-1))
    blocks = torch.from_numpy(np.nan_to_num((places - (BLOCK - 1) / 2) / BLOCK, nan=-99.0)).float()
    axis = torch.arange(side, dtype=torch.float32)
    rows, columns = (torch.exp(-((axis - blocks[..., i : i + 1]) ** 2) / 2 / SPREAD_BLOCKS**2) for i in (0, 1))
    spread = (rows[..., :, None] * columns[..., None, :]).flatten(2)
    there = (torch.from_numpy(in_view) & known)[..., None]
    wanted = torch.zeros(*known.shape, side**2 + 1)
    wanted[..., :-1] = torch.where(there, spread / spread.sum(-1, keepdim=True).clamp_min(1e-6), wanted[..., :-1])
    wanted[..., -1:] = (~there).float()
    return wanted, known


def location_loss(logits: Tensor, absence: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Return the cross-entropy of the places of the levels that are known."""
    log_probabilities = torch.cat([logits.flatten(2), absence[..., None]], dim=2).log_softmax(2)
    return -((wanted * log_probabilities).sum(dim=2) * known).sum() / known.sum().clamp_min(1)


def batch_of(views: Sequence[CoarseView], random: np.random.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, and `targets` of them."""
    parts = [training_canvas(view, random) for view in views]
    images = torch.from_numpy(np.stack([image for image, _, _ in parts]))
    wanted, known = targets(np.stack([places for _, places, _ in parts]), np.stack([seen for _, _, seen in parts]))
    return images.contiguous(memory_format=torch.channels_last), wanted, known
