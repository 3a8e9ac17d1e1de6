"""Between volume nodes of the MRML scene (RAS, parent transforms) and `SagittalVolume` (LPS)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import ImagingError, SagittalVolume, VolumeSource

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS positions into RAS ones, and back."""


def sagittal_volume_from_node(volumeNode: Any) -> SagittalVolume:
    """Return a copy of a volume node's voxels in canonical sagittal order with their place in the world.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
        A volume with one component; linear parent transforms count.

    Raises
    ------
    ImagingError
        If the node is no grey-scale volume, has no voxels, is warped by a transform that is not linear, or has no
        sagittal slices.
    """
    from slicer.util import arrayFromVolume

    if volumeNode is None or not volumeNode.IsA("vtkMRMLScalarVolumeNode"):
        raise ImagingError("No volume is selected; load a sagittal T2 series and select it.")
    name = volumeNode.GetName() or "volume"
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise ImagingError(f"The volume {name} has no voxels; load it again.")
    if image.GetNumberOfScalarComponents() != 1:
        raise ImagingError(f"The volume {name} is a color image; load the grey-scale sagittal T2 series.")
    array = np.array(arrayFromVolume(volumeNode))
    if not np.all(np.isfinite(array)):
        raise ImagingError(f"The volume {name} contains values that are not finite numbers; export the series again.")
    return SagittalVolume.from_stored(array, LPS_TO_RAS @ ijk_to_world(volumeNode), VolumeSource(name=name))


def ijk_to_world(volumeNode: Any) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from voxel indices (i, j, k, 1) to world RAS mm, parent transforms included.

    Raises
    ------
    ImagingError
        If a parent transform is not linear.
    """
    import vtk
    from slicer.util import arrayFromVTKMatrix

    ijk_to_ras = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijk_to_ras)
    matrix = arrayFromVTKMatrix(ijk_to_ras)
    parent = volumeNode.GetParentTransformNode()
    if parent is None:
        return matrix
    if not parent.IsTransformToWorldLinear():
        raise ImagingError(
            f"The volume {volumeNode.GetName()} is warped by a transform that is not linear; harden the transform."
        )
    to_world = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(to_world)
    return arrayFromVTKMatrix(to_world) @ matrix


def volume_node_from(volume: SagittalVolume, name: str, scene: Any) -> Any:
    """Add a volume node with a volume's voxels in their stored order and geometry.

    Parameters
    ----------
    volume : SagittalVolume
    name : str
        Name of the node.
    scene : vtkMRMLScene

    Returns
    -------
    vtkMRMLScalarVolumeNode
        With default display nodes.
    """
    from slicer.util import updateVolumeFromArray, vtkMatrixFromArray

    stored = volume.to_stored(volume.voxels)
    if stored.dtype == np.float16 or stored.dtype == bool:
        stored = stored.astype(np.float32)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(vtkMatrixFromArray(LPS_TO_RAS @ volume.stored_index_to_lps))
    updateVolumeFromArray(node, stored)
    node.CreateDefaultDisplayNodes()
    return node
