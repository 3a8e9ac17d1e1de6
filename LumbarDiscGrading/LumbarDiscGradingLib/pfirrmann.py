"""Pfirrmann grades I-V, the three degeneration groups, their colours, disc levels and fixed label values.

Grades after Pfirrmann et al., Spine 26(17):1873-1878 (2001). The groups mild (I-II), moderate (III) and serious (IV-V)
are those of the study that this project implements. Colours are from the colour-blind safe palette of Okabe and Ito.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, IntEnum

GRADES = (1, 2, 3, 4, 5)
"""Pfirrmann grades, I to V."""


class Tissue(IntEnum):
    """Classes of the segmentation network and of tissue masks."""

    BACKGROUND = 0
    VERTEBRA = 1
    DISC = 2
    CANAL = 3


class Group(str, Enum):
    """Degeneration group of a disc; its value is the word shown to users."""

    MILD = "mild"
    MODERATE = "moderate"
    SERIOUS = "serious"

    @property
    def color(self) -> tuple[int, int, int]:
        """RGB colour, 0-255."""
        return _GROUP_COLORS[self]

    @property
    def grades(self) -> tuple[int, ...]:
        """Pfirrmann grades that belong to the group."""
        return tuple(grade for grade in GRADES if group_of_grade(grade) is self)


_GROUP_COLORS = {Group.MILD: (0, 158, 115), Group.MODERATE: (230, 159, 0), Group.SERIOUS: (213, 94, 0)}
NOT_GRADED_COLOR = (204, 121, 167)
"""RGB colour, 0-255, of a disc that has a mask but no grade (purple, as in the study's annotation)."""

GROUPS = (Group.MILD, Group.MODERATE, Group.SERIOUS)
ROMAN_GRADES = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V"}


def group_of_grade(grade: int) -> Group:
    """Return the degeneration group of a Pfirrmann grade.

    Parameters
    ----------
    grade : int
        Pfirrmann grade, 1 to 5.

    Raises
    ------
    ValueError
        If `grade` is not 1 to 5.
    """
    if grade not in GRADES:
        raise ValueError(f"A Pfirrmann grade is 1 to 5, not {grade!r}.")
    return Group.MILD if grade <= 2 else Group.MODERATE if grade == 3 else Group.SERIOUS


def group_probabilities(grade_probabilities: Sequence[float]) -> tuple[float, float, float]:
    """Sum the probabilities of grades I-V into those of mild, moderate and serious.

    Raises
    ------
    ValueError
        If there are not five.
    """
    if len(grade_probabilities) != len(GRADES):
        raise ValueError(f"Expected {len(GRADES)} grade probabilities, found {len(grade_probabilities)}.")
    p = [float(value) for value in grade_probabilities]
    return p[0] + p[1], p[2], p[3] + p[4]


TASKS = ("segmentation", "grading")
"""What the two networks do, in this order: find the discs, then grade them."""

DISC_LABELS = {
    "T9-T10": 80,
    "T10-T11": 81,
    "T11-T12": 82,
    "T12-L1": 91,
    "L1-L2": 92,
    "L2-L3": 93,
    "L3-L4": 94,
    "L4-L5": 95,
    "L5-L6": 96,
    "L5-S1": 100,
    "L6-S1": 101,
}
"""Label value of each disc level, head to feet.

The values are those of TotalSpineSeg (neuropoly/totalspineseg, README, table of output labels, commit ddab04b). It has
none for six lumbar vertebrae: 96 (L5-L6) and 101 (L6-S1) are this project's own, both free there.
"""

LEVELS_BY_LABEL = {value: level for level, value in DISC_LABELS.items()}
LUMBAR_LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
"""The five lumbar discs, head to feet."""

LEVELS_UPWARD = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1", "T11-T12", "T10-T11", "T9-T10")
"""Disc levels from the lumbosacral junction upward, for a spine with five lumbar vertebrae."""

SIX_LUMBAR_UPWARD = ("L6-S1", "L5-L6", *LEVELS_UPWARD[1:])
"""The same for a spine with six lumbar vertebrae (a lumbarised S1 counts as L6)."""

SIX_LUMBAR_LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1")
"""The six lumbar discs of such a spine, head to feet."""

LISTED_LEVELS = tuple(level for level in DISC_LABELS if level not in ("T9-T10", "T10-T11", "T11-T12"))
"""Levels that tables list and a reader may give a disc, head to feet: T12-L1 and below."""


class CodedTerm(tuple[str, str, str]):
    """A coded concept: coding scheme, code value, code meaning."""

    __slots__ = ()

    def __new__(cls, scheme: str, value: str, meaning: str) -> CodedTerm:
        """Make a term from scheme designator, code value and code meaning."""
        return super().__new__(cls, (scheme, value, meaning))

    def __str__(self) -> str:
        """Return the term as Slicer's terminology entries write it."""
        return "^".join(self)


ANATOMICAL_STRUCTURE = CodedTerm("SCT", "123037004", "Anatomical Structure")
DISC_CODES = {
    "T9-T10": "113209001",
    "T10-T11": "34959001",
    "T11-T12": "1537001",
    "T12-L1": "76206002",
    "L1-L2": "80064006",
    "L2-L3": "67459009",
    "L3-L4": "62551000",
    "L4-L5": "84020006",
    "L5-S1": "715056000",
}
"""SNOMED CT codes of the discs, from DICOM PS3.16, CID 7602; those of six lumbar vertebrae have none."""
INTERVERTEBRAL_DISC = CodedTerm("SCT", "360499006", "Intervertebral disc")
TERMINOLOGY_NAME = "LumbarDiscGrading"
"""Terminology context name, as in ``Resources/Terminology/LumbarDiscGrading.term.json``."""
