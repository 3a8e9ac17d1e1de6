"""What both trainings share: the run's folder with checkpoint and metrics, the trainer, the optimizer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from ..models.folder import TrainedModel
from .errors import TrainingError
from .recipes import GradingRecipe, SegmentationRecipe
from .run_record import RECORD_NAME, RunOptions, require_same, write_record

TrainingRecipe = SegmentationRecipe | GradingRecipe

LAST_CHECKPOINT = "last"
OWN_LABELS_NAME = "own-labels.npz"
"""What the network labelled itself during a run, which goes on with the same labels."""

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
    TrainingError
        One sentence: no such devices here, or another number of processes was started.
    """
    if devices < 1 or nodes < 1:
        raise TrainingError("--devices and --nodes are at least 1.")
    started = os.environ.get(STARTED_PROCESSES)
    if BY_TORCHRUN in os.environ and started != str(devices * nodes):
        raise TrainingError(
            f"{started} processes were started together ({STARTED_PROCESSES}, set by torchrun), but devices x nodes is "
            f"{devices * nodes}; say with --devices and --nodes of 'train' how many there are, or leave out torchrun."
        )
    if accelerator in ("auto", "cpu"):
        return
    kinds = {"cuda": CUDAAccelerator, "mps": MPSAccelerator}
    usable = [kind for name, kind in kinds.items() if accelerator in ("gpu", name) and kind.is_available()]
    if not usable:
        raise TrainingError(f"There is no device for --accelerator {accelerator} here; use auto or cpu.")
    count = max(kind.auto_device_count() for kind in usable)
    if devices > count:
        raise TrainingError(f"--devices {devices} are more than the {count} of this computer; ask for fewer.")


class RunFolder:
    """Checkpoint, metrics and record of a run.

    Parameters
    ----------
    folder : Path
    options : RunOptions
    record : mapping
        What the run is made from (`run_record.run_record`).

    Raises
    ------
    TrainingError
        If the run that is to go on was made from something else, or does not say from what.
    """

    def __init__(self, folder: Path, options: RunOptions, record: Mapping[str, Any]) -> None:
        self.folder, self.options, self.record = folder, options, record
        self.checkpoint = self._last if options.resume and self._last.exists() else None
        if self.checkpoint is not None:
            require_same(record, folder / RECORD_NAME, "choose another --output or leave out --resume")

    def fit(self, module: L.LightningModule, data: L.LightningDataModule, **more: Any) -> None:
        """Train a module by its recipe and give it the weights that are kept: the average, where there is one.

        Parameters
        ----------
        module : LightningModule
            Made by `new_module`.
        data : LightningDataModule
        **more
            For `trainer`.

        Raises
        ------
        TrainingError
            If there are no such devices here.
        """
        trainer = self.trainer(module.recipe, **more)
        if self.checkpoint is None:  # before the first batches are asked for, which is before the run begins
            (self.folder / OWN_LABELS_NAME).unlink(missing_ok=True)
        trainer.fit(module, data, ckpt_path=self.checkpoint, weights_only=True)
        kept = type(module).load_from_checkpoint(self._last, "cpu", weights_only=True, recipe=module.recipe)
        module.load_state_dict(kept.state_dict())

    @property
    def _last(self) -> Path:
        return self.folder / f"{LAST_CHECKPOINT}.ckpt"

    def begin(self) -> None:
        """Record what the run is made from, and leave nothing of an earlier one that it could be resumed from."""
        self._last.unlink(missing_ok=True)
        write_record(self.record, self.folder / RECORD_NAME)

    def _logger(self) -> CSVLogger:
        """Return the logger; a resumed run writes to a folder of its own, so nothing logged before is lost."""
        if self.checkpoint is None:
            return CSVLogger(self.folder, name="", version="metrics")
        number = 1
        while (self.folder / f"metrics-resumed-{number}").exists():
            number += 1
        return CSVLogger(self.folder, name="", version=f"metrics-resumed-{number}")

    def trainer(self, recipe: TrainingRecipe, **more: Any) -> L.Trainer:
        """Return a trainer that logs and keeps its last checkpoint in this folder.

        On several devices or nodes it is Lightning's distributed data parallel: gradients are averaged over the
        processes, each of which draws its own part of an epoch.

        Raises
        ------
        TrainingError
            If there are no such devices here.
        """
        try:
            return L.Trainer(
                accelerator=self.options.device,
                devices=self.options.devices,
                num_nodes=self.options.nodes,
                strategy="ddp" if self.options.processes > 1 else "auto",
                reload_dataloaders_every_n_epochs=1,
                max_epochs=recipe.epochs,
                precision=recipe.precision,
                logger=self._logger(),
                callbacks=[
                    _Beginning(self),
                    ModelCheckpoint(self.folder, filename=LAST_CHECKPOINT, enable_version_counter=False),
                    TQDMProgressBar(refresh_rate=10),
                    *_averaging(recipe),
                ],
                num_sanity_val_steps=0,
                log_every_n_steps=10,
                **more,
            )
        except MisconfigurationException as error:
            raise TrainingError(" ".join(str(error).split())) from None


class _Beginning(Callback):
    """Begins a run that does not go on, in the first process, when everything is ready to train."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the run."""
        if self.run.checkpoint is None and trainer.is_global_zero:
            self.run.begin()


Module = TypeVar("Module", bound=L.LightningModule)


def new_module(kind: Callable[[Any], Module], recipe: TrainingRecipe, options: RunOptions) -> Module:
    """Seed all random numbers, and make a module with random weights or those of the model to go on from.

    Raises
    ------
    TrainingError
        If that model is of another architecture.
    """
    L.seed_everything(options.seed, workers=True)
    module = kind(recipe)
    if options.start_from is not None:
        _take_weights(module.network, options.start_from)
    return module


def _take_weights(network: nn.Module, model: TrainedModel) -> None:
    weights = {name: value.float() for name, value in model.load("cpu").state_dict().items()}
    own = network.state_dict()
    if {name: value.shape for name, value in weights.items()} != {name: value.shape for name, value in own.items()}:
        raise TrainingError(f"The model {model.name} has another architecture than the recipe; leave out --start-from.")
    network.load_state_dict(weights)


def _averaging(recipe: TrainingRecipe) -> list[Callback]:
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
    module: L.LightningModule, recipe: TrainingRecipe, weight_decay: float, warm_up: float
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
