"""Levels are named from the lumbosacral junction upward, by what is on the slice; what is missing is said."""

import numpy as np
import pytest
from scipy.ndimage import rotate

from LumbarDiscGradingLib.grading.discs import find_regions
from LumbarDiscGradingLib.grading.naming.levels import name_levels
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue


@pytest.fixture(scope="module")
def truth():
    phantom = lumbar_phantom()
    return phantom.mask[phantom.mid_slice_index], phantom.volume.spacing_mm[1:]


def named(labels, spacing, landmark=True, also_marked=False):
    is_disc = np.isin(labels, list(DISC_LABELS.values()))
    tissues = np.where(is_disc, np.uint8(Tissue.DISC), labels).astype(np.uint8)
    marked = ((labels == DISC_LABELS["L5-S1"]) | also_marked).astype(np.float32) if landmark else None
    regions = find_regions(tissues, is_disc.astype(np.float32), marked, np.ones(labels.shape, bool), spacing)
    return name_levels(regions, (labels.shape[0] - 1) * spacing[0])


def assert_rightly_named(result, labels):
    for level, disc in zip(result.levels, result.discs, strict=True):
        values, counts = np.unique(labels[disc.mask], return_counts=True)
        assert values[np.argmax(counts)] == DISC_LABELS[level]


@pytest.mark.parametrize("landmark", [True, False])
def test_all_lumbar_discs_are_named_with_and_without_the_landmark(truth, landmark):
    labels, spacing = truth
    result = named(labels, spacing, landmark)
    assert set(LUMBAR_LEVELS) <= set(result.levels)
    assert result.missing == ()
    assert_rightly_named(result, labels)


@pytest.mark.parametrize("level", ["L4-L5", "L3-L4", "L2-L3"])
def test_a_disc_that_was_not_found_keeps_its_level_free(truth, level):
    labels, spacing = truth
    labels = np.where(labels == DISC_LABELS[level], 0, labels)
    result = named(labels, spacing)
    assert level not in result.levels
    assert level in result.missing
    assert any(level in warning for warning in result.warnings)
    assert_rightly_named(result, labels)


@pytest.mark.parametrize("level", ["L4-L5", "L3-L4", "L2-L3"])
def test_a_faint_disc_in_a_gap_is_found_and_one_beside_it_is_not(truth, level):
    labels, spacing = truth
    is_disc = np.isin(labels, list(DISC_LABELS.values()))
    faint = labels == DISC_LABELS[level]
    probability = np.where(faint, 0.2, is_disc).astype(np.float32)
    probability[labels == Tissue.VERTEBRA] = 0.05
    tissues = np.where(is_disc & ~faint, np.uint8(Tissue.DISC), np.where(faint, 0, labels)).astype(np.uint8)
    for value, found in ((0.2, True), (0.1, False)):
        probability[faint] = value
        probability[:40, :40] = 0.4  # not between two discs
        regions = find_regions(tissues, probability, None, np.ones(labels.shape, bool), spacing)
        discs = [disc for disc in regions.discs if disc.mask[faint].any()]
        assert bool(discs) == found
        for disc in discs:
            assert disc.mask[faint].mean() > 0.9
            assert disc.probability == pytest.approx(0.2, abs=0.02)
        assert not any(disc.mask[:40, :40].any() for disc in regions.discs)


def test_a_lumbosacral_disc_that_was_not_found_does_not_shift_the_others(truth):
    labels, spacing = truth
    labels = np.where(labels == DISC_LABELS["L5-S1"], 0, labels)
    result = named(labels, spacing)
    assert result.levels[0] == "L4-L5"
    assert "L5-S1" in result.missing
    assert_rightly_named(result, labels)


@pytest.mark.parametrize("lost", [("L5-S1", "L4-L5"), ("L5-S1", "L4-L5", "L3-L4")])
def test_several_lowest_discs_that_were_not_found_do_not_shift_the_others(truth, lost):
    labels, spacing = truth
    labels = np.where(np.isin(labels, [DISC_LABELS[level] for level in lost]), 0, labels)
    for landmark in (True, False):
        result = named(labels, spacing, landmark)
        assert set(lost) <= set(result.missing)
        assert_rightly_named(result, labels)


def test_a_field_of_view_that_ends_above_the_junction_is_said_and_not_trusted(truth):
    labels, spacing = truth
    lowest = int(np.argwhere(labels == DISC_LABELS["L4-L5"])[:, 0].max()) + 6
    result = named(labels[:lowest], spacing)
    assert not result.trusted
    assert any("not in the image" in warning for warning in result.warnings)


