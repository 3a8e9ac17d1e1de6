"""The sagittal view alone, or two views side by side, while a case is open; the user's own layout again afterwards."""

from __future__ import annotations

from typing import Any

import slicer


class ReadingLayout:
    """Takes the layout and gives it back.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self._former: int | None = None
        self._taken: int | None = None

    def take(self, side_by_side: bool = False) -> bool:
        """Show the sagittal view alone, or two slice views; returns whether that changed anything."""
        kinds, node = slicer.vtkMRMLLayoutNode, self._node()
        wanted = kinds.SlicerLayoutSideBySideView if side_by_side else kinds.SlicerLayoutOneUpYellowSliceView
        if node is None or (self._former is not None and self._taken == wanted):
            return False
        before = node.GetViewArrangement()
        if self._former is None:
            self._former = before
        self._taken = wanted
        node.SetViewArrangement(wanted)
        return before != wanted

    def give_back(self) -> None:
        """Show the layout of before, unless the user has chosen another meanwhile."""
        node = self._node()
        if node is not None and self._former is not None and node.GetViewArrangement() == self._taken:
            node.SetViewArrangement(self._former)
        self._former = None

    def _node(self) -> Any:
        return self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
