"""Coded terms of the DICOM objects; the private ones are documented in ``Resources/Documentation/dicom_codes.md``."""

from __future__ import annotations

from ...pfirrmann import DISC_CODES, INTERVERTEBRAL_DISC, ROMAN_GRADES, CodedTerm, Group

PRIVATE_SCHEME = "99LDG"

LEVEL_TERMS = {level: CodedTerm("SCT", value, f"{level.replace('-', '/')} disc") for level, value in DISC_CODES.items()}

MR_PROCEDURE = CodedTerm("LN", "25056-3", "MRI unspecified body region")
"""DICOM PS3.16, CID 100: the procedure of images that name none."""

COMMENT = CodedTerm("DCM", "121106", "Comment")
HEIGHT = CodedTerm("DCM", "121207", "Height")
DIAMETER = CodedTerm("SCT", "81827009", "Diameter")
AREA = CodedTerm("SCT", "42798000", "Area")
DISC_HEIGHT_INDEX = CodedTerm(PRIVATE_SCHEME, "DHI", "Disc height index")
SIGNAL_TO_CANAL = CodedTerm(PRIVATE_SCHEME, "SIGNAL", "Signal of the disc relative to the spinal canal")
PFIRRMANN = CodedTerm(PRIVATE_SCHEME, "PFIRRMANN", "Pfirrmann grade")
PFIRRMANN_SET = CodedTerm(PRIVATE_SCHEME, "PFIRRMANN_SET", "Pfirrmann grade in the prediction set")
GROUP = CodedTerm(PRIVATE_SCHEME, "GROUP", "Degeneration group")
NOT_ASSESSABLE = CodedTerm(PRIVATE_SCHEME, "NOT_ASSESSABLE", "Not assessable")
AUTHOR = CodedTerm(PRIVATE_SCHEME, "AUTHOR", "Author of the grade")
DEVICE = CodedTerm("DCM", "121007", "Device")
READER = CodedTerm("NCIt", "C28747", "Reader")
"""DICOM PS3.16, CID 7453."""

MILLIMETER = CodedTerm("UCUM", "mm", "millimeter")
SQUARE_MILLIMETER = CodedTerm("UCUM", "mm2", "square millimeter")
RATIO = CodedTerm("UCUM", "{ratio}", "ratio")
NO_UNITS = CodedTerm("UCUM", "1", "no units")


def site_of(level: str) -> CodedTerm:
    """Return the disc of a level; with six lumbar vertebrae, which SNOMED CT lacks, the disc without its level."""
    return LEVEL_TERMS.get(level, INTERVERTEBRAL_DISC)


def grade_term(grade: int) -> CodedTerm:
    """Return the term of a Pfirrmann grade, 1 to 5."""
    return CodedTerm(PRIVATE_SCHEME, f"GRADE{grade}", f"Pfirrmann grade {ROMAN_GRADES[grade]}")


def group_term(group: Group) -> CodedTerm:
    """Return the term of a degeneration group."""
    return CodedTerm(PRIVATE_SCHEME, group.value.upper(), group.value)


def probability_term(group: Group) -> CodedTerm:
    """Return the name of a group's probability."""
    return CodedTerm(PRIVATE_SCHEME, f"P_{group.value.upper()}", f"Network probability of {group.value}")
