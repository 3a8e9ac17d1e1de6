"""A grading result as rows, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from typing import Any

from ..atomic import replacing
from ..grading.result import DiscGrade, GradingResult
from ..pfirrmann import GROUPS, LISTED_LEVELS
from ..research_use import RESEARCH_USE

RESULT_SCHEMA_VERSION = "1.0"
"""Version of the layout of ``<stem>_result.json``."""

MEASUREMENT_COLUMNS = ("height_mm", "diameter_mm", "area_mm2", "disc_height_index", "signal_to_canal")
"""Measurements with their unit in the name; attributes of `grading.result.DiscMeasurements`."""

GRADE_COLUMNS = (
    "level",
    "group",
    "p_mild",
    "p_moderate",
    "p_serious",
    "pfirrmann",
    "slice",
    "slice_center_lps_mm",
    *MEASUREMENT_COLUMNS,
    "confident",
    "warnings",
    "manual_changes",
    "pfirrmann_set",
)
"""Columns of ``<stem>_grades.csv`` and of the table in the scene.

The columns ``p_`` are the network's probabilities, also where ``manual_changes`` tells that a reader set the grade.
"""


def table_discs(result: GradingResult) -> tuple[DiscGrade, ...]:
    """Return the discs that tables and text list, head to feet: T12-L1 and below; others stay in the JSON."""
    return tuple(disc for disc in result.discs if disc.level in LISTED_LEVELS)


def grade_rows(result: GradingResult) -> list[dict[str, str]]:
    """Return one row of text cells for each listed disc.

    Returns
    -------
    list of dict
        Keys are `GRADE_COLUMNS`; a measurement that is not known is an empty cell.
    """
    rows = []
    for disc in table_discs(result):
        row = {"level": disc.level, "group": disc.group_word}
        row |= {f"p_{group.value}": f"{p:.4f}" for group, p in zip(GROUPS, disc.group_probabilities, strict=True)}
        row |= {"pfirrmann": str(disc.pfirrmann) if disc.assessable else "", "slice": str(result.stored_slice_of(disc))}
        center = result.volume.slice_center_lps_mm(result.slice_of(disc))
        row["slice_center_lps_mm"] = " ".join(f"{value:.3f}" for value in center)
        row |= {name: _number(getattr(disc.measurements, name)) for name in MEASUREMENT_COLUMNS}
        row |= {"confident": "true" if disc.confident else "false", "warnings": " ".join(disc.warnings)}
        row["manual_changes"] = "; ".join(disc.changes)
        row["pfirrmann_set"] = " ".join(map(str, disc.grade_set))
        rows.append(row)
    return rows


def write_grades_csv(result: GradingResult, path: str | os.PathLike[str]) -> None:
    """Write ``<stem>_grades.csv``: one row a disc, head to feet, columns `GRADE_COLUMNS`, UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, GRADE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(grade_rows(result))
    with replacing(path) as temporary:
        temporary.write_bytes(text.getvalue().encode("utf-8"))


def write_result_json(result: GradingResult, path: str | os.PathLike[str]) -> None:
    """Write ``<stem>_result.json``: everything but the arrays; a value that is not a number becomes null."""
    content = {"schema_version": RESULT_SCHEMA_VERSION, "note": RESEARCH_USE, **result.to_dict()}
    text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_bytes((text + "\n").encode("utf-8"))


def is_known(value: float | None) -> bool:
    """Tell whether a measurement has a value that is a number."""
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.4g}" if is_known(value) else ""


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
