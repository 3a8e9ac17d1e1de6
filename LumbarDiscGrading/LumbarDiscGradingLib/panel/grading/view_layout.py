"""How the slice views are laid out while grades are read: the sagittal view large, or three planes, and back."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ...scene.study.layout import ReadingLayout

PLANES = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
TABLE = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView
LARGE_SETTING = "LumbarDiscGrading/LargeImage"


class ViewLayout:
    """Shows the sagittal view alone after grading, until the user wants his own layout, which is remembered.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self._reading = ReadingLayout(scene)
        self._scene = scene
        self._before: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the user wants the sagittal view large; he does until he says otherwise."""
        return str(qt.QSettings().value(LARGE_SETTING, "true")).lower() != "false"

    @property
    def shows_planes(self) -> bool:
        """Whether the three planes are shown on demand."""
        return self._shows(PLANES)

    @property
    def shows_table(self) -> bool:
        """Whether a table is shown below the views on demand."""
        return self._shows(TABLE)

    def take(self) -> bool:
        """Show the sagittal view alone where that is wanted; returns whether that changed anything."""
        if not self.is_wanted or self.shows_planes or self.shows_table:
            return False
        return self._reading.take()

    def prefer(self, large: bool) -> None:
        """Show the sagittal view alone or the user's own layout, now and after the next gradings."""
        qt.QSettings().setValue(LARGE_SETTING, "true" if large else "false")
        self._show_before()
        self._reading.give_back()
        if large:
            self._reading.take()

    def show_planes(self, shown: bool) -> None:
        """Show the three planes, or what was shown before."""
        self._show_on_demand(PLANES, shown)

    def show_table(self, shown: bool) -> None:
        """Show a table below the views, or what was shown before."""
        self._show_on_demand(TABLE, shown)

    def give_back(self) -> None:
        """Show the user's own layout again, unless he has chosen another one meanwhile."""
        self._show_before()
        self._reading.give_back()

    def _shows(self, arrangement: int) -> bool:
        return self._before is not None and self._arrangement() == arrangement

    def _show_on_demand(self, arrangement: int, shown: bool) -> None:
        node = self._node()
        if node is None:
            return
        if shown and not self._shows(arrangement):
            if not (self.shows_planes or self.shows_table):
                self._before = node.GetViewArrangement()
            node.SetViewArrangement(arrangement)
        elif not shown:
            self._show_before()

    def _show_before(self) -> None:
        """Show what was shown before a layout on demand, unless the user has chosen another one meanwhile."""
        if self.shows_planes or self.shows_table:
            self._node().SetViewArrangement(self._before)
        self._before = None

    def _node(self) -> Any:
        return self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def _arrangement(self) -> int | None:
        node = self._node()
        return node.GetViewArrangement() if node is not None else None
