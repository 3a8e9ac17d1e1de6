"""Training end to end on tiny data sets made of phantoms: model folders come out, test patients stay unread."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from example_trainings import TINY
from scipy.ndimage import distance_transform_edt

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, write_dataset
from LumbarDiscGradingLib.evaluation.scores import read_scores
from LumbarDiscGradingLib.grading.segmenter import Segmenter
from LumbarDiscGradingLib.imaging.canvas import Grid
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.models.folder import TrainedModel
from LumbarDiscGradingLib.models.store import find_model
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, Tissue
from LumbarDiscGradingLib.training import ablation, recipes
from LumbarDiscGradingLib.training.augmentation import wrap_around
from LumbarDiscGradingLib.training.grading import disc_samples
from LumbarDiscGradingLib.training.grading.train import fit_temperature, ordinal_loss, ordinal_target
from LumbarDiscGradingLib.training.mask_targets import (
    LANDMARK_LUMBOSACRAL,
    LANDMARK_OTHER,
    LANDMARK_UNKNOWN,
    shows_discs_at,
    tissues_and_landmark,
)
from LumbarDiscGradingLib.training.model_export import record_metrics
from LumbarDiscGradingLib.training.run_folder import moving_average
from LumbarDiscGradingLib.training.run_record import RunOptions
from LumbarDiscGradingLib.training.segmentation import folds as segmentation_folds
from LumbarDiscGradingLib.training.segmentation.contour_offset import best_offset, take_off_disc_logit
from LumbarDiscGradingLib.training.segmentation.slices import IGNORED, SlicePatches, TrainingCase
from LumbarDiscGradingLib.training.segmentation.train import (
    SegmentationData,
    SegmentationModule,
    read_labels,
    train_segmentation,
    write_labels,
)

CPU = RunOptions(device="cpu")
ONWARD = RunOptions(resume=True, device="cpu")
SPLITS = {"train": ["a", "b"], "tune": ["c"], "test": ["d"]}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """A data set of four phantom patients with masks and grades; the test patient's files are taken away."""
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    cases = []
    for seed, patient in enumerate("abcd"):
        phantom = lumbar_phantom(seed, slice_count=3)
        grades = {level: grade for level, grade in phantom.grades.items() if level.startswith("L")}
        cases.append(CaseToWrite(patient, phantom.volume, phantom.mask, grades))
    dataset = write_dataset(
        folder, name="phantoms", cases=cases, splits=SPLITS, licence="none", attribution="made by code"
    )
    test_case = dataset.cases_in("test")[0]
    assert test_case.patient == "d"
    np.testing.assert_equal(test_case.volume().voxels.shape[0], 3)
    test_case.image_path.write_bytes(b"not to be read")
    test_case.mask_path.write_bytes(b"not to be read")
    return folder


