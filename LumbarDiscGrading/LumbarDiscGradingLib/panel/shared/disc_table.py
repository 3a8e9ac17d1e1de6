"""What the tables of discs in both tabs have in common."""

from __future__ import annotations

from typing import Any


def color_chip(color: tuple[int, int, int]) -> Any:
    """Return a square of an RGB color (0-255) for a table."""
    import qt

    pixmap = qt.QPixmap(14, 14)
    pixmap.fill(qt.QColor(*color))
    icon = qt.QIcon(pixmap)
    icon.addPixmap(pixmap, qt.QIcon.Selected)  # else the colour is tinted in the selected row
    return icon
