"""How the slice views are laid out while grades are read: the sagittal view large, or three planes, and back."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ...scene.study.layout import ReadingLayout

PLANES = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
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
        self._before_planes: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the user wants the sagittal view large; he does until he says otherwise."""
        return str(qt.QSettings().value(LARGE_SETTING, "true")).lower() != "false"

    @property
    def shows_planes(self) -> bool:
        """Whether the three planes are shown on demand."""
        return self._before_planes is not None and self._arrangement() == PLANES

    def take(self) -> bool:
        """Show the sagittal view alone where that is wanted; returns whether that changed anything."""
        if not self.is_wanted or self.shows_planes:
            return False
        return self._reading.take()

    def prefer(self, large: bool) -> None:
        """Show the sagittal view alone or the user's own layout, now and after the next gradings."""
        qt.QSettings().setValue(LARGE_SETTING, "true" if large else "false")
        self.show_planes(False)
        self._reading.give_back()
        if large:
            self._reading.take()

    def show_planes(self, shown: bool) -> None:
        """Show the three planes, or what was shown before."""
        node = self._node()
        if node is None:
            return
        if shown and not self.shows_planes:
            self._before_planes = node.GetViewArrangement()
            node.SetViewArrangement(PLANES)
        elif not shown and self._before_planes is not None:
            if self.shows_planes:
                node.SetViewArrangement(self._before_planes)
            self._before_planes = None

    def give_back(self) -> None:
        """Show the user's own layout again, unless he has chosen another one meanwhile."""
        self.show_planes(False)
        self._reading.give_back()

    def _node(self) -> Any:
        return self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")

    def _arrangement(self) -> int | None:
        node = self._node()
        return node.GetViewArrangement() if node is not None else None
