"""The command ``cross-validate``: grade every training and tuning patient by a network that never saw that patient."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "cross-validate",
        help="compare recipes of the grading network without its test patients",
        description="Train the grading network once for each fold of the training and tuning patients, on the other "
        "folds, and grade the fold's discs by it. Test patients are never read. Writes discs.csv, which "
        "'evaluate --predictions' turns into a report and 'train grading --out-of-fold' takes to leave out discs whose "
        "reference is improbable.",
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DATASET", help="labelled data sets")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--preset", choices=("default", "paper"), default="default", help="recipe (default: default)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a number or switch of the recipe, for an ablation; may be given several times",
    )
    parser.add_argument("--folds", type=int, default=5, help="folds of patients (default: 5)")
    parser.add_argument(
        "--share", type=float, default=1.0, help="share of the patients that train, for a learning curve (default: 1)"
    )
    parser.add_argument(
        "--out-of-fold",
        type=Path,
        metavar="CSV",
        help="discs.csv of an earlier cross-validation; discs with an improbable reference train no network here",
    )
    parser.add_argument(
        "--baseline", action="store_true", help="gradient boosting on measured features in the place of the network"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last finished epoch of each fold")
    parser.add_argument("--accelerator", default="auto", help="Lightning accelerator: auto, cpu, gpu (default: auto)")
    parser.add_argument(
        "--segmentation-model",
        metavar="NAME|FOLDER",
        help="finds the discs where a data set has no masks (default: the built-in one)",
    )
    parser.set_defaults(func=_cross_validate)


def changed_recipe(recipe, changes: list[str]):  # noqa: ANN001, ANN201
    """Return a recipe with settings changed as in ``name=value``.

    Raises
    ------
    ValueError
        If there is no such setting, or it is not of that type.
    """
    kinds = {field.name: type(getattr(recipe, field.name)) for field in fields(recipe)}
    for change in changes:
        name, _, text = change.partition("=")
        if kinds.get(name) not in (int, float, bool, str, tuple):
            raise ValueError(f"The recipe has no setting {name!r} that can be changed; it has {', '.join(kinds)}.")
        try:
            if kinds[name] is bool:
                value = {"true": True, "false": False}[text.lower()]
            elif kinds[name] is tuple:
                value = tuple(int(part) for part in text.split(","))
            else:
                value = kinds[name](text)
        except (ValueError, KeyError):
            raise ValueError(f"{text!r} is no value for the setting {name!r}.") from None
        recipe = replace(recipe, **{name: value})
    return recipe


def _cross_validate(arguments: argparse.Namespace) -> int:
    try:
        from ..training import recipes
    except ImportError as error:
        print(f"Cross-validation needs {error.name}; install the extra 'train'.", file=sys.stderr)
        return 1
    from ..dataset.labelled import LabelledDataset

    try:
        if not 0 < arguments.share <= 1:
            raise ValueError("--share is more than 0 and at most 1.")
        recipe = changed_recipe(recipes.GRADING_PRESETS[arguments.preset], arguments.set)
        datasets = [LabelledDataset.open(folder) for folder in arguments.data]
        arguments.output.mkdir(parents=True, exist_ok=True)
        from ..training.cross_validation import cross_validate
        from ..training.disc_samples import collect_samples
        from ..training.evaluation import read_scores, write_scores

        samples = collect_samples(datasets, arguments.segmentation_model)
        scores = cross_validate(
            samples,
            recipe,
            arguments.output,
            arguments.folds,
            arguments.seed,
            arguments.resume,
            arguments.accelerator,
            arguments.share,
            read_scores(arguments.out_of_fold) if arguments.out_of_fold else (),
            arguments.baseline,
        )
        write_scores(scores, arguments.output / "discs.csv")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    table = arguments.output / "discs.csv"
    print(f"{len(scores)} discs are graded out of fold; see them with: evaluate --predictions {table}")
    return 0
