"""How many files a second are gone through where a cohort is looked for: small files that are no images, and DICOM.

Run with the library installed:  python Testing/Benchmarks/benchmark_finding.py [--files 1000000] [--images 2000]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.uid import generate_uid

from LumbarDiscGradingLib.cohort.finding import find_candidates

FILES_A_FOLDER = 1000
IMAGES_A_STUDY = 20
NAMES = {"no images by their names": ".txt", "unknown names": ".xyz", "no suffix": ""}


def seconds_to_find(folder: Path) -> tuple[float, int]:
    """Return how long a folder takes, and how many scans are in it."""
    began = time.perf_counter()
    found = find_candidates([str(folder)])
    return time.perf_counter() - began, len(found.candidates)


def write_files(folder: Path, count: int, suffix: str) -> None:
    """Write small files that are no images."""
    for number in range(count):
        place = folder / str(number // FILES_A_FOLDER)
        if number % FILES_A_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{number}{suffix}").write_bytes(b"no image" * 30)


def write_images(folder: Path, count: int) -> None:
    """Write studies of small images, all in one folder."""
    from dicom_files import Series, slice_dataset

    series = Series(np.zeros((IMAGES_A_STUDY, 16, 16)))
    folder.mkdir()
    for number in range(count):
        if number % IMAGES_A_STUDY == 0:
            series.uid, study = generate_uid(), generate_uid()
        dataset = slice_dataset(series, number % IMAGES_A_STUDY, StudyInstanceUID=study)
        dataset.save_as(folder / f"IM{number:06}", enforce_file_format=True)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000, help="that are no images, a third of each kind")
    parser.add_argument("--images", type=int, default=2000)
    arguments = parser.parse_args()
    measured: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, suffix in NAMES.items():
            write_files(Path(place, "files", name), arguments.files // len(NAMES), suffix)
            took, _ = seconds_to_find(Path(place, "files", name))
            measured[f"files a second, {name}"] = round(arguments.files // len(NAMES) / took)
        seconds, _ = seconds_to_find(Path(place, "files"))
        measured["files a second, all"] = round(arguments.files / seconds)
        write_images(Path(place, "images"), arguments.images)
        seconds, studies = seconds_to_find(Path(place, "images"))
        measured["DICOM images a second"] = round(arguments.images / seconds)
        measured["studies"] = studies
    measured["peak memory, MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
