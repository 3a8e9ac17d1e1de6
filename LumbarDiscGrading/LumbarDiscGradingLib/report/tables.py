"""A grading result as rows, CSV, JSON and plain text."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from typing import Any

from ..atomic import replacing
from ..grading.result import NOT_ASSESSABLE, DiscGrade, GradingResult
from ..pfirrmann import GROUPS, LISTED_LEVELS, ROMAN_GRADES
from ..research_use import RESEARCH_USE
from .doubts import warnings_of

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
    center = " ".join(f"{value:.3f}" for value in result.slice_center_lps_mm)
    rows = []
    for disc in table_discs(result):
        row = {"level": disc.level, "group": disc.group_word}
        row |= {f"p_{group.value}": f"{p:.4f}" for group, p in zip(GROUPS, disc.group_probabilities, strict=True)}
        row |= {"pfirrmann": str(disc.pfirrmann) if disc.assessable else "", "slice": str(result.stored_slice_index)}
        row["slice_center_lps_mm"] = center
        row |= {name: _number(getattr(disc.measurements, name)) for name in MEASUREMENT_COLUMNS}
        row |= {"confident": "true" if disc.confident else "false", "warnings": " ".join(disc.warnings)}
        row["manual_changes"] = "; ".join(disc.changes)
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


def report_text(result: GradingResult) -> str:
    """Return the result as plain text for a clipboard: warnings, grades, measurements, models, research-use line."""
    lines = [f"Lumbar disc degeneration (Pfirrmann), sagittal T2, slice {result.stored_slice_index}:"]
    warnings = warnings_of(result)
    if warnings:
        lines += ["Please note first:", *(f"- {warning}" for warning in warnings), "Discs:"]
    lines += [f"{disc.level}: {'; '.join(_facts(disc))}." for disc in table_discs(result)]
    lines += [f"Models: {', '.join(model_names(result))}."] if result.models else []
    return "\n".join([*lines, RESEARCH_USE]) + "\n"


def _facts(disc: DiscGrade) -> list[str]:
    by_reader = reader_verdict(disc)
    if not disc.assessable:
        grade = [disc.group_word, *(["set by reader"] if by_reader else [])]
    elif by_reader:
        grade = [f"{disc.group_word}, {by_reader}"]
    else:
        p = group_probability(disc)
        grade = [f"{disc.group_word}, Pfirrmann {ROMAN_GRADES[disc.pfirrmann]} (p = {p:.2f})"]
    doubt = ["low confidence, please review"] if disc.assessable and not disc.confident else []
    return [*grade, *doubt, *_measurement_phrases(disc), *(c for c in disc.changes if c != by_reader)]


def reader_verdict(disc: DiscGrade) -> str | None:
    """Return the phrase by which a reader set the grade or marked the disc not assessable, None where he did neither.

    The probabilities of such a disc are not those of its grade: they stay the network's.
    """
    return next((change for change in disc.changes if change.startswith(("Pfirrmann", NOT_ASSESSABLE))), None)


def group_probability(disc: DiscGrade) -> float:
    """Return the network's probability of the group that the disc was given."""
    return disc.group_probabilities[GROUPS.index(disc.group)]


def model_names(result: GradingResult) -> list[str]:
    """Return name and version of each model that took part."""
    return [f"{model.name} {model.version}".strip() for model in result.models]


def _measurement_phrases(disc: DiscGrade) -> list[str]:
    m = disc.measurements
    phrases = [
        (m.height_mm, "height {:.1f} mm"),
        (m.diameter_mm, "diameter {:.1f} mm"),
        (m.area_mm2, "area {:.0f} mm2"),
        (m.disc_height_index, "disc height index {:.2f}"),
        (m.signal_to_canal, "signal to canal {:.2f}"),
    ]
    return [phrase.format(value) for value, phrase in phrases if _known(value)]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.4g}" if _known(value) else ""


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
