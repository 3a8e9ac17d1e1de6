"""`SliceControllers`: what the controllers above Slicer's slice views do to the visibility of segments."""

from __future__ import annotations

from typing import Any

import slicer


class SliceControllers:
    """The segment selectors of all slice views, as Slicer's qMRMLSliceControllerWidget has them.

    They follow the first segmentation of the scene, hold which of its segments are shown, and write that back to the
    display node when it changes. A segment that takes the place of another one is none that they held, so that they
    hide it: the first one that differs, since one box is checked or unchecked at a time. All views follow the same
    node and hold the same, so one stands for all.

    Parameters
    ----------
    scene : vtkMRMLScene
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._node: Any = None
        self._row = 0
        self._listed: list[str] = []
        self._shown: list[str] = []
        self._of_node: list[tuple[Any, int]] = []
        kinds = slicer.vtkMRMLScene
        events = (kinds.NodeAddedEvent, kinds.NodeRemovedEvent, kinds.EndBatchProcessEvent, kinds.EndCloseEvent)
        self._of_scene = [scene.AddObserver(event, self._follow_scene) for event in events]

    @property
    def node(self) -> Any:
        """The segmentation that is selected, None where there is none."""
        return self._node

    def close(self) -> None:
        """Let go of the scene."""
        for tag in self._of_scene:
            self._scene.RemoveObserver(tag)
        self._of_scene = []
        self._select(None)

    # -- which segmentation

    def _follow_scene(self, *_: Any) -> None:
        if self._scene.IsBatchProcessing() or self._scene.IsClosing():
            return
        count = self._scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        nodes = [self._scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode") for n in range(count)]
        if self._node in nodes:
            self._row = nodes.index(self._node)
        else:
            self._select(nodes[min(self._row, count - 1)] if nodes else None)

    def _select(self, node: Any) -> None:
        for observed, tag in self._of_node:
            observed.RemoveObserver(tag)
        self._node, self._of_node = node, []
        if node is None:
            self._row = 0
            return
        kinds = slicer.vtkSegmentation
        changes = (kinds.SegmentAdded, kinds.SegmentRemoved)
        self._observe((*changes, kinds.SegmentModified), self._list_segments)
        self._list_segments()
        self._read_display()
        self._observe((slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, *changes), self._read_display)

    def _observe(self, events: tuple[int, ...], slot: Any) -> None:
        self._of_node += [(self._node, self._node.AddObserver(event, slot)) for event in events]

    # -- which segments

    def _list_segments(self, *_: Any) -> None:
        segmentation = self._node.GetSegmentation()
        self._listed = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        if self._listed:
            self._hold(self._shown)

    def _read_display(self, *_: Any) -> None:
        display = self._node.GetDisplayNode()
        if display is not None:
            self._hold(list(display.GetVisibleSegmentIDs()))

    def _hold(self, shown: list[str]) -> None:
        """Check the boxes of these segments; where that changes anything, the display node follows."""
        segmentation = self._node.GetSegmentation()
        there = [name for name in shown if segmentation.GetSegment(name) is not None]
        changed, self._shown = there != self._shown, there
        if changed:
            self._shown = [name for name in self._listed if name in there]
            self._write_display(list(self._shown))

    def _write_display(self, shown: list[str]) -> None:
        display = self._node.GetDisplayNode()
        if display is None:
            return
        segmentation = self._node.GetSegmentation()
        for n in range(segmentation.GetNumberOfSegments()):
            name = segmentation.GetNthSegmentID(n)
            if name in self._listed and bool(display.GetSegmentVisibility(name)) != (name in shown):
                display.SetSegmentVisibility(name, name in shown)
                return  # the rest comes with the events of this change, as for one click at a time
