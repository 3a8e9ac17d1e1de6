"""Runs of a training: when they go on, on what they run, what they say when they cannot, and the card afterwards."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from distributed_worker import sample
from example_trainings import TINY
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, write_dataset
from LumbarDiscGradingLib.evaluation.scores import DiscScore
from LumbarDiscGradingLib.grading.classifier import Classifier
from LumbarDiscGradingLib.grading.device import choose_device
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.models import store
from LumbarDiscGradingLib.models.folder import TrainedModel, rewrite_manifest
from LumbarDiscGradingLib.training import ablation, recipes
from LumbarDiscGradingLib.training.grading import cross_validation
from LumbarDiscGradingLib.training.grading.disc_crops import DiscCrops
from LumbarDiscGradingLib.training.grading.export import save_grading_model
from LumbarDiscGradingLib.training.grading.prediction_sets import with_prediction_sets
from LumbarDiscGradingLib.training.grading.train import GradingModule, train_grading
from LumbarDiscGradingLib.training.model_export import model_card, record_metrics
from LumbarDiscGradingLib.training.run_record import RunOptions
from LumbarDiscGradingLib.training.segmentation.export import save_segmentation_model
from LumbarDiscGradingLib.training.segmentation.module import SegmentationModule

CPU = RunOptions(device="cpu")
ONWARD = RunOptions(resume=True, device="cpu")
DISCS = [sample(number) for number in range(8)]
RECIPE = replace(
    recipes.GRADING_PRESETS["default"],
    widths=(4, 8),
    batch_size=2,
    epochs=1,
    precision="32-true",
    input_pooling=4,
    first_round_folds=0,
)
TINY_UNET = replace(TINY, steps_per_epoch=1)
COMMANDS = (["train", "segmentation"], ["train", "grading"], ["cross-validate"], ["ablate", "grading"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run on six discs."""
    folder = tmp_path_factory.mktemp("run") / "trained"
    train_grading(DISCS[:6], DISCS[6:], RECIPE, folder, options=CPU)
    return folder


@pytest.fixture
def finished(trained, tmp_path):
    """A copy of that run."""
    return shutil.copytree(trained, tmp_path / "finished")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """A data set of two phantom patients with masks and grades."""
    cases = []
    for seed, patient in enumerate(("subject-one", "subject-two")):
        phantom = lumbar_phantom(seed, slice_count=1)
        grades = {level: grade for level, grade in phantom.grades.items() if level.startswith("L")}
        cases.append(CaseToWrite(patient, phantom.volume, phantom.mask, grades))
    splits = {"train": ["subject-one"], "tune": ["subject-two"], "test": []}
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_dataset(folder, name="phantoms", cases=cases, splits=splits, licence="none", attribution="made by code")
    return folder


