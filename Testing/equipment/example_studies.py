"""Studies to test with: phantom-like images that cost little, readers, and readings with known errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LumbarDiscGradingLib.annotation.protocol import Protocol, Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue

SHAPE = (3, 96, 48)  # slices, rows, columns
SPACING_MM = (4.0, 1.5, 1.5)

READERS = (
    Reader("anna", (Role.ANNOTATOR,), 3),
    Reader("ben", (Role.PEER_REVIEWER,), 8),
    Reader("carl", (Role.GRADER,), 5),
    Reader("dora", (Role.GRADER,), 15),
    Reader("emil", (Role.ADJUDICATOR,), 20),
)


def protocol(**changes: object) -> Protocol:
    """One annotator, a peer reviewer, two graders and an adjudicator."""
    return Protocol(**{"name": "Example", "readers": READERS, **changes})


def truth_masks(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Five discs, one above the other, on all slices."""
    labels = np.zeros(shape, np.uint8)
    step = shape[1] // 6
    for number, level in enumerate(LUMBAR_LEVELS):
        top = step // 2 + step * number
        labels[:, top : top + max(step // 3, 2), shape[2] // 4 : 3 * shape[2] // 4] = DISC_LABELS[level]
    return labels


def image(seed: int, shape: tuple[int, int, int] = SHAPE) -> SagittalVolume:
    """An image whose voxels are stored back to front, left to right, as a scanner might."""
    random = np.random.default_rng(seed)
    canonical = (random.integers(0, 300, shape) + 500 * (truth_masks(shape) == 0)).astype(np.int16)
    slices, rows, columns = SPACING_MM
    matrix = np.eye(4)  # i: back to front, j: head to feet, k: left to right
    matrix[:3, :3] = [[0, 0, -slices], [-columns, 0, 0], [0, -rows, 0]]
    matrix[:3, 3] = (10.0, 40.0, 90.0)
    return SagittalVolume.from_stored(np.ascontiguousarray(canonical[::-1, :, ::-1]), matrix)


def make_study(folder: Path, cases: int = 3, shape: tuple[int, int, int] = SHAPE, **changes: object) -> Study:
    """A study with a few cases of one patient each."""
    study = Study.create(folder, protocol(**changes))
    for seed in range(cases):
        study.add_case(image(seed, shape))
    return Study.open(folder)


def read_grades(folder: Path, reader: str, case: str, grades: list[int], round_number: int = 1) -> None:
    """Grade the five lumbar discs of a case and sign; 0 stands for a disc that cannot be assessed."""
    with ReaderSession.open(folder, reader).open_case(case, round_number) as opened:
        for level, grade in zip(LUMBAR_LEVELS, grades, strict=True):
            opened.grade(level, grade or None, assessable=bool(grade), seconds=2.0)

        opened.sign(Task.GRADES)


def read_masks(folder: Path, reader: str, case: str, labels: np.ndarray, round_number: int = 1) -> None:
    """Draw masks and sign."""

    with ReaderSession.open(folder, reader).open_case(case, round_number) as opened:
        opened.set_masks(labels, seconds=30.0)
        opened.sign(Task.MASKS, without=opened.missing_levels(Task.MASKS))


def eroded(labels: np.ndarray, level: str, rows: int) -> np.ndarray:
    """Masks with the upper rows of one disc taken away."""
    changed = labels.copy()
    inside = np.flatnonzero((labels == DISC_LABELS[level]).any(axis=(0, 2)))
    changed[:, inside[:rows]] = 0
    return changed


def two_annotators(**changes: object) -> dict[str, object]:
    """What a protocol of two annotators and an adjudicator of masks takes."""
    readers = (
        Reader("anna", (Role.ANNOTATOR,), 3),
        Reader("ben", (Role.ANNOTATOR,), 8),
        Reader("emil", (Role.ADJUDICATOR,), 20),
    )
    return {"readers": readers, "tasks": (Task.MASKS,), "double_masks": True, "peer_review": False, **changes}


def write_volume(path: Path, array: np.ndarray, comment: str = "") -> None:
    """Write an image of sagittal slices, stored as scanners do."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.5, 1.5, 4.0))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))
    if comment:
        image.SetMetaData("comment", comment)
    sitk.WriteImage(image, str(path))


def labelled_folder(folder: Path, patients: int = 2) -> Path:
    """Write a folder of label maps and grades, as the command line imports it."""
    folder.mkdir()
    rows = ["patient,level,pfirrmann,group"]
    for number in range(patients):
        mask = np.where(truth_masks() > 0, int(Tissue.DISC), 0).astype(np.uint8)
        mask[:, :, 40:44] = Tissue.CANAL
        random = np.random.default_rng(number)
        write_volume(folder / f"p{number}_t2.nrrd", random.integers(0, 500, mask.shape).astype(np.int16))
        write_volume(folder / f"p{number}_labels.nrrd", mask)
        rows += [f"p{number},{level},{1 + i % 5},x" for i, level in enumerate(LUMBAR_LEVELS)]
    (folder / "grades.csv").write_text("\n".join(rows) + "\n")
    return folder
