"""The evidence of a grading as an overlay volume in the scene: written, shown in slice views, hidden, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..grading.result import GradingResult
from .nodes import SEGMENTATION_REFERENCE_ROLE, TAG_PREFIX, VOLUME_REFERENCE_ROLE, nodes_of_class, place_beside
from .show import showGradedSlice
from .volumes import EVIDENCE_ATTRIBUTE, array_on_node

if TYPE_CHECKING:
    from ..grading.evidence import EvidenceMap

EVIDENCE_REFERENCE_ROLE = TAG_PREFIX + "evidence"
"""Node reference from the segmentation to the evidence of its discs."""
COLOR_NODE_ID = "vtkMRMLColorTableNodeOcean"
"""Slicer's own color table from blue to cyan: ever lighter, apart from the groups' colors for every kind of eye."""
OVERLAY_OPACITY = 0.5
"""The discs' own signal stays readable under the evidence."""
_FORMER_ROLE, _FORMER_OPACITY = TAG_PREFIX + "foreground.", TAG_PREFIX + "foregroundOpacity."
"""What a slice view had in the foreground before, by the view's name."""
_FORMER_FILL = TAG_PREFIX + "fill"
"""Whether the discs were filled before; under evidence they have outlines alone, else their color tints it."""


def evidence_node(segmentationNode: Any) -> Any:
    """Return the evidence volume of a segmentation, None where there is none."""
    return segmentationNode.GetNodeReference(EVIDENCE_REFERENCE_ROLE) if segmentationNode is not None else None


def write_evidence(evidence: EvidenceMap, segmentationNode: Any, volumeNode: Any) -> Any:
    """Write the evidence of a segmentation's discs as a scalar volume, 0 to 1, zero where there is none.

    It lies beside the volume in the subject hierarchy, refers to segmentation and volume, is saved with the scene and
    is not shown yet. The evidence that the segmentation had is overwritten.

    Parameters
    ----------
    evidence : EvidenceMap
    segmentationNode : vtkMRMLSegmentationNode
        Of the result that the evidence is of.
    volumeNode : vtkMRMLScalarVolumeNode
        The graded volume.

    Returns
    -------
    vtkMRMLScalarVolumeNode

    Raises
    ------
    ImagingError
        If the evidence was not made from this volume; the scene is left as it was.
    """
    from slicer.util import updateVolumeFromArray

    from ..report.evidence_picture import MEANING

    array = array_on_node(evidence.volume, volumeNode, evidence.in_volume())
    scene, node = volumeNode.GetScene(), evidence_node(segmentationNode)
    if node is None:
        name = scene.GenerateUniqueName(f"{volumeNode.GetName()} evidence")
        node = scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        node.UnRegister(None)
        node.SetName(name)
        node.SetAttribute(EVIDENCE_ATTRIBUTE, evidence.key)  # before it is added: no one is to take it for an image
        scene.AddNode(node)
        segmentationNode.SetNodeReferenceID(EVIDENCE_REFERENCE_ROLE, node.GetID())
        node.SetNodeReferenceID(SEGMENTATION_REFERENCE_ROLE, segmentationNode.GetID())
        node.SetNodeReferenceID(VOLUME_REFERENCE_ROLE, volumeNode.GetID())
        node.SetDescription(MEANING)
        place_beside(volumeNode, node)
    node.SetAttribute(EVIDENCE_ATTRIBUTE, evidence.key)
    node.CopyOrientation(volumeNode)
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    updateVolumeFromArray(node, array)
    _set_display(node)
    return node


def show_evidence(node: Any) -> None:
    """Lay the evidence over its volume in the slice views that show it, transparent where there is none."""
    volumeNode = node.GetNodeReference(VOLUME_REFERENCE_ROLE)
    for composite in _composites(node.GetScene()):
        if volumeNode is None or composite.GetBackgroundVolumeID() != volumeNode.GetID():
            continue
        view, former = composite.GetLayoutName(), composite.GetForegroundVolumeID()
        if former == node.GetID():
            continue
        node.SetNodeReferenceID(_FORMER_ROLE + view, former)
        node.SetAttribute(_FORMER_OPACITY + view, str(composite.GetForegroundOpacity()))
        composite.SetForegroundVolumeID(node.GetID())
        composite.SetForegroundOpacity(OVERLAY_OPACITY)
    display = _segments_display(node)
    if is_shown(node) and display is not None and not node.GetAttribute(_FORMER_FILL):
        node.SetAttribute(_FORMER_FILL, str(bool(display.GetVisibility2DFill())))
        display.SetVisibility2DFill(False)


