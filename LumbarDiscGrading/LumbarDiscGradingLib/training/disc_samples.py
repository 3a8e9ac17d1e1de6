"""Training crops for the grading network, drawn from graded discs on labelled or segmented slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.transforms import Compose, RandAdjustContrast, RandBiasField, RandGaussianSmooth, RandRicianNoise
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..dataset.labelled import LabelledCase, LabelledDataset
from ..grading.classifier import disc_input
from ..grading.discs import find_regions
from ..grading.grader import regions_of
from ..grading.levels import name_levels
from ..grading.measurements import fluid_signal
from ..grading.segmenter import Segmenter
from ..grading.slice_choice import choose_slice
from ..imaging.crop import DiscAxis
from ..imaging.volume import SagittalVolume
from ..pfirrmann import DISC_LABELS, GRADES, GROUPS, Tissue, group_of_grade
from .recipes import GradingRecipe
from .slices import tissues_and_landmark

BESIDE_MM = 3.0
"""Distance from the middle slice of the further views of a disc in a volume of thin slices."""
JITTER_MM, JITTER_DEGREES, JITTER_SCALE, JITTER_FLUID = 1.5, 7.0, 1.12, 1.15
"""How far a crop's centre, direction, scale and reference signal are varied: the errors of another segmentation."""
PAPER_ROTATION_DEGREES, PAPER_NOISE = 15.0, 0.05


@dataclass(frozen=True)
class DiscSample:
    """One graded disc.

    Attributes
    ----------
    patient, source, split, level : str
    grade : int
        Reference Pfirrmann grade.
    slice_2d : ndarray of float32, shape (rows, columns)
        Part of the slice around the disc.
    mask : ndarray of bool, shape (rows, columns)
    axis : DiscAxis
        In mm of that part.
    fluid : float
    spacing_mm : tuple of float
    """

    patient: str
    source: str
    split: str
    level: str
    grade: int
    slice_2d: NDArray[np.float32]
    mask: NDArray[np.bool_]
    axis: DiscAxis
    fluid: float
    spacing_mm: tuple[float, float]


def samples_of_case(case: LabelledCase, segmenter: Segmenter) -> list[DiscSample]:
    """Return the graded discs of a case, found by a mask with sure levels and a canal, else by the network."""
    volume = case.volume()
    spacing = volume.spacing_mm[1:]
    labels = case.mask() if case.levels_trusted else None
    if labels is not None and (labels == Tissue.CANAL).any():  # signals are relative to the canal's fluid
        return _samples_by_mask(case, volume, labels)
    if volume.scale_known:
        segmentation = choose_slice(volume, segmenter)[0]
    else:
        segmentation = segmenter.segment(volume, [volume.middle_slice_index])[0]
    slice_2d = volume.thick_slice(segmentation.slice_index)
    regions, _ = regions_of(segmentation, slice_2d.shape)
    named = name_levels(regions, (slice_2d.shape[0] - 1) * spacing[0])
    samples = []
    for level, disc in zip(named.levels, named.discs, strict=True):
        fluid = fluid_signal(slice_2d, regions.canal, disc.axis, spacing)
        if level in case.grades and fluid:
            samples.append(_sample(case, level, slice_2d, disc.mask, disc.axis, fluid, spacing))
    return samples


def _samples_by_mask(case: LabelledCase, volume: SagittalVolume, labels: NDArray[np.uint8]) -> list[DiscSample]:
    """Cut the graded discs from thick slices at and beside the middle; the copies of a disc are further views of it."""
    spacing = volume.spacing_mm[1:]
    beside = round(BESIDE_MM / volume.spacing_mm[0])
    samples = []
    for offset in sorted({0, -beside, beside}) if case.split == "train" else [0]:
        middle = int(np.clip(volume.middle_slice_index + offset, 0, volume.slice_count - 1))
        slice_2d = volume.thick_slice(middle)
        tissues, _ = tissues_and_landmark(labels[middle])
        everywhere = np.ones(tissues.shape, dtype=bool)
        regions = find_regions(tissues, (tissues == Tissue.DISC).astype(np.float32), None, everywhere, spacing)
        for disc in regions.discs:
            values = labels[middle][disc.mask]
            level = next((name for name, value in DISC_LABELS.items() if value == np.bincount(values).argmax()), "")
            fluid = fluid_signal(slice_2d, regions.canal, disc.axis, spacing)
            if level in case.grades and fluid:
                samples.append(_sample(case, level, slice_2d, disc.mask, disc.axis, fluid, spacing))
    return samples


CUT_MM = 48.0
"""Half side of the part of the slice that is kept around a disc: a turned and shifted 64 mm crop fits."""


def _sample(
    case: LabelledCase,
    level: str,
    slice_2d: NDArray[np.float32],
    mask: NDArray[np.bool_],
    axis: DiscAxis,
    fluid: float,
    spacing: tuple[float, float],
) -> DiscSample:
    cut, shifted = [], []
    for center, step, size in zip(axis.center_mm, spacing, slice_2d.shape, strict=True):
        first = int(np.clip(np.floor((center - CUT_MM) / step), 0, size - 1))
        last = int(np.clip(np.ceil((center + CUT_MM) / step), 1, size))
        cut.append(slice(first, last))
        shifted.append(center - first * step)
    return DiscSample(
        patient=case.patient,
        source=case.source,
        split=case.split,
        level=level,
        grade=case.grades[level],
        slice_2d=np.ascontiguousarray(slice_2d[tuple(cut)]),
        mask=np.ascontiguousarray(mask[tuple(cut)]),
        axis=DiscAxis((shifted[0], shifted[1]), axis.angle_degrees),
        fluid=fluid,
        spacing_mm=spacing,
    )


