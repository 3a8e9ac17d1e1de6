"""Trained networks as folders: saved, checked, found by name and installed from zip files."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.models import store
from LumbarDiscGradingLib.models.folder import TrainedModel, save_level_locator, save_model
from LumbarDiscGradingLib.models.manifest import SCHEMA_PATH, ModelError
from LumbarDiscGradingLib.models.store import available_models, find_model, install_model, unusable_models
from LumbarDiscGradingLib.networks import build
from LumbarDiscGradingLib.pfirrmann import LEVELS_UPWARD

UNET = {"in_channels": 1, "out_channels": 4, "base_width": 2}
SPINENET = {"in_channels": 2, "outputs": 4, "widths": [4, 4]}


def manifest_of(name: str, task: str) -> dict:
    segmentation = task == "segmentation"
    return {
        "name": name,
        "version": "1.0",
        "task": task,
        "architecture": {"class": "UNet", "parameters": UNET}
        if segmentation
        else {"class": "SpineNet", "parameters": SPINENET},
        "input": {
            "shape": [512, 512] if segmentation else [128, 256],
            "pixel_size_mm": 0.625 if segmentation else 0.25,
            "channels": ["image"] if segmentation else ["image", "mask"],
            "normalization": {"name": "percentiles", "parameters": {"lower": 1, "upper": 99}},
        },
        "outputs": ["background", "vertebra", "disc", "canal"] if segmentation else ["> I", "> II", "> III", "> IV"],
        "calibration": {"temperature": 1.25},
        "training_data": [{"name": "made up", "licence": "CC0-1.0", "attribution": "nobody", "patients": 3}],
        "metrics": [{"name": "Dice", "value": 0.9, "interval": [0.8, 0.95], "n": 7, "data": "made-up test patients"}],
        "licence": "Apache-2.0",
    }


def network_of(task: str, seed: int = 0) -> torch.nn.Module:
    """A network as training leaves it: running statistics away from their start."""
    torch.manual_seed(seed)
    network = build("UNet", UNET) if task == "segmentation" else build("SpineNet", SPINENET)
    network.train()
    for _ in range(3):
        network(input_of(task) * 3 + 1)
    return network.eval()


def input_of(task: str) -> torch.Tensor:
    return torch.randn((2, 1, 32, 32) if task == "segmentation" else (2, 2, 32, 64))


def saved(folder: Path, task: str = "segmentation", seed: int = 0, name: str = "", **options) -> TrainedModel:
    return save_model(
        folder, network_of(task, seed), manifest_of(name or folder.name, task), "# Card\n\nMade up.\n", **options
    )


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    folder = tmp_path / "user models"
    monkeypatch.setenv(store.MODELS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def built_in(tmp_path, monkeypatch):
    """Another resources folder with two models and their defaults, so that the shipped ones do not matter here."""
    resources = tmp_path / "Resources"
    monkeypatch.setattr(store, "resource_path", lambda *parts: resources.joinpath(*parts))
    saved(resources / "Models" / "plain-unet")
    saved(resources / "Models" / "plain-spinenet", "grading")
    defaults = {"segmentation": "plain-unet", "grading": "plain-spinenet"}
    (resources / "Models" / "defaults.json").write_text(json.dumps(defaults))
    return resources / "Models"


@pytest.mark.parametrize("task", ["segmentation", "grading"])
@pytest.mark.parametrize("half", [True, False])
def test_a_saved_network_gives_the_same_answers_when_loaded(tmp_path, task, half):
    network = network_of(task)
    model = save_model(tmp_path / "m", network, manifest_of("m", task), "card", half=half)
    loaded = TrainedModel.open(model.folder).load("cpu")
    assert not loaded.training
    assert {value.dtype for value in loaded.state_dict().values() if value.is_floating_point()} == {torch.float32}
    image = input_of(task)
    with torch.inference_mode():
        expected, found = network(image), loaded(image)
    assert torch.allclose(expected, found, atol=2e-2 if half else 1e-6)
    assert half or torch.equal(expected, found)


def test_half_precision_halves_the_file_and_keeps_running_statistics_whole(tmp_path):
    small, large = saved(tmp_path / "a"), saved(tmp_path / "b", half=False)
    sizes = [(model.folder / "weights.safetensors").stat().st_size for model in (small, large)]
    assert sizes[0] < 0.8 * sizes[1]
    network, loaded = network_of("segmentation"), small.load()
    for (name, before), (_, after) in zip(network.named_buffers(), loaded.named_buffers(), strict=True):
        assert torch.equal(before, after), name


def test_a_network_in_channels_last_order_is_stored_like_any_other(tmp_path):
    network = network_of("segmentation")
    plain = save_model(tmp_path / "plain", network, manifest_of("m", "segmentation"), "")
    last = save_model(
        tmp_path / "last", network.to(memory_format=torch.channels_last), manifest_of("m", "segmentation"), ""
    )
    assert plain.sha256 == last.sha256


def test_the_model_says_what_it_is(tmp_path):
    model = saved(tmp_path / "my-unet")
    content = (tmp_path / "my-unet" / "weights.safetensors").read_bytes()
    assert (model.name, model.version, model.task) == ("my-unet", "1.0", "segmentation")
    assert model.sha256 == hashlib.sha256(content).hexdigest()
    assert model.card.startswith("# Card") and "research" in model.manifest["research_use"].lower()
    assert {path.name for path in model.folder.iterdir()} == {"manifest.json", "weights.safetensors", "README.md"}


def test_loading_neither_draws_random_numbers_nor_shares_tensors(tmp_path):
    model = saved(tmp_path / "m")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = model.load(), model.load()
    assert torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert next(second.parameters()).abs().sum() > 0
    assert all(parameter.requires_grad for parameter in second.parameters())


def change_manifest(folder: Path, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def rehash(folder: Path) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    change_manifest(folder, lambda m: m.update(sha256=hashlib.sha256(content).hexdigest()))


def put_pickle(folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    (folder / "weights.safetensors").write_bytes(buffer.getvalue())
    rehash(folder)


def truncate(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    rehash(folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "not a model"),
        (lambda f: (f / "manifest.json").write_text("{'name'"), "cannot be read as JSON"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"), "cannot be read as JSON"),
        (lambda f: (f / "weights.safetensors").unlink(), "no weights.safetensors"),
        (lambda f: change_manifest(f, lambda m: m.pop("input")), "no 'input'"),
        (lambda f: change_manifest(f, lambda m: m.update(task="painting")), "'task' is 'painting'"),
        (lambda f: change_manifest(f, lambda m: m["metrics"][0].pop("n")), r"'metrics\[0\]' has no 'n'"),
        (lambda f: change_manifest(f, lambda m: m.update(name="../up")), "'name'"),
        (lambda f: change_manifest(f, lambda m: m.update(schema_version=2)), "newer than this program"),
        (lambda f: change_manifest(f, lambda m: m.update(sha256="0" * 64)), "wrong hash"),
        (lambda f: change_manifest(f, lambda m: m["architecture"].update({"class": "Sequential"})), "Sequential"),
        (lambda f: change_manifest(f, lambda m: m["architecture"]["parameters"].update(depth=9)), "cannot be built"),
        (lambda f: change_manifest(f, lambda m: m["architecture"]["parameters"].update(base_width=-1)), "model m"),
        (lambda f: change_manifest(f, lambda m: m["architecture"]["parameters"].update(base_width="x")), "model m"),
        (lambda f: change_manifest(f, lambda m: m["architecture"]["parameters"].update(base_width=4)), "do not fit"),
        (
            lambda f: change_manifest(f, lambda m: m["architecture"].update({"class": "SpineNet", "parameters": {}})),
            "do not fit",
        ),
        (put_pickle, "damaged"),
        (truncate, "damaged"),
    ],
)
def test_a_model_that_does_not_match_is_refused_with_one_sentence(tmp_path, harm, message):
    folder = saved(tmp_path / "m").folder
    harm(folder)
    with pytest.raises(ModelError, match=message) as caught:
        TrainedModel.open(folder).load("cpu")
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_flipped_byte_in_the_weights_is_noticed(tmp_path):
    model = saved(tmp_path / "m")
    path = model.folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="wrong hash"):
        model.load()


def test_saving_refuses_what_could_not_be_loaded_and_leaves_the_old_model(tmp_path):
    old = saved(tmp_path / "m")
    with pytest.raises(ModelError, match="do not fit"):
        save_model(old.folder, network_of("grading"), manifest_of("m", "segmentation"), "")
    broken = network_of("segmentation")
    with torch.no_grad():
        next(broken.parameters())[0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        save_model(old.folder, broken, manifest_of("m", "segmentation"), "")
    with pytest.raises(ModelError, match="no 'outputs'"):
        manifest = manifest_of("m", "segmentation")
        del manifest["outputs"]
        save_model(old.folder, network_of("segmentation"), manifest, "")
    assert TrainedModel.open(old.folder).load() is not None
    assert list(tmp_path.iterdir()) == [old.folder]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("words")
    with pytest.raises(ModelError, match="is not a model"):
        saved(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "words"


def test_a_model_is_looked_up_as_a_path_then_among_the_users_then_among_the_built_in(tmp_path, user_folder, built_in):
    assert find_model("plain-unet", "segmentation").origin == "built-in"
    mine = saved(user_folder / "plain-unet", seed=1)
    found = find_model("plain-unet", "segmentation")
    assert (found.origin, found.sha256) == ("user", mine.sha256)
    elsewhere = saved(tmp_path / "elsewhere" / "plain-unet", seed=2)
    found = find_model(str(elsewhere.folder), "segmentation")
    assert (found.origin, found.sha256) == ("path", elsewhere.sha256)


def test_without_a_name_the_default_of_the_task_is_taken_whatever_the_user_has(user_folder, built_in):
    saved(user_folder / "plain-unet", seed=1)
    assert find_model(None, "segmentation").folder == built_in / "plain-unet"
    assert find_model(None, "grading").name == "plain-spinenet"
    (built_in / "defaults.json").unlink()
    with pytest.raises(ModelError, match="No model for grading"):
        find_model(None, "grading")


def test_a_model_of_the_wrong_task_or_an_unknown_name_is_refused(tmp_path, user_folder, built_in):
    with pytest.raises(ModelError, match="for grading, not for segmentation"):
        find_model("plain-spinenet", "segmentation")
    with pytest.raises(ModelError, match=r"no model 'nobody'.*plain-spinenet, plain-unet"):
        find_model("nobody", "segmentation")
    for name in ("", "..", "../user models/x", str(tmp_path / "missing")):
        with pytest.raises(ModelError):
            find_model(name, "segmentation")
    with pytest.raises(ModelError, match="segmentation, grading"):
        find_model("plain-unet", "painting")


def test_all_usable_models_are_listed_and_broken_ones_named(user_folder, built_in):
    saved(user_folder / "mine", "grading")
    (user_folder / "broken").mkdir()
    assert [(model.origin, model.name) for model in available_models()] == [
        ("user", "mine"), ("built-in", "plain-spinenet"), ("built-in", "plain-unet")
    ]  # fmt: skip
    assert len(unusable_models()) == 1 and "broken" in unusable_models()[0]


def zipped(model: TrainedModel, path: Path, inside: str = "", extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in model.folder.iterdir():
            archive.write(file, inside + file.name)
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("inside", ["", "model/", "release/model/"])
def test_a_model_is_installed_from_a_zip_file_and_found_by_its_name(tmp_path, user_folder, built_in, inside):
    model = saved(tmp_path / "work", name="clinic-unet")
    installed = install_model(zipped(model, tmp_path / "m.zip", inside, {inside + "notes.txt": b"not needed"}))
    assert installed.folder == user_folder / "clinic-unet" and installed.origin == "user"
    assert find_model("clinic-unet", "segmentation").sha256 == model.sha256
    assert {path.name for path in installed.folder.iterdir()} == {"manifest.json", "weights.safetensors", "README.md"}
    assert [path.name for path in user_folder.iterdir()] == ["clinic-unet"]
    installed.load("cpu")


def test_a_model_is_installed_from_a_folder_and_replaces_the_one_of_its_name(tmp_path, user_folder):
    install_model(saved(tmp_path / "old", seed=1, name="m").folder)
    new = saved(tmp_path / "new", seed=2, name="m")
    assert install_model(new.folder).sha256 == new.sha256
    assert install_model(user_folder / "m").sha256 == new.sha256
    assert [path.name for path in user_folder.iterdir()] == ["m"]


def link_member() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("README.txt")
    member.create_system, member.external_attr = 3, 0o120777 << 16
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../outside.txt", "outside its own folder"),
        ("/absolute.txt", "outside its own folder"),
        ("..\\outside.txt", "outside its own folder"),
        ("C:/outside.txt", "outside its own folder"),
        (link_member(), "holds a link"),
        ("second/manifest.json", "2 models"),
    ],
)
def test_an_unsafe_zip_file_is_refused_and_nothing_changes(tmp_path, user_folder, member, message):
    before = install_model(saved(tmp_path / "old", seed=1, name="m").folder)
    bad = zipped(saved(tmp_path / "new", seed=2, name="m"), tmp_path / "m.zip", extra={member: b"x"})
    with pytest.raises(ModelError, match=message):
        install_model(bad)
    assert TrainedModel.open(before.folder).sha256 == before.sha256
    assert [path.name for path in user_folder.iterdir()] == ["m"]
    assert not (tmp_path / "outside.txt").exists()


def test_what_is_not_a_sound_model_is_not_installed(tmp_path, user_folder):
    before = install_model(saved(tmp_path / "old", seed=1, name="m").folder)
    tampered = saved(tmp_path / "new", seed=2, name="m")
    change_manifest(tampered.folder, lambda m: m.update(sha256="0" * 64))
    with pytest.raises(ModelError, match="wrong hash"):
        install_model(zipped(tampered, tmp_path / "m.zip"))
    (tmp_path / "text.zip").write_text("not a zip file")
    with pytest.raises(ModelError, match="not a readable zip"):
        install_model(tmp_path / "text.zip")
    with pytest.raises(ModelError, match="no file or folder"):
        install_model(tmp_path / "missing.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="not a model"):
        install_model(tmp_path / "empty")
    assert TrainedModel.open(before.folder).sha256 == before.sha256
    assert [path.name for path in user_folder.iterdir()] == ["m"]


def test_a_place_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be copied"):
        install_model(saved(tmp_path / "m").folder)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "base/LumbarDiscGrading/Models"),
        ("linux", None, "home/.local/share/LumbarDiscGrading/Models"),
        ("win32", "LOCALAPPDATA", "base/LumbarDiscGrading/Models"),
        ("darwin", None, "home/Library/Application Support/LumbarDiscGrading/Models"),
    ],
)
def test_the_user_folder_is_where_the_platform_keeps_data(tmp_path, monkeypatch, platform, variable, expected):
    for name in (store.MODELS_VARIABLE, "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "base"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert store.user_model_folder() == tmp_path / expected


def test_the_manifest_schema_is_a_valid_schema_and_agrees_on_a_saved_model(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(saved(tmp_path / "m").manifest, schema)


def test_models_are_listed_without_importing_torch():
    code = (
        "import sys; from LumbarDiscGradingLib.models import store; store.available_models(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run(*arguments: str) -> int:
    return main(["models", *arguments])


def test_the_command_installs_lists_and_shows(tmp_path, user_folder, built_in, capsys):
    model = saved(tmp_path / "work", "grading", name="mine")
    assert run("install", str(zipped(model, tmp_path / "m.zip"))) == 0
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "mine  1.0  grading  user" in lines and "plain-unet  1.0  segmentation  built-in (default)" in lines
    assert run("show", "mine") == 0
    shown = capsys.readouterr().out
    for part in ("SpineNet", model.sha256, "Dice 0.900 (0.800, 0.950), n = 7", "CC0-1.0", "# Card", "research use"):
        assert part in shown
    (user_folder / "mine" / "weights.safetensors").write_bytes(b"")
    assert run("show", "mine") == 1
    assert "wrong hash" in capsys.readouterr().err
    assert run("install", str(tmp_path / "missing.zip")) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


LOCATOR = {
    "architecture": {"class": "LevelLocator", "parameters": {"levels": 6, "base_width": 4}},
    "levels": list(LEVELS_UPWARD[:6]),
    "pooling": 4,
    "temperature": 6.0,
    "training": {},
}


def with_locator(folder: Path) -> tuple[TrainedModel, torch.nn.Module]:
    locator = build("LevelLocator", LOCATOR["architecture"]["parameters"]).eval()
    return save_level_locator(saved(folder), locator, LOCATOR), locator


def test_a_locator_of_levels_is_stored_beside_the_network_and_gives_the_same_answers(tmp_path):
    plain = saved(tmp_path / "plain")
    assert plain.load_level_locator() is None
    model, locator = with_locator(tmp_path / "m")
    assert TrainedModel.open(tmp_path / "m").manifest == model.manifest
    assert model.sha256 == plain.sha256 and model.card == plain.card
    picture = torch.rand(1, 5, 70, 90)
    for ours, theirs in zip(locator(picture), model.load_level_locator()(picture), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
    assert model.load_level_locator()(picture)[0].shape == (1, 6, 35, 45)


def test_a_locator_that_was_changed_or_belongs_to_another_task_is_refused(tmp_path):
    model, locator = with_locator(tmp_path / "m")
    path = tmp_path / "m" / "level_locator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="wrong hash"):
        model.load_level_locator()
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        model.load_level_locator()
    with pytest.raises(ModelError, match="not for segmentation"):
        save_level_locator(saved(tmp_path / "g", "grading"), locator, LOCATOR)


def test_a_locator_is_installed_with_its_model_and_a_damaged_one_is_not(tmp_path, user_folder):
    with_locator(tmp_path / "m")
    assert store.install_model(tmp_path / "m").load_level_locator() is not None
    (tmp_path / "m" / "level_locator.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="wrong hash"):
        store.install_model(tmp_path / "m")
