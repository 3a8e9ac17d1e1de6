"""Parameters of the Segment Editor's effects that suit a disc on one slice; Slicer's own suit an organ in a CT.

A disc measures about 35 x 10 mm and lies on one slice of 4 mm: some hundred voxels. With Slicer's defaults *Islands*
removes what has less than 1000 voxels, *Smoothing* and *Scissors* reach into the neighboring slices, and the brush is
as large as the disc is high.
"""

from __future__ import annotations

from typing import Any

import vtk

SPECK_MM2 = 10.0
"""An island below this area is no disc: the lowest disc of a degenerated spine has ten times as much."""
KERNEL_MM, SPREAD_MM, MARGIN_MM = 2.0, 1.0, 1.0
"""*Smoothing* by median and by Gauss, and *Margin*: a degenerated disc is 4 mm high."""
KERNEL_SLICES, SPREAD_SLICES = 1.9, 0.3
"""At most so many slice distances: from 2 on the median takes in the neighboring slices, on which a disc that was
drawn on one slice is missing, and wipes it; a Gaussian of half a slice distance does."""
BRUSH_MM = 4.0

GIVEN_PREFIX = "LumbarDiscGrading."
"""An attribute of the editor node with this prefix holds what was given last: another value is the user's own."""


def give_parameters(node: Any, volumeNode: Any) -> None:
    """Set the effects' parameters for a volume; what the user has changed since they were given stays.

    Parameters
    ----------
    node : vtkMRMLSegmentEditorNode
        The panel's own; effects read their parameters from its attributes.
    volumeNode : vtkMRMLScalarVolumeNode
    """
    for name, value in disc_parameters(*_spacing_mm(volumeNode)).items():
        given = node.GetAttribute(GIVEN_PREFIX + name)
        if given is None or node.GetAttribute(name) in (None, given):
            node.SetAttribute(name, value)
            node.SetAttribute(GIVEN_PREFIX + name, value)


def disc_parameters(slice_mm: float, pixel_mm2: float) -> dict[str, str]:
    """Return the parameters by the names of their attributes.

    Parameters
    ----------
    slice_mm : float
        Distance of the slices.
    pixel_mm2 : float
        Area of a pixel.
    """
    values = {
        "Islands.MinimumSize": max(1, round(SPECK_MM2 / pixel_mm2)),
        "Smoothing.KernelSizeMm": min(KERNEL_MM, KERNEL_SLICES * slice_mm),
        "Smoothing.GaussianStandardDeviationMm": min(SPREAD_MM, SPREAD_SLICES * slice_mm),
        "Margin.MarginSizeMm": MARGIN_MM,
        "Scissors.SliceCutMode": "Symmetric",
        "Scissors.SliceCutDepthMm": 0,  # one slice
        "BrushSphere": 0,
        "EditIn3DViews": 0,
        "BrushDiameterIsRelative": 0,  # else the brush grows as the reader zooms out
        "BrushAbsoluteDiameter": BRUSH_MM,
    }
    return {name: value if isinstance(value, str) else f"{value:g}" for name, value in values.items()}


def _spacing_mm(volumeNode: Any) -> tuple[float, float]:
    """Return the distance of sagittal slices and the area of a pixel on them, on the volume's own grid."""
    directions, spacing = vtk.vtkMatrix4x4(), volumeNode.GetSpacing()
    volumeNode.GetIJKToRASDirectionMatrix(directions)
    across = max(range(3), key=lambda axis: abs(directions.GetElement(0, axis)))
    others = [spacing[axis] for axis in range(3) if axis != across]
    return spacing[across], others[0] * others[1]