class DiscCrops(Dataset):
    """Crops and grades; varied anew each epoch when `training`.

    Each item is (input (channels, 128, 256) float32, grade 0-4, group 0-2). When `training`, `epoch` decides which
    discs come and how they are varied, so that an epoch can be repeated exactly; with `weights` they are drawn by them.
    """

    def __init__(
        self,
        samples: list[DiscSample],
        recipe: GradingRecipe,
        training: bool,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.samples, self.recipe, self.training, self.seed, self.epoch = samples, recipe, training, seed, 0
        self.share = None if weights is None else np.asarray(weights) / np.sum(weights)

    def __len__(self) -> int:
        """Return the number of discs."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        """Return one disc."""
        random = np.random.default_rng((self.seed, self.epoch, index))
        sample = self.samples[self._drawn(index)]
        channels = self.recipe.in_channels
        if self.training and self.recipe.augment == "full":
            sample = _moved(sample, random)
        elif self.training:
            angle = sample.axis.angle_degrees + random.uniform(-PAPER_ROTATION_DEGREES, PAPER_ROTATION_DEGREES)
            sample = replace(sample, axis=DiscAxis(sample.axis.center_mm, angle))
        crop = disc_input(sample.slice_2d, sample.mask, sample.axis, sample.fluid, sample.spacing_mm, channels)
        if self.training:
            crop = _varied(crop, self.recipe.augment, random)
        return torch.from_numpy(crop), GRADES.index(sample.grade), GROUPS.index(group_of_grade(sample.grade))

    def _drawn(self, index: int) -> int:
        """Return which disc comes at a place of the epoch: by weight with replacement, or each once, shuffled."""
        if not self.training:
            return index
        order = np.random.default_rng((self.seed, self.epoch))
        if self.share is None:
            return int(order.permutation(len(self.samples))[index])
        return int(order.choice(len(self.samples), len(self.samples), p=self.share)[index])


def _moved(sample: DiscSample, random: np.random.Generator) -> DiscSample:
    scale = np.exp(random.uniform(-np.log(JITTER_SCALE), np.log(JITTER_SCALE)))
    center = np.array(sample.axis.center_mm) + random.normal(0, JITTER_MM / 2, size=2)
    return replace(
        sample,
        axis=DiscAxis(
            (float(center[0] * scale), float(center[1] * scale)),
            sample.axis.angle_degrees + float(random.normal(0, JITTER_DEGREES / 2)),
        ),
        spacing_mm=(sample.spacing_mm[0] * scale, sample.spacing_mm[1] * scale),
        fluid=sample.fluid * float(np.exp(random.uniform(-np.log(JITTER_FLUID), np.log(JITTER_FLUID)))),
    )


def _varied(crop: NDArray[np.float32], augment: str, random: np.random.Generator) -> NDArray[np.float32]:
    crop = crop[:, ::-1] if random.random() < 0.5 else crop
    if augment == "paper":
        crop = crop[:, :, ::-1] if random.random() < 0.5 else crop
        return (crop + random.normal(0, PAPER_NOISE, crop.shape)).astype(np.float32)
    transforms = Compose(
        [
            RandGaussianSmooth(sigma_x=(0.3, 2.5), sigma_y=(0.3, 2.5), prob=0.4),
            RandBiasField(degree=2, coeff_range=(-0.15, 0.15), prob=0.4),
            RandAdjustContrast(prob=0.4, gamma=(0.8, 1.25)),
            RandRicianNoise(prob=0.5, std=0.04, sample_std=True),
        ]
    )
    transforms.set_random_state(int(random.integers(2**31)))
    image = np.asarray(transforms(torch.from_numpy(crop[:1].copy())), dtype=np.float32)
    return np.ascontiguousarray(np.concatenate([image, crop[1:]]))


def collect_samples(datasets: Sequence[LabelledDataset], segmentation_model: str | None) -> list[DiscSample]:
    """Return the graded discs of all training and tuning patients; test patients are not read.

    Parameters
    ----------
    datasets : sequence of LabelledDataset
    segmentation_model : str or None
        Finds the discs of cases without masks; None for the built-in default.
    """
    from tqdm import tqdm

    from ..grading.device import choose_device
    from ..models.store import find_model

    cases = [case for dataset in datasets for split in ("train", "tune") for case in dataset.cases_in(split)]
    cases = [case for case in cases if case.grades]
    segmenter = Segmenter(find_model(segmentation_model, "segmentation"), choose_device("auto")[0])
    return [sample for case in tqdm(cases, desc="Discs", unit="patient") for sample in samples_of_case(case, segmenter)]


def split_samples(
    samples: list[DiscSample], recipe: GradingRecipe, seed: int
) -> tuple[list[DiscSample], list[DiscSample]]:
    """Split discs into training and tuning: by patient, or at random as in the study (with a warning)."""
    if recipe.split_by_patient:
        return [s for s in samples if s.split == "train"], [s for s in samples if s.split == "tune"]
    print(
        "Discs are split at random, as in the study: discs of one patient are in both sets, so the figures on the "
        "tuning set are too good."
    )
    order = np.random.default_rng(seed).permutation(len(samples))
    tuning = round(len(samples) * STUDY_TUNING_SHARE)
    return [samples[i] for i in order[tuning:]], [samples[i] for i in order[:tuning]]


STUDY_TUNING_SHARE = 72 / 372
"""Of the discs that are not tested: 300 for training and 72 for tuning in the study."""
