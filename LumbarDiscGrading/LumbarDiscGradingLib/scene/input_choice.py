"""Which of the loaded volumes is the sagittal T2, and what is doubtful about one, told before anything is run."""

from __future__ import annotations

import re
from typing import Any

from ..imaging.volume import ImagingError, SagittalVolume
from .volumes import sagittal_geometry_of_node

T2_NAME = re.compile(r"t2", re.IGNORECASE)
OTHER_CONTRAST_NAME = re.compile(r"t1|stir|tirm|dixon|\bpd\b|flair|\bct\b|adc|dwi", re.IGNORECASE)
LOCALIZER_NAME = re.compile(r"locali[sz]|scout|survey", re.IGNORECASE)
OTHER_REGION_NAME = re.compile(r"cerv|thor|brain|knee|head", re.IGNORECASE)
SAGITTAL_NAME = re.compile(r"sag", re.IGNORECASE)

MIN_FIELD_OF_VIEW_MM = 150.0
"""Five lumbar discs with a vertebra above span about this from head to feet."""
MAX_PIXEL_MM = 1.3
"""With larger pixels a collapsed disc is less than three pixels high."""


def likely_volume(scene: Any, chosen: Any = None) -> Any:
    """Return the volume that is most likely the sagittal T2, None where none has sagittal slices.

    The name decides between sagittal volumes (T2, no other contrast, no localizer); of equals the one loaded last is
    taken.

    Parameters
    ----------
    scene : vtkMRMLScene
    chosen : vtkMRMLScalarVolumeNode, optional
        Is kept unless another one is more likely.
    """
    best, best_rank = None, None
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
        rank = None if node.IsA("vtkMRMLLabelMapVolumeNode") else _rank(node)
        if rank is not None and (best_rank is None or rank >= best_rank):
            best, best_rank = node, rank
    return chosen if chosen is not None and best_rank in (None, _rank(chosen)) else best


def input_doubts(volumeNode: Any) -> tuple[str, ...]:
    """Return what is doubtful about a volume as input, one sentence each; the contrast itself is checked when it runs.

    Raises
    ------
    ImagingError
        If it cannot be graded at all.
    """
    volume = sagittal_geometry_of_node(volumeNode)
    name = volumeNode.GetName() or ""
    doubts = []
    if OTHER_CONTRAST_NAME.search(name) and not T2_NAME.search(name):
        doubts.append("The name suggests another contrast than T2; Pfirrmann grades need a T2-weighted image.")
    elif re.search(r"stir|tirm|dixon", name, re.IGNORECASE):
        doubts.append("The name suggests fat suppression; the models were made for T2 without it.")
    if LOCALIZER_NAME.search(name):
        doubts.append("The name suggests a localizer; load the diagnostic sagittal T2 series.")
    if OTHER_REGION_NAME.search(name):
        doubts.append("The name suggests another region than the lumbar spine.")
    return (*doubts, *_geometry_doubts(volume))


def _rank(volumeNode: Any) -> tuple[bool, ...] | None:
    try:
        volume = sagittal_geometry_of_node(volumeNode)
    except ImagingError:
        return None
    name = volumeNode.GetName() or ""
    return (
        not LOCALIZER_NAME.search(name),
        bool(T2_NAME.search(name)),
        not OTHER_CONTRAST_NAME.search(name),
        not OTHER_REGION_NAME.search(name),
        bool(SAGITTAL_NAME.search(name)),
        not _geometry_doubts(volume),
    )


def _geometry_doubts(volume: SagittalVolume) -> list[str]:
    _, row_mm, column_mm = volume.spacing_mm
    _, rows, _ = volume.voxels.shape
    doubts = []
    if volume.slice_count == 1:
        doubts.append("There is a single slice; make sure that it is the mid-sagittal one.")
    if rows * row_mm < MIN_FIELD_OF_VIEW_MM:
        doubts.append(
            f"The image is only {rows * row_mm:.0f} mm high; levels may be missing and the junction out of view."
        )
    if max(row_mm, column_mm) > MAX_PIXEL_MM:
        doubts.append(f"The pixels are large ({max(row_mm, column_mm):.1f} mm); thin discs may be missed.")
    return doubts
