"""The command ``train``: train a network from labelled data sets into a model folder."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..pfirrmann import TASKS
from .evaluate_command import open_datasets
from .training_options import add_training_options

if TYPE_CHECKING:
    from ..training.run_record import RunOptions


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "train",
        help="train a network from labelled data sets",
        description="Train a network on the training patients of labelled data sets; tuning patients guide and "
        "calibrate, test patients are never read. The output folder gets checkpoints, metrics and, at the end, the "
        "folder 'model', which 'models install' puts into the list of models.",
    )
    parser.add_argument(
        "task",
        choices=(*TASKS, LEVELS_TASK),
        help="what to train; 'levels': the part of a segmentation model that looks for the levels",
    )
    add_training_options(parser)
    parser.add_argument(
        "--preset",
        choices=("default", "refine", "paper"),
        default="default",
        help="recipe: the best found, going on from a trained model (see --start-from), or the study's",
    )
    parser.add_argument("--name", help="name of the model (default: unet or spinenet and the preset)")
    parser.add_argument("--model-version", default="1.0", metavar="V", help="version of the model (default: 1.0)")
    parser.add_argument("--epochs", type=int, help="train for this many epochs instead of the preset's")
    parser.add_argument("--steps", type=int, help="steps of an epoch (segmentation) instead of the preset's")
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch in the output folder")
    parser.add_argument(
        "--start-from", metavar="NAME|FOLDER", help="go on from the weights of this model instead of random ones"
    )
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="devices of each node (default: 1); start several nodes with torchrun, and say here how many there are",
    )
    parser.add_argument("--nodes", type=int, default=1, help="nodes (default: 1)")
    parser.add_argument(
        "--out-of-fold",
        type=Path,
        metavar="CSV",
        help="for grading: discs.csv of 'cross-validate' in the place of the recipe's first round",
    )
    parser.set_defaults(func=_train)


LEVELS_TASK = "levels"


def _train(arguments: argparse.Namespace) -> int:
    if arguments.task == LEVELS_TASK:
        return _train_levels(arguments)
    from ..models.store import find_model
    from ..training import recipes
    from ..training.run_folder import require_devices

    require_devices(arguments.accelerator, arguments.devices, arguments.nodes)
    presets = recipes.SEGMENTATION_PRESETS if arguments.task == "segmentation" else recipes.GRADING_PRESETS
    recipe = presets[arguments.preset]
    if arguments.epochs:
        recipe = replace(recipe, epochs=arguments.epochs)
    if arguments.steps and arguments.task == "segmentation":
        recipe = replace(recipe, steps_per_epoch=arguments.steps)
    if arguments.preset == "paper":
        print("The study does not say, and here is taken: " + "; ".join(recipes.PAPER_UNKNOWNS) + ".")
    recipe = recipes.changed_recipe(recipe, arguments.set)
    if arguments.preset == "refine" and not arguments.start_from:
        raise UserError("The preset 'refine' goes on from a trained model; name it with --start-from.")
    datasets = open_datasets(arguments.data)
    arguments.start_from = find_model(arguments.start_from, arguments.task) if arguments.start_from else None
    arguments.output.mkdir(parents=True, exist_ok=True)
    run = _train_segmentation if arguments.task == "segmentation" else _train_grading
    model = run(arguments, recipe, datasets)
    if model is None:  # the first process alone writes the model
        return 0
    print(f"Model {model.name} {model.version} is in {model.folder}; evaluate it, then add it with 'models install'.")
    return 0


def _run_options(arguments: argparse.Namespace) -> RunOptions:
    """Return what both trainings are told alike."""
    from ..training.run_record import RunOptions

    a = arguments
    return RunOptions(a.seed, a.resume, a.accelerator, a.start_from, a.devices, a.nodes)


def _train_segmentation(arguments: argparse.Namespace, recipe, datasets):  # noqa: ANN001
    from ..training.levels.train import keep_locator
    from ..training.segmentation.export import save_segmentation_model
    from ..training.segmentation.train import train_segmentation

    module = train_segmentation(datasets, recipe, arguments.output, _run_options(arguments))
    if not module.trainer.is_global_zero:
        return None
    name = arguments.name or f"unet-{arguments.preset}"
    model = save_segmentation_model(
        module,
        arguments.output / "model",
        name,
        arguments.model_version,
        datasets,
        seed=arguments.seed,
        start_from=arguments.start_from,
    )
    return model if arguments.start_from is None else keep_locator(model, arguments.start_from)


def _train_grading(arguments: argparse.Namespace, recipe, datasets):  # noqa: ANN001
    from ..evaluation.scores import read_scores
    from ..models.store import find_model
    from ..training.grading.cross_validation import first_round, informed
    from ..training.grading.disc_samples import collect_samples, split_samples
    from ..training.grading.export import save_grading_model
    from ..training.grading.prediction_sets import with_prediction_sets
    from ..training.grading.train import fit_temperature, groups_of, predict, train_grading

    options = _run_options(arguments)
    scores = read_scores(arguments.out_of_fold) if arguments.out_of_fold else []
    if any(score.split != "train" for score in scores):
        raise UserError(
            f"In {arguments.out_of_fold} are gradings of tuning patients, on which the model would then be tuned and "
            "calibrated; cross-validate with --training-alone."
        )
    samples = collect_samples(datasets, arguments.segmentation_model)
    training, tuning = split_samples(samples, recipe, arguments.seed)
    if arguments.out_of_fold:
        kept = informed(training, scores)
    elif recipe.first_round_folds and options.processes > 1:
        raise UserError(
            "On several devices run cross-validate --training-alone first, and give its discs.csv with --out-of-fold."
        )
    else:
        kept = first_round(training, recipe, arguments.output / "first-round", replace(options, start_from=None))
    if len(kept) < len(training):
        print(f"{len(training) - len(kept)} crops are left out: their references are improbable out of fold.")
    training = kept
    print(f"{len(training)} training crops, {len(tuning)} tuning crops.")
    module = train_grading(training, tuning, recipe, arguments.output, options)
    if not module.trainer.is_global_zero:
        return None
    segmentation = find_model(arguments.segmentation_model, "segmentation")
    found_by = segmentation if any(sample.found_by for sample in samples) else None
    temperature = fit_temperature(predict(module, tuning), groups_of(tuning)) if tuning else None
    if temperature is None:
        print("There are no graded tuning discs: the probabilities of this model are not calibrated.")
    name = arguments.name or f"spinenet-{arguments.preset}"
    model = save_grading_model(
        module,
        arguments.output / "model",
        name,
        arguments.model_version,
        datasets,
        temperature,
        seed=arguments.seed,
        start_from=arguments.start_from,
        discs_found_by=found_by,
    )
    # discs split at random share patients with the training: their coverage would be too good
    return with_prediction_sets(model, tuning) if recipe.split_by_patient else model


def _train_levels(arguments: argparse.Namespace) -> int:
    from ..grading.grader import DiscGrader
    from ..models.store import find_model
    from ..training.levels.pictures import placed_pictures
    from ..training.levels.train import VIEWS, collect_views, save_with_locator, train_locator
    from ..training.recipes import LevelRecipe, changed_recipe
    from ..training.run_record import RECORD_NAME, RunOptions, require_same, run_record, write_record
    from .progress import with_progress

    if arguments.preset != "default" or arguments.start_from:
        raise UserError(
            "There is one recipe for 'levels', without --preset and --start-from; name the model that they are looked "
            "for beside with --segmentation-model."
        )
    recipe = changed_recipe(LevelRecipe(), arguments.set)
    datasets = open_datasets(arguments.data)
    beside = find_model(arguments.segmentation_model, "segmentation")
    cases = [case for dataset in datasets for case in dataset.cases if case.split != "test"]
    options = RunOptions(arguments.seed, arguments.resume, arguments.accelerator, beside)
    record = run_record(recipe, [case for case in cases if case.split == "train"], options)
    if arguments.resume and (arguments.output / RECORD_NAME).exists():
        require_same(record, arguments.output / RECORD_NAME, "choose another --output or leave out --resume")
    else:
        shutil.rmtree(arguments.output / VIEWS, ignore_errors=True)
    write_record(record, arguments.output / RECORD_NAME)
    device = "cuda" if arguments.accelerator == "gpu" else arguments.accelerator
    grader = DiscGrader(device, beside.folder)
    pictures = list(placed_pictures(with_progress("Pictures")(cases), grader))
    training = [picture for picture in pictures if picture.split == "train"]
    views = collect_views(
        training,
        grader.segmenter,
        arguments.output / VIEWS,
        recipe.views,
        arguments.seed,
        with_progress("Views"),
    )
    print(f"{len(training)} training pictures in {len(views)} views.")
    locator = train_locator(
        views,
        recipe,
        arguments.seed,
        grader.device,
        lambda step, loss: print(f"Step {step}: loss {loss:.3f}"),
    )
    tuning = [picture for picture in pictures if picture.split == "tune"]
    model = save_with_locator(
        beside,
        locator,
        arguments.output / "model",
        recipe,
        tuning,
        datasets,
        arguments.seed,
        arguments.name,
        arguments.model_version,
        device,
    )
    print(f"Model {model.name} {model.version} is in {model.folder}; evaluate it, then add it with 'models install'.")
    return 0
