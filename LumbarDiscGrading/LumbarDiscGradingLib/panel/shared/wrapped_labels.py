"""Labels whose text wraps get the height that it takes, wherever a layout gives them only their least."""

from __future__ import annotations

from typing import Any

import qt


class WrappedLabels(qt.QObject):
    """Keeps the least height of word-wrapped labels at what their text needs at their width.

    A section that folds its content away asks for its least height alone, in which a wrapped label counts as one line,
    and what stands below is then drawn over it.
    """

    def __init__(self, *labels: Any) -> None:
        super().__init__()
        self._labels = labels
        self._fitted: dict[Any, tuple[str, int]] = {}
        for label in labels:
            label.installEventFilter(self)

    def fit(self) -> None:
        """Give each label its height; after a text was set."""
        for label in self._labels:
            self._fit(label)

    def release(self) -> None:
        """Let go of the labels."""
        for label in self._labels:
            label.removeEventFilter(self)
        self._labels, self._fitted = (), {}

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Follow a label's width."""
        if event.type() == qt.QEvent.Resize:
            self._fit(watched)
        return False

    def _fit(self, label: Any) -> None:
        now = label.text, label.width
        if self._fitted.get(label) == now:
            return
        self._fitted[label] = now
        label.setMinimumHeight(0)  # the height that is asked for is never less than the least one
        label.setMinimumHeight(max(0, label.heightForWidth(label.width)) if label.text else 0)
