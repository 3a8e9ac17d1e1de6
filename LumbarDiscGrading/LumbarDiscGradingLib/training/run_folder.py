"""What both trainings share: the run's folder with checkpoint and metrics, the trainer, the optimizer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from ..models.folder import TrainedModel
from .recipes import GradingRecipe, SegmentationRecipe
from .run_record import RECORD_NAME, require_same, write_record

LAST_CHECKPOINT = "last"
LOADER_WORKERS = max(1, min(8, (os.cpu_count() or 1) - 1))
"""Processes that draw patches beside the training."""
BY_TORCHRUN, STARTED_PROCESSES = "TORCHELASTIC_RUN_ID", "WORLD_SIZE"
"""Environment variables by which torchrun tells a process of itself and of how many it started."""


def require_devices(accelerator: str, devices: int = 1, nodes: int = 1) -> None:
    """Make sure that a training can run as asked, before anything is read or written.

    Parameters
    ----------
    accelerator : str
        Lightning's name: auto, cpu, gpu, cuda or mps.
    devices, nodes : int

    Raises
    ------
    ValueError
        One sentence: no such devices here, or another number of processes was started.
    """
    if devices < 1 or nodes < 1:
        raise ValueError("--devices and --nodes are at least 1.")
    started = os.environ.get(STARTED_PROCESSES)
    if BY_TORCHRUN in os.environ and started != str(devices * nodes):
        raise ValueError(
            f"{started} processes were started together ({STARTED_PROCESSES}, set by torchrun), but devices x nodes is "
            f"{devices * nodes}; say with --devices and --nodes of 'train' how many there are, or leave out torchrun."
        )
    if accelerator in ("auto", "cpu"):
        return
    kinds = {"cuda": CUDAAccelerator, "mps": MPSAccelerator}
    usable = [kind for name, kind in kinds.items() if accelerator in ("gpu", name) and kind.is_available()]
    if not usable:
        raise ValueError(f"There is no device for --accelerator {accelerator} here; use auto or cpu.")
    count = max(kind.auto_device_count() for kind in usable)
    if devices > count:
        raise ValueError(f"--devices {devices} are more than the {count} of this computer; ask for fewer.")


class RunFolder:
    """Checkpoint, metrics and record of a run.

    Parameters
    ----------
    folder : Path
    resume : bool
        Go on from the last finished epoch, if there is one.
    record : mapping
        What the run is made from (`run_record.run_record`).

    Raises
    ------
    ValueError
        If the run that is to go on was made from something else, or does not say from what.
    """

    def __init__(self, folder: Path, resume: bool, record: Mapping[str, Any]) -> None:
        self.folder, self.record = folder, record
        self.checkpoint = self._last if resume and self._last.exists() else None
        if self.checkpoint is not None:
            require_same(record, folder / RECORD_NAME, "choose another --output or leave out --resume")

    @property
    def _last(self) -> Path:
        return self.folder / f"{LAST_CHECKPOINT}.ckpt"

    def begin(self) -> None:
        """Record what the run is made from, and leave nothing of an earlier one that it could be resumed from."""
        self._last.unlink(missing_ok=True)
        write_record(self.record, self.folder / RECORD_NAME)

    def take_kept_weights(self, module: L.LightningModule) -> None:
        """Give a module the weights that the last checkpoint keeps as the model's: the average, where there is one."""
        kept = type(module).load_from_checkpoint(self._last, "cpu", weights_only=True, recipe=module.recipe)
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

        Raises
        ------
        ValueError
            If there are no such devices here.
        """
        try:
            return L.Trainer(
                accelerator=accelerator,
                devices=devices,
                num_nodes=nodes,
                strategy="ddp" if devices * nodes > 1 else "auto",
                reload_dataloaders_every_n_epochs=1,
                max_epochs=recipe.epochs,
                precision=recipe.precision,
                logger=self.logger(),
                callbacks=[
                    _Beginning(self),
                    self.checkpoint_callback(),
                    TQDMProgressBar(refresh_rate=10),
                    *_averaging(recipe),
                ],
                num_sanity_val_steps=0,
                log_every_n_steps=10,
                **more,
            )
        except MisconfigurationException as error:
            raise ValueError(" ".join(str(error).split())) from None


class _Beginning(Callback):
    """Begins a run that does not go on, in the first process, when everything is ready to train."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the run."""
        if self.run.checkpoint is None and trainer.is_global_zero:
            self.run.begin()


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
