"""Crops of graded discs for training: cut once, drawn by weight, and varied a whole batch at a time.

Varying a batch in one go keeps the loader faster than the network, also with one worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from ...imaging.crop import CROP_PIXEL_SIZE_MM, CROP_SHAPE, MaskUse, disc_grid, referenced_crop
from ...pfirrmann import GRADES, GROUPS, group_of_grade
from ..recipes import GradingRecipe
from .disc_samples import DiscSample

MARGIN_PX = 32
"""Pixels around the crop that are cut along, so that it can be turned and shifted."""
WIDE_SHAPE = (CROP_SHAPE[0] + 2 * MARGIN_PX, CROP_SHAPE[1] + 2 * MARGIN_PX)

CropItem = tuple[NDArray[np.float16], int, int, tuple[float, ...], tuple[int, int, int]]


@dataclass(frozen=True)
class Variation:
    """How far crops are varied: the errors of another segmentation, other scanners and sequences.

    Attributes
    ----------
    degrees, shift_mm : float
        Standard deviation of the turn and of the shift along each axis.
    scale, reference, gamma : float
        Largest natural logarithm of the factors on size and reference signal, and of the exponent.
    bias : float
        Standard deviation of the coefficients of a coil's slope and bend across the crop.
    blur_share, largest_blur_px : float
        Share of the crops that are blurred, and the largest standard deviation.
    noise_share, largest_noise : float
        Share of the crops with noise, and its largest standard deviation relative to the reference signal.
    flip_rows, flip_columns : bool
        Whether head and feet, front and back change places in half of the crops.
    """

    degrees: float = 4.0
    shift_mm: float = 1.0
    scale: float = 0.12
    reference: float = 0.3
    gamma: float = 0.5
    bias: float = 0.1
    blur_share: float = 0.4
    largest_blur_px: float = 3.0
    noise_share: float = 0.5
    largest_noise: float = 0.04
    flip_rows: bool = True
    flip_columns: bool = False


VARIATIONS = {
    "full": Variation(),
    "paper": Variation(
        degrees=8.7,  # as spread out as the uniform 15 degrees of the preset's note
        shift_mm=0.0,
        scale=0.0,
        reference=0.0,
        gamma=0.0,
        bias=0.0,
        blur_share=0.0,
        noise_share=1.0,
        largest_noise=0.1,
        flip_columns=True,
    ),
}


class DiscCrops(Dataset):
    """Crops with a margin, and what varies them.

    Each item is (crop and mask (2, 192, 320) float16, grade 0-4, group 0-2, what is believed of the grades (5,), seed);
    `crops_of` makes a batch of them. Where nothing is believed the five values are 0.
    When `training`, `epoch` decides which discs come and how they are varied, so that an epoch can be repeated exactly;
    with `weights` they are drawn by them.
    """

    def __init__(
        self,
        samples: Sequence[DiscSample],
        recipe: GradingRecipe,
        training: bool,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.recipe, self.training, self.seed, self.epoch = recipe, training, seed, 0
        self.share = None if weights is None else np.asarray(weights) / np.sum(weights)
        self.wide = [wide_crop(sample) for sample in samples]
        self.grades = [GRADES.index(sample.grade) for sample in samples]
        self.groups = [GROUPS.index(group_of_grade(sample.grade)) for sample in samples]
        self.believed = [sample.believed or (0.0,) * len(GRADES) for sample in samples]

    def __len__(self) -> int:
        """Return the number of discs."""
        return len(self.wide)

    def __getitem__(self, index: int) -> CropItem:
        """Return one disc."""
        drawn = self._drawn(index)
        seed = (self.seed, self.epoch, index)
        return self.wide[drawn], self.grades[drawn], self.groups[drawn], self.believed[drawn], seed

    def collate(self, items: Sequence[CropItem]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Make a batch: crops (batch, channels, 128, 256), grades and groups (batch,) int64, believed (batch, 5)."""
        wide = torch.from_numpy(np.stack([item[0] for item in items]).astype(np.float32))
        variation = VARIATIONS[self.recipe.augment] if self.training else None
        crops = crops_of(wide, variation, [item[4] for item in items], self.recipe.mask_use)
        grades, groups, believed = ([item[part] for item in items] for part in (1, 2, 3))
        return crops, torch.tensor(grades), torch.tensor(groups), torch.tensor(believed)

    def _drawn(self, index: int) -> int:
        """Return which disc comes at a place of the epoch: by weight with replacement, or each once, shuffled."""
        if not self.training:
            return index
        order = np.random.default_rng((self.seed, self.epoch))
        if self.share is None:
            return int(order.permutation(len(self))[index])
        return int(order.choice(len(self), len(self), p=self.share)[index])


