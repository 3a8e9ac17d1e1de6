"""Grading goes on where a graphics card gives up: once more on the CPU, and the result says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .result import GradingResult

if TYPE_CHECKING:
    from .grader import DiscGrader

CARD_PROBLEMS = ("out of memory", "CUDA error", "no kernel image", "cuDNN", "CUBLAS", "MPS backend")
"""Parts of the messages by which torch says that it is the card, not the image, that does not work."""


def card_problem(error: BaseException) -> str | None:
    """Return in words what is wrong with the graphics card, None where the error is another one."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not any(part.lower() in text.lower() for part in CARD_PROBLEMS):
        return None
    return "it ran out of memory" if "out of memory" in text.lower() else text.splitlines()[0]


def grade_or_fall_back(
    grader_on: Callable[[str], DiscGrader], device: str, grade: Callable[[DiscGrader], GradingResult]
) -> GradingResult:
    """Grade on a device; if the graphics card fails, once more on the CPU.

    Parameters
    ----------
    grader_on : callable
        Returns the grader of a device.
    device : str
    grade : callable
        Runs a grader.

    Returns
    -------
    GradingResult
        Its `device` and warnings tell when the CPU stepped in.
    """
    try:
        return grade(grader_on(device))
    except RuntimeError as error:
        problem = card_problem(error)
        if problem is None or device == "cpu":
            raise
    result = grade(grader_on("cpu"))
    note = f"The graphics card was not used ({problem}); the discs were graded on the CPU."
    return replace(result, device=f"cpu (the graphics card failed: {problem})", warnings=(*result.warnings, note))
