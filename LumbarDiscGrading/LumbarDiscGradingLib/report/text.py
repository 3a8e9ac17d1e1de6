"""A grading result as plain text, and the phrases that text and pictures share."""

from __future__ import annotations

from collections.abc import Sequence

from ..grading.result import NOT_ASSESSABLE, DiscGrade, GradingResult, SpineCourse
from ..pfirrmann import GROUPS, ROMAN_GRADES
from ..research_use import RESEARCH_USE
from .doubts import warnings_of
from .tables import is_known, table_discs


def report_text(result: GradingResult) -> str:
    """Return the result as plain text for a clipboard: warnings, grades, measurements, models, research-use line."""
    lines = [f"Lumbar disc degeneration (Pfirrmann), sagittal T2, {slices_phrase(result)}:"]
    warnings = warnings_of(result)
    if warnings:
        lines += ["Please note first:", *(f"- {warning}" for warning in warnings), "Discs:"]
    lines += [f"{disc.level}: {'; '.join(_facts(disc))}." for disc in table_discs(result)]
    lines += [key] if (key := possible_key(result)) else []
    if result.course is not None and result.is_curved:
        lines.append(f"{course_phrase(result.course)}.")
    if result.naming_confidence is not None:
        lines.append(f"Names of the levels: right with p = {result.naming_confidence:.2f}.")
    lines += [f"Models: {', '.join(model_names(result))}."] if result.models else []
    return "\n".join([*lines, RESEARCH_USE]) + "\n"


def possible_key(result: GradingResult) -> str:
    """Return what several grades at a disc mean, empty where no disc has them."""
    if not any(possible_grades(disc) for disc in result.discs):
        return ""
    key = "Where several Pfirrmann grades are possible, the group is the most probable one."
    return f"{key} {coverage_phrase(result)}".rstrip()


def coverage_phrase(result: GradingResult) -> str:
    """Return as a sentence how often the possible grades hold the right one, empty where the model does not say."""
    if result.set_coverage is None:
        return ""
    return (
        f"The possible grades are made to hold the right one in {result.set_coverage:.0%} of all discs of patients "
        "like those that the model was tuned on."
    )


def slices_phrase(result: GradingResult) -> str:
    """Return on which slices the discs lie, in the stored order."""
    stored = sorted(result.volume.stored_slice_index(index) for index in result.slices)
    return f"slice{'s' if len(stored) > 1 else ''} {', '.join(map(str, stored))}"


def course_phrase(course: SpineCourse) -> str:
    """Return how far the spine leaves a straight line across the slices: a hint, not a measured Cobb angle."""
    tilts = [abs(disc.tilt_degrees) for disc in course.discs if disc.tilt_degrees is not None]
    largest = course.largest
    return (
        f"Course of the spine across the slices (middle of the canal): {abs(largest.offset_mm):.0f} mm beside a "
        f"straight line at {largest.level}, neighbouring discs tilted by up to {max(tilts):.0f} degrees "
        "(a hint at scoliosis; no Cobb angle was measured)"
    )


def _facts(disc: DiscGrade) -> list[str]:
    by_reader = reader_verdict(disc)
    if not disc.assessable:
        grade = [disc.group_word, *(["set by reader"] if by_reader else [])]
    elif by_reader:
        grade = [f"{disc.group_word}, {by_reader}"]
    else:
        p = group_probability(disc)
        grade = [f"{disc.group_word}, Pfirrmann {ROMAN_GRADES[disc.pfirrmann]} (p = {p:.2f})"]
    return [*grade, *_doubt(disc), *_measurement_phrases(disc), *(c for c in disc.changes if c != by_reader)]


def _doubt(disc: DiscGrade) -> list[str]:
    """Return which grades are possible where a model tells, else that a grade is doubtful; nothing where it is sure."""
    if possible := possible_grades(disc):
        return [f"possible: {possible}"]
    return ["low confidence, please review"] if is_barely_doubtful(disc) else []


def is_barely_doubtful(disc: DiscGrade) -> bool:
    """Whether low confidence is all that is known of a doubtful grade: which grades are possible says more."""
    return disc.assessable and not disc.confident and not possible_grades(disc)


def possible_grades(disc: DiscGrade) -> str:
    """Return the grades of a disc's prediction set in words (`several_grades`)."""
    return several_grades(disc.grade_set)


def several_grades(grades: Sequence[int]) -> str:
    """Return neighbouring grades, ascending, in words, such as III or IV; empty where there are not several."""
    names = [ROMAN_GRADES[grade] for grade in grades]
    if len(names) < 2:
        return ""
    return " or ".join(names) if len(names) == 2 else f"{names[0]} to {names[-1]}"


def reader_verdict(disc: DiscGrade) -> str | None:
    """Return the phrase by which a reader set the grade or marked the disc not assessable, None where he did neither.

    The probabilities of such a disc are not those of its grade: they stay the network's.
    """
    return next((change for change in disc.changes if change.startswith(("Pfirrmann", NOT_ASSESSABLE))), None)


def group_probability(disc: DiscGrade) -> float:
    """Return the network's probability of the group that the disc was given."""
    return disc.group_probabilities[GROUPS.index(disc.group)]


def model_names(result: GradingResult) -> list[str]:
    """Return name and version of each model that took part."""
    return [f"{model.name} {model.version}".strip() for model in result.models]


def _measurement_phrases(disc: DiscGrade) -> list[str]:
    m = disc.measurements
    phrases = [
        (m.height_mm, "height {:.1f} mm"),
        (m.diameter_mm, "diameter {:.1f} mm"),
        (m.area_mm2, "area {:.0f} mm2"),
        (m.disc_height_index, "disc height index {:.2f}"),
        (m.signal_to_canal, "signal to canal {:.2f}"),
    ]
    return [phrase.format(value) for value, phrase in phrases if is_known(value)]
