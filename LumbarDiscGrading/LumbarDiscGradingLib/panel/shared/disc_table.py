"""What the tables of discs in both tabs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt


def color_chip(color: tuple[int, int, int]) -> Any:
    """Return a square of an RGB color (0-255) for a table."""
    pixmap = qt.QPixmap(14, 14)
    pixmap.fill(qt.QColor(*color))
    icon = qt.QIcon(pixmap)
    icon.addPixmap(pixmap, qt.QIcon.Selected)  # else the colour is tinted in the selected row
    return icon


def set_up_columns(table: Any, titles: Sequence[str], stretched: int, row_px: int, fitted: bool = True) -> None:
    """Give a table its columns; rows have no titles.

    Parameters
    ----------
    stretched : int
        The column that takes the room which the others leave.
    row_px : int
        Height of a row.
    fitted : bool
        Whether the others are as wide as their texts, else as wide as the user wants.
    """
    header, modes = table.horizontalHeader(), qt.QHeaderView
    table.columnCount = len(titles)
    for column, title in enumerate(titles):
        table.setHorizontalHeaderItem(column, qt.QTableWidgetItem(title))
        other = modes.ResizeToContents if fitted else modes.Interactive
        header.setSectionResizeMode(column, modes.Stretch if column == stretched else other)
    header.setHighlightSections(False)
    table.verticalHeader().visible = False
    table.verticalHeader().setDefaultSectionSize(row_px)
