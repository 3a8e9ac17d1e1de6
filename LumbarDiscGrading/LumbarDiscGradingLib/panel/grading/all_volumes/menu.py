"""The menu beside *Grade Discs*: what is done to all volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ....scene.table_of_all import show_table, table_of_all
from ..layout_section import LayoutSection


class AllVolumesMenu:
    """Offers to grade all loaded volumes, and to show their table.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    grade_all : callable
        Called when the user chooses that.
    layout : LayoutSection
        Gives the table its place among the views.
    """

    def __init__(self, ui: Any, grade_all: Callable[[], None], layout: LayoutSection) -> None:
        self._layout = layout
        self._menu = qt.QMenu(ui.gradeMenuButton)
        self.gradeAllAction = self._menu.addAction(_("Grade all loaded T2 volumes"))
        self.showTableAction = self._menu.addAction(_("Show the table of all volumes"))
        self.gradeAllAction.connect("triggered()", grade_all)
        self.showTableAction.connect("triggered()", self._toggle_table)
        self._menu.connect("aboutToShow()", self._update)
        ui.gradeMenuButton.setMenu(self._menu)
        self._update()

    def allow(self, possible: bool) -> None:
        """Say whether all volumes can be graded now."""
        self.gradeAllAction.enabled = possible

    def show_table(self, table: Any) -> None:
        """Show a table of all below the views."""
        self._layout.show_table(True)
        show_table(table)

    def _toggle_table(self) -> None:
        table = table_of_all(slicer.mrmlScene)
        if self._layout.shows_table or table is None:
            self._layout.show_table(False)
        else:
            self.show_table(table)

    def _update(self) -> None:
        shown = self._layout.shows_table
        self.showTableAction.text = _("Hide the table of all volumes") if shown else _("Show the table of all volumes")
        self.showTableAction.enabled = shown or table_of_all(slicer.mrmlScene) is not None
