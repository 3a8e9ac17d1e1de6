"""`ReaderSession`: a study opened by one reader, who sees and does what the protocol allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import BlindedError, WorkflowError
from ..log.events import required_reason
from ..protocol import READING_ROLE, Role, Task
from ..study.assignment import is_repeated, place_in_order
from ..study.states import CaseState, SignedReading
from ..study.study import Study
from .adjudication import Adjudication
from .case_at_hand import CaseAtHand
from .peer_review import PeerReview
from .reading_now import Mark, read_mark
from .reading_task import ReadingTask
from .saved_reading import OpenCase
from .seat import ReaderSeat
from .work_item import Duty, WorkItem

MODEL = "model"
"""Stands for a trained model where the name of a reader is asked for."""

CasePriority = Callable[[Sequence[str]], Mapping[str, float]]
"""Given the names of unread cases, how much is learnt from reading each; cases it leaves out come last."""


@dataclass(frozen=True)
class Progress:
    """How far a work list has got: items done and in all, and the time spent on those done."""

    done: int
    total: int
    seconds: float


class ReaderSession(ReaderSeat):
    """A study as one reader works in it; made as a `ReaderSeat` is.

    Examples
    --------
    >>> session = ReaderSession.open("study", "anna")  # doctest: +SKIP
    >>> item = session.next_item(Task.GRADES)  # doctest: +SKIP
    >>> with session.open_case(item.case, item.round) as case:  # doctest: +SKIP
    ...     case.grade("L4-L5", 3, seconds=2.5)
    """

    @classmethod
    def open(cls, folder: Path | str, reader: str) -> ReaderSession:
        """Open a study as a reader; nothing is written until something is to be saved."""
        return cls(Study.open(folder), reader)

    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks that this reader reads."""
        return tuple(task for task in self.study.protocol.tasks if READING_ROLE[task] in self.reader.roles)

    def work_list(
        self,
        task: Task,
        duty: Duty = Duty.READ,
        text: str = "",
        states: Collection[CaseState] | None = None,
        priority: CasePriority | None = None,
    ) -> list[WorkItem]:
        """Return what there is to do, in this reader's own order.

        Parameters
        ----------
        text : str
            Keep only items with this in their title or state.
        states : collection of CaseState, optional
            Keep only these states.
        priority : callable, optional
            Orders the unread cases by what is learnt from them (active learning), highest first.

        Raises
        ------
        WorkflowError
            If `priority` is given and the protocol does not allow it.
        """
        items = self._numbered(self._ordered(self._work(task, duty), priority))
        return [
            item
            for item in items
            if (states is None or item.state in states)
            and text.casefold() in f"{item.title} {item.state.value}".casefold()
        ]

    def progress(self, task: Task, duty: Duty = Duty.READ) -> Progress:
        """Return how far this reader has got."""
        items = self.work_list(task, duty)
        done = [item for item in items if item.is_done]
        return Progress(len(done), len(items), sum(item.seconds for item in done))

    def next_item(
        self, task: Task, duty: Duty = Duty.READ, after: WorkItem | None = None, priority: CasePriority | None = None
    ) -> WorkItem | None:
        """Return the next item that is not done, behind `after` and then from the start; cases open elsewhere last.

        With a priority the list changes with each case that is read: once `after` is done it is the first of it.
        """
        items = [item for item in self.work_list(task, duty, priority=priority) if not item.is_done]
        start = after.number if after else 0
        if priority is not None and after:
            start = next((i.number for i in items if (i.case, i.round) == (after.case, after.round)), 0)
        return min(items, key=lambda i: (bool(i.being_read_by), i.number <= start, i.number), default=None)

    def open_item(self, item: WorkItem) -> CaseAtHand:
        """Open an item of the work list.

        Raises
        ------
        WorkflowError
            If this reader may not.
        StudyError
            If its files are damaged.
        """
        opened: CaseAtHand
        if item.duty is Duty.REVIEW:
            opened = self.open_review(item.case, item.target)
        elif item.duty is Duty.ADJUDICATE:
            opened = self.open_adjudication(item.case, item.task)
        else:
            opened = ReadingTask(self, self.open_case(item.case, item.round), item.task)
        opened.item = item
        return opened

    def open_case(self, case_id: str, round_number: int = 1) -> OpenCase:
        """Open a case for reading; a draft is there as it was saved last.

        Raises
        ------
        WorkflowError
            If this reader is not to read the case, or not yet a second time.
        StudyError
            If its files are damaged.
        """
        self.study.case(case_id)
        tasks = tuple(task for task in self.tasks() if self.reads(case_id, task, round_number))
        if not tasks:
            raise WorkflowError(
                f"{self.reader.id} does not read case {case_id}{' again' * (round_number == 2)}; "
                "choose one from the work list."
            )
        return OpenCase(self, case_id, round_number, tasks)

    def open_review(self, case_id: str, annotator: str) -> PeerReview:
        """Open an annotator's signed masks for peer review.

        Raises
        ------
        WorkflowError
            If this reader may not review them or they are not signed.
        """
        return PeerReview(self, case_id, annotator)

    def open_adjudication(self, case_id: str, task: Task) -> Adjudication:
        """Open a case whose two readings disagree; only the disagreements are shown, readers as A and B.

        Raises
        ------
        WorkflowError
            If this reader may not adjudicate it or there is nothing to settle.
        """
        return Adjudication(self, case_id, task)

    def reads(self, case_id: str, task: Task, round_number: int = 1) -> bool:
        """Whether this reader is to read a case in a round."""
        if task not in self.tasks() or self.reader.id not in self.states.readers_of(case_id, task):
            return False
        return round_number == 1 or (
            is_repeated(self.study.protocol, task, case_id, self.reader.id)
            and (self.history.reading(case_id, task).signed or self.history.reading(case_id, task, 2).begun)
        )

    def may_see(self, case_id: str, task: Task, whose: str) -> bool:
        """Whether this reader may see another reader's reading (or that of `MODEL`) of a case.

        Readers see others once all own readings of the case are signed. Peer reviewers and adjudicators, who never
        read the case themselves, see it through `open_review` and `open_adjudication`.
        """
        if whose == self.reader.id:
            repeat = self.history.reading(case_id, task, 2)
            return not (self.reads(case_id, task, 2) and repeat.is_open and not repeat.signed)
        if self.reader.id in self.states.readers_of(case_id, task) and task in self.tasks():
            rounds = (1, 2) if is_repeated(self.study.protocol, task, case_id, self.reader.id) else (1,)
            return all(self.history.reading(case_id, task, n).signed for n in rounds)
        return False

    def reading(self, case_id: str, task: Task, reader: str) -> SignedReading:
        """Return another reader's signed reading.

        Raises
        ------
        BlindedError
            If this reader has not signed the own reading yet, or has none of the case.
        WorkflowError
            If there is no such signed reading.
        """
        self.require_sight(case_id, task, reader)
        for reading in self.states.signed_readings(case_id, task):
            if reading.reader == reader:
                return reading
        raise WorkflowError(f"{reader} has not signed the {task.value} of case {case_id} yet.")

    def require_sight(self, case_id: str, task: Task, whose: str) -> None:
        """Raise `BlindedError` unless `may_see`."""
        if not self.may_see(case_id, task, whose):
            raise BlindedError(
                f"The {task.value} of case {case_id} by {whose} stay hidden from {self.reader.id}; "
                "sign the own reading of that case first."
            )

    def lock(self, case_id: str, task: Task) -> None:
        """Lock a finished case: it cannot be reopened until an adjudicator unlocks it.

        Raises
        ------
        WorkflowError
            If the case is not finished or this reader is neither adjudicator nor peer reviewer.
        """
        if not {Role.ADJUDICATOR, Role.PEER_REVIEWER} & set(self.reader.roles):
            raise WorkflowError(f"{self.reader.id} is neither adjudicator nor peer reviewer and cannot lock cases.")
        if not self.states.is_finished(case_id, task):
            raise WorkflowError(f"The {task.value} of case {case_id} are not finished; finish the case, then lock it.")
        against = [reading.sha256 for reading in self.states.signed_readings(case_id, task)]
        self.log({"kind": "locked", "case": case_id, "task": task.value, "against": against})

    def unlock(self, case_id: str, task: Task, reason: str) -> None:
        """Unlock a case.

        Raises
        ------
        WorkflowError
            If it is not locked, no reason is given, or this reader may not lock cases.
        """
        if not {Role.ADJUDICATOR, Role.PEER_REVIEWER} & set(self.reader.roles):
            raise WorkflowError(f"{self.reader.id} is neither adjudicator nor peer reviewer and cannot unlock cases.")
        if self.states.state(case_id, task) is not CaseState.LOCKED:
            raise WorkflowError(f"The {task.value} of case {case_id} are not locked.")
        self.log({"kind": "unlocked", "case": case_id, "task": task.value, "reason": required_reason(reason)})

    def _work(self, task: Task, duty: Duty) -> list[tuple[float, WorkItem]]:
        """Return the items with their place in the order."""
        protocol, name, found = self.study.protocol, self.reader.id, []
        marks = self._cases_open_elsewhere()
        for case in self.study.case_ids:
            readers = self.states.readers_of(case, task)
            if duty is Duty.READ and name in readers and task in self.tasks():
                for number in (1, 2):
                    if number == 1 or is_repeated(protocol, task, case, name):
                        record = self.history.reading(case, task, number)
                        state = CaseState.SIGNED if record.signed else CaseState.UNREAD
                        state = CaseState.DRAFT if record.begun and not record.signed else state
                        item = WorkItem(0, case, case, task, duty, state, number, record.seconds)
                        found.append((place_in_order(protocol, name, case, number), item))
            elif duty is Duty.REVIEW and task is Task.MASKS and Role.PEER_REVIEWER in self.reader.roles:
                found += self._reviews(case, readers)
            elif duty is Duty.ADJUDICATE and Role.ADJUDICATOR in self.reader.roles and name not in readers:
                state = self.states.state(case, task)
                if state in (CaseState.DISCORDANT, CaseState.ADJUDICATED):
                    own = self.history.adjudications.get((case, task))
                    item = WorkItem(0, case, case, task, duty, state, 1, own.seconds if own else 0.0)
                    found.append((place_in_order(protocol, name, case, 1), item))
        return [
            (place, replace(item, being_read_by=readers) if (readers := self._read_by(item, marks)) else item)
            for place, item in found
        ]

    def _reviews(self, case: str, annotators: Sequence[str]) -> list[tuple[float, WorkItem]]:
        if self.reader.id in annotators:
            return []
        items = []
        for annotator in annotators:
            if self.study.histories[annotator].reading(case, Task.MASKS).signed:
                review = self.states.review(case, annotator)
                state = CaseState.SIGNED if review is None else CaseState.IN_REVIEW
                if review and review[1].signed:
                    state = CaseState.CORRECTED if review[1].sha256 else CaseState.ACCEPTED
                own = self.history.reviews.get((case, annotator))
                seconds = own.seconds if own else 0.0
                item = WorkItem(0, case, case, Task.MASKS, Duty.REVIEW, state, 1, seconds, annotator)
                items.append((place_in_order(self.study.protocol, self.reader.id, case, 1), item))
        return items

    def _ordered(self, work: list[tuple[float, WorkItem]], priority: CasePriority | None) -> list[WorkItem]:
        items = [item for _, item in sorted(work, key=lambda entry: entry[0])]
        if priority is None:
            return items
        if not self.study.protocol.active_learning:
            raise WorkflowError("The protocol does not allow a model to order the unread cases.")
        places = [i for i, item in enumerate(items) if item.state is CaseState.UNREAD and item.round == 1]
        gain = priority([items[place].case for place in places])
        ranked = sorted((items[place] for place in places), key=lambda item: -gain.get(item.case, float("-inf")))
        for place, item in zip(places, ranked, strict=True):
            items[place] = item
        return items

    def _numbered(self, items: list[WorkItem]) -> list[WorkItem]:
        hidden = self.study.protocol.repeat_share > 0
        return [
            replace(item, number=n, title=f"No. {n}" if hidden else item.case) for n, item in enumerate(items, start=1)
        ]

    def _cases_open_elsewhere(self) -> dict[str, Mark]:
        """Return what each reader has open now, in other windows than this one."""
        marks = {reader.id: read_mark(self.study.reader_folder(reader.id)) for reader in self.study.protocol.readers}
        return {reader: mark for reader, mark in marks.items() if mark is not None and mark.window != self.window}

    def _read_by(self, item: WorkItem, marks: Mapping[str, Mark]) -> tuple[str, ...]:
        """Return who reads an item's case; an own window counts for its round alone, so that repeats stay blind."""
        return tuple(
            reader
            for reader, mark in marks.items()
            if mark.case == item.case and (reader != self.reader.id or mark.round == item.round)
        )
