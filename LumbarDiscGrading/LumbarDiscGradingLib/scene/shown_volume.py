"""`ShownVolume`: one volume in the slice views with its own discs alone, and afterwards what the user had shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..grading.result import GradingResult
from .evidence import hide_evidence, hide_foreign_evidence
from .graded_case import STORED_RESULT_ATTRIBUTE
from .nodes import TAG_PREFIX, nodes_of_class
from .show import READING_VIEW, show_volume, showGradedSlice
from .viewed_slice import composite_of
from .volumes import EVIDENCE_ATTRIBUTE

HIDDEN_ATTRIBUTE = TAG_PREFIX + "Hidden"
"""Attribute of a segmentation that is hidden while another one is shown, and not by the user.

It is saved with the scene: nothing tells that a scene is about to be saved, so that what is hidden is hidden there too.
"""


def show_foreign_again(scene: Any) -> None:
    """Show the segmentations without a result that a panel had hidden when the scene was saved."""
    for node in _hidden_foreign(scene):
        _show_again(node)


def visible_discs(scene: Any) -> dict[Any, tuple[str, ...]]:
    """Return which segments of each result's segmentation are visible."""
    nodes = [node for node in nodes_of_class(scene, "vtkMRMLSegmentationNode") if _is_result(node)]
    return {node: tuple(node.GetDisplayNode().GetVisibleSegmentIDs()) for node in nodes if node.GetDisplayNode()}


def keep_visible(visible: dict[Any, tuple[str, ...]]) -> None:
    """Let segments be visible as `visible_discs` told.

    When the segmentation that Slicer's slice controllers have selected is removed, they select another one and take
    over which segments were shown of the former (qMRMLSegmentSelectorWidget, populateSegmentCombobox), so that a disc
    would be hidden.
    """
    for node, segment_ids in visible.items():
        display = node.GetDisplayNode() if node.GetScene() is not None else None
        if display is None:
            continue
        for segment_id in segment_ids:
            if not display.GetSegmentVisibility(segment_id):
                display.SetSegmentVisibility(segment_id, True)


def hide_until_shown(segmentationNode: Any) -> None:
    """Hide a segmentation: the discs of a result until a panel shows its volume, another one until it is closed."""
    display = segmentationNode.GetDisplayNode()
    if display is not None and display.GetVisibility():
        display.SetVisibility(False)
        segmentationNode.SetAttribute(HIDDEN_ATTRIBUTE, "true")


@dataclass(frozen=True)
class _Layers:
    """What lies in a slice view: IDs of volumes, and how much the foreground covers."""

    background: str | None
    foreground: str | None
    labels: str | None
    foreground_opacity: float

    @classmethod
    def of(cls, composite: Any) -> _Layers:
        return cls(
            composite.GetBackgroundVolumeID(),
            composite.GetForegroundVolumeID(),
            composite.GetLabelVolumeID(),
            composite.GetForegroundOpacity(),
        )

    def show(self, composite: Any) -> None:
        scene = composite.GetScene()

        def there(name: str | None) -> str | None:
            return name if name and scene.GetNodeByID(name) else None

        composite.SetBackgroundVolumeID(there(self.background))
        composite.SetForegroundVolumeID(there(self.foreground))
        composite.SetLabelVolumeID(there(self.labels))
        composite.SetForegroundOpacity(self.foreground_opacity)


