"""Grading goes on where a graphics card gives up: once more on the CPU, and the result says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .device import DeviceError
from .result import DiscGrade, GradingResult

if TYPE_CHECKING:
    from .disc_search import FoundDisc
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


def run_or_fall_back(
    grader_on: Callable[[str], DiscGrader], device: str, work: Callable[[DiscGrader], T]
) -> tuple[T, str | None]:
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
        What `work` returned.
    problem : str or None
        What was wrong with the card, None where it ran as asked.
    """
    try:
        return work(grader_on(device)), None
    except (RuntimeError, DeviceError) as error:
        problem = card_problem(error)
        if problem is None or device == "cpu":
            raise
    return work(grader_on("cpu")), problem


def grade_or_fall_back(
    grader_on: Callable[[str], DiscGrader], device: str, grade: Callable[[DiscGrader], GradingResult]
) -> GradingResult:
    """Grade a volume; the result's device and warnings tell when the CPU stepped in (see `run_or_fall_back`)."""
    result, problem = run_or_fall_back(grader_on, device, grade)
    if problem is None:
        return result
    note = f"The graphics card was not used ({problem}); the discs were graded on the CPU."
    return replace(result, device=f"cpu (the graphics card failed: {problem})", warnings=(*result.warnings, note))


def regrade_or_fall_back(
    grader_on: Callable[[str], DiscGrader], device: str, regrade: Callable[[DiscGrader], tuple[DiscGrade, ...]]
) -> tuple[DiscGrade, ...]:
    """Grade given masks; the discs' warnings tell when the CPU stepped in (see `run_or_fall_back`)."""
    discs, problem = run_or_fall_back(grader_on, device, regrade)
    return discs if problem is None else tuple(_on_cpu(disc, problem) for disc in discs)


def find_or_fall_back(
    grader_on: Callable[[str], DiscGrader], device: str, find: Callable[[DiscGrader], FoundDisc | None]
) -> FoundDisc | None:
    """Look again for a missed disc; its warnings tell when the CPU stepped in (see `run_or_fall_back`)."""
    found, problem = run_or_fall_back(grader_on, device, find)
    return found if found is None or problem is None else replace(found, disc=_on_cpu(found.disc, problem))


def _on_cpu(disc: DiscGrade, problem: str) -> DiscGrade:
    note = f"{disc.level}: graded on the CPU (the graphics card failed: {problem})."
    return replace(disc, warnings=(*disc.warnings, note))
