"""`Decisions`: what a second pair of eyes decides on a case, disc by disc; saved one by one, signed at the end."""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ...pfirrmann import DISC_LABELS
from ..errors import NotSavedError, StudyError, WorkflowError
from ..log.events import Event, required_reason
from ..log.history import DecisionRecord
from ..protocol import Task
from ..storage.durable_files import make_folder, write_durable
from ..storage.segmentation_files import fitting_labels, segmentation_bytes
from ..study.states import CaseState
from .case_at_hand import CaseAtHand
from .comparison_log import log_comparisons
from .opened_case import OpenedCase
from .seat import ReaderSeat


class Decision(NamedTuple):
    """What was decided on a disc: empty texts where nothing was, `grade` where grades are adjudicated."""

    choice: str = ""
    reason: str = ""
    grade: int | None = None


class Decisions(OpenedCase, CaseAtHand):
    """Decisions on a case, saved one by one and signed at the end.

    Attributes
    ----------
    decisions : dict
        By level: ``choice``, and ``grade`` and ``reason`` where there are.
    unsaved : bool
        Whether the last decision is not on the disk yet.
    """

    saved_kind, signed_kind = "", ""

    def __init__(self, session: ReaderSeat, case_id: str, task: Task, against: tuple[str, ...]) -> None:
        super().__init__(session, case_id)
        self.task = task
        self.unsaved = False
        self._against = against
        record = self._record()
        fits = record is not None and record.against == against
        self.decisions: dict[str, dict[str, Any]] = dict(record.decisions) if record and fits else {}
        self._sha256 = record.sha256 if record and fits else None
        self._seconds = record.seconds if record else 0.0
        self._pending: NDArray[np.uint8] | None = None
        self.keep_alive()

    @property
    def is_signed(self) -> bool:
        """Whether the decisions are signed."""
        record = self._record()
        return bool(record and record.signed and record.against == self._against)

    @property
    def has_unsaved(self) -> bool:
        """Whether the last decision is not on the disk yet."""
        return self.unsaved

    @property
    def can_decide(self) -> bool:
        """Whether anything may be decided."""
        return not self.is_signed

    @property
    def can_draw(self) -> bool:
        """Whether own contours may be drawn."""
        return self.can_decide and self.task is Task.MASKS

    @property
    def undecided(self) -> tuple[str, ...]:
        """Levels that still need a decision."""
        return tuple(level for level in self._levels() if level not in self.decisions)

    def decision(self, level: str) -> Decision:
        """Return what was decided on a disc."""
        decision = self.decisions.get(level, {})
        return Decision(decision.get("choice", ""), decision.get("reason", ""), decision.get("grade"))

    def give_reason(self, level: str, reason: str) -> None:
        """Change the reason of a decision, if there is one, and save.

        Raises
        ------
        WorkflowError
            If the decisions are signed.
        NotSavedError
            If it could not be saved; it is kept here.
        """
        decision = self.decision(level)
        if decision.choice:
            grade = {} if decision.grade is None else {"grade": decision.grade}
            self._decide(level, {**decision_of(decision.choice, reason), **grade})

    def set_masks(self, masks: NDArray[np.uint8]) -> None:
        """Decide each disc that is drawn in another way than before as it is drawn now, and save.

        Raises
        ------
        StudyError
            If one of them could not be decided or saved; the others are kept, too.
        """
        assert self.masks is not None
        before, problem = self.masks.copy(), None
        for level, value in DISC_LABELS.items():
            disc = masks == value
            if np.array_equal(disc, before == value):
                continue
            try:
                self._redraw(level, disc)
            except StudyError as error:
                problem = error
        if problem is not None:
            raise problem

    def sign(self, without: Collection[str] = ()) -> None:
        """Sign the decisions; those on discs that are to stay empty have been made like others.

        Raises
        ------
        WorkflowError
            If a disc is not decided, or they are signed already.
        NotSavedError
            If it could not be saved.
        """
        self._require_open()
        if self.undecided:
            raise WorkflowError(f"{', '.join(self.undecided)} is not decided yet; decide each disc, then sign.")
        self._before_signing()
        self._log(self.signed_kind)
        if self.task is Task.MASKS:
            with contextlib.suppress(StudyError):
                log_comparisons(self.session, self.case.id)

    def reopen(self, reason: str) -> None:
        """Take the signature back.

        Raises
        ------
        WorkflowError
            If no reason is given, it is not signed, or the case is locked.
        """
        reason = required_reason(reason)
        if not self.is_signed:
            raise WorkflowError("This is not signed; go on with it.")
        if self.session.states.state(self.case.id, self.task) is CaseState.LOCKED:
            raise WorkflowError(f"The {self.task.value} of case {self.case.id} are locked; unlock them first.")
        self._log(self.saved_kind, reason=reason)

    def save(self) -> None:
        """Save the decisions made so far; called after each of them.

        Raises
        ------
        NotSavedError
            If it could not be saved; the decisions are kept here.
        """
        self.unsaved = True
        self._write_pending()
        self._log(self.saved_kind)
        self.unsaved = False

    def save_elsewhere(self, elsewhere: Path | str) -> tuple[Path, ...]:
        """Write decisions and contours into another folder, for the day when the study cannot be written.

        Returns
        -------
        tuple of Path
            ``decisions.json``, and the masks where there are own ones.

        Raises
        ------
        NotSavedError
            If that folder cannot be written either.
        """
        folder = self._folder_elsewhere(elsewhere)
        paths = [folder / "decisions.json"]
        content = {"task": self.task.value, "against": list(self._against), "decisions": self.decisions}
        write_durable(paths[0], json.dumps(content, indent=1).encode("utf-8"))
        if self._pending is not None:
            paths.append(folder / self._path().name)
            write_durable(paths[1], self._mask_bytes(self._pending))
        self.kept_elsewhere = str(elsewhere)
        return tuple(paths)

    def close(self, discard: bool = False) -> None:
        """Close the case.

        Raises
        ------
        NotSavedError
            If something is not saved and not to be discarded; nothing is closed then.
        """
        if self.unsaved and not discard:
            raise NotSavedError(f"The last decision on case {self.case.id} is not saved; save it, here or elsewhere.")
        self._release()

    def _decide(self, level: str, decision: dict[str, Any], seconds: float | None = None) -> None:
        self._require_open()
        if level not in self._levels():
            raise WorkflowError(f"{level} is not to be decided here; the discs are {', '.join(self._levels())}.")
        self.decisions[level] = decision
        self._seconds += self._time_spent(seconds)
        self.kept_elsewhere = ""
        self.save()

    def _write_pending(self) -> None:
        """Write own contours that are not on the disk yet."""
        if self._pending is None:
            return
        content, path = self._mask_bytes(self._pending), self.session.study.safe(self._path())
        make_folder(path.parent)
        write_durable(path, content)
        self._sha256, self._pending = hashlib.sha256(content).hexdigest(), None

    def _mask_bytes(self, labels: NDArray[np.uint8]) -> bytes:
        volume, tags = self.volume, {"Reader": self.session.reader.id}
        return segmentation_bytes(volume.to_stored(labels), volume.stored_index_to_lps, tags=tags)

    def _log(self, kind: str, **more: Any) -> None:
        event: Event = {"kind": kind, "case": self.case.id, "task": self.task.value, **self._about(), **more}
        event |= {"against": list(self._against), "decisions": self.decisions, "sha256": self._sha256}
        self.session.log({**event, "seconds": round(self._seconds, 1)})

    def _require_open(self) -> None:
        if self.is_signed:
            raise WorkflowError("This is signed; reopen it with a reason first.")

    @abstractmethod
    def _record(self) -> DecisionRecord | None: ...

    @abstractmethod
    def _levels(self) -> tuple[str, ...]: ...

    @abstractmethod
    def _redraw(self, level: str, disc: NDArray[np.bool_]) -> None: ...

    @abstractmethod
    def _path(self) -> Path: ...

    def _about(self) -> Event:
        return {}

    def _before_signing(self) -> None:
        """Write what belongs to the signature."""


def decision_of(choice: str, reason: str) -> dict[str, Any]:
    """Return a decision as events hold it."""
    text = reason.strip()
    return {"choice": choice, **({"reason": required_reason(text)} if text else {})}


def with_disc(
    labels: NDArray[np.uint8], level: str, disc: NDArray[np.bool_], volume: SagittalVolume
) -> NDArray[np.uint8]:
    """Return masks in which a level is exactly `disc`."""
    disc = fitting_labels(np.asarray(disc).astype(np.uint8) * DISC_LABELS[level], volume) > 0
    changed = labels.copy()
    changed[changed == DISC_LABELS[level]] = 0
    changed[disc] = DISC_LABELS[level]
    return changed