def test_segmentation_trains_without_reading_test_patients_and_yields_a_model_that_loads(
    phantoms, tmp_path, monkeypatch
):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    arguments = ["train", "segmentation", "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "cpu"]
    assert main([*arguments, "--name", "tiny"]) == 0
    model = TrainedModel.open(tmp_path / "model")
    assert (model.name, model.task) == ("tiny", "segmentation")
    assert model.manifest["training_data"][0]["patients"] == 2
    assert "made by code" in model.card
    output = model.load("cpu")(torch.zeros(1, 1, 32, 32))
    assert output.shape == (1, 5, 32, 32)
    assert torch.isfinite(output).all()


def test_ablations_undo_the_choices_of_a_recipe_one_by_one_and_go_on_where_they_were(
    phantoms, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    monkeypatch.setattr(ablation, "SEGMENTATION_ABLATIONS", {"only gentle": ("gentle_share=1",)})
    arguments = ["ablate", "segmentation", "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "cpu"]
    assert main([*arguments, "--set", "epochs=2"]) == 0
    assert "| only gentle |" in capsys.readouterr().out
    with (tmp_path / "ablation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["change"] for row in rows} == {"only gentle"}
    assert {"median disc Dice", "lumbar discs found and rightly named"} <= {row["name"] for row in rows}
    gentle, plain = (TrainedModel.open(tmp_path / run / "model") for run in ("gentle_share-1", "recipe"))
    shares = [model.manifest["training"]["recipe"]["gentle_share"] for model in (gentle, plain)]
    assert shares == [1.0, TINY.gentle_share]
    assert gentle.manifest["training"]["recipe"]["epochs"] == 2
    tuning = {score.patient for score in read_scores(tmp_path / "recipe" / "discs.csv")}
    assert tuning == {"c"}

    narrow = {"narrow": ("base_width=4",), "only gentle": ("gentle_share=1",)}  # a model's width cannot change
    monkeypatch.setattr(ablation, "SEGMENTATION_ABLATIONS", narrow)
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "refine", replace(TINY, epochs=1))
    start = [*arguments[:4], "--output", str(tmp_path / "refined"), *arguments[6:]]
    start += ["--start-from", str(tmp_path / "recipe" / "model")]
    capsys.readouterr()
    for setting in ("base_width", "no_such"):
        assert main([*start, "--only", setting]) == 1
        assert f"No ablation changes '{setting}'; those that are changed are gentle_share." in capsys.readouterr().err
    assert main(start) == 0
    assert not (tmp_path / "refined" / "base_width-4").exists()
    assert (tmp_path / "refined" / "gentle_share-1" / "discs.csv").exists()
    both = {"narrow": ("base_width=2",), "only gentle": ("gentle_share=1",)}
    monkeypatch.setattr(ablation, "SEGMENTATION_ABLATIONS", both)
    arguments += ["--only", "gentle_share"]

    # what was measured is not measured again
    monkeypatch.setattr("LumbarDiscGradingLib.training.segmentation.train.train_segmentation", None)
    assert main([*arguments, "--set", "epochs=2"]) == 0


def test_each_patient_is_segmented_once_by_a_network_that_did_not_see_that_patient(phantoms, tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    seen = []
    train = segmentation_folds.train_segmentation

    def watched(datasets, *arguments):
        seen.append({case.patient for dataset in datasets for case in dataset.cases_in("train")})
        return train(datasets, *arguments)

    monkeypatch.setattr(segmentation_folds, "train_segmentation", watched)
    arguments = ["cross-validate", "segmentation", "--data", str(phantoms), "--folds", "3", "--accelerator", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "folds"), "--set", "epochs=1"]) == 0
    assert sorted(map(sorted, seen)) == [["a", "b"], ["a", "c"], ["b", "c"]]
    scores = read_scores(tmp_path / "folds" / "discs.csv")
    discs = [(score.patient, score.level) for score in scores]
    assert len(set(discs)) == len(discs)
    assert {patient for patient, _ in discs} == {"a", "b", "c"}
    assert all(score.dice is not None and score.group_pair is None for score in scores)

    # with the test patient the folder's unreadable file is found
    assert main([*arguments, "--output", str(tmp_path / "all"), "--with-test"]) == 1


def test_folds_go_on_from_the_networks_that_did_not_see_their_patients(phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "refine", replace(TINY, learning_rate=1e-12, fit_contour=False))
    arguments = ["cross-validate", "segmentation", "--data", str(phantoms), "--folds", "3", "--accelerator", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "folds")]) == 0
    refine = [*arguments, "--preset", "refine"]
    onward = [*refine, "--start-from", str(tmp_path / "folds")]
    assert main([*onward, "--output", str(tmp_path / "refined")]) == 0
    for fold in ("fold-1", "fold-2", "fold-3"):
        first, second = (TrainedModel.open(tmp_path / name / fold / "model") for name in ("folds", "refined"))
        assert second.manifest["training"]["started_from"]["sha256"] == first.sha256
        for name, value in first.load().named_parameters():
            torch.testing.assert_close(second.load().get_parameter(name), value, atol=1e-4, rtol=1e-3, msg=name)
    capsys.readouterr()

    for wrong, told in (
        ([*onward, "--seed", "1"], "trained on 1 of the patients that it would be tested on"),
        (refine, "goes with --start-from"),
        ([*arguments, "--start-from", str(tmp_path / "folds")], "goes with --start-from"),
        ([*onward, "--start-from", str(tmp_path)], "does not say what it was made from (run.json); begin the folds"),
    ):
        assert main([*wrong, "--output", str(tmp_path / "wrong")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line
    assert not list((tmp_path / "wrong").rglob("*.ckpt"))


def test_a_run_that_was_broken_off_goes_on_to_exactly_the_same_weights(phantoms, tmp_path, monkeypatch):
    datasets, recipe = [LabelledDataset.open(phantoms)], replace(TINY, epochs=3)
    whole = train_segmentation(datasets, recipe, tmp_path / "whole", options=CPU)
    draw = SlicePatches.__getitem__

    def break_off_in_the_second_epoch(patches, index):
        if patches.epoch == 1:
            raise KeyError("broken off")
        return draw(patches, index)

    with monkeypatch.context() as patched, pytest.raises(KeyError):
        patched.setattr(SlicePatches, "__getitem__", break_off_in_the_second_epoch)
        train_segmentation(datasets, recipe, tmp_path / "broken", options=CPU)
    resumed = train_segmentation(datasets, recipe, tmp_path / "broken", options=ONWARD)
    assert resumed.trainer.global_step == 3 * TINY.steps_per_epoch
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    with (tmp_path / "broken" / "metrics-resumed-1" / "metrics.csv").open() as file:
        assert {row["epoch"] for row in csv.DictReader(file)} == {"1", "2"}


def test_a_training_goes_on_from_a_model_and_its_card_says_so(phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "refine", replace(TINY, learning_rate=1e-12, fit_contour=False))
    arguments = ["train", "segmentation", "--data", str(phantoms), "--accelerator", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "first"), "--name", "first"]) == 0
    refine = [*arguments, "--preset", "refine", "--output", str(tmp_path / "second")]
    assert main(refine) == 1
    assert "--start-from" in capsys.readouterr().err
    assert main([*refine, "--start-from", str(tmp_path / "first" / "model")]) == 0
    first, second = (TrainedModel.open(tmp_path / name / "model") for name in ("first", "second"))
    for name, value in first.load().named_parameters():
        torch.testing.assert_close(second.load().get_parameter(name), value, atol=1e-4, rtol=1e-3, msg=name)
    assert second.manifest["training"]["started_from"]["sha256"] == first.sha256
    assert "Started from the weights of first" in second.card