def the_one_line(capsys) -> str:
    """What is on standard error, if it is a single sentence."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(".")
    return line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": replace(RECIPE, epochs=2)}, r"recipe \(epochs 1 there, 2 here\); choose another --output"),
        ({"recipe": replace(RECIPE, widths=(4, 4))}, r"recipe \(widths \[4, 8\] there, \[4, 4\] here\)"),
        ({"seed": 1}, "asked for: seed; choose another --output or leave out --resume"),
        ({"training": DISCS[1:7]}, "asked for: training patients;"),
        ({"training": [replace(disc, found_by="another") for disc in DISCS[:6]]}, "asked for: segmentation model;"),
        ({"training": DISCS[1:7], "seed": 1}, "asked for: seed, training patients;"),
    ],
)
def test_a_run_goes_on_only_as_what_it_began_as(finished, change, named):
    asked = {"training": DISCS[:6], "tuning": DISCS[6:], "recipe": RECIPE, "run_folder": finished, "seed": 0, **change}
    seed = asked.pop("seed")
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=named):
        train_grading(**asked, options=RunOptions(seed, True, "cpu"))
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_model_keeps_its_prediction_sets_and_one_with_few_tuning_patients_has_none(phantoms, tmp_path):
    datasets = [LabelledDataset.open(phantoms)]
    model = save_grading_model(GradingModule(RECIPE), tmp_path / "model", "own", "1.0", datasets, 1.0)
    tuning = [replace(DISCS[0], patient=f"tuning-{number}", subject="") for number in range(20)]
    with_prediction_sets(model, tuning)
    kept = TrainedModel.open(tmp_path / "model")
    assert (kept.manifest["calibration"]["prediction_set"]["patients"], kept.sha256) == (20, model.sha256)
    assert Classifier(kept, choose_device("cpu")[0]).set_threshold is not None
    kept.manifest["calibration"]["prediction_set"]["method"] = "another one"
    assert Classifier(kept, choose_device("cpu")[0]).set_threshold is None
    assert "prediction_set" not in with_prediction_sets(kept, tuning[:5]).manifest["calibration"]


def test_a_run_does_not_go_on_from_another_start_model(finished, phantoms, tmp_path):
    datasets = [LabelledDataset.open(phantoms)]
    start = save_grading_model(GradingModule(RECIPE), tmp_path / "start", "start", "1.0", datasets, 1.0)
    with pytest.raises(ValueError, match="asked for: start model;"):
        train_grading(DISCS[:6], DISCS[6:], RECIPE, finished, RunOptions(resume=True, device="cpu", start_from=start))


def test_a_checkpoint_that_does_not_say_what_it_was_made_from_is_not_gone_on_from(finished):
    for content in (None, "[]", "not JSON"):
        (finished / "run.json").unlink(missing_ok=True)
        if content is not None:
            (finished / "run.json").write_text(content)
        with pytest.raises(ValueError, match="does not say what it was made from"):
            train_grading(DISCS[:6], DISCS[6:], RECIPE, finished, options=ONWARD)


def test_folds_are_not_gone_on_from_with_other_patients(tmp_path):
    cross_validation.cross_validate(DISCS, RECIPE, tmp_path, folds=4, options=CPU)
    again = cross_validation.cross_validate(DISCS, RECIPE, tmp_path, folds=4, options=ONWARD)
    assert len(again) == len(DISCS)
    with pytest.raises(ValueError, match="fold-1 differs from what is asked for: training patients"):
        cross_validation.cross_validate(DISCS, RECIPE, tmp_path, folds=2, options=ONWARD)


def test_a_new_run_broken_off_in_its_first_epoch_leaves_nothing_of_the_one_before(finished, tmp_path, monkeypatch):
    def break_off(*_):
        raise KeyError("broken off")

    others = DISCS[2:8]
    with monkeypatch.context() as patched, pytest.raises(KeyError):
        patched.setattr(DiscCrops, "__getitem__", break_off)
        train_grading(others, DISCS[:2], RECIPE, finished, options=CPU)
    resumed = train_grading(others, DISCS[:2], RECIPE, finished, options=ONWARD)
    fresh = train_grading(others, DISCS[:2], RECIPE, tmp_path / "fresh", options=CPU)
    assert resumed.trainer.global_step == 3
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_what_names_the_patients_stays_in_the_run_folder(phantoms, tmp_path, monkeypatch):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY_UNET)
    arguments = ["train", "segmentation", "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "cpu"]
    assert main(arguments) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["training patients"] == ["phantoms/subject-one"]
    assert {path.name for path in (tmp_path / "model").iterdir()} == set(store.MODEL_FILES)
    assert not any(b"subject-one" in path.read_bytes() for path in (tmp_path / "model").iterdir())


class Measure:
    """In the place of a training: the better, the more epochs."""

    def __init__(self):
        self.recipes = []

    def __call__(self, recipe, folder):
        self.recipes.append(recipe)
        shown = {"grade": 1, "p_mild": 0.8, "p_moderate": 0.1, "p_serious": 0.1, "predicted_grade": 1}
        return [DiscScore(str(n), "made", "L4-L5", dice=recipe.epochs / (n + 10), **shown) for n in range(3)]


def test_an_ablation_compares_only_what_was_measured_alike(tmp_path):
    measure, asked = Measure(), {"seed": 0, "tuning patients": ["made/0", "made/1", "made/2"], "folds": 2}
    ablations = {"no attention": ("attention=false",)}
    ablation.ablate(RECIPE, measure, ablations, tmp_path, asked)
    ablation.ablate(RECIPE, measure, ablations, tmp_path, asked)
    assert [recipe.attention for recipe in measure.recipes] == [True, False]  # what is there is not measured again
    with pytest.raises(ValueError, match=r"recipe \(epochs 1 there, 3 here\); choose another --output\.$"):
        ablation.ablate(replace(RECIPE, epochs=3), measure, ablations, tmp_path, asked)
    with pytest.raises(ValueError, match="asked for: folds; choose another --output"):
        ablation.ablate(RECIPE, measure, ablations, tmp_path, {**asked, "folds": 3})
    (tmp_path / "recipe" / "measured.json").unlink()
    with pytest.raises(ValueError, match="does not say what it was made from"):
        ablation.ablate(RECIPE, measure, ablations, tmp_path, asked)
    assert len(measure.recipes) == 2


def test_the_command_ablate_refuses_a_folder_of_another_ablation(phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY_UNET)
    monkeypatch.setattr(ablation, "SEGMENTATION_ABLATIONS", {"only gentle": ("gentle_share=1",)})
    arguments = ["ablate", "segmentation", "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "cpu"]
    assert main(arguments) == 0
    capsys.readouterr()
    for other, named in ((["--seed", "1"], "seed"), (["--set", "epochs=2"], "recipe (epochs 1 there, 2 here)")):
        assert main([*arguments, *other]) == 1
        assert f"asked for: {named}; choose another --output." in the_one_line(capsys)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_several_processes_that_were_not_announced_are_refused(command, phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert main([*command, "--data", str(phantoms), "--output", str(tmp_path / "run")]) == 1
    assert "4 processes were started together" in the_one_line(capsys)
    assert not (tmp_path / "run").exists()


def test_processes_are_devices_times_nodes(phantoms, tmp_path, monkeypatch, capsys):
    arguments = ["train", "grading", "--data", str(phantoms), "--output", str(tmp_path / "run"), "--accelerator", "cpu"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for size, devices, nodes in (("4", "4", "2"), ("1", "2", "1")):
        monkeypatch.setenv("WORLD_SIZE", size)
        assert main([*arguments, "--devices", devices, "--nodes", nodes]) == 1
        assert "devices x nodes" in the_one_line(capsys)
    monkeypatch.setenv("WORLD_SIZE", "6")
    monkeypatch.setattr("LumbarDiscGradingLib.training.grading.disc_samples.collect_samples", lambda *_: [])
    assert main([*arguments, "--devices", "3", "--nodes", "2"]) == 1
    assert "--out-of-fold" in the_one_line(capsys)  # goes on to the next question


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_graphics_card_that_is_not_there_is_told_before_anything_is_read(
    command, phantoms, tmp_path, monkeypatch, capsys
):
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", staticmethod(lambda: False))
    monkeypatch.setattr("LumbarDiscGradingLib.training.grading.disc_samples.collect_samples", None)
    for name in ("gpu", "cuda"):
        arguments = [*command, "--data", str(phantoms), "--output", str(tmp_path / "run"), "--accelerator", name]
        assert main(arguments) == 1
        assert f"no device for --accelerator {name}" in the_one_line(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", ["--devices", "--nodes"])
def test_no_devices_are_refused(count, phantoms, tmp_path, capsys):
    for number in ("0", "-1"):
        assert main(["train", "grading", "--data", str(phantoms), "--output", str(tmp_path), count, number]) == 1
        assert "at least 1" in the_one_line(capsys)


def test_more_cards_than_there_are_are_refused(phantoms, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", staticmethod(lambda: 1))
    arguments = ["train", "segmentation", "--data", str(phantoms), "--output", str(tmp_path), "--accelerator", "gpu"]
    assert main([*arguments, "--devices", "2"]) == 1
    assert "more than the 1 of this computer" in the_one_line(capsys)


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (["train", "segmentation"], "segmentation.train.train_segmentation"),
        (["cross-validate", "segmentation", "--folds", "2"], "segmentation.folds.train_segmentation"),
        (["ablate", "segmentation"], "segmentation.train.train_segmentation"),
    ],
)
def test_a_full_card_is_told_in_one_line_and_other_errors_are_not_hidden(
    command, where, phantoms, tmp_path, monkeypatch, capsys
):
    errors = [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nGPU 0 has"), "ran out of memory"),
        (RuntimeError("CUDA error: an illegal memory access\nCompile with"), "CUDA error"),
        (MemoryError(), "memory is full"),
    ]
    arguments = [*command, "--data", str(phantoms), "--output", str(tmp_path)]

    def fail_with(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(f"LumbarDiscGradingLib.training.{where}", fail)

    for error, told in errors:
        fail_with(error)
        assert main(arguments) == 1
        line = the_one_line(capsys)
        assert told in line
        assert "batch_size" in line
    fail_with(RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        main(arguments)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_two_data_sets_of_one_name_are_refused(command, phantoms, tmp_path, capsys):
    other = shutil.copytree(phantoms, tmp_path / "other")
    assert main([*command, "--data", str(phantoms), str(other), "--output", str(tmp_path / "run")]) == 1
    assert "Two data sets are named phantoms" in the_one_line(capsys)


@pytest.fixture
def model(phantoms, tmp_path):
    """An untrained U-Net in a folder."""
    datasets = [LabelledDataset.open(phantoms)]
    return save_segmentation_model(SegmentationModule(TINY_UNET), tmp_path / "unet", "tiny", "0", datasets)


def test_a_card_counts_people_not_their_cases(phantoms):
    dataset = LabelledDataset.open(phantoms)
    (case,) = dataset.cases_in("train")
    twice = replace(case, patient="subject-one-again", subject=case.patient)
    manifest = {"name": "m", "version": "1", "description": "", "task": "segmentation", "licence": "", "metrics": []}
    manifest["training"] = {"recipe": {}, "seed": 0}
    assert "(1 train, 1 tune, 0 test patients" in model_card(
        manifest, [replace(dataset, cases=(*dataset.cases, twice))]
    )


DICE = {"name": "median disc Dice", "value": 0.9, "interval": [0.8, 0.95], "n": 10, "data": "elsewhere, 1 test patient"}


def test_measured_figures_leave_the_rest_of_a_card_as_it_is(model):
    before, rest = model.card.split("## Measured")
    _, after = rest.split("## Recipe")
    card = f"{before}A line by hand.\n\n## Measured\n\nOld.\n\n### Details\n\nOlder.\n\n## Recipe{after}By hand, too.\n"
    noted = rewrite_manifest(model, model.manifest, card)
    once = record_metrics(noted, [DICE])
    table = "| what | value | 95 % interval | n | on |\n| --- | --- | --- | --- | --- |\n"
    row = "| median disc Dice | 0.900 | 0.800 to 0.950 | 10 | elsewhere, 1 test patient |\n"
    expected = f"{before}A line by hand.\n\n## Measured\n\n{table}{row}\n## Recipe{after}By hand, too.\n"
    assert once.card == expected
    assert record_metrics(once, [DICE]).card == expected
    assert {**once.manifest, "metrics": []} == {**model.manifest, "metrics": []}


def test_figures_are_added_to_a_card_without_any(model):
    noted = rewrite_manifest(model, model.manifest, "# A card\n\nBy hand.\n")
    card = record_metrics(noted, [DICE]).card
    assert card.startswith("# A card\n\nBy hand.\n\n## Measured\n\n| what |")
    assert card.endswith("elsewhere, 1 test patient |\n")
    assert record_metrics(TrainedModel.open(model.folder), [DICE]).card == card


def test_a_card_keeps_what_it_says_of_the_training_when_other_data_are_evaluated(model, phantoms, tmp_path):
    before, other = model.card, LabelledDataset.open(phantoms)
    write_dataset(
        tmp_path / "elsewhere",
        name="elsewhere",
        cases=[CaseToWrite(c.patient, c.volume(), c.mask(), c.grades) for c in other.cases],
        splits={"train": [], "tune": [], "test": [c.patient for c in other.cases]},
        licence="none",
        attribution="another place",
    )
    data = ["--data", str(tmp_path / "elsewhere"), "--output", str(tmp_path / "report"), "--device", "cpu"]
    (model.folder / "notes").mkdir()
    (model.folder / "notes" / "mine.txt").write_text("by hand")
    assert main(["evaluate", *data, "--model", str(model.folder), "--write-cards"]) == 0
    assert (model.folder / "notes" / "mine.txt").read_text() == "by hand"
    card = TrainedModel.open(model.folder).card
    assert card.split("## Measured")[0] == before.split("## Measured")[0]
    assert "elsewhere, 2 test patients" in card.split("## Measured")[1]


def test_cards_of_models_that_are_no_folder_of_the_user_are_not_written(phantoms, tmp_path, monkeypatch, capsys):
    built_in = store.built_in_model_folder() / "unet-lumbar-t2"
    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path / "installed"))
    shutil.copytree(built_in, tmp_path / "installed" / "my-unet")
    output = tmp_path / "report"
    arguments = ["evaluate", "--data", str(phantoms), "--split", "tune", "--output", str(output), "--write-cards"]
    for name in ("unet-lumbar-t2", "my-unet", str(built_in)):
        card = TrainedModel.open(built_in).card
        assert main([*arguments, "--model", name]) == 1
        assert f"The card of {name} is not written" in the_one_line(capsys)
        assert TrainedModel.open(built_in).card == card
    assert main(arguments) == 1
    assert "no card to write" in the_one_line(capsys)
    assert not output.exists()


def test_members_of_an_ensemble_are_trained_apart_and_grade_by_their_mean(phantoms, tmp_path):
    recipe = replace(RECIPE, members=2)
    module = train_grading(DISCS[:6], DISCS[6:], recipe, tmp_path / "run", options=CPU)
    model = save_grading_model(module, tmp_path / "model", "two", "1.0", [LabelledDataset.open(phantoms)], 1.0)
    classifier = Classifier(TrainedModel.open(model.folder), choose_device("cpu")[0])
    first, second = classifier.network.members
    assert not torch.equal(first.classifier[-1].weight, second.classifier[-1].weight)
    crops = torch.rand(2, 2, 128, 256)
    with torch.inference_mode():
        both = (first(crops).softmax(1) * second(crops).softmax(1)).sqrt()
        means = classifier.network(crops).softmax(1)
    torch.testing.assert_close(means, both / both.sum(1, keepdim=True), atol=1e-4, rtol=1e-3)


def test_an_ensemble_goes_on_from_the_members_that_it_had(phantoms, tmp_path):
    recipe = replace(RECIPE, members=2)
    module = train_grading(DISCS[:6], DISCS[6:], recipe, tmp_path / "first", options=CPU)
    model = save_grading_model(module, tmp_path / "model", "two", "1.0", [LabelledDataset.open(phantoms)], 1.0)
    still = replace(recipe, learning_rate=1e-12)
    onward = train_grading(DISCS[:6], DISCS[6:], still, tmp_path / "second", replace(CPU, start_from=model))
    for name, value in model.load().named_parameters():
        torch.testing.assert_close(onward.network.get_parameter(name), value, atol=1e-4, rtol=1e-3, msg=name)
