"""Choosing the sagittal T2-weighted series among the stacks of a DICOM study, and saying what was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from .acquisition import (
    BY_CONTRAST,
    GRADED_CONTRASTS,
    LATER_BY,
    MIN_STACK_SLICES,
    UNSUITABLE_BY,
    Contrast,
    contrast_of,
    doubts,
    is_fat_suppressed,
    lies_like_a_localizer,
    order_in_study,
    suitability,
)
from .admission import UnsuitableImageError, require_mr_modality
from .dicom_study.pixel_contrast import contrasts_seen
from .dicom_study.stacks import DicomStack
from .volume import CANONICAL_AXES_LPS, MAX_OBLIQUE_DEGREES, ImagingError, SagittalVolume

STATION_DISTANCE_MM = 80.0
"""Of equally suitable series, one whose lower end lies this far above that of another does not show the sacrum."""

UPPER_STATION = "lies higher"
BY_PIXELS = "pixels"
NOT_ASKED_FOR = "not asked for"
FIRST_BY = UNSUITABLE_BY[: UNSUITABLE_BY.index(BY_CONTRAST) + 1]
REASONS = (*FIRST_BY, BY_PIXELS, *UNSUITABLE_BY[len(FIRST_BY) :], UPPER_STATION, *LATER_BY)
"""What makes a stack come after another, in the order of `_order_of_preference`."""
LOOKS = ((Contrast.T1, "that fluid is dark"), (Contrast.T2_FAT_SUPPRESSED, "all but fluid is dark"))
"""What is seen on images of a contrast that are not T2-weighted, or not plainly so."""

SEEN_RANKS = (Contrast.T2, Contrast.T2_FAT_SUPPRESSED, Contrast.T1)
"""What pixels may show, the best first."""

MiddleSlices = Callable[[DicomStack], SagittalVolume | None]
"""Reads the pixels of a stack's middle slices; None where they cannot be read."""


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
    from_pixels : str
        What the pixels told where headers do not state the contrast of several stacks, a sentence; else empty.
    """

    stacks: tuple[DicomStack, ...]
    reasons: tuple[str, ...]
    error: ImagingError | None = None
    asked_for: bool = False
    from_pixels: str = ""

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
        seen = (self.from_pixels,) if self.from_pixels else ()
        return (note, *seen, *doubts(taken.first, len(taken.frames), taken.slice_distance_mm))


def choose_series(
    stacks: tuple[DicomStack, ...],
    series: str | None = None,
    is_single_file: bool = False,
    middle_slices: MiddleSlices = lambda stack: None,
) -> SeriesChoice:
    """Choose the sagittal T2 stack to grade, by the headers, and by the pixels where these do not state the contrast.

    Parameters
    ----------
    stacks : tuple of DicomStack
    series : str, optional
        Choose among the stacks of the series with this SeriesInstanceUID, else with this number, else with this text
        in description, protocol or sequence name; the contrast is then the user's choice.
    is_single_file : bool
        The stacks are those of a single file, so its contrast is the user's choice too.
    middle_slices : callable
        Reads pixels; asked only for stacks that the headers do not tell apart.
    """
    considered = stacks if series is None else tuple(_asked_for(stacks, series))
    free_contrast = is_single_file or series is not None
    against = [_reason_against(stack, free_contrast) if stack in considered else NOT_ASKED_FOR for stack in stacks]
    suitable = [stack for stack, reason in zip(stacks, against, strict=True) if not reason]
    if not suitable:
        return SeriesChoice(stacks, tuple(against), _none_suitable(considered, series is not None))
    lowest_mm = min(stack.lowest_mm for stack in suitable)
    upper = [stack.lowest_mm - lowest_mm > STATION_DISTANCE_MM for stack in suitable]
    compared = _of_unstated_contrast([stack for stack, is_upper in zip(suitable, upper, strict=True) if not is_upper])
    seen = _seen(compared, middle_slices)
    orders = {
        id(stack): _order_of_preference(stack, is_upper, seen.get(id(stack), Contrast.T2))
        for stack, is_upper in zip(suitable, upper, strict=True)
    }
    taken = min(suitable, key=lambda stack: orders[id(stack)])
    reasons = [
        reason or ("" if stack is taken else _less_suitable(stack, orders[id(stack)], orders[id(taken)], seen))
        for stack, reason in zip(stacks, against, strict=True)
    ]
    said = _told_by_pixels(len(compared), list(seen.values())) if taken in compared else ""
    return SeriesChoice(stacks, tuple(reasons), asked_for=series is not None, from_pixels=said)


def _of_unstated_contrast(stacks: list[DicomStack]) -> list[DicomStack]:
    """Return the whole stacks of one person of which the headers state no contrast; none where they state it of one."""
    if any(contrast_of(stack.first) in (Contrast.T2, Contrast.T2_FAT_SUPPRESSED) for stack in stacks):
        return []
    found = [
        stack
        for stack in stacks
        if contrast_of(stack.first) is Contrast.UNKNOWN
        and not is_fat_suppressed(stack.first)
        and not lies_like_a_localizer(len(stack.frames), stack.slice_distance_mm)
        and not stack.has_repeated_positions
        and len(stack.frames) >= MIN_STACK_SLICES
    ]
    people = {replace(stack.first.person, frame_of_reference_uid="") for stack in found}
    return found if len(found) > 1 and len(people) == 1 else []


def _seen(compared: list[DicomStack], middle_slices: MiddleSlices) -> dict[int, Contrast]:
    """Return for each stack, by its `id`, the contrast that its pixels show; nothing where they do not tell."""
    volumes = [volume for stack in compared if (volume := middle_slices(stack)) is not None]
    contrasts = contrasts_seen(volumes) if volumes and len(volumes) == len(compared) else None
    return {id(stack): contrast for stack, contrast in zip(compared, contrasts or (), strict=bool(contrasts))}


def _told_by_pixels(count: int, seen: list[Contrast]) -> str:
    if not seen:
        return (
            f"The headers do not state the contrast of {count} sagittal series, and their pixels did not tell them "
            "apart; the choice went by geometry: check that the series taken is T2-weighted, or name another with "
            "--series."
        )
    others = [text for contrast, text in LOOKS if contrast in seen]
    return (
        f"The series was chosen from the pixels: of {count} sagittal series whose headers do not state the contrast it "
        f"looks most T2-weighted (bright fluid in the canal); on others {' or '.join(others)}."
    )


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


def _less_suitable(stack: DicomStack, order: tuple, order_taken: tuple, seen: dict[int, Contrast]) -> str:
    """Say by what a stack comes after the one that is taken: the first place at which their orders differ."""
    reason = next(
        (why for why, own, other in zip(REASONS, order, order_taken, strict=True) if own != other), "the same again"
    )
    if reason == BY_PIXELS:
        return f"looks like {seen[id(stack)].value}"
    if reason != BY_CONTRAST:
        return reason
    if lies_like_a_localizer(len(stack.frames), stack.slice_distance_mm):
        return "lies like a localizer"
    return contrast_of(stack.first).value


def _order_of_preference(stack: DicomStack, is_upper_station: bool, seen: Contrast) -> tuple:
    frame, count = stack.first, len(stack.frames)
    suitable = suitability(frame, count, stack.slice_distance_mm, stack.has_repeated_positions)
    return (
        *suitable[: len(FIRST_BY)],
        SEEN_RANKS.index(seen),
        *suitable[len(FIRST_BY) :],
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
