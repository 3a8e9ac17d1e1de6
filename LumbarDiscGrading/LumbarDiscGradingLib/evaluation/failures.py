"""The worst errors of an evaluation, worst first: what to look at before believing the averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..pfirrmann import ROMAN_GRADES, group_of_grade
from .measures import LUMBAR
from .scores import DiscScore

LOW_DICE = 0.8
"""Below this a contour has to be drawn anew; two careful readers of a lumbar disc reach about 0.9."""
SURE_PROBABILITY = 0.8
"""A wrong group that is as probable as this misleads a reader."""


class Error(str, Enum):
    """Kinds of errors, the gravest first."""

    MISSED = "missed"
    WRONG_LEVEL = "wrong level"
    TWO_GROUPS_AWAY = "two groups away"
    SURE_AND_WRONG = "confident and wrong"
    LOW_DICE = "low Dice"


@dataclass(frozen=True)
class Failure:
    """A disc that went wrong, and in which ways, the gravest first."""

    score: DiscScore
    errors: tuple[Error, ...]

    def row(self) -> dict[str, Any]:
        """Return the failure as a row of a table."""
        s = self.score
        return {
            "errors": "; ".join(error.value for error in self.errors),
            "source": s.source,
            "patient": s.patient,
            "level": s.level,
            "named_level": s.named_level,
            "grade": s.grade,
            "predicted_grade": s.predicted_grade,
            "group_probability": max(s.group_probabilities) if s.predicted_grade else None,
            "dice": s.dice,
        }

    @property
    def sentence(self) -> str:
        """What went wrong, in words."""
        s, parts = self.score, []
        if Error.MISSED in self.errors:
            parts.append("not found")
        if Error.WRONG_LEVEL in self.errors:
            parts.append(f"named {s.named_level}")
        if s.grade is not None and s.predicted_grade is not None:
            parts.append(
                f"reference {_in_words(s.grade)}, automatic {_in_words(s.predicted_grade)} "
                f"(p {max(s.group_probabilities):.2f})"
            )
        elif s.grade is not None:
            parts.append(f"reference {_in_words(s.grade)}")
        if s.dice is not None and s.named_level:
            parts.append(f"Dice {s.dice:.2f}")
        return "; ".join(parts)


def failures_of(scores: Sequence[DiscScore]) -> list[Failure]:
    """Return the lumbar discs that went wrong, worst first."""
    failures = [
        Failure(score, errors)
        for score in scores
        if (score.level in LUMBAR or not score.level) and (errors := _errors_of(score))
    ]
    return sorted(failures, key=_order)


def one_for_shifted_levels(failures: Sequence[Failure]) -> list[Failure]:
    """Leave out all but one of a patient's discs with a wrong level: one picture shows them all."""
    shown, seen = [], set()
    for failure in failures:
        patient = failure.score.source, failure.score.patient
        if Error.WRONG_LEVEL in failure.errors:
            if patient in seen:
                continue
            seen.add(patient)
        shown.append(failure)
    return shown


def _errors_of(score: DiscScore) -> tuple[Error, ...]:
    if not score.named_level:
        return (Error.MISSED,)
    errors = []
    if score.level and score.named_level != score.level:
        errors.append(Error.WRONG_LEVEL)
    pair = score.group_pair
    if pair is not None and pair[0] != pair[1]:
        if abs(pair[0] - pair[1]) == 2:
            errors.append(Error.TWO_GROUPS_AWAY)
        if max(score.group_probabilities) >= SURE_PROBABILITY:
            errors.append(Error.SURE_AND_WRONG)
    if score.dice is not None and score.dice < LOW_DICE:
        errors.append(Error.LOW_DICE)
    return tuple(errors)


def _order(failure: Failure) -> tuple[Any, ...]:
    score, gravest = failure.score, list(Error).index(failure.errors[0])
    amount = -(score.dice or 0.0) if failure.errors[0] is Error.LOW_DICE else max(score.group_probabilities)
    return gravest, -len(failure.errors), -amount, score.source, score.patient


def _in_words(grade: int) -> str:
    return f"{ROMAN_GRADES[grade]} {group_of_grade(grade).value}"
