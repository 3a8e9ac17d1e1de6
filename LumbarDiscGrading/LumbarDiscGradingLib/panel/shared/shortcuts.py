"""Keys of a panel: they count while it has the focus, and never while something is chosen in a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


def bind(widget: Any, key: str, action: Callable[[], Any]) -> Any:
    """Return a QShortcut that does something while a widget or a part of it has the focus.

    Nothing is taken from the main window, nothing is repeated while the key is held, and in a combo box keys choose.
    """
    shortcut = qt.QShortcut(qt.QKeySequence(key), widget)
    shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
    shortcut.setAutoRepeat(False)
    shortcut.connect("activated()", lambda: None if _is_choosing() else action())
    return shortcut


def _is_choosing() -> bool:
    focus = qt.QApplication.focusWidget()
    return focus is not None and focus.inherits("QComboBox")
