"""Comparisons of signed masks noted in the log of whoever signed last, so that nobody has to compute them again."""

from __future__ import annotations

import itertools

from ..protocol import Task
from .seat import ReaderSeat


def log_comparisons(session: ReaderSeat, case_id: str) -> None:
    """Note in this reader's log how the signed masks of a case agree: two readers', and this reader's repeat.

    Raises
    ------
    StudyError
        If a mask file is missing or damaged, or the log cannot be written.
    """
    states, name = session.states, session.reader.id
    readings = states.signed_readings(case_id, Task.MASKS)
    pairs = [((a.path, a.sha256), (b.path, b.sha256)) for a, b in itertools.pairwise(readings)]
    repeat, first = (session.history.reading(case_id, Task.MASKS, n) for n in (2, 1))
    if repeat.signed and first.signed and repeat.sha256 and first.sha256:
        paths = [session.study.reading_path(name, case_id, Task.MASKS, n) for n in (1, 2)]
        pairs.append(((paths[0], first.sha256), (paths[1], repeat.sha256)))
    for a, b in pairs:
        known = any((a[1], b[1]) in history.overlaps for history in session.study.histories.values())
        if known:
            continue
        overlaps = states.overlaps_of_files(case_id, a, b)
        entries = {
            level: {
                "dice": round(overlap.dice, 6),
                "surface_mm": None if overlap.surface_mm is None else round(overlap.surface_mm, 4),
                "conflict": overlap.conflict,
            }
            for level, overlap in overlaps.items()
        }
        event = {"kind": "compared", "case": case_id, "task": "masks", "against": [a[1], b[1]], "overlaps": entries}
        session.log(event)
