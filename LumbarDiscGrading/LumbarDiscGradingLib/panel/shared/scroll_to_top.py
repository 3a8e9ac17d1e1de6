"""Scrolling Slicer's module panel so that a part of ours is seen from its top."""

from __future__ import annotations

from typing import Any

import qt


def scroll_to_top(widget: Any) -> None:
    """Scroll the area that a widget lies in, if any, so far that the widget is at its top; its layout must be done."""
    area = widget.parent()
    while area is not None and not isinstance(area, qt.QScrollArea):
        area = area.parent()
    if area is not None:
        area.verticalScrollBar().setValue(widget.mapTo(area.widget(), qt.QPoint(0, 0)).y())
