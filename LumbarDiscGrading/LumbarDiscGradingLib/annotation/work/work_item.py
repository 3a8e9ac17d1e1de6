"""`WorkItem`: one line of a reader's work list, and the duties that there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..protocol import Task
from ..study.states import CaseState


class Duty(str, Enum):
    """What a reader is to do with a case; its value is the word shown to users."""

    READ = "read"
    REVIEW = "review"
    ADJUDICATE = "adjudicate"


@dataclass(frozen=True)
class WorkItem:
    """One line of a reader's work list.

    Attributes
    ----------
    number : int
        Place in the reader's own order, from 1.
    title : str
        What the reader is shown. Where cases are repeated it does not tell the case, so that a repeat is read as
        blindly as the first time.
    case : str
    task : Task
    duty : Duty
    state : CaseState
        Of the own reading (unread, draft, signed) for `Duty.READ`, else of the case.
    round : int
        2 for a repeat.
    seconds : float
        Spent on it by this reader.
    target : str
        For a review the annotator; shown as "annotator", never by name.
    being_read_by : tuple of str
        Other readers that have the case open now, and the same reader in another window.
    """

    number: int
    title: str
    case: str
    task: Task
    duty: Duty
    state: CaseState
    round: int = 1
    seconds: float = 0.0
    target: str = ""
    being_read_by: tuple[str, ...] = ()

    @property
    def about(self) -> tuple[str, Task, Duty, int, str]:
        """What tells it from other items, whatever has happened to it meanwhile."""
        return self.case, self.task, self.duty, self.round, self.target

    @property
    def is_done(self) -> bool:
        """Whether the reader has nothing left to do with it."""
        if self.duty is Duty.READ:
            return self.state is CaseState.SIGNED
        return self.state not in (CaseState.SIGNED, CaseState.IN_REVIEW, CaseState.DISCORDANT)
