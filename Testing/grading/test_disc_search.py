"""Looking again for a disc that was missed: what is found, where, and what is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from example_results import analytic_result

from LumbarDiscGradingLib.grading.corrections import DiscAdded, DiscRemoved, GradeSet, LevelSet, corrected
from LumbarDiscGradingLib.grading.disc_search import COST_PER_MM, DiscSearch, Look, slices_to_search
from LumbarDiscGradingLib.grading.discs import find_regions
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import ImagingError
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue
from LumbarDiscGradingLib.scene.stored_result import from_text, to_text

ANALYTIC = analytic_result()
SPACING_MM = ANALYTIC.volume.spacing_mm[1:]


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom()


@pytest.fixture(scope="module")
def result(grader, phantom):
    return grader.grade(phantom.volume)


def mask_of(result, level):
    return result.label_slice == DISC_LABELS[level]


def without(result, level):
    return corrected(result, [DiscRemoved(level)])


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def grown(mask, pixels):
    return sitk.GetArrayFromImage(sitk.BinaryDilate(sitk.GetImageFromArray(mask.astype(np.uint8)), [pixels] * 2)) > 0


def erased(phantom, level, slices):
    """Fill a disc of some slices with what the vertebrae beside it are made of, as if they had grown together."""
    voxels = phantom.volume.voxels.copy()
    random = np.random.default_rng(0)
    for index in slices:
        disc = phantom.mask[index] == DISC_LABELS[level]
        marrow = voxels[index][grown(disc, 20) & (phantom.mask[index] == Tissue.VERTEBRA)]
        if marrow.size:
            gone = grown(disc, 3)
            voxels[index][gone] = random.normal(np.median(marrow), 15.0, int(gone.sum()))
    return replace(phantom.volume, voxels=voxels)


@pytest.mark.parametrize("level", LUMBAR_LEVELS)
def test_a_disc_that_was_taken_out_is_found_again_at_the_same_place(grader, result, level):
    found = grader.find_disc(without(result, level), level)
    assert (found.level, found.slice_index) == (level, result.slice_index)
    assert overlap(found.mask, mask_of(result, level)) > 0.95
    assert found.disc.grade_probabilities == pytest.approx(result.disc(level).grade_probabilities, abs=0.05)
    assert found.disc.measurements.area_mm2 == pytest.approx(result.disc(level).measurements.area_mm2, rel=0.05)
    assert not any("seen on slice" in warning for warning in found.disc.warnings)


def test_a_disc_that_is_seen_on_a_neighbouring_slice_only_is_found_there(grader, phantom, result):
    volume = erased(phantom, "L3-L4", [result.slice_index])
    lacking = replace(without(result, "L3-L4"), volume=volume)
    found = grader.find_disc(lacking, "L3-L4")
    assert abs(found.slice_index - result.slice_index) == 1
    truth = phantom.mask[found.slice_index] == DISC_LABELS["L3-L4"]
    assert overlap(found.mask, truth) > 0.6
    place = volume.lps_mm(found.slice_index, *found.disc.center_row_column)
    assert found.disc.center_lps_mm == pytest.approx(place)
    full = corrected(lacking, [DiscAdded(found.disc, found.mask, found.slice_index)])
    assert full.missing_levels == ()
    assert full.disc("L3-L4").changes == (f"added by reader, found on slice {found.slice_index}",)
    np.testing.assert_array_equal(mask_of(full, "L3-L4"), found.mask)
    assert full.slice_of(full.disc("L3-L4")) == found.slice_index
    labels = full.labels_in_volume()
    np.testing.assert_array_equal(labels[found.slice_index] == DISC_LABELS["L3-L4"], found.mask)
    assert not (labels[result.slice_index] == DISC_LABELS["L3-L4"]).any()


def test_a_disc_that_no_slice_shows_is_not_invented(grader, phantom, result):
    everywhere = erased(phantom, "L3-L4", range(phantom.volume.slice_count))
    lacking, stages = replace(without(result, "L3-L4"), volume=everywhere), []
    assert grader.find_disc(lacking, "L3-L4", stages.append) is None
    assert stages == ["segment"] * len(slices_to_search(lacking, "L3-L4"))  # each can be stopped before it begins

    def stop(_stage):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grader.find_disc(lacking, "L3-L4", stop)
    noise = np.random.default_rng(0).integers(0, 1000, phantom.volume.voxels.shape, dtype=np.int16)
    lacking = replace(without(result, "L4-L5"), volume=replace(phantom.volume, voxels=noise))
    assert grader.find_disc(lacking, "L4-L5") is None


def test_no_disc_is_found_below_the_lumbosacral_one_nor_within_a_vertebra(grader, result):
    below = corrected(result, [LevelSet("L5-S1", "L4-L5")])
    assert below.missing_levels == ("L5-S1",)
    assert grader.find_disc(below, "L5-S1") is None
    within = corrected(result, [LevelSet("L4-L5", "L3-L4", keep_below=True)])
    assert within.missing_levels == ("L4-L5",)
    assert grader.find_disc(within, "L4-L5") is None


def test_nothing_is_looked_for_outside_the_image_nor_where_nothing_is_missing(grader, result):
    cut = int(result.disc("L4-L5").center_row_column[0]) + 15
    lacking = without(result, "L5-S1")
    volume = replace(result.volume, voxels=result.volume.voxels[:, :cut])
    lacking = replace(lacking, volume=volume, label_slice=lacking.label_slice[:cut])
    stages = []
    assert grader.find_disc(lacking, "L5-S1", stages.append) is None
    assert stages == []
    with pytest.raises(ImagingError, match="L4-L5 is not missing"):
        grader.find_disc(result, "L4-L5")


def test_what_was_found_is_kept_replayed_and_undone(grader, phantom, result):
    lacking = replace(result, volume=erased(phantom, "L3-L4", [result.slice_index]))
    found = grader.find_disc(without(lacking, "L3-L4"), "L3-L4")
    done = [
        GradeSet("L2-L3", 1),
        DiscRemoved("L3-L4"),
        DiscAdded(found.disc, found.mask, found.slice_index),
        LevelSet("L3-L4", "L2-L3"),
    ]
    original, read = from_text(to_text(lacking, done), lacking.volume)
    assert read[2].found_on_slice == found.slice_index
    again = corrected(original, read)
    assert again.discs == corrected(lacking, done).discs
    assert again.disc("L2-L3").changes == (
        f"added by reader, found on slice {found.slice_index}",
        "level set by reader (added as L3-L4)",
    )
    assert again.slice_of(again.disc("L2-L3")) == found.slice_index
    assert again.disc("L1-L2").pfirrmann == 1
    np.testing.assert_array_equal(mask_of(again, "L2-L3"), found.mask)
    undone = corrected(original, read[:2])
    assert undone.disc("L3-L4") is None
    assert undone.missing_levels == ("L3-L4",)


# -- what is a candidate, on an analytic slice


def seen(disc, probability=0.9, canal=True):
    """Return what a network would see on the analytic slice with `disc` in the place of all discs."""
    tissues = np.where(ANALYTIC.tissue_slice == Tissue.DISC, Tissue.VERTEBRA, ANALYTIC.tissue_slice)
    if not canal:
        tissues = np.where(tissues == Tissue.CANAL, Tissue.BACKGROUND, tissues)
    chances = np.where(disc, probability, 0.01).astype(np.float32)
    tissues = np.where(disc & (probability > 0.5), Tissue.DISC, tissues).astype(np.uint8)
    regions = find_regions(tissues, chances, None, np.ones(disc.shape, dtype=bool), SPACING_MM)
    return Look(None, regions, tissues, chances)


TRUE = mask_of(ANALYTIC, "L3-L4")
SEARCH = DiscSearch(without(ANALYTIC, "L3-L4"), "L3-L4", SPACING_MM)


@pytest.mark.parametrize("probability", [0.9, 0.4, 0.2])
def test_a_disc_is_a_candidate_also_where_it_is_faint(probability):
    candidate = SEARCH.candidate(seen(TRUE, probability))
    np.testing.assert_array_equal(candidate.mask, TRUE)
    assert candidate.probability == pytest.approx(probability)


def blob(rows, columns, at=(0, 0)):
    """Return a block of pixels whose centre lies so many pixels from the true disc's."""
    row, column = np.argwhere(TRUE).mean(axis=0).round().astype(int) + at
    mask = np.zeros(TRUE.shape, dtype=bool)
    mask[row - rows // 2 : row + rows // 2 + 1, column - columns // 2 : column + columns // 2 + 1] = True
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        blob(3, 7),  # a speck
        blob(6, 20),  # half a disc
        blob(30, 30),  # a vertebra
        blob(33, 9),  # across the spine
        blob(8, 37, at=(-18, 0)),  # half way to the next disc
        blob(8, 37, at=(0, 48)),  # behind the canal
        blob(8, 37, at=(0, -45)),  # in front of the spine
        mask_of(ANALYTIC, "L2-L3"),  # another disc of the result
    ],
)
@pytest.mark.parametrize("probability", [0.9, 0.2])
def test_what_has_another_size_or_place_is_none(mask, probability):
    assert SEARCH.candidate(seen(mask, probability)) is None


