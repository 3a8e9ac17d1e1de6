"""`VolumeList`: the volumes that are graded together, what became of each, and what is doubtful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ....scene.loaded_volumes import Became, LoadedVolume
from ...shared.disc_table import set_up_columns

NAME, GRADES, NOTE = range(3)
MISSING = "\N{MIDDLE DOT}"
"""Stands for the grade of a level that has none."""
LONGEST_NAME = 24
"""Longer names are shortened in the middle: what is to be read first needs the room."""
MOST_ROWS = 5
"""So many are seen at once; the others are scrolled to."""


class VolumeList:
    """Lists volumes; a click on one chooses it.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    choose : callable
        Called with the volume node that the user clicked.
    """

    def __init__(self, ui: Any, choose: Callable[[Any], None]) -> None:
        self._box, self._table, self._choose = ui.allVolumesCollapsibleButton, ui.allVolumesTable, choose
        self._volumes: list[LoadedVolume] = []
        self._showing = False
        row_px = self._table.fontMetrics().height() + 3
        set_up_columns(self._table, (_("Volume"), _("Grades"), _("Read first")), NOTE, row_px)
        self._table.connect("itemSelectionChanged()", self._selected)

    def clear(self) -> None:
        """List nothing."""
        self._volumes = []
        self._showing = True
        self._table.rowCount = 0
        self._box.visible = self._showing = False

    def show(self, volumes: Sequence[LoadedVolume], current: LoadedVolume | None, chosen: Any) -> None:
        """List volumes in this order.

        Parameters
        ----------
        current : LoadedVolume or None
            The one that is being graded.
        chosen : vtkMRMLScalarVolumeNode or None
            The one that the panel shows.
        """
        self._volumes = list(volumes)
        self._showing = True
        self._table.rowCount = len(self._volumes)
        for row, volume in enumerate(self._volumes):
            self._fill(row, volume, volume is current)
        self._fit_height()
        self._select(chosen)
        self._box.text = _title(volumes)
        self._box.visible = bool(volumes)
        self._showing = False

    def _fill(self, row: int, volume: LoadedVolume, is_current: bool) -> None:
        note = _("grading …") if is_current and volume.became is Became.WAITING else _note(volume)
        grades = " ".join(grade or MISSING for grade in volume.grades.values())
        tip = "\n".join([volume.name, *_told(volume)])
        for column, text in ((NAME, _shortened(volume.name)), (GRADES, grades), (NOTE, note)):
            item = self._table.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem()
                self._table.setItem(row, column, item)
            item.setText(text)
            item.setToolTip(tip)

    def _fit_height(self) -> None:
        table, rows = self._table, min(len(self._volumes), MOST_ROWS)
        header = table.horizontalHeader()
        header.setFixedHeight(table.fontMetrics().height() + 5)
        table.setFixedHeight(
            header.minimumHeight + rows * table.verticalHeader().defaultSectionSize + 2 * table.frameWidth
        )

    def _select(self, chosen: Any) -> None:
        nodes = [volume.volumeNode for volume in self._volumes]
        if chosen is not None and chosen in nodes:
            self._table.selectRow(nodes.index(chosen))
        else:
            self._table.clearSelection()

    def _selected(self) -> None:
        rows = {item.row() for item in self._table.selectedItems()}
        if self._showing or len(rows) != 1:
            return
        volume = self._volumes[rows.pop()]
        if volume.is_there:
            self._choose(volume.volumeNode)


def _told(volume: LoadedVolume) -> list[str]:
    """Return all that is to be told of a volume, a line each."""
    unsure = _("Low confidence, read these yourself: {levels}.").format(levels=", ".join(volume.unsure))
    before = _("Graded before by the same models; it was left as it is.")
    said = [volume.note] if volume.note else [before] if volume.became is Became.AS_BEFORE else []
    grades = ", ".join(f"{level} {grade}" for level, grade in volume.grades.items() if grade)
    return [*said, *volume.doubts, *([unsure] if volume.unsure else []), *([grades] if grades else [])]


def _note(volume: LoadedVolume) -> str:
    """Return the first thing to be told of a volume in one line."""
    if volume.became is Became.WAITING:
        return _("waiting")
    if volume.became is Became.FAILED:
        return _("not graded: {why}").format(why=volume.note)
    if volume.became is Became.LEFT_OUT:
        return _("left out: {why}").format(why=volume.note)
    if volume.doubts:
        return f"! {volume.doubts[0]}"
    return "? {levels}".format(levels=", ".join(volume.unsure)) if volume.unsure else volume.note


def _title(volumes: Sequence[LoadedVolume]) -> str:
    graded = sum(volume.has_result for volume in volumes)
    warned, failed = (
        sum(bool(volume.doubts) for volume in volumes),
        sum(volume.became is Became.FAILED for volume in volumes),
    )
    text = _("All volumes: {graded} graded").format(graded=graded)
    for words, count in ((_("{count} with warnings"), warned), (_("{count} not graded"), failed)):
        if count:
            text += ", " + words.format(count=count)
    return text


def _shortened(name: str) -> str:
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[1 - half :]}"
