"""Is the data loader the bottleneck? Steps of both trainings with patches drawn beside, over steps on patches at hand.

    python Testing/Benchmarks/benchmark_training.py --data DATASET... [--steps 20]

Both are measured in one process, with workers that draw patches, as in training, and the network on the cores that the
workers leave. A ratio of 1 means that the network never waits for a patch.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "LumbarDiscGrading"))

import lightning as L
import torch
from torch.utils.data import DataLoader

from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.training.grading.disc_samples import collect_samples
from LumbarDiscGradingLib.training.grading.train import GradingData, GradingModule
from LumbarDiscGradingLib.training.recipes import GRADING_PRESETS, SEGMENTATION_PRESETS
from LumbarDiscGradingLib.training.run_folder import LOADER_WORKERS
from LumbarDiscGradingLib.training.segmentation.train import SegmentationData, SegmentationModule

WARM_UP_STEPS = 3


def seconds_a_step(module: L.LightningModule, batches: Iterable, steps: int) -> float:
    """Return the mean time of a training step (forward, backward, update) on batches from an iterable."""
    optimizer = torch.optim.AdamW(module.parameters())
    module.train()
    module.log = lambda *_, **__: None  # there is no trainer that logs
    start = 0.0
    for number, batch in enumerate(itertools.islice(batches, steps + WARM_UP_STEPS)):
        if number == WARM_UP_STEPS:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.training_step(batch, number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


def report(name: str, module: L.LightningModule, loader: DataLoader, steps: int) -> None:
    """Print both times of a training and their ratio."""
    batch = next(iter(loader))
    bare = seconds_a_step(module, itertools.repeat(batch), steps)
    whole = seconds_a_step(module, itertools.chain.from_iterable(itertools.repeat(loader)), steps)
    print(f"{name}: {bare:.3f} s a step on a batch at hand, {whole:.3f} s with drawing; ratio {whole / bare:.2f}")


def main() -> None:
    """Measure both trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DATASET")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - LOADER_WORKERS))
    datasets = [LabelledDataset.open(folder) for folder in arguments.data]
    recipe = SEGMENTATION_PRESETS["default"]
    data = SegmentationData(datasets, recipe, seed=0)
    report("U-Net", SegmentationModule(recipe), data.train_dataloader(), arguments.steps)
    few = [replace(dataset, cases=dataset.cases_in("train")[:20]) for dataset in datasets]
    samples = collect_samples(few, None)
    grading = GradingData(samples, samples[:8], GRADING_PRESETS["default"], seed=0)
    report("SpineNet", GradingModule(GRADING_PRESETS["default"]), grading.train_dataloader(), arguments.steps)


if __name__ == "__main__":
    main()
