"""The nodes of a class in a scene."""

from __future__ import annotations

from typing import Any


def nodes_of_class(scene: Any, class_name: str) -> list[Any]:
    """Return the nodes of a class in this scene; `slicer.util.getNodesByClass` looks in the application's own."""
    return [scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name))]
