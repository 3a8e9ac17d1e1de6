"""`SegmentationModule`: the U-Net as Lightning trains it, and its losses."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from monai.losses import MaskedDiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks import UNet
from ...pfirrmann import Tissue
from ..mask_targets import LANDMARK_LUMBOSACRAL, LANDMARK_UNKNOWN
from ..recipes import SegmentationRecipe
from ..run_folder import optimizer_and_schedule
from .slices import IGNORED

TISSUE_COUNT = len(Tissue)


class SegmentationModule(L.LightningModule):
    """U-Net with Dice and cross-entropy on tissues and binary cross-entropy on the lumbosacral landmark."""

    def __init__(self, recipe: SegmentationRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        channels = TISSUE_COUNT + 1 if recipe.tissues else 2
        self.network = UNet(1, channels, recipe.base_width).to(memory_format=torch.channels_last)
        self.dice_loss = MaskedDiceLoss(include_background=False, softmax=True, batch=True)
        self._validation: list[tuple[float, float]] = []

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of shape (batch, channels, rows, columns)."""
        return self.network(image.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch."""
        image, tissues, landmark = batch
        logits = self(image).float()
        classes = TISSUE_COUNT if self.recipe.tissues else 2
        loss = segmentation_loss(logits[:, :classes], tissues.long(), self.dice_loss)
        if self.recipe.tissues:
            loss = loss + 0.5 * landmark_loss(logits[:, classes], landmark)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> None:
        """Collect disc Dice and landmark accuracy of one slice."""
        image, tissues, landmark = batch
        logits = self(image).float()
        predicted = logits[:, : TISSUE_COUNT if self.recipe.tissues else 2].argmax(1)
        disc = int(Tissue.DISC) if self.recipe.tissues else 1
        if not bool((tissues == disc).any()):
            return
        overlap = (
            2 * ((predicted == disc) & (tissues == disc)).sum() / ((predicted == disc).sum() + (tissues == disc).sum())
        )
        right = float("nan")
        if self.recipe.tissues and bool((landmark > LANDMARK_UNKNOWN).any()):
            known = landmark > LANDMARK_UNKNOWN
            says = logits[:, TISSUE_COUNT][known] > 0
            right = float((says == (landmark[known] == LANDMARK_LUMBOSACRAL)).float().mean())
        self._validation.append((float(overlap), right))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the tuning slices."""
        values = np.array(self._validation)
        self._validation.clear()
        if len(values) == 0:
            return
        self.log("tune_disc_dice", float(np.mean(values[:, 0])), prog_bar=True)
        if np.isfinite(values[:, 1]).any():
            self.log("tune_landmark_accuracy", float(np.nanmean(values[:, 1])), prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return SGD, or AdamW on a one-cycle schedule."""
        return optimizer_and_schedule(self, self.recipe, weight_decay=1e-4, warm_up=0.15)


def segmentation_loss(logits: Tensor, tissues: Tensor, dice_loss: nn.Module) -> Tensor:
    """Return Dice + cross-entropy over the pixels that are not `IGNORED`.

    Parameters
    ----------
    logits : Tensor, shape (batch, classes, rows, columns)
    tissues : Tensor of int64, shape (batch, rows, columns)
    dice_loss : MaskedDiceLoss
    """
    sure = tissues != IGNORED
    cross_entropy = F.cross_entropy(logits, tissues, ignore_index=IGNORED)
    one_hot = F.one_hot(torch.where(sure, tissues, 0), logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    return cross_entropy + dice_loss(logits, one_hot, sure[:, None].to(logits.dtype))


def landmark_loss(logits: Tensor, landmark: Tensor) -> Tensor:
    """Return the binary cross-entropy of "this disc is L5-S1" over the pixels of discs whose level is known."""
    known = landmark > LANDMARK_UNKNOWN
    if not bool(known.any()):
        return logits.sum() * 0.0
    target = (landmark[known] == LANDMARK_LUMBOSACRAL).to(logits.dtype)
    # one disc in about six is the lumbosacral one
    return F.binary_cross_entropy_with_logits(logits[known], target, pos_weight=logits.new_tensor(4.0))
