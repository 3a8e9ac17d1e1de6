"""The sagittal view alone while cases are read, and the user's own layout again afterwards."""

from __future__ import annotations

from typing import Any

from ..show import showReadingLayout


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

    def take(self) -> bool:
        """Show the sagittal view alone; returns whether that changed anything."""
        node = self._node()
        if node is None or self._former is not None:
            return False
        self._former = node.GetViewArrangement()
        showReadingLayout(self.scene)
        self._taken = node.GetViewArrangement()
        return self._taken != self._former

    def give_back(self) -> None:
        """Show the layout of before, unless the user has chosen another meanwhile."""
        node = self._node()
        if node is not None and self._former is not None and node.GetViewArrangement() == self._taken:
            node.SetViewArrangement(self._former)
        self._former = None

    def _node(self) -> Any:
        return self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
