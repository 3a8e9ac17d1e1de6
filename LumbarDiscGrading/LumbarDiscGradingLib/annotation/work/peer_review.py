"""`PeerReview`: an annotator's signed masks, accepted or corrected disc by disc."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...pfirrmann import DISC_LABELS
from ..errors import NotSavedError, StudyError, WorkflowError
from ..log.events import Event
from ..log.history import DecisionRecord
from ..protocol import Role, Task
from ..storage.segmentation_files import mask_levels
from .decisions import Decisions, decision_of, with_disc
from .seat import ReaderSeat


class PeerReview(Decisions):
    """An annotator's signed masks under review: each disc is accepted or corrected."""

    saved_kind, signed_kind = "review saved", "review signed"

    def __init__(self, session: ReaderSeat, case_id: str, annotator: str) -> None:
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
        self._masks = self._original.copy()
        if self._sha256:
            self._masks = study.masks(self._path(), case_id, self._sha256).voxels
        if not self.is_signed:
            with contextlib.suppress(NotSavedError):
                self._log("review opened")

    @property
    def masks(self) -> NDArray[np.uint8]:
        """The annotator's masks with the corrections made so far, canonical order."""
        return self._masks

    @property
    def slice_index(self) -> int:
        """The middle slice, or where nothing is drawn there the one with the most drawn on it."""
        areas, middle = (self.masks > 0).sum(axis=(1, 2)), self.volume.middle_slice_index
        return middle if areas[middle] or not areas.any() else int(areas.argmax())

    @property
    def open_levels(self) -> tuple[str, ...]:
        """Levels that still need a decision."""
        return self.undecided

    @property
    def empty_levels(self) -> tuple[str, ...]:
        """Levels of the protocol that neither the annotator nor the reviewer drew, or that the reviewer erased."""
        if self.open_levels:
            return ()
        return tuple(level for level in self.session.study.protocol.levels if level not in self.drawn_levels)

    def accept(self, level: str, comment: str = "", seconds: float | None = None) -> None:
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
        if not np.array_equal(self._masks == value, self._original == value):
            self._masks[self._masks == value] = 0
            self._masks[self._original == value] = value
            self._pending = self._masks
        self._decide(level, decision_of("accepted", comment), seconds)

    def correct(self, level: str, disc: NDArray[np.bool_], comment: str = "", seconds: float | None = None) -> None:
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
        self._masks = with_disc(self._masks, level, disc, self.volume)
        self._pending = self._masks
        self._decide(level, decision_of("corrected", comment), seconds)

    def _redraw(self, level: str, disc: NDArray[np.bool_]) -> None:
        self.correct(level, disc, self.decision(level).reason)

    def _before_signing(self) -> None:
        if np.array_equal(self._masks, self._original):
            self._sha256 = None
        else:
            self._write_pending()

    def _path(self) -> Path:
        return self.session.study.review_path(self.session.reader.id, self.case.id, self._annotator)

    def _record(self) -> DecisionRecord | None:
        return self.session.history.reviews.get((self.case.id, self._annotator))

    def _levels(self) -> tuple[str, ...]:
        there = {*mask_levels(self._original), *mask_levels(self._masks), *self.decisions}
        return tuple(level for level in DISC_LABELS if level in there)

    def _about(self) -> Event:
        return {"target": self._annotator}
