"""The table of disagreements: in what A and B differ on each disc, and what was decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from ....annotation.protocol import Task
from ....annotation.work.adjudication import Adjudication
from ....pfirrmann import DISC_LABELS, ROMAN_GRADES, group_of_grade
from ...shared.disc_table import color_chip, set_up_columns

LEVEL, DIFFERENCE, READING_A, READING_B, DECISION = range(5)


class DisagreementTable:
    """Shows the disagreements of an adjudication; one disc is selected.

    Parameters
    ----------
    ui : object
        The section's widgets by name.
    selected : callable
        Called after another disc was selected; told whether the user did it.
    """

    def __init__(self, ui: Any, selected: Callable[[bool], None]) -> None:
        self.ui, self._selected = ui, selected
        self.work: Adjudication | None = None
        self._showing = False
        self._set_up()
        ui.disagreementTable.connect("itemSelectionChanged()", self._row_selected)

    @property
    def level(self) -> str | None:
        """Level of the selected disc."""
        row = self.ui.disagreementTable.currentRow()
        return self.work.levels[row] if self.work is not None and 0 <= row < len(self.work.levels) else None

    def show(self, work: Adjudication | None) -> None:
        """Show a work, or none; the selected disc stays selected."""
        level = self.level if work is self.work else None
        self.work = work
        self._showing = True
        table = self.ui.disagreementTable
        table.rowCount = len(work.levels) if work is not None else 0
        for row in range(table.rowCount):
            self._fill_row(row, work.levels[row])
        if level is not None:
            table.selectRow(work.levels.index(level))
        self._fit_height()
        self._showing = False

    def select(self, level: str) -> None:
        """Select a disc."""
        self._showing = True
        self.ui.disagreementTable.selectRow(self.work.levels.index(level))
        self._showing = False
        self._selected(False)

    def step(self, step: int) -> None:
        """Select the next or the previous disc."""
        if self.work is not None and self.level is not None:
            row = (self.work.levels.index(self.level) + step) % len(self.work.levels)
            self.ui.disagreementTable.selectRow(row)

    def sentence(self, level: str) -> str:
        """Say in words in what A and B differ on a disc."""
        return _("{level}: {difference}").format(level=level, difference=self._difference(level).replace("\n", ", "))

    def accept_text(self, level: str, letter: str, chosen: bool) -> str:
        """Return the text of the button that accepts a reading."""
        text = _("Accept {letter}: {reading}").format(letter=letter, reading=self._reading(level, letter))
        return f"\N{CHECK MARK} {text}" if chosen else text

    def _set_up(self) -> None:
        table = self.ui.disagreementTable
        titles = (_("Level"), _("Difference"), "A", "B", _("Decision"))
        set_up_columns(table, titles, DECISION, 2 * table.fontMetrics().height() + 8)
        self._fit_height()

    def _fit_height(self) -> None:
        table = self.ui.disagreementTable
        line = table.fontMetrics().height()
        table.horizontalHeader().setFixedHeight(line + 10)
        table.setFixedHeight(line + 12 + max(table.rowCount, 1) * (2 * line + 8) + 2 * table.frameWidth)

    def _fill_row(self, row: int, level: str) -> None:
        choice, reason, grade = self.work.decision(level)
        disagreement = self.work.disagreement(level)
        texts = {
            LEVEL: level,
            DIFFERENCE: self._difference(level),
            READING_A: self._reading(level, "A", short=True),
            READING_B: self._reading(level, "B", short=True),
            DECISION: self._decision(choice, reason, grade),
        }
        grades = {READING_A: disagreement.first, READING_B: disagreement.second, DECISION: grade}
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(reason if column == DECISION and reason else text)
            if self.work.item.task is Task.GRADES and grades.get(column):
                item.setIcon(color_chip(group_of_grade(grades[column]).color))
            self.ui.disagreementTable.setItem(row, column, item)

    def _difference(self, level: str) -> str:
        found = self.work.disagreement(level)
        if found.overlap is None:
            return _(found.reason)
        if found.overlap.conflict:
            return _("level conflict\nalso {level}").format(level=found.overlap.conflict)
        if found.overlap.surface_mm is None:
            return _("not in both")
        if not self.work.case.scale_known:
            return found.reason
        return _("{reason}\n{mm:.1f} mm apart").format(reason=found.reason, mm=found.overlap.surface_mm)

    def _reading(self, level: str, letter: str, short: bool = False) -> str:
        work = self.work
        if work.item.task is Task.GRADES:
            found = work.disagreement(level)
            return _grade_text(found.first if letter == "A" else found.second, short)
        labels = work.masks_a if letter == "A" else work.masks_b
        voxels = int(np.count_nonzero(labels == DISC_LABELS[level]))
        if not voxels:
            return _("none") if short else _("no disc")
        if not work.case.scale_known:
            return _("drawn")
        return _("{volume:.1f} ml").format(volume=voxels * float(np.prod(work.volume.spacing_mm)) / 1000)

    def _decision(self, choice: str, reason: str, grade: int | None) -> str:
        if not choice:
            return "\N{WHITE CIRCLE} " + _("open")
        name = _("own") if choice == "own" else choice
        text = name if grade is None else f"{name}: {_grade_text(grade, short=True)}"
        return f"\N{CHECK MARK} {text}" if reason else f"\N{BLACK CIRCLE} {text}\n" + _("reason missing")

    def _row_selected(self) -> None:
        if not self._showing:
            self._selected(True)


def _grade_text(grade: int | None, short: bool = False) -> str:
    if grade is None:
        return _("no grade")
    if not grade:
        return _("not assess.") if short else _("not assessable")
    return ROMAN_GRADES[grade]
