"""Nodes of a scene: how they are marked, how they refer to each other, and where they stand."""

from __future__ import annotations

from typing import Any

from ..segment_tags import TAG_PREFIX

TABLE_REFERENCE_ROLE = TAG_PREFIX + "table"
"""Node reference from the segmentation to its table."""
SEGMENTATION_REFERENCE_ROLE = TAG_PREFIX + "segmentation"
"""Node reference from the table to its segmentation."""
VOLUME_REFERENCE_ROLE = TAG_PREFIX + "volume"
"""Node reference from the table to the graded volume."""


def nodes_of_class(scene: Any, class_name: str) -> list[Any]:
    """Return the nodes of a class in this scene; `slicer.util.getNodesByClass` looks in the application's own."""
    return [scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name))]


def place_beside(volumeNode: Any, node: Any) -> None:
    """Put a node under the volume's study (or folder) in the subject hierarchy."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    if hierarchy is None:
        return
    volume_item, item = hierarchy.GetItemByDataNode(volumeNode), hierarchy.GetItemByDataNode(node)
    if volume_item and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))
