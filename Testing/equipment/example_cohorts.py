"""Graded cohorts to test with: phantoms on disk, graded by the command line; tables rewritten."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import SimpleITK as sitk

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import SagittalVolume


def write_phantom(path: Path, seed: int) -> Path:
    """Write a phantom of three slices as a volume file."""
    return write_volume(path, lumbar_phantom(seed, slice_count=3).volume)


def write_volume(path: Path, volume: SagittalVolume) -> Path:
    """Write a volume file."""
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
    """Grade volume files as a cohort into a folder."""
    assert main(["grade", *map(str, inputs), "--output", str(folder), "--device", "cpu"]) == 0
    return folder


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[dict]) -> None:
    """Write a table; cells that a row lacks are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, tuple(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
