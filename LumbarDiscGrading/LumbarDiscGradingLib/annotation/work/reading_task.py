"""`ReadingTask`: one task of a case that is read, its grades or its masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ..disc_grading import DiscGrading
from ..protocol import Task
from .case_at_hand import CaseAtHand
from .saved_reading import OpenCase
from .seat import ReaderSeat


class ReadingTask(CaseAtHand):
    """A case to be read, opened for one of its tasks; who reads both may draw and grade at once.

    Attributes
    ----------
    case : OpenCase
        Takes the grades and masks, and saves them.
    task : Task
    """

    def __init__(self, session: ReaderSeat, case: OpenCase, task: Task) -> None:
        self.session, self.case, self.task = session, case, task
        self.recovered = task in case.recovered
        self.problem = case.problem
        self.open_elsewhere = case.open_elsewhere
        shown = Task.MASKS not in case.tasks and session.study.protocol.graders_see_masks
        self._finished = session.finished_masks(case.case.id) if shown else None

    @property
    def can_grade(self) -> bool:
        """Whether grades may be given."""
        return Task.GRADES in self.case.tasks and not self.case.is_signed(Task.GRADES)

    @property
    def can_draw(self) -> bool:
        """Whether masks may be drawn."""
        return Task.MASKS in self.case.tasks and not self.case.is_signed(Task.MASKS)

    @property
    def can_prefill(self) -> bool:
        """Whether a model may draw the first masks."""
        empty = self.case.masks is None or not self.case.masks.any()
        return self.can_draw and empty and self.session.study.protocol.model_prefill

    @property
    def volume(self) -> SagittalVolume:
        """The image."""
        return self.case.volume

    @property
    def masks(self) -> NDArray[np.uint8] | None:
        """Own masks; for a grader the finished ones where the protocol shows them."""
        if Task.MASKS not in self.case.tasks:
            return self._finished
        return self.case.masks if self.case.masks is not None else np.zeros(self.volume.voxels.shape, np.uint8)

    @property
    def slice_index(self) -> int:
        """The slice that the reader chose, else the middle one."""
        return self.volume.middle_slice_index if self.case.slice_index is None else self.case.slice_index

    @property
    def is_signed(self) -> bool:
        """Whether this task is signed."""
        return self.case.is_signed(self.task)

    @property
    def has_unsaved(self) -> bool:
        """Whether something of either task is not on the disk."""
        return bool(self.case.unsaved)

    @property
    def kept_elsewhere(self) -> str:
        """Folder into which everything that is not saved was written; empty while that is not so."""
        return self.case.kept_elsewhere

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that have no grade, or no mask, yet."""
        return self.case.missing_levels(self.task)

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Levels that have no mask while others have one."""
        return self.open_levels if self.task is Task.MASKS and self.drawn_levels else ()

    def disc(self, level: str) -> DiscGrading:
        """Return what the reader said of a disc."""
        return self.case.discs.get(level) or DiscGrading(level)

    def set_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save what is drawn; raises as `OpenCase.set_masks`."""
        self.case.set_masks(masks)

    def rename(self, moved: Mapping[str, str], masks: NDArray[np.uint8]) -> None:
        """Save masks whose levels have been moved; own grades move along where the new level is read."""
        self.case.set_masks(masks)
        if self.can_grade:
            before = dict(self.case.discs)
            read = self.session.study.protocol.levels
            for level in {level for pair in moved.items() for level in pair if level in read}:
                former = next((old for old, new in moved.items() if new == level), None)
                if former is not None or level in before:
                    self.case.judge(replace(before.get(former or "") or DiscGrading(level), level=level))

    def choose_slice(self, slice_index: int) -> None:
        """Remember the slice that the reader chose."""
        if not self.is_signed:
            self.case.choose_slice(slice_index)

    def save(self) -> None:
        """Save again what could not be saved."""
        for task in tuple(self.case.unsaved):
            self.case.save(task)

    def save_over(self) -> None:
        """Save over what another window of the same reader saved."""
        for task in tuple(self.case.unsaved):
            self.case.save(task, overwrite=True)

    def take_saved(self) -> None:
        """Throw away what is here and take what another window of the same reader saved."""
        for task in tuple(self.case.unsaved):
            self.case.reload(task)

    def save_elsewhere(self, folder: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder; raises as `OpenCase.save_elsewhere`."""
        return self.case.save_elsewhere(folder)

    def sign(self, without: Collection[str] = ()) -> None:
        """Sign the task; raises as `OpenCase.sign`."""
        self.case.sign(self.task, without)

    def reopen(self, reason: str) -> None:
        """Take the signature back; raises as `OpenCase.reopen`."""
        self.case.reopen(self.task, reason)

    def keep_alive(self) -> None:
        """Tell other readers that the case is being read."""
        self.case.keep_alive()

    def close(self, discard: bool = False) -> None:
        """Close the case; raises as `OpenCase.close`."""
        self.case.close(discard)
