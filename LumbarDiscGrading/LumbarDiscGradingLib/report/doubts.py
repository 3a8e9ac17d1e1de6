"""What a reader must know before he reads the grades: every doubt about a result, each said once."""

from __future__ import annotations

import re

from ..grading.result import DiscGrade, GradingResult

_NOT_FOUND = re.compile(r"\bnot found\b", re.IGNORECASE)
_LIST = re.compile(r"(?P<head>Not found[^:]*:) (?P<levels>[^:;.]*)\.")
_LEVEL_NAME = re.compile(r"\b[TL]\d+-[TLS]\d+\b")
_LOW_CONFIDENCE = re.compile(r"(?:[TL]\d+-[TLS]\d+: )?low confidence\W+(?:read|review|check)[^,:;]*", re.IGNORECASE)
"""A sentence that says no more than that; one with a cause is not left out."""


def warnings_of(result: GradingResult) -> list[str]:
    """Return the warnings of a result and of its discs and the notes on its volume, one sentence each, none twice.

    Each missing level is named by one of them. Low confidence is left out: it is told at the disc itself.

    Returns
    -------
    list of str
        Those of the whole result first.
    """
    of_discs = [warning for disc in result.discs for warning in disc.warnings]
    texts = [text for text in (*result.warnings, *of_discs) if not _is_told_at_its_disc(text, result.discs)]
    taken_out = {each.level for each in result.taken_out}  # one sentence names them all
    unseen = tuple(level for level in result.missing_levels if level not in taken_out)
    texts = _with_each_level_missed_once(texts, unseen)
    return list(dict.fromkeys([*texts, *result.volume.notes]))


def _is_told_at_its_disc(text: str, discs: tuple[DiscGrade, ...]) -> bool:
    """Tell whether a sentence is no more than a disc's low confidence, which stands beside its grade."""
    if not _LOW_CONFIDENCE.fullmatch(text):
        return False
    doubted = [disc for disc in discs if not disc.confident]
    return any(text in disc.warnings or text.startswith(f"{disc.level}:") for disc in doubted)


def _with_each_level_missed_once(texts: list[str], missing: tuple[str, ...]) -> list[str]:
    """Let each missing level be named: by a sentence of its own where it has one, else by a list of such levels."""
    alone = [text for text in texts if _NOT_FOUND.search(text) and not _LIST.match(text)]
    named = {level for text in alone for level in _LEVEL_NAME.findall(text)}
    kept = []
    for text in texts:
        listed = _LIST.match(text)
        if listed is None:
            kept.append(text)
            continue
        new = [level for level in _LEVEL_NAME.findall(listed["levels"]) if level not in named]
        if new:
            kept.append(f"{listed['head']} {', '.join(new)}.")
            named.update(new)
    unnamed = [level for level in missing if level not in named]
    return [f"Not found: {', '.join(unnamed)}.", *kept] if unnamed else kept