def wide_crop(sample: DiscSample) -> NDArray[np.float16]:
    """Cut a disc and its mask with a margin, shape (2, 192, 320), as for grading but before the square root."""
    grid = disc_grid(sample.axis, CROP_PIXEL_SIZE_MM, WIDE_SHAPE)
    crop = referenced_crop(sample.slice_2d, sample.spacing_mm, grid, sample.fluid)
    mask = grid.sample(sample.mask.astype(np.float32), sample.spacing_mm)
    return np.stack([crop, mask]).astype(np.float16)


def crops_of(
    wide: Tensor, variation: Variation | None, seeds: Sequence[tuple[int, int, int]], mask_use: MaskUse
) -> Tensor:
    """Turn crops with a margin into what the network sees.

    Parameters
    ----------
    wide : Tensor of float32, shape (batch, 2, 192, 320)
    variation : Variation or None
        None cuts the margin off and changes nothing else.
    seeds : sequence of tuple of int
        One for each crop; the same seed gives the same variation.
    mask_use : MaskUse

    Returns
    -------
    Tensor of float32, shape (batch, channels, 128, 256)
    """
    if variation is None:
        moved = wide[:, :, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        image, mask = moved[:, :1], moved[:, 1:]
    else:
        randoms = [np.random.default_rng(seed) for seed in seeds]
        moved = _moved(wide, variation, randoms)
        image, mask = _as_acquired_elsewhere(moved[:, :1], variation, randoms), moved[:, 1:]
    image = image.clamp(0.0, 1.5).sqrt()  # spreads the dark half, where discs differ
    if mask_use is MaskUse.NONE:
        return image
    return image * mask if mask_use is MaskUse.MULTIPLIED else torch.cat([image, mask], dim=1)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None]


def _moved(wide: Tensor, variation: Variation, randoms: Sequence[np.random.Generator]) -> Tensor:
    """Turn, scale, shift and flip each crop and cut its margin off."""
    rows, columns = CROP_SHAPE
    # affine_grid counts in half sizes: of the crop on the way in, of the wide crop on the way out
    to_pixels = np.diag([columns / 2, rows / 2])
    from_pixels = np.diag([2 / WIDE_SHAPE[1], 2 / WIDE_SHAPE[0]])
    matrices = []
    for random in randoms:
        angle = np.radians(random.normal(0, variation.degrees))
        scale = np.exp(random.uniform(-variation.scale, variation.scale))
        flip = np.diag(
            [
                -1.0 if random.random() < 0.5 and variation.flip_columns else 1.0,
                -1.0 if random.random() < 0.5 and variation.flip_rows else 1.0,
            ]
        )
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = random.normal(0, variation.shift_mm, 2) / CROP_PIXEL_SIZE_MM
        matrices.append(np.column_stack([from_pixels @ turn @ flip @ to_pixels, from_pixels @ shift]))
    theta = torch.from_numpy(np.stack(matrices)).float()
    grid = F.affine_grid(theta, [len(wide), 2, rows, columns], align_corners=False)
    return F.grid_sample(wide, grid, align_corners=False)


def _as_acquired_elsewhere(image: Tensor, variation: Variation, randoms: Sequence[np.random.Generator]) -> Tensor:
    """Vary reference signal, contrast, coil bias, sharpness and noise of crops, shape (batch, 1, rows, columns)."""
    factor = _column([np.exp(r.uniform(-variation.reference, variation.reference)) for r in randoms])
    exponent = _column([np.exp(r.uniform(-variation.gamma, variation.gamma)) for r in randoms])
    image = (image * factor).clamp_min(0.0) ** exponent
    down, along = torch.meshgrid(
        torch.linspace(-1, 1, image.shape[2]), torch.linspace(-1, 1, image.shape[3]), indexing="ij"
    )
    terms = torch.stack([down, along, down * along, along**2])
    bias = torch.tensor(np.stack([r.normal(0, variation.bias, len(terms)) for r in randoms]), dtype=torch.float32)
    image = image * (1 + torch.einsum("bt,trc->brc", bias, terms)[:, None])
    blurs = [r.uniform(0, variation.largest_blur_px) if r.random() < variation.blur_share else 0.0 for r in randoms]
    image = torch.cat([_blurred(one[None], sigma) for one, sigma in zip(image, blurs, strict=True)])
    noises = [r.uniform(0, variation.largest_noise) if r.random() < variation.noise_share else 0.0 for r in randoms]
    noisy = [index for index, noise in enumerate(noises) if noise > 0]
    for index in noisy:
        noise = torch.from_numpy(randoms[index].standard_normal(image.shape[1:], dtype=np.float32))
        image[index] += noises[index] * noise
    return image


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """Blur an image, shape (1, 1, rows, columns), by a Gaussian of `sigma` pixels."""
    if sigma < 0.3:
        return image
    reach = int(np.ceil(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    image = F.conv2d(F.pad(image, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None])
    return F.conv2d(F.pad(image, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None, :])
