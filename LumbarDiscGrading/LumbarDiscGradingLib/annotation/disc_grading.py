"""`DiscGrading`: what a reader says of one disc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..pfirrmann import DISC_LABELS, GRADES
from .errors import StudyError

NOT_ASSESSABLE = 0
"""Stands for a grade where the disc cannot be assessed, in events and comparisons."""

CONFIDENCES = {1: "unsure", 2: "fairly sure", 3: "sure"}
MAX_COMMENT_LENGTH = 2000


@dataclass(frozen=True)
class DiscGrading:
    """A reader's judgement of one disc.

    Attributes
    ----------
    pfirrmann : int or None
        1 to 5; None while not graded, and for a disc that cannot be assessed.
    assessable : bool
        False when the reader says that the disc cannot be assessed.
    confidence : int or None
        1 unsure, 2 fairly sure, 3 sure; None when not stated.
    comment : str
        Free text without names.
    """

    level: str
    pfirrmann: int | None = None
    assessable: bool = True
    confidence: int | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        """Check the judgement."""
        if self.level not in DISC_LABELS:
            raise StudyError(f"{self.level!r} is no disc level; use one such as L4-L5.")
        if self.pfirrmann is not None and (self.pfirrmann not in GRADES or not self.assessable):
            raise StudyError(f"A Pfirrmann grade is 1 to 5, and none is given to a disc that cannot be assessed "
                             f"({self.level}: {self.pfirrmann!r}).")  # fmt: skip
        if self.confidence is not None and self.confidence not in CONFIDENCES:
            raise StudyError(f"Confidence is 1 (unsure), 2 or 3 (sure), not {self.confidence!r}.")
        if len(self.comment) > MAX_COMMENT_LENGTH:
            raise StudyError(f"A comment has at most {MAX_COMMENT_LENGTH} characters; shorten it.")

    @property
    def code(self) -> int | None:
        """1 to 5, `NOT_ASSESSABLE`, or None while the disc is not judged."""
        return self.pfirrmann if self.assessable else NOT_ASSESSABLE


def codes(discs: Mapping[str, DiscGrading]) -> dict[str, int]:
    """Return the code of each judged disc by level, head to feet."""
    return {level: disc.code for level in DISC_LABELS if (disc := discs.get(level)) and disc.code is not None}
