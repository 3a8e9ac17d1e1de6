"""Graded cohorts to test with: phantoms on disk, graded by the command line, and the two tables of the cohort."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import SimpleITK as sitk

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS, COHORT_FILE, SCAN_COLUMNS, SCANS_FILE
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom


def write_phantom(path: Path, seed: int) -> Path:
    """Write a phantom of three slices as a volume file."""
    volume = lumbar_phantom(seed, slice_count=3).volume
    matrix = volume.stored_index_to_lps
    steps = (matrix[:3, :3] ** 2).sum(axis=0) ** 0.5
    image = sitk.GetImageFromArray(volume.to_stored(volume.voxels))
    image.SetSpacing(steps.tolist())
    image.SetDirection((matrix[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def graded_cohort(folder: Path, inputs: Sequence[Path]) -> Path:
    """Grade volume files into a folder and write the tables of the cohort beside the results."""
    assert main(["grade", *map(str, inputs), "--output", str(folder), "--device", "cpu"]) == 0
    discs, scans = [], []
    for path in inputs:
        name = path.name.split(".")[0]
        stored = json.loads((folder / f"{name}_result.json").read_text(encoding="utf-8"))
        rows = read_rows(folder / f"{name}_grades.csv")
        of_scan = {"identifier": name, "input_sha256": stored["input"]["sha256"]}
        of_scan |= {"naming_confidence": f"{stored['naming_confidence']:.4f}", "doubts": " ".join(stored["doubts"])}
        for model in stored["models"]:
            of_scan |= {f"{model['task']}_model": model["name"], f"{model['task']}_sha256": model["sha256"]}
        discs += [{**row, **of_scan} for row in rows]
        lowest = min(max(float(row[f"p_{group}"]) for group in ("mild", "moderate", "serious")) for row in rows)
        facts = {"input": str(path), "state": "graded", "discs": len(rows), "lowest_probability": lowest}
        scans.append({**of_scan, **facts, "warnings": len(stored["warnings"])})
    write_rows(folder / COHORT_FILE, COHORT_COLUMNS, discs)
    write_rows(folder / SCANS_FILE, SCAN_COLUMNS, scans)
    return folder


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """Write a table; cells that a row lacks are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, tuple(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
