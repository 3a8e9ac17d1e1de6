"""Discs as large as the references draw them: an offset on the disc's logit, fitted after training.

A Dice loss and blurred training images leave a network that draws discs some percent too large; areas and heights are
measurements here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from ...imaging.canvas import Grid, normalized_slice
from ...pfirrmann import Tissue
from ..mask_targets import tissues_and_landmark
from .module import SegmentationModule
from .slices import TrainingCase

OFFSETS = np.arange(-1.0, 2.01, 0.25)
LEAST_PIXELS = 30
"""Smaller reference regions are the rims of discs beside the slice."""
AROUND_PIXELS = 5
"""Predicted pixels so near to a reference disc are counted as its own."""


@torch.inference_mode()
def best_offset(module: SegmentationModule, groups: Sequence[Sequence[TrainingCase]]) -> float:
    """Return what to take off the disc's logit for the highest mean Dice of the discs on the middle slices.

    Parameters
    ----------
    module : SegmentationModule
    groups : sequence of sequences of TrainingCase
        With labels; the groups (training and tuning patients) count alike, however large they are.
    """
    was_training = module.training
    module.eval()
    sums = np.zeros(len(OFFSETS))
    for group in groups:
        scores = [row for case in group for row in _disc_dice(module, case)]
        if scores:
            sums += np.mean(scores, axis=0)
    module.train(was_training)
    return float(OFFSETS[int(sums.argmax())]) if sums.any() else 0.0


def take_off_disc_logit(module: SegmentationModule, offset: float) -> None:
    """Build an offset into the network's last layer."""
    with torch.no_grad():
        module.network.head.bias[_disc_channel(module)] -= offset


def _disc_channel(module: SegmentationModule) -> int:
    return int(Tissue.DISC) if module.recipe.tissues else 1


def _disc_dice(module: SegmentationModule, case: TrainingCase) -> list[list[float]]:
    """Return for each disc on the middle slice its Dice at each of `OFFSETS`."""
    middle = case.middle
    spacing = case.spacing_mm[1:]
    grid = Grid.fitting(case.voxels.shape[1:], spacing, module.recipe.pixel_size_mm)
    image = torch.from_numpy(grid.sample(normalized_slice(case.voxels[middle]), spacing))[None, None]
    logits = module(image.to(module.device)).float()[0].cpu()[: len(Tissue) if module.recipe.tissues else 2]
    tissues, _ = tissues_and_landmark(grid.sample(case.known_labels[middle], spacing, nearest=True).astype(np.uint8))
    parts, count = label(tissues == Tissue.DISC)
    discs = [parts == number for number in range(1, count + 1) if (parts == number).sum() >= LEAST_PIXELS]
    return [_dice_by_offset(logits, _disc_channel(module), disc) for disc in discs]


def _dice_by_offset(logits: torch.Tensor, channel: int, disc: NDArray[np.bool_]) -> list[float]:
    around = binary_dilation(disc, iterations=AROUND_PIXELS)
    dice = []
    for offset in OFFSETS:
        shifted = logits.clone()
        shifted[channel] -= offset
        predicted = (shifted.argmax(0).numpy() == channel) & around
        dice.append(2 * float((predicted & disc).sum()) / float(predicted.sum() + disc.sum()))
    return dice
