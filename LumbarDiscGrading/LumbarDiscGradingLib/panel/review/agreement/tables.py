"""The tables of the section Agreement: by level, confusion of grades, time per case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....annotation.agreement.agreement import (
    ALL_LEVELS,
    GradeAgreement,
    MaskAgreement,
    ReadingTime,
    Spread,
    StudyAgreement,
)
from ....measures.kappa import Estimate
from ....pfirrmann import ROMAN_GRADES

Pair = Sequence[GradeAgreement] | Sequence[MaskAgreement]
"""Agreement of two readers, or of a reader with the own repeat: all levels together, then each level."""

SHADE = (0, 114, 178)
"""RGB, 0-255, of the confusion table: the more discs, the stronger."""
STRONGEST_SHADE, LONG_SECONDS = 170, 120.0


class AgreementTables:
    """Fills the tables.

    Parameters
    ----------
    ui : object
        The section's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui

    def show(self, pair: Pair, times: Sequence[ReadingTime]) -> None:
        """Show one pair, and the time of all readers."""
        from slicer.i18n import tr as _

        ui = self.ui
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
        _fill(ui.agreementTable, titles, rows)
        tips = _grade_tips(grades) if grades else [_("Average symmetric surface distance: median and quartiles.")]
        for row in range(len(rows)):
            for column in (2, 3):
                ui.agreementTable.item(row, column).setToolTip(tips[row % len(tips)])
        ui.confusionLabel.visible = ui.confusionTable.visible = bool(grades)
        if grades:
            self._show_confusion(grades[0])
        known = [time for time in times if time.seconds.count]
        ui.timesLabel.visible = ui.timesTable.visible = bool(known)
        titles = (_("Reader"), _("Task"), _("Cases"), _("Time"))
        _fill(ui.timesTable, titles, [_time_row(time) for time in known])

    def _show_confusion(self, every: GradeAgreement) -> None:
        import qt
        from slicer.i18n import tr as _

        repeated = every.first == every.second
        self.ui.confusionLabel.text = _("Discs by grade: {first} in rows, {second} in columns").format(
            first=_("first reading") if repeated else every.first,
            second=_("second reading") if repeated else every.second,
        )
        names = list(ROMAN_GRADES.values())
        rows = [(name, *row) for name, row in zip(names, every.table, strict=True)]
        _fill(self.ui.confusionTable, ("", *names), rows, equal=True)
        largest = max(max(row) for row in every.table) or 1
        for i, row in enumerate(every.table):
            for j, count in enumerate(row):
                item = self.ui.confusionTable.item(i, j + 1)
                item.setTextAlignment(qt.Qt.AlignCenter)
                strength = round(STRONGEST_SHADE * math.sqrt(count / largest))
                item.setBackground(qt.QBrush(qt.QColor(*SHADE, strength)))
                if i == j:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)


def pairs_of(agreement: StudyAgreement) -> list[Pair]:
    """Return the pairs of readers of which anything was compared: grades, masks, then repeats."""
    pairs: list[list[Any]] = []
    compared: list[GradeAgreement | MaskAgreement] = [*agreement.grades, *agreement.masks]
    for found in [*compared, *agreement.repeated_grades, *agreement.repeated_masks]:
        if found.level == ALL_LEVELS:
            pairs.append([])
        pairs[-1].append(found)
    return [pair for pair in pairs if _count(pair[0])]


def pair_text(pair: Pair) -> str:
    """Return whose agreement it is and in what."""
    from slicer.i18n import tr as _

    every = pair[0]
    what = _("Grades") if isinstance(every, GradeAgreement) else _("Masks")
    if every.first == every.second:
        return _("{what}: {reader}, repeated").format(what=what, reader=every.first)
    return _("{what}: {first} and {second}").format(what=what, first=every.first, second=every.second)


def _count(found: GradeAgreement | MaskAgreement) -> int:
    return found.discs if isinstance(found, GradeAgreement) else found.dice.count


def _grade_summary(every: GradeAgreement) -> str:
    from slicer.i18n import tr as _

    text = _("{discs} discs of {patients} patients, {share:.0f}% the same grade").format(
        discs=every.discs, patients=every.patients, share=100 * every.agreed_share
    )
    if every.not_assessable:
        text += _(", {count} not assessable").format(count=every.not_assessable)
    return text


def _mask_summary(every: MaskAgreement) -> str:
    from slicer.i18n import tr as _

    text = _("{discs} discs").format(discs=every.dice.count)
    if every.only_one:
        text += _(", {count} drawn by one reader only").format(count=every.only_one)
    if every.conflicts:
        text += _(", {count} named differently").format(count=every.conflicts)
    return text


def _grade_row(found: GradeAgreement) -> tuple[str, ...]:
    share = f"{100 * found.agreed_share:.0f}%" if math.isfinite(found.agreed_share) else "-"
    return _level(found.level), str(found.discs), _interval(found.kappa_quadratic), share


def _grade_tips(pair: Sequence[GradeAgreement]) -> list[str]:
    from slicer.i18n import tr as _

    text = _("Quadratic weighted kappa; linear: {linear}. Intervals by bootstrap over patients.")
    return [text.format(linear=_interval(found.kappa_linear)) for found in pair]


def _mask_row(found: MaskAgreement) -> tuple[str, ...]:
    return _level(found.level), str(found.dice.count), _quartiles(found.dice, 2), _quartiles(found.surface_mm, 1)


def _time_row(time: ReadingTime) -> tuple[str, ...]:
    from slicer.i18n import tr as _

    def short(seconds: float) -> str:
        return f"{seconds:.0f} s" if seconds < LONG_SECONDS else f"{seconds / 60:.1f} min"

    s = time.seconds
    text = f"{short(s.median)} ({short(s.lower_quartile)}, {short(s.upper_quartile)})"
    return time.reader, _(time.task.value), str(s.count), text


def _level(level: str) -> str:
    from slicer.i18n import tr as _

    return _("all") if level == ALL_LEVELS else level


def _interval(estimate: Estimate) -> str:
    if not math.isfinite(estimate.value):
        return "-"
    if not math.isfinite(estimate.low):
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f}, {estimate.high:.2f})"


def _quartiles(spread: Spread, digits: int) -> str:
    if not spread.count:
        return "-"
    numbers = (f"{value:.{digits}f}" for value in (spread.median, spread.lower_quartile, spread.upper_quartile))
    return "{} ({}, {})".format(*numbers)


def _fill(table: Any, titles: Sequence[str], rows: Sequence[Sequence[Any]], equal: bool = False) -> None:
    """Write texts into a table as high as its rows; the last column takes the width that is left, or all equally."""
    import qt

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
