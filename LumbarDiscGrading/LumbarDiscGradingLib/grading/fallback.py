"""Grading goes on where a graphics card gives up: once more on the CPU, and the result says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .device import DeviceError
from .result import DiscGrade, GradingResult

CARD_PROBLEMS = ("out of memory", "CUDA error", "no kernel image", "cuDNN", "CUBLAS", "MPS backend")
"""Parts of the messages by which torch says that it is the card, not the image, that does not work."""


def card_problem(error: BaseException) -> str | None:
    """Return in words what is wrong with the graphics card, None where the error is another one."""
    if isinstance(error, DeviceError):
        return error.reason or None
    text = str(error)
    if not isinstance(error, RuntimeError) or not any(part.lower() in text.lower() for part in CARD_PROBLEMS):
        return None
    return "it ran out of memory" if "out of memory" in text.lower() else text.splitlines()[0]


def with_card_note(value: Any, problem: str) -> Any:
    """Return what a grader made on the CPU with the note that the graphics card was not used, and why.

    Parameters
    ----------
    value : GradingResult, tuple of DiscGrade, FoundDisc or another
        Grades tell it in their warnings, a result in its device too; anything else stays as it is.
    problem : str
        As `card_problem` returns it.
    """
    from .disc_search import FoundDisc  # loads scipy, which an open panel need not wait for

    if isinstance(value, GradingResult):
        note = f"The graphics card was not used ({problem}); the discs were graded on the CPU."
        return replace(value, device=f"cpu (the graphics card failed: {problem})", warnings=(*value.warnings, note))
    if isinstance(value, FoundDisc):
        return replace(value, disc=with_card_note(value.disc, problem))
    if isinstance(value, tuple):
        return tuple(with_card_note(disc, problem) for disc in value)
    if isinstance(value, DiscGrade):
        note = f"{value.level}: graded on the CPU (the graphics card failed: {problem})."
        return replace(value, warnings=(*value.warnings, note))
    return value
