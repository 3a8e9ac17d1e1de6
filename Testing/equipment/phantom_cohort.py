"""The output folder of a cohort without a patient: tables of any length, and overviews of the analytic spine."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from example_results import MODELS

from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS, COHORT_FILE, SCAN_COLUMNS, SCANS_FILE
from LumbarDiscGradingLib.grading.result import NOT_ASSESSABLE
from LumbarDiscGradingLib.pfirrmann import GROUPS, LUMBAR_LEVELS, group_of_grade

USED = {
    f"{model.task}_{column}": text
    for model in MODELS
    for column, text in (("model", f"{model.name} {model.version}"), ("sha256", model.sha256))
}

Row = dict[str, str]


def disc_row(
    identifier: str, level: str, grade: int | None, p: float = 0.9, height_index: float | None = 0.3, warnings: str = ""
) -> Row:
    """Return a row of ``cohort.csv``; without a grade the disc is not assessable."""
    group = group_of_grade(grade or 1)
    row = {"identifier": identifier, "level": level, "group": group.value if grade else NOT_ASSESSABLE}
    row |= {f"p_{each.value}": f"{p if each is group else (1 - p) / 2:.4f}" for each in GROUPS}
    row |= {"pfirrmann": str(grade or ""), "slice": "7", "confident": "true" if p > 0.6 and grade else "false"}
    row |= {"disc_height_index": "" if height_index is None else f"{height_index:.4g}", "warnings": warnings}
    return row | USED


def graded_row(identifier: str, discs: Sequence[Row], **cells: str) -> Row:
    """Return the row of ``cohort_scans.csv`` of a graded scan."""
    sure = [max(float(disc[f"p_{group.value}"]) for group in GROUPS) for disc in discs if disc["pfirrmann"]]
    row = {"identifier": identifier, "input": f"/pacs/{identifier}.nrrd", "state": "graded", "discs": str(len(discs))}
    row |= {"lowest_probability": f"{min(sure):.4f}" if sure else "", "naming_confidence": "0.99"}
    row |= {"warnings": str(sum(bool(disc["warnings"]) for disc in discs))}
    return row | USED | cells


def left_row(identifier: str, state: str, reason: str, source: str = "/pacs/left") -> Row:
    """Return the row of ``cohort_scans.csv`` of a scan that failed or was skipped."""
    return {"identifier": identifier, "input": source, "state": state, "reason": reason}


def write_tables(folder: Path, discs: Iterable[Row], scans: Iterable[Row]) -> None:
    """Write both tables of a cohort; cells that a row has not are empty."""
    _write(folder / COHORT_FILE, COHORT_COLUMNS, discs)
    _write(folder / SCANS_FILE, SCAN_COLUMNS, scans)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_large_tables(folder: Path, count: int, seed: int = 0) -> None:
    """Write the tables of so many scans: one in fifty failed, one in twenty doubtful, a third of the discs warned."""
    chance = random.Random(seed)
    discs: list[Row] = []
    scans: list[Row] = []
    for n in range(count):
        identifier = f"site{n % 7}_patient{n:06d}_2026-01-{n % 28 + 1:02d}_t2_tse_sag"
        if n % 50 == 0:
            reason = f"/pacs/{identifier}: only {n % 13} of 15 slices are there; copy the series again."
            scans.append(left_row(identifier, "failed", reason, f"/pacs/{identifier}"))
            continue
        rows = []
        for level in LUMBAR_LEVELS:
            p = chance.uniform(0.4, 1)
            warning = f"{level}: low confidence, read it yourself." if p < 0.6 else ""
            rows.append(disc_row(identifier, level, chance.randint(1, 5), p, chance.uniform(0.1, 0.6), warning))
        doubt = f"The spinal canal was recognized beside {n % 5} of 5 discs; check the slice." if n % 20 == 1 else ""
        person = {"age": str(chance.randint(18, 90)), "sex": chance.choice("FM")}
        scans.append(graded_row(identifier, rows, doubts=doubt, **person))
        discs += rows
    write_tables(folder, discs, scans)
