"""A trained SpineNet as a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...dataset.labelled import LabelledDataset
from ...grading.classifier import CROP_NORMALIZATION
from ...imaging.crop import CROP_PIXEL_SIZE_MM, CROP_SHAPE
from ...models.folder import TrainedModel, save_model
from ...pfirrmann import GROUPS, ROMAN_GRADES
from ..model_export import model_card, provenance
from ..recipes import recipe_settings
from .train import GradingModule, architecture


def save_grading_model(
    module: GradingModule,
    folder: Path,
    name: str,
    version: str,
    datasets: Sequence[LabelledDataset],
    temperature: float | None,
    seed: int = 0,
    start_from: TrainedModel | None = None,
    discs_found_by: TrainedModel | None = None,
) -> TrainedModel:
    """Write a trained SpineNet as a model folder; parameters as in `save_segmentation_model`.

    Parameters
    ----------
    temperature : float or None
        From `train.fit_temperature`; None where there were no tuning discs to fit it on.
    discs_found_by : TrainedModel, optional
        The segmentation model that found the discs of cases without masks.
    """
    recipe = module.recipe
    outputs = list(ROMAN_GRADES.values()) if recipe.ordinal else [group.value for group in GROUPS]
    class_name, parameters = architecture(recipe)
    manifest = {
        "name": name,
        "version": version,
        "task": "grading",
        "description": "SpineNet that grades one lumbar disc from its crop and mask.",
        "architecture": {"class": class_name, "parameters": parameters},
        "input": {
            "shape": list(CROP_SHAPE),
            "pixel_size_mm": CROP_PIXEL_SIZE_MM,
            "channels": list(recipe.mask_use.channels),
            "normalization": CROP_NORMALIZATION,
        },
        "outputs": outputs,
        "calibration": {"temperature": 1.0 if temperature is None else temperature},
        **provenance(recipe_settings(recipe), datasets, seed, start_from, discs_found_by),
        "metrics": [],
    }
    return save_model(folder, module.network, manifest, model_card(manifest, datasets, temperature is not None))
