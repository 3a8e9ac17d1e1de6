"""Training patches for the segmentation network, drawn from the slices of labelled cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...dataset.labelled import LabelledCase, is_disc, slices_with_discs
from ...imaging.canvas import INPUT_HIGH_PERCENTILE, INPUT_LOW_PERCENTILE, Grid
from ...pfirrmann import Tissue
from .. import augmentation
from ..errors import TrainingError
from ..mask_targets import tissues_and_landmark
from ..recipes import SegmentationRecipe

IGNORED = 255
"""Label of pixels that no loss is computed on (unsure pixels of the network's own predictions)."""

WHOLE_DISC_MM = 25.0
"""Discs drawn over less than this from side to side (a lumbar disc is 40-55 mm wide) were drawn on single slices."""


@dataclass
class TrainingCase:
    """One case in memory: voxels and label values of shape (slices, rows, columns), spacing in mm.

    `level_points` are row and column of the posterior margin of the disc of each level, where they are known.
    """

    patient: str
    source: str
    voxels: NDArray
    labels: NDArray[np.uint8] | None
    spacing_mm: tuple[float, float, float]
    level_points: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def load(cls, case: LabelledCase) -> TrainingCase:
        """Read a labelled case."""
        volume = case.volume()
        return cls(case.patient, case.source, volume.voxels, case.mask(), volume.spacing_mm, case.level_points)

    @property
    def known_labels(self) -> NDArray[np.uint8]:
        """The labels of a case that has any; raises TrainingError where there are none."""
        if self.labels is None:
            raise TrainingError(f"{self.source}, {self.patient} has no labels; label it before it is trained on.")
        return self.labels

    @cached_property
    def drawn(self) -> NDArray[np.int64]:
        """Indices of the slices that have their labels: those with discs, where discs were drawn on single slices."""
        every = np.arange(self.voxels.shape[0])
        if self.labels is None:
            return every
        with_discs = slices_with_discs(self.labels)
        if len(with_discs) == 0 or (with_discs[-1] - with_discs[0] + 1) * self.spacing_mm[0] >= WHOLE_DISC_MM:
            return every
        return with_discs

    @property
    def middle(self) -> int:
        """Index of the middle slice, or of the drawn one next to it."""
        middle = (self.voxels.shape[0] - 1) // 2
        return int(min(self.drawn, key=lambda index: abs(index - middle)))

    @property
    def discs_alone(self) -> bool:
        """Whether discs were drawn, but neither the vertebrae nor the canal around them."""
        if self.labels is None:
            return False
        labels = self.labels[self.middle]
        return bool(is_disc(labels).any()) and not np.isin(labels, (Tissue.VERTEBRA, Tissue.CANAL)).any()

    def middle_alone(self, labels: NDArray[np.uint8]) -> TrainingCase:
        """Return the middle slice alone, with labels of shape (rows, columns)."""
        middle = self.middle
        return replace(self, voxels=self.voxels[middle : middle + 1], labels=labels[None])


class SlicePatches(Dataset):
    """Random patches of random slices, of cases with masks and of `pseudo`; as many an epoch as the recipe says.

    Each item is (image (1, rows, columns) float32, tissues (rows, columns) uint8 with `IGNORED`, landmark (rows,
    columns) uint8). `epoch` decides the random numbers, so an epoch can be repeated exactly.
    """

    def __init__(self, cases: list[TrainingCase], recipe: SegmentationRecipe, seed: int) -> None:
        self.cases, self.recipe, self.seed, self.epoch = cases, recipe, seed, 0
        self.pseudo: list[TrainingCase] = []

    def __len__(self) -> int:
        """Return the number of patches of an epoch."""
        return self.recipe.steps_per_epoch * self.recipe.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw one patch."""
        random = np.random.default_rng((self.seed, self.epoch, index))
        use_pseudo = self.pseudo and (random.random() < self.recipe.self_training_share or not self.cases)
        pool = self.pseudo if use_pseudo else self.cases
        case = pool[random.integers(len(pool))]
        image, labels = self._slab(case, random)
        return self._patch(image, labels, case.spacing_mm[1:], random)

    def _slab(self, case: TrainingCase, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        count, drawn = case.voxels.shape[0], case.drawn
        if not self.recipe.augment:
            return case.voxels[case.middle].astype(np.float32), case.known_labels[case.middle]
        most = min(count, max(1, int(augmentation.MAX_SLAB_MM / case.spacing_mm[0])))
        thickness = int(random.integers(1, most + 1))
        if len(drawn) == count:
            first = int(random.integers(count - thickness + 1))
        else:
            center = int(random.choice(drawn))
            thickness = min(thickness, 2 * min(center, count - 1 - center) + 1)
            first = center - thickness // 2
        slab = case.voxels[first : first + thickness].astype(np.float32).mean(axis=0)
        return slab, case.known_labels[first + thickness // 2]

    def _patch(
        self, image: NDArray, labels: NDArray, spacing_mm: tuple[float, float], random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        recipe = self.recipe
        low, high = np.percentile(image, (INPUT_LOW_PERCENTILE, INPUT_HIGH_PERCENTILE))
        image = np.maximum((image - low) / max(high - low, 1e-6), 0.0)
        if recipe.augment:
            grid, spacing_mm = _random_grid(labels, spacing_mm, recipe, random)
        else:
            grid = Grid.over(labels.shape, spacing_mm, recipe.pixel_size_mm, recipe.patch_shape)
        patch = grid.sample(image, spacing_mm)
        target = _sample_labels(grid, labels, spacing_mm)
        if recipe.augment:
            if random.random() >= recipe.gentle_share:
                patch = _as_acquired_elsewhere(patch, target, random)
            patch, target = augmentation.cut_field_of_view(patch, target, random)
        patch = np.sqrt(np.clip(patch, 0.0, 1.0))
        tissues, landmark = tissues_and_landmark(target)
        if not recipe.tissues:
            tissues = (tissues == Tissue.DISC).astype(np.uint8)
        return torch.from_numpy(patch.astype(np.float32))[None], torch.from_numpy(tissues), torch.from_numpy(landmark)


def _as_acquired_elsewhere(
    patch: NDArray[np.float32], target: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.float32]:
    tissues = tissues_and_landmark(np.where(target == IGNORED, 0, target).astype(np.uint8))[0]
    if random.random() < 0.5:
        patch = augmentation.vary_tissue_contrast(patch, tissues, random)
    if random.random() < 0.1:
        patch = augmentation.wrap_around(patch, random)
    transforms = augmentation.intensity_transforms(int(random.integers(2**31)))
    patch = np.asarray(transforms(torch.from_numpy(patch)[None])[0], dtype=np.float32)
    return augmentation.random_gamma(patch, random)


def _random_grid(
    labels: NDArray, spacing_mm: tuple[float, float], recipe: SegmentationRecipe, random: np.random.Generator
) -> tuple[Grid, tuple[float, float]]:
    scale = np.exp(random.uniform(-np.log(augmentation.MAX_SCALE), np.log(augmentation.MAX_SCALE)))
    stretch = np.exp(random.uniform(-np.log(augmentation.MAX_ANISOTROPY), np.log(augmentation.MAX_ANISOTROPY)))
    spacing = (spacing_mm[0] * scale * stretch, spacing_mm[1] * scale / stretch)
    rows, columns = np.nonzero((labels > 0) & (labels != IGNORED))
    if len(rows) == 0:
        rows, columns = np.nonzero(np.ones_like(labels))
    middle = np.array([(rows.min() + rows.max()) / 2 * spacing[0], (columns.min() + columns.max()) / 2 * spacing[1]])
    center = middle + random.uniform(-1, 1, size=2) * np.array([70.0, 45.0])
    rotation = float(
        np.clip(random.normal(0, 12), -augmentation.MAX_ROTATION_DEGREES, augmentation.MAX_ROTATION_DEGREES)
    )
    return Grid(recipe.patch_shape, recipe.pixel_size_mm, (float(center[0]), float(center[1])), rotation), spacing


def _sample_labels(grid: Grid, labels: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> NDArray[np.uint8]:
    """Resample label values by nearest neighbour (the grid is no finer than the labels by more than a little)."""
    return grid.sample(labels, spacing_mm, nearest=True).astype(np.uint8)
