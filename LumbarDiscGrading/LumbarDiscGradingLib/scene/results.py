"""`LumbarDiscGradingResults`: a grading result as coloured segments and a table in the MRML scene."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..grading.result import DiscGrade, GradingResult
from ..imaging.volume import ImagingError, SagittalVolume
from ..report.research_use import RESEARCH_USE
from ..report.tables import GRADE_COLUMNS, MEASUREMENT_COLUMNS, grade_rows
from .terminology import disc_terminology_entry
from .volumes import sagittal_geometry_of_node

if TYPE_CHECKING:
    from ..grading.grader import DiscGrader

TAG_PREFIX = "LumbarDiscGrading."
"""Segment tags and node attributes of this extension start with it."""

TABLE_REFERENCE_ROLE = "LumbarDiscGrading.table"
"""Node reference from the segmentation to its table."""
SEGMENTATION_REFERENCE_ROLE = "LumbarDiscGrading.segmentation"
"""Node reference from the table to its segmentation."""
VOLUME_REFERENCE_ROLE = "LumbarDiscGrading.volume"
"""Node reference from the table to the graded volume."""

FILL_OPACITY = 0.25
"""The disc's own signal stays readable under the fill."""
OUTLINE_WIDTH_PX = 2
LEVEL_TAG, SEGMENT_ID_TAG = TAG_PREFIX + "Level", TAG_PREFIX + "SegmentID"
"""Tags by which a disc's segment is told from what others put into the segmentation; a copy of it has another ID."""

GEOMETRY_TOLERANCE_MM = 0.01
"""A result fits a volume node when no matrix element differs by more; far below a voxel."""


