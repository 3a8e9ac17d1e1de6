"""The command ``evaluate``: what two models reach on the patients of a split, measured through the whole pipeline."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure models on labelled data sets",
        description="Grade every patient of a split through the whole pipeline and compare with masks and grades: Dice "
        "and IoU per disc, levels, kappa and accuracy of the groups, calibration; 95 % bootstrap intervals by patient. "
        "Writes metrics.json and discs.csv.",
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DATASET", help="labelled data sets")
    parser.add_argument("--split", choices=("train", "tune", "test"), default="test", help="patients (default: test)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for metrics.json and discs.csv"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--model", action="append", default=[], metavar="NAME|FOLDER", help="model; once for each task")
    parser.add_argument(
        "--write-cards", action="store_true", help="write the figures into the cards of models given as folders"
    )
    parser.set_defaults(func=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    try:
        from ..training import evaluation
    except ImportError as error:
        print(f"Evaluation needs {error.name}; install the extra 'train'.", file=sys.stderr)
        return 1
    from tqdm import tqdm

    from ..dataset.labelled import LabelledDataset
    from .grade_command import make_grader

    try:
        grader = make_grader(arguments.device, arguments.model)
        datasets = [LabelledDataset.open(folder) for folder in arguments.data]
        arguments.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    metrics, rows = [], []
    for dataset in datasets:
        cases = dataset.cases_in(arguments.split)
        shown = tqdm(cases, desc=dataset.name, unit="patient", disable=not sys.stderr.isatty())
        scores = evaluation.score_cases(
            grader, shown, lambda case, why: print(f"{case.patient}: {why}", file=sys.stderr)
        )
        label = f"{dataset.name}, {len(cases)} {arguments.split} patients"
        metrics += evaluation.metrics_of(scores, label)
        rows += evaluation.score_rows(scores)
    models = [{"name": use.name, "task": use.task, "sha256": use.sha256} for use in grader.models]
    content = {"models": models, "split": arguments.split, "metrics": metrics}
    (arguments.output / "metrics.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with (arguments.output / "discs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["patient"])
        writer.writeheader()
        writer.writerows(rows)
    if arguments.write_cards:
        from ..models.store import open_model
        from ..training.model_export import record_metrics

        for model in map(open_model, arguments.model):
            record_metrics(model, metrics, datasets)
    for metric in metrics:
        interval = metric["interval"]
        between = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        print(f"{metric['data']}: {metric['name']} {metric['value']:.3f}{between}, n = {metric['n']}")
    return 0
