"""Spines that leave a single slice: each disc is found, named and graded on its own mid-sagittal slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from equipment.curved_phantoms import PaintedSpine

from LumbarDiscGradingLib.grading.corrections import DiscRemoved, MaskEdited, corrected
from LumbarDiscGradingLib.grading.spine.curve import SpineCurve
from LumbarDiscGradingLib.grading.spine.of_result import curved_picture, zones_of
from LumbarDiscGradingLib.grading.spine.slices import SpineSlices
from LumbarDiscGradingLib.imaging.canvas import Grid
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS
from LumbarDiscGradingLib.report.page import page_html
from LumbarDiscGradingLib.report.tables import grade_rows
from LumbarDiscGradingLib.report.text import report_text
from LumbarDiscGradingLib.scene.stored_result import from_text, to_text

needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)


@pytest.fixture(scope="module")
def spine():
    return PaintedSpine()


@pytest.fixture(scope="module")
def bowed(spine):
    return spine.curved(25.0, 0.0, 4.0)


@pytest.fixture(scope="module")
def result(grader, bowed):
    return grader.grade(bowed.volume)


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


@needs_models
@pytest.mark.parametrize(
    ("bow_mm", "tilt_degrees", "slice_mm", "off_mm"),
    [
        (0, 0, 4, 0),
        (0, 0, 1, 6),
        (12, 0, 5, 0),
        (25, 0, 1, 0),
        (0, 10, 4, 0),
        (0, 15, 4, 0),
        (0, 20, 4, 0),
        (15, 10, 3, 0),
    ],
)
def test_each_disc_is_named_and_lies_on_the_slice_that_cuts_it_in_the_middle(
    grader, spine, bow_mm, tilt_degrees, slice_mm, off_mm
):
    phantom = spine.curved(bow_mm, tilt_degrees, slice_mm, off_mm=off_mm)
    result = grader.grade(phantom.volume)
    assert not result.missing_levels
    for level in LUMBAR_LEVELS:
        disc = result.disc(level)
        apart = abs(result.slice_of(disc) - phantom.middle_at(level))
        assert apart * slice_mm <= max(1.5 * slice_mm, 3.5), level
        truth = phantom.mask[result.slice_of(disc)] == DISC_LABELS[level]
        assert dice(result.label_slice == disc.label_value, truth) > 0.75, level


@needs_models
@pytest.mark.parametrize(("seed", "tilt_degrees"), [(1, 20.0), (2, 20.0), (1, -20.0)])
def test_a_tilted_spine_is_followed_whatever_its_noise(grader, seed, tilt_degrees):
    phantom = PaintedSpine(seed).curved(0.0, tilt_degrees, 4.0)
    result = grader.grade(phantom.volume)
    assert not result.missing_levels
    for level in LUMBAR_LEVELS:
        assert abs(result.slice_of(result.disc(level)) - phantom.middle_at(level)) <= 1.5, level


@needs_models
def test_a_straight_spine_beside_the_middle_is_on_one_slice(grader, spine):
    result = grader.grade(spine.curved(0.0, 0.0, 4.0, off_mm=8.0).volume)
    assert result.slices == (11,)
    assert result.course.largest.offset_mm == pytest.approx(0.0, abs=2.5)


@needs_models
def test_files_say_the_slice_of_each_disc(result):
    slices = {disc.level: result.stored_slice_of(disc) for disc in result.discs}
    assert len(set(slices.values())) > 1
    for row in grade_rows(result):
        assert int(row["slice"]) == slices[row["level"]]
        center = [float(value) for value in row["slice_center_lps_mm"].split()]
        assert result.volume.index_of_lps(center)[0] == pytest.approx(slices[row["level"]])
    written = result.to_dict()
    assert {disc["level"]: disc["slice"] for disc in written["discs"]} == slices
    assert written["slice"] == result.stored_slice_index
    assert f"{len(result.slices)} slices used" in written["slice_reason"]
    assert "spine leaves the slice by" in written["slice_reason"]


@needs_models
def test_a_disc_has_one_mask_on_its_own_slice(result):
    labels = result.label_volume()
    for disc in result.discs:
        by_slice = np.flatnonzero((labels == disc.label_value).any(axis=(1, 2)))
        assert by_slice.tolist() == [result.stored_slice_of(disc)]


@needs_models
def test_the_course_is_told_as_a_hint_and_no_cobb_angle(result, bowed):
    course = result.to_dict()["spine_course"]
    lumbar = [bowed.middle_at(disc["level"]) for disc in course["discs"] if disc["level"] in LUMBAR_LEVELS]
    assert np.ptp(lumbar) > 0
    assert course["largest_offset_mm"] > 8.0
    for text in (report_text(result), page_html(result, "x"), course["note"]):
        assert "hint at scoliosis" in text
        assert "no Cobb angle" in text


@needs_models
def test_the_curved_picture_shows_each_disc_as_its_slice_does(result):
    picture = curved_picture(result)
    for disc in result.discs:
        mask = result.label_slice == disc.label_value
        np.testing.assert_array_equal(picture[mask], result.volume.voxels[result.slice_of(disc)][mask])


@needs_models
def test_the_stored_order_changes_nothing(grader, bowed, result):
    volume = bowed.volume
    array = np.ascontiguousarray(volume.voxels[::-1].transpose(2, 0, 1))
    matrix = np.eye(4)
    columns = volume.index_to_lps[:3, :3].copy()
    matrix[:3, 3] = volume.index_to_lps[:3, 3] + columns[:, 0] * (volume.slice_count - 1)
    columns[:, 0] *= -1
    matrix[:3, :3] = columns[:, [2, 0, 1]][:, ::-1]
    again = grader.grade(SagittalVolume.from_stored(array, matrix))
    assert [(disc.level, again.slice_of(disc)) for disc in again.discs] == [
        (disc.level, result.slice_of(disc)) for disc in result.discs
    ]
    np.testing.assert_array_equal(again.label_slice, result.label_slice)


@needs_models
def test_a_slice_that_is_given_is_that_of_all_discs(grader, bowed):
    result = grader.grade(bowed.volume, 11)
    assert result.slices == (11,)
    assert result.course is None


@needs_models
def test_a_scene_keeps_the_slices_and_corrections_of_discs_on_them(grader, result):
    level = next(disc.level for disc in result.discs if disc.slice_index is not None)
    disc = result.disc(level)
    mask = result.label_slice == disc.label_value
    (again,) = grader.regrade(result.volume, result.slice_of(disc), {level: mask})
    done = [MaskEdited(again, mask), DiscRemoved("L4-L5")]
    original, read = from_text(to_text(result, done), result.volume)
    assert original.discs == result.discs
    assert original.course == result.course
    fixed = corrected(original, read)
    assert fixed.slice_of(fixed.disc(level)) == result.slice_of(disc)
    assert fixed.disc(level).center_lps_mm == pytest.approx(disc.center_lps_mm, abs=0.01)


@needs_models
def test_a_disc_is_graded_on_the_slice_that_a_reader_wants_and_back(grader, result):
    own = result.slice_of(result.disc("L3-L4"))
    found = grader.disc_on_slice(result, "L3-L4", own + 1)
    done = [MaskEdited(found.disc, found.mask, found.slice_index)]
    changed = corrected(*from_text(to_text(result, done), result.volume))
    assert changed.slice_of(changed.disc("L3-L4")) == own + 1
    assert changed.disc("L3-L4").changes == (f"slice {own + 1} chosen by reader, graded again",)
    assert (changed.labels_in_volume()[own + 1] == DISC_LABELS["L3-L4"]).sum() == found.mask.sum()
    assert not (changed.labels_in_volume()[own] == DISC_LABELS["L3-L4"]).any()
    assert grader.disc_on_slice(result, "L3-L4", 0) is None


@needs_models
def test_a_result_whose_discs_share_the_slice_is_stored_as_before(result):
    models = tuple(replace(model, set_coverage=None) for model in result.models)
    straight = replace(result, discs=tuple(replace(disc, slice_index=None) for disc in result.discs), models=models)
    text = to_text(straight, [])
    assert '"layout": 1' in text
    assert '"slice_index": null' not in text
    assert from_text(text, result.volume)[0].slices == (result.slice_index,)


@needs_models
def test_evidence_lies_on_the_slice_of_each_disc(grader, result):
    volume = grader.evidence(result).in_volume()
    for disc in result.discs:
        inside = result.label_slice == disc.label_value
        assert volume[result.slice_of(disc)][inside].max() > 0.2


def slices_along(across_mm, slice_mm, count=9):
    """The slices for discs 10 mm apart, given the canal's middle at each, in mm from the middle slice."""
    volume = SagittalVolume(np.zeros((count, 4, 4)), np.diag([slice_mm, 1.0, 1.0, 1.0]))
    rows = len(across_mm) * 16
    canal = np.interp(np.arange(rows), np.arange(len(across_mm)) * 16 + 8, across_mm)
    grid = Grid((rows, 64), 0.625, (rows / 2 * 0.625, 20.0))
    curve = SpineCurve(grid, canal, np.full(rows, 32.0), np.ones(rows, dtype=bool))
    places = grid.to_mm(np.column_stack([np.arange(len(across_mm)) * 16 + 8, np.full(len(across_mm), 32)]))
    return SpineSlices.along(curve, volume).with_others(volume, places).at(places).tolist()


