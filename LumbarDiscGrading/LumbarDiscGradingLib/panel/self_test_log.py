"""What Slicer's application log says of faults since a moment: tracebacks, Qt's warnings, PythonQt's complaints."""

from __future__ import annotations

import re
from typing import Any

import slicer

LEVEL_COLUMN, ORIGIN_COLUMN = 2, 3
"""Of `ctkErrorLogAbstractModel`; the whole text of an entry is its ``logEntryDescription``."""
BAD_LEVELS = ("Warning", "Error", "Critical", "Fatal")
TRACEBACK = "Traceback (most recent call last)"
PYTHONQT = re.compile(r"^PythonQt: .*", re.MULTILINE)
"""A signal that does not exist is told on the error stream, not by an exception (`PythonQtStdDecorators.cpp`)."""

WITHOUT_WINDOW = ("QShortcut: No widget parent defined",)
"""Warnings of Qt that are Slicer's own where there is no main window: its Segment Editor binds its keys to that window
all the same (`qMRMLSegmentEditorWidget::installKeyboardShortcuts`). With a window they count."""


class LogWatch:
    """Finds the faults in Slicer's application log that were added since it was made.

    An entry that follows another one within a second is appended to it by the log, so that the length of the last
    text counts too.

    Parameters
    ----------
    log : ctkErrorLogAbstractModel
        As `slicer.app.errorLogModel()` gives it.

    Examples
    --------
    >>> watch = LogWatch(slicer.app.errorLogModel())  # doctest: +SKIP
    >>> watch.faults()  # doctest: +SKIP
    []
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._count = log.logEntryCount()
        self._length = len(log.logEntryDescription(self._count - 1)) if self._count else 0

    def faults(self) -> list[str]:
        """Return the text of each fault that was added."""
        found = []
        for row, text in self._added():
            if TRACEBACK in text:
                found.append(text)
                continue
            found += PYTHONQT.findall(text)
            if self._cell(row, ORIGIN_COLUMN) == "Qt" and self._cell(row, LEVEL_COLUMN) in BAD_LEVELS:
                lines = [line for line in text.splitlines() if not PYTHONQT.match(line)]
                found += [f"Qt: {line}" for line in lines if line.strip() and not _is_foreign(line)]
        return found

    def _added(self) -> list[tuple[int, str]]:
        """Return row and text of each entry that was added, of the one that was the last only what was appended."""
        first = max(self._count - 1, 0)
        texts = [(row, self._log.logEntryDescription(row)) for row in range(first, self._log.logEntryCount())]
        if texts and self._count:
            texts[0] = (first, texts[0][1][self._length :])
        return texts

    def _cell(self, row: int, column: int) -> str:
        source = self._log.sourceModel  # the log itself hides what its window filters away
        source = source() if callable(source) else source
        return str(source.data(source.index(row, column)) or "")


def _is_foreign(line: str) -> bool:
    return line in WITHOUT_WINDOW and slicer.app.layoutManager() is None
