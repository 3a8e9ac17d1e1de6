"""Training of the U-Net: losses, metrics, self-training, and the model folder at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from monai.losses import MaskedDiceLoss
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ...dataset.labelled import LabelledDataset
from ...imaging.canvas import Grid, normalized_slice
from ...models.folder import TrainedModel
from ...networks import UNet
from ...pfirrmann import Tissue
from ..recipes import SegmentationRecipe
from ..run_folder import LOADER_WORKERS, RunFolder, optimizer_and_schedule, take_weights
from ..run_record import run_record
from .contour_offset import best_offset, take_off_disc_logit
from .slices import IGNORED, LANDMARK_LUMBOSACRAL, LANDMARK_UNKNOWN, SlicePatches, TrainingCase, tissues_and_landmark

TISSUE_COUNT = len(Tissue)
SURE_PROBABILITY = 0.85
"""A pixel of the network's own prediction trains it only where its class is at least this probable."""


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


class SegmentationData(L.LightningDataModule):
    """Patches of training patients, middle slices of tuning patients, own predictions where there is no mask.

    Where only discs were drawn, the tissues around them are the network's own predictions, too.
    """

    def __init__(
        self,
        datasets: list[LabelledDataset],
        recipe: SegmentationRecipe,
        seed: int,
        workers: int = LOADER_WORKERS,
        own_labels: Path | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.workers, self.seed, self.own_labels = recipe, workers, seed, own_labels
        cases = [case for dataset in datasets for case in dataset.cases]
        load = TrainingCase.load
        masked = [load(c) for c in cases if c.split == "train" and c.has_mask]
        if not masked:
            raise ValueError("None of the training patients has a mask; give a data set with masks.")
        self.training = [case for case in masked if not (recipe.tissues and case.discs_alone)]
        self.discs_alone = [case for case in masked if recipe.tissues and case.discs_alone]
        self.tuning = [load(c) for c in cases if c.split == "tune" and c.has_mask]
        self.unlabelled = [load(c) for c in cases if c.split == "train" and not c.has_mask]
        self.incomplete = [*self.unlabelled, *self.discs_alone]
        if not self.training and recipe.self_training_epoch != 0:
            raise ValueError(
                "The masks of all training patients have discs alone, without vertebrae and canal: go on from a model "
                "(--preset refine --start-from), which knows those."
            )
        self.patches = SlicePatches(self.training, recipe, seed)

    def train_dataloader(self) -> DataLoader:
        """Return the loader of an epoch."""
        self.patches.epoch = self.trainer.current_epoch if self.trainer else 0
        start = self.recipe.self_training_epoch
        if start is not None and self.incomplete and not self.patches.pseudo and self.patches.epoch >= start:
            self.patches.pseudo = self._own_labels()
            if not self.patches.cases and not self.patches.pseudo:
                raise ValueError("The model finds no lumbar spine on the slices where discs were drawn.")
        return DataLoader(self.patches, self.recipe.batch_size, num_workers=self.workers, drop_last=True)

    def _own_labels(self) -> list[TrainingCase]:
        """Label what has no mask or discs alone, once a run: a run that is resumed goes on with the same labels."""
        if self.own_labels is not None and self.own_labels.exists():
            return read_labels(self.own_labels, self.incomplete)
        labelled = label_by_network(self.trainer.lightning_module, self.incomplete, self.recipe)
        if self.own_labels is not None and self.trainer.is_global_zero:
            write_labels(self.own_labels, labelled)
        return labelled

    def val_dataloader(self) -> DataLoader:
        """Return the middle slice of each tuning patient on the whole canvas."""
        items = []
        for case in self.tuning:
            middle = case.middle
            grid = Grid.over(case.labels[middle].shape, case.spacing_mm[1:], self.recipe.pixel_size_mm)
            image = grid.sample(normalized_slice(case.voxels[middle]), case.spacing_mm[1:])
            labels = grid.sample(case.labels[middle], case.spacing_mm[1:], nearest=True).astype(np.uint8)
            tissues, landmark = tissues_and_landmark(labels)
            if not self.recipe.tissues:
                tissues = (tissues == Tissue.DISC).astype(np.uint8)
            items.append((image[None], tissues, landmark))
        return DataLoader(items, batch_size=1)


@torch.inference_mode()
def label_by_network(
    module: SegmentationModule, cases: list[TrainingCase], recipe: SegmentationRecipe
) -> list[TrainingCase]:
    """Label cases by the network itself; unsure pixels are `IGNORED`, implausible cases left out.

    A case is plausible where at least five discs' worth of sure disc pixels and a canal are found. Discs that were
    drawn stay as they are; discs that the network sees elsewhere on such a slice are `IGNORED`.
    """
    was_training = module.training
    module.eval()
    classes = np.arange(TISSUE_COUNT, dtype=np.uint8) if recipe.tissues else np.array([0, Tissue.DISC], dtype=np.uint8)
    labelled = []
    for case in cases:
        middle = case.middle
        spacing = case.spacing_mm[1:]
        shape = case.voxels.shape[1:]
        grid = Grid.over(shape, spacing, recipe.pixel_size_mm)
        image = torch.from_numpy(grid.sample(normalized_slice(case.voxels[middle]), spacing))[None, None]
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision.startswith("bf16")):
            probabilities = module(image.to(module.device)).float()[0, : len(classes)].softmax(0).cpu().numpy()
        best, tissue = probabilities.max(0), classes[probabilities.argmax(0)]
        tissue[best < SURE_PROBABILITY] = IGNORED
        on_slice = grid.sample_back(tissue, shape, spacing, nearest=True).astype(np.uint8)
        disc_mm2 = float((on_slice == Tissue.DISC).sum()) * spacing[0] * spacing[1]
        canal_mm2 = float((on_slice == Tissue.CANAL).sum()) * spacing[0] * spacing[1]
        if disc_mm2 > PLAUSIBLE_DISC_MM2 and (canal_mm2 > PLAUSIBLE_CANAL_MM2 or not recipe.tissues):
            if case.discs_alone:
                drawn = case.labels[middle]
                on_slice = np.where(drawn > 0, drawn, np.where(on_slice == Tissue.DISC, IGNORED, on_slice))
            labelled.append(case.middle_alone(on_slice))
    module.train(was_training)
    return labelled


