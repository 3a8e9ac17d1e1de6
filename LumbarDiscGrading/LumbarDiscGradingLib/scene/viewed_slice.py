"""Which sagittal slice of a volume the user is looking at, and moving the views to a slice or a disc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.volume import SagittalVolume
from .nodes import nodes_of_class
from .show import READING_VIEW
from .volumes import sagittal_geometry_of_node

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
    view = volumeNode.GetScene().GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}")
    composite = composite_of(view)
    if composite is None or composite.GetBackgroundVolumeID() != volumeNode.GetID():
        return None
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
