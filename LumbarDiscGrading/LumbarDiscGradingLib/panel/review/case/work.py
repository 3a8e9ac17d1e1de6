"""What lies on a reader's desk: a case to read or an annotator's masks to review, the same to the panel."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from slicer.i18n import tr as _

from ....annotation.disc_grading import DiscGrading
from ....annotation.errors import StudyError
from ....annotation.protocol import Task
from ....annotation.storage.segmentation_files import mask_levels
from ....annotation.work.peer_review import PeerReview
from ....annotation.work.reading_now import Mark
from ....annotation.work.saved_reading import OpenCase
from ....annotation.work.session import Duty, ReaderSession, WorkItem
from ....imaging.volume import SagittalVolume
from ....pfirrmann import DISC_LABELS, NOT_GRADED_COLOR, group_of_grade

AWAY_SECONDS = 120.0
"""A pause longer than this is no reading time; no more than this is counted of it."""


class Clock:
    """Measures reading time between a reader's actions."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Return the seconds of reading since the last call."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return min(seconds, AWAY_SECONDS)


class Work(ABC):
    """One opened item of the work list.

    Attributes
    ----------
    session : ReaderSession
    item : WorkItem
    recovered : bool
        Whether the program ended without closing it.
    open_elsewhere : Mark or None
        Another window in which the same reader had it open already.
    kept_elsewhere : str
        Folder into which everything that is not saved was written; empty while that is not so.
    """

    recovered = False
    problem = ""
    open_elsewhere: Mark | None = None

    def __init__(self, session: ReaderSession, item: WorkItem) -> None:
        self.session, self.item = session, item
        self.kept_elsewhere = ""
        self.clock = Clock()

    @property
    def can_grade(self) -> bool:
        """Whether grades may be given."""
        return False

    @property
    def can_draw(self) -> bool:
        """Whether contours may be drawn."""
        return False

    @property
    def can_decide(self) -> bool:
        """Whether discs may be accepted or decided."""
        return False

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that the protocol asks for, and others that have a disc, head to feet."""
        wanted = {*self.session.study.protocol.levels, *self.drawn_levels}
        return tuple(level for level in DISC_LABELS if level in wanted)

    @property
    @abstractmethod
    def volume(self) -> SagittalVolume:
        """The image."""

    @property
    @abstractmethod
    def masks(self) -> NDArray[np.uint8] | None:
        """The contours to be shown, canonical order; None where there are none to see and none to draw."""

    @property
    @abstractmethod
    def slice_index(self) -> int:
        """Canonical index of the slice to be shown first."""

    @property
    @abstractmethod
    def is_signed(self) -> bool:
        """Whether it is signed, so that nothing can be changed."""

    @property
    @abstractmethod
    def unsaved(self) -> bool:
        """Whether something is not on the disk."""

    @property
    @abstractmethod
    def open_levels(self) -> tuple[str, ...]:
        """Levels on which the reader has still to say something."""

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Levels without a contour that a signature would leave so, where everything else is ready to be signed."""
        return ()

    @abstractmethod
    def save_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save what is drawn."""

    def rename(self, moved: dict[str, str], masks: NDArray[np.uint8]) -> None:
        """Save masks whose levels have been moved, from the first to the second name."""
        self.save_masks(masks)

    @abstractmethod
    def save(self) -> None:
        """Save again what could not be saved."""

    @abstractmethod
    def save_elsewhere(self, folder: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder."""

    @abstractmethod
    def sign(self, without: tuple[str, ...] = ()) -> None:
        """Sign it; `without` are the empty levels that are meant to stay so."""

    @abstractmethod
    def reopen(self, reason: str) -> None:
        """Take the signature back."""

    @abstractmethod
    def keep_alive(self) -> None:
        """Tell other readers that the case is being read."""

    @abstractmethod
    def close(self, discard: bool = False) -> None:
        """Let go of it."""

    def choose_slice(self, slice_index: int) -> None:  # noqa: B027 - a review has no slice of its own
        """Remember the slice that the reader chose, where that is part of the reading."""

    def color(self, level: str) -> tuple[int, int, int]:
        """Return the RGB color, 0-255, in which the disc of a level is shown."""
        return NOT_GRADED_COLOR

    def plain(self, text: str) -> str:
        """Return a message without the name of the case where the reader is not to know it."""
        return plain(self.item, text)

    @property
    def drawn_levels(self) -> tuple[str, ...]:
        """Levels that have a contour, head to feet."""
        labels = self.masks
        return () if labels is None else mask_levels(labels)


