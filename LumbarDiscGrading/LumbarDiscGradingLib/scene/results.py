"""`LumbarDiscGradingResults`: a grading result as coloured segments and a table in the MRML scene."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..grading.result import DiscGrade, GradingResult
from ..imaging.volume import ImagingError
from ..report.tables import GRADE_COLUMNS, MEASUREMENT_COLUMNS, grade_rows
from ..research_use import RESEARCH_USE
from ..segment_tags import TAG_PREFIX, disc_terminology_entry, tag_value
from .evidence import evidence_node, fits, follow_result, hide_evidence, show_evidence_of, write_evidence
from .nodes import SEGMENTATION_REFERENCE_ROLE, TABLE_REFERENCE_ROLE, VOLUME_REFERENCE_ROLE, place_beside
from .segments import SEGMENT_ID_TAG, free_id, oriented_image, own_segments, show_as_discs
from .table_of_all import follow_in_table_of_all
from .text_table import write_text_table
from .volumes import array_on_node

if TYPE_CHECKING:
    from ..grading.grader import DiscGrader


class LumbarDiscGradingResults:
    """A grading result and what shows it in the MRML scene: Slicer segments colored by Pfirrmann group, and a table.

    Parameters
    ----------
    result : GradingResult

    Attributes
    ----------
    segmentationNode : vtkMRMLSegmentationNode or None
        The one written last, None before.
    tableNode : vtkMRMLTableNode or None
        Likewise.

    Examples
    --------
    >>> results = LumbarDiscGradingResults(result)  # doctest: +SKIP
    >>> results.write(volumeNode)  # doctest: +SKIP
    >>> results.segmentationNode.GetSegmentation().GetSegment("L4-L5").GetColor()  # doctest: +SKIP
    """

    def __init__(self, result: GradingResult) -> None:
        self.result = result
        self.segmentationNode: Any = None
        self.tableNode: Any = None

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
        labels = array_on_node(self.result.volume, volumeNode, self.result.labels_in_volume())
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
        _write_segments(self.result, volumeNode, segmentationNode, labels, ids, keepMasks)
        write_text_table(tableNode, GRADE_COLUMNS, grade_rows(self.result))
        for node in (segmentationNode, tableNode):
            _write_attributes(self.result, node)
            place_beside(volumeNode, node)
        segmentationNode.SetNodeReferenceID(TABLE_REFERENCE_ROLE, tableNode.GetID())
        tableNode.SetNodeReferenceID(SEGMENTATION_REFERENCE_ROLE, segmentationNode.GetID())
        tableNode.SetNodeReferenceID(VOLUME_REFERENCE_ROLE, volumeNode.GetID())
        follow_result(segmentationNode, self.result, volumeNode)
        follow_in_table_of_all(segmentationNode, self.result)
        self.segmentationNode, self.tableNode = segmentationNode, tableNode
        return segmentationNode, tableNode

    @property
    def evidenceNode(self) -> Any:
        """The volume node of the discs' evidence, None where it was not computed or does not fit any more."""
        node = evidence_node(self.segmentationNode)
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
        if self.segmentationNode is None:
            raise ImagingError("The result is not in the scene yet; write it first.")
        role = self.segmentationNode.GetReferenceImageGeometryReferenceRole()
        volumeNode, node = self.segmentationNode.GetNodeReference(role), self.evidenceNode
        if node is None:
            evidence = (grader or self._grader()).evidence(self.result)
            node = write_evidence(evidence, self.segmentationNode, volumeNode)
        show_evidence_of(self.result, node)
        return node

    def hideEvidence(self) -> None:
        """Take the evidence out of the slice views; it stays in the scene."""
        if self.evidenceNode is not None:
            hide_evidence(self.evidenceNode)

    def _grader(self) -> DiscGrader:
        from ..grading.grader import DiscGrader

        names = {model.task: model.name for model in self.result.models}
        return DiscGrader("auto", names.get("segmentation"), names.get("grading"))


