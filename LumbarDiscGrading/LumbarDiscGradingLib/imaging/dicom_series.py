"""Choosing the sagittal T2-weighted series among the stacks of a DICOM study, and saying what was chosen."""

from __future__ import annotations

from enum import Enum

import numpy as np

from .acquisition import GRADED_CONTRASTS, contrast_of, doubts, order_in_study, suitability
from .admission import UnsuitableImageError, require_mr_modality
from .dicom_study.stacks import DicomStack
from .volume import CANONICAL_AXES_LPS, MAX_OBLIQUE_DEGREES, ImagingError

STATION_DISTANCE_MM = 80.0
"""Of equally suitable series, one whose lower end lies this far above that of another does not show the sacrum."""


class Plane(str, Enum):
    """Plane of a stack, the anatomical one nearest to it."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"
    UNKNOWN = "without position"


def plane_of(stack: DicomStack) -> Plane:
    """Return the plane of a stack; sagittal only within the tilt that `SagittalVolume` accepts."""
    if not stack.first.has_geometry:
        return Plane.UNKNOWN
    cosines = abs(CANONICAL_AXES_LPS @ stack.first.normal_lps)
    if np.degrees(np.arccos(np.clip(cosines[0], 0, 1))) <= MAX_OBLIQUE_DEGREES:
        return Plane.SAGITTAL
    return Plane.AXIAL if cosines[1] >= cosines[2] else Plane.CORONAL


def choose_stack(
    stacks: tuple[DicomStack, ...], series_uid: str | None = None, is_single_file: bool = False
) -> tuple[DicomStack, tuple[str, ...]]:
    """Choose the sagittal T2 stack to grade.

    Parameters
    ----------
    stacks : tuple of DicomStack
    series_uid : str, optional
        Choose among the stacks of this series; its contrast is then the user's choice.
    is_single_file : bool
        The stacks are those of a single file, so its contrast is the user's choice too.

    Returns
    -------
    stack : DicomStack
    notes : tuple of str
        Which series was chosen and what else was there; free of the study's own texts, which may name the patient.

    Raises
    ------
    ImagingError
        If there is none.
    """
    given = is_single_file or series_uid is not None
    considered = tuple(stack for stack in stacks if series_uid is None or series_uid in stack.series_uids)
    if not considered:
        raise ImagingError("There is no series with that SeriesInstanceUID; give one that the folder holds.")
    modalities = {stack.first.modality for stack in considered}
    if len(modalities) == 1:
        require_mr_modality(*modalities)
    magnetic = [stack for stack in considered if stack.first.modality in ("MR", "")]
    sagittal = [stack for stack in magnetic if plane_of(stack) is Plane.SAGITTAL]
    suitable = [stack for stack in sagittal if given or contrast_of(stack.first) in GRADED_CONTRASTS]
    if not suitable:
        raise UnsuitableImageError(
            f"There is no sagittal T2 series among the images ({_listing(considered)}); load the sagittal T2 series."
        )
    lowest_mm = min(stack.lowest_mm for stack in suitable)
    chosen = min(
        suitable,
        key=lambda stack: _order_of_preference(stack, stack.lowest_mm - lowest_mm > STATION_DISTANCE_MM),
    )
    note = _choice_note(chosen, [stack for stack in stacks if stack is not chosen])
    return chosen, (note, *doubts(chosen.first, len(chosen.frames), chosen.slice_distance_mm))


def _order_of_preference(stack: DicomStack, is_upper_station: bool) -> tuple:
    frame, count = stack.first, len(stack.frames)
    return (
        *suitability(frame, count, stack.slice_distance_mm, stack.has_repeated_positions),
        is_upper_station,
        *order_in_study(frame, count, max(frame.pixel_spacing_mm or (np.inf,))),
    )


def _describe(stack: DicomStack) -> str:
    number = stack.first.series_number
    modality = stack.first.modality
    what = f"{plane_of(stack).value}, {contrast_of(stack.first).value}" if modality in ("MR", "") else modality
    count = len(stack.frames)
    return f"series {'without number' if number is None else number}: {what}, {count} image{'s' if count > 1 else ''}"


def _listing(stacks: tuple[DicomStack, ...] | list[DicomStack], limit: int = 12) -> str:
    texts = [_describe(stack) for stack in stacks[:limit]]
    if len(stacks) > limit:
        texts.append(f"and {len(stacks) - limit} more")
    return "; ".join(texts)


def _choice_note(chosen: DicomStack, others: list[DicomStack]) -> str:
    note = f"Read from DICOM {_describe(chosen)}."
    return note if not others else f"{note[:-1]} (not taken: {_listing(others)})."
