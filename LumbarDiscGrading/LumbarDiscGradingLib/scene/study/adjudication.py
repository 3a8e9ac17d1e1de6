"""`AdjudicationScene`: the disputed discs of two readings side by side in the MRML scene, told apart as A and B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ...pfirrmann import DISC_LABELS
from ..nodes import nodes_of_class
from ..segments import oriented_image
from ..show import READING_VIEW, fit_views
from ..viewed_slice import center_views
from .case_scene import CaseScene

VIEWS = {"A": "Red", "B": READING_VIEW}
"""The slice view of each reading: left and right in Slicer's layout of two slice views side by side."""
COLORS = {"A": (86, 180, 233), "B": (240, 228, 66)}
"""RGB, 0-255: sky blue and yellow of Okabe and Ito's palette, which no group has."""
OUTLINE_WIDTH_PX = {"A": 4, "B": 2}
"""Where both lie on top of each other, the thin one is seen inside the thick one."""
LETTER_GAP_MM, NAME_GAP_MM = 10.0, 22.0
"""A letter stands so far in front of its disc; with a level, so far behind it, beyond the bright canal."""
LETTER_STEP_MM = {"A": -4.0, "B": 4.0}
"""The letter of A stands higher than that of B, so that both can be read where they are seen together."""
LETTER_SIZE = 4.0
CLOSE_UP_MM = 120.0
"""Height of the field of view in which a disc and its neighbours are compared."""


class AdjudicationScene(CaseScene):
    """A case whose readings disagree: its image, what is settled, and of masks the disputed discs of A and of B.

    With masks, A is in the left view and B in the right one, both sagittal and moved together. The reader's own
    segments, `segmentationNode`, are seen in both. Without masks of the readings it is a `CaseScene`.

    Parameters
    ----------
    scene, volume, title, masks, slice_index
        As for `CaseScene`; `masks` is what is settled, or what may be seen for orientation.
    levels : sequence of str
        The disputed levels.
    masks_a, masks_b : ndarray of uint8, shape (slices, rows, columns), or None
        Both readings, canonical order; None where grades are in dispute.

    Attributes
    ----------
    readingNodes : dict of str to vtkMRMLSegmentationNode
        By letter.
    letterNodes : dict of str to vtkMRMLMarkupsFiducialNode
        By letter.
    """

    def __init__(
        self,
        scene: Any,
        volume: SagittalVolume,
        title: str,
        levels: Sequence[str],
        masks: NDArray[np.uint8] | None,
        slice_index: int,
        masks_a: NDArray[np.uint8] | None = None,
        masks_b: NDArray[np.uint8] | None = None,
    ) -> None:
        self.readingNodes: dict[str, Any] = {}
        self.letterNodes: dict[str, Any] = {}
        self._left: _SagittalView | None = None
        self._masks = {"A": masks_a, "B": masks_b} if masks_a is not None and masks_b is not None else {}
        super().__init__(scene, volume, title, levels, masks, slice_index)
        if self._masks:
            self._left = _SagittalView(scene, VIEWS["A"], self.volumeNode)
            for letter, drawn in self._masks.items():
                disputed = np.isin(drawn, [DISC_LABELS[level] for level in levels])
                self.readingNodes[letter] = self._reading_node(letter, np.where(disputed, drawn, 0).astype(np.uint8))
                self.letterNodes[letter] = self._letter_node(letter, drawn)
            self.show_overlay(False)
            _show_outline_only(self.segmentationNode)

    def nodes(self) -> list[Any]:
        """Return our nodes, displays apart; none after `remove`."""
        return [*self.readingNodes.values(), *self.letterNodes.values(), *super().nodes()]

    def show_overlay(self, both: bool) -> None:
        """Show A and B in both views, or each in its own."""
        for letter, view in VIEWS.items():
            for node in (self.readingNodes.get(letter), self.letterNodes.get(letter)):
                if node is not None:
                    display = node.GetDisplayNode()
                    display.RemoveAllViewNodeIDs()
                    for name in VIEWS.values() if both else (view,):
                        display.AddViewNodeID(f"vtkMRMLSliceNode{name}")

    def toggle_shown(self) -> None:
        """Hide all outlines and letters in the slice views if they are shown there, else show them."""
        nodes = [node for node in (self.segmentationNode, *self.readingNodes.values()) if node is not None]
        visible = any(node.GetDisplayNode().GetVisibility() for node in nodes)
        for node in (*nodes, *self.letterNodes.values()):
            node.GetDisplayNode().SetVisibility(not visible)

    def highlight(self, selected: str | None) -> None:
        """Outline the disc of a level more strongly than the others."""
        if not self._masks:
            super().highlight(selected)
            return
        for node in self.readingNodes.values():
            display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
            for level in DISC_LABELS:
                if segmentation.GetSegment(level) is not None:
                    display.SetSegmentOpacity2DOutline(level, 1.0 if selected in (None, level) else 0.4)

    def center_on_disagreement(self, level: str, close_up: bool) -> None:
        """Move the views to the slice on which A and B together cover most of a disc.

        Parameters
        ----------
        close_up : bool
            Show the disc and its neighbours; else the whole image, in which levels can be counted.
        """
        union = sum((drawn == DISC_LABELS[level]).astype(np.uint8) for drawn in self._masks.values())
        if not self._masks or not np.any(union):
            return
        index = int(union.sum(axis=(1, 2)).argmax())
        rows, columns = np.nonzero(union[index])
        if not close_up:
            center_views(self.scene, self.volume.slice_center_lps_mm(index))
            self.fit()
            return
        center_views(self.scene, self.volume.lps_mm(index, float(rows.mean()), float(columns.mean())))
        for name in VIEWS.values():
            view = self.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")
            width_px, height_px, _ = view.GetDimensions()
            depth_mm = view.GetFieldOfView()[2]
            view.SetFieldOfView(CLOSE_UP_MM * width_px / max(height_px, 1), CLOSE_UP_MM, depth_mm)

    def remove(self) -> None:
        """Take the nodes out of the scene, with what displays them, and show again what was hidden."""
        super().remove()
        self.readingNodes, self.letterNodes = {}, {}
        if self._left is not None:
            self._left.give_back()
            self._left = None

    def _reading_node(self, letter: str, labels: NDArray[np.uint8]) -> Any:
        node = self._add_segmentation(letter)
        image = oriented_image(self.volume.to_stored(labels), self.volumeNode)
        representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        for level, value in DISC_LABELS.items():
            if not (labels == value).any():
                continue
            segment = slicer.vtkSegment()
            segment.SetName(f"{letter} {level}")
            segment.SetNameAutoGenerated(False)
            segment.SetColorAutoGenerated(False)
            segment.SetColor(*(channel / 255 for channel in COLORS[letter]))
            segment.SetLabelValue(value)
            segment.AddRepresentation(representation, image)
            node.GetSegmentation().AddSegment(segment, level)
        node.CreateDefaultDisplayNodes()
        _show_outline_only(node, OUTLINE_WIDTH_PX[letter])
        return node

    def _letter_node(self, letter: str, drawn: NDArray[np.uint8]) -> Any:
        """Write the letter beside each disputed disc of a reading, on each slice; the level where that is disputed."""
        node = self.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", letter)
        node.SetSaveWithScene(False)
        node.SetLocked(True)
        _, row_mm, column_mm = self.volume.spacing_mm
        for level in self._levels:
            disc = drawn == DISC_LABELS[level]
            named = self._is_named_differently(level)
            for index in np.flatnonzero(disc.any(axis=(1, 2))).tolist():
                rows, columns = np.nonzero(disc[index])
                row = float(rows.mean()) + LETTER_STEP_MM[letter] / row_mm
                behind, before = columns.max() + NAME_GAP_MM / column_mm, columns.min() - LETTER_GAP_MM / column_mm
                x, y, z = self.volume.lps_mm(index, row, float(behind if named else before))
                node.AddControlPoint(vtk.vtkVector3d(-x, -y, z), f"{letter} {level}" if named else letter)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetPointLabelsVisibility(True)
        display.SetTextScale(LETTER_SIZE)
        display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Vertex2D)
        display.SetGlyphScale(0.1)  # the text is what is to be seen
        for set_color in (display.SetColor, display.SetSelectedColor):
            set_color(*(channel / 255 for channel in COLORS[letter]))
        return node

    def _is_named_differently(self, level: str) -> bool:
        """Whether the disc that one reading gives a level has another level in the other reading."""
        a, b = self._masks["A"], self._masks["B"]
        value = DISC_LABELS[level]
        return bool(np.any((a == value) & (b > 0) & (b != value)) or np.any((b == value) & (a > 0) & (a != value)))


