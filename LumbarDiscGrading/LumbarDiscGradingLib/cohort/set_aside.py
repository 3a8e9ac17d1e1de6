"""What becomes of a scan that kills whoever works on it."""

from __future__ import annotations

from .scan import Outcome, Scan
from .tables import SCAN_COLUMNS


def set_aside(scan: Scan, reason: str) -> Outcome:
    """Return the outcome of a scan that is not tried again."""
    known = {"identifier": scan.identifier, "input": scan.input, "series": scan.series or "", "state": "failed"}
    known |= {"reason": reason, "age": scan.age, "sex": scan.sex}
    return Outcome(scan, "failed", reason, (), dict.fromkeys(SCAN_COLUMNS, "") | known)
