"""The networks that the command line names."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import UserError
from ...measures.prediction_sets import without_unknown_sets
from ...pfirrmann import TASKS

if TYPE_CHECKING:
    from ...grading.grader import DiscGrader

DECISIVE_PARTS = ("architecture", "input", "outputs", "calibration", "sha256", "level_locator")
"""Parts of a model's manifest that results follow from; the others describe it."""


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the models of `make_grader`."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME|FOLDER",
        help="model to use, once for each task: a folder, or the name of an installed or built-in model",
    )


def make_grader(device: str, models: Sequence[str]) -> DiscGrader:
    """Make a grader from what the command line says.

    Raises
    ------
    UserError
        If a device or model cannot be used, or two models are of one task.
    """
    from ...grading.grader import DiscGrader

    by_task = _by_task(models)
    return DiscGrader(device, by_task.get("segmentation"), by_task.get("grading"))


def model_hashes(models: Sequence[str]) -> dict[str, str]:
    """Return by task a hash of all that results of the models follow from that `make_grader` would use.

    That is more than the weights: a model with the same ones and another calibration is another one.

    Raises
    ------
    UserError
        If a model cannot be used, or two models are of one task.
    """
    from ...models.store import find_model

    by_task = _by_task(models)
    hashes = {}
    for task in TASKS:
        manifest = find_model(by_task.get(task), task).manifest
        parts = {name: manifest.get(name) for name in DECISIVE_PARTS}
        if "calibration" in manifest:
            parts["calibration"] = without_unknown_sets(manifest["calibration"])
        hashes[task] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return hashes


def _by_task(models: Sequence[str]) -> dict[str, str]:
    from ...models.store import open_model

    by_task: dict[str, str] = {}
    for name in models:
        task = open_model(name).task
        if task in by_task:
            raise UserError(f"Two models for {task} were given ({by_task[task]} and {name}); give one for each task.")
        by_task[task] = name
    return by_task
