"""All discs of a slice are named at once, by what is seen of each level, and the naming says how sure it is."""

import numpy as np
import pytest

from LumbarDiscGradingLib.grading.discs import find_regions
from LumbarDiscGradingLib.grading.naming.chain import best_chain
from LumbarDiscGradingLib.grading.naming.levels import name_levels, shown_bottom_mm
from LumbarDiscGradingLib.grading.naming.sight import LevelSight
from LumbarDiscGradingLib.imaging.canvas import Grid
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LEVELS_UPWARD, LUMBAR_LEVELS, Tissue

SEEN = LEVELS_UPWARD[:6]
BLOCK = 8


@pytest.fixture(scope="module")
def truth():
    phantom = lumbar_phantom()
    return phantom.mask[phantom.mid_slice_index], phantom.volume.spacing_mm[1:]


def regions_of(labels, spacing):
    is_disc = np.isin(labels, list(DISC_LABELS.values()))
    tissues = np.where(is_disc, np.uint8(Tissue.DISC), labels).astype(np.uint8)
    return find_regions(tissues, is_disc.astype(np.float32), None, np.ones(labels.shape, bool), spacing)


def sight_of(labels, spacing, shift=0, sure=1.0, temperature=6.0, unseen=()):
    """What a locator would see that knows the truth, or takes each disc for the one `shift` above it."""
    grid = Grid.fitting(labels.shape, spacing, 0.625)
    blocks = tuple(-(-size // BLOCK) for size in grid.shape)
    maps, absent = np.zeros((len(SEEN), *blocks), np.float32), np.ones(len(SEEN), np.float32)
    for disc in regions_of(labels, spacing).discs:
        values, counts = np.unique(labels[disc.mask], return_counts=True)
        true = next(level for level, value in DISC_LABELS.items() if value == values[np.argmax(counts)])
        row, column = (grid.from_mm(disc.posterior_mm[None])[0] / BLOCK).astype(int)
        for offset, share in ((shift, sure), (shift + 1, 1 - sure)):
            level = LEVELS_UPWARD.index(true) + offset
            if 0 <= level < len(SEEN) and level not in unseen:
                maps[level, row, column] += share
                absent[level] -= share
    return LevelSight(SEEN, maps, np.maximum(absent, 0), grid, BLOCK, temperature)


def named(labels, spacing, sight):
    return name_levels(regions_of(labels, spacing), (labels.shape[0] - 1) * spacing[0], sight)


def assert_rightly_named(result, labels):
    assert result.levels
    for level, disc in zip(result.levels, result.discs, strict=True):
        values, counts = np.unique(labels[disc.mask], return_counts=True)
        assert values[np.argmax(counts)] == DISC_LABELS[level]


def without(labels, *levels):
    return np.where(np.isin(labels, [DISC_LABELS[level] for level in levels]), 0, labels).astype(np.uint8)


def test_what_is_seen_names_all_discs_with_confidence(truth):
    labels, spacing = truth
    result = named(labels, spacing, sight_of(labels, spacing))
    assert set(LUMBAR_LEVELS) <= set(result.levels)
    assert_rightly_named(result, labels)
    assert result.confidence > 0.95
    assert result.trusted
    assert result.warnings == ()


@pytest.mark.parametrize("lost", [("L5-S1",), ("L4-L5",), ("L5-S1", "L4-L5"), ("L2-L3",), ("L1-L2", "T12-L1")])
def test_discs_that_were_not_found_do_not_shift_the_others_and_are_said(truth, lost):
    labels, spacing = truth
    result = named(without(labels, *lost), spacing, sight_of(labels, spacing))
    assert_rightly_named(result, labels)
    for level in lost:
        assert level not in result.levels
    below_the_highest = [level for level in lost if level not in ("L1-L2", "T12-L1")]
    assert set(below_the_highest) <= set(result.missing)


def test_a_field_of_view_that_ends_above_the_junction_claims_no_lumbosacral_disc(truth):
    labels, spacing = truth
    lowest = int(np.argwhere(labels == DISC_LABELS["L4-L5"])[:, 0].max()) + 6
    cut = labels[:lowest]
    result = named(cut, spacing, sight_of(cut, spacing))
    assert "L5-S1" not in result.levels
    assert_rightly_named(result, cut)
    assert not result.trusted
    assert any("not in the image" in warning for warning in result.warnings)


def test_a_blob_on_the_abdominal_wall_is_no_disc(truth):
    labels, spacing = truth
    blob = labels.copy()
    rows, columns = np.indices(labels.shape)
    center = np.argwhere(labels == DISC_LABELS["L3-L4"]).mean(axis=0)
    shape = (np.abs(rows - center[0] - 12 / spacing[0]) * spacing[0] < 4) & (
        np.abs(columns - center[1] + 48 / spacing[1]) * spacing[1] < 10
    )
    blob[shape & (labels == 0)] = Tissue.DISC
    assert (blob == Tissue.DISC).sum() > 100
    result = named(blob, spacing, sight_of(labels, spacing))
    assert not any(disc.mask[blob == Tissue.DISC].any() for disc in result.discs)
    assert_rightly_named(result, labels)


def test_a_sacral_remnant_below_is_left_out_and_said(truth):
    labels, spacing = truth
    remnant = labels.copy()
    center = np.argwhere(labels == DISC_LABELS["L5-S1"]).mean(axis=0) * spacing + (30.0, 22.0)
    rows, columns = np.indices(labels.shape)
    y, x = rows * spacing[0] - center[0], columns * spacing[1] - center[1]
    remnant[(np.abs(x) < 9) & (np.abs(y - 0.3 * x) < 3) & (labels == 0)] = Tissue.DISC
    result = named(remnant, spacing, sight_of(labels, spacing))
    assert result.levels[0] == "L5-S1"
    assert_rightly_named(result, labels)
    assert any("below L5-S1" in warning for warning in result.warnings)


def test_one_that_is_torn_between_two_namings_is_not_sure(truth):
    labels, spacing = truth
    chain = best_chain(regions_of(labels, spacing).discs, sight_of(labels, spacing, sure=0.55))
    assert chain.confidence(6.0) < 0.8


@pytest.mark.parametrize("sure", [1.0, 0.6])
def test_a_sight_that_contradicts_the_count_is_doubted_whichever_wins(truth, sure):
    labels, spacing = truth
    result = named(labels, spacing, sight_of(labels, spacing, shift=1, sure=sure))
    assert not result.trusted
    assert any("check the levels" in warning for warning in result.warnings)


def test_a_sure_count_decides_where_the_sight_is_torn(truth):
    labels, spacing = truth
    result = named(labels, spacing, sight_of(labels, spacing, shift=0, sure=0.45))
    assert_rightly_named(result, labels)


def test_a_higher_temperature_is_less_sure_of_the_same_names(truth):
    labels, spacing = truth
    chain = best_chain(regions_of(labels, spacing).discs, sight_of(labels, spacing, sure=0.8))
    assert 0.5 < chain.confidence(10.0) < chain.confidence(3.0) < chain.confidence(1.0) <= 1.0


def test_the_sight_sums_to_one_near_the_discs(truth):
    labels, spacing = truth
    sight = sight_of(labels, spacing)
    discs = regions_of(labels, spacing).discs
    near = sight.near([disc.posterior_mm for disc in discs])
    np.testing.assert_allclose(near.sum(axis=0) + sight.absent, 1.0, atol=1e-6)
    places = [sight.place_mm(level) for level in range(len(SEEN))]
    for level in range(5):
        assert np.linalg.norm(places[level] - discs[level].posterior_mm) < 6.0


@pytest.mark.parametrize("padding", [0, 60])
def test_the_bottom_of_a_padded_picture_is_where_it_ends_to_show_something(padding):
    random = np.random.default_rng(0)
    shown = random.normal(100, 20, (150, 120))
    picture = np.pad(shown, ((0, padding), (0, 0)))
    assert shown_bottom_mm(picture, 0.5) == pytest.approx(149 * 0.5)
    assert shown_bottom_mm(np.zeros((10, 10)), 2.0) == 18.0


def test_a_sight_of_the_lumbosacral_disc_at_the_very_edge_is_an_assumption(truth):
    labels, spacing = truth
    lowest = int(np.argwhere(labels == DISC_LABELS["L5-S1"])[:, 0].max()) + 4
    cut = labels[:lowest]
    result = named(cut, spacing, sight_of(cut, spacing))
    assert_rightly_named(result, cut)
    assert not result.trusted
    assert any("levels are an assumption" in warning for warning in result.warnings)
