"""What users do to the panel *Grade Discs*, through its widgets and the scene, and what they see there."""

from __future__ import annotations

from typing import Any

import numpy as np


def load(host: Any, volume: Any, name: str = "T2 sagittal") -> Any:
    return host.load_volume(volume, name)


def finish(host: Any) -> None:
    host.wait_until(lambda: not host.widget.panel.run.running)
    host.process_events()


def grade(host: Any, volume: Any, name: str = "T2 sagittal") -> Any:
    """Load a volume, click Grade Discs, wait, and return the volume node."""
    node = load(host, volume, name)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert host.ui.resultTable.rowCount >= 5, host.ui.statusLabel.text
    return node


def open_all(host: Any) -> None:
    host.ui.saveCollapsibleButton.collapsed = False
    host.representation.resize(400, 1300)
    host.process_events()


def click_regrade(host: Any) -> None:
    """Click *Re-grade disc*, which is there when the panel has seen that a mask was drawn."""
    host.widget.panel.look()
    host.process_events()
    host.click(host.ui.regradeButton)


def table(host: Any) -> list[list[str]]:
    widget = host.ui.resultTable
    items = [[widget.item(row, column) for column in range(widget.columnCount)] for row in range(widget.rowCount)]
    return [[item.text() if item is not None else "" for item in row] for row in items]


def click_row(host: Any, row: int) -> None:
    widget = host.ui.resultTable
    place = widget.visualItemRect(widget.item(row, 0)).center()
    host.qt.QTest.mouseClick(widget.viewport(), host.qt.Qt.LeftButton, host.qt.Qt.NoModifier, place)
    host.process_events()


def row_of(host: Any, level: str) -> int:
    return [cells[0].split()[0] for cells in table(host)].index(level)


def segmentation(host: Any) -> Any:
    return host.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


def tag(host: Any, level: str, name: str) -> str:
    import vtk

    value, segments = vtk.reference(""), segmentation(host).GetSegmentation()
    segment = segments.GetSegment(segments.GetSegmentIdBySegmentName(level))
    assert segment.GetTag(f"LumbarDiscGrading.{name}", value)
    return str(value)


def draw(host: Any, case: Any, level: str, change: Any) -> None:
    """Change a disc's segment as the Segment Editor does: a new labelmap on the volume's grid."""
    draw_segment(host, case, case.segment_id(level), change(case.drawn_mask(level)))


def draw_segment(host: Any, case: Any, segment_id: str, mask: np.ndarray) -> None:
    """Draw a mask of the graded slice, shape (rows, columns), into any segment."""
    volume = case.result.volume
    labels = np.zeros(volume.voxels.shape, dtype=np.uint8)
    labels[case.result.slice_index] = mask
    paint(case.segmentationNode, segment_id, case.volumeNode, volume.to_stored(labels))
    host.process_events()


def paint(segmentation_node: Any, segment_id: str, volume_node: Any, array: np.ndarray) -> None:
    """Put a mask, shape (k, j, i) of a volume's grid, into a segment, as the Segment Editor does: in its own image."""
    import slicer

    from LumbarDiscGradingLib.scene.segments import oriented_image

    image = oriented_image(array, volume_node)
    segmentation = segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(segment_id)
    segmentation.SeparateSegmentLabelmap(segment_id)
    segment.SetLabelValue(1)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment.AddRepresentation(name, image)


def select_volume(host: Any, node: Any) -> None:
    """Select a volume in the panel's selector, as the user does."""
    combo = host.ui.inputSelector.combo
    row = combo.findData(node.GetID())
    combo.setCurrentIndex(row)
    combo.activated.emit(row)
    host.process_events()


def background(host: Any, view: str = "Yellow") -> str:
    """Return the name of the volume in a slice view."""
    composite = host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")
    node = host.scene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    return node.GetName() if node is not None else ""


def drawn_over(host: Any, view: str = "Yellow") -> list[str]:
    """Return the names of the segmentations that a slice view draws, each with a segment that is shown."""
    found = []
    for n in range(host.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = host.scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        display = node.GetDisplayNode()
        shown = display is not None and display.GetVisibility(f"vtkMRMLSliceNode{view}")
        if shown and display.GetVisibleSegmentIDs():
            found.append(node.GetName())
    return found
