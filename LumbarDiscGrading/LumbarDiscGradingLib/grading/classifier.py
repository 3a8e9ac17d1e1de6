"""The grading network at work: crops of all discs of a slice in one batch, calibrated grade probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..imaging.crop import DiscAxis, MaskUse, disc_grid, referenced_crop
from ..measures.prediction_sets import without_unknown_sets
from .segmenter import reduced_precision, require_normalization

if TYPE_CHECKING:
    import torch

    from ..models.folder import TrainedModel
    from .discs import DiscRegion


CROP_NORMALIZATION = {"name": "canal_fluid_reference_square_root", "parameters": {"percentile": 85.0, "clip": 1.5}}
"""What `disc_input` and `measurements.fluid_signal` do, as the manifest of a grading model names it."""


def disc_input(
    slice_2d: NDArray,
    disc_mask: NDArray[np.bool_],
    axis: DiscAxis,
    fluid: float,
    spacing_mm: tuple[float, float],
    mask_use: MaskUse,
) -> NDArray[np.float32]:
    """Return what the grading network sees of one disc; training and grading make it here alike.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
        Intensities as stored.
    disc_mask : ndarray of bool, shape (rows, columns)
    axis : DiscAxis
    fluid : float
        Reference signal, from `measurements.fluid_signal`.
    spacing_mm : tuple of float
    mask_use : MaskUse

    Returns
    -------
    ndarray of float32, shape (channels, 128, 256)
    """
    grid = disc_grid(axis)
    crop = np.sqrt(referenced_crop(slice_2d, spacing_mm, grid, fluid))  # spreads the dark half, where discs differ
    if mask_use is MaskUse.NONE:
        return crop[None]
    mask = grid.sample(disc_mask.astype(np.float32), spacing_mm)
    return crop[None] * mask[None] if mask_use is MaskUse.MULTIPLIED else np.stack([crop, mask])


FALLBACK_REFERENCE_PERCENTILE = 98.0
"""Of the slice: stands in for the canal's fluid where there is none near a disc."""


def disc_inputs(
    slice_2d: NDArray,
    discs: Sequence[DiscRegion],
    fluids: Sequence[float | None],
    spacing_mm: tuple[float, float],
    mask_use: MaskUse,
) -> NDArray[np.float32]:
    """Return `disc_input` of several discs, shape (discs, channels, 128, 256).

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    discs : sequence of DiscRegion
    fluids : sequence of float or None
        Reference signal of each disc; None where there is no canal.
    spacing_mm : tuple of float
    mask_use : MaskUse
    """
    fallback = float(np.percentile(slice_2d, FALLBACK_REFERENCE_PERCENTILE))
    return np.stack(
        [
            disc_input(slice_2d, disc.mask, disc.axis, fluid or fallback, spacing_mm, mask_use)
            for disc, fluid in zip(discs, fluids, strict=True)
        ]
    )


def _mask_use(model: TrainedModel) -> MaskUse:
    from ..models.manifest import ModelError

    try:
        return MaskUse.of_channels(model.manifest["input"]["channels"])
    except ValueError as error:
        raise ModelError(f"The model {model.name} cannot be used: {error} Choose another model.") from None


class Classifier:
    """A grading model on a device.

    Parameters
    ----------
    model : TrainedModel
        Of the task ``grading``.
    device : torch.device
    """

    def __init__(self, model: TrainedModel, device: torch.device) -> None:
        import torch

        model.require_task("grading")
        require_normalization(model, CROP_NORMALIZATION)
        self.model, self.device = model, device
        self.network = model.load(device).to(memory_format=torch.channels_last)
        self.mask_use = _mask_use(model)
        calibration = without_unknown_sets(model.manifest.get("calibration", {}))
        self.temperature = float(calibration.get("temperature", 1.0))
        self.outputs = list(model.manifest["outputs"])
        stated = calibration.get("prediction_set")
        self.set_threshold = None if stated is None else float(stated["threshold"])
        self.set_coverage = None if stated is None else float(stated["coverage"])

    def grade_probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of grades I to V.

        Parameters
        ----------
        inputs : ndarray of float32, shape (discs, channels, 128, 256)

        Returns
        -------
        ndarray, shape (discs, 5)
            Rows sum to 1. A model that tells only the groups has its mild probability shared between I and II, and its
            serious one between IV and V.
        """
        import torch

        batch = torch.from_numpy(inputs).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), reduced_precision(self.device):
            logits = self.network(batch).float()
        probabilities = (logits / self.temperature).softmax(1).double().cpu().numpy()
        if len(self.outputs) == 3:
            halves = probabilities / np.array([2.0, 1.0, 2.0])
            probabilities = halves[:, [0, 0, 1, 2, 2]]
        return probabilities
