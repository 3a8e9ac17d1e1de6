"""A caller's own list of scans: a table with a row a scan, read with care, refused as a whole where a row is wrong."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..dataset.tables import read_numbered_table
from ..errors import UserError
from ..imaging.reading import PIXEL_SIZE_RANGE_MM, stem_of
from .finding import Candidate
from .naming import identifiers, plain
from .people import age_years
from .scan import Scan

COLUMNS = {
    "input": ("path", "file"),
    "identifier": ("id", "case"),
    "pixel_size": ("pixel_size_mm",),
    "series": (),
    "slice": (),
    "age": (),
    "sex": ("gender",),
}
OPTIONAL = tuple(name for name in COLUMNS if name != "input")
LONGEST_IDENTIFIER = 100
NO_FILE_NAME = re.compile(
    r'[\x00-\x1f\x7f/\\:*?"<>|]|^[. ]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE
)
"""What the name of a file cannot be on one system or another."""

Value = TypeVar("Value", int, float)


class ScanListError(UserError):
    """A list of scans cannot be used; the message is one sentence for the user."""


def read_scan_list(path: Path, defaults: Scan) -> list[Scan]:
    """Read a list of scans: columns ``input`` and, if they are there, the others of `COLUMNS`.

    Parameters
    ----------
    path : Path
        A table as `read_numbered_table` takes it. Inputs are relative to its folder.
    defaults : Scan
        What is taken where a row says nothing of series, pixel size or slice.

    Returns
    -------
    list of Scan
        The identifier is empty where the list has none; `with_identifiers` gives it one.

    Raises
    ------
    ScanListError, DatasetError
        If the table cannot be read or a row is wrong: which row, why, and how many others are.
    """
    rows = read_numbered_table(path, COLUMNS, OPTIONAL)
    if not rows:
        raise ScanListError(f"{path} lists no scan; give it a row for each, with its file or folder under 'input'.")
    scans: list[Scan] = []
    wrong: list[str] = []
    numbers: dict[str, int] = {}
    for number, row in rows:
        try:
            scan = _scan(row, path.parent, defaults)
            if scan.identifier and (before := numbers.setdefault(plain(scan.identifier), number)) != number:
                raise ValueError(f"has the identifier {scan.identifier} of row {before}")
            scans.append(scan)
        except ValueError as error:
            wrong.append(f"row {number} {error}")
    if wrong:
        others = f" ({len(wrong) - 1} more rows are wrong)" if len(wrong) > 1 else ""
        raise ScanListError(f"{path}: {wrong[0]}{others}; nothing was done: correct the list.")
    return scans


def with_identifiers(scans: Sequence[Scan], earlier: Mapping[str, str]) -> list[Scan]:
    """Give those scans of a list an identifier that have none, as `identifiers` does."""
    paths = [Path(scan.input) for scan in scans if not scan.identifier]
    unnamed = [Candidate(str(path), stem_of(path), tuple(reversed(path.parent.parts[1:]))) for path in paths]
    names = iter(identifiers(unnamed, earlier, [scan.identifier for scan in scans]))
    return [scan if scan.identifier else replace(scan, identifier=next(names)) for scan in scans]


def _scan(row: dict[str, str], folder: Path, defaults: Scan) -> Scan:
    """Return the scan of a row; the identifier is empty where it has none."""
    if not row["input"]:
        raise ValueError("has no input")
    low, high = PIXEL_SIZE_RANGE_MM
    pixel_size_mm = _number(row, "pixel_size", float, low, high)
    stored_slice = _number(row, "slice", int, 0, 10_000)
    if (age := row.get("age", "")) and age_years(age) is None:
        raise ValueError(f"has the age {age!r}; write years (63), or a number with its unit (063Y, 18M)")
    identifier = row.get("identifier", "")
    if NO_FILE_NAME.search(identifier) or len(identifier) > LONGEST_IDENTIFIER:
        shown = repr(identifier[:LONGEST_IDENTIFIER])
        raise ValueError(f"has an identifier that cannot name a file ({shown}; letters, digits, - and _ can)")
    return Scan(
        identifier,
        _existing(row["input"], folder),
        row.get("series") or defaults.series,
        defaults.pixel_size_mm if pixel_size_mm is None else pixel_size_mm,
        defaults.stored_slice if stored_slice is None else stored_slice,
        age,
        row.get("sex", ""),
    )


def _existing(text: str, folder: Path) -> str:
    """Return the absolute path of what a list names; umlauts of file names are written in either way."""
    for form in ("NFC", "NFD"):
        path = os.path.abspath(folder / unicodedata.normalize(form, text))
        if os.path.exists(path):
            return path
    raise ValueError(f"names {text}, which does not exist (paths are taken from the folder of the list)")


def _number(row: dict[str, str], column: str, kind: Callable[[str], Value], low: float, high: float) -> Value | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = kind(text.replace(",", "."))
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise ValueError(f"has the {column} {text!r}, which is no number from {low:g} to {high:g}")
    return value
