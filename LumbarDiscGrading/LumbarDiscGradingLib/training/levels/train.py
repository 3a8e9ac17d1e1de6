"""Training of the locator of levels beside a segmentation network, which stays as it is."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...dataset.labelled import LabelledDataset, person_count
from ...grading.device import choose_device
from ...grading.segmenter import Segmenter
from ...models.folder import TrainedModel, rewrite_manifest, save_level_locator
from ...models.manifest import LOCATOR_KEY
from ...networks import LevelLocator
from ...progress import ListProgress, unwatched
from ..errors import TrainingError
from ..recipes import LevelRecipe, recipe_settings
from .calibration import fit_temperature, naming_trials
from .canvases import POOLING, CoarseView, batch_of, location_loss, stored_view
from .pictures import LEVELS
from .views import PlacedPicture

VIEWS = "views"
TOLD_EVERY = 100
AVERAGE_DECAY = 0.995
WARM_UP = 0.15
LOCATOR_SECTION = "## Levels"
"""Heading of the card's section about the locator."""


def collect_views(
    pictures: Sequence[PlacedPicture],
    segmenter: Segmenter,
    folder: Path,
    views: int,
    seed: int,
    progress: ListProgress = unwatched,
) -> list[CoarseView]:
    """Return each picture as it is and in as many variations; they are kept in a folder, so they are made once.

    Parameters
    ----------
    pictures : sequence of PlacedPicture
    segmenter : Segmenter
    folder : Path
    views : int
        Variations of each picture.
    seed : int
    progress : callable
        Wraps what is iterated over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, picture in enumerate(progress(pictures)):
        for variation in range(views + 1):
            path = folder / f"{picture.source}-{picture.patient}-{variation}.npz"
            seeds = None if variation == 0 else (seed, number, variation)
            found.append(stored_view(path, picture, segmenter, seeds))
    return found


def train_locator(
    views: Sequence[CoarseView],
    recipe: LevelRecipe,
    seed: int = 0,
    device: torch.device | str = "cpu",
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> LevelLocator:
    """Train a locator; each step draws as many views of each source as the recipe's shares say.

    Parameters
    ----------
    views : sequence of CoarseView
    recipe : LevelRecipe
    seed : int
    device : torch.device or str
    tell : callable
        Called with the step and the mean loss since the last call.

    Returns
    -------
    LevelLocator
        With the moving average of the weights, on the CPU, in evaluation mode.

    Raises
    ------
    TrainingError
        If there is nothing to train on.
    """
    if not views:
        raise TrainingError("None of the training patients has masks of trusted levels or points; give some.")
    torch.manual_seed(seed)
    by_source = [
        [view for view in views if view.source == source] for source in sorted({view.source for view in views})
    ]
    shares = np.sqrt([len(group) for group in by_source])
    locator = LevelLocator(levels=len(LEVELS), base_width=recipe.base_width)
    locator.to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(locator)
    optimizer = torch.optim.AdamW(locator.parameters(), recipe.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=WARM_UP)
    losses: list[float] = []
    for step in range(recipe.steps):
        random = np.random.default_rng((seed, step))
        groups = random.choice(len(by_source), size=recipe.batch_size, p=shares / shares.sum())
        drawn = [by_source[group][random.integers(len(by_source[group]))] for group in groups]
        images, wanted, known = (tensor.to(device) for tensor in batch_of(drawn, random))
        logits, absence = locator(images)
        loss = location_loss(logits, absence, wanted, known)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(locator.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        _follow(average, locator, min(AVERAGE_DECAY, step / (step + 50)))
        losses.append(loss.item())
        if (step + 1) % TOLD_EVERY == 0 or step + 1 == recipe.steps:
            tell(step + 1, float(np.mean(losses)))
            losses.clear()
    return average.cpu().eval()


@torch.no_grad()
def _follow(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    for kept, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(value, 1 - decay)
        else:
            kept.copy_(value)


def save_with_locator(
    beside: TrainedModel,
    locator: LevelLocator,
    folder: Path,
    recipe: LevelRecipe,
    tuning: Sequence[PlacedPicture],
    datasets: Sequence[LabelledDataset],
    seed: int = 0,
    name: str | None = None,
    version: str | None = None,
    device: str = "auto",
) -> TrainedModel:
    """Write a copy of a segmentation model with a locator, calibrated on tuning pictures.

    Parameters
    ----------
    beside : TrainedModel
        The segmentation model with which the locator was trained.
    locator : LevelLocator
    folder : Path
    recipe : LevelRecipe
    tuning : sequence of PlacedPicture
    datasets : sequence of LabelledDataset
        Those it was trained on.
    seed : int
    name, version : str, optional
        Of the new model; those of `beside` where they are left out.
    device : str

    Raises
    ------
    TrainingError
        If there are no tuning pictures.
    """
    entry = {
        "architecture": {
            "class": "LevelLocator",
            "parameters": {"levels": len(LEVELS), "base_width": recipe.base_width},
        },
        "levels": list(LEVELS),
        "pooling": POOLING,
        "temperature": 1.0,
        "training": {
            "recipe": recipe_settings(recipe),
            "seed": seed,
            "data": [
                {"name": dataset.name, "patients": person_count(dataset.cases_in("train"))} for dataset in datasets
            ],
        },
    }
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(beside.folder, folder)
    model = TrainedModel.open(folder)
    manifest = {**model.manifest, "name": name or model.name, "version": version or model.version, "metrics": []}
    model = rewrite_manifest(model, manifest, _card(model, manifest, entry))
    model = save_level_locator(model, locator, entry)
    trials = naming_trials(tuning, Segmenter(model, choose_device(device)[0]), seed)
    return save_level_locator(model, locator, {**entry, "temperature": fit_temperature(trials)})


def keep_locator(model: TrainedModel, before: TrainedModel) -> TrainedModel:
    """Give a segmentation model the locator, with its calibration, of the model that its training went on from.

    Parameters
    ----------
    model, before : TrainedModel
        Where `before` has no locator, or the two see pictures differently, `model` stays as it is.
    """
    locator, entry = before.load_level_locator(), before.manifest.get(LOCATOR_KEY)
    if locator is None or entry is None or model.manifest["outputs"] != before.manifest["outputs"]:
        return model
    model = rewrite_manifest(model, model.manifest, _card(model, model.manifest, entry))
    return save_level_locator(model, locator, {key: value for key, value in entry.items() if key != "sha256"})


def _card(model: TrainedModel, manifest: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return the card of a model with a section on its locator."""
    title, _, text = model.card.partition("\n")
    data = ", ".join(f"{data['name']} ({data['patients']} training patients)" for data in entry["training"]["data"])
    settings = ", ".join(f"{key} {value}" for key, value in entry["training"]["recipe"].items())
    section = (
        f"{LOCATOR_SECTION}\n\nA second, small network looks for the levels on the whole picture, at 2.5 mm, beside "
        "what the first one finds. It was trained on named points and masks; its probability of right names is "
        f"calibrated on tuning patients. Trained on {data}: {settings}.\n"
    )
    before, _, after = text.partition(f"\n{LOCATOR_SECTION}\n")
    rest = after[after.index("\n## ") + 1 :] if "\n## " in after else ""
    title = f"# {manifest['name']} {manifest['version']}" if title.startswith("# ") else title
    return "\n".join([title, before.rstrip("\n"), "", section, rest]).rstrip("\n") + "\n"
