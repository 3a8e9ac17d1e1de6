"""One scan of a cohort, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["graded", "failed", "skipped"]
"""*Graded*: its files are there; *failed*: it was tried; *skipped*: it was found and is not to be graded."""


@dataclass(frozen=True)
class Scan:
    """One input of a cohort; it travels to worker processes and other machines, so it holds plain values only.

    Parameters
    ----------
    identifier
        Name in the tables and of the output files (``<identifier>_result.json``); no other scan of the cohort has it,
        also where letters' case is not told apart. Identifies no patient unless the caller's own list does.
    input
        Path of the volume file, or of the DICOM folder.
    series
        DICOM series to take, as ``--series``; None where the reader is to choose.
    pixel_size_mm
        Pixel size of a picture in mm; None where the file says it.
    stored_slice
        Slice to grade, as ``--slice``; None where it is chosen by content.
    age, sex
        From the caller's list; empty where it brings none.
    """

    identifier: str
    input: str
    series: str | None = None
    pixel_size_mm: float | None = None
    stored_slice: int | None = None
    age: str = ""
    sex: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a scan.

    Parameters
    ----------
    scan
        The scan.
    state
        `State`.
    reason
        One sentence where the scan was not graded.
    disc_rows
        One dict of text cells a listed disc, head to feet; keys are `tables.COHORT_COLUMNS`.
    scan_row
        The scan's own dict of text cells; keys are `tables.SCAN_COLUMNS`.
    """

    scan: Scan
    state: State
    reason: str
    disc_rows: tuple[dict[str, str], ...]
    scan_row: dict[str, str]