def test_a_model_of_another_architecture_is_no_start(phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "refine", TINY)
    arguments = ["train", "segmentation", "--preset", "refine", "--start-from", "unet-lumbar-t2"]
    assert main([*arguments, "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "cpu"]) == 1
    assert "another architecture" in capsys.readouterr().err


def test_a_resumed_run_keeps_the_labels_that_the_network_made_itself(phantoms, tmp_path):
    dataset = LabelledDataset.open(phantoms)
    cases = dataset.cases_in("train")
    path = tmp_path / "own-labels.npz"
    unlabelled = [TrainingCase.load(replace(case, mask_path=None)) for case in cases]
    known = TrainingCase.load(cases[1])
    middle = replace(known, voxels=known.voxels[1:2], labels=known.labels[1:2])
    write_labels(path, [middle])
    (again,) = read_labels(path, unlabelled)
    assert again.patient == "b"
    np.testing.assert_array_equal(again.labels, middle.labels)
    np.testing.assert_array_equal(again.voxels, middle.voxels)


def test_discs_drawn_too_large_are_brought_to_the_size_of_their_references(phantoms):
    module = SegmentationModule(TINY)
    case = TrainingCase.load(LabelledDataset.open(phantoms).cases_in("train")[0])
    grid = Grid.fitting(case.voxels.shape[1:], case.spacing_mm[1:], TINY.pixel_size_mm)
    tissues, _ = tissues_and_landmark(grid.sample(case.labels[1], case.spacing_mm[1:], nearest=True).astype(np.uint8))
    distance = distance_transform_edt(tissues != Tissue.DISC) - distance_transform_edt(tissues == Tissue.DISC)

    class TooLarge(torch.nn.Module):
        """Disc logit 0.5 per pixel inside the border, found two pixels too far outside."""

        def __init__(self):
            super().__init__()
            self.head = torch.nn.Conv2d(1, 5, 1)
            torch.nn.init.zeros_(self.head.bias)
            torch.nn.init.zeros_(self.head.weight)
            self.head.weight.data[Tissue.DISC] = 1.0

        def forward(self, image):
            return self.head(torch.from_numpy((2.0 - distance) / 2).float()[None, None])

    module.network = TooLarge()
    offset = best_offset(module, [[case]])
    assert 0.5 <= offset <= 1.25
    before = module.network(None)[0, Tissue.DISC]
    take_off_disc_logit(module, offset)
    torch.testing.assert_close(module.network(None)[0, Tissue.DISC], before - offset)


def test_cases_without_masks_are_labelled_by_the_network_only_after_the_given_epoch(phantoms, tmp_path):
    dataset = LabelledDataset.open(phantoms)
    without = replace(dataset.cases_in("train")[1], mask_path=None)
    dataset = replace(dataset, cases=(dataset.cases_in("train")[0], without))
    data = SegmentationData([dataset], TINY, seed=0)
    assert [case.patient for case in data.training] == ["a"]
    assert [case.patient for case in data.unlabelled] == ["b"]


def drawn_on_one_slice(patient, index, slice_count=9, discs_alone=False):
    """A phantom in slabs of 4 mm on one slice of which the discs were drawn; the other tissues are everywhere."""
    phantom = lumbar_phantom(3, slice_count=slice_count)
    discs = np.isin(phantom.mask, list(DISC_LABELS.values()))
    discs[index] = False
    mask = np.where(discs, 0, phantom.mask)
    if discs_alone:
        mask = np.where(np.isin(mask, list(DISC_LABELS.values())), mask, 0)
    grades = {level: grade for level, grade in phantom.grades.items() if level.startswith("L")}
    return CaseToWrite(patient, phantom.volume, mask.astype(np.uint8), grades)


def test_slices_on_which_nobody_drew_do_not_train(tmp_path):
    cases = [drawn_on_one_slice("a", 5), drawn_on_one_slice("b", 8)]
    splits = {"train": ["a"], "tune": ["b"], "test": []}
    dataset = write_dataset(tmp_path / "d", name="d", cases=cases, splits=splits, licence="none", attribution="code")
    training = TrainingCase.load(dataset.cases[0])
    assert (training.drawn.tolist(), training.middle, training.discs_alone) == ([5], 5, False)
    data = SegmentationData([dataset], replace(TINY, steps_per_epoch=10, patch_shape=(448, 256)), seed=0)
    with_disc = [bool((data.patches[index][1] == Tissue.DISC).any()) for index in range(len(data.patches))]
    assert np.mean(with_disc) > 0.8  # a narrow field of view may cut the discs off
    (slice_drawn,) = data.val_dataloader().dataset
    assert (slice_drawn[1] == Tissue.DISC).any()


def test_discs_drawn_alone_are_completed_by_the_model_that_the_training_goes_on_from(tmp_path, capsys):
    cases = [drawn_on_one_slice(patient, 5, discs_alone=True) for patient in "ab"]
    splits = {"train": ["a"], "tune": ["b"], "test": []}
    dataset = write_dataset(tmp_path / "d", name="d", cases=cases, splits=splits, licence="none", attribution="code")
    arguments = ["train", "segmentation", "--data", str(tmp_path / "d"), "--accelerator", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "scratch")]) == 1
    assert "go on from a model" in capsys.readouterr().err
    refined = [*arguments, "--output", str(tmp_path / "run"), "--preset", "refine", "--start-from", "unet-lumbar-t2"]
    small = ["epochs=1", "steps_per_epoch=2", "batch_size=2", "patch_shape=128,96"]
    assert main([*refined, *(part for setting in small for part in ("--set", setting))]) == 0
    (completed,) = read_labels(tmp_path / "run" / "own-labels.npz", [TrainingCase.load(dataset.cases[0])])
    drawn = dataset.cases[0].mask()[5]
    assert completed.labels.shape == (1, *drawn.shape)
    np.testing.assert_array_equal(completed.labels[0][drawn > 0], drawn[drawn > 0])
    assert not np.isin(completed.labels[0][drawn == 0], [Tissue.DISC, *DISC_LABELS.values()]).any()
    truth = lumbar_phantom(3, slice_count=9).mask[5]
    for tissue in (Tissue.VERTEBRA, Tissue.CANAL):
        assert (completed.labels[0][truth == tissue] == tissue).mean() > 0.6


