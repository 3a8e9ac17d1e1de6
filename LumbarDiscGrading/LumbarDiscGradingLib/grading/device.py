"""Which device the networks run on, checked by running something on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    import torch


class DeviceError(UserError):
    """The device asked for cannot be used; the message is one sentence for the user.

    Parameters
    ----------
    message : str
    reason : str
        What is wrong with it, as torch says; empty where it is no device at all.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


def choose_device(name: str = "auto") -> tuple[torch.device, str]:
    """Return a device that works, and how it is called in the result.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. ``auto`` takes a CUDA device if the installed torch can run
        on it, else the CPU.

    Raises
    ------
    DeviceError
        If `name` is not a device, or is one that is not there or does not work.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            problem = device_problem(torch.device("cuda"))
            if problem is None:
                return torch.device("cuda"), f"cuda ({torch.cuda.get_device_name()})"
            return torch.device("cpu"), f"cpu (the CUDA device was not used: {problem})"
        return torch.device("cpu"), "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device; use auto, cpu, cuda, cuda:N or mps.") from error
    problem = device_problem(device)
    if problem is not None:
        raise DeviceError(f"The device {name} cannot be used ({problem}); use --device auto or cpu.", problem)
    return device, name


GIGABYTE = 1024**3

ALWAYS_THERE = (("auto", "Automatic"), ("cpu", "CPU"))
"""Devices that can be offered before torch is loaded: name for `choose_device`, text for the user."""


def available_devices() -> tuple[tuple[str, str], ...]:
    """Return name and text of each device of this computer, cards with their free memory."""
    import torch

    cards = []
    for index in range(cuda_device_count()):
        free, _ = torch.cuda.mem_get_info(index)
        cards.append((f"cuda:{index}", f"{torch.cuda.get_device_name(index)} ({free / GIGABYTE:.1f} GB free)"))
    if torch.backends.mps.is_available():
        cards.append(("mps", "Apple graphics processor"))
    return (ALWAYS_THERE[0], *cards, ALWAYS_THERE[1])


def cuda_device_count() -> int:
    """Return how many CUDA devices there are; nothing is put on one for it."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_problem(device: torch.device) -> str | None:
    """Run one small convolution, and return what is wrong: the installed torch may have no kernels for a card."""
    import torch

    try:
        torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4, device=device), torch.ones(1, 1, 3, 3, device=device)).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return None
