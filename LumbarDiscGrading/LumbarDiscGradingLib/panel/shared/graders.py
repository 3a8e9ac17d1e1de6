"""`Graders`: networks loaded once and kept, for the panel's worker threads and for scripts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...grading.device import DeviceError
from ...grading.fallback import card_problem, with_card_note

if TYPE_CHECKING:
    from ...grading.grader import DiscGrader

T = TypeVar("T")


def _leave_removed_folder() -> None:
    """Go to the home folder if the working folder is no more (after a broken scene bundle): torch would end Slicer."""
    try:
        os.getcwd()
    except FileNotFoundError:
        os.chdir(Path.home())


class Graders:
    """Graders by device and models. Safe to be asked from several threads; one of them computes at a time."""

    def __init__(self) -> None:
        self._graders: dict[tuple[str, str, str], DiscGrader] = {}
        self._loading, self._computing = threading.Lock(), threading.Lock()

    def grader(self, device: str, segmentation_model: str = "", grading_model: str = "") -> DiscGrader:
        """Return the grader of a device and two models (names; empty for the built-in defaults), loaded if need be.

        Raises
        ------
        DeviceError, ModelError
            If the device or a model cannot be used.
        """
        key = device, segmentation_model, grading_model
        with self._loading:
            _leave_removed_folder()
            if key not in self._graders:
                from ...grading.grader import DiscGrader

                self._graders[key] = DiscGrader(device, segmentation_model or None, grading_model or None)
            return self._graders[key]

    def forget(self) -> None:
        """Load networks anew from now on: a model was installed, perhaps over one of the same name."""
        with self._loading:
            self._graders.clear()

    def run(
        self, work: Callable[[DiscGrader], T], device: str, segmentation_model: str = "", grading_model: str = ""
    ) -> T:
        """Return what `work` makes with a grader; if the graphics card fails, once more on the CPU.

        A result, or discs that were graded again, tell in their warnings that the CPU stepped in.
        """
        with self._computing:
            try:
                return work(self.grader(device, segmentation_model, grading_model))
            except (RuntimeError, DeviceError) as error:
                problem = card_problem(error)
                if problem is None or device == "cpu":
                    raise
            return with_card_note(work(self.grader("cpu", segmentation_model, grading_model)), problem)
