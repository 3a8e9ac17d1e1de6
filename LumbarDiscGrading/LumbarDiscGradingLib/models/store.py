"""Where models are found and installed: a path, the user's model folder, the built-in ones. Offline, always."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from ..atomic import building
from ..pfirrmann import TASKS
from ..resources import resource_path
from .folder import TrainedModel
from .manifest import CARD_NAME, LOCATOR_NAME, MANIFEST_NAME, WEIGHTS_NAME, ModelError

MODELS_VARIABLE = "LUMBAR_DISC_GRADING_MODELS"
"""Environment variable that names another user model folder."""
MODEL_FILES, OPTIONAL_FILES = (MANIFEST_NAME, WEIGHTS_NAME, CARD_NAME), (LOCATOR_NAME,)
"""The files that make a model; nothing else is installed."""
MAX_FILE_BYTES = 2 * 1024**3
"""Larger files are not installed; the networks here have some ten megabytes."""


def user_model_folder() -> Path:
    """Return the user's model folder, shared by panel and command line; it survives updates and may not exist yet."""
    if override := os.environ.get(MODELS_VARIABLE):
        return Path(override).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "LumbarDiscGrading" / "Models"


def built_in_model_folder() -> Path:
    """Return the folder of the models that come with the module."""
    return resource_path("Models")


def find_model(name_or_path: str | os.PathLike[str] | None, task: str) -> TrainedModel:
    """Return the model of a task: a path first, then the user's model folder, then the built-in ones.

    Parameters
    ----------
    name_or_path : str or None
        Folder of a model or name of an installed one; None for the task's built-in default.
    task : str
        ``segmentation`` or ``grading``.
    """
    if task not in TASKS:
        raise ModelError(f"A model's task is one of {', '.join(TASKS)}, not {task!r}.")
    if name_or_path is None:
        return TrainedModel.open(built_in_model_folder() / _default_name(task), "built-in").require_task(task)
    return open_model(name_or_path).require_task(task)


def open_model(name_or_path: str | os.PathLike[str]) -> TrainedModel:
    """Return a model of any task by path or name, looked up as `find_model` does."""
    path = Path(name_or_path)
    if path.is_dir():
        return TrainedModel.open(path)
    if path.is_file():
        raise ModelError(f"{path} is a file; give a model's folder, or install the file first with 'models install'.")
    name = os.fspath(name_or_path)
    if name == path.name and name not in ("", ".", ".."):
        for origin, folder in _places():
            if (folder / name).is_dir():
                return TrainedModel.open(folder / name, origin)
    known = ", ".join(sorted({model.name for model in available_models()})) or "none"
    raise ModelError(f"There is no model {name!r}: neither a folder nor one of the installed models ({known}).")


def available_models() -> list[TrainedModel]:
    """Return the usable models of the user's folder, then the built-in ones, each sorted by name."""
    return _scan()[0]


def unusable_models() -> list[str]:
    """Return one sentence for each folder among the models that is not usable."""
    return _scan()[1]


def default_model_names() -> dict[str, str]:
    """Return the names of the built-in default models by task; a task without one is left out."""
    try:
        names = json.loads((built_in_model_folder() / "defaults.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {task: names[task] for task in TASKS if task in names}


def install_model(source: Path | str) -> TrainedModel:
    """Copy a model from a zip file or folder into the user's model folder, after its weights have been verified.

    A model of the same name there is replaced, but only by one that has passed every check.
    """
    source = Path(source)
    destination = user_model_folder()
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=destination) as workplace:
            _copy_model(source, Path(workplace))
            model = TrainedModel.open(workplace)
            model.load("cpu")
            model.load_level_locator("cpu")
            with building(destination / model.name) as complete:
                for path in Path(workplace).iterdir():
                    os.replace(path, complete / path.name)
    except OSError as error:
        raise ModelError(f"The model cannot be copied to {destination} ({error.strerror}); free the folder.") from None
    return TrainedModel.open(destination / model.name, "user")


def _copy_model(source: Path, destination: Path) -> None:
    """Copy the files that make a model, and only those, under names of our own."""
    if source.is_dir():
        for name in (*MODEL_FILES, *OPTIONAL_FILES):
            path = source / name
            if path.is_file():
                _require_small(path.stat().st_size, source)
                (destination / name).write_bytes(path.read_bytes())
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for name, member in _model_members(archive, source).items():
                (destination / name).write_bytes(archive.read(member))
    except FileNotFoundError:
        raise ModelError(f"There is no file or folder {source}; check the path.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise ModelError(f"{source} is not a readable zip file; get the model again from its source.") from None


def _model_members(archive: zipfile.ZipFile, source: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members of the one model in a zip file, at its top or in a folder, after checking every member."""
    for member in archive.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename:
            raise ModelError(f"{source} has a member outside its own folder; it is not safe and was not installed.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ModelError(f"{source} holds a link; it is not safe and was not installed.")
        _require_small(member.file_size, source)
    manifests = [info for info in archive.infolist() if PurePosixPath(info.filename).name == MANIFEST_NAME]
    if len(manifests) != 1:
        raise ModelError(f"{source} holds {len(manifests)} models; give a zip file with one.")
    folder = PurePosixPath(manifests[0].filename).parent
    members = {info.filename: info for info in archive.infolist()}
    wanted = {name: str(folder / name) for name in (*MODEL_FILES, *OPTIONAL_FILES)}
    return {name: members[path] for name, path in wanted.items() if path in members}


def _require_small(size: int, source: Path) -> None:
    if size > MAX_FILE_BYTES:
        raise ModelError(f"{source} holds a file of {size / 1024**3:.1f} GiB, too large for a model; check the source.")


def _default_name(task: str) -> str:
    names = default_model_names()
    if task not in names:
        raise ModelError(f"No model for {task} comes with this installation; give one with --model.")
    return names[task]


def _places() -> tuple[tuple[str, Path], ...]:
    return ("user", user_model_folder()), ("built-in", built_in_model_folder())


def _scan() -> tuple[list[TrainedModel], list[str]]:
    models, problems = [], []
    for origin, place in _places():
        folders = sorted(place.iterdir()) if place.is_dir() else []
        for folder in folders:
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            try:
                models.append(TrainedModel.open(folder, origin))
            except ModelError as error:
                problems.append(str(error))
    return models, problems
