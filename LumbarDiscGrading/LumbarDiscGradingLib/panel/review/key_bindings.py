"""Which key calls what on the reading screen: in the whole main window, but only while a case is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer


class KeyBindings:
    """Keys that do something, in groups that are switched on and off.

    The Segment Editor binds digits, Space, Esc and letters of its own on the main window while a mask is edited, and a
    key that is bound twice works for nobody: what may clash is on only while no mask is edited.

    Parameters
    ----------
    widget : QWidget
        Of the panel; used where there is no main window.
    actions : mapping
        By group: what is called, by key.
    """

    def __init__(self, widget: Any, actions: Mapping[str, Mapping[str, Callable[[], Any]]]) -> None:
        self._shortcuts: dict[str, list[Any]] = {}
        parent = slicer.util.mainWindow() or widget
        for group, keys in actions.items():
            self._shortcuts[group] = []
            for key, action in keys.items():
                shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
                shortcut.connect("activated()", action)
                shortcut.enabled = False
                self._shortcuts[group].append(shortcut)

    def enable(self, *groups: str) -> None:
        """Switch these groups on and the others off."""
        for group, shortcuts in self._shortcuts.items():
            for shortcut in shortcuts:
                shortcut.enabled = group in groups

    def close(self) -> None:
        """Take all keys from the main window."""
        self.enable()
        for shortcuts in self._shortcuts.values():
            for shortcut in shortcuts:
                shortcut.setParent(None)
                shortcut.deleteLater()
        self._shortcuts = {}
