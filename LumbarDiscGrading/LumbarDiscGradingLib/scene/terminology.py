"""The coded meaning of a segment, written as Slicer's terminologies logic serialises it."""

from __future__ import annotations

from ..pfirrmann import ANATOMICAL_STRUCTURE, INTERVERTEBRAL_DISC, TERMINOLOGY_NAME, CodedTerm

_NOT_GIVEN = CodedTerm("", "", "")


def disc_terminology_entry() -> str:
    """Return the terminology entry of an intervertebral disc.

    Seven parts joined by ``~``: context, category, type, type modifier, region context, region, region modifier
    (``vtkSlicerTerminologiesModuleLogic::SerializeTerminologyEntry``).
    """
    parts = (TERMINOLOGY_NAME, ANATOMICAL_STRUCTURE, INTERVERTEBRAL_DISC, _NOT_GIVEN, "", _NOT_GIVEN, _NOT_GIVEN)
    return "~".join(str(part) for part in parts)
