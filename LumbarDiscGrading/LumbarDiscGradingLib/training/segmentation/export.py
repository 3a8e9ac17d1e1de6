"""A trained U-Net as a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...dataset.labelled import LabelledDataset
from ...grading.segmenter import SLICE_NORMALIZATION
from ...imaging.canvas import CANVAS_SHAPE
from ...models.folder import TrainedModel, save_model
from ...pfirrmann import Tissue
from ..model_export import model_card, provenance
from ..recipes import recipe_settings
from .module import SegmentationModule


def save_segmentation_model(
    module: SegmentationModule,
    folder: Path,
    name: str,
    version: str,
    datasets: Sequence[LabelledDataset],
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
        **provenance(recipe_settings(recipe), datasets, seed, start_from),
        "metrics": [],
    }
    return save_model(folder, module.network, manifest, model_card(manifest, datasets))
