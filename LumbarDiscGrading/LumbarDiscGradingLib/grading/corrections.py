"""What a reader changes in a result: levels, grades, masks. A corrected result is the graded one plus such changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
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
from .result import DiscGrade, GradingResult, TakenOut

NOT_FOUND_MARK = "was not found"
"""Warnings of the grader that name missing levels contain it or start with ``Not found``; new names make new ones."""
TAKEN_OUT_MARK = "Taken out by reader"
"""The warning that names what a reader took out starts with it."""
ADDED_MARK = "added by reader"
"""The change of a disc that a reader added starts with it."""
MASK_DRAWN_MARK = "mask drawn by reader"
MASK_EDITED_MARK = "mask edited by reader"


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


@dataclass(frozen=True)
class DiscRemoved:
    """What was found is no disc: it is taken out of the result, and its level is missing from then on."""

    level: str


@dataclass(frozen=True, eq=False)
class MaskEdited:
    """A corrected mask with what the networks say of it.

    Attributes
    ----------
    disc : DiscGrade
        From `DiscGrader.regrade`; its level is that of the disc.
    mask : ndarray of bool, shape (rows, columns)
        On the disc's slice.
    taken_from_slice : int or None
        Canonical index of the slice that a reader wanted for this disc, where the networks then outlined it; None
        where a reader drew the mask.
    """

    disc: DiscGrade
    mask: NDArray[np.bool_]
    taken_from_slice: int | None = None

    @property
    def level(self) -> str:
        """Level of the disc."""
        return self.disc.level


@dataclass(frozen=True, eq=False)
class DiscAdded:
    """A disc that was not found, with a mask that a reader drew or accepted, and what the networks say of it.

    Attributes
    ----------
    disc : DiscGrade
        From `DiscGrader.regrade` or `DiscGrader.find_disc`; its level is none that the result has.
    mask : ndarray of bool, shape (rows, columns)
        On the graded slice.
    found_on_slice : int or None
        Canonical index of the slice on which the networks found it when they were asked to look again; None where a
        reader drew it.
    """

    disc: DiscGrade
    mask: NDArray[np.bool_]
    found_on_slice: int | None = None

    @property
    def level(self) -> str:
        """Level of the disc."""
        return self.disc.level


Correction = LevelSet | GradeSet | NotAssessable | DiscRemoved | MaskEdited | DiscAdded


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
        If a correction names a disc that is not there, a level that cannot be, or an empty mask, or takes out the last
        disc.
    """
    for correction in corrections:
        disc = result.disc(correction.level)
        if isinstance(correction, DiscAdded):
            result = _with_added(result, correction)
            continue
        if disc is None:
            raise CorrectionError(f"There is no disc {correction.level} in the result.")
        if isinstance(correction, LevelSet):
            result = replace(_with_levels(result, correction), naming_confidence=None)
        elif isinstance(correction, DiscRemoved):
            result = _without(result, disc)
        elif isinstance(correction, GradeSet):
            result = _with_disc(result, _with_grade(disc, correction.grade))
        elif isinstance(correction, NotAssessable):
            marked = replace(
                disc, assessable=False, grade_set=(), changes=_noted(disc, "grade", "not assessable (reader)")
            )
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
        elif isinstance(correction, DiscRemoved):
            del names[correction.level]
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
        grade_set=(),
    )


def _with_levels(result: GradingResult, correction: LevelSet) -> GradingResult:
    renamed, new_name = _renamed_levels(result, correction), _renaming(result, correction)
    labels = np.zeros_like(result.label_slice)
    discs = []
    for disc in result.discs:
        if disc.level in renamed:
            labels[result.label_slice == disc.label_value] = DISC_LABELS[renamed[disc.level]]
            discs.append(_renamed(disc, renamed[disc.level]))
    taken_out = tuple(replace(each, level=new_name(each.level) if each.level else None) for each in result.taken_out)
    return _renumbered(replace(result, discs=tuple(discs), label_slice=labels, taken_out=taken_out))


def _renamed_levels(result: GradingResult, correction: LevelSet) -> dict[str, str]:
    """Return the new level of each disc, head to feet; a disc for which there is no level left is not in it."""
    new_name, new = _renaming(result, correction), _sequences(result, correction)[1]
    names = {disc.level: new_name(disc.level) for disc in result.discs}
    renamed = {level: name for level, name in names.items() if name is not None}
    order = [new.index(level) if level in new else -1 for level in reversed(renamed.values())]  # from the feet up
    if -1 in order or order != sorted(set(order)):
        raise CorrectionError(
            f"{correction.new_level} does not fit the levels of the discs below; let the discs below follow."
        )
    return renamed


def _renaming(result: GradingResult, correction: LevelSet) -> Callable[[str], str | None]:
    """Return what tells the new name of any level, None where there is none left."""
    old, new = _sequences(result, correction)
    start = old.index(correction.level)
    shift = new.index(correction.new_level) - start

    def renamed(level: str) -> str | None:
        if level not in old:
            return None
        position = old.index(level)
        if position < start and correction.keep_below:
            return level
        return new[position + shift] if 0 <= position + shift < len(new) else None

    return renamed


