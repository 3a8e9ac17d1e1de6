"""A reader's event log: JSON lines, appended and flushed one by one, read on from where the last reading stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...json_schema import first_violation, python_types
from ..errors import StudyError, WorkflowError
from ..storage.documents import schema_of
from ..storage.durable_files import LARGEST_LOG_BYTES, append_line, read_limited

LOG_NAME = "events.jsonl"
MAX_LINE_BYTES = 1 << 16
MAX_REASON_LENGTH = 500

Event = dict[str, Any]
"""Follows ``event.schema.json``."""


def now() -> str:
    """Return the time in UTC as events write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def is_time(text: str) -> bool:
    """Whether a text is a time as events write it."""
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return False
    return True


def required_reason(reason: str) -> str:
    """Return a reason without surrounding blanks.

    Raises
    ------
    WorkflowError
        If there is none, or it is longer than a log line should be.
    """
    if not reason.strip():
        raise WorkflowError("Give a reason; it is kept with the study.")
    if len(reason) > MAX_REASON_LENGTH:
        raise WorkflowError(f"A reason has at most {MAX_REASON_LENGTH} characters; shorten it.")
    return reason.strip()


def event_line(event: Event) -> str:
    """Return a checked event as its line."""
    violation = first_violation(event, _SCHEMA)
    if violation:
        raise StudyError(f"This event cannot be logged: {violation}.")
    line = json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    if len(line) > MAX_LINE_BYTES:
        raise StudyError("This event is too long to be logged; shorten reasons and comments.")
    return line


@dataclass
class EventLog:
    """Reads and appends the events of one reader.

    Attributes
    ----------
    unreadable_lines : int
        Lines passed over so far: torn by a crash, or not written by this program.
    """

    path: Path
    unreadable_lines: int = 0
    _offset: int = field(default=0, repr=False)

    def append(self, event: Event) -> None:
        """Append one event; when this returns it is on the disk."""
        append_line(self.path, event_line(event))

    def new_events(self) -> Iterator[Event]:
        """Yield the events that were added since the last call, in the order in which they were written.

        A last line without its end is left for the next call: it may be in the middle of being written.
        """
        try:
            content = read_limited(self.path, LARGEST_LOG_BYTES, self._offset)
        except FileNotFoundError:
            return
        end = content.rfind(b"\n") + 1
        self._offset += end
        for line in content[:end].split(b"\n"):
            if not line:
                continue
            event = _parsed(line)
            if event is None:
                self.unreadable_lines += 1
            else:
                yield event


def _parsed(line: bytes) -> Event | None:
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and _is_usable(event) else None


_SCHEMA = schema_of("event")
_REQUIRED = frozenset(_SCHEMA["required"])
_TYPES = {key: python_types(rules["type"]) for key, rules in _SCHEMA["properties"].items() if "type" in rules}
_WORDS = {key: rules["enum"] for key, rules in _SCHEMA["properties"].items() if "enum" in rules}


def _is_usable(event: Event) -> bool:
    """Check what is needed to go by an event; all of the schema, ten times slower, is checked by `checked_events`."""
    return (
        event.keys() >= _REQUIRED
        and all(isinstance(value, _TYPES.get(key, object)) for key, value in event.items())
        and all(event[key] in words for key, words in _WORDS.items() if key in event)
    )


def valid_events(path: Path) -> list[Event]:
    """Return the events of a log that follow the whole schema."""
    return [event for event in EventLog(path).new_events() if not first_violation(event, _SCHEMA)]


def checked_events(path: Path) -> list[Event]:
    """Read a whole log and refuse it if any line is no valid event.

    Raises
    ------
    StudyError
        If it is missing, unreadable or has an invalid line.
    """
    log = EventLog(path)
    events = list(log.new_events())
    wrong = log.unreadable_lines + sum(first_violation(event, _SCHEMA) is not None for event in events)
    if wrong:
        raise StudyError(f"{path} has {wrong} lines that are no events; restore it from a backup.")
    return events
