"""Choosing the sagittal T2-weighted series among the stacks of a DICOM study, and saying what was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from .acquisition import (
    BY_CONTRAST,
    GRADED_CONTRASTS,
    LATER_BY,
    UNSUITABLE_BY,
    contrast_of,
    doubts,
    lies_like_a_localizer,
    order_in_study,
    suitability,
)
from .admission import UnsuitableImageError, require_mr_modality
from .dicom_study.stacks import DicomStack
from .volume import CANONICAL_AXES_LPS, MAX_OBLIQUE_DEGREES, ImagingError

STATION_DISTANCE_MM = 80.0
"""Of equally suitable series, one whose lower end lies this far above that of another does not show the sacrum."""

UPPER_STATION = "lies higher"
NOT_ASKED_FOR = "not asked for"


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


@dataclass(frozen=True)
class SeriesChoice:
    """Which of the stacks of a study is graded, and why not the others.

    Attributes
    ----------
    stacks : tuple of DicomStack
    reasons : tuple of str
        For each stack in a few words why it is not taken; empty for the one that is.
    error : ImagingError or None
        Why none is taken.
    asked_for : bool
        The user said which series to read.
    """

    stacks: tuple[DicomStack, ...]
    reasons: tuple[str, ...]
    error: ImagingError | None = None
    asked_for: bool = False

    @property
    def taken(self) -> DicomStack:
        """The stack to grade.

        Raises
        ------
        ImagingError
            If there is none.
        """
        if self.error is not None:
            raise self.error
        return self.stacks[self.reasons.index("")]

    @property
    def notes(self) -> tuple[str, ...]:
        """Which series is taken, what else is there, and what is doubtful.

        They are free of the study's own texts, which may name the patient.
        """
        taken = self.taken
        others = [stack for stack in self.stacks if stack is not taken]
        note = f"Read from DICOM {_describe(taken)}{', as asked for' if self.asked_for else ''}"
        note += f" (not taken: {_listing(others)})." if others else "."
        return (note, *doubts(taken.first, len(taken.frames), taken.slice_distance_mm))


def choose_series(
    stacks: tuple[DicomStack, ...], series: str | None = None, is_single_file: bool = False
) -> SeriesChoice:
    """Choose the sagittal T2 stack to grade.

    Parameters
    ----------
    stacks : tuple of DicomStack
    series : str, optional
        Choose among the stacks of the series with this SeriesInstanceUID, else with this number, else with this text
        in description, protocol or sequence name; the contrast is then the user's choice.
    is_single_file : bool
        The stacks are those of a single file, so its contrast is the user's choice too.
    """
    considered = stacks if series is None else tuple(_asked_for(stacks, series))
    free_contrast = is_single_file or series is not None
    against = [_reason_against(stack, free_contrast) if stack in considered else NOT_ASKED_FOR for stack in stacks]
    suitable = [stack for stack, reason in zip(stacks, against, strict=True) if not reason]
    if not suitable:
        return SeriesChoice(stacks, tuple(against), _none_suitable(considered, series is not None))
    lowest_mm = min(stack.lowest_mm for stack in suitable)
    orders = {
        id(stack): _order_of_preference(stack, stack.lowest_mm - lowest_mm > STATION_DISTANCE_MM) for stack in suitable
    }
    taken = min(suitable, key=lambda stack: orders[id(stack)])
    reasons = [
        reason or ("" if stack is taken else _less_suitable(stack, orders[id(stack)], orders[id(taken)]))
        for stack, reason in zip(stacks, against, strict=True)
    ]
    return SeriesChoice(stacks, tuple(reasons), asked_for=series is not None)


def _asked_for(stacks: tuple[DicomStack, ...], series: str) -> list[DicomStack]:
    text = series.strip().lower()
    return (
        [stack for stack in stacks if text in stack.series_uids]
        or [stack for stack in stacks if text.isdecimal() and stack.first.series_number == int(text)]
        or [stack for stack in stacks if text and text in stack.first.labels]
    )


def _reason_against(stack: DicomStack, free_contrast: bool) -> str:
    plane, contrast = plane_of(stack), contrast_of(stack.first)
    if stack.first.modality not in ("MR", ""):
        return f"{stack.first.modality}, not MR"
    if plane is not Plane.SAGITTAL:
        return "position not stated" if plane is Plane.UNKNOWN else f"{plane.value}, not sagittal"
    return "" if free_contrast or contrast in GRADED_CONTRASTS else f"{contrast.value}, not T2"


def _none_suitable(considered: tuple[DicomStack, ...], asked_for: bool) -> ImagingError:
    if not considered:
        return ImagingError(
            "There is no series with that SeriesInstanceUID, number or text; lumbar-disc-grading series FOLDER lists "
            "those that are there."
        )
    modalities = {stack.first.modality for stack in considered}
    if len(modalities) == 1:
        try:
            require_mr_modality(*modalities)
        except UnsuitableImageError as error:
            return error
    if asked_for:
        return UnsuitableImageError(f"The series asked for is not sagittal ({_listing(considered)}); name another.")
    return UnsuitableImageError(
        f"There is no sagittal T2 series among the images ({_listing(considered)}); load the sagittal T2 series."
    )


def _less_suitable(stack: DicomStack, order: tuple, order_taken: tuple) -> str:
    """Say by what a stack comes after the one that is taken: the first place at which their orders differ."""
    reasons = (*UNSUITABLE_BY, UPPER_STATION, *LATER_BY)
    reason = next(
        (why for why, own, other in zip(reasons, order, order_taken, strict=True) if own != other), "the same again"
    )
    if reason != BY_CONTRAST:
        return reason
    if lies_like_a_localizer(len(stack.frames), stack.slice_distance_mm):
        return "lies like a localizer"
    return contrast_of(stack.first).value


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
