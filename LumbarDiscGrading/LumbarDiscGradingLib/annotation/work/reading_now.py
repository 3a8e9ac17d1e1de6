"""The mark "being read by": each reader's own file, which counts no longer when its program is gone."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..log.events import is_time
from ..storage.documents import parse_json
from ..storage.durable_files import make_folder, read_limited, write_durable
from ..study.cases import is_case_name

MARK_NAME = "reading-now.json"
STALE_SECONDS = 300.0
"""A mark that was not renewed for so long no longer counts."""

_LARGEST_MARK_BYTES = 4096
_QUERY_LIMITED_INFORMATION, _STILL_ACTIVE = 0x1000, 259
"""Of Windows: the right to ask whether a process runs, and the answer that it does."""


@dataclass(frozen=True)
class Mark:
    """A case that is open in a window.

    Attributes
    ----------
    case : str
    round : int
    window : str
        Tells the windows of a reader apart; empty in marks of older versions.
    since : str
        When the case was opened, as events write it; empty where that is not known.
    """

    case: str
    round: int = 1
    window: str = ""
    since: str = ""


def set_mark(reader_folder: Path, mark: Mark) -> None:
    """Say that a reader has a case open; to be called again at least every `STALE_SECONDS`.

    A mark is a courtesy to other readers: where it cannot be written, nothing is said.
    """
    content = {"case": mark.case, "round": mark.round, "window": mark.window, "since": mark.since}
    content |= {"computer": _computer(), "process": os.getpid()}
    with contextlib.suppress(StudyError):
        make_folder(reader_folder)
        write_durable(reader_folder / MARK_NAME, json.dumps(content).encode("utf-8"))


def remove_mark(reader_folder: Path, window: str) -> None:
    """Say that a window has no case open; the mark of another window stays."""
    mark = read_mark(reader_folder)
    if mark is None or mark.window == window:
        with contextlib.suppress(OSError):
            (reader_folder / MARK_NAME).unlink(missing_ok=True)


def read_mark(reader_folder: Path) -> Mark | None:
    """Return what a reader has open now.

    Returns
    -------
    Mark or None
        None where there is none, where it was not renewed in time, and where the program that set it has ended on
        this computer.
    """
    path = reader_folder / MARK_NAME
    try:
        if time.time() - path.lstat().st_mtime > STALE_SECONDS:
            return None
        content = parse_json(read_limited(path, _LARGEST_MARK_BYTES), str(path))
    except (OSError, StudyError):
        return None
    if not isinstance(content, dict) or _has_ended(content):
        return None
    case, number, window, since = (content.get(key) for key in ("case", "round", "window", "since"))
    if not isinstance(case, str) or not is_case_name(case):
        return None
    return Mark(
        case,
        number if type(number) is int else 1,
        window if isinstance(window, str) else "",
        since if isinstance(since, str) and is_time(since) else "",
    )


def open_in_another_window(reader_folder: Path, case_id: str, round_number: int, window: str) -> Mark | None:
    """Return the mark of another window in which the same reader has the same reading open, None where there is none.

    Where a mark counts though its program was killed on another computer, the reader hears of a window that is not
    there any more, for `STALE_SECONDS` at most.
    """
    mark = read_mark(reader_folder)
    same = mark is not None and (mark.case, mark.round) == (case_id, round_number) and mark.window != window
    return mark if same else None


@functools.cache
def _computer() -> str:
    """Return what tells this computer from others without naming it: a study may be passed on."""
    return hashlib.sha256(f"{platform.node()} {uuid.getnode()}".encode()).hexdigest()[:16]


def _has_ended(content: dict[str, Any]) -> bool:
    process = content.get("process")
    if content.get("computer") != _computer() or type(process) is not int or not 0 < process < 1 << 31:
        return False
    return not _is_running(process)


def _is_running(process: int) -> bool:
    """Whether a process of this computer runs."""
    if os.name == "nt":
        return _is_running_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it runs, under another user
    return True


def _is_running_on_windows(process: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, process)
    if not handle:
        return False
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not known or code.value == _STILL_ACTIVE