def test_the_paper_preset_trains_an_epoch_of_whole_slices_on_the_disc_alone(phantoms, tmp_path, monkeypatch, capsys):
    paper = recipes.SEGMENTATION_PRESETS["paper"]
    assert (paper.optimizer, paper.batch_size, paper.epochs, paper.learning_rate) == ("sgd", 8, 300, 0.001)
    assert paper.patch_shape == (512, 512)
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "paper", replace(paper, base_width=2, batch_size=2))
    arguments = ["train", "segmentation", "--preset", "paper", "--data", str(phantoms), "--output", str(tmp_path)]
    assert main([*arguments, "--epochs", "1", "--accelerator", "cpu"]) == 0
    assert TrainedModel.open(tmp_path / "model").manifest["outputs"] == ["background", "disc"]
    assert "does not say" in capsys.readouterr().out


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_grading_trains_an_epoch_with_each_preset(
    phantoms, tmp_path, monkeypatch, capsys, preset, tiny_segmentation_model
):
    small = replace(recipes.GRADING_PRESETS[preset], widths=(4, 4, 8, 8, 8), batch_size=4, precision="32-true")
    monkeypatch.setitem(recipes.GRADING_PRESETS, preset, small)
    arguments = ["train", "grading", "--preset", preset, "--data", str(phantoms), "--output", str(tmp_path)]
    arguments += ["--epochs", "1", "--accelerator", "cpu", "--segmentation-model", str(tiny_segmentation_model)]
    assert main(arguments) == 0
    model = TrainedModel.open(tmp_path / "model")
    channels = {"default": ["image", "mask"], "paper": ["image times mask"]}[preset]
    assert model.manifest["input"]["channels"] == channels
    assert len(model.manifest["outputs"]) == {"default": 5, "paper": 3}[preset]
    assert model.manifest["calibration"]["temperature"] > 0
    assert ("one patient are in both sets" in capsys.readouterr().out) == (preset == "paper")
    with (tmp_path / "metrics" / "metrics.csv").open() as file:
        assert any(row.get("tune_kappa") for row in csv.DictReader(file))


