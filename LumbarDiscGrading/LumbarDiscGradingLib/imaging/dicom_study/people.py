"""Which images are of one person, as far as headers tell; a blank or a placeholder names nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

PLACEHOLDER = re.compile(
    r"(?:anon(?:ym(?:ous|us|e|i[sz]ed?|i[sz]iert)?)?|unknown|unbekannt|none|null|na|nil|no(?:id|name)?|patient(?:id|name)?|"
    r"subject|person|name|id|pseudonym|test|default|dummy|removed|deleted|redacted|hidden|masked|blank|empty|"
    r"de?identified|deid|confidential|phantom|0+|x+|9{3,}|1234(?:5(?:6(?:7(?:89?)?)?)?)?)*"
)
"""What anonymisers and test systems write for a name or an identifier, in lower case, letters and digits only."""


@dataclass(frozen=True)
class Person:
    """What a header tells of who is shown; for comparing, never for showing.

    Attributes
    ----------
    identifier, issuer, name, birth_date, sex : str
        As in the header; empty where it says nothing.
    study_uid, frame_of_reference_uid : str
        Images of one study or one frame of reference are of one person, unless something above speaks against it.
    """

    identifier: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    study_uid: str = ""
    frame_of_reference_uid: str = ""

    @property
    def telling_identifier(self) -> str:
        """The identifier; empty where it is a placeholder."""
        return _telling(self.identifier)

    @property
    def telling_name(self) -> str:
        """Parts of the name in alphabetical order; empty where it is a placeholder."""
        name = self.name.split("=")[0].casefold()
        parts = sorted(part for part in re.split(r"[\W_]+", name) if part)
        return " ".join(parts) if _telling("".join(parts)) else ""

    def contradicts(self, other: Person) -> bool:
        """Whether the two cannot be the same person."""
        ids = self.telling_identifier, other.telling_identifier
        names = self.telling_name, other.telling_name
        births = _telling(self.birth_date), _telling(other.birth_date)
        same_birth = bool(births[0]) and births[0] == births[1]
        if all(ids) and (ids[0] != ids[1] or (self.issuer and other.issuer and self.issuer != other.issuer)):
            return True
        if all(births) and not same_birth:
            return True
        renamed = all(ids) and same_birth  # a married name, another spelling
        if all(names) and names[0] != names[1] and not renamed:
            return True
        return {self.sex, other.sex} == {"F", "M"}

    def is_surely(self, other: Person) -> bool:
        """Whether something that tells says that the two are the same person, and nothing speaks against it."""
        if self.contradicts(other):
            return False
        return (
            (bool(self.telling_identifier) and self.telling_identifier == other.telling_identifier)
            or (bool(self.study_uid) and self.study_uid == other.study_uid)
            or (bool(self.frame_of_reference_uid) and self.frame_of_reference_uid == other.frame_of_reference_uid)
        )


def numbered_people(people: Sequence[Person], folders: Sequence[object]) -> list[int]:
    """Return for each of several headers the number of the person that it shows, from 0 on.

    Headers that say nothing at all, neither person nor study nor frame of reference, are of one person where they lie
    in one folder.

    Parameters
    ----------
    people : sequence of Person
    folders : sequence
        Where each header was found.
    """
    distinct: list[tuple[Person, object]] = list(dict.fromkeys(zip(people, folders, strict=True)))
    groups: list[list[tuple[Person, object]]] = []
    for person, folder in distinct:
        joined = [
            group
            for group in groups
            if any(_are_one(person, folder, other, there) for other, there in group)
            and not any(person.contradicts(other) for other, _ in group)
        ]
        merged = [member for group in joined for member in group] + [(person, folder)]
        groups = [group for group in groups if group not in joined] + [merged]
    number = {member: index for index, group in enumerate(groups) for member in group}
    order = list(dict.fromkeys(number[member] for member in zip(people, folders, strict=True)))
    return [order.index(number[member]) for member in zip(people, folders, strict=True)]


def numbered_studies(people: Sequence[Person], folders: Sequence[object]) -> list[int]:
    """Return for each of several headers the number of the study that it belongs to, from 0 on.

    Images of one person and one study instance belong together; where no study instance is stated, those of a folder.

    Parameters
    ----------
    people : sequence of Person
    folders : sequence
        Where each header was found.
    """
    places: dict[object, list[int]] = {}
    for index, (person, folder) in enumerate(zip(people, folders, strict=True)):
        places.setdefault(person.study_uid or ("folder", folder), []).append(index)
    study_of: dict[int, tuple[int, int]] = {}
    for number, members in enumerate(places.values()):
        within = numbered_people([people[index] for index in members], [folders[index] for index in members])
        study_of.update(zip(members, ((number, who) for who in within), strict=True))
    order = {
        study: number for number, study in enumerate(dict.fromkeys(study_of[index] for index in range(len(people))))
    }
    return [order[study_of[index]] for index in range(len(people))]


def _are_one(person: Person, folder: object, other: Person, there: object) -> bool:
    if person.is_surely(other):
        return True
    silent = not (person.study_uid or person.frame_of_reference_uid) and not (
        other.study_uid or other.frame_of_reference_uid
    )
    unnamed = not person.telling_identifier or not other.telling_identifier
    return silent and unnamed and folder == there and not person.contradicts(other)


def _telling(text: str) -> str:
    """Return a text without its ornament, empty where nobody is meant by it."""
    plain = re.sub(r"[\W_]+", "", text).casefold()
    return "" if PLACEHOLDER.fullmatch(plain) else plain
