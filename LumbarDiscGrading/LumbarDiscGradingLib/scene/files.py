"""A grading result as files that Slicer opens: ``.seg.nrrd`` and ``.mrb``, made without Slicer's application."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..atomic import replacing
from ..errors import UserError
from ..grading.result import GradingResult
from ..headless.core import SlicerCore
from ..imaging.volume import ImagingError
from .evidence import write_evidence
from .graded_case import GradedCase
from .show import showGradedSlice, showReadingLayout
from .volumes import volume_node_from

if TYPE_CHECKING:
    from ..grading.evidence import EvidenceMap


class SaveError(UserError):
    """Slicer could not write a file; the message is one sentence for the user."""


def write_segmentation(result: GradingResult, path: str | os.PathLike[str], core: SlicerCore | None = None) -> None:
    """Write ``<stem>_discs.seg.nrrd``: one segment a disc on the whole grid of the volume, in its stored order.

    Parameters
    ----------
    result : GradingResult
    path : path
        Ends in ``.seg.nrrd``. Appears whole or not at all.
    core : SlicerCore, optional
        A started core to use, for many results; its scene is emptied. By default one is started and closed.

    Raises
    ------
    ImagingError
        If there is no disc to write.
    SaveError
        If Slicer could not write it.
    OSError
        If the folder cannot be written.
    """
    if not result.discs:
        raise ImagingError(f"No disc was found in {result.volume.source.name}; there is no segmentation to write.")
    with _Scene(result, core) as scene:
        save_segmentation_node(scene.segmentation, path)


def write_scene(
    result: GradingResult,
    path: str | os.PathLike[str],
    core: SlicerCore | None = None,
    evidence: EvidenceMap | None = None,
) -> None:
    """Write ``<stem>.mrb``: volume, segments and table, open on the graded slice; evidence is in it but not shown.

    Other parameters and errors are those of `write_segmentation`.
    """
    with replacing(path) as temporary, _Scene(result, core) as scene:
        if evidence is not None:
            write_evidence(evidence, scene.segmentation, scene.volume)
        scene.core.save_scene(temporary)


def save_segmentation_node(segmentationNode: Any, path: str | os.PathLike[str]) -> None:
    """Write a segmentation node as ``.seg.nrrd`` on the whole grid of its volume; the node itself stays as it was.

    Raises
    ------
    SaveError
        If Slicer could not write it.
    OSError
        If the folder cannot be written.
    """
    scene = segmentationNode.GetScene()
    storage = scene.CreateNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.UnRegister(None)
    storage.SetCropToMinimumExtent(False)
    storage.SetUseCompression(True)
    with replacing(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(segmentationNode) or not temporary.is_file():
            raise SaveError(f"The segmentation {os.path.basename(path)} could not be written; check free space.")


class _Scene:
    """A core whose scene holds one result and nothing else."""

    def __init__(self, result: GradingResult, core: SlicerCore | None) -> None:
        self.result, self.owns_core = result, core is None
        self.core = SlicerCore() if core is None else core

    def __enter__(self) -> _Scene:
        self.core.clear()
        self.volume: Any = volume_node_from(self.result.volume, self.result.volume.source.name, self.core.scene)
        self.segmentation = GradedCase.write_new(self.volume, self.result).segmentationNode
        showGradedSlice(self.result, self.volume)
        showReadingLayout(self.core.scene)
        return self

    def __exit__(self, *_error: object) -> None:
        self.core.clear()
        self.volume = self.segmentation = None
        if self.owns_core:
            self.core.close()