def _write_segments(
    result: GradingResult,
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
    kept = {ids[disc.level] for disc in result.discs if disc.level in ids}
    for name in set(own_segments(segmentationNode).values()) - kept:
        segmentation.GetSegment(name).RemoveAllRepresentations()  # else it is wiped from the shared image
        segmentation.RemoveSegment(name)
    segmentationNode.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentationNode.SetNodeReferenceID(segmentationNode.GetReferenceImageGeometryReferenceRole(), volumeNode.GetID())
    segmentationNode.SetSourceRepresentationToBinaryLabelmap()
    image = oriented_image(labels, volumeNode)  # one layer for all discs, as Slicer shares it
    added = []
    for place, disc in enumerate(result.discs):
        name = ids.get(disc.level, "")
        segment: Any = segmentation.GetSegment(name) if name else None
        is_new = segment is None
        if is_new:
            segment, name = slicer.vtkSegment(), free_id(segmentation, disc.level)
            added.append(name)
        _describe(result, segment, disc, name)
        if is_new or disc.level not in keep_masks:
            segment.SetLabelValue(disc.label_value)
            segment.RemoveAllRepresentations(labelmap)
            segment.AddRepresentation(labelmap, image)
        if is_new:
            segmentation.AddSegment(segment, name)
        segmentation.SetSegmentIndex(name, place)
    image.Modified()  # tells whoever draws the segments, which need not have been added or removed
    if has_surface and result.discs:
        segmentation.CreateRepresentation(surface, True)
    segmentationNode.EndModify(modified)
    show_as_discs(segmentationNode)
    for name in added:  # Slicer's slice controllers hide a segment whose ID they have not seen
        segmentationNode.GetDisplayNode().SetSegmentVisibility(name, True)


def _describe(result: GradingResult, segment: Any, disc: DiscGrade, name: str) -> None:
    """Give a segment the name, color and tags of its disc."""
    segment.SetName(disc.level)
    segment.SetNameAutoGenerated(False)  # choosing a terminology entry must not rename or recolor it
    segment.SetColorAutoGenerated(False)
    segment.SetColor(*(channel / 255 for channel in disc.color))
    for tag, value in (_segment_tags(result, disc) | {SEGMENT_ID_TAG: name}).items():
        if value:
            segment.SetTag(tag, value)
        else:
            segment.RemoveTag(tag)


def _segment_tags(result: GradingResult, disc: DiscGrade) -> dict[str, str]:
    import slicer

    facts = {
        "Level": disc.level,
        "Group": disc.group_word,
        "PMild": f"{disc.group_probabilities[0]:.4f}",
        "PModerate": f"{disc.group_probabilities[1]:.4f}",
        "PSerious": f"{disc.group_probabilities[2]:.4f}",
        "Pfirrmann": str(disc.pfirrmann) if disc.assessable else "",
        "PfirrmannSet": " ".join(map(str, disc.grade_set)),
        "PPfirrmann": " ".join(f"{p:.4f}" for p in disc.grade_probabilities),
        "Confident": "true" if disc.confident else "false",
        "Warnings": " ".join(disc.warnings),
        "ManualChanges": "; ".join(disc.changes),
        "Model": ", ".join(model.name for model in result.models),
        "ModelSha256": ", ".join(model.sha256 for model in result.models),
        "Version": __version__,
    }
    for name in MEASUREMENT_COLUMNS:
        value = getattr(disc.measurements, name)
        known = value is not None and np.isfinite(value)
        facts["".join(part.capitalize() for part in name.split("_"))] = f"{value:.4g}" if known else ""
    tags = {TAG_PREFIX + name: tag_value(value) for name, value in facts.items()}
    return {slicer.vtkSegment.GetTerminologyEntryTagName(): disc_terminology_entry(), **tags}


def _write_attributes(result: GradingResult, node: Any) -> None:
    facts = {
        "Version": __version__,
        "Model": ", ".join(model.name for model in result.models),
        "ModelSha256": ", ".join(model.sha256 for model in result.models),
        "SliceCenterLPS": " ".join(f"{value:.3f}" for value in result.slice_center_lps_mm),
        "Warnings": " ".join(result.warnings),
    }
    for name, value in facts.items():
        node.SetAttribute(TAG_PREFIX + name, value or None)
    node.SetDescription(RESEARCH_USE)
