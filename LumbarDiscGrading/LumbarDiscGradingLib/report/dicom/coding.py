"""What both DICOM objects need of highdicom: coded concepts, and what tells a new object from all others."""

from __future__ import annotations

from typing import Any

from ...errors import UserError
from ...grading.result import GradingResult
from ...pfirrmann import CodedTerm

MANUFACTURER = "LumbarDiscGrading contributors"
NAME = "LumbarDiscGrading"


class DicomOutputError(UserError):
    """A result cannot be written as DICOM; the message is one sentence for the user."""


def require_highdicom() -> None:
    """Check that highdicom is there.

    Raises
    ------
    DicomOutputError
        If it is not installed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise DicomOutputError("Writing DICOM needs highdicom; install it (pip install highdicom).") from None


def code(term: CodedTerm) -> Any:
    """Return a term as highdicom takes it."""
    from highdicom.sr import CodedConcept

    scheme, value, meaning = term
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def new_object(series_number: int) -> dict[str, Any]:
    """Return what tells an object, alone in a series of its own, from all others."""
    import highdicom as hd

    return {
        "series_instance_uid": hd.UID(),
        "series_number": series_number,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
    }


def model_hashes(result: GradingResult) -> dict[str, str]:
    """Return the hash of each model's weights, under a name that says so."""
    return {f"{model.task} sha256": model.sha256 for model in result.models}
