"""`GradedCase`: a graded volume of the scene with everything a reader corrected, kept in its segmentation node."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grading.corrections import Correction, corrected, origins
from ..grading.result import DiscGrade, GradingResult
from ..imaging.volume import ImagingError, SagittalVolume
from .nodes import TABLE_REFERENCE_ROLE, TAG_PREFIX, nodes_of_class
from .results import LumbarDiscGradingResults
from .segments import add_sketch, own_segments, remove_sketches, segment_array, segment_image
from .stored_result import from_text, placed_on, to_text
from .volumes import (
    GEOMETRY_TOLERANCE_MM,
    LPS_TO_RAS,
    parent_to_world,
    sagittal_geometry_of_node,
    sagittal_volume_from_node,
)

STORED_RESULT_ATTRIBUTE = TAG_PREFIX + "Result"
"""Attribute of the segmentation node: the result as graded and all corrections, see `stored_result`."""


class Fit(str, Enum):
    """How a result fits its volume by now."""

    FITS = "fits"
    MOVED = "the volume was moved"
    CHANGED = "the volume was changed"


class GradedCase(LumbarDiscGradingResults):
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

    Examples
    --------
    >>> case = GradedCase.write_new(volumeNode, result)  # doctest: +SKIP
    >>> case.correct(GradeSet("L4-L5", 4))  # doctest: +SKIP
    >>> case.undo()  # doctest: +SKIP
    """

    def __init__(self, volumeNode: Any, original: GradingResult, corrections: tuple[Correction, ...] = ()) -> None:
        self.volumeNode, self.original, self.corrections = volumeNode, original, tuple(corrections)
        super().__init__(placed_on(corrected(original, self.corrections), original.volume))
        self._untouched: dict[str, tuple[int, int]] = {}
        self._looked_at: dict[str, tuple[int, int]] = {}
        self._drawn: tuple[str, ...] = ()
        self._unchanged: tuple[Any, ...] = ()
        self._placed: tuple[tuple[Any, ...], NDArray[np.float64]] = ((), np.eye(4))

    @classmethod
    def write_new(cls, volumeNode: Any, result: GradingResult, former: GradedCase | None = None) -> GradedCase:
        """Write a new result into the scene; the nodes of a former case of the same volume are used again.

        Raises
        ------
        ImagingError
            If the result was not made from this volume as it is now; the scene is left as it was.
        """
        case = cls(volumeNode, result)
        if not np.array_equal(sagittal_volume_from_node(volumeNode).voxels, result.volume.voxels):
            raise ImagingError(f"{volumeNode.GetName()} was changed while it was graded; grade it again.")
        case._unchanged = _image_stamp(volumeNode)
        if former is not None and former.is_alive() and former.volumeNode is volumeNode:
            case.segmentationNode, case.tableNode = former.segmentationNode, former.tableNode
        case._write(case.result, ())
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
        case._unchanged = _image_stamp(volumeNode)
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

    def fit(self) -> Fit:
        """Tell whether the result still is that of its volume, and its discs lie where the volume does."""
        try:
            place = sagittal_geometry_of_node(self.volumeNode)
            if place.voxels.shape != self.result.volume.voxels.shape or not self._has_same_voxels():
                return Fit.CHANGED
        except ImagingError:
            return Fit.CHANGED
        return Fit.FITS if _lie_alike(place, self.result.volume) and self._segments_are_in_place() else Fit.MOVED

    def _segments_are_in_place(self) -> bool:
        if self.segmentationNode is None:
            return True
        together = self.segmentationNode.GetTransformNodeID() == self.volumeNode.GetTransformNodeID()
        return together and np.array_equal(self._displacement(), np.eye(4))

    def follow(self) -> None:
        """Move everything in the segmentation to where the volume lies now; what was drawn into it stays.

        Raises
        ------
        ImagingError
            If the volume was changed; nothing is changed then.
        """
        if self.fit() is Fit.MOVED:
            self._move_segments()
            self._write(self.result, self.corrections, keep_masks=self.drawn_levels())
        else:
            self._require_unchanged()

    def _move_segments(self) -> None:
        """Move the segments, whoever made them, as the volume's grid was moved since they were written on it."""
        import vtk
        from slicer.util import vtkMatrixFromArray

        node, moved = self.segmentationNode, self._displacement()
        if not np.array_equal(moved, np.eye(4)):
            transform = vtk.vtkTransform()
            transform.SetMatrix(vtkMatrixFromArray(moved))
            node.ApplyTransform(transform)
        node.SetAndObserveTransformNodeID(self.volumeNode.GetTransformNodeID())

    def _displacement(self) -> NDArray[np.float64]:
        """Return the (4, 4) matrix that brings the segments to their discs on the volume, both below its transform.

        The volume alone may have been moved, or hardened, or both together: the first way that brings any segment
        where the result has it is the one; where none does, all were drawn anew.
        """
        place = sagittal_geometry_of_node(self.volumeNode)
        to_parent = np.linalg.inv(parent_to_world(self.volumeNode)) @ LPS_TO_RAS
        from_own = LPS_TO_RAS @ parent_to_world(self.segmentationNode)
        moved = place.index_to_lps @ np.linalg.inv(self.result.volume.index_to_lps)
        ways = np.eye(4), to_parent @ from_own, to_parent @ moved @ from_own
        key = (*(way.round(6).tobytes() for way in ways), place.index_to_lps.tobytes(), str(self._stamps()))
        if key != self._placed[0]:
            fitting = (way for way in ways if any(self._is_in_place(disc, way) for disc in self.result.discs))
            self._placed = key, next(fitting, np.eye(4))
        return self._placed[1]

    def _is_in_place(self, disc: DiscGrade, moved: NDArray[np.float64]) -> bool:
        """Whether the segment of a disc, moved by a matrix, covers what the result has of it."""
        array = segment_array(self.segmentationNode, self.segment_id(disc.level), self.volumeNode, moved)
        expected = self.result.label_slice == disc.label_value
        return array is not None and np.array_equal(self._canonical(array)[self.result.slice_of(disc)], expected)

    def correct(self, correction: Correction) -> None:
        """Apply one more correction and write the scene.

        Raises
        ------
        CorrectionError
            If it is not possible.
        ImagingError
            If the volume was changed since it was graded. Nothing is changed then, neither here nor in the scene.
        """
        self._replace((*self.corrections, correction))

    def undo(self) -> Correction | None:
        """Take the last correction back and return it, None if there is none.

        Raises
        ------
        ImagingError
            If the volume was changed since it was graded; nothing is changed then.
        """
        if not self.corrections:
            return None
        last = self.corrections[-1]
        self._replace(self.corrections[:-1])
        return last

    def rewrite(self, keep: Collection[str] = ()) -> None:
        """Write the segments as the result has them, whatever was drawn into them since.

        Parameters
        ----------
        keep : collection of str
            Levels whose segments stay as they are drawn.

        Raises
        ------
        ImagingError
            If the volume was changed since it was graded; nothing is changed then.
        """
        self._write(self.result, self.corrections, keep)

    def segment_id(self, level: str) -> str:
        """Return the ID of the segment of a disc, which stays the same when its level changes; empty if it is gone."""
        return own_segments(self.segmentationNode).get(level, "")

    def foreign_segments(self) -> dict[str, str]:
        """Return the names of the segments that others put beside the discs, by ID."""
        segmentation, own = self.segmentationNode.GetSegmentation(), own_segments(self.segmentationNode).values()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        return {name: segmentation.GetSegment(name).GetName() for name in ids if name not in own}

    def offered_discs(self) -> dict[str, str]:
        """Return somebody's segments that are drawn and named by a missing level: ID by level."""
        missing = self.result.missing_levels
        named = {name: segment for segment, name in self.foreign_segments().items() if name in missing}
        return {level: segment for level, segment in named.items() if self.foreign_mask(segment).any()}

    def foreign_mask(self, segment_id: str) -> NDArray[np.bool_]:
        """Return what somebody's segment covers on its slice (`foreign_slice`), shape (rows, columns)."""
        return self._drawn_on(segment_id, self.result.slice_index)[1]

    def foreign_slice(self, segment_id: str) -> int:
        """Return the slice on which somebody's segment is drawn: the graded one, else the one that has most."""
        return self._drawn_on(segment_id, self.result.slice_index)[0]

    def begin_sketch(self, level: str) -> str:
        """Return the segment in which a missing disc is to be drawn, a new one if need be; `end_sketch` removes it."""
        return add_sketch(self.segmentationNode, level)

    def end_sketch(self, *levels: str) -> None:
        """Remove the segments in which discs of these levels were drawn."""
        remove_sketches(self.segmentationNode, levels)

    def drawn_mask(self, level: str) -> NDArray[np.bool_]:
        """Return what the scene's segment of a level covers on its slice (`drawn_slice`), shape (rows, columns)."""
        return self._drawn_on(self.segment_id(level), self._own_slice(level))[1]

    def drawn_slice(self, level: str) -> int:
        """Return the slice on which the segment of a level is drawn: the disc's own, else the one that has most."""
        return self._drawn_on(self.segment_id(level), self._own_slice(level))[0]

    def _own_slice(self, level: str) -> int:
        disc = self.result.disc(level)
        return self.result.slice_index if disc is None else self.result.slice_of(disc)

    def _drawn_on(self, segment_id: str, own_slice: int) -> tuple[int, NDArray[np.bool_]]:
        """Return slice and mask of a segment: on a slice if anything is there, else where most is."""
        array = segment_array(self.segmentationNode, segment_id, self.volumeNode) if segment_id else None
        if array is None:
            return own_slice, np.zeros(self.result.label_slice.shape, dtype=bool)
        canonical = self._canonical(array)
        areas = np.count_nonzero(canonical, axis=(1, 2))
        index = own_slice if areas[own_slice] or not areas.any() else int(areas.argmax())
        return index, canonical[index]

    def _canonical(self, array: NDArray) -> NDArray[np.bool_]:
        """Return an array (k, j, i) on the volume node's grid in canonical order."""
        return sagittal_geometry_of_node(self.volumeNode).canonical(array) > 0

    def mask_was_drawn(self, level: str) -> bool:
        """Whether the scene's segment of a level differs from the graded mask."""
        disc = self.result.disc(level)
        if disc is None:
            return False
        index, mask = self._drawn_on(self.segment_id(level), self.result.slice_of(disc))
        return index != self.result.slice_of(disc) or not np.array_equal(
            mask, self.result.label_slice == disc.label_value
        )

    def drawn_levels(self) -> tuple[str, ...]:
        """Return the levels whose segments were changed in the scene since they were graded, by whatever tool.

        None of a volume that was changed itself: what lies on it now cannot be compared.
        """
        stamps = self._stamps()
        if stamps == self._untouched or self.fit() is Fit.CHANGED:
            return ()
        if stamps != self._looked_at:
            self._drawn = tuple(disc.level for disc in self.result.discs if self.mask_was_drawn(disc.level))
            self._looked_at = stamps
        if not self._drawn:
            self._untouched = stamps
        return self._drawn

    def segments_were_touched(self) -> bool:
        """Whether any tool has changed a segment since the result was written, as far as can be told."""
        return self._untouched not in ({}, self._stamps())

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """Return for each segment which image it has and when that was changed last."""
        segmentation, own = self.segmentationNode.GetSegmentation(), own_segments(self.segmentationNode)
        stamps = {}
        for disc in self.result.discs:
            segment = segmentation.GetSegment(own.get(disc.level, ""))
            image = segment_image(self.segmentationNode, own.get(disc.level, ""))
            stamps[disc.level] = (segment.GetLabelValue(), image.GetMTime()) if image is not None else (0, 0)
        return stamps

    def _has_same_voxels(self) -> bool:
        stamp = _image_stamp(self.volumeNode)
        if stamp != self._unchanged:
            if not np.array_equal(sagittal_volume_from_node(self.volumeNode).voxels, self.result.volume.voxels):
                return False
            self._unchanged = stamp
        return True

    def _replace(self, corrections: tuple[Correction, ...]) -> None:
        self._write(placed_on(corrected(self.original, corrections), self.result.volume), corrections)

    def _write(
        self, result: GradingResult, corrections: tuple[Correction, ...], keep_masks: Collection[str] = ()
    ) -> None:
        """Take a result for the case's own, and write it into the scene where the volume lies now."""
        self._require_unchanged()
        place = sagittal_geometry_of_node(self.volumeNode)
        if not _lie_alike(place, result.volume):
            volume = replace(result.volume, index_to_lps=place.index_to_lps)
            self.original, result = placed_on(self.original, volume), placed_on(result, volume)
        ids = self._segment_ids(corrections) if self.segmentationNode is not None else None
        table = self.tableNode if self.tableNode is not None and self.tableNode.GetScene() is not None else None
        self.result, self.corrections = result, corrections
        self.write(self.volumeNode, self.segmentationNode, table, ids, keep_masks)
        self.segmentationNode.SetAttribute(STORED_RESULT_ATTRIBUTE, to_text(self.original, corrections))
        self._untouched = {level: stamp for level, stamp in self._stamps().items() if level not in keep_masks}
        self._looked_at = {}

    def _require_unchanged(self) -> None:
        if self.fit() is Fit.CHANGED:
            raise ImagingError(
                f"{self.volumeNode.GetName()} was changed since it was graded, so that its result cannot be changed "
                "any more; grade it again."
            )

    def _segment_ids(self, corrections: tuple[Correction, ...]) -> dict[str, str]:
        """Return the segments that the discs have, by the levels that they are to have."""
        own, former = own_segments(self.segmentationNode), origins(self.original, self.corrections)
        by_origin = {origin: own[level] for level, origin in former.items() if level in own}
        names = origins(self.original, corrections)
        return {level: by_origin[origin] for level, origin in names.items() if origin in by_origin}


