"""The built-in lumbar phantom as a volume of the scene, and its entry in Slicer's Sample Data module."""

from __future__ import annotations

from typing import Any

from ..imaging.phantom import lumbar_phantom
from ..imaging.volume import SagittalVolume
from ..resources import resource_path
from .volumes import volume_node_from

SAMPLE_NODE_NAME = "Lumbar phantom T2 sagittal"
SAMPLE_CATEGORY = "Lumbar Disc Grading"


def sample_volume() -> SagittalVolume:
    """Make the sample; takes a second or two and touches no scene, so that any thread may do it."""
    return lumbar_phantom().volume


def load_sample(scene: Any, volume: SagittalVolume | None = None) -> Any:
    """Add the sample to a scene, shown in its slice views, and return the volume node."""
    name = (
        scene.GenerateUniqueName(SAMPLE_NODE_NAME) if scene.GetFirstNodeByName(SAMPLE_NODE_NAME) else SAMPLE_NODE_NAME
    )
    node = volume_node_from(volume if volume is not None else sample_volume(), name, scene)
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is not None:
        selection.SetActiveVolumeID(node.GetID())
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode").SetBackgroundVolumeID(node.GetID())
    return node


def register_sample() -> None:
    """List the sample in Slicer's Sample Data module; it is made by code there too, nothing is downloaded."""
    import SampleData
    import slicer

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=SAMPLE_CATEGORY,
        sampleName="LumbarPhantom",
        nodeNames=SAMPLE_NODE_NAME,
        thumbnailFileName=str(resource_path("Icons", "LumbarDiscGrading.png")),
        customDownloader=lambda source: [load_sample(slicer.mrmlScene)],
    )
