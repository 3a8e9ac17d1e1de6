"""The command ``cross-validate``: grade or segment every patient by a network that never saw that patient."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..pfirrmann import TASKS
from .evaluate_command import open_datasets
from .training_options import add_training_options

if TYPE_CHECKING:
    from ..dataset.labelled import LabelledDataset
    from ..evaluation.scores import DiscScore
    from ..training.recipes import GradingRecipe, SegmentationRecipe


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "cross-validate",
        help="compare recipes without the test patients",
        description="Train the grading or segmentation network once for each fold of the training and tuning "
        "patients, on the other folds, and grade (or find and name) the fold's discs by it. Test patients are not read "
        "unless --with-test says so. Writes discs.csv, which 'evaluate --predictions' turns into a report and, with "
        "--training-alone, 'train grading --out-of-fold' takes for its first round.",
    )
    parser.add_argument("task", nargs="?", choices=TASKS, default="grading", help="what to train (default: grading)")
    add_training_options(parser)
    parser.add_argument(
        "--preset", choices=("default", "refine", "paper"), default="default", help="recipe (default: default)"
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="DIR",
        help="for segmentation, with --preset refine: folder of an earlier cross-validation of the same folds, "
        "from whose networks each fold goes on",
    )
    parser.add_argument("--folds", type=int, default=5, help="folds of patients (default: 5)")
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="for grading: share of the patients that train, for a learning curve (default: 1)",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="for grading: gradient boosting on measured features in the place of the network",
    )
    parser.add_argument(
        "--all-views",
        action="store_true",
        help="for grading: where a volume has slices beside the middle one, take the mean of their gradings",
    )
    parser.add_argument(
        "--training-alone",
        action="store_true",
        help="for grading: leave out the tuning patients, as 'train grading --out-of-fold' wants it",
    )
    parser.add_argument(
        "--with-test",
        action="store_true",
        help="for segmentation: fold the test patients, too, where masks are few; for figures, not for choices",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch of each fold")
    parser.set_defaults(func=_cross_validate)


def _cross_validate(arguments: argparse.Namespace) -> int:
    from ..evaluation.scores import write_scores
    from ..training import recipes
    from ..training.run_folder import require_devices

    if not 0 < arguments.share <= 1:
        raise UserError("--share is more than 0 and at most 1.")
    if (arguments.preset == "refine") != (arguments.start_from is not None):
        raise UserError("The preset 'refine' goes with --start-from, the folder of an earlier cross-validation.")
    if arguments.start_from and arguments.task == "grading":
        raise UserError("A cross-validation of the grading network begins anew; leave out --start-from.")
    require_devices(arguments.accelerator)
    presets = recipes.GRADING_PRESETS if arguments.task == "grading" else recipes.SEGMENTATION_PRESETS
    recipe: Any = recipes.changed_recipe(presets[arguments.preset], arguments.set)
    datasets = open_datasets(arguments.data)
    arguments.output.mkdir(parents=True, exist_ok=True)
    run = _grading_scores if arguments.task == "grading" else _segmentation_scores
    scores = run(arguments, recipe, datasets)
    write_scores(scores, arguments.output / "discs.csv")
    table = arguments.output / "discs.csv"
    done = "graded" if arguments.task == "grading" else "compared"
    print(f"{len(scores)} discs are {done} out of fold; see them with: evaluate --predictions {table}")
    return 0


def _run_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what both cross-validations are told alike."""
    from ..training.run_record import RunOptions

    options = RunOptions(arguments.seed, arguments.resume, arguments.accelerator)
    return {"folder": arguments.output, "folds": arguments.folds, "options": options}


def _grading_scores(
    arguments: argparse.Namespace, recipe: GradingRecipe, datasets: list[LabelledDataset]
) -> list[DiscScore]:
    from ..training.grading.cross_validation import cross_validate
    from ..training.grading.disc_samples import collect_samples

    samples = collect_samples(datasets, arguments.segmentation_model)
    if arguments.training_alone:
        samples = [sample for sample in samples if sample.split == "train"]
    return cross_validate(
        samples,
        recipe,
        **_run_settings(arguments),
        share=arguments.share,
        baseline=arguments.baseline,
        all_views=arguments.all_views,
    )


def _segmentation_scores(
    arguments: argparse.Namespace, recipe: SegmentationRecipe, datasets: list[LabelledDataset]
) -> list[DiscScore]:
    from ..training.segmentation.folds import cross_validate_segmentation

    return cross_validate_segmentation(
        datasets,
        recipe,
        **_run_settings(arguments),
        with_test=arguments.with_test,
        start_from=arguments.start_from,
    )
