"""Small scans that can be graded, as files and as DICOM studies of made-up people."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_files import Series, write_series
from pydicom.uid import generate_uid

from LumbarDiscGradingLib.imaging.phantom import PIXEL_SIZE_MM, SLICE_SPACING_MM, lumbar_phantom


@lru_cache(maxsize=32)
def spine(seed: int) -> np.ndarray:
    """Return one sagittal slice of a phantom, shape (1, rows, columns)."""
    return lumbar_phantom(seed, slice_count=1).volume.voxels


def write_scan(path: Path, seed: int = 0) -> Path:
    """Write a phantom of one slice as a volume file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(spine(seed))
    image.SetSpacing((PIXEL_SIZE_MM, PIXEL_SIZE_MM, SLICE_SPACING_MM))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))
    sitk.WriteImage(image, str(path), useCompression=False)
    return path


def write_scans(folder: Path, count: int) -> Path:
    """Write so many scans, each of another phantom, into a folder and return it."""
    for seed in range(count):
        write_scan(folder / f"scan{seed}.nrrd", seed)
    return folder


def killed_after_the_first_result(output: Path, chosen: Callable[[], BaseProcess]) -> Callable[[], int]:
    """Kill a process as soon as a result is there; the returned function gives its identifier."""
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not list(output.glob("*_result.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        killed.append(chosen().pid or 0)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return lambda: (thread.join(), killed[0])[1]


def write_study(folder: Path, seed: int = 0, prefix: str = "IM", **attributes: object) -> str:
    """Write the DICOM study of one slice of a phantom, named so that others can lie beside it; return its UID."""
    uid = str(attributes.pop("StudyInstanceUID", generate_uid()))
    series = Series(spine(seed).astype(np.uint16), spacing_mm=(SLICE_SPACING_MM, PIXEL_SIZE_MM, PIXEL_SIZE_MM))
    write_series(folder, series, [f"{prefix}{seed:04d}"], StudyInstanceUID=uid, **attributes)
    return uid


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read a table."""
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def states_in(folder: Path) -> dict[str, str]:
    """Return the state by identifier of the scans of an output folder."""
    return {row["identifier"]: row["state"] for row in rows_of(folder / "cohort_scans.csv")}


def write_list(path: Path, header: Sequence[str], *rows: Sequence[str], delimiter: str = ",") -> Path:
    """Write a list of scans."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path