class LumbarDiscGradingResults:
    """Writes a grading result into the MRML scene: Slicer segments colored by Pfirrmann group, and a table.

    Parameters
    ----------
    result : GradingResult

    Examples
    --------
    >>> results = LumbarDiscGradingResults(result)  # doctest: +SKIP
    >>> results.write(volumeNode)  # doctest: +SKIP
    >>> results.segmentationNode.GetSegmentation().GetSegment("L4-L5").GetColor()  # doctest: +SKIP
    """

    def __init__(self, result: GradingResult) -> None:
        self.result = result
        self._segmentationNode: Any = None
        self._tableNode: Any = None

    @property
    def segmentationNode(self) -> Any:
        """The vtkMRMLSegmentationNode written last, None before."""
        return self._segmentationNode

    @property
    def tableNode(self) -> Any:
        """The vtkMRMLTableNode written last, None before."""
        return self._tableNode

    def write(
        self,
        volumeNode: Any,
        segmentationNode: Any = None,
        tableNode: Any = None,
        segmentIds: Mapping[str, str] | None = None,
        keepMasks: Collection[str] = (),
    ) -> tuple[Any, Any]:
        """Write segments and table; nodes that are given are overwritten, others are added.

        A disc that has a segment keeps it, with its ID, its place in the list and its visibility; segments that are
        nobody's disc stay as they are.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
            The graded volume; its place in the scene and its parent transform are those of the segments.
        segmentationNode : vtkMRMLSegmentationNode, optional
        tableNode : vtkMRMLTableNode, optional
        segmentIds : mapping of str to str, optional
            ID by level of the segments that the discs have already; those named by the same level when left out.
        keepMasks : collection of str
            Levels whose segments stay as they are drawn.

        Returns
        -------
        tuple of (vtkMRMLSegmentationNode, vtkMRMLTableNode)

        Raises
        ------
        ImagingError
            If the result was not made from this volume; the scene is left as it was.
        """
        labels = np.zeros(self.result.volume.voxels.shape, dtype=np.uint8)
        labels[self.result.slice_index] = self.result.label_slice
        labels = array_on_node(self.result.volume, volumeNode, labels)
        scene = volumeNode.GetScene()
        if segmentationNode is None:
            segmentationNode = scene.AddNewNodeByClass(
                "vtkMRMLSegmentationNode", scene.GenerateUniqueName(f"{volumeNode.GetName()} discs")
            )
        if tableNode is None:
            tableNode = scene.AddNewNodeByClass(
                "vtkMRMLTableNode", scene.GenerateUniqueName(f"{volumeNode.GetName()} grades")
            )
        ids = own_segments(segmentationNode) if segmentIds is None else dict(segmentIds)
        self._write_segments(volumeNode, segmentationNode, labels, ids, keepMasks)
        self._write_table(tableNode)
        for node in (segmentationNode, tableNode):
            self._write_attributes(node)
            place_beside(volumeNode, node)
        segmentationNode.SetNodeReferenceID(TABLE_REFERENCE_ROLE, tableNode.GetID())
        tableNode.SetNodeReferenceID(SEGMENTATION_REFERENCE_ROLE, segmentationNode.GetID())
        tableNode.SetNodeReferenceID(VOLUME_REFERENCE_ROLE, volumeNode.GetID())
        self._segmentationNode, self._tableNode = segmentationNode, tableNode
        from .evidence import follow_result

        follow_result(segmentationNode, self.result, volumeNode)
        return segmentationNode, tableNode

    @property
    def evidenceNode(self) -> Any:
        """The volume node of the discs' evidence, None where it was not computed or does not fit any more."""
        from .evidence import evidence_node, fits

        node = evidence_node(self._segmentationNode)
        return node if fits(node, self.result) else None

    def showEvidence(self, grader: DiscGrader | None = None) -> Any:
        """Lay over the slice views where the grading network looked on each disc; computed the first time.

        Parameters
        ----------
        grader : DiscGrader, optional
            With the grading model of the result; one of the same models is loaded when left out.

        Returns
        -------
        vtkMRMLScalarVolumeNode
            0 to 1, see `grading.evidence`.

        Raises
        ------
        ImagingError
            If nothing was written yet, or the discs were graded by another model.
        """
        from .evidence import show_evidence_of, write_evidence

        if self._segmentationNode is None:
            raise ImagingError("The result is not in the scene yet; write it first.")
        role = self._segmentationNode.GetReferenceImageGeometryReferenceRole()
        volumeNode, node = self._segmentationNode.GetNodeReference(role), self.evidenceNode
        if node is None:
            evidence = (grader or self._grader()).evidence(self.result)
            node = write_evidence(evidence, self._segmentationNode, volumeNode)
        show_evidence_of(self.result, node)
        return node

    def hideEvidence(self) -> None:
        """Take the evidence out of the slice views; it stays in the scene."""
        from .evidence import hide_evidence

        if self.evidenceNode is not None:
            hide_evidence(self.evidenceNode)

    def _grader(self) -> DiscGrader:
        from ..grading.grader import DiscGrader

        names = {model.task: model.name for model in self.result.models}
        return DiscGrader("auto", names.get("segmentation"), names.get("grading"))

    def _write_segments(
        self,
        volumeNode: Any,
        segmentationNode: Any,
        labels: NDArray[np.uint8],
        ids: dict[str, str],
        keep_masks: Collection[str],
    ) -> None:
        import slicer

        labelmap = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        modified = segmentationNode.StartModify()
        segmentation = segmentationNode.GetSegmentation()
        has_surface = segmentation.ContainsRepresentation(surface)
        kept = {ids[disc.level] for disc in self.result.discs if disc.level in ids}
        for name in set(own_segments(segmentationNode).values()) - kept:
            segmentation.GetSegment(name).RemoveAllRepresentations()  # else it is wiped from the shared image
            segmentation.RemoveSegment(name)
        segmentationNode.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        segmentationNode.SetNodeReferenceID(
            segmentationNode.GetReferenceImageGeometryReferenceRole(), volumeNode.GetID()
        )
        segmentationNode.SetSourceRepresentationToBinaryLabelmap()
        image = _oriented_image(labels, volumeNode)  # one layer for all discs, as Slicer shares it
        added = []
        for place, disc in enumerate(self.result.discs):
            name = ids.get(disc.level, "")
            segment = segmentation.GetSegment(name) if name else None
            is_new = segment is None
            if is_new:
                segment, name = slicer.vtkSegment(), _free_id(segmentation, disc.level)
                added.append(name)
            self._describe(segment, disc, name)
            if is_new or disc.level not in keep_masks:
                segment.SetLabelValue(disc.label_value)
                segment.RemoveAllRepresentations(labelmap)
                segment.AddRepresentation(labelmap, image)
            if is_new:
                segmentation.AddSegment(segment, name)
            segmentation.SetSegmentIndex(name, place)
        image.Modified()  # tells whoever draws the segments, which need not have been added or removed
        if has_surface and self.result.discs:
            segmentation.CreateRepresentation(surface, True)
        segmentationNode.EndModify(modified)
        _set_display(segmentationNode)
        for name in added:  # Slicer's slice controllers hide a segment whose ID they have not seen
            segmentationNode.GetDisplayNode().SetSegmentVisibility(name, True)

    def _describe(self, segment: Any, disc: DiscGrade, name: str) -> None:
        """Give a segment the name, color and tags of its disc."""
        segment.SetName(disc.level)
        segment.SetNameAutoGenerated(False)  # choosing a terminology entry must not rename or recolor it
        segment.SetColorAutoGenerated(False)
        segment.SetColor(*(channel / 255 for channel in disc.color))
        for tag, value in (self._segment_tags(disc) | {SEGMENT_ID_TAG: name}).items():
            if value:
                segment.SetTag(tag, value)
            else:
                segment.RemoveTag(tag)

    def _segment_tags(self, disc: DiscGrade) -> dict[str, str]:
        import slicer

        facts = {
            "Level": disc.level,
            "Group": disc.group_word,
            "PMild": f"{disc.group_probabilities[0]:.4f}",
            "PModerate": f"{disc.group_probabilities[1]:.4f}",
            "PSerious": f"{disc.group_probabilities[2]:.4f}",
            "Pfirrmann": str(disc.pfirrmann) if disc.assessable else "",
            "PPfirrmann": " ".join(f"{p:.4f}" for p in disc.grade_probabilities),
            "Confident": "true" if disc.confident else "false",
            "Warnings": " ".join(disc.warnings),
            "ManualChanges": "; ".join(disc.changes),
            "Model": ", ".join(model.name for model in self.result.models),
            "ModelSha256": ", ".join(model.sha256 for model in self.result.models),
            "Version": __version__,
        }
        for name in MEASUREMENT_COLUMNS:
            value = getattr(disc.measurements, name)
            known = value is not None and np.isfinite(value)
            facts["".join(part.capitalize() for part in name.split("_"))] = f"{value:.4g}" if known else ""
        tags = {TAG_PREFIX + name: _tag_value(value) for name, value in facts.items()}
        return {slicer.vtkSegment.GetTerminologyEntryTagName(): disc_terminology_entry(), **tags}

    def _write_table(self, tableNode: Any) -> None:
        import vtk

        table = vtk.vtkTable()
        rows = grade_rows(self.result)
        for name in GRADE_COLUMNS:
            column = vtk.vtkStringArray()
            column.SetName(name)
            for row in rows:
                column.InsertNextValue(row[name])
            table.AddColumn(column)
        tableNode.SetAndObserveTable(table)
        tableNode.SetUseColumnTitleAsColumnHeader(True)
        tableNode.SetLocked(True)

    def _write_attributes(self, node: Any) -> None:
        facts = {
            "Version": __version__,
            "Model": ", ".join(model.name for model in self.result.models),
            "ModelSha256": ", ".join(model.sha256 for model in self.result.models),
            "SliceCenterLPS": " ".join(f"{value:.3f}" for value in self.result.slice_center_lps_mm),
            "Warnings": " ".join(self.result.warnings),
        }
        for name, value in facts.items():
            node.SetAttribute(TAG_PREFIX + name, value or None)
        node.SetDescription(RESEARCH_USE)


