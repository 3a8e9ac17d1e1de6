"""Training of the SpineNet: soft ordinal targets, balanced drawing, metrics, calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ...networks import build
from ...pfirrmann import GRADES, GROUPS, group_of_grade
from ..errors import TrainingError
from ..recipes import GradingRecipe
from ..run_folder import LOADER_WORKERS, RunFolder, new_module, optimizer_and_schedule
from ..run_record import RunOptions, run_record
from .disc_crops import DiscCrops
from .disc_samples import DiscSample


def architecture(recipe: GradingRecipe) -> tuple[str, dict[str, Any]]:
    """Return class and parameters of the network that a recipe trains, as a model's manifest names them."""
    parameters = {
        "in_channels": len(recipe.mask_use.channels),
        "outputs": len(GRADES) if recipe.ordinal else len(GROUPS),
        "widths": list(recipe.widths),
        "attention": recipe.attention,
        "input_pooling": recipe.input_pooling,
    }
    if recipe.members == 1:
        return "SpineNet", parameters
    return "SpineNetEnsemble", {"members": recipe.members, **parameters}


class GradingModule(L.LightningModule):
    """SpineNet with cross-entropy on soft targets and the squared earth mover's distance between grades.

    The distance: Hou et al., Squared earth mover's distance-based loss for training deep neural networks (2016).
    """

    def __init__(self, recipe: GradingRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = build(*architecture(recipe)).to(memory_format=torch.channels_last)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits of shape (batch, 5) or (batch, 3)."""
        return self.network(crops.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch."""
        crops, grade, group, believed = batch
        logits = self(crops).float()
        if self.recipe.ordinal:
            target = ordinal_target(grade, self.recipe.label_smoothing, believed, self.recipe.believed_share)
            loss = ordinal_loss(logits, target)
        else:
            loss = F.cross_entropy(logits, group)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> None:
        """Collect logits and groups."""
        crops, _, group, _ = batch
        self._seen.append((self(crops).float(), group))

    def on_validation_epoch_end(self) -> None:
        """Log kappa and balanced accuracy of the groups over the tuning discs."""
        probabilities = torch.cat([logits for logits, _ in self._seen]).softmax(1)
        groups = torch.cat([group for _, group in self._seen]).cpu().numpy()
        self._seen.clear()
        predicted = by_group(probabilities).argmax(1).cpu().numpy()
        kappa = cohen_kappa_score(groups, predicted, weights="quadratic")
        self.log("tune_kappa", float(kappa), prog_bar=True)
        self.log("tune_balanced_accuracy", float(balanced_accuracy_score(groups, predicted)), prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return SGD, or AdamW on a one-cycle schedule."""
        return optimizer_and_schedule(self, self.recipe, weight_decay=0.01, warm_up=0.3)


def by_group(probabilities: Tensor) -> Tensor:
    """Sum grade probabilities, shape (batch, 5), into group probabilities, shape (batch, 3); groups pass through."""
    if probabilities.shape[1] == len(GROUPS):
        return probabilities
    return torch.stack([probabilities[:, :2].sum(1), probabilities[:, 2], probabilities[:, 3:].sum(1)], dim=1)


def ordinal_target(grade: Tensor, smoothing: float, believed: Tensor, believed_share: float) -> Tensor:
    """Return what the network is to say of each grade, shape (batch, 5): the reading, softened by what is known of it.

    Parameters
    ----------
    grade : Tensor of int64, shape (batch,)
        0 to 4.
    smoothing : float
        Share of the reading that goes to the neighbouring grades, half to each side.
    believed : Tensor, shape (batch, 5)
        Out-of-fold probabilities of a first round (`cross_validation.first_round`); 0 where there are none.
    believed_share : float
        Their share of the target.
    """
    one_hot = F.one_hot(grade, len(GRADES)).to(believed.dtype)
    padded = F.pad(one_hot, (1, 1))
    neighbours = (padded[:, :-2] + padded[:, 2:]) / 2
    neighbours = neighbours / neighbours.sum(1, keepdim=True)
    reading = (1 - smoothing) * one_hot + smoothing * neighbours
    share = believed_share * believed.sum(1, keepdim=True)
    return (1 - share) * reading + believed_share * believed


def ordinal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return cross-entropy on soft targets plus the squared earth mover's distance.

    Parameters
    ----------
    logits, target : Tensor, shape (batch, 5)
    """
    cross_entropy = -(target * logits.log_softmax(1)).sum(1).mean()
    distance = (logits.softmax(1).cumsum(1) - target.cumsum(1)).square().sum(1).mean()
    return cross_entropy + distance


def drawing_weights(samples: list[DiscSample]) -> list[float]:
    """Return for each disc how often to draw it: sources by the square root of their size, grades within one too."""
    sources = np.array([sample.source for sample in samples])
    grades = np.array([sample.grade for sample in samples])
    weights = np.zeros(len(samples))
    for source in np.unique(sources):
        of_source = sources == source
        for grade in np.unique(grades[of_source]):
            chosen = of_source & (grades == grade)
            weights[chosen] = 1 / np.sqrt(chosen.sum())
        weights[of_source] *= np.sqrt(of_source.sum()) / weights[of_source].sum()
    return (weights / weights.mean()).tolist()


class GradingData(L.LightningDataModule):
    """Discs of training patients, drawn anew each epoch, and all discs of tuning patients."""

    def __init__(
        self,
        training: list[DiscSample],
        tuning: list[DiscSample],
        recipe: GradingRecipe,
        seed: int,
        workers: int = LOADER_WORKERS,
    ) -> None:
        super().__init__()
        weights = drawing_weights(training) if recipe.balance_sources else None
        self.crops = DiscCrops(training, recipe, training=True, seed=seed, weights=weights)
        self.tuning = DiscCrops(tuning, recipe, training=False)
        self.recipe, self.workers = recipe, workers

    def train_dataloader(self) -> DataLoader:
        """Return the loader of an epoch."""
        self.crops.epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(
            self.crops,
            self.recipe.batch_size,
            collate_fn=self.crops.collate,
            num_workers=self.workers,
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader:
        """Return the loader of the tuning discs."""
        return DataLoader(self.tuning, 64, collate_fn=self.tuning.collate)


def train_grading(
    training: list[DiscSample],
    tuning: list[DiscSample],
    recipe: GradingRecipe,
    run_folder: Path,
    options: RunOptions,
) -> GradingModule:
    """Train a SpineNet, or each member of an ensemble in a folder of its own.

    Checkpoints and ``metrics.csv`` go to `run_folder`.

    Raises
    ------
    TrainingError
        If there are no two discs for each process, or the model to go on from is of another architecture.
    """
    share = len(training) // options.processes
    if share < 2:
        raise TrainingError(
            f"There are {len(training)} graded discs to train on, too few; label more training patients."
        )
    recipe = replace(recipe, batch_size=min(recipe.batch_size, share))
    record = run_record(recipe, training, options)
    record["segmentation model"] = sorted({sample.found_by for sample in training} - {""})
    module = new_module(GradingModule, recipe, options)
    if recipe.members == 1:
        RunFolder(run_folder, options, record).fit(module, GradingData(training, tuning, recipe, options.seed))
        return module
    for number, network in enumerate(module.network.members, start=1):
        own = options.of_fold(number)
        member = new_module(GradingModule, replace(recipe, members=1), replace(own, start_from=None))
        if options.start_from is not None:
            member.network.load_state_dict(network.state_dict())
        data = GradingData(training, tuning, member.recipe, own.seed)
        RunFolder(run_folder / f"member-{number}", own, {**record, "seed": own.seed}).fit(member, data)
        network.load_state_dict(member.network.state_dict())
        module.trainer = member.trainer
    return module


@torch.inference_mode()
def predict(module: GradingModule, samples: list[DiscSample]) -> Tensor:
    """Return the logits of discs, shape (discs, 5 or 3)."""
    module.eval()
    crops = DiscCrops(samples, module.recipe, training=False)
    loader = DataLoader(crops, 64, collate_fn=crops.collate)
    return torch.cat([module(crops.to(module.device)).float().cpu() for crops, *_ in loader])


def fit_temperature(logits: Tensor, groups: Tensor) -> float:
    """Return the temperature that makes the group probabilities of tuning discs most likely (Guo et al., ICML 2017).

    Parameters
    ----------
    logits : Tensor, shape (discs, 5 or 3)
    groups : Tensor of int64, shape (discs,)
    """
    temperatures = torch.logspace(-0.7, 0.7, 141)
    losses = [
        F.nll_loss(by_group((logits / temperature).softmax(1)).clamp_min(1e-9).log(), groups)
        for temperature in temperatures
    ]
    return round(float(temperatures[int(torch.stack(losses).argmin())]), 3)


def groups_of(samples: list[DiscSample]) -> Tensor:
    """Return the reference groups of discs, 0-2."""
    return torch.tensor([GROUPS.index(group_of_grade(sample.grade)) for sample in samples])
