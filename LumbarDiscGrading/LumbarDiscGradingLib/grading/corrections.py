"""What a reader changes in a result: levels, grades, masks. A corrected result is the graded one plus such changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import ImagingError
from ..pfirrmann import (
    DISC_LABELS,
    GROUPS,
    LEVELS_UPWARD,
    LISTED_LEVELS,
    LUMBAR_LEVELS,
    ROMAN_GRADES,
    SIX_LUMBAR_LEVELS,
    SIX_LUMBAR_UPWARD,
    Group,
    group_of_grade,
    group_probabilities,
)
from .result import DiscGrade, GradingResult

NOT_FOUND_MARK = "was not found"
"""Warnings of the grader that name missing levels contain it or start with ``Not found``; new names make new ones."""


class CorrectionError(ImagingError):
    """A correction is not possible; the message is one sentence for the user."""


@dataclass(frozen=True)
class LevelSet:
    """The disc of one level gets another; the others keep their distance to it.

    Attributes
    ----------
    level, new_level : str
    keep_below : bool
        The discs below keep their levels: a disc between them and this one was missed.
    """

    level: str
    new_level: str
    keep_below: bool = False


@dataclass(frozen=True)
class GradeSet:
    """A reader's Pfirrmann grade, 1 to 5, in place of the network's."""

    level: str
    grade: int


@dataclass(frozen=True)
class NotAssessable:
    """The disc cannot be graded (artefact, partial volume, hardware)."""

    level: str


@dataclass(frozen=True, eq=False)
class MaskEdited:
    """A corrected mask with what the networks say of it.

    Attributes
    ----------
    disc : DiscGrade
        From `DiscGrader.regrade`; its level is that of the disc.
    mask : ndarray of bool, shape (rows, columns)
        On the graded slice.
    """

    disc: DiscGrade
    mask: NDArray[np.bool_]

    @property
    def level(self) -> str:
        """Level of the disc."""
        return self.disc.level


@dataclass(frozen=True, eq=False)
class DiscAdded:
    """A disc that was not found, with the mask that a reader drew of it and what the networks say of it.

    Attributes
    ----------
    disc : DiscGrade
        From `DiscGrader.regrade`; its level is none that the result has.
    mask : ndarray of bool, shape (rows, columns)
        On the graded slice.
    """

    disc: DiscGrade
    mask: NDArray[np.bool_]

    @property
    def level(self) -> str:
        """Level of the disc."""
        return self.disc.level


Correction = LevelSet | GradeSet | NotAssessable | MaskEdited | DiscAdded


def corrected(result: GradingResult, corrections: Iterable[Correction]) -> GradingResult:
    """Return a result with corrections applied, one after the other; the result itself stays as it is.

    Parameters
    ----------
    result : GradingResult
    corrections : iterable of Correction
        Levels in them are those at the time of each correction.

    Raises
    ------
    CorrectionError
        If a correction names a disc that is not there, a level that cannot be, or an empty mask.
    """
    for correction in corrections:
        disc = result.disc(correction.level)
        if isinstance(correction, DiscAdded):
            result = _with_added(result, correction)
            continue
        if disc is None:
            raise CorrectionError(f"There is no disc {correction.level} in the result.")
        if isinstance(correction, LevelSet):
            result = _with_levels(result, correction)
        elif isinstance(correction, GradeSet):
            result = _with_disc(result, _with_grade(disc, correction.grade))
        elif isinstance(correction, NotAssessable):
            marked = replace(disc, assessable=False, changes=_noted(disc, "grade", "not assessable (reader)"))
            result = _with_disc(result, marked)
        else:
            result = _with_mask(result, disc, correction)
    return result


def origins(result: GradingResult, corrections: Iterable[Correction]) -> dict[str, str]:
    """Return by level of the corrected result what each disc is called for life, whatever its level becomes.

    That is the level as which it was graded, or ``added N`` for the disc that the Nth correction added.

    Parameters
    ----------
    result : GradingResult
        As graded.
    corrections : iterable of Correction
    """
    names = {disc.level: disc.level for disc in result.discs}
    for number, correction in enumerate(corrections, start=1):
        if isinstance(correction, LevelSet):
            renamed = _renamed_levels(result, correction)
            names = {renamed[level]: origin for level, origin in names.items() if level in renamed}
        elif isinstance(correction, DiscAdded):
            names[correction.level] = f"added {number}"
        result = corrected(result, (correction,))
    return names


def network_grade(disc: DiscGrade) -> tuple[Group, int]:
    """Return the group and the Pfirrmann grade that the disc's probabilities tell, whatever a reader set."""
    by_group = group_probabilities(disc.grade_probabilities)
    group = GROUPS[int(np.argmax(by_group))]
    return group, max(group.grades, key=lambda grade: disc.grade_probabilities[grade - 1])


def possible_levels(result: GradingResult, level: str) -> tuple[str, ...]:
    """Return the levels that the disc of a level may be given, head to feet: those that tables list."""
    return LISTED_LEVELS if result.disc(level) is not None else ()


def _with_grade(disc: DiscGrade, grade: int) -> DiscGrade:
    group = group_of_grade(grade)
    network = ROMAN_GRADES[network_grade(disc)[1]]
    phrase = f"Pfirrmann {ROMAN_GRADES[grade]} set by reader (network: {network})"
    return replace(
        disc,
        group=group,
        pfirrmann=grade,
        assessable=True,
        confident=True,
        warnings=tuple(warning for warning in disc.warnings if "low confidence" not in warning),
        changes=_noted(disc, "grade", phrase),
    )


