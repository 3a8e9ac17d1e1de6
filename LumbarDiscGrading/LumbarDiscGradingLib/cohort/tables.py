"""The columns of a cohort's two tables: a row a disc, and a row a scan."""

from __future__ import annotations

from ..report.tables import GRADE_COLUMNS

COHORT_FILE = "cohort.csv"
SCANS_FILE = "cohort_scans.csv"
THUMBNAILS_FOLDER = "cohort_thumbnails"

COHORT_COLUMNS = (
    "identifier",
    *GRADE_COLUMNS,
    "naming_confidence",
    "doubts",
    "input_sha256",
    "segmentation_model",
    "segmentation_sha256",
    "grading_model",
    "grading_sha256",
)
"""Columns of ``cohort.csv``, one row a disc: those of ``<stem>_grades.csv`` and what belongs to its whole scan.

``doubts`` are the sentences about the whole scan, with a blank between; ``warnings`` are about the disc.
"""

SCAN_COLUMNS = (
    "identifier",
    "input",
    "series",
    "state",
    "reason",
    "discs",
    "lowest_probability",
    "warnings",
    "doubts",
    "naming_confidence",
    "age",
    "sex",
    "input_sha256",
    "segmentation_model",
    "segmentation_sha256",
    "grading_model",
    "grading_sha256",
)
"""Columns of ``cohort_scans.csv``, one row a scan: graded, failed or skipped, and why.

``discs`` is the count of listed discs, ``lowest_probability`` the probability of the group of the least sure assessable
disc, ``warnings`` the count of all warnings, ``doubts`` the sentences about the whole scan. A scan that is not graded
has empty cells there.
"""