def own_segments(segmentationNode: Any) -> dict[str, str]:
    """Return the IDs of the segments that stand for graded discs, by level; others are somebody else's."""
    segmentation = segmentationNode.GetSegmentation()
    found: dict[str, str] = {}
    for n in range(segmentation.GetNumberOfSegments()):
        name = segmentation.GetNthSegmentID(n)
        segment = segmentation.GetSegment(name)
        level, written_as = segment_tag(segment, LEVEL_TAG), segment_tag(segment, SEGMENT_ID_TAG)
        if level and written_as in ("", name):
            found.setdefault(level, name)
    return found


def segment_tag(segment: Any, tag: str) -> str:
    """Return a tag of a segment, empty where it has none."""
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag(tag, value) else ""


def _free_id(segmentation: Any, level: str) -> str:
    """Return the level as ID of a new segment, or one made from it where somebody's segment has that."""
    return level if segmentation.GetSegment(level) is None else segmentation.GenerateUniqueSegmentID(level)


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


def _tag_value(text: str) -> str:
    """Return text in one line without the bar by which Slicer's files separate tags."""
    return " ".join(text.replace("|", "/").split())


def _oriented_image(labels: NDArray[np.uint8], volumeNode: Any) -> Any:
    """Return labels of shape (k, j, i) as vtkOrientedImageData on the volume node's own (local) grid."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*labels.shape[::-1])
    scalars = numpy_to_vtk(labels.ravel(), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    ijk_to_ras = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijk_to_ras)
    image.SetGeometryFromImageToWorldMatrix(ijk_to_ras)
    return image


def segment_image(segmentationNode: Any, segmentId: str) -> Any:
    """Return the vtkOrientedImageData in which a segment is kept, None where there is none."""
    import slicer

    segment = segmentationNode.GetSegmentation().GetSegment(segmentId) if segmentId else None
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return segment.GetRepresentation(name) if segment is not None else None


def segment_array(
    segmentationNode: Any, segmentId: str, volumeNode: Any, moved: NDArray[np.float64] | None = None
) -> NDArray | None:
    """Return a segment's mask on the grid of the volume on which it was drawn.

    Parameters
    ----------
    segmentationNode : vtkMRMLSegmentationNode
    segmentId : str
    volumeNode : vtkMRMLScalarVolumeNode
    moved : ndarray, shape (4, 4), optional
        Moves the segment first; RAS mm below the nodes' parent transform.

    Returns
    -------
    ndarray of bool, shape (k, j, i), or None
        None where there is no such segment or nothing in it.
    """
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    if segmentationNode.GetSegmentation().GetSegment(segmentId) is None:
        return None
    mask, drawn = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    if not segmentationNode.GetBinaryLabelmapRepresentation(segmentId, mask) or mask.IsEmpty():
        return None
    if moved is not None and not np.array_equal(moved, np.eye(4)):
        _move_image(mask, moved)
    dimensions = volumeNode.GetImageData().GetDimensions()
    grid = _oriented_image(np.zeros(dimensions[::-1], dtype=np.uint8), volumeNode)
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    if not resample(mask, grid, drawn, False):
        return None
    scalars = drawn.GetPointData().GetScalars()
    return vtk_to_numpy(scalars).reshape(dimensions[::-1]) > 0 if scalars is not None else None


def _move_image(image: Any, moved: NDArray[np.float64]) -> None:
    import slicer
    import vtk
    from slicer.util import vtkMatrixFromArray

    transform = vtk.vtkTransform()
    transform.SetMatrix(vtkMatrixFromArray(moved))
    slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, transform)


def _set_display(segmentationNode: Any) -> None:
    """Show a segmentation as discs are read; one that is shown already stays as the user has it."""
    if segmentationNode.GetDisplayNode() is not None:
        return
    segmentationNode.CreateDefaultDisplayNodes()
    display = segmentationNode.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DFill(FILL_OPACITY)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_WIDTH_PX)


def place_beside(volumeNode: Any, node: Any) -> None:
    """Put a node under the volume's study (or folder) in the subject hierarchy."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    if hierarchy is None:
        return
    volume_item, item = hierarchy.GetItemByDataNode(volumeNode), hierarchy.GetItemByDataNode(node)
    if volume_item and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))
