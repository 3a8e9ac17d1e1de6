"""The command ``compare``: whether a new model is better, worse, or not shown to differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .complaint import missing_extra
from .evaluate_command import SPLIT_CHOICES, add_running_options, open_datasets, run_evaluation
from .grading.graders import make_grader

if TYPE_CHECKING:
    from ..evaluation.scores import DiscScore
    from ..models.folder import TrainedModel

WORSE_EXIT, USAGE_EXIT = 1, 2


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "compare",
        help="say whether a new model is better than an old one",
        description="Measure two models of one task on the same patients, each with the built-in model of the other "
        "task, and say figure by figure whether the new one is better, worse, or not shown to differ (paired bootstrap "
        "by patient, 95 %). Exit status: 0 not worse, 1 worse in a figure that decides (Dice, discs found, kappa, "
        "balanced accuracy, calibration), 2 wrong usage or not measured.",
    )
    what = "model (name or folder), or a folder written by 'evaluate'"
    parser.add_argument("old", metavar="OLD", help=what)
    parser.add_argument("new", metavar="NEW", help=what)
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DATASET", help="labelled data sets")
    parser.add_argument(
        "--split", choices=SPLIT_CHOICES, default="tune", help="patients (default: tune, so that test is not used up)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for comparison.json and comparison.txt")
    add_running_options(parser)
    parser.set_defaults(func=_compare, explain=partial(missing_extra, what="Comparing"), failed=USAGE_EXIT)


def _compare(arguments: argparse.Namespace) -> int:
    from ..evaluation.comparison import Verdict, compare_scores, comparison_text

    old, new = _scores_of_both(arguments)
    comparison = compare_scores(old, new)
    text = comparison_text(comparison, arguments.old, arguments.new)
    if arguments.output is not None:
        facts = {"old": arguments.old, "new": arguments.new, **comparison.as_json()}
        _write(arguments.output, text, facts)
    print(text, end="")
    return WORSE_EXIT if comparison.verdict is Verdict.WORSE else 0


def _scores_of_both(arguments: argparse.Namespace) -> list[list[DiscScore]]:
    """Read or measure the scores of OLD and NEW.

    Raises
    ------
    UserError
        If something is neither a model nor an evaluation, the models are of two tasks, or there is no data to measure
        on.
    """
    from ..evaluation.files import DISCS_NAME
    from ..evaluation.scores import read_scores
    from ..models.store import open_model

    names = (arguments.old, arguments.new)
    stored = [Path(name) / DISCS_NAME for name in names]
    models = {n: open_model(name) for n, name in enumerate(names) if not stored[n].is_file()}
    _require_one_task(list(models.values()))
    if models and not arguments.data:
        raise UserError("Give the data sets to measure on with --data, or two folders written by 'evaluate'.")
    if arguments.degrade and len(models) < len(names):
        raise UserError("--degrade changes what is measured now, not what was measured; leave it out, or give models.")
    datasets = open_datasets(arguments.data)
    return [
        _measured(names[n], ("old", "new")[n], datasets, arguments) if n in models else read_scores(stored[n])
        for n in range(len(names))
    ]


def _measured(name: str, word: str, datasets: Sequence[Any], arguments: argparse.Namespace) -> list[DiscScore]:
    """Measure a model; with an output folder what was measured is kept there."""
    from ..evaluation.files import write_tables

    grader = make_grader(arguments.device, [name])
    evaluation = run_evaluation(grader, datasets, arguments.split, arguments.degrade)
    if arguments.output is not None:
        write_tables(evaluation, arguments.output / word)
    return list(evaluation.scores)


def _require_one_task(models: Sequence[TrainedModel]) -> None:
    tasks = {model.task: model.name for model in models}
    if len(tasks) > 1:
        described = " and ".join(f"{name} for {task}" for task, name in tasks.items())
        raise UserError(f"Models of one task can be compared, not {described}; give two of one task.")


def _write(folder: Path, text: str, facts: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.txt").write_text(text, encoding="utf-8")
    (folder / "comparison.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