def show_evidence_of(result: GradingResult, node: Any) -> None:
    """Show evidence as `show_evidence` does; where no view shows the volume, its graded slice is shown first."""
    show_evidence(node)
    volumeNode = node.GetNodeReference(VOLUME_REFERENCE_ROLE)
    if not is_shown(node) and volumeNode is not None:
        showGradedSlice(result, volumeNode)
        show_evidence(node)


def hide_evidence(node: Any) -> None:
    """Take the evidence out of the slice views; what was in their foreground before comes back."""
    for composite in _composites(node.GetScene()):
        if composite.GetForegroundVolumeID() == node.GetID():
            _take_out_of(composite, node)
    display, former = _segments_display(node), node.GetAttribute(_FORMER_FILL)
    if display is not None and former:
        display.SetVisibility2DFill(former == str(True))
    node.SetAttribute(_FORMER_FILL, None)


def hide_foreign_evidence(scene: Any, segmentationNode: Any) -> None:
    """Take all evidence out of the slice views but that of one segmentation, or of none, over its own volume."""
    for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
        if not node.GetAttribute(EVIDENCE_ATTRIBUTE) or not is_shown(node):
            continue
        if segmentationNode is None or node.GetNodeReference(SEGMENTATION_REFERENCE_ROLE) is not segmentationNode:
            hide_evidence(node)
            continue
        for composite in _composites(scene):
            over = composite.GetForegroundVolumeID() == node.GetID()
            if over and composite.GetBackgroundVolumeID() != node.GetNodeReferenceID(VOLUME_REFERENCE_ROLE):
                _take_out_of(composite, node)


def _take_out_of(composite: Any, node: Any) -> None:
    """Show in a view's foreground what was there before the evidence."""
    view = composite.GetLayoutName()
    former = node.GetNodeReference(_FORMER_ROLE + view)
    composite.SetForegroundVolumeID(former.GetID() if former is not None else None)
    composite.SetForegroundOpacity(float(node.GetAttribute(_FORMER_OPACITY + view) or 0.0))


def is_shown(node: Any) -> bool:
    """Return whether a slice view shows the evidence."""
    return node is not None and any(
        composite.GetForegroundVolumeID() == node.GetID() for composite in _composites(node.GetScene())
    )


def fits(node: Any, result: GradingResult) -> bool:
    """Return whether an evidence volume is that of a result as it is now."""
    if node is None:
        return False
    from ..grading.evidence import evidence_key  # loads SimpleITK, which an open panel need not wait for

    return node.GetAttribute(EVIDENCE_ATTRIBUTE) == evidence_key(result)


def remove_evidence(node: Any) -> None:
    """Take an evidence volume out of views and scene."""
    hide_evidence(node)
    node.GetScene().RemoveNode(node)


def follow_result(segmentationNode: Any, result: GradingResult, volumeNode: Any) -> None:
    """After segments were written: remove evidence of other masks, slices or models; renamed discs keep theirs."""
    node = evidence_node(segmentationNode)
    if node is None:
        return
    if not fits(node, result):
        remove_evidence(node)
        return
    node.CopyOrientation(volumeNode)
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    if is_shown(node):
        _segments_display(node).SetVisibility2DFill(False)


def remove_orphans(scene: Any) -> None:
    """Remove the evidence whose segmentation or volume is gone."""
    for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
        if node.GetAttribute(EVIDENCE_ATTRIBUTE) and not all(
            node.GetNodeReference(role) for role in (SEGMENTATION_REFERENCE_ROLE, VOLUME_REFERENCE_ROLE)
        ):
            remove_evidence(node)


def _set_display(node: Any) -> None:
    from ..grading.evidence import SHOWN_FROM

    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(COLOR_NODE_ID)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.SetAutoThreshold(False)
    display.SetThreshold(SHOWN_FROM, 1.0)
    display.SetApplyThreshold(True)


def _segments_display(node: Any) -> Any:
    segmentationNode = node.GetNodeReference(SEGMENTATION_REFERENCE_ROLE)
    return segmentationNode.GetDisplayNode() if segmentationNode is not None else None


def _composites(scene: Any) -> list[Any]:
    return nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
