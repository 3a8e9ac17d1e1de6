"""`GradedCase`: a graded volume of the scene with everything a reader corrected, kept in its segmentation node."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grading.corrections import Correction, corrected
from ..grading.result import GradingResult
from ..imaging.volume import ImagingError
from .results import TABLE_REFERENCE_ROLE, TAG_PREFIX, LumbarDiscGradingResults, segment_array
from .stored_result import from_text, to_text
from .volumes import sagittal_volume_from_node

STORED_RESULT_ATTRIBUTE = TAG_PREFIX + "Result"
"""Attribute of the segmentation node: the result as graded and all corrections, see `stored_result`."""


class GradedCase:
    """A result in the scene: as graded, the corrections in their order, and the nodes that show what follows from them.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
    original : GradingResult
        As the networks gave it.
    corrections : iterable of Correction

    Attributes
    ----------
    result : GradingResult
        With the corrections applied.
    segmentationNode, tableNode
        The nodes that show it.
    results : LumbarDiscGradingResults or None
        What wrote it last, None of a case that was read from a scene.

    Examples
    --------
    >>> case = GradedCase.write_new(volumeNode, result)  # doctest: +SKIP
    >>> case.correct(GradeSet("L4-L5", 4))  # doctest: +SKIP
    >>> case.undo()  # doctest: +SKIP
    """

    def __init__(self, volumeNode: Any, original: GradingResult, corrections: tuple[Correction, ...] = ()) -> None:
        self.volumeNode, self.original, self.corrections = volumeNode, original, tuple(corrections)
        self.result = corrected(original, self.corrections)
        self.segmentationNode: Any = None
        self.tableNode: Any = None
        self.results: LumbarDiscGradingResults | None = None
        self._untouched: dict[str, tuple[int, int]] = {}

    @classmethod
    def write_new(cls, volumeNode: Any, result: GradingResult, former: GradedCase | None = None) -> GradedCase:
        """Write a new result into the scene; the nodes of a former case of the same volume are used again.

        Raises
        ------
        ImagingError
            If the result was not made from this volume; the scene is left as it was.
        """
        case = cls(volumeNode, result)
        if former is not None and former.is_alive() and former.volumeNode is volumeNode:
            case.segmentationNode, case.tableNode = former.segmentationNode, former.tableNode
        case._write()
        return case

    @classmethod
    def from_segmentation(cls, segmentationNode: Any) -> GradedCase | None:
        """Return the case that a segmentation node keeps, None if it keeps none or its volume is gone.

        Raises
        ------
        StoredResultError
            If what it keeps cannot be read back.
        """
        text = segmentationNode.GetAttribute(STORED_RESULT_ATTRIBUTE)
        volumeNode = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
        if not text or volumeNode is None:
            return None
        case = cls(volumeNode, *from_text(text, sagittal_volume_from_node(volumeNode)))
        case.segmentationNode = segmentationNode
        case.tableNode = segmentationNode.GetNodeReference(TABLE_REFERENCE_ROLE)
        return case

    def is_alive(self) -> bool:
        """Whether volume and segmentation are still in the scene."""
        return all(
            node is not None and node.GetScene() is not None and node.GetScene().IsNodePresent(node)
            for node in (self.volumeNode, self.segmentationNode)
        )

    def abandon(self) -> None:
        """Let go of the nodes; the case is not alive any more and writes nothing."""
        self.volumeNode = self.segmentationNode = self.tableNode = None

    def correct(self, correction: Correction) -> None:
        """Apply one more correction and write the scene.

        Raises
        ------
        CorrectionError
            If it is not possible; nothing is changed then.
        """
        self._replace((*self.corrections, correction))

    def undo(self) -> Correction | None:
        """Take the last correction back and return it, None if there is none."""
        if not self.corrections:
            return None
        last = self.corrections[-1]
        self._replace(self.corrections[:-1])
        return last

    def rewrite(self) -> None:
        """Write the segments as the result has them, whatever was drawn into them since."""
        self._write()

    def drawn_mask(self, level: str) -> NDArray[np.bool_]:
        """Return what the scene's segment of a level covers on the graded slice, shape (rows, columns)."""
        array = segment_array(self.segmentationNode, level, self.volumeNode)
        if array is None:
            return np.zeros(self.result.label_slice.shape, dtype=bool)
        volume = self.result.volume
        canonical = np.transpose(array, volume.stored_axes)
        index = volume.stored_slice_index(self.result.slice_index)
        flips = tuple(slice(None, None, -1) if flip else slice(None) for flip in volume.stored_flipped[1:])
        return np.ascontiguousarray(canonical[index][flips] > 0)

    def mask_was_drawn(self, level: str) -> bool:
        """Whether the scene's segment of a level differs from the graded mask."""
        disc = self.result.disc(level)
        return disc is not None and not np.array_equal(
            self.drawn_mask(level), self.result.label_slice == disc.label_value
        )

    def drawn_levels(self) -> tuple[str, ...]:
        """Return the levels whose segments were changed in the scene since they were graded, by whatever tool."""
        stamps = self._stamps()
        if stamps == self._untouched:
            return ()
        drawn = tuple(disc.level for disc in self.result.discs if self.mask_was_drawn(disc.level))
        if not drawn:
            self._untouched = stamps
        return drawn

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """Return for each segment which image it has and when that was changed last."""
        import slicer

        name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        segmentation = self.segmentationNode.GetSegmentation()
        stamps = {}
        for disc in self.result.discs:
            segment = segmentation.GetSegment(disc.level)
            image = segment.GetRepresentation(name) if segment is not None else None
            stamps[disc.level] = (segment.GetLabelValue(), image.GetMTime()) if image is not None else (0, 0)
        return stamps

    def _replace(self, corrections: tuple[Correction, ...]) -> None:
        result = corrected(self.original, corrections)
        self.corrections, self.result = corrections, result
        self._write()

    def _write(self) -> None:
        self.results = writer = LumbarDiscGradingResults(self.result)
        table = self.tableNode if self.tableNode is not None and self.tableNode.GetScene() is not None else None
        self.segmentationNode, self.tableNode = writer.write(self.volumeNode, self.segmentationNode, table)
        self.segmentationNode.SetAttribute(STORED_RESULT_ATTRIBUTE, to_text(self.original, self.corrections))
        self._untouched = self._stamps()


def graded_cases(volumeNode: Any) -> list[GradedCase]:
    """Return the cases of a volume that its scene keeps and that can be read back, newest last."""
    scene = volumeNode.GetScene()
    cases = []
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        if node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is not volumeNode:
            continue
        try:
            case = GradedCase.from_segmentation(node)
        except ImagingError:
            continue
        if case is not None:
            cases.append(case)
    return cases
