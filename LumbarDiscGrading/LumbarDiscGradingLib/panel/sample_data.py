"""The entry of the built-in sample in Slicer's Sample Data module."""

from __future__ import annotations

from ..resources import resource_path
from ..scene.sample import SAMPLE_NODE_NAME, load_sample

SAMPLE_CATEGORY = "Lumbar Disc Grading"


def register_sample() -> None:
    """List the sample in Slicer's Sample Data module; it is made by code there too, nothing is downloaded."""
    import SampleData
    import slicer

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=SAMPLE_CATEGORY,
        sampleName="LumbarPhantom",
        uris="",  # text is asked for even where nothing is downloaded
        fileNames="",
        nodeNames=SAMPLE_NODE_NAME,
        thumbnailFileName=str(resource_path("Icons", "LumbarDiscGrading.png")),
        customDownloader=lambda source: [load_sample(slicer.mrmlScene)],
    )
