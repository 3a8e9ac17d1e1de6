"""The state of each case, worked out from the readers' logs and never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ...pfirrmann import DISC_LABELS
from ..log.comparison import Overlap, compare_masks
from ..log.history import DecisionRecord
from ..protocol import AdjudicationRule, Role, Task
from .assignment import assigned_readers
from .study import Study


class CaseState(str, Enum):
    """State of a case in one task; its value is the word shown to users."""

    UNREAD = "unread"
    DRAFT = "draft"
    SIGNED = "signed"
    IN_REVIEW = "in peer review"
    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    AGREED = "agreed"
    DISCORDANT = "discordant"
    ADJUDICATED = "adjudicated"
    LOCKED = "locked"


@dataclass(frozen=True)
class SignedReading:
    """A signed reading as it counts now: masks after peer review.

    Attributes
    ----------
    sha256 : str
        Of the file.
    path : Path
        The file.
    grades : mapping of str to int
        By level, 0 for a disc that cannot be assessed; empty for masks.
    corrected_by : str or None
        The peer reviewer who corrected the masks.
    """

    reader: str
    sha256: str
    path: Path
    grades: Mapping[str, int]
    corrected_by: str | None = None


@dataclass(frozen=True)
class Disagreement:
    """A disc on which two readings differ.

    Attributes
    ----------
    reason : str
        ``grade differs``, ``Dice 0.71``, ``level conflict``, ``only one reading``.
    first, second : int or None
        Codes of the grades; None for masks, or where a reading lacks the disc.
    overlap : Overlap or None
        For masks.
    """

    level: str
    reason: str
    first: int | None = None
    second: int | None = None
    overlap: Overlap | None = None


class StudyStates:
    """Works out states from a study's logs; ask it again after `Study.refresh`."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._computed: dict[tuple[str, ...], dict[str, Overlap]] = {}
        self._known: dict[tuple[str, Task], CaseState] = {}
        self._known_at = -1

    def readers_of(self, case_id: str, task: Task) -> tuple[str, ...]:
        """Return who reads a case."""
        begun = [r for r, history in self.study.histories.items() if history.reading(case_id, task).begun]
        return assigned_readers(self.study.protocol, task, case_id, begun)

    def state(self, case_id: str, task: Task) -> CaseState:
        """Return the state of a case."""
        if self._known_at != self.study.revision:
            self._known, self._known_at = {}, self.study.revision
        if (case_id, task) not in self._known:
            self._known[case_id, task] = self._state(case_id, task)
        return self._known[case_id, task]

    def _state(self, case_id: str, task: Task) -> CaseState:
        readers = self.readers_of(case_id, task)
        records = [self.study.histories[reader].reading(case_id, task) for reader in readers]
        if not all(record.signed for record in records):
            begun = any(record.begun for record in records)
            return CaseState.DRAFT if begun else CaseState.UNREAD
        state = self._state_when_signed(case_id, task, readers)
        if state is not None:
            return state
        readings = self.signed_readings(case_id, task)
        if self._locked(case_id, task, readings):
            return CaseState.LOCKED
        if len(readings) == 2:
            if self.adjudication(case_id, task) is not None:
                return CaseState.ADJUDICATED
            return CaseState.DISCORDANT if self.disagreements(case_id, task) else CaseState.AGREED
        if task is Task.MASKS and self.study.protocol.peer_review:
            return CaseState.CORRECTED if any(r.corrected_by for r in readings) else CaseState.ACCEPTED
        return CaseState.SIGNED

    def _state_when_signed(self, case_id: str, task: Task, readers: tuple[str, ...]) -> CaseState | None:
        """Return the state while a peer review is missing."""
        if task is not Task.MASKS or not self.study.protocol.peer_review:
            return None
        reviews = [self.review(case_id, reader) for reader in readers]
        if any(found is None for found in reviews):
            return CaseState.SIGNED
        if not all(found[1].signed for found in reviews if found):
            return CaseState.IN_REVIEW
        return None

    def is_finished(self, case_id: str, task: Task) -> bool:
        """Whether nothing is left to do but to lock it."""
        state = self.state(case_id, task)
        if state is CaseState.DISCORDANT:
            return self.study.protocol.adjudication is AdjudicationRule.LEAVE_OUT
        done = {CaseState.ACCEPTED, CaseState.CORRECTED, CaseState.AGREED, CaseState.ADJUDICATED, CaseState.LOCKED}
        if state is CaseState.SIGNED:
            return task is Task.GRADES or not self.study.protocol.peer_review
        return state in done

    def review(self, case_id: str, annotator: str) -> tuple[str, DecisionRecord] | None:
        """Return the peer reviewer and the review of an annotator's masks as signed now; a signed one goes first."""
        signed = self.study.histories[annotator].reading(case_id, Task.MASKS).sha256
        found = [
            (reviewer.id, record)
            for reviewer in self.study.protocol.with_role(Role.PEER_REVIEWER)
            if reviewer.id != annotator
            and (record := self.study.histories[reviewer.id].reviews.get((case_id, annotator)))
            and record.against == (signed,)
        ]
        return min(found, key=lambda entry: (not entry[1].signed, entry[1].at, entry[0]), default=None)

    def signed_readings(self, case_id: str, task: Task) -> tuple[SignedReading, ...]:
        """Return the signed first readings of a case in the order of the protocol, masks as peer review left them."""
        readings = []
        for reader in self.readers_of(case_id, task):
            record = self.study.histories[reader].reading(case_id, task)
            if not record.signed or record.sha256 is None:
                continue
            path, sha256, corrected_by = self.study.reading_path(reader, case_id, task), record.sha256, None
            review = self.review(case_id, reader) if task is Task.MASKS else None
            if review and review[1].signed and review[1].sha256:
                corrected_by, sha256 = review[0], review[1].sha256
                path = self.study.review_path(corrected_by, case_id, reader)
            readings.append(SignedReading(reader, sha256, path, record.grades, corrected_by))
        return tuple(readings)

    def disagreements(self, case_id: str, task: Task) -> tuple[Disagreement, ...]:
        """Return the discs on which the two signed readings of a case differ, head to feet; none for one reading."""
        readings = self.signed_readings(case_id, task)
        if len(readings) != 2:
            return ()
        first, second = readings
        levels = [level for level in DISC_LABELS if level in self.study.protocol.levels]
        if task is Task.GRADES:
            pairs = [(level, first.grades.get(level), second.grades.get(level)) for level in levels]
            return tuple(
                Disagreement(level, "only one reading" if a is None or b is None else "grade differs", a, b)
                for level, a, b in pairs
                if a != b
            )
        found = []
        for level, overlap in self.overlaps(case_id, first, second).items():
            reason = self._mask_disagreement(overlap)
            if reason:
                found.append(Disagreement(level, reason, overlap=overlap))
        return tuple(found)

    def overlaps(self, case_id: str, first: SignedReading, second: SignedReading) -> dict[str, Overlap]:
        """Return how the masks of two readings agree: from a log where a reader's program noted it, else computed."""
        return self.overlaps_of_files(case_id, (first.path, first.sha256), (second.path, second.sha256))

    def overlaps_of_files(self, case_id: str, first: tuple[Path, str], second: tuple[Path, str]) -> dict[str, Overlap]:
        """Return how two mask files (path, hash) of a case agree, by level."""
        key = (first[1], second[1])
        for history in self.study.histories.values():
            for hashes in (key, key[::-1]):
                if hashes in history.overlaps:
                    return history.overlaps[hashes]
        if key not in self._computed:
            a, b = (self.study.masks(path, case_id, sha256) for path, sha256 in (first, second))
            self._computed[key] = compare_masks(a.voxels, b.voxels, a.spacing_mm)
        return self._computed[key]

    def adjudication(self, case_id: str, task: Task) -> tuple[str, DecisionRecord] | None:
        """Return the adjudicator and the signed adjudication of the readings as signed now."""
        against = tuple(reading.sha256 for reading in self.signed_readings(case_id, task))
        found = [
            (reader.id, record)
            for reader in self.study.protocol.with_role(Role.ADJUDICATOR)
            if (record := self.study.histories[reader.id].adjudications.get((case_id, task)))
            and record.signed
            and record.against == against
        ]
        return min(found, key=lambda entry: (entry[1].at, entry[0]), default=None)

    def _mask_disagreement(self, overlap: Overlap) -> str:
        if overlap.conflict:
            return "level conflict"
        if overlap.surface_mm is None:
            return "only one reading"
        return f"Dice {overlap.dice:.2f}" if overlap.dice < self.study.protocol.dice_limit else ""

    def _locked(self, case_id: str, task: Task, readings: tuple[SignedReading, ...]) -> bool:
        found = [lock for h in self.study.histories.values() if (lock := h.locks.get((case_id, task))) is not None]
        return bool(found) and max(found, key=lambda lock: lock[0])[1] == tuple(reading.sha256 for reading in readings)
