"""Draws the probabilities of the three groups as one stacked bar in a table cell."""

from __future__ import annotations

import qt

from ...pfirrmann import GROUPS

PROBABILITIES_ROLE = 256
"""Qt::UserRole: the cell's probabilities as text, `0.10 0.20 0.70`."""
NUMBER_WIDTH_PX = 36
BAR_HEIGHT_PX = 10


class ProbabilityBars(qt.QStyledItemDelegate):
    """A bar parted by the groups in their colours, mild first, and the largest probability beside it.

    A cell without probabilities shows its text, the last word of it where there is no room for all.
    """

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
        if values:
            self._draw_bar(painter, cell, values)
        else:
            said = index.data() or ""
            fits = painter.fontMetrics().boundingRect(said).width() <= cell.width()
            painter.drawText(cell, int(_CENTER), said if fits or not said else said.split()[-1])
        painter.restore()

    @staticmethod
    def _draw_bar(painter: qt.QPainter, cell: qt.QRect, values: list[float]) -> None:
        left, room = cell.left() + 4.0, cell.width() - NUMBER_WIDTH_PX - 8.0
        top = cell.top() + (cell.height() - BAR_HEIGHT_PX) / 2
        for group, value in zip(GROUPS, values, strict=True):
            painter.fillRect(qt.QRectF(left, top, room * value, BAR_HEIGHT_PX), qt.QColor(*group.color))
            left += room * value
        number = qt.QRectF(cell.right() - NUMBER_WIDTH_PX - 2, cell.top(), NUMBER_WIDTH_PX, cell.height())
        painter.drawText(number, int(_RIGHT), f"{100 * max(values):.0f}%")


_RIGHT = 0x0002 | 0x0080
"""Qt::AlignRight | Qt::AlignVCenter as the number that drawText takes."""
_CENTER = 0x0004 | 0x0080
"""Qt::AlignHCenter | Qt::AlignVCenter, likewise."""
