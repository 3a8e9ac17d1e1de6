"""The file ``grades.json``: one reader's grades of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from ...pfirrmann import DISC_LABELS
from ..disc_grading import DiscGrading
from ..errors import StudyError
from .documents import document_bytes, parse_document


def grades_bytes(case_id: str, reader: str, round_number: int, discs: Mapping[str, DiscGrading]) -> bytes:
    """Return the bytes of ``grades.json``."""
    entries = [asdict(discs[level]) for level in DISC_LABELS if level in discs]
    return document_bytes("grades", {"case": case_id, "reader": reader, "round": round_number, "discs": entries})


def parse_grades(content: bytes, where: str, case_id: str, reader: str) -> dict[str, DiscGrading]:
    """Read the bytes of ``grades.json``.

    Raises
    ------
    StudyError
        If they are damaged, contradict themselves, or belong to another case or reader.
    """
    document = parse_document(content, "grades", where)
    if (document["case"], document["reader"]) != (case_id, reader):
        raise StudyError(f"{where} holds grades of case {document['case']} by {document['reader']}; restore it.")
    discs: dict[str, DiscGrading] = {}
    for entry in document["discs"]:
        if entry["level"] in discs:
            raise StudyError(f"The grades name {entry['level']} twice; restore them from a backup.")
        discs[entry["level"]] = DiscGrading(**entry)
    return discs
