"""Which of the loaded volumes is the sagittal T2, and what is doubtful about one, told before anything is run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..imaging.acquisition import (
    CONTRAST_NOT_STATED,
    Acquisition,
    Contrast,
    contrast_of,
    doubts,
    order_in_study,
    suitability,
)
from ..imaging.admission import require_mr_modality
from ..imaging.volume import ImagingError, SagittalVolume
from .dicom_headers import header_of_node
from .nodes import nodes_of_class
from .volumes import EVIDENCE_ATTRIBUTE, sagittal_geometry_of_node

SAGITTAL_NAME = re.compile(r"sag", re.IGNORECASE)

MIN_FIELD_OF_VIEW_MM = 150.0
"""Five lumbar discs with a vertebra above span about this from head to feet."""
MAX_PIXEL_MM = 1.3
"""With larger pixels a collapsed disc is less than three pixels high."""


@dataclass(frozen=True)
class _Candidate:
    """A volume that has sagittal slices, and how suitable it is: the smaller, the better."""

    node: Any
    acquisition: Acquisition
    suitability: tuple
    by_name_and_place: tuple
    order_in_study: tuple


def is_offered(node: Any) -> bool:
    """Return whether a node is an image that may be graded: no label map, and not the evidence of a grading."""
    return (
        node.IsA("vtkMRMLScalarVolumeNode")
        and not node.IsA("vtkMRMLLabelMapVolumeNode")
        and not node.GetAttribute(EVIDENCE_ATTRIBUTE)
        and not node.GetHideFromEditors()
    )


def likely_volume(scene: Any, chosen: Any = None, among: list[Any] | None = None) -> Any:
    """Return the volume that is most likely the sagittal T2, None where none has sagittal slices.

    It is judged as the command line judges the series of a study: by DICOM headers, where there are none by names.
    Between equally suitable series of one study resolution, number of slices and series number decide, as there; else
    the one loaded last is taken.

    Parameters
    ----------
    scene : vtkMRMLScene
    chosen : vtkMRMLScalarVolumeNode, optional
        Is kept unless another one is more likely.
    among : list of vtkMRMLScalarVolumeNode, optional
        Look at these only: the likeliest of them is returned unless the chosen one is plainly more suitable.
    """
    nodes = nodes_of_class(scene, "vtkMRMLScalarVolumeNode") if among is None else among
    candidates = [candidate for node in nodes if (candidate := _candidate(node)) is not None]
    if not candidates:
        return chosen
    best = min(candidate.suitability for candidate in candidates)
    former = _candidate(chosen) if among is not None and chosen is not None and chosen not in among else None
    if former is not None and former.suitability < best:
        return chosen
    rank = min((candidate.suitability, candidate.by_name_and_place) for candidate in candidates)
    equals = [candidate for candidate in candidates if (candidate.suitability, candidate.by_name_and_place) == rank]
    kept = next((candidate for candidate in equals if candidate.node is chosen), equals[-1])
    study = kept.acquisition.study_uid
    rivals = [candidate for candidate in equals if study and candidate.acquisition.study_uid == study]
    first = min((candidate.order_in_study for candidate in rivals), default=kept.order_in_study)
    return (
        kept.node
        if kept.order_in_study == first
        else next(candidate.node for candidate in reversed(rivals) if candidate.order_in_study == first)
    )


def evidence_ids(scene: Any) -> list[str]:
    """Return the IDs of the volume nodes that are no image but the evidence of a grading."""
    nodes = nodes_of_class(scene, "vtkMRMLScalarVolumeNode")
    return [node.GetID() for node in nodes if node.GetAttribute(EVIDENCE_ATTRIBUTE)]


def input_doubts(volumeNode: Any) -> tuple[str, ...]:
    """Return what is doubtful about a volume as input, one sentence each, the worst first.

    Contrast and region come before geometry; what the pixels tell is checked when it runs.

    Raises
    ------
    ImagingError
        If it cannot be graded at all.
    """
    volume = sagittal_geometry_of_node(volumeNode)
    acquisition = header_of_node(volumeNode).acquisition
    require_mr_modality(acquisition.modality)
    return (*doubts(acquisition, volume.slice_count, volume.spacing_mm[0]), *_geometry_doubts(volume))


def loaded_volumes(scene: Any) -> list[tuple[Any, str]]:
    """Return the images of a scene, each with why it is not taken for a sagittal T2 of the lumbar spine.

    Where nobody chooses among them, only what neither header nor name speaks against is taken: no fat suppression, no
    other region, and of a study that has a T2 no series that does not state its contrast.

    Returns
    -------
    list of (vtkMRMLScalarVolumeNode, str)
        In the order of the scene; the reason is one sentence, empty where the volume is taken.
    """
    nodes = [node for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode") if is_offered(node)]
    reasons = [_spoken_against(node) for node in nodes]
    acquisitions = [header_of_node(node).acquisition for node in nodes]
    with_t2 = {
        acquisition.study_uid
        for acquisition, reason in zip(acquisitions, reasons, strict=True)
        if not reason and acquisition.study_uid and contrast_of(acquisition) is Contrast.T2
    }
    for place, acquisition in enumerate(acquisitions):
        if acquisition.study_uid in with_t2 and contrast_of(acquisition) is Contrast.UNKNOWN:
            reasons[place] = reasons[place] or "The DICOM header does not state the contrast, and its study has a T2."
    return list(zip(nodes, reasons, strict=True))


def _spoken_against(volumeNode: Any) -> str:
    try:
        volume, acquisition = sagittal_geometry_of_node(volumeNode), header_of_node(volumeNode).acquisition
        require_mr_modality(acquisition.modality)
    except ImagingError as error:
        return str(error)
    said = doubts(acquisition, volume.slice_count, volume.spacing_mm[0])
    return next((doubt for doubt in said if doubt != CONTRAST_NOT_STATED), "")


def _candidate(volumeNode: Any) -> _Candidate | None:
    if not is_offered(volumeNode):
        return None
    try:
        volume = sagittal_geometry_of_node(volumeNode)
    except ImagingError:
        return None
    acquisition, count, spacing = header_of_node(volumeNode).acquisition, volume.slice_count, volume.spacing_mm
    return _Candidate(
        volumeNode,
        acquisition,
        suitability(acquisition, count, spacing[0]),
        (not SAGITTAL_NAME.search(volumeNode.GetName() or ""), bool(_geometry_doubts(volume))),
        order_in_study(acquisition, count, max(spacing[1:])),
    )


def _geometry_doubts(volume: SagittalVolume) -> list[str]:
    _, row_mm, column_mm = volume.spacing_mm
    _, rows, _ = volume.voxels.shape
    found = list(volume.notes)  # that nothing is stated, if so
    if volume.slice_count == 1:
        found.append("There is a single slice; make sure that it is the mid-sagittal one.")
    if not volume.scale_known:
        return found
    if rows * row_mm < MIN_FIELD_OF_VIEW_MM:
        found.append(
            f"The image is only {rows * row_mm:.0f} mm high; levels may be missing and the junction out of view."
        )
    if max(row_mm, column_mm) > MAX_PIXEL_MM:
        found.append(f"The pixels are large ({max(row_mm, column_mm):.1f} mm); thin discs may be missed.")
    return found