def test_without_vertebrae_around_it_there_is_no_disc_but_for_a_network_that_finds_discs_only():
    alone = seen(TRUE)
    alone.tissues[alone.tissues == Tissue.VERTEBRA] = Tissue.BACKGROUND
    assert SEARCH.candidate(alone) is None
    discs_only = DiscSearch(without(ANALYTIC, "L3-L4"), "L3-L4", SPACING_MM, sees_vertebrae=False)
    assert discs_only.candidate(alone) is not None


def test_a_sure_disc_beside_wins_over_a_shadow_on_the_graded_slice_but_not_over_a_disc_there():
    nothing = seen(np.zeros_like(TRUE))

    def best(**probabilities):
        looks = {2: nothing, 1: nothing, 3: nothing, 0: nothing, 4: nothing}
        looks |= {int(name[1:]): seen(TRUE, p) for name, p in probabilities.items()}
        at = {id(look): index for index, look in looks.items()}
        looked = []
        found = SEARCH.best(
            slices_to_search(SEARCH.result, "L3-L4"), lambda index: looked.append(index) or looks[index]
        )
        return (at[id(found[0])] if found else None), looked

    assert best() == (None, [2, 1, 3, 0, 4])
    assert best(s2=0.3, s3=0.9)[0] == 3
    assert best(s2=0.85, s3=0.9)[0] == 2
    assert best(s1=0.7, s4=0.75)[0] == 1
    assert best(s2=0.95, s3=0.99) == (2, [2])  # none beside can win any more
    assert 1.0 - COST_PER_MM * 4.0 < 0.95


def test_slices_within_ten_millimetres_are_looked_at_the_nearest_first():
    lacking = without(ANALYTIC, "L3-L4")
    assert slices_to_search(lacking, "L3-L4") == [2, 1, 3, 0, 4]
    assert slices_to_search(replace(lacking, slice_index=0), "L3-L4") == [0, 1, 2]
    thin = analytic_result(shape=(30, 240, 160), spacing_mm=(0.9, 0.9, 0.9), slice_index=15)
    thin = without(thin, "L3-L4")
    assert slices_to_search(thin, "L3-L4") == [15, 13, 17, 11, 19, 9, 21, 7, 23, 5, 25]
