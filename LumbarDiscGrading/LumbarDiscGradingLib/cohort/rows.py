"""What became of a scan, as the rows of the cohort's tables."""

from __future__ import annotations

from ..grading.result import GradingResult
from ..imaging.file_names import printable
from ..report.tables import grade_rows, table_discs
from .scan import Outcome, Scan, State
from .tables import COHORT_COLUMNS, SCAN_COLUMNS


def disc_rows(identifier: str, result: GradingResult) -> tuple[dict[str, str], ...]:
    """Return one row of text cells for each listed disc, head to feet; keys are `COHORT_COLUMNS`."""
    of_scan = {"identifier": identifier, **_of_scan(result)}
    return tuple(
        {column: {**row, **of_scan}.get(column, "") for column in COHORT_COLUMNS} for row in grade_rows(result)
    )


def graded(scan: Scan, result: GradingResult) -> Outcome:
    """Return the outcome of a scan that was graded."""
    discs = table_discs(result)
    sure = [max(disc.group_probabilities) for disc in discs if disc.assessable]
    row = {
        **_of_scan(result),
        "discs": str(len(discs)),
        "lowest_probability": f"{min(sure):.4f}" if sure else "",
        "warnings": str(len(result.warnings) + sum(len(disc.warnings) for disc in result.discs)),
        "series": result.volume.source.series_uid or scan.series or "",
    }
    return Outcome(scan, "graded", "", disc_rows(scan.identifier, result), _scan_row(scan, "graded", row))


def not_graded(scan: Scan, state: State, reason: str) -> Outcome:
    """Return the outcome of a scan that failed or was skipped, and why."""
    sentence = printable(" ".join(reason.split()))  # it may name a file
    return Outcome(scan, state, sentence, (), _scan_row(scan, state, {"reason": sentence}))


def _of_scan(result: GradingResult) -> dict[str, str]:
    """Return the cells that belong to a whole scan."""
    confidence = result.naming_confidence
    cells = {
        "naming_confidence": "" if confidence is None else f"{confidence:.4f}",
        "doubts": " ".join(result.doubts),
        "input_sha256": result.volume.source.sha256,
    }
    for model in result.models:
        cells |= {f"{model.task}_model": model.name, f"{model.task}_sha256": model.sha256}
    return cells


def _scan_row(scan: Scan, state: State, known: dict[str, str]) -> dict[str, str]:
    row = {
        "identifier": scan.identifier,
        "input": printable(scan.input),
        "series": scan.series or "",
        "state": state,
        "age": scan.age,
        "sex": scan.sex,
        **known,
    }
    return {column: row.get(column, "") for column in SCAN_COLUMNS}