def test_a_model_says_what_found_the_discs_that_were_not_drawn(phantoms, tmp_path, monkeypatch):
    small = replace(recipes.GRADING_PRESETS["default"], widths=(4, 8), epochs=1, precision="32-true")
    monkeypatch.setitem(recipes.GRADING_PRESETS, "default", replace(small, input_pooling=4, first_round_folds=0))
    drawn = LabelledDataset.open(phantoms).cases[:3]
    write_dataset(
        tmp_path / "images",
        name="images",
        cases=[CaseToWrite(case.patient, case.volume(), None, case.grades) for case in drawn],
        splits={"train": ["a", "b"], "tune": ["c"], "test": []},
        licence="none",
        attribution="made by code",
    )
    unet = find_model(None, "segmentation")
    for folder, found_by in ((phantoms, None), (tmp_path / "images", unet)):
        run = tmp_path / f"run-{folder.name}"
        assert main(["train", "grading", "--data", str(folder), "--output", str(run), "--accelerator", "cpu"]) == 0
        model = TrainedModel.open(run / "model")
        told = model.manifest["training"].get("discs_found_by", {})
        assert told.get("sha256") == (found_by and found_by.sha256)
        assert ("found by unet-lumbar-t2" in model.card) == (found_by is not None)
        record = json.loads((run / "run.json").read_text())
        assert record["segmentation model"] == ([found_by.sha256] if found_by else [])


def test_discs_split_at_random_keep_their_slices_together(phantoms, tiny_segmentation_model):
    case = LabelledDataset.open(phantoms).cases_in("train")[0]
    segmenter = Segmenter(TrainedModel.open(tiny_segmentation_model), torch.device("cpu"))
    samples = disc_samples.samples_of_case(case, segmenter)
    middle = (case.mask()[1] == DISC_LABELS["L4-L5"]).sum()
    assert next(sample for sample in samples if sample.level == "L4-L5").mask.sum() == middle  # comes first
    assert len(samples) > len({sample.level for sample in samples})
    many = [replace(sample, patient=str(number)) for number in range(20) for sample in samples]
    training, tuning = disc_samples.split_samples(many, recipes.GRADING_PRESETS["paper"], seed=0)
    discs = [{(sample.patient, sample.level) for sample in part} for part in (training, tuning)]
    assert not discs[0] & discs[1]
    assert len(training) + len(tuning) == len(many)
    assert len(discs[1]) == round(len(discs[0] | discs[1]) * disc_samples.STUDY_TUNING_SHARE)


