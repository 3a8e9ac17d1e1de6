"""`CaseAtHand`: an opened item of the work list, the same whether it is read, reviewed or adjudicated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ...pfirrmann import DISC_LABELS
from ..storage.segmentation_files import mask_levels
from .reading_now import Mark
from .seat import ReaderSeat
from .work_item import WorkItem


class CaseAtHand(ABC):
    """What a reader has open. Whatever is said or drawn is saved at once; what could not be saved is kept here.

    Attributes
    ----------
    session : ReaderSeat
    item : WorkItem
        The line of the work list; only of what `ReaderSession.open_item` opened.
    recovered : bool
        Whether the program ended without closing it.
    problem : str
        Why nothing can be written, if that is so already on opening; empty else.
    open_elsewhere : Mark or None
        The other window in which this reader had it open already; what is saved there is not seen here.
    """

    session: ReaderSeat
    item: WorkItem
    recovered = False
    problem = ""
    open_elsewhere: Mark | None = None

    @property
    @abstractmethod
    def volume(self) -> SagittalVolume:
        """The image, read once."""

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
    def has_unsaved(self) -> bool:
        """Whether something is not on the disk."""

    @property
    @abstractmethod
    def kept_elsewhere(self) -> str:
        """Folder into which everything that is not saved was written; empty while that is not so."""

    @property
    @abstractmethod
    def can_draw(self) -> bool:
        """Whether contours may be drawn."""

    @property
    def can_grade(self) -> bool:
        """Whether grades may be given."""
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
    def drawn_levels(self) -> tuple[str, ...]:
        """Levels that have a contour, head to feet."""
        return () if self.masks is None else mask_levels(self.masks)

    @property
    @abstractmethod
    def open_levels(self) -> tuple[str, ...]:
        """Levels on which the reader has still to say something."""

    @property
    @abstractmethod
    def empty_levels(self) -> tuple[str, ...]:
        """Levels without a contour that a signature would leave so, where everything else is ready to be signed."""

    @abstractmethod
    def set_masks(self, masks: NDArray[np.uint8]) -> None:
        """Save what is drawn."""

    def rename(self, moved: Mapping[str, str], masks: NDArray[np.uint8]) -> None:
        """Save masks whose levels have been moved, from the first to the second name."""
        self.set_masks(masks)

    @abstractmethod
    def save(self) -> None:
        """Save again what could not be saved."""

    @abstractmethod
    def save_elsewhere(self, folder: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder, for the day when the study cannot be written."""

    @abstractmethod
    def sign(self, without: Collection[str] = ()) -> None:
        """Sign it; `without` are the empty levels that are meant to stay so."""

    @abstractmethod
    def reopen(self, reason: str) -> None:
        """Take the signature back."""

    @abstractmethod
    def keep_alive(self) -> None:
        """Tell other readers that the case is being read; to be called every minute or so."""

    @abstractmethod
    def close(self, discard: bool = False) -> None:
        """Close it; with `discard` even if something is not saved."""
