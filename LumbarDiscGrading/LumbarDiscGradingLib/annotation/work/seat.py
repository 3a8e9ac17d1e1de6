"""`ReaderSeat`: one reader's place in a study."""

from __future__ import annotations

import uuid

import numpy as np
from numpy.typing import NDArray

from ..errors import BlindedError
from ..log.events import Event, now
from ..log.history import ReaderHistory
from ..storage.durable_files import make_folder, one_writer
from ..study.reference import consensus_masks
from ..study.states import StudyStates
from ..study.study import Study


class ReaderSeat:
    """One reader's place in a study: who reads, what the logs say, and where to note what happens.

    Parameters
    ----------
    study : Study
    reader : str
    states : StudyStates, optional
        Of the same study, so that what it has worked out need not be worked out again.

    Raises
    ------
    StudyError
        If the study has no such reader.
    """

    def __init__(self, study: Study, reader: str, states: StudyStates | None = None) -> None:
        self.study = study
        self.reader = study.protocol.reader(reader)
        self.states = states or StudyStates(study)
        self.folder = study.reader_folder(reader)
        self.window = uuid.uuid4().hex

    @property
    def history(self) -> ReaderHistory:
        """What this reader did."""
        return self.study.histories[self.reader.id]

    def refresh(self) -> None:
        """Take in what other readers did since the last call."""
        self.study.refresh()

    def finished_masks(self, case_id: str) -> NDArray[np.uint8] | None:
        """Return the finished masks of a case for a grader's orientation.

        Returns
        -------
        ndarray of uint8 or None
            In canonical order; None while they are not finished.

        Raises
        ------
        BlindedError
            If the protocol keeps masks from graders.
        """
        if not self.study.protocol.graders_see_masks:
            raise BlindedError("The protocol keeps masks from graders.")
        return consensus_masks(self.states, case_id)

    def log(self, event: Event) -> None:
        """Add the time to an event of this reader and log it durably.

        Raises
        ------
        NotSavedError
            If it could not be written.
        """
        make_folder(self.folder)
        with one_writer(self.folder):
            self.history.append({"at": now(), **event})