def test_without_graded_tuning_discs_a_model_is_not_calibrated_and_its_card_says_so(
    phantoms, tmp_path, monkeypatch, capsys, tiny_segmentation_model
):
    small = replace(recipes.GRADING_PRESETS["default"], widths=(4, 4, 8, 8, 8), batch_size=4, first_round_folds=0)
    monkeypatch.setitem(recipes.GRADING_PRESETS, "default", small)
    whole = LabelledDataset.open(phantoms)
    cases = [
        CaseToWrite(case.patient, case.volume(), case.mask(), case.grades if case.split == "train" else {})
        for case in (*whole.cases_in("train"), *whole.cases_in("tune"))
    ]
    splits = {"train": ["a", "b"], "tune": ["c"], "test": []}
    write_dataset(tmp_path / "d", name="d", cases=cases, splits=splits, licence="none", attribution="made by code")
    arguments = ["train", "grading", "--data", str(tmp_path / "d"), "--output", str(tmp_path / "run"), "--epochs", "1"]
    assert main([*arguments, "--accelerator", "cpu", "--segmentation-model", str(tiny_segmentation_model)]) == 0
    model = TrainedModel.open(tmp_path / "run" / "model")
    assert model.manifest["calibration"]["temperature"] == 1.0
    assert "not calibrated" in model.card
    assert "calibrated on the tuning" not in model.card
    assert "not calibrated" in capsys.readouterr().out


def test_gradings_by_networks_that_saw_the_tuning_patients_are_not_trained_on(
    phantoms, tmp_path, monkeypatch, capsys, tiny_segmentation_model
):
    small = replace(recipes.GRADING_PRESETS["default"], widths=(4, 4, 8, 8, 8), batch_size=4, epochs=1)
    monkeypatch.setitem(recipes.GRADING_PRESETS, "default", small)
    common = ["--data", str(phantoms), "--accelerator", "cpu", "--segmentation-model", str(tiny_segmentation_model)]
    for run, more in (("all", []), ("alone", ["--training-alone"])):
        output = ["--output", str(tmp_path / run), "--folds", "2", "--baseline"]
        assert main(["cross-validate", *common, *output, *more]) == 0
    patients = {score.patient for score in read_scores(tmp_path / "alone" / "discs.csv")}
    assert patients == {"a", "b"}
    train = ["train", "grading", *common, "--output", str(tmp_path / "run"), "--out-of-fold"]
    assert main([*train, str(tmp_path / "all" / "discs.csv")]) == 1
    assert "--training-alone" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()
    assert main([*train, str(tmp_path / "alone" / "discs.csv")]) == 0


@pytest.fixture
def tiny_segmentation_model(phantoms, tmp_path):
    from LumbarDiscGradingLib.training.segmentation.export import save_segmentation_model
    from LumbarDiscGradingLib.training.segmentation.module import SegmentationModule

    datasets = [LabelledDataset.open(phantoms)]
    return save_segmentation_model(SegmentationModule(TINY), tmp_path / "unet", "tiny", "0", datasets).folder


def test_measured_figures_get_into_the_card_of_their_model_and_leave_the_weights(phantoms, tiny_segmentation_model):
    model = TrainedModel.open(tiny_segmentation_model)
    dice = {
        "name": "median disc Dice",
        "value": 0.9,
        "interval": [0.8, 0.95],
        "n": 10,
        "data": "phantoms, 1 test patient",
    }
    kappa = {**dice, "name": "quadratic kappa of the groups"}
    recorded = record_metrics(model, [dice, kappa])
    assert recorded.sha256 == model.sha256
    assert [metric["name"] for metric in recorded.manifest["metrics"]] == ["median disc Dice"]
    assert "0.900 | 0.800 to 0.950 | 10 | phantoms, 1 test patient" in recorded.card
    recorded.load("cpu")


def test_patches_of_an_epoch_can_be_repeated_exactly_and_differ_between_epochs():
    phantom = lumbar_phantom(1, slice_count=3)
    case = TrainingCase("a", "x", phantom.volume.voxels, phantom.mask, phantom.volume.spacing_mm)
    first, second = (SlicePatches([case], TINY, seed=3) for _ in range(2))
    assert torch.equal(first[1][0], second[1][0])
    assert not torch.equal(first[0][0], first[1][0])
    second.epoch = 1
    assert not torch.equal(first[1][0], second[1][0])
    image, tissues, landmark = first[1]
    assert image.shape == (1, *TINY.patch_shape)
    assert tissues.shape == landmark.shape == TINY.patch_shape
    assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0


