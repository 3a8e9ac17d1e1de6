"""`MaskEditor`: Slicer's Segment Editor inside a panel, with its own parameters and with keys only while it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from .effect_parameters import give_parameters

EDITOR_NODE_TAG = "LumbarDiscGradingSegmentEditor"
UNDO_STATES = 10


class MaskEditor:
    """Starts and stops an embedded Segment Editor.

    Parameters
    ----------
    widget : qMRMLSegmentEditorWidget
    effects : sequence of str
        Effects that are offered, in this order.
    """

    def __init__(self, widget: Any, effects: Sequence[str]) -> None:
        self.widget = widget
        self._active = False
        self._observation: tuple[Any, int] | None = None
        widget.segmentationNodeSelectorVisible = False
        widget.sourceVolumeNodeSelectorVisible = False
        widget.show3DButtonVisible = False
        widget.addRemoveSegmentButtonsVisible = False
        widget.switchToSegmentationsButtonVisible = False
        widget.unorderedEffectsVisible = False
        widget.setEffectNameOrder(list(effects))
        widget.maximumNumberOfUndoStates = UNDO_STATES

    @property
    def active(self) -> bool:
        """Whether masks are being edited."""
        return self._active

    def start(
        self,
        segmentationNode: Any,
        volumeNode: Any,
        segment: str,
        effect: str = "",
        selected: Callable[[str], None] | None = None,
    ) -> None:
        """Edit a segment.

        Parameters
        ----------
        effect : str
            Name of the effect that is ready to be used.
        selected : callable, optional
            Called with the segment that the user selects in the editor.
        """
        scene, widget = segmentationNode.GetScene(), self.widget
        self._active = True
        node = _editor_node(scene)
        give_parameters(node, volumeNode)  # before the effects put their own defaults there
        widget.setMRMLSegmentEditorNode(node)  # first the node, then the scene
        widget.setMRMLScene(scene)
        widget.setSegmentationNode(segmentationNode)
        widget.setSourceVolumeNode(volumeNode)
        widget.setCurrentSegmentID(segment)
        widget.visible = True
        widget.setupViewObservations()
        widget.installKeyboardShortcuts()
        if effect:
            widget.setActiveEffectByName(effect)
        if selected is not None:
            tag = node.AddObserver("ModifiedEvent", lambda *_: selected(node.GetSelectedSegmentID() or ""))
            self._observation = node, tag

    def select(self, segment: str) -> None:
        """Edit another segment."""
        if self.widget.mrmlSegmentEditorNode().GetSelectedSegmentID() != segment:
            self.widget.setCurrentSegmentID(segment)

    @property
    def effect_active(self) -> bool:
        """Whether clicks in the views belong to an effect."""
        return self._active and bool(self.widget.mrmlSegmentEditorNode().GetActiveEffectName())

    def stop(self) -> None:
        """Leave the editor, its keys and its hold on the views."""
        widget, self._active = self.widget, False
        if self._observation is not None:
            node, tag = self._observation
            node.RemoveObserver(tag)
            self._observation = None
        widget.setActiveEffect(None)
        widget.uninstallKeyboardShortcuts()
        widget.removeViewObservations()
        widget.setSegmentationNode(None)
        widget.setSourceVolumeNode(None)
        widget.setMRMLScene(None)
        widget.setMRMLSegmentEditorNode(None)
        widget.visible = False


def _editor_node(scene: Any) -> Any:
    """Return the panel's own Segment Editor node, so that the Segment Editor module keeps its own."""
    node = scene.GetSingletonNode(EDITOR_NODE_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(EDITOR_NODE_TAG)
        node = scene.AddNode(node)
    return node
