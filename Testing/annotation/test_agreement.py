"""Agreement of readers: kappa against scikit-learn, surface distances against SimpleITK, tables and the picture."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from example_studies import SPACING_MM, eroded, make_study, read_grades, read_masks, truth_masks, two_annotators
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.annotation.agreement.agreement import ALL_LEVELS, study_agreement
from LumbarDiscGradingLib.annotation.agreement.tables import write_agreement_tables
from LumbarDiscGradingLib.annotation.log.comparison import compare_masks, dice, mean_surface_distance_mm
from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.storage.csv_files import csv_bytes
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.measures.kappa import Weights, confusion_table, kappa_with_interval, weighted_kappa
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS
from LumbarDiscGradingLib.report.agreement_picture import agreement_picture, save_agreement_picture

GRADINGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=60)
@given(GRADINGS, st.sampled_from(list(Weights)))
def test_kappa_is_that_of_scikit_learn(pairs, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    first, second = zip(*pairs, strict=True)
    ours = float(weighted_kappa(confusion_table(first, second, 5), weights))
    if len({*first, *second}) == 1:
        assert math.isnan(ours)
        return
    theirs_weights = None if weights is Weights.NONE else weights.value
    theirs = metrics.cohen_kappa_score(first, second, labels=range(5), weights=theirs_weights)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_the_interval_is_wider_where_patients_and_not_discs_vary():
    random = np.random.default_rng(0)
    patients = random.integers(0, 5, 60)
    shift = random.integers(0, 2, 60)  # a reader who is off is off on all discs of the patient
    by_patient = np.array(
        [confusion_table([g] * 5, [min(g + s, 4)] * 5, 5) for g, s in zip(patients, shift, strict=True)]
    )
    by_disc = np.array([confusion_table([g], [min(g + s, 4)], 5) for g, s in zip(patients, shift, strict=True)]).repeat(
        5, axis=0
    )
    clustered = kappa_with_interval(by_patient, Weights.QUADRATIC, 1000)
    naive = kappa_with_interval(by_disc, Weights.QUADRATIC, 1000)
    assert clustered.value == pytest.approx(naive.value)
    assert clustered.low < clustered.value < clustered.high
    assert clustered.high - clustered.low > 1.5 * (naive.high - naive.low)
    assert kappa_with_interval(by_patient, Weights.QUADRATIC, 1000) == clustered  # seeded


def test_a_kappa_that_is_often_undefined_has_no_interval():
    """One patient of four differs: in a third of the rounds he is not drawn, and all readings are the same."""
    same, other = confusion_table([1], [1], 5), confusion_table([4], [4], 5)
    found = kappa_with_interval(np.array([same, same, same, other]), Weights.QUADRATIC, 1000)
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()


def test_dice_and_surface_distance_of_shifted_boxes_are_what_geometry_says():
    first = np.zeros((4, 20, 20), bool)
    first[:, 5:10, 5:15] = True
    assert dice(first, np.roll(first, 1, axis=1)) == pytest.approx(0.8)
    one_slice = np.zeros((1, 20, 20), bool)
    one_slice[0, 5:10, 5:15] = True
    assert mean_surface_distance_mm(one_slice, one_slice, (4.0, 1.0, 1.0)) == 0.0
    line = np.zeros((1, 9, 9), bool)
    line[0, 4, 2:7] = True
    assert mean_surface_distance_mm(line, np.roll(line, 2, axis=1), (4.0, 0.5, 0.5)) == pytest.approx(1.0)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_surface_distance_is_that_of_simpleitk(seed):
    random = np.random.default_rng(seed)
    grid = np.indices((9, 24, 20))
    balls = []
    for _ in range(2):
        center, radii = random.uniform(8, 12, 3), random.uniform(3, 6, 3)
        center[0], radii[0] = 4, 2.5
        offsets = (grid - center[:, None, None, None]) / radii[:, None, None, None]
        balls.append((offsets**2).sum(axis=0) <= 1)
    surfaces = [sitk.LabelContour(_image(ball)) for ball in balls]
    total, count = 0.0, 0
    for surface, other in itertools.permutations(surfaces):
        distance = sitk.GetArrayFromImage(
            sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True)
        )
        inside = sitk.GetArrayFromImage(surface) > 0
        total, count = total + np.abs(distance[inside]).sum(), count + inside.sum()
    assert mean_surface_distance_mm(*balls, SPACING_MM) == pytest.approx(total / count, abs=1e-4)


def _image(mask: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(SPACING_MM[::-1])
    return image


def test_masks_are_compared_disc_by_disc():
    found = compare_masks(truth_masks(), eroded(truth_masks(), "L3-L4", 5), SPACING_MM)
    assert list(found) == list(LUMBAR_LEVELS)
    assert found["L1-L2"].dice == 1.0 and found["L1-L2"].surface_mm == 0.0
    assert (found["L3-L4"].dice, found["L3-L4"].surface_mm, found["L3-L4"].conflict) == (0.0, None, None)
    renamed = truth_masks()
    renamed[renamed == DISC_LABELS["L5-S1"]] = DISC_LABELS["L5-L6"]
    assert compare_masks(truth_masks(), renamed, SPACING_MM)["L5-S1"].conflict == "L5-L6"


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """Eight patients graded by two readers, one of them twice on all cases, with known errors."""
    folder = tmp_path / "study"
    make_study(folder, cases=8, repeat_share=1.0, tasks=(Task.GRADES,), name="=cmd|' /C calc'!A0")
    random = np.random.default_rng(4)
    for number in range(1, 9):
        truth = random.integers(1, 6, 5)
        noisy = np.clip(truth + random.integers(-1, 2, 5), 1, 5)
        read_grades(folder, "carl", f"C{number:04d}", truth.tolist())
        read_grades(folder, "dora", f"C{number:04d}", [0, *noisy[1:].tolist()] if number == 1 else noisy.tolist())
        read_grades(folder, "carl", f"C{number:04d}", np.clip(truth + (number == 2), 1, 5).tolist(), 2)
    return folder


def gradings(folder: Path, reader: str, round_number: int = 1) -> dict[tuple[str, str], int]:
    study = Study.open(folder)
    return {
        (case, level): grade
        for case in study.case_ids
        for level, grade in study.histories[reader].reading(case, Task.GRADES, round_number).grades.items()
    }


def test_a_studys_agreement_is_that_of_scikit_learn_on_the_same_readings(graded):
    metrics = pytest.importorskip("sklearn.metrics")
    agreement = study_agreement(Study.open(graded), resamples=200)
    carl, dora = gradings(graded, "carl"), gradings(graded, "dora")
    for found in agreement.grades:
        keys = [key for key in carl if found.level in (ALL_LEVELS, key[1]) and carl[key] and dora[key]]
        first, second = [carl[key] for key in keys], [dora[key] for key in keys]
        assert (found.first, found.second, found.discs) == ("carl", "dora", len(keys))
        assert found.agreed_share == pytest.approx(metrics.accuracy_score(first, second))
        assert np.array_equal(found.table, metrics.confusion_matrix(first, second, labels=range(1, 6)))
        for weights, kappa in (("linear", found.kappa_linear), ("quadratic", found.kappa_quadratic)):
            expected = metrics.cohen_kappa_score(first, second, labels=range(1, 6), weights=weights)
            assert kappa.value == pytest.approx(expected)
            assert kappa.low <= kappa.value <= kappa.high
    assert agreement.grades[0].not_assessable == 1
    repeated = agreement.repeated_grades[0]
    again = gradings(graded, "carl", 2)
    assert repeated.first == repeated.second == "carl"
    assert repeated.agreed_share == pytest.approx(np.mean([carl[key] == again[key] for key in carl]))


def test_masks_and_times_are_summarised(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, cases=2, **two_annotators())
    for case, rows in (("C0001", 0), ("C0002", 1)):
        read_masks(folder, "anna", case, truth_masks())
        read_masks(folder, "ben", case, eroded(truth_masks(), "L5-S1", rows))
    agreement = study_agreement(Study.open(folder), resamples=0)
    by_level = {found.level: found for found in agreement.masks}
    assert by_level["L1-L2"].dice.mean == 1.0
    assert by_level["L5-S1"].dice.mean == pytest.approx((1 + 2 * 4 / 9) / 2)
    assert by_level[ALL_LEVELS].dice.count == 10
    assert {(t.reader, t.seconds.count, t.seconds.median) for t in agreement.times} == {
        ("anna", 2, 30.0),
        ("ben", 2, 30.0),
    }
    log = (folder / "readers" / "ben" / "events.jsonl").read_text()
    assert log.count('"compared"') == 2  # noted once, not computed again
    (folder / "readers" / "anna" / "cases" / "C0001" / "masks.seg.nrrd").unlink()
    assert study_agreement(Study.open(folder), resamples=0).masks == agreement.masks


def test_tables_hold_the_numbers_and_no_formula(graded, tmp_path):
    agreement = study_agreement(Study.open(graded), resamples=100)
    paths = write_agreement_tables(agreement, tmp_path / "tables")
    assert [path.name for path in paths] == [
        "grade_agreement.csv",
        "grade_confusion.csv",
        "mask_agreement.csv",
        "reading_times.csv",
    ]
    with paths[0].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["kappa_quadratic"]) == pytest.approx(agreement.grades[0].kappa_quadratic.value, abs=1e-5)
    assert {row["kind"] for row in rows} == {"two readers", "repeated"}
    cells = csv_bytes(["a"], [["=1+1"], ["@SUM(A1)"], ["-2+3"], [-2], [float("nan")]]).decode().splitlines()[1:]
    assert cells == ["'=1+1", "'@SUM(A1)", "'-2+3", "-2", '""']


def test_the_picture_shows_something_for_each_pair(graded, tmp_path):
    agreement = study_agreement(Study.open(graded), resamples=100)
    save_agreement_picture(agreement, tmp_path / "agreement.png")
    assert (tmp_path / "agreement.png").read_bytes().startswith(b"\x89PNG")
    two_blocks = agreement_picture(agreement)
    empty = make_study(tmp_path / "empty")
    assert agreement_picture(study_agreement(empty)).height < two_blocks.height
