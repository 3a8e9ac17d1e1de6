"""Segments of discs: which they are, what they cover, and how they are shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import NOT_GRADED_COLOR
from .nodes import TAG_PREFIX

LEVEL_TAG, SEGMENT_ID_TAG = TAG_PREFIX + "Level", TAG_PREFIX + "SegmentID"
"""Tags by which a disc's segment is told from what others put into the segmentation; a copy of it has another ID."""
SKETCH_TAG = TAG_PREFIX + "Sketch"
"""Tag of a segment in which a disc is drawn that was not found; it goes when the disc is graded."""
FILL_OPACITY = 0.25
"""The disc's own signal stays readable under the fill."""
OUTLINE_WIDTH_PX = 2


def own_segments(segmentationNode: Any) -> dict[str, str]:
    """Return the IDs of the segments that stand for graded discs, by level; others are somebody else's."""
    segmentation = segmentationNode.GetSegmentation()
    found: dict[str, str] = {}
    for n in range(segmentation.GetNumberOfSegments()):
        name = segmentation.GetNthSegmentID(n)
        segment = segmentation.GetSegment(name)
        level, written_as = segment_tag(segment, LEVEL_TAG), segment_tag(segment, SEGMENT_ID_TAG)
        if level and written_as in ("", name):
            found.setdefault(level, name)
    return found


def add_sketch(segmentationNode: Any, level: str) -> str:
    """Return the ID of the segment in which a missing disc is to be drawn: the one begun before, else an empty one."""
    segmentation = segmentationNode.GetSegmentation()
    begun = sketches(segmentationNode, (level,))
    if begun:
        return begun[0]
    color = [value / 255 for value in NOT_GRADED_COLOR]
    name = segmentation.AddEmptySegment(free_id(segmentation, level), level, color)
    segmentation.GetSegment(name).SetTag(SKETCH_TAG, "true")
    if segmentationNode.GetDisplayNode() is not None:
        segmentationNode.GetDisplayNode().SetSegmentVisibility(name, True)
    return name


def remove_sketches(segmentationNode: Any, levels: Collection[str]) -> None:
    """Remove the segments in which discs of these levels were drawn."""
    for name in sketches(segmentationNode, levels):
        segmentationNode.GetSegmentation().RemoveSegment(name)


def sketches(segmentationNode: Any, levels: Collection[str]) -> list[str]:
    """Return the IDs of the segments in which discs of these levels were drawn."""
    segmentation = segmentationNode.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    drawn = [name for name in ids if segment_tag(segmentation.GetSegment(name), SKETCH_TAG)]
    return [name for name in drawn if segmentation.GetSegment(name).GetName() in levels]


def segment_tag(segment: Any, tag: str) -> str:
    """Return a tag of a segment, empty where it has none."""
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag(tag, value) else ""


def free_id(segmentation: Any, level: str) -> str:
    """Return the level as ID of a new segment, or one made from it where somebody's segment has that."""
    return level if segmentation.GetSegment(level) is None else segmentation.GenerateUniqueSegmentID(level)


def oriented_image(labels: NDArray[np.uint8], volumeNode: Any) -> Any:
    """Return labels of shape (k, j, i) as vtkOrientedImageData on the volume node's own (local) grid."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*labels.shape[::-1])
    scalars = numpy_to_vtk(labels.ravel(), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    ijk_to_ras = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijk_to_ras)
    image.SetGeometryFromImageToWorldMatrix(ijk_to_ras)
    return image


def segment_image(segmentationNode: Any, segmentId: str) -> Any:
    """Return the vtkOrientedImageData in which a segment is kept, None where there is none."""
    import slicer

    segment = segmentationNode.GetSegmentation().GetSegment(segmentId) if segmentId else None
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return segment.GetRepresentation(name) if segment is not None else None


def segment_array(
    segmentationNode: Any, segmentId: str, volumeNode: Any, moved: NDArray[np.float64] | None = None
) -> NDArray | None:
    """Return a segment's mask on the grid of the volume on which it was drawn.

    Parameters
    ----------
    segmentationNode : vtkMRMLSegmentationNode
    segmentId : str
    volumeNode : vtkMRMLScalarVolumeNode
    moved : ndarray, shape (4, 4), optional
        Moves the segment first; RAS mm below the nodes' parent transform.

    Returns
    -------
    ndarray of bool, shape (k, j, i), or None
        None where there is no such segment or nothing in it.
    """
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    if segmentationNode.GetSegmentation().GetSegment(segmentId) is None:
        return None
    mask, drawn = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    if not segmentationNode.GetBinaryLabelmapRepresentation(segmentId, mask) or mask.IsEmpty():
        return None
    if moved is not None and not np.array_equal(moved, np.eye(4)):
        _move_image(mask, moved)
    dimensions = volumeNode.GetImageData().GetDimensions()
    grid = oriented_image(np.zeros(dimensions[::-1], dtype=np.uint8), volumeNode)
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    if not resample(mask, grid, drawn, False):
        return None
    scalars = drawn.GetPointData().GetScalars()
    return vtk_to_numpy(scalars).reshape(dimensions[::-1]) > 0 if scalars is not None else None


def _move_image(image: Any, moved: NDArray[np.float64]) -> None:
    import slicer
    import vtk
    from slicer.util import vtkMatrixFromArray

    transform = vtk.vtkTransform()
    transform.SetMatrix(vtkMatrixFromArray(moved))
    slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, transform)


def show_as_discs(segmentationNode: Any) -> None:
    """Show a segmentation as discs are read; one that is shown already stays as the user has it."""
    if segmentationNode.GetDisplayNode() is not None:
        return
    segmentationNode.CreateDefaultDisplayNodes()
    display = segmentationNode.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DFill(FILL_OPACITY)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_WIDTH_PX)
