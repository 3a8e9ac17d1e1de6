"""The command ``ablate``: what each choice of a recipe is worth."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pfirrmann import TASKS
from .evaluate_command import open_datasets
from .grading.graders import make_grader
from .training_options import add_training_options

if TYPE_CHECKING:
    from ..dataset.labelled import LabelledDataset
    from ..evaluation.scores import DiscScore
    from ..models.folder import TrainedModel
    from ..training.recipes import GradingRecipe, SegmentationRecipe


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "ablate",
        help="say what each choice of a recipe is worth",
        description="Train the recipe, and again with each of its choices undone, and compare on the same patients "
        "(paired bootstrap by patient, 95 %). A grading network is cross-validated on training and tuning patients; a "
        "segmentation network is trained on the training patients and measured on the tuning patients through the "
        "whole pipeline. Test patients are never read. Writes ablation.csv and a folder for each network, and goes on "
        "where it was broken off, if asked for the same again.",
    )
    parser.add_argument("task", choices=TASKS, help="whose recipe")
    add_training_options(parser)
    parser.add_argument("--folds", type=int, default=2, help="for grading: folds of patients (default: 2)")
    parser.add_argument(
        "--start-from",
        metavar="NAME|FOLDER",
        help="for segmentation: all runs go on from this model by the preset 'refine', which is faster; "
        "its architecture is then not ablated, and what it has learned by a choice stays in it",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="undo the choices about this setting alone, such as gentle_share; may be given several times",
    )
    parser.set_defaults(func=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    from ..training import ablation, recipes
    from ..training.run_folder import require_devices

    require_devices(arguments.accelerator)
    datasets = open_datasets(arguments.data)
    asked = _asked(arguments, datasets)
    recipe: Any
    ablations: Mapping[str, Sequence[str]]
    if arguments.task == "grading":
        recipe, ablations = recipes.GRADING_PRESETS["default"], ablation.GRADING_ABLATIONS
    else:
        preset = "refine" if arguments.start_from else "default"
        recipe, ablations = recipes.SEGMENTATION_PRESETS[preset], ablation.SEGMENTATION_ABLATIONS
        if arguments.start_from:
            ablations = ablation.of_one_architecture(ablations)
    if arguments.only:
        ablations = ablation.of_settings(ablations, arguments.only)
    recipe = recipes.changed_recipe(recipe, arguments.set)
    arguments.output.mkdir(parents=True, exist_ok=True)
    measure_with = _grading_measure if arguments.task == "grading" else _segmentation_measure
    rows = ablation.ablate(recipe, measure_with(arguments, datasets), ablations, arguments.output, asked)
    print(ablation.ablation_text(rows))
    return 0


def _asked(arguments: argparse.Namespace, datasets: Sequence[LabelledDataset]) -> dict[str, Any]:
    """Return what decides the figures besides the recipe."""
    from ..models.store import find_model
    from ..training.run_record import TRAINING_PATIENTS, model_hash, patient_names

    asked: dict[str, Any] = {"seed": arguments.seed}
    for split, name in (("train", TRAINING_PATIENTS), ("tune", "tuning patients")):
        asked[name] = patient_names(case for dataset in datasets for case in dataset.cases_in(split))
    if arguments.task == "grading":
        segmentation = find_model(arguments.segmentation_model, "segmentation")
        return {**asked, "folds": arguments.folds, "segmentation model": model_hash(segmentation)}
    return {**asked, "start model": model_hash(_start(arguments))}


def _start(arguments: argparse.Namespace) -> TrainedModel | None:
    from ..models.store import find_model

    return find_model(arguments.start_from, "segmentation") if arguments.start_from else None


def _grading_measure(
    arguments: argparse.Namespace, datasets: Sequence[LabelledDataset]
) -> Callable[[GradingRecipe, Path], list[DiscScore]]:
    from ..training.grading.cross_validation import cross_validate
    from ..training.grading.disc_samples import collect_samples
    from ..training.run_record import RunOptions

    samples = collect_samples(datasets, arguments.segmentation_model)

    options = RunOptions(arguments.seed, resume=True, device=arguments.accelerator)

    def measure(recipe: GradingRecipe, folder: Path) -> list[DiscScore]:
        return cross_validate(samples, recipe, folder, options, arguments.folds)

    return measure


def _segmentation_measure(
    arguments: argparse.Namespace, datasets: Sequence[LabelledDataset]
) -> Callable[[SegmentationRecipe, Path], list[DiscScore]]:
    from ..evaluation.scores import scored_cases
    from ..training.run_record import RunOptions
    from ..training.segmentation.export import save_segmentation_model
    from ..training.segmentation.train import train_segmentation

    start = _start(arguments)
    options = RunOptions(arguments.seed, True, arguments.accelerator, start)
    # no tuning patients: the contour would be fitted on those that are measured
    training = [replace(dataset, cases=dataset.cases_in("train")) for dataset in datasets]

    def measure(recipe: SegmentationRecipe, folder: Path) -> list[DiscScore]:
        module = train_segmentation(training, recipe, folder, options)
        model = save_segmentation_model(
            module, folder / "model", "unet-ablation", "1.0", datasets, seed=arguments.seed, start_from=start
        )
        grader = make_grader("auto", [str(model.folder)])
        cases = [case for dataset in datasets for case in dataset.cases_in("tune")]
        return [score for scored in scored_cases(grader, cases) for score in scored.scores]

    return measure
