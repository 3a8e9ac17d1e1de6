"""A locator of levels is trained on masks and points, calibrated, stored with its model, and used."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, write_dataset
from LumbarDiscGradingLib.grading.grader import DiscGrader
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.models.folder import TrainedModel, rewrite_manifest
from LumbarDiscGradingLib.models.manifest import LOCATOR_KEY
from LumbarDiscGradingLib.models.store import built_in_model_folder, find_model
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS
from LumbarDiscGradingLib.training.levels.calibration import NamingTrial, fit_temperature
from LumbarDiscGradingLib.training.levels.canvases import CoarseView, batch_of, location_loss, targets, training_canvas
from LumbarDiscGradingLib.training.levels.pictures import LEVELS, placed_pictures
from LumbarDiscGradingLib.training.levels.train import LOCATOR_SECTION, keep_locator, train_locator
from LumbarDiscGradingLib.training.levels.views import PlacedPicture, view_of
from LumbarDiscGradingLib.training.recipes import LevelRecipe

SIDE = 64


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom(slice_count=5)


def back_of(labels: np.ndarray, level: str) -> tuple[float, float]:
    place = np.argwhere(labels == DISC_LABELS[level])
    return tuple(float(v) for v in place[place[:, 1] >= place[:, 1].max() - 2].mean(axis=0))


@pytest.fixture(scope="module")
def picture(phantom) -> PlacedPicture:
    index = phantom.mid_slice_index
    places = {level: back_of(phantom.mask[index], level) for level in LUMBAR_LEVELS}
    return PlacedPicture("p", "made", "train", phantom.volume.voxels[index], phantom.volume.spacing_mm[1:], places)


def marked(picture: PlacedPicture) -> PlacedPicture:
    """The picture with one bright square at each place, on nothing: what a view shows there is known."""
    pixels = np.zeros(picture.pixels.shape, np.float32)
    for row, column in picture.places.values():
        pixels[round(row) - 3 : round(row) + 4, round(column) - 3 : round(column) + 4] = 100.0
    return replace(picture, pixels=pixels)


@pytest.mark.parametrize("seed", range(12))
def test_a_varied_view_shows_each_disc_where_its_place_is_and_says_which_are_out_of_view(picture, seed):
    random = None if seed == 0 else np.random.default_rng(seed)
    view = view_of(marked(picture), LEVELS, 0.625, random)
    assert np.isnan(view.places[LEVELS.index("T12-L1")]).all()
    seen = view.in_view[:5]
    assert seen.sum() >= 3
    for (row, column), is_seen in zip(view.places[:5], seen, strict=True):
        inside = 0 <= row < view.image.shape[0] and 0 <= column < view.image.shape[1]
        assert inside or not is_seen
        if is_seen and 4 < row < view.image.shape[0] - 5 and 4 < column < view.image.shape[1] - 5:
            around = view.image[round(row) - 4 : round(row) + 5, round(column) - 4 : round(column) + 5]
            assert around.max() > 0.5 * view.image.max()


def test_some_views_are_cut_above_the_sacrum(picture):
    views = [view_of(picture, LEVELS, 0.625, np.random.default_rng(seed)) for seed in range(40)]
    lumbosacral = [view.in_view[0] for view in views]
    assert 0 < sum(lumbosacral) < len(views)


def coarse(seed: int = 0, rows: int = 100, columns: int = 90) -> CoarseView:
    random = np.random.default_rng(seed)
    places = np.full((6, 2), np.nan)
    places[:5] = np.column_stack([np.linspace(80, 20, 5), random.uniform(30, 60, 5)])
    maps = np.zeros((5, rows, columns), np.uint8)
    for row, column in places[:5].astype(int):
        maps[:, row - 1 : row + 2, column - 1 : column + 2] = 255
    return CoarseView("made", "train", maps, places, np.ones(6, bool))


@pytest.mark.parametrize("size", [(100, 90), (150, 140), (128, 128)])
def test_a_canvas_shows_the_places_where_they_are_said_to_be(size):
    view = coarse(rows=size[0], columns=size[1])
    canvas, places, in_view = training_canvas(view, None)
    assert canvas.shape == (5, 128, 128)
    for (row, column), seen in zip(places[:5], in_view[:5], strict=True):
        assert seen
        assert canvas[0, int(row), int(column)] == 1.0


def test_the_target_lies_in_the_block_of_the_place_or_says_absent():
    places = np.array([[[40.5, 60.5], [10.0, 20.0], [np.nan, np.nan]]])
    wanted, known = targets(places, np.array([[True, False, True]]))
    assert known.tolist() == [[True, True, False]]
    np.testing.assert_allclose(wanted.sum(-1), 1.0, atol=1e-5)
    assert int(wanted[0, 0].argmax()) == 20 * SIDE + 30
    assert int(wanted[0, 1].argmax()) == SIDE * SIDE
    logits, absence = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 3)
    assert location_loss(logits, absence, wanted, known) == pytest.approx(np.log(SIDE**2 + 1), abs=1e-3)


def test_a_locator_learns_places_that_are_plain_to_see():
    views = [coarse(seed) for seed in range(6)]
    locator = train_locator(views, LevelRecipe(base_width=4, batch_size=4, steps=60, learning_rate=1e-2), seed=1)
    images, wanted, known = batch_of(views, None)
    with torch.inference_mode():
        assert location_loss(*locator(images), wanted, known) < 5.0  # 8.3 is a guess
    with pytest.raises(ValueError, match="None of the training patients"):
        train_locator([], LevelRecipe())


def test_the_temperature_is_that_of_the_right_answers():
    random = np.random.default_rng(0)
    scores = random.normal(0, 8, (4000, 12))
    chances = np.exp(scores / 4.0)
    chances /= chances.sum(axis=1, keepdims=True)
    right = [int(random.choice(12, p=row)) for row in chances]
    trials = [NamingTrial(row, answer) for row, answer in zip(scores, right, strict=True)]
    assert fit_temperature(trials) == pytest.approx(4.0, rel=0.12)


@pytest.fixture(scope="module")
def dataset(phantom, tmp_path_factory):
    """A volume with a mask, a picture with points, and a tuning volume."""
    index = phantom.mid_slice_index
    one = replace(phantom.volume, voxels=phantom.volume.voxels[index : index + 1])
    points = {level: back_of(phantom.mask[index], level) for level in LUMBAR_LEVELS}
    cases = [
        CaseToWrite("masked", phantom.volume, phantom.mask, phantom.grades),
        CaseToWrite("pointed", one, kind="picture", level_points=points),
        CaseToWrite("tuning", phantom.volume, phantom.mask, phantom.grades),
    ]
    splits = {"train": ["masked", "pointed"], "tune": ["tuning"], "test": []}
    return write_dataset(tmp_path_factory.mktemp("levels") / "made", name="made", cases=cases, splits=splits)


def test_pictures_come_from_masks_and_from_points(dataset, grader):
    pictures = list(placed_pictures(dataset.cases, grader))
    pointed = [picture for picture in pictures if picture.patient == "pointed"]
    masked = [picture for picture in pictures if picture.patient.startswith("masked")]
    assert len(pointed) == 1 and len(masked) >= 3
    for level in LUMBAR_LEVELS:
        assert np.subtract(pointed[0].places[level], masked[0].places[level]) == pytest.approx((0, 0), abs=4)
    assert "T12-L1" in pointed[0].places
    assert np.subtract(pointed[0].places["T12-L1"], masked[0].places["T12-L1"]) == pytest.approx((0, 0), abs=4)


def test_the_command_trains_a_locator_into_a_model_that_grades(dataset, tmp_path, sample):
    settings = ["--set", "steps=4", "--set", "views=1", "--set", "batch_size=2", "--set", "base_width=4"]
    command = ["train", "levels", "--data", str(dataset.folder), "--output", str(tmp_path / "run"), *settings]
    assert main([*command, "--name", "with-levels"]) == 0
    model = TrainedModel.open(tmp_path / "run" / "model")
    assert (model.name, model.task) == ("with-levels", "segmentation")
    assert model.manifest["level_locator"]["temperature"] >= 1.0
    assert "## Levels" in model.card and model.card.count("## Levels") == 1
    result = DiscGrader("cpu", model.folder).grade(sample)
    assert 0.0 < result.naming_confidence <= 1.0
    assert json.dumps(result.to_dict()["naming_confidence"]) == str(result.naming_confidence)
    views = sorted((tmp_path / "run" / "views").iterdir())
    times = [path.stat().st_mtime_ns for path in views]
    assert main([*command, "--resume"]) == 0
    assert [path.stat().st_mtime_ns for path in views] == times
    assert main([*command, "--preset", "refine"]) != 0


def test_a_model_without_a_locator_names_by_counting_as_before(sample, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(built_in_model_folder() / "unet-lumbar-t2", folder)
    (folder / "level_locator.safetensors").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["level_locator"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = DiscGrader("cpu", folder).grade(sample)
    assert result.naming_confidence is None
    assert set(LUMBAR_LEVELS) <= {disc.level for disc in result.discs}


def test_the_shipped_model_is_sure_of_the_sample_and_not_of_one_without_its_sacrum(grader, sample):
    result = grader.grade(sample)
    assert result.naming_confidence > 0.95 and not result.levels_doubted
    lowest = result.disc("L4-L5").center_row_column[0]
    voxels = sample.voxels.copy()
    voxels[:, int(lowest) + 12 :] = 0
    cut = grader.grade(replace(sample, voxels=voxels))
    assert cut.levels_doubted
    assert cut.disc("L5-S1") is None or cut.naming_confidence < 0.95


def test_a_model_that_is_trained_on_keeps_the_locator_that_it_had(tmp_path):
    before = find_model(None, "segmentation")
    shutil.copytree(before.folder, tmp_path / "onward")
    onward = TrainedModel.open(tmp_path / "onward")
    without = {key: value for key, value in onward.manifest.items() if key != LOCATOR_KEY}
    onward = rewrite_manifest(onward, {**without, "name": "onward", "version": "9.0"}, "# onward 9.0\n\nText.\n")
    assert onward.load_level_locator() is None

    kept = TrainedModel.open(keep_locator(onward, before).folder)
    assert kept.manifest[LOCATOR_KEY] == before.manifest[LOCATOR_KEY]
    for name, value in before.load_level_locator().named_parameters():
        assert torch.equal(kept.load_level_locator().get_parameter(name), value), name
    assert kept.card.startswith("# onward 9.0\n") and LOCATOR_SECTION in kept.card


def test_a_model_without_a_locator_has_none_to_keep(tmp_path):
    built_in = find_model(None, "segmentation")
    shutil.copytree(built_in.folder, tmp_path / "plain")
    plain = TrainedModel.open(tmp_path / "plain")
    without = {key: value for key, value in plain.manifest.items() if key != LOCATOR_KEY}
    plain = rewrite_manifest(plain, without, plain.card)
    assert keep_locator(built_in, plain) is built_in
