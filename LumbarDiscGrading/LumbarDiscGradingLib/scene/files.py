"""A grading result as files that Slicer opens: ``.seg.nrrd`` and ``.mrb``, made without Slicer's application."""

from __future__ import annotations

import os
from typing import Any

from ..grading.result import GradingResult
from ..headless.core import HeadlessError, SlicerCore
from ..imaging.volume import ImagingError
from ..report.atomic_file import replacing
from .results import LumbarDiscGradingResults
from .show import showGradedSlice, showReadingLayout
from .volumes import volume_node_from


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
    HeadlessError
        If Slicer could not write it.
    OSError
        If the folder cannot be written.
    """
    if not result.discs:
        raise ImagingError(f"No disc was found in {result.volume.source.name}; there is no segmentation to write.")
    with replacing(path) as temporary, _Scene(result, core) as scene:
        scene.save_segmentation(str(temporary))


def write_scene(result: GradingResult, path: str | os.PathLike[str], core: SlicerCore | None = None) -> None:
    """Write ``<stem>.mrb``: volume, segments and table, open on the graded slice.

    Parameters and errors are those of `write_segmentation`.
    """
    with replacing(path) as temporary, _Scene(result, core) as scene:
        scene.core.save_scene(temporary)


class _Scene:
    """A core whose scene holds one result and nothing else."""

    def __init__(self, result: GradingResult, core: SlicerCore | None) -> None:
        self.result, self.owns_core = result, core is None
        self.core = SlicerCore() if core is None else core

    def __enter__(self) -> _Scene:
        self.core.clear()
        self.volume: Any = volume_node_from(self.result.volume, self.result.volume.source.name, self.core.scene)
        self.segmentation, self.table = LumbarDiscGradingResults(self.result).write(self.volume)
        showGradedSlice(self.result, self.volume)
        showReadingLayout(self.core.scene)
        return self

    def __exit__(self, *_error: object) -> None:
        self.core.clear()
        self.volume = self.segmentation = self.table = None
        if self.owns_core:
            self.core.close()

    def save_segmentation(self, path: str) -> None:
        storage = self.core.scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(path)
        storage.SetCropToMinimumExtent(False)
        storage.SetUseCompression(True)
        self.segmentation.SetAndObserveStorageNodeID(storage.GetID())
        if not storage.WriteData(self.segmentation):
            raise HeadlessError(f"The segmentation {os.path.basename(path)} could not be written; check free space.")