def write_labels(path: Path, labelled: list[TrainingCase]) -> None:
    """Keep the network's own labels, by patient and source."""
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **{f"{case.source}/{case.patient}": case.labels for case in labelled})
    temporary.replace(path)


def read_labels(path: Path, cases: list[TrainingCase]) -> list[TrainingCase]:
    """Give the cases the labels that were kept for them; those without are left out."""
    with np.load(path, allow_pickle=False) as kept:
        return [case.middle_alone(kept[key][0]) for case in cases if (key := f"{case.source}/{case.patient}") in kept]


PLAUSIBLE_DISC_MM2 = 5 * 120.0
"""Five small degenerated discs on a slice (a lumbar disc is about 35 mm by 8 mm)."""
PLAUSIBLE_CANAL_MM2 = 1000.0
"""A canal 10 mm deep along 100 mm."""


def train_segmentation(
    datasets: list[LabelledDataset],
    recipe: SegmentationRecipe,
    run_folder: Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    start_from: TrainedModel | None = None,
    devices: int = 1,
    nodes: int = 1,
) -> SegmentationModule:
    """Train a U-Net; checkpoints and ``metrics.csv`` go to `run_folder`.

    Parameters
    ----------
    datasets : list of LabelledDataset
        Patients are taken by the splits of their data sets; test patients are never read.
    recipe : SegmentationRecipe
    run_folder : Path
    seed : int
    resume : bool
        Go on from the last epoch's checkpoint, if there is one.
    device : str
        Lightning accelerator.
    start_from : TrainedModel, optional
        Go on from the weights of this model of the same architecture instead of random ones.
    devices, nodes : int
        More than one: distributed data parallel; the batch size is that of each device.

    Raises
    ------
    ValueError
        If no training patient has a mask, all have discs alone and there is no `start_from`, or that is of another
        architecture.
    """
    L.seed_everything(seed, workers=True)
    data = SegmentationData(datasets, recipe, seed, own_labels=run_folder / "own-labels.npz")
    if recipe.steps_per_epoch == 0:
        data.patches = _whole_slices(data, recipe, seed)
    module = SegmentationModule(recipe)
    if start_from is not None:
        take_weights(module.network, start_from)
    patients = [case for dataset in datasets for case in dataset.cases_in("train")]
    run = RunFolder(run_folder, resume, run_record(recipe, seed, patients, start_from, devices * nodes))
    trainer = run.trainer(
        recipe,
        device,
        devices,
        nodes,
        limit_val_batches=None if data.tuning else 0,
    )
    if run.checkpoint is None:
        data.own_labels.unlink(missing_ok=True)
    trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    run.take_kept_weights(module)
    if recipe.fit_contour:
        take_off_disc_logit(module, best_offset(module, ([*data.training, *data.discs_alone], data.tuning)))
    return module


def _whole_slices(data: SegmentationData, recipe: SegmentationRecipe, seed: int) -> SlicePatches:
    steps = max(1, len(data.training) // recipe.batch_size)
    recipe = replace(recipe, steps_per_epoch=steps)
    return SlicePatches(data.training, recipe, seed)
