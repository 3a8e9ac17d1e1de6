"""`Adjudication`: two readings that disagree, settled disc by disc without knowing whose they are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...pfirrmann import DISC_LABELS, GRADES
from ..disc_grading import NOT_ASSESSABLE
from ..errors import WorkflowError
from ..log.events import required_reason
from ..log.history import DecisionRecord
from ..protocol import AdjudicationRule, Role, Task
from ..study.assignment import draw
from ..study.states import CaseState, Disagreement, SignedReading
from .decisions import Decision, Decisions, decision_of, with_disc
from .seat import ReaderSeat

REASON_MISSING = "reason still missing"
"""Kept with a decision until its reason is given, so that the decision is on the disk at once; it cannot be signed."""


class Adjudication(Decisions):
    """Two readings that disagree, shown as A and B; only the disagreements are to be decided.

    Attributes
    ----------
    disagreements : tuple of Disagreement
        As seen from A to B.
    masks_a, masks_b : ndarray of uint8 or None
        Masks of both readings in canonical order; None for grades.
    """

    saved_kind, signed_kind = "adjudication saved", "adjudicated"

    def __init__(self, session: ReaderSeat, case_id: str, task: Task) -> None:
        name, states = session.reader.id, session.states
        if session.study.protocol.adjudication is AdjudicationRule.LEAVE_OUT:
            raise WorkflowError("The protocol leaves disagreements out of the reference; there is no adjudication.")
        if Role.ADJUDICATOR not in session.reader.roles or name in states.readers_of(case_id, task):
            raise WorkflowError(f"{name} may not adjudicate case {case_id}; another adjudicator does.")
        state = states.state(case_id, task)
        other = states.adjudication(case_id, task)
        if state not in (CaseState.DISCORDANT, CaseState.ADJUDICATED) or (other and other[0] != name):
            raise WorkflowError(f"The {task.value} of case {case_id} are {state.value}: nothing to adjudicate.")
        readings = states.signed_readings(case_id, task)
        super().__init__(session, case_id, task, tuple(reading.sha256 for reading in readings))
        self._swapped = draw(session.study.protocol.order_seed, "sides", task.value, case_id, name) < 0.5
        self._readings: tuple[SignedReading, ...] = readings[::-1] if self._swapped else readings
        self.disagreements = tuple(
            Disagreement(d.level, d.reason, d.second, d.first, d.overlap) if self._swapped else d
            for d in states.disagreements(case_id, task)
        )
        self.masks_a: NDArray[np.uint8] | None = None
        self.masks_b: NDArray[np.uint8] | None = None
        self._own: NDArray[np.uint8] | None = None
        if task is Task.MASKS:
            self.masks_a, self.masks_b = (session.study.masks(r.path, case_id, r.sha256).voxels for r in self._readings)
            if self._sha256:
                self._own = session.study.masks(self._path(), case_id, self._sha256).voxels
        protocol = session.study.protocol
        shown = task is Task.GRADES and protocol.graders_see_masks and Task.MASKS in protocol.tasks
        self._orientation = session.finished_masks(case_id) if shown else None

    @property
    def levels(self) -> tuple[str, ...]:
        """The disputed levels, head to feet."""
        return tuple(found.level for found in self.disagreements)

    @property
    def masks(self) -> NDArray[np.uint8] | None:
        """What is settled of the disputed discs, canonical order; for grades finished masks if the protocol says so."""
        if self.task is not Task.MASKS:
            return self._orientation
        decided = [DISC_LABELS[level] for level in self.levels if level in self.decisions]
        settled = self._settled()
        return np.where(np.isin(settled, decided), settled, 0).astype(np.uint8)

    @property
    def slice_index(self) -> int:
        """The slice with most of the disputed discs on it, else the middle one."""
        values = [DISC_LABELS[level] for level in self.levels]
        drawn = [labels for labels in (self.masks_a, self.masks_b, self._orientation) if labels is not None]
        areas = sum((np.isin(labels, values).sum(axis=(1, 2)) for labels in drawn), np.zeros(self.volume.slice_count))
        return int(np.argmax(areas)) if np.any(areas) else self.volume.middle_slice_index

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that need a decision or a reason."""
        return tuple(level for level in self.levels if not self.decision(level).reason)

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Disputed levels that are settled by an own contour in which nothing is drawn."""
        if self.task is not Task.MASKS or self.open_levels:
            return ()
        own = [level for level in self.levels if self.decision(level).choice == "own"]
        return tuple(level for level in own if level not in self.drawn_levels)

    def disagreement(self, level: str) -> Disagreement:
        """Return in what A and B differ on a disc."""
        return next(found for found in self.disagreements if found.level == level)

    def decision(self, level: str) -> Decision:
        """Return what was decided on a disc; without a reason while that is missing."""
        decision = super().decision(level)
        return decision._replace(reason="") if decision.reason == REASON_MISSING else decision

    def settle(
        self, level: str, choice: str, reason: str = "", grade: int | None = None, disc: NDArray[np.bool_] | None = None
    ) -> None:
        """Settle a disc whose reason may follow, as `decide` does; without one it cannot be signed yet."""
        self.decide(level, choice, reason.strip() or REASON_MISSING, grade, disc)

    def sign(self, without: Collection[str] = ()) -> None:
        """Sign the decisions; raises as `Decisions.sign`, and a WorkflowError if one has no reason."""
        missing = [level for level in self.open_levels if self.decision(level).choice]
        if missing:
            raise WorkflowError(f"{', '.join(missing)} has no reason yet; give one, then sign.")
        super().sign(without)

    def decide(
        self,
        level: str,
        choice: str,
        reason: str,
        grade: int | None = None,
        disc: NDArray[np.bool_] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Settle one disc.

        Parameters
        ----------
        choice : str
            ``A``, ``B`` or ``own``.
        reason : str
            Kept with the study.
        grade : int, optional
            Own Pfirrmann grade, 0 if the disc cannot be assessed.
        disc : ndarray of bool, shape (slices, rows, columns), optional
            Own contour in canonical order.

        Raises
        ------
        WorkflowError
            If the disc is not in dispute, no reason is given, an own decision lacks its grade or contour, or the
            adjudication is signed.
        NotSavedError
            If it could not be saved; the decision is kept here.
        """
        self._require_open()
        reason = required_reason(reason)
        if level not in self.levels or choice not in ("A", "B", "own"):
            raise WorkflowError(f"Choose A, B or own for one of {', '.join(self.levels)}.")
        decision = decision_of(choice, reason)
        if self.task is Task.GRADES:
            decision["grade"] = self._grade(level, choice, grade)
        else:
            self._own = with_disc(self._settled(), level, self._contour(level, choice, disc), self.volume)
            self._pending = self._own
        self._decide(level, decision, seconds)

    def _grade(self, level: str, choice: str, grade: int | None) -> int:
        if choice == "own":
            if grade not in (*GRADES, NOT_ASSESSABLE):
                raise WorkflowError("An own decision needs a grade of 1 to 5, or 0 for a disc that cannot be assessed.")
            return int(grade)
        disagreement = self.disagreement(level)
        chosen = disagreement.first if choice == "A" else disagreement.second
        return NOT_ASSESSABLE if chosen is None else chosen

    def _contour(self, level: str, choice: str, disc: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        if choice == "own":
            if disc is None:
                raise WorkflowError("An own decision needs a contour; draw the disc.")
            return disc
        masks = self.masks_a if choice == "A" else self.masks_b
        assert masks is not None
        return masks == DISC_LABELS[level]

    def _redraw(self, level: str, disc: NDArray[np.bool_]) -> None:
        if level in self.levels:
            self.settle(level, "own", self.decision(level).reason, disc=disc)

    def _settled(self) -> NDArray[np.uint8]:
        """Return what is decided, and the discs on which both agree as the protocol's first reader drew them."""
        if self._own is not None:
            return self._own
        labels = self.masks_b if self._swapped else self.masks_a
        assert labels is not None
        disputed = [DISC_LABELS[level] for level in self.levels]
        return np.where(np.isin(labels, disputed), 0, labels).astype(np.uint8)

    def _path(self) -> Path:
        return self.session.study.adjudication_path(self.session.reader.id, self.case.id)

    def _record(self) -> DecisionRecord | None:
        return self.session.history.adjudications.get((self.case.id, self.task))

    def _levels(self) -> tuple[str, ...]:
        return self.levels
