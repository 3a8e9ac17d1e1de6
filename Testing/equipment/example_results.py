"""Grading results to test with: an analytic spine with known truth, and real label maps where the data lie beside."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from LumbarDiscGradingLib.grading.result import (
    DiscGrade,
    DiscMeasurements,
    GradingResult,
    ModelUse,
    missing_lumbar_levels,
)
from LumbarDiscGradingLib.imaging.volume import SagittalVolume, VolumeSource
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LEVELS_UPWARD, Tissue, group_of_grade, group_probabilities

SPIDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "spider_space"
MODELS = (
    ModelUse("spine-unet", "segmentation", "built-in", "a" * 64, "1.0"),
    ModelUse("disc-spinenet", "grading", "built-in", "b" * 64, "1.0"),
)
ANALYTIC_GRADES = {"T12-L1": 1, "L1-L2": 2, "L2-L3": 2, "L3-L4": 3, "L4-L5": 4, "L5-S1": 5}


def disc_grade(
    level: str,
    grade: int,
    label_slice: np.ndarray,
    volume: SagittalVolume,
    slice_index: int,
    confident: bool = True,
    warnings: tuple[str, ...] = (),
) -> DiscGrade:
    """Return a disc whose place comes from the labels and whose probabilities peak at `grade`."""
    rows, columns = np.nonzero(label_slice == DISC_LABELS[level])
    center = float(rows.mean()), float(columns.mean())
    peak = 0.88 if confident else 0.42
    p_grades = tuple(peak if g == grade else (1 - peak) / 4 for g in range(1, 6))
    area = float(len(rows) * np.prod(volume.spacing_mm[1:]))
    diameter = float(np.ptp(columns) + 1) * volume.spacing_mm[2]
    known = volume.scale_known
    return DiscGrade(
        level=level,
        group=group_of_grade(grade),
        group_probabilities=group_probabilities(p_grades),
        pfirrmann=grade,
        grade_probabilities=p_grades,
        confident=confident,
        center_lps_mm=volume.lps_mm(slice_index, *center),
        center_row_column=center,
        measurements=DiscMeasurements(
            height_mm=area / diameter if known else None,
            diameter_mm=diameter if known else None,
            area_mm2=area if known else None,
            disc_height_index=0.31,
            signal_to_canal=0.24,
        ),
        warnings=warnings,
    )


def analytic_result(
    shape: tuple[int, int, int] = (5, 240, 160),
    spacing_mm: tuple[float, float, float] = (4.0, 0.9, 0.9),
    stored_axes: tuple[int, int, int] = (0, 1, 2),
    stored_flipped: tuple[bool, bool, bool] = (False, False, False),
    oblique_degrees: float = 0.0,
    slice_index: int = 2,
    name: str = "analytic",
    scale_known: bool = True,
    warnings: tuple[str, ...] = (),
) -> GradingResult:
    """Return six discs on a slightly curved spine, stored in any axis order, flipped and turned about the z axis."""
    tissue, labels = _analytic_slice(shape[1:])
    voxels = np.full(shape, 40, dtype=np.int16)
    voxels[:, tissue == Tissue.VERTEBRA] = 300
    voxels[:, tissue == Tissue.CANAL] = 900
    for level, grade in ANALYTIC_GRADES.items():
        voxels[:, labels == DISC_LABELS[level]] = 620 - 100 * grade
    voxels += np.random.default_rng(1).normal(0, 15, shape).astype(np.int16)
    angle = np.radians(oblique_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) * np.array(spacing_mm)
    matrix[:3, 3] = (-9.5, -60.25, 101.125)
    canonical = SagittalVolume(voxels, matrix, stored_axes, stored_flipped, VolumeSource(name), (), scale_known)
    volume = SagittalVolume.from_stored(
        canonical.to_stored(voxels), canonical.stored_index_to_lps, VolumeSource(name), (), scale_known
    )
    discs = tuple(
        disc_grade(
            level,
            grade,
            labels,
            volume,
            slice_index,
            confident=level != "L3-L4",
            warnings=("Low confidence: read it again.",) if level == "L3-L4" else (),
        )
        for level, grade in ANALYTIC_GRADES.items()
    )
    return GradingResult(
        volume,
        slice_index,
        "chosen by content",
        discs,
        labels,
        tissue,
        warnings=warnings,
        models=MODELS,
        timings_s={"segmentation": 0.5},
    )


def spider_patients() -> list[str]:
    """Return the patients whose label maps lie beside the checkout; none without the data."""
    return sorted(path.name[:3] for path in SPIDER.glob("*_labels.nrrd"))


def spider_result(patient: str) -> GradingResult:
    """Return a result made of a real patient's label map and reference grades, levels counted from the bottom."""
    import SimpleITK

    image, labels = (SimpleITK.ReadImage(str(SPIDER / f"{patient}_{kind}.nrrd")) for kind in ("t2", "labels"))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    volume = SagittalVolume.from_stored(SimpleITK.GetArrayFromImage(image), matrix, VolumeSource(f"{patient}_t2"))
    tissues = SagittalVolume.from_stored(SimpleITK.GetArrayFromImage(labels), matrix).voxels
    index = volume.middle_slice_index
    tissue = np.ascontiguousarray(tissues[index]).astype(np.uint8)
    discs_image = SimpleITK.GetImageFromArray((tissue == Tissue.DISC).astype(np.uint8))
    components = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(discs_image))
    found = [n for n in range(1, components.max() + 1) if np.count_nonzero(components == n) >= 80]
    found.sort(key=lambda n: -np.nonzero(components == n)[0].mean())
    with (SPIDER / "grades.csv").open(newline="") as file:
        grades = {row["level"]: int(row["pfirrmann"]) for row in csv.DictReader(file) if row["patient"] == patient}
    label_slice, discs = np.zeros_like(tissue), []
    for n, level in zip(found, LEVELS_UPWARD, strict=False):
        label_slice[components == n] = DISC_LABELS[level]
        if level in grades:
            sure = level != "L3-L4"
            discs.append(disc_grade(level, grades[level], label_slice, volume, index, sure))
    discs.reverse()
    return GradingResult(
        volume,
        index,
        "middle slice",
        tuple(discs),
        label_slice,
        tissue,
        missing_lumbar_levels(tuple(disc.level for disc in discs)),
        models=MODELS,
    )


def _analytic_slice(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    bend = shape[1] * 0.45 + 8 * np.sin(rows / shape[0] * np.pi)
    across = columns - bend
    tissue, labels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    tissue[np.abs(across) < 18] = Tissue.VERTEBRA
    tissue[np.abs(across - 28) < 7] = Tissue.CANAL
    step = shape[0] / (len(ANALYTIC_GRADES) + 1)
    for n, level in enumerate(ANALYTIC_GRADES, 1):
        disc = (across / 19) ** 2 + ((rows - n * step) / 5) ** 2 < 1
        tissue[disc], labels[disc] = Tissue.DISC, DISC_LABELS[level]
    return tissue, labels
