"""The networks: `UNet` segments the discs, `LevelLocator` looks for their levels, `SpineNet` grades them.

Models name them by class and parameters.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from .level_locator import LevelLocator
from .spinenet import SpineNet, SpineNetEnsemble
from .unet import UNet

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "UNet": UNet,
    "LevelLocator": LevelLocator,
    "SpineNet": SpineNet,
    "SpineNetEnsemble": SpineNetEnsemble,
}

__all__ = ["ARCHITECTURES", "LevelLocator", "SpineNet", "SpineNetEnsemble", "UNet", "build"]


def build(class_name: str, parameters: dict[str, Any]) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    class_name : str
        A key of `ARCHITECTURES`.
    parameters : dict
        Keyword arguments of the class.

    Raises
    ------
    ValueError
        If the class is unknown or does not take these parameters.
    """
    if class_name not in ARCHITECTURES:
        raise ValueError(f"Unknown network {class_name!r}; known are {', '.join(sorted(ARCHITECTURES))}.")
    try:
        return ARCHITECTURES[class_name](**parameters)
    except TypeError as error:
        raise ValueError(f"{class_name} cannot be built from {sorted(parameters)}: {error}.") from error
