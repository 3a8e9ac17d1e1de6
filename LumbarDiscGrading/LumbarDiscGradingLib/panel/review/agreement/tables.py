"""The tables of the section Agreement: by level, confusion of grades, time per case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ....annotation.agreement.agreement import (
    ALL_LEVELS,
    COLOR,
    GradeAgreement,
    MaskAgreement,
    Pair,
    ReadingTime,
    StudyAgreement,
    duration_text,
    interval_text,
)
from ....pfirrmann import ROMAN_GRADES

STRONGEST_SHADE = 170
"""Opacity, 0-255, of the colour in the confusion table: the more discs, the stronger."""


def show_pair(ui: Any, pair: Pair, agreement: StudyAgreement) -> None:
    """Fill the section's tables with one pair, and the time of all readers."""
    grades = [found for found in pair if isinstance(found, GradeAgreement)]
    masks = [found for found in pair if isinstance(found, MaskAgreement)]
    if grades:
        ui.agreementSummaryLabel.text = _grade_summary(grades[0])
        titles = (_("Level"), _("Discs"), _("Weighted kappa (95%)"), _("Same grade"))
        rows = [_grade_row(found) for found in grades]
    else:
        ui.agreementSummaryLabel.text = _mask_summary(masks[0])
        titles = (_("Level"), _("Discs"), _("Dice (quartiles)"), _("Distance mm"))
        rows = [_mask_row(found) for found in masks]
    ui.agreementSummaryLabel.text = "\n".join((ui.agreementSummaryLabel.text, *agreement.remarks))
    _fill(ui.agreementTable, titles, rows)
    tips = _grade_tips(grades) if grades else [_("Average symmetric surface distance: median and quartiles.")]
    for row in range(len(rows)):
        for column in (2, 3):
            ui.agreementTable.item(row, column).setToolTip(tips[row % len(tips)])
    ui.confusionLabel.visible = ui.confusionTable.visible = bool(grades)
    if grades:
        _show_confusion(ui, grades[0])
    known = agreement.known_times()
    ui.timesLabel.visible = ui.timesTable.visible = bool(known)
    titles = (_("Reader"), _("Task"), _("Cases"), _("Time"))
    _fill(ui.timesTable, titles, [_time_row(time) for time in known])


def _show_confusion(ui: Any, every: GradeAgreement) -> None:

    ui.confusionLabel.text = _("Discs by grade: {first} in rows, {second} in columns").format(
        first=_("first reading") if every.repeated else every.first,
        second=_("second reading") if every.repeated else every.second,
    )
    names = list(ROMAN_GRADES.values())
    rows = [(name, *row) for name, row in zip(names, every.table, strict=True)]
    _fill(ui.confusionTable, ("", *names), rows, equal=True)
    largest = max(max(row) for row in every.table) or 1
    for i, row in enumerate(every.table):
        for j, count in enumerate(row):
            item = ui.confusionTable.item(i, j + 1)
            item.setTextAlignment(qt.Qt.AlignCenter)
            strength = round(STRONGEST_SHADE * math.sqrt(count / largest))
            item.setBackground(qt.QBrush(qt.QColor(*COLOR, strength)))
            if i == j:
                font = item.font()
                font.setBold(True)
                item.setFont(font)


def pair_text(pair: Pair) -> str:
    """Return whose agreement it is and in what."""
    every = pair[0]
    what = _("Grades") if isinstance(every, GradeAgreement) else _("Masks")
    if every.repeated:
        return _("{what}: {reader}, repeated").format(what=what, reader=every.first)
    return _("{what}: {first} and {second}").format(what=what, first=every.first, second=every.second)


def _grade_summary(every: GradeAgreement) -> str:

    text = _("{discs} discs of {patients} patients, {share:.0f}% the same grade").format(
        discs=every.discs, patients=every.patients, share=100 * every.agreed_share
    )
    if every.not_assessable:
        text += _(", {count} not assessable").format(count=every.not_assessable)
    return text


def _mask_summary(every: MaskAgreement) -> str:

    text = _("{discs} discs").format(discs=every.discs)
    if every.only_one:
        text += _(", {count} drawn by one reader only").format(count=every.only_one)
    if every.conflicts:
        text += _(", {count} named differently").format(count=every.conflicts)
    return text


def _grade_row(found: GradeAgreement) -> tuple[str, ...]:
    share = f"{100 * found.agreed_share:.0f}%" if math.isfinite(found.agreed_share) else "-"
    return _level(found.level), str(found.discs), interval_text(found.interval), share


def _grade_tips(pair: Sequence[GradeAgreement]) -> list[str]:

    text = _("Quadratic weighted kappa; linear: {linear}. Intervals by bootstrap over patients.")
    return [text.format(linear=interval_text(found.kappa_linear.with_ends)) for found in pair]


def _mask_row(found: MaskAgreement) -> tuple[str, ...]:
    distance = interval_text(found.surface_mm.interval, digits=1)
    return _level(found.level), str(found.discs), interval_text(found.interval), distance


def _time_row(time: ReadingTime) -> tuple[str, ...]:

    text = "{} ({}, {})".format(*map(duration_text, time.seconds.interval))
    return time.reader, _(time.task.value), str(time.seconds.count), text


def _level(level: str) -> str:

    return _("all") if level == ALL_LEVELS else level


def _fill(table: Any, titles: Sequence[str], rows: Sequence[Sequence[Any]], equal: bool = False) -> None:
    """Write texts into a table as high as its rows; the last column takes the width that is left, or all equally."""
    table.columnCount, table.rowCount = len(titles), len(rows)
    header = table.horizontalHeader()
    for column, title in enumerate(titles):
        table.setHorizontalHeaderItem(column, qt.QTableWidgetItem(title))
        stretched = equal or column == len(titles) - 1
        header.setSectionResizeMode(column, qt.QHeaderView.Stretch if stretched else qt.QHeaderView.ResizeToContents)
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.setItem(row, column, qt.QTableWidgetItem(str(text)))
    header.setHighlightSections(False)
    table.verticalHeader().visible = False
    line = table.fontMetrics().height() + 8
    table.verticalHeader().setDefaultSectionSize(line)
    header.setFixedHeight(line + 2)
    table.setFixedHeight(line + 2 + len(rows) * line + 2 * table.frameWidth)
