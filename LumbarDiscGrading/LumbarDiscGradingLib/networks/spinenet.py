"""SpineNet as the study describes it: VGG11 with fewer convolutions and channel attention on the high-level features.

It shares only its name with the SpineNet of the University of Oxford.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: each channel is weighted by a gate computed from all channels' means.

    After Hu et al., Squeeze-and-Excitation Networks, CVPR 2018.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, max(channels // reduction, 4), 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(max(channels // reduction, 4), channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, shape (batch, channels, rows, columns), weighted by channel."""
        return features * self.gate(features)


class SpineNet(nn.Module):
    """VGG-like classifier of one disc crop, with channel attention before pooling.

    Parameters
    ----------
    in_channels : int
        1 for the image, or image times mask (as in the study); 2 for image and mask side by side.
    outputs : int
        3 for the groups mild, moderate, serious; 5 for the Pfirrmann grades I to V, from which the groups follow.
    widths : sequence of int
        Channels of each stage; a stage is one 3 x 3 convolution followed by 2 x 2 max pooling. VGG11's are
        64, 128, 256, 256, 512, 512, 512, 512 with pooling after the 1st, 2nd, 4th, 6th and 8th; five stages of one
        convolution each are VGG11 with fewer convolutions.
    attention : bool
        Whether the channel attention is there.
    dropout : float
        Probability before the last linear layer.
    input_pooling : int
        Side of the squares of pixels that are averaged before the first stage; 1 takes the crops as they are.
    """

    def __init__(
        self,
        in_channels: int = 2,
        outputs: int = 5,
        widths: tuple[int, ...] | list[int] = (16, 32, 64, 128, 256),
        attention: bool = True,
        dropout: float = 0.3,
        input_pooling: int = 1,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = in_channels
        for width in widths:
            stages += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
            before = width
        self.reduce = nn.AvgPool2d(input_pooling) if input_pooling > 1 else nn.Identity()
        self.features = nn.Sequential(*stages)
        self.attention = ChannelAttention(before) if attention else nn.Identity()
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(before, outputs)
        )

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        crops : Tensor, shape (batch, in_channels, 128, 256)

        Returns
        -------
        Tensor, shape (batch, outputs)
        """
        return self.classifier(self.attention(self.features(self.reduce(crops))))


class SpineNetEnsemble(nn.Module):
    """Several SpineNets trained apart, whose probabilities are averaged (geometric mean).

    After Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep ensembles, NeurIPS
    2017.

    Parameters
    ----------
    members : int
    **parameters
        Of each `SpineNet`.
    """

    def __init__(self, members: int, **parameters: Any) -> None:
        super().__init__()
        self.members = nn.ModuleList([SpineNet(**parameters) for _ in range(members)])

    def forward(self, crops: Tensor) -> Tensor:
        """Return the mean of the members' log-probabilities; shapes as in `SpineNet`."""
        return torch.stack([member(crops).log_softmax(1) for member in self.members]).mean(0)
