"""What a reader did, put together from the reader's event log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...pfirrmann import DISC_LABELS
from ..protocol import Task
from .comparison import Overlap
from .events import LOG_NAME, Event, EventLog

ReadingKey = tuple[str, Task, int]
"""Case, task, round."""


@dataclass
class ReadingRecord:
    """One reading: one reader, case, task and round.

    Attributes
    ----------
    is_open : bool
        Whether the reader opened it and has not closed it: after a crash this stays true.
    sha256 : str or None
        Of the file saved last.
    grades : dict of str to int
        As saved last; 0 stands for a disc that cannot be assessed.
    seconds : float
        Spent on it.
    slice_index : int or None
        Canonical index of the slice that the reader chose.
    model_sha256 : str
        Hash of the model that pre-filled the masks, empty for none.
    reopened : int
        How often it was reopened.
    """

    begun: bool = False
    signed: bool = False
    is_open: bool = False
    sha256: str | None = None
    grades: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    slice_index: int | None = None
    model_sha256: str = ""
    reopened: int = 0


@dataclass
class DecisionRecord:
    """A peer review or an adjudication.

    Attributes
    ----------
    decisions : dict
        By level: ``choice``, and ``grade`` and ``reason`` where there are.
    against : tuple of str
        Hashes of the files that it is about; it counts only while these are the signed ones.
    sha256 : str or None
        Of the mask file with own contours.
    """

    signed: bool = False
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    against: tuple[str, ...] = ()
    sha256: str | None = None
    seconds: float = 0.0
    at: str = ""


class ReaderHistory:
    """All that one reader's log says; `refresh` reads on where it stopped.

    Attributes
    ----------
    readings : dict
        `ReadingRecord` by (case, task, round).
    reviews : dict
        `DecisionRecord` by (case, reader whose masks are reviewed).
    adjudications : dict
        `DecisionRecord` by (case, task).
    locks : dict
        By (case, task): time, and hashes of the files that were locked or None for unlocked.
    overlaps : dict
        Comparisons of masks by the hashes of their two files.
    events : int
        How many events have been taken in.
    """

    def __init__(self, reader: str, folder: Path) -> None:
        self.reader = reader
        self.log = EventLog(folder / LOG_NAME)
        self.events = 0
        self.readings: dict[ReadingKey, ReadingRecord] = {}
        self.reviews: dict[tuple[str, str], DecisionRecord] = {}
        self.adjudications: dict[tuple[str, Task], DecisionRecord] = {}
        self.locks: dict[tuple[str, Task], tuple[str, tuple[str, ...] | None]] = {}
        self.overlaps: dict[tuple[str, ...], dict[str, Overlap]] = {}

    def refresh(self) -> None:
        """Take in the events that were added since the last call."""
        for event in self.log.new_events():
            self._take(event)
            self.events += 1

    def append(self, event: Event) -> None:
        """Log an event; when this returns it is on the disk and taken in, with what came before it."""
        self.log.append(event)
        self.refresh()

    def reading(self, case: str, task: Task, round_number: int = 1) -> ReadingRecord:
        """Return a reading; an untouched one if there is none yet."""
        return self.readings.get((case, task, round_number)) or ReadingRecord()

    def _take(self, event: Event) -> None:
        case, task, kind = event["case"], Task(event["task"]), event["kind"]
        if kind.startswith("review"):
            self._decide(self.reviews.setdefault((case, event.get("target", "")), DecisionRecord()), event)
        elif kind in ("adjudication saved", "adjudicated"):
            self._decide(self.adjudications.setdefault((case, task), DecisionRecord()), event)
        elif kind in ("locked", "unlocked"):
            against = tuple(map(str, event.get("against", ()))) if kind == "locked" else None
            self.locks[case, task] = event["at"], against
        elif kind == "compared":
            self.overlaps[tuple(map(str, event.get("against", ())))] = _overlaps(event.get("overlaps", {}))
        else:
            self._read(self.readings.setdefault((case, task, event.get("round", 1)), ReadingRecord()), event)

    @staticmethod
    def _read(record: ReadingRecord, event: Event) -> None:
        kind = event["kind"]
        record.seconds = max(record.seconds, float(event.get("seconds", 0.0)))
        record.slice_index = event.get("slice", record.slice_index)
        record.model_sha256 = event.get("model_sha256", record.model_sha256)
        if kind in ("opened", "closed"):
            record.is_open = kind == "opened"
        if kind in ("saved", "signed"):
            record.begun = True
            record.sha256 = event.get("sha256", record.sha256)
            record.grades = _grades(event["grades"]) if "grades" in event else record.grades
        if kind == "signed":
            record.signed = True
        elif kind == "reopened":
            record.signed, record.reopened = False, record.reopened + 1

    @staticmethod
    def _decide(record: DecisionRecord, event: Event) -> None:
        record.signed = event["kind"] in ("review signed", "adjudicated")
        record.seconds = max(record.seconds, float(event.get("seconds", 0.0)))
        record.against = tuple(map(str, event.get("against", record.against)))
        record.sha256 = event.get("sha256", record.sha256)
        record.at = event["at"]
        if "decisions" in event:
            record.decisions = {
                level: decision
                for level, decision in event["decisions"].items()
                if level in DISC_LABELS and isinstance(decision, dict)
            }


def _grades(entries: Mapping[str, Any]) -> dict[str, int]:
    return {
        level: code for level, code in entries.items() if level in DISC_LABELS and type(code) is int and 0 <= code <= 5
    }


def _overlaps(entries: Mapping[str, Any]) -> dict[str, Overlap]:
    overlaps = {}
    for level, entry in entries.items():
        if level in DISC_LABELS and isinstance(entry, dict) and isinstance(entry.get("dice"), (int, float)):
            surface = entry.get("surface_mm")
            overlaps[level] = Overlap(
                float(entry["dice"]),
                float(surface) if isinstance(surface, (int, float)) else None,
                entry.get("conflict"),
            )
    return overlaps
