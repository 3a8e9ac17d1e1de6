"""A result as one printed page, written as PDF by Qt's own printer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import qt

from ...atomic import replacing
from ...grading.result import GradingResult
from ...report import overview
from ...report.page import page_html

MARGIN_MM = 12.0
RESOLUTION_DPI = 300
PICTURE_SHARE = 0.55
"""Of the page's height at most; the text has the rest."""
BLACK = "h2, p, li, th, td, b { color: #000000; }"
TEXT_WIDTH_PX = 900
"""Width at which the text is laid out before it is scaled to the page."""


def save_report_page(result: GradingResult, name: str, path: str | os.PathLike[str]) -> None:
    """Write a page with picture, table, changes and doubts as PDF; it appears whole or not at all.

    Parameters
    ----------
    result : GradingResult
    name : str
        Of the volume.
    path : path-like

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "overview.png"
        overview.save(result, picture, footer=False)
        _print(str(picture), page_html(result, name), str(temporary))
        if not temporary.is_file() or not temporary.stat().st_size:
            raise OSError("the page could not be printed")


def _print(picture: str, html: str, path: str) -> None:
    printer = qt.QPrinter(qt.QPrinter.HighResolution)
    printer.setOutputFormat(qt.QPrinter.PdfFormat)
    printer.setOutputFileName(path)
    printer.setResolution(RESOLUTION_DPI)
    printer.setFullPage(True)
    painter = qt.QPainter()
    if not painter.begin(printer):
        raise OSError("the page could not be begun")
    try:
        margin = MARGIN_MM / 25.4 * RESOLUTION_DPI
        width, height = printer.width() - 2 * margin, printer.height() - 2 * margin
        image = qt.QImage(picture)
        scale = min(width / image.width(), PICTURE_SHARE * height / image.height())
        drawn = qt.QRectF(
            margin + (width - scale * image.width()) / 2, margin, scale * image.width(), scale * image.height()
        )
        painter.drawImage(drawn, image)
        _draw_text(
            painter, html, qt.QRectF(margin, margin + drawn.height() * 1.02, width, height - drawn.height() * 1.02)
        )
    finally:
        painter.end()


def _draw_text(painter: Any, html: str, place: Any) -> None:
    """Draw the text as large as it fits."""
    document = qt.QTextDocument()
    document.setDefaultStyleSheet(BLACK)  # whatever the application's palette is
    document.setHtml(html)
    document.setTextWidth(TEXT_WIDTH_PX)
    scale = place.width() / TEXT_WIDTH_PX
    while document.size.height() * scale > place.height():
        document.setTextWidth(1.05 * document.textWidth)  # smaller, and over the whole width still
        scale = place.width() / document.textWidth
    painter.translate(place.left(), place.top())
    painter.scale(scale, scale)
    document.drawContents(painter)