@pytest.mark.parametrize("taken_for_lumbosacral", [False, True])
@pytest.mark.parametrize("sacrum_taken_for_vertebra", [False, True])
def test_a_sacral_remnant_below_the_lumbosacral_disc_is_left_out(
    truth, taken_for_lumbosacral, sacrum_taken_for_vertebra
):
    labels, spacing = truth
    labels = labels.copy()
    center = np.argwhere(labels == DISC_LABELS["L5-S1"]).mean(axis=0) * spacing + (30.0, 22.0)
    rows, columns = np.indices(labels.shape)
    y, x = rows * spacing[0] - center[0], columns * spacing[1] - center[1]
    remnant = (np.abs(x) < 8) & (np.abs(y - 0.3 * x) < 3) & (labels == 0)
    labels[remnant] = Tissue.DISC
    if sacrum_taken_for_vertebra:
        body = np.hypot(y + 14.0, x + 10.0) < 13.0
        labels[body & (labels == 0)] = Tissue.VERTEBRA
    result = named(labels, spacing, also_marked=remnant & taken_for_lumbosacral)
    assert result.levels[0] == "L5-S1"
    assert not (result.discs[0].mask & remnant).any()
    assert_rightly_named(result, labels)


def test_two_discs_that_look_like_the_lumbosacral_one_are_said(truth):
    labels, spacing = truth
    result = named(labels, spacing, also_marked=labels == DISC_LABELS["L4-L5"])
    assert result.levels[0] == "L5-S1"
    assert not result.trusted
    assert any("looks like it, too" in warning for warning in result.warnings)
    assert_rightly_named(result, labels)


@pytest.mark.parametrize(("small", "steep"), [(True, True), (True, False), (False, True)])
def test_a_small_lumbosacral_disc_below_one_as_steep_as_that_is_said(truth, small, steep):
    labels, spacing = truth
    lowest = labels == DISC_LABELS["L5-S1"]
    rows, columns = np.nonzero(lowest)
    halved = (columns < np.median(columns) - 2) if small else np.zeros(len(rows), bool)
    labels = labels.copy()
    labels[rows[halved], columns[halved]] = 0
    if steep:
        labels = rotate(labels, 20.0, reshape=False, order=0)
    result = named(labels, spacing)
    assert_rightly_named(result, labels)
    said = any("below a disc as steep as L5-S1" in warning for warning in result.warnings)
    assert said == (small and steep)
    assert result.trusted == (not said)


def test_a_part_of_the_sacrum_taken_for_a_vertebra_does_not_shift_the_levels(truth):
    labels, spacing = truth
    labels = labels.copy()
    center = np.argwhere(labels == DISC_LABELS["L5-S1"]).mean(axis=0) * spacing + (16.0, 8.0)
    rows, columns = np.indices(labels.shape)
    part = np.hypot(rows * spacing[0] - center[0], columns * spacing[1] - center[1]) < 10.0
    labels[part & (labels == 0)] = Tissue.VERTEBRA
    for landmark in (True, False):
        result = named(labels, spacing, landmark)
        assert result.levels[0] == "L5-S1"
        assert_rightly_named(result, labels)


def test_a_disc_in_two_pieces_is_one_disc(truth):
    labels, spacing = truth
    pixels = np.argwhere(labels == DISC_LABELS["L4-L5"])
    middle = int(np.median(pixels[:, 1]))
    labels = labels.copy()
    gap = (labels == DISC_LABELS["L4-L5"]) & (np.abs(np.indices(labels.shape)[1] - middle) <= 2)
    labels[gap] = 0
    result = named(labels, spacing)
    disc = result.discs[result.levels.index("L4-L5")]
    assert disc.mask[labels == DISC_LABELS["L4-L5"]].all()
    assert_rightly_named(result, labels)


def test_a_piece_beside_a_disc_is_not_another_level(truth):
    labels, spacing = truth
    labels = labels.copy()
    pixels = np.argwhere(labels == DISC_LABELS["L4-L5"])
    front = (pixels[:, 1].min() * spacing[1] - 14.0, pixels[:, 0].mean() * spacing[0])
    rows, columns = np.indices(labels.shape)
    x, y = columns * spacing[1] - front[0], rows * spacing[0] - front[1]
    labels[(np.abs(y) < 7) & (np.abs(x) < 3)] = Tissue.DISC  # upright, in front of the spine, as an osteophyte may look
    result = named(labels, spacing)
    assert set(LUMBAR_LEVELS) <= set(result.levels)
    assert_rightly_named(result, labels)


def test_discs_that_grew_together_are_parted(truth):
    labels, spacing = truth
    labels = labels.copy()
    upper, lower = (np.argwhere(labels == DISC_LABELS[level]) for level in ("L3-L4", "L4-L5"))
    column = int(min(upper[:, 1].max(), lower[:, 1].max())) - 1
    bridge = (slice(int(upper[:, 0].mean()), int(lower[:, 0].mean())), slice(column, column + 2))
    labels[bridge] = np.where(np.isin(labels[bridge], list(DISC_LABELS.values())), labels[bridge], Tissue.DISC)
    result = named(labels, spacing)
    assert set(LUMBAR_LEVELS) <= set(result.levels)
    for level in ("L3-L4", "L4-L5"):
        mask = result.discs[result.levels.index(level)].mask
        reference = labels == DISC_LABELS[level]
        assert 2 * (mask & reference).sum() / (mask.sum() + reference.sum()) > 0.85


def test_no_disc_at_all_is_said():
    result = named(np.zeros((64, 64), np.uint8), (1.0, 1.0))
    assert result.levels == ()
    assert result.warnings