def test_labels_become_tissues_and_the_lumbosacral_landmark():
    tissues, landmark = tissues_and_landmark(np.array([[0, 1, 2, 3, 95, 100, IGNORED]], np.uint8))
    assert tissues.tolist() == [[0, 1, 2, 3, 2, 2, IGNORED]]
    unknown, other, lumbosacral = LANDMARK_UNKNOWN, LANDMARK_OTHER, LANDMARK_LUMBOSACRAL
    assert landmark.tolist() == [[unknown, unknown, unknown, unknown, other, lumbosacral, unknown]]


def test_a_wrong_grade_costs_more_the_further_it_is_off():
    target = ordinal_target(torch.tensor([1]), 0.2, torch.zeros(1, 5), 0.5)
    assert target.tolist()[0] == pytest.approx([0.1, 0.8, 0.1, 0.0, 0.0])
    losses = [float(ordinal_loss(8.0 * torch.eye(5)[k : k + 1], target)) for k in (1, 2, 3, 4)]
    assert losses == sorted(losses)


def test_a_first_round_shares_in_the_target_where_there_was_one():
    believed = torch.tensor([[0.0, 0.0, 0.5, 0.5, 0.0], [0.0] * 5])
    target = ordinal_target(torch.tensor([1, 1]), 0.0, believed, 0.4)
    torch.testing.assert_close(target, torch.tensor([[0.0, 0.6, 0.2, 0.2, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]]))


def test_the_moving_average_forgets_where_it_began_and_then_keeps_long():
    average = torch.tensor(100.0)  # such as a variance that batch normalization begins with
    for count in range(1, 301):
        average = moving_average(average, torch.tensor(2.0), torch.tensor(count), 0.995)
    assert float(average) == pytest.approx(2.0, abs=0.01)
    late = moving_average(torch.tensor(2.0), torch.tensor(4.0), torch.tensor(100_000), 0.995)
    assert float(late) == pytest.approx(2.01)


def test_the_temperature_undoes_overconfidence():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=random)
    groups = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    assert fit_temperature(3.0 * logits, groups) == pytest.approx(3.0, rel=0.1)


def test_training_without_any_mask_says_what_to_do(tmp_path, capsys):
    phantom = lumbar_phantom(0, slice_count=1)
    picture = SagittalVolume(phantom.volume.voxels, phantom.volume.index_to_lps)
    folder = tmp_path / "pictures"
    splits = {"train": ["a"], "tune": [], "test": []}
    write_dataset(folder, name="pictures", cases=[CaseToWrite("a", picture, None, {"L5-S1": 3})], splits=splits)
    assert main(["train", "segmentation", "--data", str(folder), "--output", str(tmp_path / "run")]) == 1
    assert "mask" in capsys.readouterr().err


COLUMN = {f"L{number}-L{number + 1}": (20.0 + 35 * number, 60.0) for number in range(1, 5)}


def column(*rows: float) -> np.ndarray:
    discs = np.zeros((240, 120), dtype=bool)
    for row in rows:
        discs[int(row) - 4 : int(row) + 5, 20:61] = True
    return discs


def test_own_labels_agree_with_points_only_where_each_disc_is_there_alone():
    rows = [row for row, _ in COLUMN.values()]
    assert shows_discs_at(column(*rows), COLUMN)
    assert shows_discs_at(column(*rows, rows[-1] + 35), COLUMN)  # a disc below the lowest point
    assert not shows_discs_at(column(*rows[:2], rows[3]), COLUMN)  # one missed
    assert not shows_discs_at(column(*rows, rows[1] + 17), COLUMN)  # one too many between
    assert not shows_discs_at(column(*(row + 17 for row in rows)), COLUMN)
    merged = column(*rows)
    merged[int(rows[0]) : int(rows[1]), 40:44] = True
    assert not shows_discs_at(merged, COLUMN)
    assert shows_discs_at(column(), {})


def test_what_wraps_around_lies_faintly_over_one_side():
    patch = np.zeros((40, 60), dtype=np.float32)
    patch[18:22, 28:32] = 1.0
    for seed in range(8):
        wrapped = wrap_around(patch, np.random.default_rng(seed))
        ghost = wrapped - patch
        assert (ghost >= 0).all() and ghost.max() <= 0.5
        assert not ghost[18:22, 28:32].any()
    edges = np.ones((40, 60), dtype=np.float32)
    covered = [(wrap_around(edges, np.random.default_rng(seed)) > 1).mean() for seed in range(20)]
    assert min(covered) > 0.05 and max(covered) < 0.55
