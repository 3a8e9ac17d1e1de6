"""Slice views that open on the graded slice, with a window in which discs can be read."""

from __future__ import annotations

from typing import Any

from ..grading.result import GradingResult
from ..report.display_window import display_window
from ..report.spine_box import spine_box
from .nodes import nodes_of_class

READING_VIEW = "Yellow"
"""Slicer's sagittal slice view."""


def showGradedSlice(result: GradingResult, volumeNode: Any) -> None:
    """Show a volume in all slice views at the graded slice, the sagittal one fitted to the spine, windowed for discs.

    Views, composites and display nodes of the scene are set; neither a layout manager nor a window is needed, and views
    that exist follow. The sagittal view is turned to the plane of oblique slices.

    Parameters
    ----------
    result : GradingResult
    volumeNode : vtkMRMLScalarVolumeNode
        The graded volume.
    """
    show_volume(volumeNode, result.slice_center_lps_mm, *display_window(result))
    fit_spine(result, volumeNode.GetScene())


def fit_spine(result: GradingResult, scene: Any) -> None:
    """Let the discs of a result, with some room around them, just fill the sagittal view.

    Parameters
    ----------
    result : GradingResult
    scene : vtkMRMLScene
    """
    view = scene.GetNodeByID(f"vtkMRMLSliceNode{READING_VIEW}")
    if view is None:
        return
    row0, row1, column0, column1 = spine_box(result)
    volume = result.volume
    x, y, z = volume.lps_mm(result.slice_index, (row0 + row1 - 1) / 2, (column0 + column1 - 1) / 2)
    modified = view.StartModify()
    view.JumpSliceByCentering(-x, -y, z)
    _set_extent(view, (column1 - column0) * volume.spacing_mm[2], (row1 - row0) * volume.spacing_mm[1])
    view.EndModify(modified)


def show_volume(
    volumeNode: Any, center_lps_mm: tuple[float, float, float], low: float | None = None, high: float | None = None
) -> None:
    """Show a volume in all slice views, centred on a point and fitted, `low` as black and `high` as white.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
    center_lps_mm : tuple of float
    low, high : float, optional
        Intensities; the window stays as it is when they are left out.
    """
    if low is not None and high is not None:
        _set_window(volumeNode, low, high)
    scene = volumeNode.GetScene()
    x, y, z = center_lps_mm
    for selection in nodes_of_class(scene, "vtkMRMLSelectionNode"):
        selection.SetActiveVolumeID(volumeNode.GetID())
    for composite in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(volumeNode.GetID())
    for view in nodes_of_class(scene, "vtkMRMLSliceNode"):
        modified = view.StartModify()
        if view.GetLayoutName() == READING_VIEW:
            turn_to_slices(view, volumeNode)
        view.JumpSliceByCentering(-x, -y, z)
        _fit(view, volumeNode)
        view.EndModify(modified)


def turn_to_slices(view: Any, volumeNode: Any) -> None:
    """Turn a slice view to the plane of a volume's sagittal slices, oblique ones too."""
    view.SetOrientation("Sagittal")
    view.RotateToVolumePlane(volumeNode)


def fit_views(volumeNode: Any) -> None:
    """Fit a volume into all slice views, after their sizes have changed."""
    for view in nodes_of_class(volumeNode.GetScene(), "vtkMRMLSliceNode"):
        _fit(view, volumeNode)


def showReadingLayout(scene: Any) -> None:
    """Let the scene open with the sagittal slice view alone, as large as it goes."""
    import slicer

    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None:
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView)


def _set_window(volumeNode: Any, low: float, high: float) -> None:
    volumeNode.CreateDefaultDisplayNodes()
    display = volumeNode.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(low, high)


def _fit(view: Any, volumeNode: Any) -> None:
    """Choose the field of view so that the volume's box, seen along the slice normal, just fits the view."""
    import numpy as np
    from slicer.util import arrayFromVTKMatrix

    bounds = [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    corners = np.array([[x, y, z] for x in bounds[:2] for y in bounds[2:4] for z in bounds[4:]])
    axes = arrayFromVTKMatrix(view.GetSliceToRAS())[:3, :2]
    width_mm, height_mm = np.ptp(corners @ axes, axis=0)
    _set_extent(view, width_mm, height_mm)


def _set_extent(view: Any, width_mm: float, height_mm: float) -> None:
    """Choose the field of view in which so much just fits."""
    columns, rows, _ = view.GetDimensions()
    mm_per_pixel = max(width_mm / max(columns, 1), height_mm / max(rows, 1))
    if mm_per_pixel > 0:
        depth = view.GetFieldOfView()[2]
        view.SetFieldOfView(mm_per_pixel * max(columns, 1), mm_per_pixel * max(rows, 1), depth)
