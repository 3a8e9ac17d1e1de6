"""Identifiers of scans: no two alike, also where letters' case does not count, and the same in the next run."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..imaging.file_names import printable
from .finding import Candidate

BETWEEN = "_"
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
"""Breaks a line of a table, or a terminal."""


def identifiers(
    candidates: Sequence[Candidate], earlier: Mapping[str, str] | None = None, reserved: Iterable[str] = ()
) -> list[str]:
    """Return an identifier for each candidate.

    It is the candidate's stem; where several are called so, the names of their folders come before it, of as many as
    tell them apart, and where none does, a number after it.

    Parameters
    ----------
    candidates : sequence of Candidate
    earlier : mapping of str to str, optional
        Path by identifier of the scans of earlier runs. A path keeps its identifier, and what another path is called
        is not given again while that path is there; a study without folders is called by what it is, wherever it lies.
    reserved : iterable of str
        Identifiers that others have.
    """
    earlier = earlier or {}
    given = {plain(name) for name in reserved}
    times = Counter(earlier.values())
    kept = {path: name for name, path in earlier.items() if times[path] == 1 and plain(name) not in given}
    names = [kept.get(candidate.path, "") if candidate.folders else "" for candidate in candidates]
    paths = {candidate.path for candidate in candidates}
    of_others = {plain(name) for name, path in earlier.items() if path not in paths and os.path.exists(path)}
    used = given | {plain(name) for name in names if name}
    for index, name in enumerate(_told_apart(candidates, of_others | given)):
        if not names[index]:
            names[index] = _numbered(name, used, of_others if candidates[index].folders else set())
            used.add(plain(names[index]))
    return names


def _told_apart(candidates: Sequence[Candidate], used: set[str]) -> list[str]:
    """Return names with as many folders as tell them apart; some may still be alike."""
    depths = [0] * len(candidates)
    while True:
        names = [_name(candidate, depth) for candidate, depth in zip(candidates, depths, strict=True)]
        counts = Counter(plain(name) for name in names)
        deeper = [
            index
            for index, name in enumerate(names)
            if (counts[plain(name)] > 1 or plain(name) in used) and depths[index] < len(candidates[index].folders)
        ]
        if not deeper:
            return names
        for index in deeper:
            depths[index] += 1


def plain(name: str) -> str:
    """Return a name without what file systems may not tell apart: case, and the two ways to write an umlaut."""
    return unicodedata.normalize("NFC", name).casefold()


def _name(candidate: Candidate, depth: int) -> str:
    name = printable(BETWEEN.join((*reversed(candidate.folders[:depth]), candidate.stem)))
    return CONTROL_CHARACTER.sub(lambda found: f"%{ord(found[0]):02X}", name)


def _numbered(name: str, *used: set[str]) -> str:
    """Return a name that is not used yet."""
    numbered, number = name, 2
    while any(plain(numbered) in names for names in used):
        numbered, number = f"{name}{BETWEEN}{number}", number + 1
    return numbered
