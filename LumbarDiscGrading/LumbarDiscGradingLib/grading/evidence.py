"""Where the grading network looked: for each disc, the image detail that speaks for its group, back on the slice.

The map is made by integrated gradients (Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017)
of the group's log-odds, on the way from the blurred crop, in which no detail is left, to the crop itself. The five
ordinal grades count as the group that they belong to, and what speaks for the other groups is subtracted: maps of
different groups of one disc differ. Only the image counts, not the mask that the network is given with it.

Chosen on tuning patients by taking the tenth of the crop with the strongest evidence out of the image: on 466 discs the
probability of the group fell by 0.60 (replaced by the crop's mean; Grad-CAM on the last layer, whose cells are as wide
as a disc is high, 0.08) and rose by 0.05 for the weakest tenth; the strongest cost more for each disc.
``Testing/Benchmarks/benchmark_evidence.py`` measures it.

It tells where the network looked, not whether it is right, and not what a disease does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..imaging.canvas import Grid
from ..imaging.crop import CROP_PIXEL_SIZE_MM, MaskUse, disc_grid
from ..imaging.volume import ImagingError, SagittalVolume
from ..pfirrmann import GROUPS, Group
from .classifier import disc_inputs
from .corrections import network_grade
from .discs import DiscRegion, find_regions, region_of_mask
from .measurements import fluid_signal
from .result import GradingResult
from .spine.of_result import zones_of

if TYPE_CHECKING:
    import torch

    from .classifier import Classifier

BLUR_MM = 6.0
"""Standard deviation of the blur that takes a disc and its end plates, but not the coil's shading, out of a crop."""
SMOOTHING_MM = 1.5
"""Standard deviation of the smoothing of a map: about a clinical pixel, far below the height of a disc."""
STEPS = 16
"""Points on the way from the blurred crop to the crop at which the gradient is taken."""

SHOWN_FROM = 0.2
"""Evidence below this part of the strongest of its disc is not drawn."""


class EvidenceError(ImagingError):
    """The evidence cannot be computed; the message is one sentence for the user."""


