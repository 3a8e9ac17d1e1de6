"""The entry of the built-in sample in Slicer's Sample Data module."""

from __future__ import annotations

import slicer

from ... import __version__
from ...resources import resource_path
from ...scene.sample import SAMPLE_NODE_NAME, load_sample, sample_file

SAMPLE_CATEGORY = "Lumbar Disc Grading"
SAMPLE_NAME = "LumbarPhantom"
SAMPLE_URI = "lumbar-disc-grading:phantom"
"""Stands for the file that is made when the sample is asked for: a script's download takes no other way than a file."""
SAMPLE_FILE = f"{SAMPLE_NAME}-{__version__}.nrrd"
"""Name in Slicer's download cache, which never looks again whether a file is still the same."""


def register_sample() -> None:
    """List the sample in Slicer's Sample Data module; it is made by code there too, nothing is downloaded."""
    import SampleData

    SampleData.SampleDataLogic.registerUrlRewriteRule("LumbarDiscGrading", _made_on_demand)
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=SAMPLE_CATEGORY,
        sampleName=SAMPLE_NAME,
        uris=SAMPLE_URI,
        fileNames=SAMPLE_FILE,
        nodeNames=SAMPLE_NODE_NAME,
        thumbnailFileName=str(resource_path("Icons", "LumbarDiscGrading.png")),
        customDownloader=lambda source: [load_sample(slicer.mrmlScene)],
    )


def _made_on_demand(uri: str) -> str:
    """Make the file of the sample if it is asked for, and return where it is; other addresses stay as they are."""
    return sample_file(slicer.app.temporaryPath, SAMPLE_FILE).as_uri() if uri == SAMPLE_URI else uri