def _lie_alike(one: SagittalVolume, other: SagittalVolume) -> bool:
    return np.allclose(one.index_to_lps, other.index_to_lps, rtol=0, atol=GEOMETRY_TOLERANCE_MM)


def _image_stamp(volumeNode: Any) -> tuple[Any, ...]:
    """Return what changes when a volume's voxels change, or the order in which they are read head to feet."""
    image, place = volumeNode.GetImageData(), sagittal_geometry_of_node(volumeNode)
    return image.GetMTime(), image.GetPointData().GetScalars().GetMTime(), place.stored_axes, place.stored_flipped


def graded_cases(volumeNode: Any) -> list[GradedCase]:
    """Return the cases of a volume that its scene keeps and that can be read back, newest last."""
    return [case for case in map(_case_or_problem, _segmentations_of(volumeNode)) if isinstance(case, GradedCase)]


def unreadable_cases(volumeNode: Any) -> list[str]:
    """Return why results of a volume that its scene keeps cannot be read back, one sentence each."""
    return [problem for problem in map(_case_or_problem, _segmentations_of(volumeNode)) if isinstance(problem, str)]


def result_nodes(volumeNode: Any) -> list[Any]:
    """Return the segmentations of a volume that keep a result, whether it can be read back or not, newest last."""
    return [node for node in _segmentations_of(volumeNode) if node.GetAttribute(STORED_RESULT_ATTRIBUTE)]


def _segmentations_of(volumeNode: Any) -> list[Any]:
    nodes = nodes_of_class(volumeNode.GetScene(), "vtkMRMLSegmentationNode")
    return [
        node for node in nodes if node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volumeNode
    ]


def _case_or_problem(segmentationNode: Any) -> GradedCase | str | None:
    try:
        return GradedCase.from_segmentation(segmentationNode)
    except ImagingError as error:
        return str(error)
