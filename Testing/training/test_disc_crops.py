"""Crops for training: the same as those that grading sees, varied reproducibly, drawn by weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from distributed_worker import sample

from LumbarDiscGradingLib.evaluation.scores import DiscScore
from LumbarDiscGradingLib.grading.classifier import disc_input
from LumbarDiscGradingLib.imaging.crop import MaskUse
from LumbarDiscGradingLib.training.grading import cross_validation
from LumbarDiscGradingLib.training.grading.disc_crops import (
    MARGIN_PX,
    VARIATIONS,
    DiscCrops,
    Variation,
    crops_of,
    wide_crop,
)
from LumbarDiscGradingLib.training.grading.feature_baseline import FEATURES, features_of
from LumbarDiscGradingLib.training.grading.train import train_grading
from LumbarDiscGradingLib.training.recipes import GRADING_PRESETS, SEGMENTATION_PRESETS, changed_recipe
from LumbarDiscGradingLib.training.run_record import RunOptions

CPU = RunOptions(device="cpu")
RECIPE = GRADING_PRESETS["default"]
STILL = Variation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, flip_rows=False)


@pytest.fixture(scope="module")
def discs():
    return [sample(number) for number in range(6)]


def of_grading(disc, mask_use):
    return disc_input(disc.slice_2d, disc.mask, disc.axis, disc.fluid, disc.spacing_mm, mask_use)


@pytest.mark.parametrize("mask_use", MaskUse)
def test_training_and_grading_see_the_same_crop(discs, mask_use):
    crops = DiscCrops(discs, replace(RECIPE, mask_use=mask_use), training=False)
    batch, grades, groups, _ = crops.collate([crops[index] for index in range(len(crops))])
    for crop, disc in zip(batch, discs, strict=True):
        np.testing.assert_allclose(crop, of_grading(disc, mask_use), atol=2e-3)
    assert grades.tolist() == [disc.grade - 1 for disc in discs]
    assert groups.tolist() == [[0, 0, 1, 2, 2][disc.grade - 1] for disc in discs]


def test_a_variation_of_nothing_changes_nothing(discs):
    wide = torch.from_numpy(np.stack([wide_crop(disc) for disc in discs]).astype(np.float32))
    seeds = [(0, 0, index) for index in range(len(discs))]
    torch.testing.assert_close(
        crops_of(wide, STILL, seeds, MaskUse.CHANNEL),
        crops_of(wide, None, seeds, MaskUse.CHANNEL),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_shift_moves_the_crop_by_its_length(discs):
    wide = torch.from_numpy(np.stack([wide_crop(discs[1])]).astype(np.float32))
    shifted = crops_of(wide, replace(STILL, shift_mm=2.0), [(1, 2, 3)], MaskUse.CHANNEL)
    random = np.random.default_rng((1, 2, 3))
    random.normal(), random.uniform(), random.random(), random.random()
    along, down = random.normal(0, 2.0, 2) / 0.25
    rows, columns = np.mgrid[:128, :256]

    def center(mask):
        return (mask * rows).sum() / mask.sum(), (mask * columns).sum() / mask.sum()

    before = center(wide[0, 1, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX].numpy())
    after = center(shifted[0, 1].numpy())
    assert before[0] - after[0] == pytest.approx(down, abs=1.0)
    assert np.sign(before[1] - after[1]) == np.sign(along)  # the disc reaches the crop's ends


def test_an_epoch_can_be_repeated_exactly_and_the_next_one_differs(discs):
    first, again, other = (DiscCrops(discs, RECIPE, training=True, seed=4, weights=[1.0] * 6) for _ in range(3))
    other.epoch = 1
    batches = [crops.collate([crops[index] for index in range(6)]) for crops in (first, again, other)]
    for ours, theirs in zip(batches[0], batches[1], strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(batches[0][0], batches[2][0])
    assert np.isfinite(batches[0][0].numpy()).all()


def test_discs_are_drawn_by_weight_or_each_once(discs):
    by_weight = DiscCrops(discs, RECIPE, training=True, weights=[0, 0, 1, 0, 0, 0])
    assert {by_weight[index][1] for index in range(6)} == {discs[2].grade - 1}
    once = DiscCrops(discs, RECIPE, training=True)
    assert sorted(once._drawn(index) for index in range(6)) == list(range(6))


def test_the_study_varies_by_rotation_flips_and_noise_alone():
    paper = VARIATIONS["paper"]
    assert (paper.scale, paper.shift_mm, paper.gamma, paper.bias, paper.blur_share) == (0, 0, 0, 0, 0)
    assert paper.degrees > 0
    assert paper.noise_share == 1
    assert paper.flip_rows
    assert paper.flip_columns


TINY = replace(RECIPE, widths=(4, 8), batch_size=2, epochs=1, precision="32-true", input_pooling=4, first_round_folds=0)


def test_cross_validation_grades_each_disc_once_by_a_network_that_did_not_see_its_patient(tmp_path, monkeypatch):
    patients = [
        replace(sample(number), patient=str(number // 2), level=level)
        for number, level in enumerate(("L4-L5", "L5-S1") * 4)
    ]
    views = [replace(patients[0], grade=5), patients[0], *patients]  # three views of one disc, the first counts
    seen = []
    train = cross_validation.train_grading

    def watched(training, *rest):
        seen.append({disc.patient for disc in training})
        return train(training, *rest)

    monkeypatch.setattr(cross_validation, "train_grading", watched)
    scores = cross_validation.cross_validate(views, TINY, tmp_path, folds=2, options=CPU)
    assert sorted((s.patient, s.level) for s in scores) == sorted((d.patient, d.level) for d in patients)
    assert seen[0] | seen[1] == {"0", "1", "2", "3"}
    assert not seen[0] & seen[1]
    assert next(s for s in scores if (s.patient, s.level) == ("0", "L4-L5")).grade == 5
    assert all(sum(s.group_probabilities) == pytest.approx(1.0, abs=1e-4) for s in scores)
    seen.clear()
    cross_validation.cross_validate(views, TINY, tmp_path, folds=2, options=CPU, share=0.5)
    assert [len(patients) for patients in seen] == [1, 1]
    bright = replace(patients[0], slice_2d=patients[0].slice_2d * 3)
    beside = [views[0], bright, *views[2:]]
    middle, mean = (
        cross_validation.cross_validate(beside, TINY, tmp_path, folds=2, options=CPU, all_views=all_views)
        for all_views in (False, True)
    )
    changed = [one.level for one, other in zip(middle, mean, strict=True) if one.p_mild != other.p_mild]
    assert changed == ["L4-L5"]  # of the one disc with several views
    with pytest.raises(ValueError, match="too few for 9 folds"):
        cross_validation.cross_validate(views, TINY, tmp_path, folds=9, options=CPU)


def test_cases_of_one_person_are_never_in_two_folds_and_train_together(tmp_path, monkeypatch):
    discs = [replace(sample(number), patient=f"case-{number}", subject=f"person-{number // 3}") for number in range(12)]
    seen = []

    def watched(training, *rest):
        seen.append({disc.patient for disc in training})
        return train_grading(training, *rest)

    monkeypatch.setattr(cross_validation, "train_grading", watched)
    scores = cross_validation.cross_validate(discs, TINY, tmp_path / "folds", folds=2, options=CPU)
    assert {(score.patient, score.subject) for score in scores} == {(disc.patient, disc.subject) for disc in discs}
    people = [{disc.patient for disc in discs[first : first + 3]} for first in (0, 3, 6, 9)]
    assert len(seen) == 2
    assert all(person <= training or not person & training for training in seen for person in people)
    seen.clear()
    cross_validation.cross_validate(discs, TINY, tmp_path / "half", folds=2, options=CPU, share=0.5)
    assert all(training in people for training in seen)  # half of two people is one person with all cases
    with pytest.raises(ValueError, match="4 patients with grades, too few for 5 folds"):
        cross_validation.cross_validate(discs, TINY, tmp_path / "many", folds=5, options=CPU)
    seen.clear()
    one = cross_validation.first_round(discs[:3], replace(TINY, first_round_folds=2), tmp_path / "one", options=CPU)
    assert one == discs[:3]
    assert not seen


def test_discs_with_an_improbable_reference_are_left_out_of_a_training(discs):
    def score(disc, p_reference):
        rest = (1 - p_reference) / 2
        group = [0, 0, 1, 2, 2][disc.grade - 1]
        p = [rest, rest, rest]
        p[group] = p_reference
        groups = dict(zip(("p_mild", "p_moderate", "p_serious"), p, strict=True))
        grades = {"p_1": 0.0, "p_2": p[0], "p_3": p[1], "p_4": p[2], "p_5": 0.0}
        return DiscScore(disc.patient, disc.source, disc.level, grade=disc.grade, **groups, **grades)

    scores = [score(disc, 0.04 if index == 2 else 0.06) for index, disc in enumerate(discs[:4])]
    kept = cross_validation.informed(discs, scores)
    assert [disc.patient for disc in kept] == ["0", "1", "3", "4", "5"]
    assert all(sum(disc.believed) == pytest.approx(1.0) for disc in kept[:3])
    assert [disc.believed for disc in kept[3:]] == [None, None]  # not graded out of fold
    with pytest.raises(ValueError, match="run cross-validate"):
        cross_validation.informed(discs, [replace(scores[0], patient="someone")])


def test_a_first_round_within_a_fold_sees_nothing_of_the_fold(tmp_path, monkeypatch):
    discs = [replace(sample(number), patient=str(number // 2)) for number in range(12)]
    runs = []
    train = cross_validation.train_grading

    def watched(training, tested, recipe, folder, *rest):
        runs.append((folder, {disc.patient for disc in training}, {disc.patient for disc in tested}, training))
        return train(training, tested, recipe, folder, *rest)

    monkeypatch.setattr(cross_validation, "train_grading", watched)
    monkeypatch.setattr(cross_validation, "IMPROBABLE", 0.0)
    scores = cross_validation.cross_validate(discs, replace(TINY, first_round_folds=2), tmp_path, folds=3, options=CPU)
    assert len({(score.patient, score.level) for score in scores}) == 6
    for fold in ("fold-1", "fold-2", "fold-3"):
        *rounds, (_, trained, tested, training) = [
            run for run in runs if fold in run[0].parts[len(tmp_path.parts) :][:1]
        ]
        assert trained == {*"012345"} - tested
        assert all(sum(disc.believed) == pytest.approx(1.0, abs=1e-4) for disc in training)
        assert len(rounds) == 2
        for _, seen, graded, _ in rounds:
            assert seen | graded == trained
            assert not seen & graded


def test_an_ablation_changes_single_settings_of_the_recipe():
    changed = changed_recipe(RECIPE, ["epochs=7", "attention=false", "widths=8,16", "augment=paper"])
    assert (changed.epochs, changed.attention, changed.widths, changed.augment) == (7, False, (8, 16), "paper")
    segmentation = changed_recipe(SEGMENTATION_PRESETS["default"], ["self_training_epoch=none", "average_decay=0.9"])
    assert (segmentation.self_training_epoch, segmentation.average_decay) == (None, 0.9)
    with pytest.raises(ValueError, match="no setting 'epoch'"):
        changed_recipe(RECIPE, ["epoch=7"])
    with pytest.raises(ValueError, match="no value for the setting"):
        changed_recipe(RECIPE, ["epochs=many"])


def test_measured_features_alone_are_a_baseline(tmp_path):
    many = [replace(sample(number), patient=str(number)) for number in range(80)]
    scores = cross_validation.cross_validate(many, RECIPE, tmp_path, options=CPU, folds=4, baseline=True)
    assert len(scores) == 80
    right = np.mean([score.group_pair[0] == score.group_pair[1] for score in scores])
    assert right > 0.9  # the samples differ by their signal
    assert not list(tmp_path.iterdir())


def test_features_are_sizes_in_mm_and_signals_relative_to_fluid():
    features = dict(zip(FEATURES, features_of(sample(4)), strict=True))
    assert features["area_mm2"] == pytest.approx(np.pi * 10 * 36, rel=0.02)
    assert features["diameter_mm"] == pytest.approx(72, abs=1.5)
    assert features["height_mm"] == pytest.approx(features["area_mm2"] / features["diameter_mm"])
    assert features["signal_median"] == pytest.approx(260 / 400, abs=0.02)
    assert features["signal_dark"] < features["signal_median"] < features["signal_bright"]


def test_fewer_discs_than_a_batch_train_all_the_same_and_one_is_too_few(tmp_path, discs):
    module = train_grading(discs, discs[:2], replace(TINY, batch_size=32), tmp_path, options=CPU)
    assert module.trainer.global_step == 1
    with pytest.raises(ValueError, match="1 graded discs to train on, too few"):
        train_grading(discs[:1], discs[:2], TINY, tmp_path, options=CPU)