@dataclass(frozen=True, eq=False)
class DiscEvidence:
    """Evidence for the group of one disc.

    Attributes
    ----------
    level : str
    group : Group
        Of which the map is; by default the network's own group, whatever a reader set.
    density : ndarray of float32, shape (128, 256)
        On the disc's crop, in log-odds of the group per mm2; negative where the image speaks against the group.
    grid : Grid
        The crop on the slice.
    spacing_mm : tuple of float
        Pixel spacing of the slice along rows and columns, as the grid counts its mm.
    center_row_column : tuple of float
        Centroid of the disc's mask, as in its `DiscGrade`.
    slice_index : int
        Canonical index of the disc's slice.
    """

    level: str
    group: Group
    density: NDArray[np.float32]
    grid: Grid
    spacing_mm: tuple[float, float]
    center_row_column: tuple[float, float]
    slice_index: int

    @property
    def relative(self) -> NDArray[np.float32]:
        """What speaks for the group, 0 to 1 (the strongest place of this disc), on the crop."""
        positive = np.clip(self.density, 0.0, None)
        return positive / max(float(positive.max()), np.finfo(np.float32).tiny)

    def on_slice(self, slice_shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return `relative` on the pixels of the slice, zero outside the crop."""
        return self.grid.sample_back(self.relative, slice_shape, self.spacing_mm)


@dataclass(frozen=True, eq=False)
class EvidenceMap:
    """Evidence of all discs of a result.

    Attributes
    ----------
    volume : SagittalVolume
    slice_index : int
        Canonical index of the slice that most discs share.
    discs : tuple of DiscEvidence
        In the order of the result.
    key : str
        From `evidence_key`: what the map was made of.
    """

    volume: SagittalVolume
    slice_index: int
    discs: tuple[DiscEvidence, ...]
    key: str

    def disc(self, level: str) -> DiscEvidence | None:
        """Return the evidence of a level, None where there is none."""
        return next((disc for disc in self.discs if disc.level == level), None)

    def slice_map(self) -> NDArray[np.float32]:
        """Return the evidence on the curved picture, shape (rows, columns), 0 to 1 within each disc's crop.

        Where crops overlap, the stronger of two values counts.
        """
        shape = self.volume.voxels.shape[1:]
        return np.max([disc.on_slice(shape) for disc in self.discs] or [np.zeros(shape, np.float32)], axis=0)

    def in_volume(self) -> NDArray[np.float32]:
        """Return the evidence as an array of canonical order (slices, rows, columns), each disc's on its own slice."""
        values = np.zeros(self.volume.voxels.shape, dtype=np.float32)
        for disc in self.discs:
            plane = values[disc.slice_index]
            np.maximum(plane, disc.on_slice(plane.shape), out=plane)
        return values

    def named_as(self, result: GradingResult) -> EvidenceMap:
        """Return the maps under the levels that a corrected result has; those of other masks are left out."""
        levels = {disc.center_row_column: disc.level for disc in result.discs}
        kept = (
            replace(disc, level=levels[disc.center_row_column])
            for disc in self.discs
            if disc.center_row_column in levels
        )
        return replace(self, discs=tuple(kept))


def evidence_key(result: GradingResult) -> str:
    """Return a text that changes when the evidence of a result does: other masks, slice or grading model.

    Levels and a reader's own grades do not count.
    """
    made_of = (
        result.slice_index,
        sorted((*disc.center_row_column, result.slice_of(disc), network_grade(disc)[0].value) for disc in result.discs),
        [model.sha256 for model in result.models if model.task == "grading"],
    )
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def evidence_of(
    result: GradingResult,
    spacing_mm: tuple[float, float],
    classifier: Classifier,
    groups: Mapping[str, Group] | None = None,
    before_step: Callable[[], None] | None = None,
) -> EvidenceMap:
    """Compute the evidence of all discs of a result in one batch.

    Parameters
    ----------
    result : GradingResult
        Corrected or not.
    spacing_mm : tuple of float
        Pixel spacing of the slice along rows and columns with which the discs were graded.
    classifier : Classifier
        The one that graded them.
    groups : mapping of str to Group, optional
        Group to explain by level; the network's own group where it is not given.
    before_step : callable, optional
        Called before each of the `STEPS`; an exception raised in it stops the work.

    Raises
    ------
    EvidenceError
        If another model graded the discs.
    """
    _require_same_model(result, classifier)
    graded = [disc for disc in result.discs if (result.label_slice == disc.label_value).any()]
    if not graded:
        return EvidenceMap(result.volume, result.slice_index, (), evidence_key(result))
    regions = [region_of_mask(result.label_slice == disc.label_value, spacing_mm) for disc in graded]
    inputs = inputs_of(result, regions, spacing_mm, classifier.mask_use)
    chosen = [(groups or {}).get(disc.level, network_grade(disc)[0]) for disc in graded]
    densities = evidence_density(classifier, inputs, chosen, before_step)
    discs = tuple(
        DiscEvidence(
            disc.level,
            group,
            density,
            disc_grid(region.axis),
            spacing_mm,
            disc.center_row_column,
            result.slice_of(disc),
        )
        for disc, group, density, region in zip(graded, chosen, densities, regions, strict=True)
    )
    return EvidenceMap(result.volume, result.slice_index, discs, evidence_key(result))


def inputs_of(
    result: GradingResult, regions: list[DiscRegion], spacing_mm: tuple[float, float], mask_use: MaskUse
) -> NDArray[np.float32]:
    """Make again what the grading network saw of discs, shape (discs, channels, 128, 256)."""
    slice_2d = zones_of(result, spacing_mm).picture(result.volume, spacing_mm)
    everywhere = np.ones(slice_2d.shape, dtype=bool)
    canal = find_regions(result.tissue_slice, everywhere.astype(np.float32), None, everywhere, spacing_mm).canal
    fluids = [fluid_signal(slice_2d, canal, disc.axis, spacing_mm) for disc in regions]
    return disc_inputs(slice_2d, regions, fluids, spacing_mm, mask_use)


def evidence_density(
    classifier: Classifier,
    inputs: NDArray[np.float32],
    groups: list[Group],
    before_step: Callable[[], None] | None = None,
) -> NDArray[np.float32]:
    """Return the evidence for a group of each input, in log-odds per mm2 of its crop.

    Before it is smoothed, the sum over the crop is the difference of the group's log-odds between crop and blurred
    crop, as far as `STEPS` points tell.

    Parameters
    ----------
    classifier : Classifier
    inputs : ndarray of float32, shape (discs, channels, 128, 256)
        From `inputs_of`; the first channel is the image.
    groups : list of Group
    before_step : callable, optional

    Returns
    -------
    ndarray of float32, shape (discs, 128, 256)
    """
    return integrated_gradients(classifier, without_detail(inputs), inputs, groups, before_step)


def without_detail(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return inputs whose image is blurred by `BLUR_MM`; a mask beside it stays."""
    blurred = inputs.copy()
    blurred[:, 0] = [smoothed_crop(crop, BLUR_MM) for crop in inputs[:, 0]]
    return blurred


def integrated_gradients(
    classifier: Classifier,
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    groups: list[Group],
    before_step: Callable[[], None] | None = None,
) -> NDArray[np.float32]:
    """Share out the change of the groups' log-odds between two versions of crops among their pixels, smoothed.

    Parameters
    ----------
    classifier : Classifier
    start, end : ndarray of float32, shape (discs, channels, 128, 256)
    groups : list of Group
    before_step : callable, optional

    Returns
    -------
    ndarray of float32, shape (discs, 128, 256)
        In log-odds per mm2.
    """
    import torch

    first, last = (torch.from_numpy(values).to(classifier.device) for values in (start, end))
    total = torch.zeros_like(last)
    for step in range(STEPS):
        if before_step is not None:
            before_step()
        point = torch.lerp(first, last, (step + 0.5) / STEPS)
        with torch.enable_grad():
            point.requires_grad_(True)
            odds = group_log_odds(classifier, point, groups)
            total += torch.autograd.grad(odds.sum(), point)[0]
    attributed = (total / STEPS * (last - first))[:, 0].cpu().numpy() / CROP_PIXEL_SIZE_MM**2
    return np.stack([smoothed_crop(crop, SMOOTHING_MM) for crop in attributed])


def smoothed_crop(crop: NDArray[np.float32], sigma_mm: float) -> NDArray[np.float32]:
    """Return a crop smoothed by a Gaussian of a standard deviation in mm."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(crop, dtype=np.float32))
    image.SetSpacing((CROP_PIXEL_SIZE_MM, CROP_PIXEL_SIZE_MM))
    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm))


def group_log_odds(classifier: Classifier, inputs: torch.Tensor, groups: list[Group]) -> torch.Tensor:
    """Return the calibrated log-odds of a group for each input, shape (discs,); gradients flow through it."""
    logits = classifier.network(inputs).float() / classifier.temperature
    return _log_odds(logits, groups)


def _log_odds(logits: torch.Tensor, groups: list[Group]) -> torch.Tensor:
    import torch

    every = range(logits.shape[1])
    odds = []
    for row, group in zip(logits, groups, strict=True):
        own = [GROUPS.index(group)] if len(every) == len(GROUPS) else [grade - 1 for grade in group.grades]
        others = [column for column in every if column not in own]
        odds.append(row[own].logsumexp(0) - row[others].logsumexp(0))
    return torch.stack(odds)


def _require_same_model(result: GradingResult, classifier: Classifier) -> None:
    used = next((model for model in result.models if model.task == "grading"), None)
    if used is not None and used.sha256 != classifier.model.sha256:
        raise EvidenceError(
            f"The discs were graded by another model ({used.name}, {used.sha256[:8]}) than the one chosen now "
            f"({classifier.model.name}, {classifier.model.sha256[:8]}); choose that model, or grade again."
        )
