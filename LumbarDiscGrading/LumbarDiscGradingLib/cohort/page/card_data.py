"""What the page's script knows of the scans, as compact JSON; sentences and words stand in it once."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ...imaging.file_names import is_plain, printable
from ...pfirrmann import GROUPS
from ..people import NOT_TOLD, NOT_UNDERSTOOD, age_group, sex_group
from ..tables import THUMBNAILS_FOLDER
from .charts import levels_of
from .reading import STATES, ScanRow
from .sentences import kind_of


def card_data(scans: Sequence[ScanRow], pictured: Collection[str], kinds: Sequence[str]) -> str:
    """Return the data as JSON that can stand in a ``<script>`` element.

    Parameters
    ----------
    scans : sequence of ScanRow
    pictured : collection of str
        Identifiers of the scans that have a thumbnail.
    kinds : sequence of str
        Kinds of sentences to which the page leads.

    Returns
    -------
    str
        ``scans`` holds, for each, name, number of the state, lowest probability in percent or null, numbers of the
        sentences about it, discs, whether there is a thumbnail, groups of age and sex, and the beginning of its files'
        addresses where that is not the name. A disc is number of the level, number of the group or -1, grade or 0,
        probability in percent or null, whether it is confident, numbers of its warnings, and where several grades are
        possible the first and the last of them.
    """
    levels = {level: n for n, level in enumerate(levels_of(scans))}
    told = _Numbered()
    data: dict[str, Any] = {
        "levels": list(levels),
        "groups": [group.value for group in GROUPS],
        "states": STATES,
        "thumbnails": THUMBNAILS_FOLDER,
        "scans": [_scan(scan, scan.identifier in pictured, levels, told) for scan in scans],
    }
    numbers = {kind: n for n, kind in enumerate(kinds)}
    data["kinds"] = [printable(kind) for kind in kinds]
    data["sentences"] = [[printable(text), numbers.get(kind_of(text), -1)] for text in told]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def address_of(name: str) -> str:
    """Return the beginning of the addresses of a scan's files, relative to the page, byte for byte."""
    return quote(os.fsencode(name), safe="")


class _Numbered(dict[str, int]):
    """Texts with the numbers they got, in this order."""

    def number(self, text: str) -> int:
        return self.setdefault(text, len(self))


def _scan(scan: ScanRow, pictured: bool, levels: Mapping[str, int], told: _Numbered) -> list[Any]:
    about = scan.doubts if scan.state == "graded" else (scan.reason,)
    cells: list[Any] = [
        printable(scan.identifier),
        STATES.index(scan.state),
        _percent(scan.lowest_probability),
        [told.number(text) for text in about if text],
        [
            [
                levels[disc.level],
                -1 if disc.group is None else GROUPS.index(disc.group),
                disc.grade or 0,
                _percent(disc.probability),
                int(disc.confident),
                [told.number(text) for text in disc.warnings],
                *([disc.possible[0], disc.possible[-1]] if len(disc.possible) > 1 else []),
            ]
            for disc in scan.discs
        ],
        int(pictured),
        _group(age_group(scan.age)),
        _group(sex_group(scan.sex)),
    ]
    return cells if is_plain(scan.identifier) else [*cells, address_of(scan.identifier)]


def _group(name: str) -> str:
    return "" if name in (NOT_TOLD, NOT_UNDERSTOOD) else name


def _percent(probability: float | None) -> float | None:
    return None if probability is None else round(100 * probability, 1)
