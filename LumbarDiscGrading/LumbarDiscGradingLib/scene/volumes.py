"""Between volume nodes of the MRML scene (RAS, parent transforms) and `SagittalVolume` (LPS)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.acquisition import Acquisition, doubts
from ..imaging.admission import grey_values, mr_values, require_mr_modality, require_size
from ..imaging.stated_geometry import sagittal_from_stored
from ..imaging.volume import ImagingError, SagittalVolume, VolumeSource
from .dicom_headers import header_of_node

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS positions into RAS ones, and back."""

GEOMETRY_TOLERANCE_MM = 0.01
"""A result fits a volume node when no matrix element differs by more; far below a voxel."""

EVIDENCE_ATTRIBUTE = "LumbarDiscGrading.EvidenceKey"
"""Attribute of a volume node that is no image but the evidence of a grading (see `evidence`): what it was made of."""


@dataclass(frozen=True)
class NodeVoxels:
    """A copy of what a volume node holds, free of the scene: any thread may work on it.

    Attributes
    ----------
    name : str
    array : ndarray, shape (k, j, i) or (k, j, i, channels)
    index_to_lps : ndarray, shape (4, 4)
        Maps (i, j, k, 1) to LPS mm in the world.
    acquisition : Acquisition
        How the image was acquired, as its header or its name tells.
    pixel_size_stated : bool
        False where the header is known to lack the pixel size.
    """

    name: str
    array: NDArray
    index_to_lps: NDArray[np.float64]
    acquisition: Acquisition
    pixel_size_stated: bool = True

    def sagittal_volume(self) -> SagittalVolume:
        """Return the voxels in canonical sagittal order; what is doubtful in contrast or region is among the notes.

        Raises
        ------
        ImagingError
            If they are not those of a grey-scale MR image or have no sagittal slices.
        """
        require_mr_modality(self.acquisition.modality)
        array, notes = grey_values(self.array) if self.array.ndim == 4 else (self.array, ())
        modality = self.acquisition.modality
        values, padding = mr_values(array, modality)
        source = VolumeSource(self.name, sha256=_sha256(array, self.index_to_lps), modality=modality)
        volume = sagittal_from_stored(values, self.index_to_lps, source, notes + padding, self.pixel_size_stated)
        said = doubts(self.acquisition, volume.slice_count, volume.spacing_mm[0])
        return replace(volume, notes=(*said, *volume.notes))


def copy_of_node(volumeNode: Any) -> NodeVoxels:
    """Copy voxels and place of a volume node; the main thread does this before another one works on them.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
        Linear parent transforms count.

    Raises
    ------
    ImagingError
        If the node is no volume, is empty, too small or too large, or is warped by a transform that is not linear.
    """
    from slicer.util import arrayFromVolume

    name = _require_voxels(volumeNode)
    array = np.array(arrayFromVolume(volumeNode))
    acquisition = header_of_node(volumeNode).acquisition
    return NodeVoxels(name, array, LPS_TO_RAS @ ijk_to_world(volumeNode), acquisition, _pixel_size_stated(volumeNode))


def sagittal_geometry_of_node(volumeNode: Any) -> SagittalVolume:
    """Return where a volume node's slices lie, with blank voxels: quick, and enough to place a mask or to doubt.

    Raises
    ------
    ImagingError
        If the node is no volume, is empty, too small or too large, is warped, or has no sagittal slices.
    """
    name = _require_voxels(volumeNode)
    blank = np.broadcast_to(np.uint8(0), volumeNode.GetImageData().GetDimensions()[::-1])
    matrix = LPS_TO_RAS @ ijk_to_world(volumeNode)
    return sagittal_from_stored(blank, matrix, VolumeSource(name), (), _pixel_size_stated(volumeNode))


def sagittal_volume_from_node(volumeNode: Any) -> SagittalVolume:
    """Return a copy of a volume node's voxels in canonical sagittal order with their place in the world.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
        Grey (or color with equal channels); linear parent transforms count.

    Raises
    ------
    ImagingError
        If the node is no volume, its voxels are not those of a grey-scale MR image, it is warped by a transform that
        is not linear, or it has no sagittal slices.
    """
    return copy_of_node(volumeNode).sagittal_volume()


def _require_voxels(volumeNode: Any) -> str:
    """Return the name of a volume node that has voxels enough."""
    if volumeNode is None or not volumeNode.IsA("vtkMRMLScalarVolumeNode"):
        raise ImagingError("No volume is selected; load a sagittal T2 series and select it.")
    name = volumeNode.GetName() or "volume"
    if volumeNode.GetAttribute(EVIDENCE_ATTRIBUTE):
        raise ImagingError(f"{name} is the evidence of a grading, not an image; select the sagittal T2 series.")
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise ImagingError(f"The volume {name} has no voxels; load it again.")
    require_size(image.GetDimensions(), image.GetScalarSize())
    return name


def _sha256(array: NDArray, index_to_lps: NDArray[np.float64]) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes())
    digest.update(np.round(index_to_lps, 6).tobytes())
    return digest.hexdigest()


def _pixel_size_stated(volumeNode: Any) -> bool:
    """Whether the pixels have another size than the default of a header that does not state it."""
    return header_of_node(volumeNode).pixel_size_stated or volumeNode.GetSpacing()[:2] != (1.0, 1.0)


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
    return parent_to_world(volumeNode) @ arrayFromVTKMatrix(ijk_to_ras)


def parent_to_world(node: Any) -> NDArray[np.float64]:
    """Return the (4, 4) matrix of a node's parent transforms, from its own RAS mm to those of the world.

    Raises
    ------
    ImagingError
        If a parent transform is not linear.
    """
    import vtk
    from slicer.util import arrayFromVTKMatrix

    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise ImagingError(
            f"The volume {node.GetName()} is warped by a transform that is not linear; harden the transform."
        )
    to_world = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(to_world)
    return arrayFromVTKMatrix(to_world)


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


def array_on_node(volume: SagittalVolume, volumeNode: Any, canonical: NDArray) -> NDArray:
    """Return an array of canonical order (slices, rows, columns) in a node's voxel order, not always that of the file.

    Raises
    ------
    ImagingError
        If the array's volume does not lie where the node does.
    """
    node_volume = sagittal_geometry_of_node(volumeNode)
    if node_volume.voxels.shape != volume.voxels.shape or not np.allclose(
        node_volume.index_to_lps, volume.index_to_lps, rtol=0, atol=GEOMETRY_TOLERANCE_MM
    ):
        raise ImagingError(
            f"The result of {volume.source.name} does not lie on the volume {volumeNode.GetName()} "
            "(changed or moved since); grade it again."
        )
    return node_volume.to_stored(canonical)
