"""The mark "being read by": each reader's own file, which goes stale by itself when its program is gone."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from .cases import is_case_name
from .documents import parse_json
from .durable_files import make_folder, read_limited
from .errors import StudyError

MARK_NAME = "reading-now.json"
STALE_SECONDS = 300.0
"""A mark that was not renewed for so long no longer counts."""

_LARGEST_MARK_BYTES = 4096


def set_mark(reader_folder: Path, case_id: str) -> None:
    """Say that a reader has a case open; to be called again at least every `STALE_SECONDS`.

    A mark is a courtesy to other readers: where it cannot be written, nothing is said.
    """
    with contextlib.suppress(OSError, StudyError):
        make_folder(reader_folder)
        path = reader_folder / MARK_NAME
        temporary = path.with_name(f".{MARK_NAME}.{os.getpid()}")
        temporary.write_text(json.dumps({"case": case_id}), encoding="utf-8")
        os.replace(temporary, path)


def remove_mark(reader_folder: Path) -> None:
    """Say that a reader has no case open."""
    with contextlib.suppress(OSError):
        (reader_folder / MARK_NAME).unlink(missing_ok=True)


def marked_case(reader_folder: Path, reference: Path | None = None) -> str | None:
    """Return the case that a reader has open now, None for none or a stale mark.

    Parameters
    ----------
    reference : Path, optional
        A file just written on the same disk: its time is taken for now, so that the clocks of a server and of
        this computer may differ.
    """
    path = reader_folder / MARK_NAME
    try:
        current = time.time()
        with contextlib.suppress(OSError):
            current = reference.stat().st_mtime if reference else current
        if current - path.lstat().st_mtime > STALE_SECONDS:
            return None
        content = parse_json(read_limited(path, _LARGEST_MARK_BYTES), str(path))
    except (OSError, StudyError):
        return None
    case = content.get("case") if isinstance(content, dict) else None
    return case if isinstance(case, str) and is_case_name(case) else None
