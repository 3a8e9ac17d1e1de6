"""Grading goes on where a graphics card gives up: once more on the CPU, and the result says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from .device import DeviceError
from .result import DiscGrade, GradingResult

if TYPE_CHECKING:
    from .grader import DiscGrader

T = TypeVar("T")
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


def run_or_fall_back(grader_on: Callable[[str], DiscGrader], device: str, work: Callable[[DiscGrader], T]) -> T:
    """Run a grader on a device; if the graphics card fails, once more on the CPU.

    Parameters
    ----------
    grader_on : callable
        Returns the grader of a device.
    device : str
    work : callable
        Is given the grader.

    Returns
    -------
    value
        What `work` returned; a result, or discs that were graded again, tell in their warnings when the CPU stepped in.
    """
    try:
        return work(grader_on(device))
    except (RuntimeError, DeviceError) as error:
        problem = card_problem(error)
        if problem is None or device == "cpu":
            raise
    return _with_card_note(work(grader_on("cpu")), problem)


def _with_card_note(value: Any, problem: str) -> Any:
    from .disc_search import FoundDisc  # loads scipy, which an open panel need not wait for

    if isinstance(value, GradingResult):
        note = f"The graphics card was not used ({problem}); the discs were graded on the CPU."
        return replace(value, device=f"cpu (the graphics card failed: {problem})", warnings=(*value.warnings, note))
    if isinstance(value, FoundDisc):
        return replace(value, disc=_with_card_note(value.disc, problem))
    if isinstance(value, tuple):
        return tuple(_with_card_note(disc, problem) for disc in value)
    if isinstance(value, DiscGrade):
        note = f"{value.level}: graded on the CPU (the graphics card failed: {problem})."
        return replace(value, warnings=(*value.warnings, note))
    return value
