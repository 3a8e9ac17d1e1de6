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
    """An annotator's signed masks under review: each disc is accepted or corrected.

    Attributes
    ----------
    masks : ndarray of uint8, shape (slices, rows, columns)
        The masks with the corrections made so far, canonical order.
    """

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
            self._pending = self.masks
        self._decide(level, decision_of("accepted", comment), seconds)

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
        self.masks = with_disc(self.masks, level, disc, self.volume)
        self._pending = self.masks
        self._decide(level, decision_of("corrected", comment), seconds)

    def _before_signing(self) -> None:
        if np.array_equal(self.masks, self._original):
            self._sha256 = None
        else:
            self._write_pending()

    def _path(self) -> Path:
        return self._session.study.review_path(self._session.reader.id, self.case.id, self._annotator)

    def _record(self) -> DecisionRecord | None:
        return self._session.history.reviews.get((self.case.id, self._annotator))

    def _levels(self) -> tuple[str, ...]:
        there = {*mask_levels(self._original), *mask_levels(self.masks), *self.decisions}
        return tuple(level for level in DISC_LABELS if level in there)

    def _about(self) -> Event:
        return {"target": self._annotator}