class ReadingWork(Work):
    """A case that the reader reads."""

    def __init__(self, session: ReaderSession, item: WorkItem) -> None:
        super().__init__(session, item)
        self.case: OpenCase = session.open_case(item.case, item.round)
        self.recovered = item.task in self.case.recovered
        self.problem = self.case.problem
        self.open_elsewhere = self.case.open_elsewhere
        self._finished: NDArray[np.uint8] | None = None
        if Task.MASKS not in self.case.tasks and session.study.protocol.graders_see_masks:
            self._finished = session.finished_masks(item.case)

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
        """Whether this reading is signed."""
        return self.case.is_signed(self.item.task)

    @property
    def unsaved(self) -> bool:
        """Whether something is not on the disk."""
        return bool(self.case.unsaved)

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that have no grade, or no mask, yet."""
        return self.case.missing_levels(self.item.task)

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Levels that have no mask while others have one."""
        return self.open_levels if self.item.task is Task.MASKS and self.drawn_levels else ()

    def disc(self, level: str) -> DiscGrading:
        """Return what the reader said of a disc."""
        return self.case.discs.get(level) or DiscGrading(level)

    def grade(self, disc: DiscGrading) -> None:
        """Save what the reader says of a disc; raises as `OpenCase.grade`."""
        self.kept_elsewhere = ""
        self.case.grade(
            disc.level,
            disc.pfirrmann,
            assessable=disc.assessable,
            confidence=disc.confidence,
            comment=disc.comment,
            seconds=self.clock.lap(),
        )

    def color(self, level: str) -> tuple[int, int, int]:
        """Return the color of the group that the reader gave, purple before."""
        grade = self.disc(level).pfirrmann
        return NOT_GRADED_COLOR if grade is None else group_of_grade(grade).color

    def save_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save what is drawn; raises as `OpenCase.set_masks`."""
        self.kept_elsewhere = ""
        self.case.set_masks(masks, seconds=self.clock.lap())

    def prefill(self, masks: NDArray[np.uint8], model_sha256: str) -> None:
        """Start from a model's masks; raises as `OpenCase.prefill_masks`."""
        self.kept_elsewhere = ""
        self.case.prefill_masks(masks, model_sha256)

    def rename(self, moved: dict[str, str], masks: NDArray[np.uint8]) -> None:
        """Save masks whose levels have been moved; own grades move along where the new level is read."""
        self.save_masks(masks)
        if self.can_grade:
            before = dict(self.case.discs)
            read = self.session.study.protocol.levels
            for level in {level for pair in moved.items() for level in pair if level in read}:
                former = next((old for old, new in moved.items() if new == level), None)
                disc = before.get(former or "") or DiscGrading(level)
                if former is not None or level in before:
                    self.grade(DiscGrading(level, disc.pfirrmann, disc.assessable, disc.confidence, disc.comment))

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
        """Write what is here into another folder."""
        paths = self.case.save_elsewhere(folder)
        self.kept_elsewhere = str(folder)
        return paths

    def sign(self, without: tuple[str, ...] = ()) -> None:
        """Sign the task of the item; raises as `OpenCase.sign`."""
        self.case.sign(self.item.task, without)

    def reopen(self, reason: str) -> None:
        """Take the signature back."""
        self.case.reopen(self.item.task, reason)

    def keep_alive(self) -> None:
        """Tell other readers that the case is being read."""
        self.case.keep_alive()

    def close(self, discard: bool = False) -> None:
        """Close the case."""
        self.case.close(discard)


