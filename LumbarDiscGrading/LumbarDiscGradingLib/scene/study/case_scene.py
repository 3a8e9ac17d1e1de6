"""`CaseScene`: a study's case in the MRML scene for as long as it is read; the study on disk is what counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from slicer.util import arrayFromVTKMatrix
from vtk.util.numpy_support import vtk_to_numpy

from ...annotation.storage.segmentation_files import mask_levels
from ...imaging.volume import SagittalVolume
from ...imaging.window import automatic_window
from ...pfirrmann import DISC_LABELS, NOT_GRADED_COLOR
from ...segment_tags import disc_terminology_entry
from ..nodes import nodes_of_class
from ..segments import oriented_image, segment_array, segment_image, show_as_discs
from ..show import fit_views, show_volume
from ..viewed_slice import center_views, show_slice, viewed_slice
from ..volumes import GEOMETRY_TOLERANCE_MM, LPS_TO_RAS, volume_node_from

HIGHLIGHTED, SUBDUED = 1.0, 0.35
"""Share of the fill's opacity of the selected disc and of the others."""


class CaseScene:
    """Volume and segmentation node of one case.

    Nothing of it is saved with the scene, and nothing in it but the title tells which case it is. Other segmentations
    and volumes are taken from the views meanwhile, since a model's or another reader's discs would show through.

    Parameters
    ----------
    scene : vtkMRMLScene
    volume : SagittalVolume
        The image.
    title : str
        Name of the nodes.
    levels : sequence of str
        A segment is made for each, and for each other level in `masks`.
    masks : ndarray of uint8, shape (slices, rows, columns), or None
        `pfirrmann.DISC_LABELS` values in canonical order; None for a case without contours.
    slice_index : int
        Canonical index of the slice shown first.

    Attributes
    ----------
    volumeNode, segmentationNode
        The nodes; no segmentation where there are no contours.
    """

    def __init__(
        self,
        scene: Any,
        volume: SagittalVolume,
        title: str,
        levels: Sequence[str],
        masks: NDArray[np.uint8] | None,
        slice_index: int,
    ) -> None:
        self.scene, self.volume, self._levels = scene, volume, tuple(levels)
        self.segmentationNode: Any = None
        self._hidden, self._layers = _hide_segmentations(scene), _take_layers(scene)
        self.volumeNode = volume_node_from(volume, title, scene)
        self.volumeNode.SetSaveWithScene(False)
        if masks is not None:
            self.segmentationNode = self._add_segmentation(title)
            self.write_masks(masks)
            show_as_discs(self.segmentationNode)
        center, width = automatic_window(volume)
        show_volume(self.volumeNode, volume.slice_center_lps_mm(slice_index), center - width / 2, center + width / 2)

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that have a segment, head to feet."""
        if self.segmentationNode is None:
            return ()
        segmentation = self.segmentationNode.GetSegmentation()
        return tuple(level for level in DISC_LABELS if segmentation.GetSegment(level) is not None)

    @property
    def other_segments(self) -> tuple[str, ...]:
        """Names of segments that stand for no level of this study's names: what is drawn there is nobody's disc."""
        if self.segmentationNode is None:
            return ()
        segmentation = self.segmentationNode.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        return tuple(segmentation.GetSegment(name).GetName() for name in ids if name not in DISC_LABELS)

    def nodes(self) -> list[Any]:
        """Return our nodes, displays apart; none after `remove`."""
        return [node for node in (self.segmentationNode, self.volumeNode) if node is not None]

    def is_alive(self) -> bool:
        """Whether all nodes are still in the scene."""
        return self.volumeNode is not None and all(self.scene.IsNodePresent(node) for node in self.nodes())

    def has(self, node: Any) -> bool:
        """Whether a node is one of ours."""
        return node in self.nodes()

    def masks(self) -> NDArray[np.uint8]:
        """Return what is drawn in the segments, shape (slices, rows, columns), canonical order.

        Where segments overlap, the one nearest to the feet counts.
        """
        labels = np.zeros(self.volumeNode.GetImageData().GetDimensions()[::-1], dtype=np.uint8)
        for level in self.levels:
            self._draw_segment(level, labels)
        return self.volume.canonical(labels)

    def write_masks(
        self,
        masks: NDArray[np.uint8],
        colors: dict[str, tuple[int, int, int]] | None = None,
        moved: Mapping[str, str] | None = None,
    ) -> None:
        """Let the segments of the levels be these masks.

        A segment that stays is changed, not made anew, and one that stands for no level is left as it is. What the
        reader has hidden stays hidden, everything else is shown.

        Parameters
        ----------
        masks : ndarray of uint8, shape (slices, rows, columns)
            Canonical order.
        colors : dict, optional
            RGB colour, 0-255, by level; purple where there is none.
        moved : mapping of str to str, optional
            New level by level of discs that were renamed: what is hidden moves along.
        """
        hidden = {(moved or {}).get(level, level) for level in self._hidden_levels()}
        modified = self.segmentationNode.StartModify()
        image = oriented_image(self.volume.to_stored(masks), self.volumeNode)
        shown = {*self._levels, *mask_levels(masks)}
        self.segmentationNode.GetSegmentation().InvalidateNonSourceRepresentations()
        self._leave_shared_image()
        for level in self.levels:
            if level not in shown:
                self._remove_segment(level)
        for level in DISC_LABELS:
            if level in shown:
                self._write_segment(level, image, (colors or {}).get(level, NOT_GRADED_COLOR))
        self.segmentationNode.EndModify(modified)
        self._show_all_but(hidden)  # Slicer's slice controllers switch segments off that they do not know

    def set_color(self, level: str, color: tuple[int, int, int]) -> None:
        """Color the disc of a level, if it has a segment; RGB, 0-255."""
        if self.segmentationNode is None:
            return
        segment = self.segmentationNode.GetSegmentation().GetSegment(level)
        if segment is not None:
            _set_color(segment, color)

    def highlight(self, selected: str | None) -> None:
        """Fill the disc of a level and subdue the others."""
        display = self.segmentationNode.GetDisplayNode() if self.segmentationNode is not None else None
        if display is None:
            return
        for level in self.levels:
            share = HIGHLIGHTED if selected in (None, level) else SUBDUED
            if display.GetSegmentOpacity2DFill(level) != share:
                display.SetSegmentOpacity2DFill(level, share)

    @property
    def are_discs_shown(self) -> bool:
        """Whether there are discs and they are shown in the slice views."""
        display = self.segmentationNode.GetDisplayNode() if self.segmentationNode is not None else None
        return display is not None and bool(display.GetVisibility())

    def toggle_shown(self) -> None:
        """Hide the discs in the slice views if they are shown there, else show them."""
        display = self.segmentationNode.GetDisplayNode() if self.segmentationNode is not None else None
        if display is not None:
            display.SetVisibility(not display.GetVisibility())

    def level_at(self, lps_mm: tuple[float, float, float], masks: NDArray[np.uint8]) -> str | None:
        """Return the level of the disc of `masks` at a point, None beside every disc."""
        place = tuple(round(value) for value in self.volume.index_of_lps(lps_mm))
        if not all(0 <= n < size for n, size in zip(place, masks.shape, strict=True)):
            return None
        value = int(masks[place])
        return next((level for level, label in DISC_LABELS.items() if label == value), None)

    def center_on(self, level: str, masks: NDArray[np.uint8], slice_index: int) -> None:
        """Center the views on the disc of a level on a slice, or where it is largest."""
        disc = masks == DISC_LABELS[level]
        areas = disc.sum(axis=(1, 2))
        if not areas.any():
            return
        index = slice_index if areas[slice_index] else int(areas.argmax())
        rows, columns = np.nonzero(disc[index])
        center_views(self.scene, self.volume.lps_mm(index, float(rows.mean()), float(columns.mean())))

    def fit(self) -> None:
        """Fit the image into the views, after their sizes have changed."""
        fit_views(self.volumeNode)

    def viewed_slice(self) -> int | None:
        """Return the canonical index of the slice that the sagittal view shows, None where it lies outside."""
        return viewed_slice(self.volumeNode)

    def show_slice(self, slice_index: int) -> None:
        """Move the sagittal view to a slice."""
        show_slice(self.volumeNode, self.volume, slice_index)

    def observe_strokes(self, changed: Callable[..., None]) -> list[tuple[Any, int]]:
        """Call back after each change of a segment; returns the observed object and tag of each observer."""
        if self.segmentationNode is None:
            return []
        kinds = slicer.vtkSegmentation
        events = (
            kinds.SourceRepresentationModified,
            kinds.RepresentationModified,
            kinds.SegmentAdded,
            kinds.SegmentRemoved,
        )
        segmentation = self.segmentationNode.GetSegmentation()
        return [(segmentation, segmentation.AddObserver(event, changed)) for event in events]

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Return what changes with every change of a segment, also with one that no event tells of."""
        segmentation, stamps = self.segmentationNode.GetSegmentation(), []
        for level in self.levels:
            image = segment_image(self.segmentationNode, level)
            value = segmentation.GetSegment(level).GetLabelValue()
            stamps.append((level, value, image.GetMTime() if image is not None else 0))
        return tuple(stamps)

    def remove(self) -> None:
        """Take the nodes out of the scene, with what displays them, and show again what was hidden."""
        ours = self.nodes()
        displays = [node.GetNthDisplayNode(n) for node in ours for n in range(node.GetNumberOfDisplayNodes())]
        for node in (*ours, *displays):
            if node is not None and self.scene.IsNodePresent(node):
                self.scene.RemoveNode(node)
        self.volumeNode = self.segmentationNode = None
        for display in self._hidden:
            if self.scene.IsNodePresent(display):
                display.SetVisibility(True)
        for composite, layers in self._layers:
            if self.scene.IsNodePresent(composite):
                _show_layers(composite, [name if self.scene.GetNodeByID(name or "") else None for name in layers])
        self._hidden, self._layers = [], []

    # -- segments

    def _add_segmentation(self, name: str) -> Any:
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.SetSaveWithScene(False)
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volumeNode)
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), self.volumeNode.GetID())
        node.SetSourceRepresentationToBinaryLabelmap()
        return node

    def _hidden_levels(self) -> list[str]:
        """Return the levels whose segments the reader has hidden."""
        display = self.segmentationNode.GetDisplayNode()
        return [] if display is None else [name for name in self.levels if not display.GetSegmentVisibility(name)]

    def _show_all_but(self, hidden: set[str]) -> None:
        display = self.segmentationNode.GetDisplayNode()
        for level in self.levels if display is not None else ():
            if bool(display.GetSegmentVisibility(level)) == (level in hidden):
                display.SetSegmentVisibility(level, level not in hidden)

    def _leave_shared_image(self) -> None:
        """Take our discs out of images that they share with segments of others, which keep what is theirs in them."""
        segmentation, name = self.segmentationNode.GetSegmentation(), _labelmap_name()
        segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
        ours = [segmentation.GetSegment(level) for level in self.levels]
        others = [segment for segment in segments if segment not in ours]
        for image in {segment.GetRepresentation(name) for segment in others} - {None}:
            if image in [segment.GetRepresentation(name) for segment in ours] and not image.IsEmpty():
                values = [segment.GetLabelValue() for segment in others if segment.GetRepresentation(name) == image]
                labels = vtk_to_numpy(image.GetPointData().GetScalars())
                labels[~np.isin(labels, values)] = 0
                image.Modified()

    def _remove_segment(self, level: str) -> None:
        segmentation = self.segmentationNode.GetSegmentation()
        segmentation.GetSegment(level).RemoveAllRepresentations()  # else it is wiped from the shared image
        segmentation.RemoveSegment(level)

    def _write_segment(self, level: str, image: Any, color: tuple[int, int, int]) -> None:
        """Let the segment of a level be its label value in an image; where there is none it is added in its place."""
        segmentation = self.segmentationNode.GetSegmentation()
        segment = segmentation.GetSegment(level)
        if segment is None:
            segment = slicer.vtkSegment()
            segment.SetName(level)
            segment.SetNameAutoGenerated(False)
            segment.SetColorAutoGenerated(False)
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), disc_terminology_entry())
        segment.SetLabelValue(DISC_LABELS[level])
        segment.AddRepresentation(_labelmap_name(), image)
        _set_color(segment, color)
        if segmentation.GetSegment(level) is None:
            ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
            above = list(DISC_LABELS)[: list(DISC_LABELS).index(level)]
            place = max((ids.index(name) + 1 for name in above if name in ids), default=0)
            segmentation.AddSegment(segment, level, ids[place] if place < len(ids) else "")

    def _draw_segment(self, level: str, labels: NDArray[np.uint8]) -> None:
        """Write a segment into labels of shape (k, j, i)."""
        segment = self.segmentationNode.GetSegmentation().GetSegment(level)
        image = segment_image(self.segmentationNode, level)
        if image is None or image.IsEmpty():
            return
        if not self._is_on_our_grid(image):
            array = segment_array(self.segmentationNode, level, self.volumeNode)
            if array is not None:
                labels[array] = DISC_LABELS[level]
            return
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        part = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
        low = [max(0, -first) for first in (k0, j0, i0)]
        target = labels[max(k0, 0) : k1 + 1, max(j0, 0) : j1 + 1, max(i0, 0) : i1 + 1]
        source = part[tuple(slice(n, n + size) for n, size in zip(low, target.shape, strict=True))]
        target[source == segment.GetLabelValue()] = DISC_LABELS[level]

    def _is_on_our_grid(self, image: Any) -> bool:
        """Whether an image is a part of the volume's own grid, so that nothing need be resampled."""
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        own = LPS_TO_RAS @ self.volume.stored_index_to_lps
        return bool(np.allclose(arrayFromVTKMatrix(matrix), own, rtol=0, atol=GEOMETRY_TOLERANCE_MM / 100))


