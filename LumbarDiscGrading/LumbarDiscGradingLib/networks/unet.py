"""U-Net after Ronneberger et al., MICCAI 2015: four steps down, a connection layer, four steps up, skip connections."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 4


class DoubleConvolution(nn.Sequential):
    """Two 3 x 3 convolutions that keep the size, each followed by batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """U-Net on single sagittal slices.

    Parameters
    ----------
    in_channels : int
        Channels of the input image.
    out_channels : int
        Channels of the output logits: tissue classes, and whatever a model's manifest adds behind them.
    base_width : int
        Channels of the first step; doubled at each of the four steps down (64 in the original).
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 4, base_width: int = 16) -> None:
        super().__init__()
        widths = [base_width * 2**step for step in range(STEPS + 1)]
        self.encoder = nn.ModuleList(
            DoubleConvolution(before, after)
            for before, after in zip([in_channels, *widths[:-2]], widths[:-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.connection = DoubleConvolution(widths[-2], widths[-1])
        self.upsampling = nn.ModuleList(
            nn.ConvTranspose2d(widths[step + 1], widths[step], 2, stride=2) for step in reversed(range(STEPS))
        )
        self.decoder = nn.ModuleList(
            DoubleConvolution(2 * widths[step], widths[step]) for step in reversed(range(STEPS))
        )
        self.head = nn.Conv2d(base_width, out_channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        image : Tensor, shape (batch, in_channels, rows, columns)
            Rows and columns are multiples of 16.

        Returns
        -------
        Tensor, shape (batch, out_channels, rows, columns)
        """
        skipped = []
        features = image
        for encode in self.encoder:
            features = encode(features)
            skipped.append(features)
            features = self.pool(features)
        features = self.connection(features)
        for upsample, decode in zip(self.upsampling, self.decoder, strict=True):
            features = decode(torch.cat([skipped.pop(), upsample(features)], dim=1))
        return self.head(features)
