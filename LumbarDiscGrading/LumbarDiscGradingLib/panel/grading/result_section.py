"""The section Result: the table of discs, linked both ways with the slice views, and how the discs are shown there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from ...grading.missing_places import is_in_image, missing_places, slice_at
from ...grading.result import DiscGrade
from ...pfirrmann import DISC_LABELS, GROUPS, ROMAN_GRADES
from ...report.text import coverage_phrase, is_barely_doubtful, possible_grades, reader_verdict
from ...scene.graded_case import GradedCase
from ...scene.viewed_slice import bring_into_views
from ..shared.disc_table import color_chip
from ..shared.view_clicks import ViewClicks
from .notices_section import CaseState
from .probability_bars import PROBABILITIES_ROLE, ProbabilityBars

LEVEL, GROUP, GRADE, PROBABILITY, HEIGHT, SIGNAL = range(6)
LEAST_ROW_HEIGHT_PX = 18
MISSING_ROLE = PROBABILITIES_ROLE + 1
"""The cell's level, where it was not found."""
HIGHLIGHTED, SUBDUED = 1.0, 0.35
"""Share of the fill's opacity of the selected disc and of the others."""


class ResultSection:
    """Shows a graded case.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    selected : callable
        Called after another disc was selected.
    chosen : callable
        Called with the segmentation of the result that the user chose among several of a volume.
    """

    def __init__(self, ui: Any, selected: Callable[[], None], chosen: Callable[[Any], None]) -> None:
        self.ui, self._selected, self._chosen = ui, selected, chosen
        self.case: GradedCase | None = None
        self.touched = False
        self._state = CaseState()
        self._showing = False
        self._clicks = ViewClicks(self._view_clicked)
        self._bars = ProbabilityBars()
        self._set_up_table()
        ui.resultTable.connect("itemSelectionChanged()", self._row_selected)
        ui.showDiscsCheckBox.connect("toggled(bool)", self._shown_toggled)
        ui.opacitySlider.connect("valueChanged(double)", self._opacity_slid)
        ui.resultComboBox.connect("activated(int)", self._result_chosen)

    def show(
        self,
        case: GradedCase | None,
        level: str | None = None,
        state: CaseState | None = None,
        others: Sequence[Any] = (),
    ) -> None:
        """Show a case, or none, with the disc of a level selected; the one that was selected if none is given.

        Parameters
        ----------
        state : CaseState, optional
            What became of the case since it was graded.
        others : sequence of vtkMRMLSegmentationNode
            Those of all results of the volume, to be chosen from where there are several.
        """
        level = level or self.level or self.missing_level
        self.case, self._state = case, state or CaseState()
        self._showing = True
        self.ui.resultWidget.visible = self.ui.displayWidget.visible = case is not None
        self._list_results(others)
        self._fill_table()
        self._show_summary()
        self._show_display()
        self._showing = False
        self._select(level, show=False)

    @property
    def level(self) -> str | None:
        """Level of the selected disc."""
        row = self.ui.resultTable.currentRow()
        item = self.ui.resultTable.item(row, LEVEL) if row >= 0 and self.ui.resultTable.selectedItems() else None
        return item.data(PROBABILITIES_ROLE) if item is not None else None

    @property
    def missing_level(self) -> str | None:
        """Level of the selected row, where it was not found."""
        table = self.ui.resultTable
        item = table.item(table.currentRow(), LEVEL) if table.selectedItems() else None
        return item.data(MISSING_ROLE) if item is not None else None

    def select(self, level: str | None) -> None:
        """Select the disc of a level, as a click on its row does."""
        self._select(level, show=True)

    def step(self, rows: int) -> None:
        """Select the row that lies so many below the selected one; the first or the last where none is."""
        table = self.ui.resultTable
        if table.rowCount:
            row = table.currentRow() + rows if table.selectedItems() else (0 if rows > 0 else table.rowCount - 1)
            table.selectRow(min(max(row, 0), table.rowCount - 1))

    def watch_views(self) -> None:
        """Select a disc when it is clicked in a slice view."""
        self._clicks.watch()

    def leave_views(self) -> None:
        """Stop watching the slice views."""
        self._clicks.leave()

    def update_display(self) -> None:
        """Show on the check box and the slider how the discs are shown by now, by whatever means."""
        self._showing = True
        self._show_display()
        self._showing = False

    def toggle_shown(self) -> None:
        """Show the discs in the slice views if they are hidden there, by whatever means, else hide them."""
        display = self.case.segmentationNode.GetDisplayNode() if self.case is not None else None
        if display is not None:
            display.SetVisibility(not display.GetVisibility())
            self.update_display()

    # -- what is shown

    def _set_up_table(self) -> None:
        table = self.ui.resultTable
        table.setItemDelegateForColumn(PROBABILITY, self._bars)
        header = table.horizontalHeader()
        titles = (
            (_("Level"), _("Disc level, counted from the lumbosacral junction.")),
            (_("Group"), _("Mild: Pfirrmann I-II, moderate: III, serious: IV-V. A question mark: low confidence.")),
            (_("Grade"), _("Pfirrmann grade; several where the model holds all of them possible.")),
            (
                _("Prob."),
                _("Calibrated probabilities of mild, moderate and serious, and the largest of them."),
            ),
            (_("Height"), _("Mean height of the disc in mm: its area over its anteroposterior diameter.")),
            (_("Signal"), _("Median signal of the disc's central half over that of the fluid in the canal beside it.")),
        )
        table.columnCount = len(titles)
        for column, (title, tip) in enumerate(titles):
            item = qt.QTableWidgetItem(title)
            item.setToolTip(tip)
            table.setHorizontalHeaderItem(column, item)
            mode = qt.QHeaderView.Stretch if column == PROBABILITY else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, mode)
        header.setMinimumSectionSize(36)
        header.setHighlightSections(False)
        table.verticalHeader().visible = False
        self._fit_height()

    def _list_results(self, nodes: Sequence[Any]) -> None:
        combo = self.ui.resultComboBox
        combo.clear()
        for node in nodes:
            combo.addItem(node.GetName(), node.GetID())
        if self.case is not None:
            combo.setCurrentIndex(combo.findData(self.case.segmentationNode.GetID()))
        combo.visible = len(nodes) > 1

    def _fill_table(self) -> None:
        """Fill a row for each disc and for each level that was not found, head to feet."""
        table = self.ui.resultTable
        result = self.case.result if self.case is not None else None
        levels = [disc.level for disc in result.discs] + list(result.missing_levels) if result is not None else []
        levels.sort(key=list(DISC_LABELS).index)
        table.clearSelection()
        table.clearSpans()
        table.clearContents()  # else a missing level keeps the cells of the disc that was in its row
        table.rowCount = len(levels)
        for row, level in enumerate(levels):
            disc = result.disc(level)
            if disc is not None:
                self._fill_row(row, disc)
            else:
                self._fill_missing_row(row, level)
        self._fit_height()

    def _fill_missing_row(self, row: int, level: str) -> None:
        name, text = qt.QTableWidgetItem(level), qt.QTableWidgetItem(_("not found: find it or draw it"))
        text.setSizeHint(qt.QSize(1, 1))  # it reaches over all columns and asks none for room
        tip = _("{level} was not found, or lies outside the image: look there yourself.").format(level=level)
        for column, item in ((LEVEL, name), (GROUP, text)):
            item.setData(MISSING_ROLE, level)
            item.setToolTip(tip)
            self.ui.resultTable.setItem(row, column, item)
        self.ui.resultTable.setSpan(row, GROUP, 1, SIGNAL)

    def _fill_row(self, row: int, disc: DiscGrade) -> None:
        m = disc.measurements
        mark = (" !" if disc.level in self._state.drawn else "") + (" *" if disc.changes else "")
        doubt = " ?" if is_barely_doubtful(disc) else ""
        possible = possible_grades(disc)
        texts = {
            LEVEL: disc.level + mark,
            GROUP: _(disc.group_word) + doubt,
            GRADE: (possible or ROMAN_GRADES[disc.pfirrmann]) if disc.assessable else "-",
            PROBABILITY: _("set by reader") if reader_verdict(disc) else "",
            HEIGHT: f"{m.height_mm:.1f}" if _known(m.height_mm) else "-",
            SIGNAL: f"{m.signal_to_canal:.2f}" if _known(m.signal_to_canal) else "-",
        }
        notes = [*(f"* {change}" for change in disc.changes), *disc.warnings]
        if disc.level in self._state.drawn:
            notes.insert(0, _("! The mask was changed since; grade and measurements are those of the mask before."))
        grades = _("The network's probabilities of grades I to V: {p}").format(
            p=", ".join(f"{100 * p:.0f}%" for p in disc.grade_probabilities)
        )
        if possible:
            text = _("Possible: Pfirrmann {grades}; the most probable group's grade is {grade}.")
            text = text.format(grades=possible, grade=ROMAN_GRADES[disc.pfirrmann])
            text = f"{text} {coverage_phrase(self.case.result)}".rstrip()
            grades = f"{text}\n{grades}"
        tips = {
            LEVEL: "\n".join(notes) or disc.level,
            GROUP: "\n".join(notes) or disc.group_word,
            GRADE: grades,
            PROBABILITY: _("The network: {p}").format(
                p=", ".join(
                    f"{group.value} {100 * p:.0f}%" for group, p in zip(GROUPS, disc.group_probabilities, strict=True)
                )
            ),
            HEIGHT: _measurement_tip(disc),
            SIGNAL: _measurement_tip(disc),
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tips[column])
            if column == LEVEL:
                item.setData(PROBABILITIES_ROLE, disc.level)
            if column == GROUP:
                item.setIcon(color_chip(disc.color))
            if column == PROBABILITY and not text:
                item.setData(PROBABILITIES_ROLE, " ".join(f"{p:.4f}" for p in disc.group_probabilities))
            if column in (GRADE, HEIGHT, SIGNAL):
                item.setTextAlignment(qt.Qt.AlignCenter)
            self.ui.resultTable.setItem(row, column, item)

    def _fit_height(self) -> None:
        """Make the table as high as its header and its rows are."""
        table, line = self.ui.resultTable, self.ui.resultTable.fontMetrics().height()
        header, rows = table.horizontalHeader(), table.verticalHeader()
        header.setFixedHeight(line + 5)
        rows.setMinimumSectionSize(line + 2)
        rows.setDefaultSectionSize(max(LEAST_ROW_HEIGHT_PX, line + 3))
        table.setFixedHeight(header.minimumHeight + rows.length() + 2 * table.frameWidth)

    def _show_summary(self) -> None:
        if self.case is None:
            self.ui.summaryLabel.text = ""
            return
        result = self.case.result
        text = _("{name}, slice {slice}: {reason}. Graded on {device}.").format(
            name=self.case.volumeNode.GetName(),
            slice=result.stored_slice_index,
            reason=result.slice_reason,
            device=_device_words(result.device),
        )
        if result.naming_confidence is not None:
            text += " " + _("Names of the levels: right with p {p:.2f}.").format(p=result.naming_confidence)
        self.ui.summaryLabel.text = text

    def _show_display(self) -> None:
        display = self.case.segmentationNode.GetDisplayNode() if self.case is not None else None
        if display is not None:
            self.ui.showDiscsCheckBox.checked = bool(display.GetVisibility())
            self.ui.opacitySlider.value = round(100 * display.GetOpacity2DFill())

    def _highlight(self, level: str | None) -> None:
        display = self.case.segmentationNode.GetDisplayNode() if self.case is not None else None
        if display is None:
            return
        for disc in self.case.result.discs:
            share = HIGHLIGHTED if level in (None, disc.level) else SUBDUED
            segment = self.case.segment_id(disc.level)
            if segment and display.GetSegmentOpacity2DFill(segment) != share:
                display.SetSegmentOpacity2DFill(segment, share)

    # -- what the user does

    def _select(self, level: str | None, show: bool) -> None:
        table = self.ui.resultTable
        items = [table.item(row, LEVEL) for row in range(table.rowCount)]
        levels = [item.data(PROBABILITIES_ROLE) or item.data(MISSING_ROLE) for item in items]
        self._showing = True
        if level in levels:
            table.selectRow(levels.index(level))
        else:
            table.clearSelection()
        self._showing = False
        self._after_selection(show)

    def _row_selected(self) -> None:
        if not self._showing:
            self.touched = True
            self._after_selection(show=True)

    def _result_chosen(self, index: int) -> None:
        if not self._showing and self.case is not None:
            scene = self.case.volumeNode.GetScene()
            self._chosen(scene.GetNodeByID(self.ui.resultComboBox.itemData(index)))

    def _after_selection(self, show: bool) -> None:
        self._highlight(self.level)
        place = self._place() if show else None
        if place is not None:
            bring_into_views(self.case.volumeNode.GetScene(), place)
        self._selected()

    def _place(self) -> tuple[float, float, float] | None:
        """Return where the selected disc lies, or where the level of the selected row must lie if it is missing."""
        if self.case is None:
            return None
        result, level = self.case.result, self.level
        if level is not None:
            return result.disc(level).center_lps_mm
        place = missing_places(result).get(self.missing_level)
        if place is None or not is_in_image(result, place):
            return None
        return result.volume.lps_mm(slice_at(result, place), *place)

    def _view_clicked(self, lps_mm: tuple[float, float, float]) -> None:
        if self.case is None or not self.case.is_alive():
            return
        level = self._level_at(lps_mm)
        if level is None:
            return
        if level != self.level:
            self._select(level, show=False)
        self.ui.resultTable.setFocus()  # the keys that set a grade are those of the table

    def _level_at(self, lps_mm: tuple[float, float, float]) -> str | None:
        """Return the level of the disc at a point of its slice, None beside every disc and every slice."""
        result = self.case.result
        slice_index, *place = (round(value) for value in result.volume.index_of_lps(lps_mm))
        inside = all(0 <= n < size for n, size in zip(place, result.label_slice.shape, strict=True))
        if not inside:
            return None
        value = int(result.label_slice[tuple(place)])
        return next(
            (d.level for d in result.discs if (d.label_value, result.slice_of(d)) == (value, slice_index)), None
        )

    def _shown_toggled(self, shown: bool) -> None:
        display = self.case.segmentationNode.GetDisplayNode() if self.case is not None else None
        if display is not None and not self._showing:
            display.SetVisibility(bool(shown))

    def _opacity_slid(self, percent: float) -> None:
        display = self.case.segmentationNode.GetDisplayNode() if self.case is not None else None
        if display is not None and not self._showing:
            display.SetOpacity2DFill(percent / 100)


def _device_words(device: str) -> str:
    name, _space, note = device.partition(" ")
    words = {"cpu": _("the CPU"), "cuda": _("the graphics card"), "mps": _("the graphics processor")}
    return " ".join([words.get(name.split(":")[0], name), note or (f"({name})" if ":" in name else "")]).rstrip()


def _known(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _measurement_tip(disc: DiscGrade) -> str:
    m = disc.measurements
    facts = (
        (_("Height {value:.1f} mm: area over diameter"), m.height_mm),
        (_("Diameter {value:.1f} mm: extent along the disc's axis, front to back"), m.diameter_mm),
        (_("Area {value:.0f} mm2 on the slice"), m.area_mm2),
        (
            _("Disc height index {value:.2f}: height over that of the neighbouring vertebral bodies"),
            m.disc_height_index,
        ),
        (_("Signal {value:.2f}: central half of the disc over fluid in the canal"), m.signal_to_canal),
    )
    return "\n".join(text.format(value=value) for text, value in facts if _known(value))
