"""Age and sex from a caller's list, which are free text, in groups.

The page shows the groups alone: what is not understood may be a date of birth.
"""

from __future__ import annotations

import re

NOT_TOLD = "not told"
NOT_UNDERSTOOD = "not understood"
_SEXES = {
    **dict.fromkeys(("f", "female", "w", "woman", "weiblich", "frau"), "female"),
    **dict.fromkeys(("m", "male", "man", "mann", "m\xe4nnlich", "maennlich"), "male"),
    **dict.fromkeys(("o", "other", "d", "divers", "diverse", "x", "nonbinary", "non-binary"), "other"),
}
SEXES = ("female", "male", "other")
_AGE = re.compile(r"(?P<number>\d{1,3}(?:[.,]\d+)?)\s*(?P<unit>[a-z]*)\.?")
_YEARS_IN_UNIT = {
    **dict.fromkeys(("", "y", "yr", "yrs", "yo", "year", "years", "j", "jahr", "jahre"), 1.0),
    **dict.fromkeys(("m", "mo", "month", "months"), 1 / 12),
    **dict.fromkeys(("w", "week", "weeks"), 7 / 365.25),
    **dict.fromkeys(("d", "day", "days"), 1 / 365.25),
}
"""Also the units of DICOM's age string, such as 045Y."""
OLDEST_YEARS = 130
_BOUNDS = (20, 30, 40, 50, 60, 70, 80)
AGE_GROUPS = (
    f"under {_BOUNDS[0]}",
    *(f"{low}-{low + 9}" for low in _BOUNDS[:-1]),
    f"{_BOUNDS[-1]} and over",
)


def age_years(text: str) -> float | None:
    """Return an age in years, None for what is none: a date of birth, say, which identifies a person.

    Examples
    --------
    >>> age_years("045Y"), age_years("18 M"), age_years("1.2.1950")
    (45.0, 1.5, None)
    """
    found = _AGE.fullmatch(text.strip().casefold())
    scale = _YEARS_IN_UNIT.get(found["unit"]) if found else None
    if found is None or scale is None:
        return None
    years = float(found["number"].replace(",", ".")) * scale
    return years if years <= OLDEST_YEARS else None


def age_group(text: str) -> str:
    """Return the decade of an age, as in `AGE_GROUPS`; `NOT_TOLD` or `NOT_UNDERSTOOD` without one."""
    if not text.strip():
        return NOT_TOLD
    years = age_years(text)
    return NOT_UNDERSTOOD if years is None else AGE_GROUPS[sum(years >= bound for bound in _BOUNDS)]


def sex_group(text: str) -> str:
    """Return a sex as in `SEXES`; `NOT_TOLD` or `NOT_UNDERSTOOD` without one."""
    plain = text.strip().casefold()
    return _SEXES.get(plain, NOT_UNDERSTOOD) if plain else NOT_TOLD
