"""How the segment of a disc is marked, in a file and in the scene, as Slicer writes it."""

from __future__ import annotations

from .pfirrmann import ANATOMICAL_STRUCTURE, INTERVERTEBRAL_DISC, TERMINOLOGY_NAME, CodedTerm

TAG_PREFIX = "LumbarDiscGrading."
"""Segment tags and node attributes of this extension start with it."""

_NOT_GIVEN = CodedTerm("", "", "")


def tag_value(text: str) -> str:
    """Return text in one line without the bar by which Slicer's files separate tags."""
    return " ".join(text.replace("|", "/").split())


def disc_terminology_entry() -> str:
    """Return the terminology entry of an intervertebral disc.

    Seven parts joined by ``~``: context, category, type, type modifier, region context, region, region modifier
    (``vtkSlicerTerminologiesModuleLogic::SerializeTerminologyEntry``).
    """
    parts = (TERMINOLOGY_NAME, ANATOMICAL_STRUCTURE, INTERVERTEBRAL_DISC, _NOT_GIVEN, "", _NOT_GIVEN, _NOT_GIVEN)
    return "~".join(str(part) for part in parts)
