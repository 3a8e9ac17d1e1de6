"""`LevelLocator`: where on the whole picture each disc level lies, and whether it is in view at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .unet import STEPS, DoubleConvolution

BLOCK = 2
"""Pixels along a side of the blocks that the network takes in as channels, and whose places it yields."""
LEAST_SIDE = 128
"""Rows and columns that a smaller picture is padded to, as in training: what is pooled depends on the size."""


class LevelLocator(nn.Module):
    """A small U-Net on a coarse picture, which it sees as a whole.

    For each level it yields a map of logits over positions and one logit for *not in view*; a softmax over all of them
    is the probability of each position and of the level's absence.

    Parameters
    ----------
    in_channels : int
        The picture and the maps of the segmentation network.
    levels : int
        Number of levels.
    base_width : int
        Channels of the first step; doubled at each of the following but the last.
    """

    def __init__(self, in_channels: int = 5, levels: int = 6, base_width: int = 16) -> None:
        super().__init__()
        widths = [base_width * 2**step for step in range(STEPS)]
        widths.append(widths[-1])
        self.blocks = nn.PixelUnshuffle(BLOCK)
        self.encoder = nn.ModuleList(
            DoubleConvolution(before, after)
            for before, after in zip([in_channels * BLOCK**2, *widths[:-2]], widths[:-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.connection = DoubleConvolution(widths[-2], widths[-1])
        self.decoder = nn.ModuleList(
            DoubleConvolution(widths[step + 1] + widths[step], widths[step]) for step in reversed(range(STEPS))
        )
        self.head = nn.Conv2d(base_width, levels, 1)
        self.absence = nn.Sequential(
            nn.Linear(2 * widths[-1], widths[-1]), nn.ReLU(inplace=True), nn.Linear(widths[-1], levels)
        )

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of positions and of absence.

        Parameters
        ----------
        picture : Tensor, shape (batch, in_channels, rows, columns)

        Returns
        -------
        Tensor, shape (batch, levels, block rows, block columns)
            One position for each block of pixels.
        Tensor, shape (batch, levels)
        """
        rows, columns = (-(-size // BLOCK) for size in picture.shape[-2:])
        features = self.blocks(F.pad(picture, (0, _missing(picture.shape[-1]), 0, _missing(picture.shape[-2]))))
        skipped = []
        for encode in self.encoder:
            features = encode(features)
            skipped.append(features)
            features = self.pool(features)
        features = self.connection(features)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        for decode in self.decoder:
            larger = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = decode(torch.cat([skipped.pop(), larger], dim=1))
        return self.head(features)[..., :rows, :columns], self.absence(pooled)


def _missing(size: int) -> int:
    """Return how many pixels a side lacks to be one that the network takes."""
    return max(LEAST_SIDE - size, -size % (BLOCK * 2**STEPS))
