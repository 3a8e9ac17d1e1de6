"""The command ``evaluate``: what two models reach on labelled patients, measured through the whole pipeline."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .complaint import missing_extra
from .grade_command import make_grader

if TYPE_CHECKING:
    from ..dataset.labelled import LabelledCase, LabelledDataset
    from ..evaluation.files import Evaluation
    from ..evaluation.pictures import PictureStore
    from ..evaluation.scores import Degradation
    from ..grading.grader import DiscGrader
    from ..models.folder import TrainedModel

ALL_PATIENTS = "all"
SPLIT_CHOICES = ("train", "tune", "test", ALL_PATIENTS)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure models on labelled data sets",
        description="Grade every patient of a split through the whole pipeline and compare with masks and grades: "
        "Dice, IoU and surface distance, levels, slice, kappa, accuracy, ROC, calibration, worst errors; 95 % "
        "bootstrap intervals by patient. Writes report.html (needs nothing from elsewhere), metrics.json, discs.csv, "
        "figures.csv, failures.csv, pictures and contact sheets.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, nargs="+", metavar="DATASET", help="labelled data sets, or study exports")
    source.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        metavar="CSV",
        help="discs.csv of earlier evaluations, each patient in one of them: puts their tables together without "
        "running a network, such as those of a cross-validation; pictures of patients are left out",
    )
    parser.add_argument("--split", choices=SPLIT_CHOICES, default="test", help="patients (default: test)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the report and its tables"
    )
    add_running_options(parser)
    parser.add_argument("--model", action="append", default=[], metavar="NAME|FOLDER", help="model; once for each task")
    parser.add_argument(
        "--write-cards",
        action="store_true",
        help="write the figures into the cards of the models, all of them given as folders",
    )
    parser.set_defaults(
        func=lambda arguments: _evaluate(arguments, parser), explain=partial(missing_extra, what="Evaluation")
    )


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how patients are graded."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--degrade",
        type=degradation_text,
        metavar="1mm|slab:4",
        help="change volumes and masks first: '1mm' resamples to isotropic voxels, 'slab:4' averages thin slices to "
        "slabs of 4 mm; any other size in mm may stand there",
    )


DEGRADATION = re.compile(r"(?:(?P<isotropic>\d+(?:\.\d+)?)mm|slab:(?P<slab>\d+(?:\.\d+)?))")
SMALLEST_MM, LARGEST_MM = 0.2, 20.0


def degradation_text(text: str) -> str:
    """Return the text if it names a degradation.

    Raises
    ------
    argparse.ArgumentTypeError
        If it does not.
    """
    match = DEGRADATION.fullmatch(text)
    if match is None or not SMALLEST_MM <= float(match["isotropic"] or match["slab"]) <= LARGEST_MM:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a voxel size such as 1mm nor a slab such as slab:4")
    return text


def degradation_of(text: str | None) -> tuple[Degradation | None, str]:
    """Return what `degradation_text` let through as a function of volume and mask, and in words."""
    from ..imaging.resampling import isotropic, slabs

    match = DEGRADATION.fullmatch(text or "")
    if match is None:
        return None, ""
    if match["isotropic"]:
        size_mm = float(match["isotropic"])
        return lambda volume, mask: isotropic(volume, size_mm, mask), f"resampled to {size_mm:g} mm"
    thickness_mm = float(match["slab"])
    return lambda volume, mask: slabs(volume, thickness_mm, mask), f"averaged to slabs of {thickness_mm:g} mm"


def run_evaluation(
    grader: DiscGrader,
    datasets: Sequence[LabelledDataset],
    split: str,
    degradation: str | None = None,
    pictures: PictureStore | None = None,
) -> Evaluation:
    """Grade the patients of data sets, one at a time, and work out all figures; problems go to standard error."""
    from tqdm import tqdm

    from ..dataset.labelled import person_count
    from ..evaluation.files import Evaluation
    from ..evaluation.scores import scored_cases

    degrade, in_words = degradation_of(degradation)
    scores, data, problems = [], [], []
    for dataset in datasets:
        cases = _cases_of(dataset, split)
        shown = tqdm(cases, desc=dataset.name, unit="patient", disable=not sys.stderr.isatty())
        for scored in scored_cases(grader, shown, degrade):
            scores += scored.scores
            if pictures is not None:
                pictures.keep(scored)
            if scored.problem:
                problems.append(f"{dataset.name}, patient {scored.case.patient}: {scored.problem}")
                print(problems[-1], file=sys.stderr)
        described = {key: dataset.manifest[key] for key in ("licence", "attribution")}
        data.append({"name": dataset.name, **described, "patients": person_count(cases)})
    models = [
        {"name": use.name, "version": use.version, "task": use.task, "sha256": use.sha256} for use in grader.models
    ]
    return Evaluation.of(scores, split=split, models=models, data=data, degradation=in_words, problems=problems)


def open_datasets(folders: Sequence[Path]) -> list[LabelledDataset]:
    """Open data sets."""
    from ..dataset.labelled import LabelledDataset

    datasets = [LabelledDataset.open(folder) for folder in folders]
    names = [dataset.name for dataset in datasets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"Two data sets are named {twice}; give each once.")
    return datasets


def _cases_of(dataset: LabelledDataset, split: str) -> tuple[LabelledCase, ...]:
    return dataset.cases if split == ALL_PATIENTS else dataset.cases_in(split)


def _evaluate(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if arguments.predictions and (arguments.model or arguments.write_cards or arguments.degrade):
        parser.error("--predictions runs no network: --model, --write-cards and --degrade do not go with it")
    from ..evaluation.files import STORED_ROWS, Evaluation, read_stored
    from ..evaluation.pictures import PictureStore
    from ..evaluation.report import write_report
    from ..training.model_export import record_metrics

    measured = _own_models(arguments.model) if arguments.write_cards else []
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.predictions:
        scores, models = read_stored(arguments.predictions)
        evaluation = Evaluation.of(scores, split=STORED_ROWS, models=models)
        report = write_report(evaluation, arguments.output)
    else:
        datasets = open_datasets(arguments.data)
        grader = make_grader(arguments.device, arguments.model)
        with PictureStore() as pictures:
            evaluation = run_evaluation(grader, datasets, arguments.split, arguments.degrade, pictures)
            report = write_report(evaluation, arguments.output, pictures)
        for model in measured:
            record_metrics(model, evaluation.metrics)
    for metric in evaluation.metrics:
        interval = metric["interval"]
        between = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        print(f"{metric['data']}: {metric['name']} {metric['value']:.3f}{between}, n = {metric['n']}")
    print(f"Written to {arguments.output}: {report.name} and its tables")
    return 0


def _own_models(names: Sequence[str]) -> list[TrainedModel]:
    """Return the models whose cards may be written."""
    from ..models.store import built_in_model_folder, open_model

    if not names:
        raise UserError("--write-cards has no card to write; give the folder of a model with --model.")
    models = [open_model(name) for name in names]
    built_in = built_in_model_folder().resolve()
    for name, model in zip(names, models, strict=True):
        if model.origin != "path" or built_in in model.folder.resolve().parents:
            raise UserError(f"The card of {name} is not written: an installed model stays as it is; give a folder.")
    return models
