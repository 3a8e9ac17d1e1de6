"""The built-in phantom looks like a sagittal T2 of the lumbar spine where it matters, and its truth is exact."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from LumbarDiscGradingLib.imaging.phantom import SAMPLE_GRADES, LumbarPhantom, lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module", params=SEEDS)
def phantom(request) -> LumbarPhantom:
    return lumbar_phantom(request.param)


def disc_signal(phantom: LumbarPhantom, level: str) -> float:
    """Mean signal of the middle of a disc, relative to the canal's fluid next to it."""
    image = phantom.volume.voxels[phantom.mid_slice_index].astype(float)
    mask = phantom.mask[phantom.mid_slice_index]
    rows, columns = np.nonzero(mask == DISC_LABELS[level])
    central = abs(columns - columns.mean()) < 0.2 * np.ptp(columns)
    nearby = np.zeros(mask.shape, bool)
    nearby[rows.min() : rows.max() + 1] = True
    fluid = np.percentile(image[nearby & (mask == Tissue.CANAL)], 90)
    return float(image[rows[central], columns[central]].mean() / fluid)


def disc_height_mm(phantom: LumbarPhantom, level: str) -> float:
    mask = phantom.mask[phantom.mid_slice_index] == DISC_LABELS[level]
    area_mm2 = mask.sum() * np.prod(phantom.volume.spacing_mm[1:])
    rows, columns = np.nonzero(mask)
    points = np.column_stack([rows, columns]) * phantom.volume.spacing_mm[1:]
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return float(area_mm2 / np.ptp(points @ axes[0]))


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others():
    first, again, other = lumbar_phantom(5), lumbar_phantom(5), lumbar_phantom(6)
    assert np.array_equal(first.volume.voxels, again.volume.voxels) and np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.volume.voxels, other.volume.voxels)


def test_it_is_a_sagittal_volume_of_a_clinical_size(phantom):
    volume = phantom.volume
    assert volume.voxels.shape == phantom.mask.shape == (15, 384, 384)
    assert volume.voxels.dtype == np.int16 and volume.voxels.min() >= 0
    assert volume.spacing_mm == pytest.approx((4.0, 0.7, 0.7))
    again = SagittalVolume.from_stored(volume.to_stored(volume.voxels), volume.stored_index_to_lps)
    assert np.array_equal(again.voxels, volume.voxels)
    assert np.allclose(again.index_to_lps, volume.index_to_lps)


def test_all_lumbar_discs_lie_whole_on_the_mid_sagittal_slice_in_order(phantom):
    mask = phantom.mask[phantom.mid_slice_index]
    heights = []
    for level in LUMBAR_LEVELS:
        rows, columns = np.nonzero(mask == DISC_LABELS[level])
        assert len(rows) > 100
        assert rows.min() > 0 and rows.max() < mask.shape[0] - 1 and columns.min() > 0
        heights.append(rows.mean())
    assert heights == sorted(heights)
    assert (mask == Tissue.VERTEBRA).any() and (mask == Tissue.CANAL).any()


def test_every_mask_value_is_known(phantom):
    known = {0, int(Tissue.VERTEBRA), int(Tissue.CANAL), *(DISC_LABELS[level] for level in SAMPLE_GRADES)}
    assert set(np.unique(phantom.mask).tolist()) <= known | {DISC_LABELS["T10-T11"]}


def test_every_disc_lies_between_two_vertebrae(phantom):
    mask = phantom.mask[phantom.mid_slice_index]
    for level in LUMBAR_LEVELS:
        rows, columns = np.nonzero(mask == DISC_LABELS[level])
        for column in np.percentile(columns, (25, 50, 75)).astype(int):
            own = rows[columns == column]
            assert Tissue.VERTEBRA in mask[own.min() - 3 : own.min(), column]
            if level != "L5-S1":  # below it lies the sacrum, which is not labelled
                assert Tissue.VERTEBRA in mask[own.max() + 1 : own.max() + 4, column]


def test_the_canal_lies_behind_every_disc(phantom):
    mask = phantom.mask[phantom.mid_slice_index]
    for level in LUMBAR_LEVELS[:-1]:
        rows, columns = np.nonzero(mask == DISC_LABELS[level])
        row = int(rows.mean())
        assert np.nonzero(mask[row] == Tissue.CANAL)[0].min() > columns[rows == row].max()


def test_the_mid_sagittal_slice_is_not_always_the_middle_one():
    differences = [lumbar_phantom(seed).mid_slice_index - 7 for seed in SEEDS]
    assert all(difference != 0 and abs(difference) <= 2 for difference in differences)


def test_a_disc_ends_beside_the_spine(phantom):
    disc = phantom.mask == DISC_LABELS["L3-L4"]
    areas = disc.sum(axis=(1, 2))
    assert areas[phantom.mid_slice_index] > 0.9 * areas.max()
    assert areas[0] < areas.max() and areas[-1] < areas.max() and min(areas[0], areas[-1]) == 0


@pytest.mark.parametrize("level", ["L2-L3", "L4-L5", "L5-S1"])
def test_a_higher_grade_is_darker_and_from_four_on_lower(level):
    made = [lumbar_phantom(2, {level: grade}, slice_count=5) for grade in (1, 2, 3, 4, 5)]
    assert [one.grades[level] for one in made] == [1, 2, 3, 4, 5]
    signals = [disc_signal(one, level) for one in made]
    assert all(brighter > 1.15 * darker for brighter, darker in pairwise(signals))
    heights = [disc_height_mm(one, level) for one in made]
    assert heights[2] < heights[1] and heights[3] < 0.85 * heights[1] and heights[4] < 0.65 * heights[1]


def test_the_signal_falls_off_from_the_coil_and_the_air_behind_has_only_noise(phantom):
    image = phantom.volume.voxels[phantom.mid_slice_index].astype(float)
    assert image[:, :40].mean() < 0.15 * np.percentile(image, 95)
    assert image[5:40, -12:].mean() < 0.05 * np.percentile(image, 99)


def test_grades_that_are_not_given_stay_those_of_the_sample():
    assert lumbar_phantom(0, {"L4-L5": 2}, slice_count=3).grades == {**SAMPLE_GRADES, "L4-L5": 2}


@pytest.mark.parametrize("grades", [{"L4-L5": 6}, {"L4-L5": 0}, {"S1-S2": 2}])
def test_grades_and_levels_that_do_not_exist_are_refused(grades):
    with pytest.raises(ValueError, match="grades 1 to 5"):
        lumbar_phantom(0, grades)
