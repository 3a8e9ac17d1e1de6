"""One process of a distributed training: a step of the grading network on given crops, its weights left in a file.

Started by torchrun, or alone, with the folder for the results and the batch size of each process.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import nn

from LumbarDiscGradingLib.imaging.crop import DiscAxis
from LumbarDiscGradingLib.training.grading.disc_samples import DiscSample
from LumbarDiscGradingLib.training.grading.train import GradingData, GradingModule
from LumbarDiscGradingLib.training.recipes import GRADING_PRESETS
from LumbarDiscGradingLib.training.run_folder import RunFolder
from LumbarDiscGradingLib.training.run_record import RunOptions, run_record


def sample(number: int) -> DiscSample:
    """A noisy ellipse as a disc."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[:96, :96]
    mask = ((rows - 48) / 10) ** 2 + ((columns - 48) / 36) ** 2 < 1
    image = random.normal(100 + 40 * (number % 5) * mask, 5).astype(np.float32)
    axis = DiscAxis((48.0, 48.0), 0.0)
    return DiscSample(str(number), "made", "train", "L4-L5", number % 5 + 1, image, mask, axis, 400.0, (1.0, 1.0))


def independent_of_the_batch(module: nn.Module) -> None:
    """Put group normalization in the place of batch normalization and take dropout away."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        elif isinstance(child, nn.Dropout):
            setattr(module, name, nn.Identity())
        else:
            independent_of_the_batch(child)


def main(folder: Path, batch_size: int) -> None:
    """Train one step of gradient descent, an epoch of eight discs, and leave the weights."""
    import lightning as L

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    recipe = replace(
        GRADING_PRESETS["default"],
        widths=(4, 8),
        batch_size=batch_size,
        epochs=1,
        optimizer="sgd",
        learning_rate=0.1,
        precision="32-true",
    )
    L.seed_everything(3, verbose=False)
    module = GradingModule(recipe)
    independent_of_the_batch(module.network)
    samples = [sample(number) for number in range(8)]
    options = RunOptions(3, device="cpu", devices=processes)
    trainer = RunFolder(folder, options, run_record(recipe, samples, options)).trainer(recipe)
    trainer.fit(module, GradingData(samples, samples[:4], recipe, seed=5, workers=0))
    if trainer.is_global_zero:
        weights = {name: value.contiguous() for name, value in module.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