class ReviewWork(Work):
    """An annotator's signed masks under peer review."""

    def __init__(self, session: ReaderSession, item: WorkItem) -> None:
        super().__init__(session, item)
        self.review: PeerReview = session.open_review(item.case, item.target)
        self.open_elsewhere = self.review.open_elsewhere

    @property
    def can_draw(self) -> bool:
        """Whether contours may be corrected."""
        return not self.review.is_signed

    @property
    def can_decide(self) -> bool:
        """Whether discs may be accepted."""
        return not self.review.is_signed

    @property
    def volume(self) -> SagittalVolume:
        """The image."""
        return self.review.volume

    @property
    def masks(self) -> NDArray[np.uint8]:
        """The annotator's masks with the corrections made so far."""
        return self.review.masks

    @property
    def slice_index(self) -> int:
        """The middle slice, or where nothing is drawn there the one with the most drawn on it."""
        areas, middle = (self.review.masks > 0).sum(axis=(1, 2)), self.volume.middle_slice_index
        return middle if areas[middle] or not areas.any() else int(areas.argmax())

    @property
    def is_signed(self) -> bool:
        """Whether the review is signed."""
        return self.review.is_signed

    @property
    def unsaved(self) -> bool:
        """Whether the last decision is not on the disk."""
        return self.review.unsaved

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that still need a decision."""
        return self.review.undecided

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Levels of the protocol that neither the annotator nor the reviewer drew, or that the reviewer erased."""
        if self.open_levels:
            return ()
        return tuple(level for level in self.session.study.protocol.levels if level not in self.drawn_levels)

    def decision(self, level: str) -> tuple[str, str]:
        """Return what was decided on a disc, empty for nothing yet, and the comment."""
        decision = self.review.decisions.get(level, {})
        return str(decision.get("choice", "")), str(decision.get("reason", ""))

    def accept(self, level: str, comment: str) -> None:
        """Accept a contour; raises as `PeerReview.accept`."""
        self.kept_elsewhere = ""
        self.review.accept(level, comment, self.clock.lap())

    def comment(self, level: str, comment: str) -> None:
        """Change the comment of a decision."""
        self.kept_elsewhere = ""
        if self.decision(level)[0] == "accepted":
            self.review.accept(level, comment, self.clock.lap())
        elif self.decision(level)[0]:
            self.review.correct(level, self.masks == DISC_LABELS[level], comment, self.clock.lap())

    def save_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save each disc that was changed as a correction; raises as `PeerReview.correct`."""
        self.kept_elsewhere = ""
        before, problem = self.review.masks.copy(), None
        for level, value in DISC_LABELS.items():
            disc = masks == value
            if np.array_equal(disc, before == value):
                continue
            try:
                self.review.correct(level, disc, self.decision(level)[1], self.clock.lap())
            except StudyError as error:  # the next disc is kept, too
                problem = error
        if problem is not None:
            raise problem

    def save(self) -> None:
        """Save again what could not be saved."""
        self.review.save()

    def save_elsewhere(self, folder: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder."""
        paths = self.review.save_elsewhere(folder)
        self.kept_elsewhere = str(folder)
        return paths

    def sign(self, without: tuple[str, ...] = ()) -> None:
        """Sign the review."""
        self.review.sign()

    def reopen(self, reason: str) -> None:
        """Take the signature back."""
        self.review.reopen(reason)

    def keep_alive(self) -> None:
        """Tell other readers that the case is being looked at."""
        self.review.keep_alive()

    def close(self, discard: bool = False) -> None:
        """Close the review."""
        self.review.close(discard)


def open_work(session: ReaderSession, item: WorkItem) -> Work:
    """Open an item to be read or reviewed.

    Raises
    ------
    StudyError
        If this reader may not, or its files are damaged.
    """
    return ReviewWork(session, item) if item.duty is Duty.REVIEW else ReadingWork(session, item)


def elsewhere_sentence(mark: Mark) -> str:
    """Return what to tell a reader who has the same case open in another window."""
    text = _("This case is open in another window of yours{since}; neither sees what the other saves: close one.")
    opened = datetime.fromisoformat(mark.since).astimezone() if mark.since else None
    return text.format(since=_(" since {time}").format(time=f"{opened:%H:%M}") if opened else "")


def plain(item: WorkItem, text: str) -> str:
    """Return a message about an item that names it by its title only: where cases repeat, their names are hidden."""
    if item.title == item.case:
        return text
    return text.replace(f"case {item.case}", item.title).replace(item.case, item.title)