class _SagittalView:
    """A slice view turned to the slices of a volume and moved together with the reading view, until given back."""

    def __init__(self, scene: Any, name: str, volumeNode: Any) -> None:
        self.scene, self._view_id = scene, f"vtkMRMLSliceNode{name}"
        self._links: list[tuple[str, int, int]] = []
        self._matrix, self._orientation = vtk.vtkMatrix4x4(), ""
        view, reading = scene.GetNodeByID(self._view_id), scene.GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}")
        if view is None or reading is None:
            return
        self._matrix.DeepCopy(view.GetSliceToRAS())
        self._orientation = view.GetOrientation()
        modified = view.StartModify()
        view.SetOrientation("Sagittal")
        view.GetSliceToRAS().DeepCopy(reading.GetSliceToRAS())
        view.UpdateMatrices()
        view.EndModify(modified)
        fit_views(volumeNode)
        for composite in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
            self._links.append((composite.GetID(), composite.GetLinkedControl(), composite.GetHotLinkedControl()))
            composite.SetLinkedControl(1)
            composite.SetHotLinkedControl(1)

    def give_back(self) -> None:
        view = self.scene.GetNodeByID(self._view_id)
        if view is not None and self._orientation:
            modified = view.StartModify()
            view.SetOrientation(self._orientation)
            view.GetSliceToRAS().DeepCopy(self._matrix)
            view.UpdateMatrices()
            view.EndModify(modified)
        for name, linked, hot in self._links:
            composite = self.scene.GetNodeByID(name)
            if composite is not None:
                composite.SetLinkedControl(linked)
                composite.SetHotLinkedControl(hot)


def _show_outline_only(segmentationNode: Any, width_px: int = 2) -> None:
    display = segmentationNode.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(width_px)
