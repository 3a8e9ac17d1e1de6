"""The buttons *Large* and *3 planes*: how the slice views are laid out while grades are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from .view_layout import ViewLayout

TOLD_SETTING = "LumbarDiscGrading/LargeImageTold"


class LayoutSection:
    """Lays the views out and shows on its buttons how they are.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    scene : vtkMRMLScene
    changed : callable
        Called after the layout was changed here.
    """

    def __init__(self, ui: Any, scene: Any, changed: Callable[[], None]) -> None:
        self.ui, self._layout, self._changed = ui, ViewLayout(scene), changed
        self._showing = False
        ui.largeImageButton.connect("toggled(bool)", self._large_toggled)
        ui.threePlanesButton.connect("toggled(bool)", self._planes_toggled)
        self._show()

    @property
    def shows_planes(self) -> bool:
        """Whether the three planes are shown on demand."""
        return self._layout.shows_planes

    @property
    def shows_table(self) -> bool:
        """Whether a table is shown below the views on demand."""
        return self._layout.shows_table

    def show_table(self, shown: bool) -> None:
        """Show a table below the views, or what was shown before."""
        self._layout.show_table(shown)
        self._show()
        self._changed()

    @property
    def was_told(self) -> bool:
        """Whether the user knows that the image is shown large; he does from now on."""
        settings = qt.QSettings()
        told = str(settings.value(TOLD_SETTING, "false")).lower() == "true"
        settings.setValue(TOLD_SETTING, "true")
        return told

    def take(self) -> bool:
        """Show the sagittal view large where that is wanted; returns whether that changed anything."""
        taken = self._layout.take()
        self._show()
        if taken:
            self._changed()
        return taken

    def leave(self) -> None:
        """Give the user's own layout back."""
        self._layout.give_back()
        self._show()

    def _show(self) -> None:
        self._showing = True
        self.ui.largeImageButton.checked = self._layout.is_wanted
        self.ui.threePlanesButton.checked = self._layout.shows_planes
        self._showing = False

    def _large_toggled(self, large: bool) -> None:
        if not self._showing:
            self._layout.prefer(bool(large))
            self._show()
            self._changed()

    def _planes_toggled(self, shown: bool) -> None:
        if not self._showing:
            self._layout.show_planes(bool(shown))
            self._show()
            self._changed()
