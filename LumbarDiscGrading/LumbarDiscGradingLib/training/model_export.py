"""A trained network as a model folder: manifest and card, from the recipe, the data sets and the figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..dataset.labelled import LabelledDataset, person_count
from ..grading.classifier import CROP_NORMALIZATION
from ..grading.segmenter import SLICE_NORMALIZATION
from ..imaging.canvas import CANVAS_SHAPE
from ..imaging.crop import CROP_PIXEL_SIZE_MM, CROP_SHAPE
from ..models.folder import TrainedModel, rewrite_manifest, save_model
from ..pfirrmann import GROUPS, ROMAN_GRADES, Tissue
from .grading.train import GradingModule
from .recipes import recipe_settings
from .segmentation.module import SegmentationModule

WEIGHTS_LICENCE = "CC BY 4.0"


def save_segmentation_model(
    module: SegmentationModule,
    folder: Path,
    name: str,
    version: str,
    datasets: Sequence[LabelledDataset],
    metrics: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    start_from: TrainedModel | None = None,
) -> TrainedModel:
    """Write a trained U-Net as a model folder.

    Parameters
    ----------
    module : SegmentationModule
    folder : Path
    name, version : str
    datasets : sequence of LabelledDataset
        Those it was trained on.
    metrics : sequence of mapping
        As the manifest's schema describes them: name, value, interval, n, data.
    seed : int
    start_from : TrainedModel, optional
        The model whose weights the training began with.
    """
    recipe = module.recipe
    landmark = ["lumbosacral disc"] if recipe.tissues else []
    outputs = [tissue.name.lower() for tissue in Tissue] + landmark if recipe.tissues else ["background", "disc"]
    manifest = {
        "name": name,
        "version": version,
        "task": "segmentation",
        "description": "U-Net that segments intervertebral discs"
        + (", vertebrae and spinal canal" if recipe.tissues else "")
        + " on sagittal T2-weighted lumbar slices.",
        "architecture": {
            "class": "UNet",
            "parameters": {"in_channels": 1, "out_channels": len(outputs), "base_width": recipe.base_width},
        },
        "input": {
            "shape": list(CANVAS_SHAPE),
            "pixel_size_mm": recipe.pixel_size_mm,
            "channels": ["image"],
            "normalization": SLICE_NORMALIZATION,
        },
        "outputs": outputs,
        **_provenance(recipe_settings(recipe), datasets, seed, start_from),
        "metrics": list(metrics),
    }
    return save_model(folder, module.network, manifest, model_card(manifest, datasets))


def save_grading_model(
    module: GradingModule,
    folder: Path,
    name: str,
    version: str,
    datasets: Sequence[LabelledDataset],
    temperature: float | None,
    metrics: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    start_from: TrainedModel | None = None,
    discs_found_by: TrainedModel | None = None,
) -> TrainedModel:
    """Write a trained SpineNet as a model folder; parameters as in `save_segmentation_model`.

    Parameters
    ----------
    temperature : float or None
        From `training.grading.fit_temperature`; None where there were no tuning discs to fit it on.
    discs_found_by : TrainedModel, optional
        The segmentation model that found the discs of cases without masks.
    """
    recipe = module.recipe
    outputs = list(ROMAN_GRADES.values()) if recipe.ordinal else [group.value for group in GROUPS]
    manifest = {
        "name": name,
        "version": version,
        "task": "grading",
        "description": "SpineNet that grades one lumbar disc from its crop and mask.",
        "architecture": {
            "class": "SpineNet",
            "parameters": {
                "in_channels": len(recipe.mask_use.channels),
                "outputs": len(outputs),
                "widths": list(recipe.widths),
                "attention": recipe.attention,
                "input_pooling": recipe.input_pooling,
            },
        },
        "input": {
            "shape": list(CROP_SHAPE),
            "pixel_size_mm": CROP_PIXEL_SIZE_MM,
            "channels": list(recipe.mask_use.channels),
            "normalization": CROP_NORMALIZATION,
        },
        "outputs": outputs,
        "calibration": {"temperature": 1.0 if temperature is None else temperature},
        **_provenance(recipe_settings(recipe), datasets, seed, start_from, discs_found_by),
        "metrics": list(metrics),
    }
    return save_model(folder, module.network, manifest, model_card(manifest, datasets, temperature is not None))


SEGMENTATION_METRICS = ("Dice", "IoU", "found")
"""Metrics with one of these words in their name are the segmentation model's, the others the grading model's."""


def record_metrics(model: TrainedModel, metrics: Sequence[Mapping[str, Any]]) -> TrainedModel:
    """Write measured figures into a model's manifest and card; all else in them, and the weights, stay as they are.

    Parameters
    ----------
    model : TrainedModel
    metrics : sequence of mapping
        From `evaluation.metrics_of`, of both networks; those of the model's task are taken.

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


def _provenance(
    settings: Mapping[str, Any],
    datasets: Sequence[LabelledDataset],
    seed: int,
    start_from: TrainedModel | None,
    discs_found_by: TrainedModel | None = None,
) -> dict[str, Any]:
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
