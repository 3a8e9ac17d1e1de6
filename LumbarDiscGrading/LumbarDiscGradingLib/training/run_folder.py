"""What both trainings share: the run's folder with checkpoint and metrics, the trainer, the optimizer."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from ..models.folder import TrainedModel
from .recipes import GradingRecipe, SegmentationRecipe

LAST_CHECKPOINT = "last"
LOADER_WORKERS = max(1, min(8, (os.cpu_count() or 1) - 1))
"""Processes that draw patches beside the training."""


class RunFolder:
    """Checkpoint and metrics of a run.

    Parameters
    ----------
    folder : Path
    resume : bool
        Go on from the last finished epoch, if there is one.
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        path = folder / f"{LAST_CHECKPOINT}.ckpt"
        self.checkpoint = path if resume and path.exists() else None

    def take_kept_weights(self, module: L.LightningModule) -> None:
        """Give a module the weights that the last checkpoint keeps as the model's: the average, where there is one."""
        path = self.folder / f"{LAST_CHECKPOINT}.ckpt"
        kept = type(module).load_from_checkpoint(path, "cpu", weights_only=True, recipe=module.recipe)
        module.load_state_dict(kept.state_dict())

    def checkpoint_callback(self) -> ModelCheckpoint:
        """Return the callback that keeps the last epoch's checkpoint."""
        return ModelCheckpoint(self.folder, filename=LAST_CHECKPOINT, enable_version_counter=False)

    def logger(self) -> CSVLogger:
        """Return the logger; a resumed run writes to a folder of its own, so nothing logged before is lost."""
        if self.checkpoint is None:
            return CSVLogger(self.folder, name="", version="metrics")
        number = 1
        while (self.folder / f"metrics-resumed-{number}").exists():
            number += 1
        return CSVLogger(self.folder, name="", version=f"metrics-resumed-{number}")

    def trainer(
        self,
        recipe: SegmentationRecipe | GradingRecipe,
        accelerator: str,
        devices: int = 1,
        nodes: int = 1,
        **more: Any,
    ) -> L.Trainer:
        """Return a trainer that logs and keeps its checkpoint in this folder.

        On several devices or nodes it is Lightning's distributed data parallel: gradients are averaged over the
        processes, each of which draws its own part of an epoch.
        """
        return L.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            reload_dataloaders_every_n_epochs=1,
            max_epochs=recipe.epochs,
            precision=recipe.precision,
            logger=self.logger(),
            callbacks=[self.checkpoint_callback(), TQDMProgressBar(refresh_rate=10), *_averaging(recipe)],
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            **more,
        )


def take_weights(network: nn.Module, model: TrainedModel) -> None:
    """Give a network the weights of a trained model.

    Raises
    ------
    ValueError
        If the model is of another architecture.
    """
    weights = {name: value.float() for name, value in model.load("cpu").state_dict().items()}
    own = network.state_dict()
    if {name: value.shape for name, value in weights.items()} != {name: value.shape for name, value in own.items()}:
        raise ValueError(f"The model {model.name} has another architecture than the recipe; leave out --start-from.")
    network.load_state_dict(weights)


def _averaging(recipe: SegmentationRecipe | GradingRecipe) -> list[Callback]:
    if recipe.average_decay is None:
        return []
    return [WeightAveraging(avg_fn=partial(moving_average, most=recipe.average_decay))]


def moving_average(averaged: Tensor, current: Tensor, count: Tensor, most: float) -> Tensor:
    """Return the moving average of a weight after one more step.

    The decay rises to `most` as (1 + n) / (10 + n) after n steps (as TensorFlow's ExponentialMovingAverage has it), so
    that the average is not the random weights' for long, nor the variances that batch normalization starts with.

    Parameters
    ----------
    averaged, current : Tensor
    count : Tensor
        Steps averaged so far.
    most : float
        Highest decay.
    """
    decay = torch.clamp((1 + count) / (10 + count), max=most)
    return (averaged * decay + current * (1 - decay)).to(averaged.dtype)


def optimizer_and_schedule(
    module: L.LightningModule, recipe: SegmentationRecipe | GradingRecipe, weight_decay: float, warm_up: float
) -> dict[str, Any]:
    """Return SGD at a constant rate, or AdamW on a one-cycle schedule, as Lightning wants them.

    Parameters
    ----------
    module : LightningModule
        Attached to its trainer.
    recipe : SegmentationRecipe or GradingRecipe
    weight_decay : float
        Of AdamW.
    warm_up : float
        Share of the steps in which the rate rises to its peak.
    """
    if recipe.optimizer == "sgd":
        return {"optimizer": torch.optim.SGD(module.parameters(), lr=recipe.learning_rate, momentum=0.9)}
    optimizer = torch.optim.AdamW(module.parameters(), lr=recipe.learning_rate, weight_decay=weight_decay)
    steps = int(module.trainer.estimated_stepping_batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps, pct_start=warm_up)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
