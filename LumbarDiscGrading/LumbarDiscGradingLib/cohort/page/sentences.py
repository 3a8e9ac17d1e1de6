"""Sentences of doubt, warning and failure, and which of them say the same of different scans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from ...pfirrmann import DISC_LABELS

_BETWEEN = re.compile(r"(?<=[.!?])\s+")
_LEVEL = "|".join(sorted(DISC_LABELS, key=len, reverse=True))
_VARIES = re.compile(
    rf"""(?: '[^']*' | "[^"]*" | (?<!\S)[^\s]*[/\\][^\s,;:]*[/\\][^\s,;:]* | \b(?:{_LEVEL})\b(?:,\ (?:{_LEVEL})\b)*
    | (?<![\w.])-?\d+(?:[.,]\d+)*(?![\w-]) | \N{{HORIZONTAL ELLIPSIS}} )""",
    re.VERBOSE,
)
"""What names one scan in a sentence: what is quoted, a path, levels, a number, what was left out before."""
GAP = "\N{HORIZONTAL ELLIPSIS}"


def sentences(cell: str) -> tuple[str, ...]:
    """Return the sentences of a table's cell, which holds them with a blank between."""
    return tuple(part for part in _BETWEEN.split(cell.strip()) if part)


def kind_of(sentence: str) -> str:
    """Return a sentence with a gap for all that differs from scan to scan.

    Examples
    --------
    >>> kind_of("L4-L5: the canal was seen beside 5 of 8 discs.")
    '\N{HORIZONTAL ELLIPSIS}: the canal was seen beside \N{HORIZONTAL ELLIPSIS} of \N{HORIZONTAL ELLIPSIS} discs.'
    """
    return _VARIES.sub(GAP, " ".join(sentence.split()))


@dataclass(frozen=True)
class KindCount:
    """A kind of sentence: its words, verbatim where it always is the same, and how many scans have it."""

    kind: str
    words: str
    scans: int


def count_kinds(told: Iterable[tuple[Hashable, str]]) -> list[KindCount]:
    """Count the scans of each kind of sentence, the most frequent first.

    Parameters
    ----------
    told : iterable of (scan, sentence)
        A scan counts once for a kind, however often it has it.
    """
    pairs = {(scan, kind_of(sentence), sentence) for scan, sentence in told}
    scans = Counter(kind for _, kind in {(scan, kind) for scan, kind, _ in pairs})
    spellings: dict[str, set[str]] = {}
    for _, kind, sentence in pairs:
        spellings.setdefault(kind, set()).add(sentence)
    counted = [
        KindCount(kind, next(iter(spellings[kind])) if len(spellings[kind]) == 1 else kind, count)
        for kind, count in scans.items()
    ]
    return sorted(counted, key=lambda each: (-each.scans, each.words))
