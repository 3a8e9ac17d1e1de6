"""Choosing the sagittal T2-weighted series among the stacks of a DICOM study, and saying what was chosen."""

from __future__ import annotations

import re
from enum import Enum

import numpy as np

from .admission import UnsuitableImageError
from .dicom_frames import DicomStack
from .volume import CANONICAL_AXES_LPS, MAX_OBLIQUE_DEGREES, ImagingError

T2_MIN_ECHO_TIME_MS = 60.0
T1_MAX_REPETITION_TIME_MS = 1000.0
"""Spin-echo contrast by its times: T2 needs a long echo time and a long repetition time, T1 has both short."""

MYELOGRAPHIC_ECHO_TIME_MS = 250.0
"""From this echo time on little but fluid is seen; such a series is taken only when there is no other."""

MIN_STACK_SLICES = 5
"""Stacks with fewer slices are taken only when there is no fuller one: they are mostly localizers."""

NOT_ACQUIRED = ("LOCALIZER", "MPR", "PROJECTION IMAGE", "MIP", "MIN IP", "SUBTRACTION", "ADC", "SECONDARY CAPTURE")
LOCALIZER_WORDS = re.compile(
    r"\b(loc|localizer|localiser|scout|survey|3-?plane|3-?pl|scanogram|mobiview)\b|locali[sz]|survey|scout"
)
FAT_SUPPRESSION_WORDS = re.compile(
    r"stir|tirm|spair|spir|dixon|\b(fs|fatsat|fat[ _-]?sat|water|wfs)\b|_fs|fatsat|ideal"
)
DIFFUSION_WORDS = re.compile(r"dwi|diff|\badc\b|trace|ep_b|ep2d")
T2_WORDS = re.compile(r"t2")
OTHER_CONTRAST_WORDS = re.compile(r"t1|\bpd|proton")
OTHER_REGION_WORDS = re.compile(r"cerv|thor|\b(c|t|d)[ _-]?spine|hws|bws|brain|head")
MAGNITUDE_EXCLUDES = ("P", "PHASE", "R", "REAL", "I", "IMAGINARY")