def _set_color(segment: Any, color: tuple[int, int, int]) -> None:
    """Give a segment an RGB color, 0-255, if it has another one."""
    wanted = tuple(channel / 255 for channel in color)
    if not np.allclose(segment.GetColor(), wanted):
        segment.SetColor(*wanted)


def _labelmap_name() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _hide_segmentations(scene: Any) -> list[Any]:
    """Hide all segmentations and return the display nodes that were visible."""
    hidden = []
    for node in nodes_of_class(scene, "vtkMRMLSegmentationNode"):
        display = node.GetDisplayNode()
        if display is not None and display.GetVisibility():
            display.SetVisibility(False)
            hidden.append(display)
    return hidden


def _take_layers(scene: Any) -> list[tuple[Any, list[str | None]]]:
    """Take all volumes from the slice views and return what each view had: background, foreground, labels."""
    taken = []
    for node in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        taken.append((node, [node.GetBackgroundVolumeID(), node.GetForegroundVolumeID(), node.GetLabelVolumeID()]))
        _show_layers(node, [None, None, None])
    return taken


def _show_layers(composite: Any, layers: list[str | None]) -> None:
    background, foreground, labels = layers
    composite.SetBackgroundVolumeID(background)
    composite.SetForegroundVolumeID(foreground)
    composite.SetLabelVolumeID(labels)
