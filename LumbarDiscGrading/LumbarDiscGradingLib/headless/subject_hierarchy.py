"""The subject hierarchy as Slicer's plugins (Qt code) keep it: an item a data node, below a segmentation its segments.

A saved scene that lacks the segments' items shows none in the module *Data*: when Slicer has read a scene it lets its
plugins add only the nodes that have no item at all (qSlicerSubjectHierarchyPluginLogic,
addSupportedDataNodesToSubjectHierarchy), and only a node that is so added gets its segments' items
(qSlicerSubjectHierarchySegmentationsPlugin, addNodeToSubjectHierarchy).
"""

from __future__ import annotations

from typing import Any

OWNER_PLUGINS = {
    "vtkMRMLLabelMapVolumeNode": "LabelMaps",
    "vtkMRMLVolumeNode": "Volumes",
    "vtkMRMLSegmentationNode": "Segmentations",
    "vtkMRMLTableNode": "Tables",
    "vtkMRMLTransformNode": "Transforms",
    "vtkMRMLMarkupsNode": "Markups",
}
"""Data nodes that get an item, and Slicer's plugin that owns it; of several that fit a node, the first."""

SEGMENTS_PLUGIN = "Segments"
"""Slicer's plugin that owns the items of segments."""


class HierarchyKeeper:
    """Keeps the subject hierarchy of a scene in step with its nodes and segments while both live.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        import slicer
        import vtk

        self._scene = scene

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def added(_scene: Any, _event: str, node: Any) -> None:
            self._follow_segments(node)
            if not scene.IsImporting():
                self._add_item(node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def about_to_be_removed(_scene: Any, _event: str, node: Any) -> None:
            if not scene.IsClosing() and not node.IsA("vtkMRMLSubjectHierarchyNode"):
                hierarchy = scene.GetSubjectHierarchyNode()
                item = hierarchy.GetItemByDataNode(node)
                if item:
                    hierarchy.RemoveItem(item, False, False)

        def imported(_scene: Any, _event: str) -> None:
            for n in range(scene.GetNumberOfNodes()):
                self._add_item(scene.GetNthNode(n))

        scene.GetSubjectHierarchyNode()  # makes it
        self._observations = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added),
            scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, about_to_be_removed),
            scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, imported),
        ]

    def close(self) -> None:
        """Leave the scene alone from now on."""
        for observation in self._observations:
            self._scene.RemoveObserver(observation)
        self._observations = []

    def _add_item(self, node: Any) -> None:
        """Give a node its item, and its segments theirs, where it has none; what has one stays as it is."""
        plugin = next((name for cls, name in OWNER_PLUGINS.items() if node.IsA(cls)), None)
        if plugin is None or node.GetHideFromEditors():
            return
        hierarchy = self._scene.GetSubjectHierarchyNode()
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node, plugin)
            if node.IsA("vtkMRMLSegmentationNode"):
                self._update_segments(node)

    def _follow_segments(self, node: Any) -> None:
        import slicer

        if not node.IsA("vtkMRMLSegmentationNode"):
            return

        def changed(caller: Any, _event: str) -> None:  # not of `node`: Python would collect it as a circle of the two
            self._update_segments(caller)

        changes = slicer.vtkSegmentation
        for event in (changes.SegmentAdded, changes.SegmentRemoved, changes.SegmentModified):
            node.AddObserver(event, changed)

    def _update_segments(self, node: Any) -> None:
        """Let a segmentation's item have one child a segment, by its ID and under its name."""
        import slicer

        if node.GetScene() is None or self._scene.IsImporting() or self._scene.IsClosing():
            return
        hierarchy = self._scene.GetSubjectHierarchyNode()
        parent = hierarchy.GetItemByDataNode(node)
        if not parent:
            return
        branch = slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyVirtualBranchAttributeName()
        attribute = slicer.vtkMRMLSegmentationNode.GetSegmentIDAttributeName()
        hierarchy.SetItemAttribute(parent, branch, "1")  # its children are parts of the node, no nodes
        segmentation, items = node.GetSegmentation(), segment_items(hierarchy, node)
        for segment_id, item in items.items():
            segment = segmentation.GetSegment(segment_id)
            if segment is None:
                hierarchy.RemoveItem(item)
            elif hierarchy.GetItemName(item) != segment.GetName():
                hierarchy.SetItemName(item, segment.GetName())
        for n, segment_id in enumerate(segmentation.GetSegmentIDs()):
            if segment_id not in items:
                item = hierarchy.CreateHierarchyItem(parent, segmentation.GetNthSegment(n).GetName(), branch, n)
                hierarchy.SetItemAttribute(item, attribute, segment_id)
                hierarchy.SetItemOwnerPluginName(item, SEGMENTS_PLUGIN)


def segment_items(hierarchy: Any, node: Any) -> dict[str, int]:
    """Return the subject hierarchy's item of each segment of a segmentation by segment ID, in the tree's order."""
    import slicer
    import vtk

    attribute = slicer.vtkMRMLSegmentationNode.GetSegmentIDAttributeName()
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetItemByDataNode(node), children)
    items = [children.GetId(n) for n in range(children.GetNumberOfIds())]
    by_segment = {hierarchy.GetItemAttribute(item, attribute): item for item in items}
    return {segment_id: item for segment_id, item in by_segment.items() if segment_id}
