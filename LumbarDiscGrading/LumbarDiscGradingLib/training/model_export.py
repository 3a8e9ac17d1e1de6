"""What the manifest and the card of a trained network say of its training, its data sets and its figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from ..dataset.labelled import LabelledDataset, person_count
from ..models.folder import TrainedModel, rewrite_manifest
from ..pfirrmann import ROMAN_GRADES

WEIGHTS_LICENCE = "CC BY 4.0"


SEGMENTATION_METRICS = ("Dice", "IoU", "found")
"""Metrics with one of these words in their name are the segmentation model's, the others the grading model's."""


def record_metrics(model: TrainedModel, metrics: Sequence[Mapping[str, Any]]) -> TrainedModel:
    """Write measured figures into a model's manifest and card; all else in them, and the weights, stay as they are.

    Parameters
    ----------
    model : TrainedModel
    metrics : sequence of mapping
        From `evaluation.metrics.metrics_of`, of both networks; those of the model's task are taken.

    Raises
    ------
    ModelError
        If the folder cannot be written.
    """
    own = [
        dict(metric)
        for metric in metrics
        if (model.task == "segmentation") == any(word in metric["name"] for word in SEGMENTATION_METRICS)
    ]
    return rewrite_manifest(model, {**model.manifest, "metrics": own}, _with_measured(model.card, own))


MEASURED = "## Measured"
"""Heading of the card's section with the figures; the section goes on to the next heading of its rank."""


def _with_measured(card: str, metrics: Sequence[Mapping[str, Any]]) -> str:
    """Put figures in the place of a card's section of figures, at its end where it has none."""
    section = "\n".join([MEASURED, "", *_measured_lines(metrics), ""])
    known = re.search(rf"^{MEASURED}[ \t]*\n.*?(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    if known is None:
        return f"{card.rstrip()}\n\n{section}".lstrip()
    rest = card[known.end() :]
    return card[: known.start()] + section + (f"\n{rest}" if rest else "")


def _measured_lines(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    if not metrics:
        return ["Nothing has been measured yet."]
    lines = ["| what | value | 95 % interval | n | on |", "| --- | --- | --- | --- | --- |"]
    for metric in metrics:
        interval = metric["interval"]
        between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
        lines.append(f"| {metric['name']} | {metric['value']:.3f} | {between} | {metric['n']} | {metric['data']} |")
    return lines


def provenance(
    settings: Mapping[str, Any],
    datasets: Sequence[LabelledDataset],
    seed: int,
    start_from: TrainedModel | None,
    discs_found_by: TrainedModel | None = None,
) -> dict[str, Any]:
    """Return what a manifest says of the training: recipe, seed, models, software, data.

    Parameters
    ----------
    settings : mapping
        Of the recipe, JSON-ready.
    datasets : sequence of LabelledDataset
        Those it was trained on.
    seed : int
    start_from, discs_found_by : TrainedModel, optional
        The models whose weights the training began with, and that found the discs of cases without masks.
    """
    import lightning
    import monai
    import torch

    return {
        "training": {
            "recipe": dict(settings),
            "seed": seed,
            **({} if start_from is None else {"started_from": _identity(start_from)}),
            **({} if discs_found_by is None else {"discs_found_by": _identity(discs_found_by)}),
            "software": {
                "LumbarDiscGrading": __version__,
                "torch": torch.__version__,
                "lightning": lightning.__version__,
                "monai": monai.__version__,
            },
        },
        "training_data": [
            {
                "name": dataset.name,
                "licence": dataset.manifest["licence"],
                "attribution": dataset.manifest["attribution"],
                "patients": person_count(dataset.cases_in("train")),
            }
            for dataset in datasets
        ],
        "licence": WEIGHTS_LICENCE,
    }


def _other_models(manifest: Mapping[str, Any]) -> str:
    told = {
        "started_from": "Started from the weights of",
        "discs_found_by": "Discs of cases without masks found by",
    }
    models = [(text, manifest["training"].get(key)) for key, text in told.items()]
    return "".join(f" {text} {m['name']} {m['version']} ({m['sha256'][:12]})." for text, m in models if m)


def _identity(model: TrainedModel) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


OUT_OF_DISTRIBUTION = {
    "segmentation": "Collapsed discs are the first to be missed; the program warns of a gap between two discs. Where "
    "the lumbosacral junction is out of view, or the spine has four or six lumbar vertebrae, names "
    "can be off by one level. What it does on other contrasts has not been measured.",
    "grading": "The grade hangs on the signal relative to the canal's fluid: a "
    "wrong reference (blood, metal, a narrow canal, strong coil bias) shifts all discs of a patient "
    "alike. Discs of low confidence are marked; a confident grade can be wrong all the same.",
}
"""What a model does on images unlike those it was trained on, for its card."""


CALIBRATED = (
    "Probabilities are calibrated on the tuning {whom} of the data sets above and need not hold for other scanners and "
    "readers. "
)
NOT_CALIBRATED = "Probabilities are not calibrated: there were no graded tuning discs. "


def model_card(manifest: Mapping[str, Any], datasets: Sequence[LabelledDataset], calibrated: bool = True) -> str:
    """Return the card of a model, Markdown.

    Parameters
    ----------
    manifest : mapping
    datasets : sequence of LabelledDataset
        Those it was trained on.
    calibrated : bool
        Whether a grading model's temperature was fitted.
    """
    by_patient = manifest["training"]["recipe"].get("split_by_patient", True)
    split = "split by patient" if by_patient else "training discs parted at random, so that patients tune and train"
    calibration = ""
    if manifest["task"] == "grading":
        calibration = CALIBRATED.format(whom="patients" if by_patient else "discs") if calibrated else NOT_CALIBRATED
    lines = [f"# {manifest['name']} {manifest['version']}", "", manifest["description"], "", "## Training data", ""]
    for dataset in datasets:
        splits = ", ".join(f"{person_count(dataset.cases_in(part))} {part}" for part in ("train", "tune", "test"))
        grades = Counter(grade for case in dataset.cases_in("train") for grade in case.grades.values())
        counts = ", ".join(f"{ROMAN_GRADES[grade]}: {grades[grade]}" for grade in sorted(grades))
        lines += [
            f"- **{dataset.name}** ({splits} patients; {split}; test patients were never read in training; "
            f"graded training discs {counts}). Licence {dataset.manifest['licence'] or 'not stated'}. "
            f"{dataset.manifest['attribution']}",
        ]
    lines += ["", MEASURED, "", *_measured_lines(manifest["metrics"])]
    recipe = ", ".join(f"{key} {value}" for key, value in manifest["training"]["recipe"].items())
    lines += [
        "",
        "## Recipe",
        "",
        f"{recipe}; seed {manifest['training']['seed']}.{_other_models(manifest)}",
        "",
        "## Intended use and limits",
        "",
        "For research on sagittal T2-weighted lumbar MRI of adults. Reference grades are single readings with reader "
        "noise. Not for images after spinal surgery, with metal, fractures, tumours or infection, and not for "
        "T1-weighted, fat-suppressed or CT images: the program warns where it recognizes these, but may not. "
        "Research software, not a medical device.",
        "",
        "## Out of distribution",
        "",
        calibration + OUT_OF_DISTRIBUTION[manifest["task"]],
        "",
        f"Licence of the weights: {manifest['licence']}.",
        "",
    ]
    return "\n".join(lines)