def test_discs_within_the_distance_of_the_slices_share_the_middle_one():
    assert slices_along([0.0, 1.0, -2.4], 0.9) == [4, 4, 4]
    assert slices_along([2.0, 3.9, -3.9], 4.0) == [4, 4, 4]


def test_a_disc_clearly_beside_the_shared_slice_gets_its_own():
    assert slices_along([0.0, 0.0, 0.0, 0.0, 3.0], 1.0) == [4, 4, 4, 4, 6]  # as near as the curve is known
    assert slices_along([-8.0, 0.0, 0.0, 0.0, 8.5], 4.0) == [2, 4, 4, 4, 6]
    assert slices_along([0.0, 0.0, 0.0, 0.0, 100.0], 4.0) == [4, 4, 4, 4, 8]


def test_a_straight_spine_beside_the_middle_shares_the_slice_that_cuts_it():
    assert slices_along([8.1, 7.8, 8.0], 4.0) == [6, 6, 6]


@pytest.mark.parametrize("noise_mm", [-0.4, -0.1, 0.1, 0.4])
def test_midway_between_two_slices_the_one_nearer_to_the_middle_is_shared(noise_mm):
    assert set(slices_along([6.0 + noise_mm] * 5, 4.0)) == {5}
    assert set(slices_along([-6.0 + noise_mm] * 5, 4.0)) == {3}


@needs_models
def test_zones_follow_the_masks(result):
    zones = zones_of(result)
    assert set(zones.slices) == set(map(result.slice_of, result.discs))
    assert zones.main_slice == result.slice_index