def _with_levels(result: GradingResult, correction: LevelSet) -> GradingResult:
    renamed = _renamed_levels(result, correction)
    labels = np.zeros_like(result.label_slice)
    discs = []
    for disc in result.discs:
        if disc.level in renamed:
            labels[result.label_slice == disc.label_value] = DISC_LABELS[renamed[disc.level]]
            discs.append(_renamed(disc, renamed[disc.level]))
    return _renumbered(replace(result, discs=tuple(discs), label_slice=labels))


def _renamed_levels(result: GradingResult, correction: LevelSet) -> dict[str, str]:
    """Return the new level of each disc, head to feet; a disc for which there is no level left is not in it."""
    old = next(s for s in (LEVELS_UPWARD, SIX_LUMBAR_UPWARD) if correction.level in s and _all_in(result, s))
    new = _sequence_for(correction.new_level, old)
    shift = new.index(correction.new_level) - old.index(correction.level)
    renamed: dict[str, str] = {}
    for disc in result.discs:
        position = old.index(disc.level)
        below = position < old.index(correction.level)
        if below and correction.keep_below:
            renamed[disc.level] = disc.level
        elif 0 <= position + shift < len(new):
            renamed[disc.level] = new[position + shift]
    order = [new.index(level) if level in new else -1 for level in reversed(renamed.values())]  # from the feet up
    if -1 in order or order != sorted(set(order)):
        raise CorrectionError(
            f"{correction.new_level} does not fit the levels of the discs below; let the discs below follow."
        )
    return renamed


def _all_in(result: GradingResult, sequence: tuple[str, ...]) -> bool:
    return all(disc.level in sequence for disc in result.discs)


def _sequence_for(level: str, current: tuple[str, ...]) -> tuple[str, ...]:
    """Return the naming that has the level: the current one where it does."""
    if level in current:
        return current
    for sequence in (LEVELS_UPWARD, SIX_LUMBAR_UPWARD):
        if level in sequence:
            return sequence
    raise CorrectionError(f"{level!r} is no disc level.")


def _renamed(disc: DiscGrade, level: str) -> DiscGrade:
    if level == disc.level:
        return disc
    first = next((c.split("network: ")[1].rstrip(")") for c in disc.changes if c.startswith("level")), disc.level)
    warnings = tuple(warning.replace(f"{disc.level}:", f"{level}:") for warning in disc.warnings)
    phrase = f"level set by reader (network: {first})" if level != first else None
    return replace(disc, level=level, warnings=warnings, changes=_noted(disc, "level", phrase))


def _renumbered(result: GradingResult) -> GradingResult:
    """Name the missing levels anew, those of six lumbar vertebrae where there are six."""
    found = [disc.level for disc in result.discs]
    expected = SIX_LUMBAR_LEVELS if {"L5-L6", "L6-S1"} & set(found) else LUMBAR_LEVELS
    missing = tuple(level for level in expected if level not in found)
    kept = tuple(w for w in result.warnings if not w.startswith("Not found") and NOT_FOUND_MARK not in w)
    note = (f"Not found or not in the image: {', '.join(missing)}.",) if missing else ()
    return replace(result, missing_levels=missing, warnings=(*kept, *note))


def _with_mask(result: GradingResult, disc: DiscGrade, correction: MaskEdited) -> GradingResult:
    if correction.mask.shape != result.label_slice.shape or not correction.mask.any():
        raise CorrectionError(f"The mask of {disc.level} is empty on the graded slice; draw it there.")
    labels = result.label_slice.copy()
    labels[labels == disc.label_value] = 0
    labels[correction.mask] = disc.label_value
    kept = tuple(change for change in disc.changes if change.startswith("level"))
    graded = replace(correction.disc, changes=(*kept, "mask edited by reader, graded again"))
    return _with_disc(replace(result, label_slice=labels), graded)


def _with_added(result: GradingResult, correction: DiscAdded) -> GradingResult:
    level = correction.level
    if level not in DISC_LABELS or result.disc(level) is not None:
        raise CorrectionError(f"There is a disc {level} already; correct its mask instead.")
    if correction.mask.shape != result.label_slice.shape or not correction.mask.any():
        raise CorrectionError(f"The mask of {level} is empty on the graded slice; draw it there.")
    labels = result.label_slice.copy()
    labels[correction.mask] = DISC_LABELS[level]
    added = replace(correction.disc, changes=("added by reader, mask drawn by reader",))
    discs = sorted((*result.discs, added), key=lambda disc: list(DISC_LABELS).index(disc.level))
    return _renumbered(replace(result, discs=tuple(discs), label_slice=labels))


def _with_disc(result: GradingResult, disc: DiscGrade) -> GradingResult:
    return replace(result, discs=tuple(disc if other.level == disc.level else other for other in result.discs))


_KINDS = {"grade": ("Pfirrmann", "not assessable"), "level": ("level",)}


def _noted(disc: DiscGrade, kind: str, phrase: str | None) -> tuple[str, ...]:
    """Return the changes with the phrase in place of an earlier one of its kind."""
    kept = tuple(change for change in disc.changes if not change.startswith(_KINDS[kind]))
    return (*kept, phrase) if phrase else kept