class Plane(str, Enum):
    """Plane of a stack, the anatomical one nearest to it."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"
    UNKNOWN = "without position"


class Contrast(str, Enum):
    """Contrast of a stack as its header tells."""

    T2 = "T2"
    T2_FAT_SUPPRESSED = "T2 with fat suppression"
    T1 = "T1"
    OTHER = "other contrast"
    LOCALIZER = "localizer or computed images"
    UNKNOWN = "contrast not stated"


def plane_of(stack: DicomStack) -> Plane:
    """Return the plane of a stack; sagittal only within the tilt that `SagittalVolume` accepts."""
    if not stack.first.has_geometry:
        return Plane.UNKNOWN
    cosines = abs(CANONICAL_AXES_LPS @ stack.first.normal_lps)
    if np.degrees(np.arccos(np.clip(cosines[0], 0, 1))) <= MAX_OBLIQUE_DEGREES:
        return Plane.SAGITTAL
    return Plane.AXIAL if cosines[1] >= cosines[2] else Plane.CORONAL


def contrast_of(stack: DicomStack) -> Contrast:
    """Return the contrast of a stack from its sequence times, or where these are missing from its labels.

    T2 is an echo time of at least 60 ms with a repetition time of at least 1000 ms.
    """
    frame = stack.first
    if frame.samples > 1 or any(word in kind for kind in frame.image_type for word in NOT_ACQUIRED):
        return Contrast.LOCALIZER
    if LOCALIZER_WORDS.search(frame.labels):
        return Contrast.LOCALIZER
    is_diffusion = (
        bool(frame.diffusion_b_value) or "EP" in frame.scanning_sequence or DIFFUSION_WORDS.search(frame.labels)
    )
    if is_diffusion or any(kind in MAGNITUDE_EXCLUDES for kind in frame.image_type[2:]):
        return Contrast.OTHER
    fat_suppressed = bool(FAT_SUPPRESSION_WORDS.search(frame.labels)) or any(
        option in ("FS", "SFS", "FATSAT", "FAT_SAT", "SP") for option in frame.scan_options
    )
    long_repetition = frame.repetition_time_ms is None or frame.repetition_time_ms >= T1_MAX_REPETITION_TIME_MS
    if frame.echo_time_ms is None:
        is_t2 = bool(T2_WORDS.search(frame.labels)) and long_repetition
        if not is_t2:
            known_other = OTHER_CONTRAST_WORDS.search(frame.labels) or not long_repetition
            return Contrast.OTHER if known_other else Contrast.UNKNOWN
    elif not long_repetition:
        return Contrast.T1 if frame.echo_time_ms < T2_MIN_ECHO_TIME_MS else Contrast.OTHER
    elif frame.echo_time_ms < T2_MIN_ECHO_TIME_MS:
        return Contrast.T2_FAT_SUPPRESSED if _is_stir(stack) else Contrast.OTHER
    inversion = frame.inversion_time_ms is not None and 0 < frame.inversion_time_ms < 300
    return Contrast.T2_FAT_SUPPRESSED if fat_suppressed or inversion else Contrast.T2


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
    considered = tuple(stack for stack in stacks if series_uid is None or stack.first.series_uid == series_uid)
    if not considered:
        raise ImagingError("There is no series with that SeriesInstanceUID; give one that the folder holds.")
    if all(stack.first.modality == "CT" for stack in considered):
        raise UnsuitableImageError("The images are CT; load a sagittal T2-weighted MR series.")
    magnetic = [stack for stack in considered if stack.first.modality in ("MR", "")]
    sagittal = [stack for stack in magnetic if plane_of(stack) is Plane.SAGITTAL]
    wanted = (Contrast.T2, Contrast.T2_FAT_SUPPRESSED, Contrast.UNKNOWN)
    suitable = [stack for stack in sagittal if given or contrast_of(stack) in wanted]
    if not suitable:
        raise UnsuitableImageError(
            f"There is no sagittal T2 series among the images ({_listing(considered)}); load the sagittal T2 series."
        )
    chosen = min(suitable, key=_order_of_preference)
    contrast = contrast_of(chosen)
    notes = [_choice_note(chosen, [stack for stack in stacks if stack is not chosen])]
    if contrast is Contrast.UNKNOWN:
        notes.append("The DICOM header does not state the contrast; the series was taken for T2-weighted.")
    elif contrast not in wanted:
        notes.append("The sequence times in the DICOM header are not those of a T2-weighted series.")
    return chosen, tuple(notes)


def _order_of_preference(stack: DicomStack) -> tuple:
    frame = stack.first
    preferred = (Contrast.T2, Contrast.T2_FAT_SUPPRESSED, Contrast.UNKNOWN)
    contrast = contrast_of(stack)
    return (
        preferred.index(contrast) if contrast in preferred else len(preferred),
        stack.has_repeated_positions,
        bool(OTHER_REGION_WORDS.search(frame.labels)),
        (frame.echo_time_ms or 0) >= MYELOGRAPHIC_ECHO_TIME_MS,
        len(stack.frames) < MIN_STACK_SLICES,
        "DERIVED" in frame.image_type,
        max(frame.pixel_spacing_mm or (0.0,)),
        -len(stack.frames),
        frame.series_number or 0,
        frame.echo_time_ms or 0,
        frame.acquisition or 0,
        frame.temporal_position or 0,
    )


def _is_stir(stack: DicomStack) -> bool:
    inversion_ms = stack.first.inversion_time_ms
    return (
        inversion_ms is not None
        and 80 <= inversion_ms <= 300
        and bool(FAT_SUPPRESSION_WORDS.search(stack.first.labels))
    )


def _describe(stack: DicomStack) -> str:
    number = stack.first.series_number
    modality = stack.first.modality
    what = f"{plane_of(stack).value}, {contrast_of(stack).value}" if modality in ("MR", "") else modality
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