class ShownVolume:
    """Holds the slice views while a panel is open, so that what is shown there belongs together.

    One volume is in the views, and of all segmentations the one that was made from it. Views that the user turned to
    another volume show no discs.

    Parameters
    ----------
    scene : vtkMRMLScene
    changed : callable
        Called when somebody else changed what lies in a slice view.
    """

    def __init__(self, scene: Any, changed: Callable[[], None]) -> None:
        self.scene, self._changed = scene, changed
        self._before: dict[Any, _Layers] = {}
        self._hidden: list[Any] = []
        self._observations: list[tuple[Any, int]] = []
        self._segmentation: Any = None
        self._acting = False

    @property
    def viewed(self) -> Any:
        """The volume in the sagittal view, None where it shows none."""
        composite = composite_of(self.scene.GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}"))
        if composite is None:  # a layout without it
            composite = next(iter(self._composites()), None)
        name = composite.GetBackgroundVolumeID() if composite is not None else None
        return self.scene.GetNodeByID(name) if name else None

    def take(self) -> None:
        """Watch the views from now on; what is changed in them is remembered."""
        self.forget()
        self._hidden = _hidden_foreign(self.scene)
        self.watch()

    def give_back(self, keep_volume: bool) -> None:
        """Show again what the user had shown before, and stop watching.

        Parameters
        ----------
        keep_volume : bool
            The volume stays in the views with its discs, since the user chose it; results of other volumes stay hidden.
        """
        self._unwatch()
        for composite, layers in self._before.items():
            if self.scene.IsNodePresent(composite) and not keep_volume:
                layers.show(composite)
        for node in dict.fromkeys([*self._hidden, *_hidden_foreign(self.scene)]):
            if self.scene.IsNodePresent(node) and not (keep_volume and _is_result(node)):
                _show_again(node)
        if self._segmentation is not None and self.scene.IsNodePresent(self._segmentation):
            self._limit_to_views(None)
            if not self._is_viewed(self._segmentation):
                hide_until_shown(self._segmentation)
        self.forget()

    def forget(self) -> None:
        """Let go of everything without touching a scene that goes."""
        self._unwatch()
        self._before, self._hidden, self._segmentation = {}, [], None

    def show(self, volumeNode: Any, segmentationNode: Any = None, result: GradingResult | None = None) -> None:
        """Show a volume with the discs of one segmentation, or with none; what is shown already stays where it is.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode or None
            With None all discs are hidden and the views stay as they are.
        segmentationNode : vtkMRMLSegmentationNode, optional
            Discs that the user has hidden stay hidden.
        result : GradingResult, optional
            Its slice is gone to, where the volume was not in the views.
        """
        self._acting = True
        try:
            self._hide_others(segmentationNode)
            hide_foreign_evidence(self.scene, segmentationNode)
            self._segmentation = segmentationNode
            if volumeNode is not None and self.viewed is not volumeNode:
                self._put_into_views(volumeNode, result)
            if segmentationNode is not None:
                if segmentationNode.GetAttribute(HIDDEN_ATTRIBUTE):
                    _show_again(segmentationNode)
                self._limit_to_views(volumeNode)
        finally:
            self._acting = False

    # -- what is shown

    def _put_into_views(self, volumeNode: Any, result: GradingResult | None) -> None:
        for node in nodes_of_class(self.scene, "vtkMRMLScalarVolumeNode"):
            if node.GetAttribute(EVIDENCE_ATTRIBUTE):
                hide_evidence(node)
        for composite in self._composites():
            self._before.setdefault(composite, _Layers.of(composite))
            composite.SetForegroundVolumeID(None)
            composite.SetLabelVolumeID(None)
        if result is not None:
            showGradedSlice(result, volumeNode)
        else:
            show_volume(volumeNode, _center_lps_mm(volumeNode))

    def _hide_others(self, segmentationNode: Any) -> None:
        for node in nodes_of_class(self.scene, "vtkMRMLSegmentationNode"):
            display = node.GetDisplayNode()
            if node is segmentationNode or display is None or not display.GetVisibility():
                continue
            self._hidden.append(node)
            hide_until_shown(node)

    def _limit_to_views(self, volumeNode: Any) -> None:
        """Let the discs be drawn in the slice views of their volume alone; with None in all views."""
        display = self._segmentation.GetDisplayNode()
        if display is None:
            return
        slices = nodes_of_class(self.scene, "vtkMRMLSliceNode")
        shown = [view for view in slices if volumeNode is None or _background(view) == volumeNode.GetID()]
        wanted = [] if len(shown) == len(slices) else [view.GetID() for view in shown]
        if wanted:
            wanted += [view.GetID() for view in nodes_of_class(self.scene, "vtkMRMLViewNode")]
        present = [display.GetNthViewNodeID(n) for n in range(display.GetNumberOfViewNodeIDs())]
        if wanted != present:
            display.RemoveAllViewNodeIDs()
            for name in wanted:
                display.AddViewNodeID(name)

    def _is_viewed(self, segmentationNode: Any) -> bool:
        volume = segmentationNode.GetNodeReferenceID(segmentationNode.GetReferenceImageGeometryReferenceRole())
        return any(composite.GetBackgroundVolumeID() == volume for composite in self._composites())

    # -- what happens

    def watch(self) -> None:
        """Watch the slice views that there are now."""
        self._unwatch()
        for composite in self._composites():
            self._observations.append((composite, composite.AddObserver("ModifiedEvent", self._layers_changed)))

    def _unwatch(self) -> None:
        for composite, tag in self._observations:
            composite.RemoveObserver(tag)
        self._observations = []

    def _layers_changed(self, caller: Any, event: str) -> None:
        if not self._acting:
            self._changed()

    def _composites(self) -> list[Any]:
        return nodes_of_class(self.scene, "vtkMRMLSliceCompositeNode")


def _is_result(segmentationNode: Any) -> bool:
    return bool(segmentationNode.GetAttribute(STORED_RESULT_ATTRIBUTE))


def _hidden_foreign(scene: Any) -> list[Any]:
    nodes = nodes_of_class(scene, "vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetAttribute(HIDDEN_ATTRIBUTE) and not _is_result(node)]


def _show_again(segmentationNode: Any) -> None:
    segmentationNode.SetAttribute(HIDDEN_ATTRIBUTE, None)
    if segmentationNode.GetDisplayNode() is not None:
        segmentationNode.GetDisplayNode().SetVisibility(True)


def _background(view: Any) -> str | None:
    composite = composite_of(view)
    return composite.GetBackgroundVolumeID() if composite is not None else None


def _center_lps_mm(volumeNode: Any) -> tuple[float, float, float]:
    bounds = [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    x, y, z = (sum(bounds[n : n + 2]) / 2 for n in (0, 2, 4))
    return -x, -y, z
