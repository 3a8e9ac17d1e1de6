"""The built-in lumbar phantom as a volume of the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..atomic import replacing
from ..imaging.phantom import lumbar_phantom
from ..imaging.volume import SagittalVolume
from .nodes import nodes_of_class
from .volumes import volume_node_from

SAMPLE_NODE_NAME = "Lumbar phantom T2 sagittal"


def sample_volume() -> SagittalVolume:
    """Make the sample; takes a second or two and touches no scene, so that any thread may do it."""
    return lumbar_phantom().volume


def sample_file(folder: str | Path, name: str) -> Path:
    """Return the sample as a volume file in a folder; it is made where it is not there yet."""
    from ..dataset.image_files import write_stored

    path = Path(folder).absolute() / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        volume = sample_volume()
        with replacing(path) as unfinished:
            write_stored(unfinished, volume.to_stored(volume.voxels), volume.stored_index_to_lps)
    return path


def load_sample(scene: Any, volume: SagittalVolume | None = None) -> Any:
    """Add the sample to a scene, shown in its slice views, and return the volume node."""
    name = (
        scene.GenerateUniqueName(SAMPLE_NODE_NAME) if scene.GetFirstNodeByName(SAMPLE_NODE_NAME) else SAMPLE_NODE_NAME
    )
    node = volume_node_from(volume if volume is not None else sample_volume(), name, scene)
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is not None:
        selection.SetActiveVolumeID(node.GetID())
    for composite in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(node.GetID())
    return node
