"""One reader's grades of one case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...pfirrmann import DISC_LABELS, GRADES
from ..errors import StudyError
from .documents import document_bytes, parse_document

NOT_ASSESSABLE = 0
"""Stands for a grade where the disc cannot be assessed, in events and comparisons."""

CONFIDENCES = {1: "unsure", 2: "fairly sure", 3: "sure"}
MAX_COMMENT_LENGTH = 2000


@dataclass(frozen=True)
class DiscGrading:
    """A reader's judgement of one disc.

    Attributes
    ----------
    level : str
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


def discs_to_json(discs: Iterable[DiscGrading]) -> list[dict[str, Any]]:
    """Return the entries of ``grades.json``."""
    by_level = {disc.level: disc for disc in discs}
    return [
        {
            "level": disc.level,
            "pfirrmann": disc.pfirrmann,
            "assessable": disc.assessable,
            "confidence": disc.confidence,
            "comment": disc.comment,
        }
        for level in DISC_LABELS
        if (disc := by_level.get(level))
    ]


def discs_from_json(entries: Iterable[Mapping[str, Any]]) -> dict[str, DiscGrading]:
    """Return the discs of a checked ``grades.json`` by level.

    Raises
    ------
    StudyError
        If a level occurs twice or a judgement contradicts itself.
    """
    discs: dict[str, DiscGrading] = {}
    for entry in entries:
        if entry["level"] in discs:
            raise StudyError(f"The grades name {entry['level']} twice; restore them from a backup.")
        discs[entry["level"]] = DiscGrading(**entry)
    return discs


def grades_bytes(case_id: str, reader: str, round_number: int, discs: dict[str, DiscGrading]) -> bytes:
    """Return the bytes of ``grades.json``."""
    entries = discs_to_json(discs.values())
    content = {"case": case_id, "reader": reader, "round": round_number, "discs": entries}
    return document_bytes("grades", content)


def parse_grades(content: bytes, where: str, case_id: str, reader: str) -> dict[str, DiscGrading]:
    """Read the bytes of ``grades.json``.

    Raises
    ------
    StudyError
        If they are damaged or belong to another case or reader.
    """
    document = parse_document(content, "grades", where)
    if (document["case"], document["reader"]) != (case_id, reader):
        raise StudyError(f"{where} holds grades of case {document['case']} by {document['reader']}; restore it.")
    return discs_from_json(document["discs"])
