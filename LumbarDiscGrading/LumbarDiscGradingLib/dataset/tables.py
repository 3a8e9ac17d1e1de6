"""Tables as spreadsheets write them: comma, semicolon or tab, any usual encoding, columns under several names."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from .manifest import DatasetError

DELIMITERS = ",;\t"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
ENCODING_OF_OLD_SPREADSHEETS = "cp1252"


def read_table(path: Path, columns: Mapping[str, Sequence[str]], optional: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a table; each row holds the text of the columns asked for, without blanks around it.

    Parameters
    ----------
    path : Path
    columns : mapping of str to sequence of str
        Names of the columns, and under which other names they are accepted; capitals, blanks and signs do not count.
    optional : sequence of str
        Columns that may be missing.

    Raises
    ------
    DatasetError
        If the file cannot be read, or a column is missing or there twice.
    """
    try:
        text = _decoded(path.read_bytes())
        header = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = max(DELIMITERS, key=header.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (OSError, UnicodeError, csv.Error):
        raise DatasetError(f"{path} cannot be read as a table; save it as CSV in UTF-8.") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    places = _places(rows[0] if rows else [], columns, optional, path)
    return [
        {name: same_letters(row[place].strip()) if place < len(row) else "" for name, place in places.items()}
        for row in rows[1:]
    ]


def same_letters(text: str) -> str:
    """Return a text with composed letters: file systems and spreadsheets write umlauts in two ways."""
    return unicodedata.normalize("NFC", text)


def _decoded(content: bytes) -> str:
    if content.startswith(UTF_16_MARKS):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode(ENCODING_OF_OLD_SPREADSHEETS)


def _places(
    header: Sequence[str], columns: Mapping[str, Sequence[str]], optional: Sequence[str], path: Path
) -> dict[str, int]:
    found = [_plain(cell) for cell in header]
    places: dict[str, int] = {}
    for name, others in columns.items():
        fitting = [place for place, cell in enumerate(found) if cell == _plain(name)] or [
            place for place, cell in enumerate(found) if cell in {_plain(other) for other in others}
        ]
        if len(fitting) > 1 or (not fitting and name not in optional):
            wrong = "several columns" if fitting else "no column"
            raise DatasetError(f"{path} has {wrong} for {name}; name its columns {', '.join(columns)}.")
        if fitting:
            places[name] = fitting[0]
    return places


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()