def _sequences(result: GradingResult, correction: LevelSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the levels from the feet up, before a correction and after it."""
    old = next(s for s in (LEVELS_UPWARD, SIX_LUMBAR_UPWARD) if correction.level in s and _all_in(result, s))
    return old, _sequence_for(correction.new_level, old)


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
    first = _first_level(disc)
    by = "added as" if is_added(disc) else "network:"
    warnings = tuple(warning.replace(f"{disc.level}:", f"{level}:") for warning in disc.warnings)
    phrase = f"level set by reader ({by} {first})" if level != first else None
    return replace(disc, level=level, warnings=warnings, changes=_noted(disc, "level", phrase))


def is_added(disc: DiscGrade) -> bool:
    """Tell whether it was a reader who added the disc."""
    return any(change.startswith(ADDED_MARK) for change in disc.changes)


def mask_by_reader(disc: DiscGrade) -> bool:
    """Tell whether a reader drew the mask, on which the networks then had no part."""
    return any(MASK_DRAWN_MARK in change for change in disc.changes)


def mask_with_reader(disc: DiscGrade) -> bool:
    """Tell whether a reader had a part in the mask: drew it, edited it, or had the networks look again and took it."""
    return is_added(disc) or any(MASK_EDITED_MARK in change for change in disc.changes)


def _first_level(disc: DiscGrade) -> str:
    """Return the level that the disc had before a reader set another."""
    named = (re.search(r"\((?:network:|added as) (.+)\)", c) for c in disc.changes if c.startswith("level"))
    return next((match[1] for match in named if match), disc.level)


def _renumbered(result: GradingResult) -> GradingResult:
    """Name the missing levels anew, those of six lumbar vertebrae where there are six, and what was taken out."""
    found = [disc.level for disc in result.discs]
    places = {each.level for each in result.taken_out}
    expected = SIX_LUMBAR_LEVELS if {"L5-L6", "L6-S1"} & {*found, *places} else LUMBAR_LEVELS
    missing = tuple(level for level in expected if level not in found)
    marks = "Not found", TAKEN_OUT_MARK
    kept = tuple(w for w in result.warnings if not w.startswith(marks) and NOT_FOUND_MARK not in w)
    unseen = [level for level in missing if level not in places]
    notes = [f"Not found or not in the image: {', '.join(unseen)}."] if unseen else []
    if result.taken_out:
        names = ", ".join(_name_of_taken_out(each, found) for each in result.taken_out)
        notes.append(f"{TAKEN_OUT_MARK}: {names}.")
    return replace(result, missing_levels=missing, warnings=(*kept, *notes))


def _name_of_taken_out(disc: TakenOut, found: list[str]) -> str:
    if disc.level is None or disc.level in found:  # another disc has the name by now
        return f"what the network had named {disc.network_level}"
    return disc.level if disc.level == disc.network_level else f"{disc.level} (network: {disc.network_level})"


def _without(result: GradingResult, disc: DiscGrade) -> GradingResult:
    if len(result.discs) == 1:
        raise CorrectionError(f"{disc.level} is the only disc of the result; grade another slice or series instead.")
    labels = np.where(result.label_slice == disc.label_value, 0, result.label_slice).astype(np.uint8)
    others = tuple(other for other in result.discs if other is not disc)
    taken_out = result.taken_out if is_added(disc) else (*result.taken_out, TakenOut(_first_level(disc), disc.level))
    return _renumbered(replace(result, discs=others, label_slice=labels, taken_out=taken_out))


def _with_mask(result: GradingResult, disc: DiscGrade, correction: MaskEdited) -> GradingResult:
    if correction.mask.shape != result.label_slice.shape or not correction.mask.any():
        raise CorrectionError(f"The mask of {disc.level} is empty on the graded slice; draw it there.")
    labels = result.label_slice.copy()
    labels[labels == disc.label_value] = 0
    labels[correction.mask] = disc.label_value
    kept = tuple(change for change in disc.changes if change.startswith(("level", ADDED_MARK)))
    how = f"{MASK_EDITED_MARK}, graded again"
    if correction.taken_from_slice is not None:
        how = f"slice {result.volume.stored_slice_index(correction.taken_from_slice)} chosen by reader, graded again"
    graded = replace(correction.disc.within(result.slice_index), changes=(*kept, how))
    return _with_disc(replace(result, label_slice=labels), graded)


def _with_added(result: GradingResult, correction: DiscAdded) -> GradingResult:
    level = correction.level
    if level not in DISC_LABELS or result.disc(level) is not None:
        raise CorrectionError(f"There is a disc {level} already; correct its mask instead.")
    if not any(level in sequence and _all_in(result, sequence) for sequence in (LEVELS_UPWARD, SIX_LUMBAR_UPWARD)):
        raise CorrectionError(
            f"{level} counts the lumbar vertebrae otherwise than the other discs' names; choose another level."
        )
    if correction.mask.shape != result.label_slice.shape or not correction.mask.any():
        raise CorrectionError(f"The mask of {level} is empty on the graded slice; draw it there.")
    labels = result.label_slice.copy()
    labels[correction.mask] = DISC_LABELS[level]
    found_on = correction.found_on_slice
    how = MASK_DRAWN_MARK if found_on is None else f"found on slice {result.volume.stored_slice_index(found_on)}"
    added = replace(correction.disc.within(result.slice_index), changes=(f"{ADDED_MARK}, {how}",))
    discs = sorted((*result.discs, added), key=lambda disc: list(DISC_LABELS).index(disc.level))
    return _renumbered(replace(result, discs=tuple(discs), label_slice=labels))


def _with_disc(result: GradingResult, disc: DiscGrade) -> GradingResult:
    return replace(result, discs=tuple(disc if other.level == disc.level else other for other in result.discs))


_KINDS = {"grade": ("Pfirrmann", "not assessable"), "level": ("level",)}


def _noted(disc: DiscGrade, kind: str, phrase: str | None) -> tuple[str, ...]:
    """Return the changes with the phrase in place of an earlier one of its kind."""
    kept = tuple(change for change in disc.changes if not change.startswith(_KINDS[kind]))
    return (*kept, phrase) if phrase else kept
