"""Draws the probabilities of the three groups as bars in a table cell."""

from __future__ import annotations

import qt

from ...pfirrmann import GROUPS

PROBABILITIES_ROLE = 256
"""Qt::UserRole: the cell's probabilities as text, `0.10 0.20 0.70`."""
NUMBER_WIDTH_PX = 32
GAP_PX = 2


class ProbabilityBars(qt.QStyledItemDelegate):
    """A bar in the group's colour and a percentage for each group, mild on top; a cell without them shows its text."""

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Draw one cell."""
        text = index.data(PROBABILITIES_ROLE)
        cell = option.rect
        painter.save()
        if option.state & qt.QStyle.State_Selected:
            painter.fillRect(cell, option.palette.highlight())
            painter.setPen(option.palette.color(qt.QPalette.HighlightedText))
        else:
            painter.setPen(option.palette.color(qt.QPalette.Text))
        values = [float(value) for value in text.split()] if text else []
        if not values:
            painter.drawText(cell, int(_CENTER), index.data() or "")
        font = qt.QFont(option.font)
        font.setPixelSize(max(8, (cell.height() - 6) // 3 - 1))
        painter.setFont(font)
        row = (cell.height() - 6) / 3
        room = cell.width() - NUMBER_WIDTH_PX - 8
        for n, (group, value) in enumerate(zip(GROUPS, values)):  # noqa: B905 - an empty cell has no values
            top = cell.top() + 3 + n * row
            bar = qt.QRectF(cell.left() + 4, top + GAP_PX / 2, max(1.0, room * value), row - GAP_PX)
            painter.fillRect(bar, qt.QColor(*group.color))
            number = qt.QRectF(cell.right() - NUMBER_WIDTH_PX - 2, top, NUMBER_WIDTH_PX, row)
            painter.drawText(number, int(_RIGHT), f"{100 * value:.0f}%")
        painter.restore()


_RIGHT = 0x0002 | 0x0080
"""Qt::AlignRight | Qt::AlignVCenter as the number that drawText takes."""
_CENTER = 0x0004 | 0x0080 | 0x1000
"""Qt::AlignHCenter | Qt::AlignVCenter | Qt::TextWordWrap, likewise."""
