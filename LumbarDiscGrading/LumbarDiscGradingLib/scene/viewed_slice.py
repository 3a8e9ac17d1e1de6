"""Which sagittal slice of a volume the user is looking at, and moving the views to a slice or a disc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.volume import SagittalVolume
from .nodes import nodes_of_class
from .show import READING_VIEW, turn_to_slices
from .volumes import LPS_TO_RAS, sagittal_geometry_of_node

LEAST_DEPTH = 1e-3
"""A point that is no farther from the slice lies on it."""


def viewed_slice(volumeNode: Any) -> int | None:
    """Return the canonical index of a volume's slice in the sagittal slice view.

    None where the view shows another volume, or nothing of this one.

    Raises
    ------
    ImagingError
        If the volume has no sagittal slices.
    """
    volume = sagittal_geometry_of_node(volumeNode)
    view = _view_of(volumeNode)
    return None if view is None else _slice_in(view, volume)


def follow_slice(volumeNode: Any, before: SagittalVolume, now: SagittalVolume, stored_index: int) -> None:
    """Let the sagittal view go on showing a slice of a volume that was moved, where it showed that slice before.

    It is turned with the slices, and goes where its center has gone unless it shows the slice as it is.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
    before, now : SagittalVolume
        Where the volume lay and where it lies, the same stored voxels.
    stored_index : int
        Of the slice, along the stored sagittal axis.
    """
    from slicer.util import arrayFromVTKMatrix

    view = _view_of(volumeNode)
    if view is None or _slice_in(view, before) != before.canonical_slice_index(stored_index):
        return
    columns, rows, _ = view.GetDimensions()
    center = arrayFromVTKMatrix(view.GetXYToRAS()) @ (columns / 2, rows / 2, 0.0, 1.0)
    moved = LPS_TO_RAS @ now.stored_index_to_lps @ np.linalg.inv(before.stored_index_to_lps) @ LPS_TO_RAS
    index, (depth, row, column) = now.canonical_slice_index(stored_index), now.index_of_lps((LPS_TO_RAS @ center)[:3])
    _, height, width = now.voxels.shape
    modified = view.StartModify()
    turn_to_slices(view, volumeNode)
    if round(depth) == index and 0 <= row < height and 0 <= column < width:
        x, y, z = now.lps_mm(index, row, column)
        view.JumpSliceByOffsetting(-x, -y, z)
    else:
        view.JumpSliceByCentering(*(moved @ center)[:3])
    view.EndModify(modified)


def _view_of(volumeNode: Any) -> Any:
    """Return the sagittal slice view if it shows a volume."""
    view = volumeNode.GetScene().GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}")
    composite = composite_of(view)
    return view if composite is not None and composite.GetBackgroundVolumeID() == volumeNode.GetID() else None


def _slice_in(view: Any, volume: SagittalVolume) -> int | None:
    matrix = view.GetSliceToRAS()
    right, front, up = (matrix.GetElement(row, 3) for row in range(3))
    index = round(volume.index_of_lps((-right, -front, up))[0])
    return index if 0 <= index < volume.slice_count else None


def composite_of(view: Any) -> Any:
    """Return the composite node of a slice view: what is laid over each other in it; None where there is none."""
    if view is None:
        return None
    composites = nodes_of_class(view.GetScene(), "vtkMRMLSliceCompositeNode")
    return next((node for node in composites if node.GetLayoutName() == view.GetLayoutName()), None)


def show_slice(volumeNode: Any, volume: SagittalVolume, slice_index: int) -> None:
    """Move the sagittal slice view to a slice of a volume; its place in the plane stays."""
    view = volumeNode.GetScene().GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}")
    if view is not None:
        x, y, z = volume.slice_center_lps_mm(slice_index)
        view.JumpSliceByOffsetting(-x, -y, z)


def center_views(scene: Any, center_lps_mm: tuple[float, float, float]) -> None:
    """Centre all slice views on a point."""
    x, y, z = center_lps_mm
    for view in nodes_of_class(scene, "vtkMRMLSliceNode"):
        view.JumpSliceByCentering(-x, -y, z)


def bring_into_views(scene: Any, point_lps_mm: tuple[float, float, float]) -> None:
    """Let all slice views show a point; where it is seen in a view that one neither pans nor zooms.

    Each view goes to the slice through the point, and is centred on it only where the point lies outside.
    """
    from slicer.util import arrayFromVTKMatrix

    x, y, z = point_lps_mm
    ras = np.array([-x, -y, z, 1.0])
    for view in nodes_of_class(scene, "vtkMRMLSliceNode"):
        to_ras = arrayFromVTKMatrix(view.GetXYToRAS())
        columns, rows, _ = view.GetDimensions()
        column, row, depth, _ = np.linalg.solve(to_ras, ras)
        if not (0 <= column <= columns and 0 <= row <= rows):
            view.JumpSliceByCentering(*ras[:3])
        elif abs(depth) > LEAST_DEPTH:
            view.JumpSliceByOffsetting(*ras[:3])
