"""Stand-in for `slicer.app.errorLogModel()`: what Qt, Python and PythonQt have to say, as Slicer's log keeps it."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from typing import Any

from PySide6 import QtCore, QtGui

TEXT_ROLE = QtCore.Qt.UserRole + 1
QT_LEVELS = {
    QtCore.QtMsgType.QtDebugMsg: "Debug",
    QtCore.QtMsgType.QtInfoMsg: "Info",
    QtCore.QtMsgType.QtWarningMsg: "Warning",
    QtCore.QtMsgType.QtCriticalMsg: "Critical",
    QtCore.QtMsgType.QtFatalMsg: "Fatal",
}
OFFSCREEN = "This plugin does not support propagateSizeHints()"
"""What Qt says of the platform without a screen, on which no Slicer runs."""
GROUPED_MS = 1000


class _Handler(logging.Handler):
    def __init__(self, post: Any) -> None:
        super().__init__()
        self._post = post

    def emit(self, record: logging.LogRecord) -> None:
        self._post(record.levelname.capitalize(), "Python", self.format(record))


class ErrorLogModel(QtCore.QSortFilterProxyModel):
    """As ctkErrorLogAbstractModel: time, thread, level, origin and description; the whole text by row.

    What follows within a second from the same thread, level and origin is appended to the entry before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._items = QtGui.QStandardItemModel()
        self.setSourceModel(self._items)
        self._handler = _Handler(self.post)
        logging.getLogger().addHandler(self._handler)
        self._former_hook, sys.excepthook = sys.excepthook, self._exception
        self._hook = sys.excepthook
        self._former_qt = QtCore.qInstallMessageHandler(self._qt_message)

    def logEntryCount(self) -> int:
        return self._items.rowCount()

    def logEntryDescription(self, row: int) -> str:
        return str(self._items.data(self._items.index(row, 4), TEXT_ROLE) or "")

    def post(self, level: str, origin: str, text: str) -> None:
        """Add an entry."""
        now, thread = QtCore.QDateTime.currentDateTime(), threading.current_thread().name
        last = self._items.rowCount() - 1
        facts = [self._items.data(self._items.index(last, column)) for column in (1, 2, 3)] if last >= 0 else []
        if facts == [thread, level, origin] and self._time.msecsTo(now) <= GROUPED_MS:
            joined = f"{self.logEntryDescription(last)}\n{text}"
            self._items.setData(self._items.index(last, 4), joined, TEXT_ROLE)
            return
        self._time = now
        row = [QtGui.QStandardItem(cell) for cell in (now.toString("dd.MM.yyyy hh:mm:ss"), thread, level, origin)]
        description = QtGui.QStandardItem(text[:160])
        description.setData(text, TEXT_ROLE)
        self._items.appendRow([*row, description])

    def close(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        if sys.excepthook == self._hook:
            sys.excepthook = self._former_hook
        QtCore.qInstallMessageHandler(self._former_qt)

    def _exception(self, kind: type, error: BaseException, trace: Any) -> None:
        """Python prints it on its error stream, which Slicer's log takes up."""
        self.post("Critical", "Stream", "".join(traceback.format_exception(kind, error, trace)))
        self._former_hook(kind, error, trace)

    def _qt_message(self, kind: Any, context: Any, text: str) -> None:
        if text == OFFSCREEN:
            return
        origin = "Stream" if text.startswith("PythonQt:") else "Qt"  # PythonQt uses the error stream
        self.post(QT_LEVELS[kind], origin, text)
        print(text, file=sys.stderr)
