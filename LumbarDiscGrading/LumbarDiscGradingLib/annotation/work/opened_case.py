"""`OpenedCase`: a case that a reader has open, whatever for - its image, its mark and the reading time."""

from __future__ import annotations

import time
from pathlib import Path

from ...imaging.volume import SagittalVolume
from ..log.events import now
from ..storage.durable_files import make_folder
from .reading_now import Mark, open_in_another_window, remove_mark, set_mark
from .seat import ReaderSeat

AWAY_SECONDS = 120.0
"""A pause longer than this is no reading time; no more than this is counted of it."""


class OpenedCase:
    """What reading, reviewing and adjudicating a case have in common.

    Attributes
    ----------
    session : ReaderSeat
    case : StudyCase
    open_elsewhere : Mark or None
        The other window in which this reader had the case open already; what is saved there is not seen here.
    kept_elsewhere : str
        Folder into which everything that is not saved was written; empty while that is not so.
    """

    kept_elsewhere = ""

    def __init__(self, session: ReaderSeat, case_id: str, round_number: int = 1) -> None:
        self.session, self.case = session, session.study.case(case_id)
        self.open_elsewhere = open_in_another_window(session.folder, case_id, round_number, session.window)
        self._mark = Mark(case_id, round_number, session.window, now())
        self._volume: SagittalVolume | None = None
        self._last_change = time.monotonic()

    @property
    def volume(self) -> SagittalVolume:
        """The image, read once."""
        if self._volume is None:
            self._volume = self.case.volume()
        return self._volume

    def keep_alive(self) -> None:
        """Tell other readers that the case is being read; to be called every minute or so."""
        set_mark(self.session.folder, self._mark)

    def _time_spent(self, seconds: float | None) -> float:
        """Note that something was changed; return the seconds of reading before it, those given or as measured."""
        last, self._last_change = self._last_change, time.monotonic()
        return min(self._last_change - last, AWAY_SECONDS) if seconds is None else max(float(seconds), 0.0)

    def _folder_elsewhere(self, folder: Path | str) -> Path:
        """Make the case's own folder in another one."""
        own = Path(folder) / self.session.reader.id / self.case.id
        make_folder(own)
        return own

    def _release(self) -> None:
        """Take the mark back and let the image go."""
        remove_mark(self.session.folder, self.session.window)
        self._volume = None
