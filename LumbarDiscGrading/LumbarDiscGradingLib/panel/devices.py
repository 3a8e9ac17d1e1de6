"""The devices that the panel offers. Graphics cards are known only once torch is loaded, which opening must not do."""

from __future__ import annotations

GIGABYTE = 1024**3

ALWAYS_THERE = (("auto", "Automatic"), ("cpu", "CPU"))
"""Name for `DiscGrader`, text for the user."""


def find_devices() -> tuple[tuple[str, str], ...]:
    """Return name and text of each device, cards with their free memory; loads torch, so not for the main thread."""
    import torch

    cards = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, _ = torch.cuda.mem_get_info(index)
        cards.append((f"cuda:{index}", f"{torch.cuda.get_device_name(index)} ({free / GIGABYTE:.1f} GB free)"))
    if torch.backends.mps.is_available():
        cards.append(("mps", "Apple graphics processor"))
    return (ALWAYS_THERE[0], *cards, ALWAYS_THERE[1])
