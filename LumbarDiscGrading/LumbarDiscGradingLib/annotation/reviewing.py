"""`PeerReview` of masks and `Adjudication` of disagreements: what a second pair of eyes decides, disc by disc."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import SagittalVolume
from ..pfirrmann import DISC_LABELS, GRADES
from .assignment import draw
from .comparison_log import log_comparisons
from .durable_files import make_folder, write_durable
from .errors import NotSavedError, StudyError, WorkflowError
from .events import Event, required_reason
from .history import DecisionRecord
from .protocol import AdjudicationRule, Role, Task
from .readings import NOT_ASSESSABLE
from .segmentation_files import fitting_labels, mask_levels, segmentation_bytes
from .states import CaseState, Disagreement, SignedReading

if TYPE_CHECKING:
    from pathlib import Path

    from .session import ReaderSession


class _Decisions:
    """Decisions on a case, saved one by one and signed at the end.

    Attributes
    ----------
    case : StudyCase
    decisions : dict
        By level: ``choice``, and ``grade`` and ``reason`` where there are.
    unsaved : bool
        Whether the last decision is not on the disk yet.
    """

    saved_kind, signed_kind = "", ""

    def __init__(self, session: ReaderSession, case_id: str, task: Task, against: tuple[str, ...]) -> None:
        self._session = session
        self.case = session.study.case(case_id)
        self.task = task
        self.unsaved = False
        self._against = against
        self._volume: SagittalVolume | None = None
        record = self._record()
        fits = record is not None and record.against == against
        self.decisions: dict[str, dict[str, Any]] = dict(record.decisions) if record and fits else {}
        self._sha256 = record.sha256 if record and fits else None
        self._seconds = record.seconds if record else 0.0

    @property
    def volume(self) -> SagittalVolume:
        """The image, read once."""
        if self._volume is None:
            self._volume = self.case.volume()
        return self._volume

    @property
    def is_signed(self) -> bool:
        """Whether the decisions are signed."""
        record = self._record()
        return bool(record and record.signed and record.against == self._against)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Levels that still need a decision."""
        return tuple(level for level in self._levels() if level not in self.decisions)

    def sign(self) -> None:
        """Sign the decisions.

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
                log_comparisons(self._session, self.case.id)

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
        if self._session.states.state(self.case.id, self.task) is CaseState.LOCKED:
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
        self._log(self.saved_kind)
        self.unsaved = False

    def _decide(self, level: str, decision: dict[str, Any], seconds: float) -> None:
        self._require_open()
        if level not in self._levels():
            raise WorkflowError(f"{level} is not to be decided here; the discs are {', '.join(self._levels())}.")
        self.decisions[level] = decision
        self._seconds += max(seconds, 0.0)
        self.save()

    def _write_masks(self, path: Path, labels: NDArray[np.uint8]) -> None:
        volume = self.volume
        content = segmentation_bytes(
            volume.to_stored(labels), volume.stored_index_to_lps, tags={"Reader": self._session.reader.id}
        )
        make_folder(self._session.study.safe(path).parent)
        write_durable(path, content)
        self._sha256 = hashlib.sha256(content).hexdigest()

    def _log(self, kind: str, **more: Any) -> None:
        event: Event = {"kind": kind, "case": self.case.id, "task": self.task.value, **self._about(), **more}
        event |= {"against": list(self._against), "decisions": self.decisions, "sha256": self._sha256}
        self._session.log({**event, "seconds": round(self._seconds, 1)})

    def _require_open(self) -> None:
        if self.is_signed:
            raise WorkflowError("This is signed; reopen it with a reason first.")

    def _record(self) -> DecisionRecord | None:
        raise NotImplementedError

    def _levels(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _about(self) -> Event:
        return {}

    def _before_signing(self) -> None:
        """Write what belongs to the signature."""


class PeerReview(_Decisions):
    """An annotator's signed masks under review: each disc is accepted or corrected.

    Attributes
    ----------
    masks : ndarray of uint8, shape (slices, rows, columns)
        The masks with the corrections made so far, canonical order.
    """

    saved_kind, signed_kind = "review saved", "review signed"

    def __init__(self, session: ReaderSession, case_id: str, annotator: str) -> None:
        self._annotator = session.study.protocol.reader(annotator).id
        name, study = session.reader.id, session.study
        record = study.histories[annotator].reading(case_id, Task.MASKS)
        if Role.PEER_REVIEWER not in session.reader.roles or name in session.states.readers_of(case_id, Task.MASKS):
            raise WorkflowError(f"{name} may not review the masks of case {case_id}; another peer reviewer does.")
        if not record.signed or record.sha256 is None:
            raise WorkflowError(f"The masks of case {case_id} are not signed yet; review them when they are.")
        other = session.states.review(case_id, annotator)
        if other and other[1].signed and other[0] != name:
            raise WorkflowError(f"The masks of case {case_id} have been reviewed already.")
        super().__init__(session, case_id, Task.MASKS, (record.sha256,))
        path = study.reading_path(annotator, case_id, Task.MASKS)
        self._original: NDArray[np.uint8] = study.masks(path, case_id, record.sha256).voxels
        self.masks = self._original.copy()
        if self._sha256:
            self.masks = study.masks(self._path(), case_id, self._sha256).voxels
        if not self.is_signed:
            with contextlib.suppress(NotSavedError):
                self._log("review opened")

    def accept(self, level: str, comment: str = "", seconds: float = 0.0) -> None:
        """Accept the annotator's contour of a disc, taking back any correction.

        Raises
        ------
        WorkflowError
            If the annotator drew no such disc, or the review is signed.
        NotSavedError
            If it could not be saved.
        """
        self._require_open()
        value = DISC_LABELS.get(level, 0)
        if level not in mask_levels(self._original):
            raise WorkflowError(f"The annotator drew no {level}; correct it by drawing it.")
        if not np.array_equal(self.masks == value, self._original == value):
            self.masks[self.masks == value] = 0
            self.masks[self._original == value] = value
            self._write_masks(self._path(), self.masks)
        self._decide(level, _decision("accepted", comment), seconds)

    def correct(self, level: str, disc: NDArray[np.bool_], comment: str = "", seconds: float = 0.0) -> None:
        """Replace the contour of a disc.

        Parameters
        ----------
        disc : ndarray of bool, shape (slices, rows, columns)
            The corrected disc in canonical order; empty removes it.

        Raises
        ------
        StudyError
            If it does not have the size of the image or `level` is no disc level.
        NotSavedError
            If it could not be saved; it is kept here.
        """
        self._require_open()
        if level not in DISC_LABELS:
            raise StudyError(f"{level!r} is no disc level; use one such as L4-L5.")
        self.masks = _with_disc(self.masks, level, disc, self.volume)
        self._write_masks(self._path(), self.masks)
        self._decide(level, _decision("corrected", comment), seconds)

    def _before_signing(self) -> None:
        if np.array_equal(self.masks, self._original):
            self._sha256 = None
        elif self._sha256 is None:
            self._write_masks(self._path(), self.masks)

    def _path(self) -> Path:
        return self._session.study.review_path(self._session.reader.id, self.case.id, self._annotator)

    def _record(self) -> DecisionRecord | None:
        return self._session.history.reviews.get((self.case.id, self._annotator))

    def _levels(self) -> tuple[str, ...]:
        there = {*mask_levels(self._original), *mask_levels(self.masks)}
        return tuple(level for level in DISC_LABELS if level in there)

    def _about(self) -> Event:
        return {"target": self._annotator}


class Adjudication(_Decisions):
    """Two readings that disagree, shown as A and B; only the disagreements are to be decided.

    Attributes
    ----------
    disagreements : tuple of Disagreement
        As seen from A to B.
    masks_a, masks_b : ndarray of uint8 or None
        Masks of both readings in canonical order; None for grades.
    """

    saved_kind, signed_kind = "adjudication saved", "adjudicated"

    def __init__(self, session: ReaderSession, case_id: str, task: Task) -> None:
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

    def decide(
        self,
        level: str,
        choice: str,
        reason: str,
        grade: int | None = None,
        disc: NDArray[np.bool_] | None = None,
        seconds: float = 0.0,
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
        if level not in self._levels() or choice not in ("A", "B", "own"):
            raise WorkflowError(f"Choose A, B or own for one of {', '.join(self._levels())}.")
        decision = _decision(choice, reason)
        if self.task is Task.GRADES:
            decision["grade"] = self._grade(level, choice, grade)
        else:
            base = self._own if self._own is not None else self._undisputed()
            self._own = _with_disc(base, level, self._contour(level, choice, disc), self.volume)
            self._write_masks(self._path(), self._own)
        self._decide(level, decision, seconds)

    def _grade(self, level: str, choice: str, grade: int | None) -> int:
        if choice == "own":
            if grade not in (*GRADES, NOT_ASSESSABLE):
                raise WorkflowError("An own decision needs a grade of 1 to 5, or 0 for a disc that cannot be assessed.")
            return int(grade)
        disagreement = next(found for found in self.disagreements if found.level == level)
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

    def _undisputed(self) -> NDArray[np.uint8]:
        """Return the discs on which both agree, as the reader listed first in the protocol drew them."""
        labels = self.masks_b if self._swapped else self.masks_a
        assert labels is not None
        disputed = [DISC_LABELS[found.level] for found in self.disagreements]
        return np.where(np.isin(labels, disputed), 0, labels).astype(np.uint8)

    def _path(self) -> Path:
        return self._session.study.adjudication_path(self._session.reader.id, self.case.id)

    def _record(self) -> DecisionRecord | None:
        return self._session.history.adjudications.get((self.case.id, self.task))

    def _levels(self) -> tuple[str, ...]:
        return tuple(found.level for found in self.disagreements)


def _decision(choice: str, reason: str) -> dict[str, Any]:
    text = reason.strip()
    return {"choice": choice, **({"reason": required_reason(text)} if text else {})}


def _with_disc(
    labels: NDArray[np.uint8], level: str, disc: NDArray[np.bool_], volume: SagittalVolume
) -> NDArray[np.uint8]:
    """Return masks in which a level is exactly `disc`."""
    disc = fitting_labels(np.asarray(disc).astype(np.uint8) * DISC_LABELS[level], volume) > 0
    changed = labels.copy()
    changed[changed == DISC_LABELS[level]] = 0
    changed[disc] = DISC_LABELS[level]
    return changed
