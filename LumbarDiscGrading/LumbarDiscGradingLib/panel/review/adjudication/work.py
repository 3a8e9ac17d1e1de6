"""`AdjudicationWork`: two readings that disagree, on the adjudicator's desk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....annotation.errors import WorkflowError
from ....annotation.protocol import Task
from ....annotation.study.states import Disagreement
from ....annotation.work.adjudication import Adjudication
from ....annotation.work.session import ReaderSession, WorkItem
from ....imaging.volume import SagittalVolume
from ....pfirrmann import DISC_LABELS
from ..case.work import Work

REASON_MISSING = "reason still missing"
"""Kept with a decision until its reason is given, so that the decision is on the disk at once; it cannot be signed."""


class AdjudicationWork(Work):
    """An adjudication: each disagreement is settled by A, B or an own judgement, with a reason.

    Parameters
    ----------
    session : ReaderSession
    item : WorkItem
        Of the duty ``adjudicate``.

    Raises
    ------
    StudyError
        If this reader may not, there is nothing to settle, or files are damaged.
    """

    def __init__(self, session: ReaderSession, item: WorkItem) -> None:
        super().__init__(session, item)
        self.adjudication: Adjudication = session.open_adjudication(item.case, item.task)
        self.open_elsewhere = self.adjudication.open_elsewhere
        self._orientation: NDArray[np.uint8] | None = None
        protocol = session.study.protocol
        if item.task is Task.GRADES and protocol.graders_see_masks and Task.MASKS in protocol.tasks:
            self._orientation = session.finished_masks(item.case)

    @property
    def levels(self) -> tuple[str, ...]:
        """The disputed levels, head to feet."""
        return tuple(found.level for found in self.adjudication.disagreements)

    @property
    def can_decide(self) -> bool:
        """Whether anything may be decided."""
        return not self.adjudication.is_signed

    @property
    def can_draw(self) -> bool:
        """Whether own contours may be drawn."""
        return self.can_decide and self.item.task is Task.MASKS

    @property
    def case_scale_known(self) -> bool:
        """Whether lengths of the image are known, not only nominal."""
        return self.adjudication.case.scale_known

    @property
    def volume(self) -> SagittalVolume:
        """The image."""
        return self.adjudication.volume

    @property
    def masks(self) -> NDArray[np.uint8] | None:
        """What is settled of the disputed discs; for grades the finished masks where the protocol shows them."""
        settled = self.adjudication.masks
        if settled is None:
            return self._orientation
        decided = [DISC_LABELS[level] for level in self.levels if level in self.adjudication.decisions]
        return np.where(np.isin(settled, decided), settled, 0).astype(np.uint8)

    @property
    def slice_index(self) -> int:
        """The slice with most of the disputed discs on it, else the middle one."""
        values = [DISC_LABELS[level] for level in self.levels]
        drawn = [m for m in (self.adjudication.masks_a, self.adjudication.masks_b, self._orientation) if m is not None]
        areas = sum((np.isin(labels, values).sum(axis=(1, 2)) for labels in drawn), np.zeros(self.volume.slice_count))
        return int(np.argmax(areas)) if np.any(areas) else self.volume.middle_slice_index

    @property
    def is_signed(self) -> bool:
        """Whether the adjudication is signed."""
        return self.adjudication.is_signed

    @property
    def unsaved(self) -> bool:
        """Whether the last decision is not on the disk."""
        return self.adjudication.unsaved

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that need a decision or a reason."""
        return tuple(level for level in self.levels if not self.decision(level)[0] or not self.decision(level)[1])

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Disputed levels that are settled by an own contour in which nothing is drawn."""
        if self.item.task is not Task.MASKS or self.open_levels:
            return ()
        own = [level for level in self.levels if self.decision(level)[0] == "own"]
        return tuple(level for level in own if level not in self.drawn_levels)

    def disagreement(self, level: str) -> Disagreement:
        """Return in what A and B differ on a disc."""
        return next(found for found in self.adjudication.disagreements if found.level == level)

    def decision(self, level: str) -> tuple[str, str, int | None]:
        """Return choice, reason and own or accepted grade of a disc; empty where there is none."""
        decision = self.adjudication.decisions.get(level, {})
        reason = str(decision.get("reason", ""))
        return str(decision.get("choice", "")), "" if reason == REASON_MISSING else reason, decision.get("grade")

    def decide(
        self, level: str, choice: str, reason: str, grade: int | None = None, disc: NDArray[np.bool_] | None = None
    ) -> None:
        """Settle a disc; raises as `Adjudication.decide`. Without a reason it cannot be signed yet."""
        self.kept_elsewhere = ""
        self.adjudication.decide(level, choice, reason.strip() or REASON_MISSING, grade, disc, self.clock.lap())

    def give_reason(self, level: str, reason: str) -> None:
        """Change the reason of a decision; raises as `Adjudication.decide`."""
        choice, _, grade = self.decision(level)
        if choice:
            own = self.masks == DISC_LABELS[level] if self.item.task is Task.MASKS and choice == "own" else None
            self.decide(level, choice, reason, grade if choice == "own" else None, own)

    def save_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save each disputed disc that was drawn differently as an own decision; raises as `Adjudication.decide`."""
        before = self.masks
        assert before is not None
        for level in self.levels:
            disc = masks == DISC_LABELS[level]
            if not np.array_equal(disc, before == DISC_LABELS[level]):
                self.decide(level, "own", self.decision(level)[1], disc=disc)

    def save(self) -> None:
        """Save again what could not be saved."""
        self.adjudication.save()

    def save_elsewhere(self, folder: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder."""
        paths = self.adjudication.save_elsewhere(folder)
        self.kept_elsewhere = str(folder)
        return paths

    def sign(self, without: tuple[str, ...] = ()) -> None:
        """Sign the adjudication.

        Raises
        ------
        WorkflowError
            If a disc is not settled or has no reason.
        NotSavedError
            If it could not be saved.
        """
        missing = [level for level in self.levels if self.decision(level)[0] and not self.decision(level)[1]]
        if missing:
            raise WorkflowError(f"{', '.join(missing)} has no reason yet; give one, then sign.")
        self.adjudication.sign()

    def reopen(self, reason: str) -> None:
        """Take the signature back."""
        self.adjudication.reopen(reason)

    def keep_alive(self) -> None:
        """Tell other readers that the case is being looked at."""
        self.adjudication.keep_alive()

    def close(self, discard: bool = False) -> None:
        """Close the adjudication."""
        self.adjudication.close(discard)
