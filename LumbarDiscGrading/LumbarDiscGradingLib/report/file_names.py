"""A name that someone gave, a DICOM series for instance, as a file name that Windows, macOS and Linux accept."""

from __future__ import annotations

import re
import unicodedata

LONGEST_CHARACTERS = 120
"""Leaves room for an ending and for the folders before it, where a whole path may have 260 characters (Windows)."""
LONGEST_BYTES = 200
"""In UTF-8; with an ending it stays within the 255 bytes that Linux allows."""
NAMELESS = "volume"
"""Stands for a name of which nothing is left."""

_FORBIDDEN = '<>:"/\\|?*'
_RESERVED = {
    *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
    *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"),
}
"""Devices of Windows; a file is named like one whatever follows the first dot."""


def safe_file_name(name: str) -> str:
    """Return a name as one that every system accepts for a file; letters of any language stay.

    Forbidden and control characters become underscores, one for several in a row with the spaces beside them. A name
    that is safe stays as it is.

    Parameters
    ----------
    name : str
        Without the ending that the file gets.

    Returns
    -------
    str
        At most `LONGEST_CHARACTERS` long and `LONGEST_BYTES` in UTF-8, never empty.

    Examples
    --------
    >>> safe_file_name("3: t2_tse_sag")
    '3_t2_tse_sag'
    """
    normal = unicodedata.normalize("NFC", name)  # as it is typed: macOS may give an umlaut in two characters
    safe = "".join(_replacement(character) for character in normal)
    safe = re.sub(r"\s*\0[\0\s]*", "_", safe)
    safe = re.sub(r"\s", " ", safe).strip(" .")
    safe = _shortened(safe).rstrip(" .") or NAMELESS
    return f"_{safe}"[:LONGEST_CHARACTERS] if _is_reserved(safe) else safe


def _replacement(character: str) -> str:
    """Return what stands for a character; a null where it may not be, so that several become one underscore."""
    if character in _FORBIDDEN:
        return "\0"
    category = unicodedata.category(character)
    if category == "Cf":
        return ""  # marks without width, such as those that turn the direction of writing
    return "\0" if category.startswith("C") and not character.isspace() else character


def _shortened(name: str) -> str:
    short = name[:LONGEST_CHARACTERS]
    return short.encode("utf-8")[:LONGEST_BYTES].decode("utf-8", errors="ignore")


def _is_reserved(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").upper() in _RESERVED
