"""`TrainedModel`: one trained network in a folder. Weights are safetensors, checked by hash; nothing unpickles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import building
from ..research_use import RESEARCH_USE
from .manifest import (
    CARD_NAME,
    LOCATOR_KEY,
    LOCATOR_NAME,
    MANIFEST_NAME,
    SCHEMA_NAME,
    SCHEMA_VERSION,
    WEIGHTS_NAME,
    ModelError,
    check_manifest,
    read_manifest,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TrainedModel:
    """A trained network on disk.

    Attributes
    ----------
    manifest : dict
        The checked content of ``manifest.json``.
    origin : str
        Where it was looked up: ``path``, ``user`` (the user's model folder) or ``built-in``.

    Examples
    --------
    >>> model = TrainedModel.open(Path("my-unet"))  # doctest: +SKIP
    >>> network = model.load("cpu")  # doctest: +SKIP
    """

    folder: Path
    manifest: dict[str, Any]
    origin: str = "path"

    @classmethod
    def open(cls, folder: Path | str, origin: str = "path") -> TrainedModel:
        """Open the model in `folder`: read and check its manifest. The weights are checked when they are loaded."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        if not (folder / WEIGHTS_NAME).is_file():
            raise ModelError(f"The model in {folder} has no {WEIGHTS_NAME}; install it again.")
        return cls(folder, manifest, origin)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest["name"]

    @property
    def version(self) -> str:
        """Version of the model."""
        return self.manifest["version"]

    @property
    def task(self) -> str:
        """``segmentation`` or ``grading``."""
        return self.manifest["task"]

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file, as the manifest states it and `load` enforces it."""
        return self.manifest["sha256"]

    @property
    def card(self) -> str:
        """Text of the model card; empty when there is none."""
        path = self.folder / CARD_NAME
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def require_task(self, task: str) -> TrainedModel:
        """Return the model itself."""
        if self.task != task:
            raise ModelError(f"The model {self.name} is for {self.task}, not for {task}; choose another for {task}.")
        return self

    def load(self, device: torch.device | str = "cpu") -> torch.nn.Module:
        """Return the network with its weights as float32 on `device`, in evaluation mode."""
        return self._loaded(self.verified_weights(), self.manifest["architecture"], device)

    def load_level_locator(self, device: torch.device | str = "cpu") -> torch.nn.Module | None:
        """Return the network that looks for the levels, as `load` does; None where the model has none.

        Raises
        ------
        ModelError
            As `load`.
        """
        locator = self.manifest.get(LOCATOR_KEY)
        if locator is None:
            return None
        content = self._verified(LOCATOR_NAME, locator["sha256"])
        return self._loaded(content, locator["architecture"], device)

    def verified_weights(self) -> bytes:
        """Return the content of the weights file."""
        return self._verified(WEIGHTS_NAME, self.sha256)

    def _verified(self, name: str, sha256: str) -> bytes:
        try:
            content = (self.folder / name).read_bytes()
        except OSError:
            raise ModelError(f"The weights of model {self.name} cannot be read; install it again.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelError(
                f"The weights of model {self.name} are not those of its manifest (wrong hash); install it again."
            )
        return content

    def _loaded(self, content: bytes, architecture: Mapping[str, Any], device: torch.device | str) -> torch.nn.Module:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(content)
        except (SafetensorError, ValueError, KeyError):
            raise ModelError(f"The weights of model {self.name} are damaged; install it again.") from None
        return _network(self.name, architecture, _as_float32(tensors)).to(device).eval()


def save_model(
    folder: Path | str, module: torch.nn.Module, manifest: Mapping[str, Any], card: str, half: bool = True
) -> TrainedModel:
    """Write a trained network as a model folder, whole or not at all; a model already there is replaced.

    Parameters
    ----------
    module : torch.nn.Module
        Its tensors must fit the architecture that the manifest names.
    manifest : mapping
        As ``manifest.schema.json`` describes; ``schema``, ``schema_version``, ``sha256``, ``created`` and
        ``research_use`` are filled in.
    card : str
        Text of the model card, Markdown.
    half : bool
        Store parameters as float16, half the size; running statistics stay float32.

    Raises
    ------
    ModelError
        If the manifest breaks the schema, the tensors do not fit the architecture or are not finite, the folder holds
        something else, or it cannot be written.
    """
    from safetensors.torch import save

    folder = Path(folder)
    tensors = _stored_tensors(module, half)
    content = save(tensors)
    complete = {
        "created": datetime.now(timezone.utc).date().isoformat(),
        "research_use": RESEARCH_USE,
        **manifest,
        "schema": SCHEMA_NAME,
        "schema_version": SCHEMA_VERSION,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    check_manifest(complete, "The new model")
    _network(complete["name"], complete["architecture"], _as_float32(tensors))
    if folder.exists() and not (folder / MANIFEST_NAME).is_file() and any(folder.iterdir()):
        raise ModelError(f"{folder} exists and is not a model; choose another folder.")
    return _write_folder(folder, {WEIGHTS_NAME: content}, complete, card)


def save_level_locator(model: TrainedModel, locator: torch.nn.Module, entry: Mapping[str, Any]) -> TrainedModel:
    """Give a segmentation model a network that looks for the levels; one that it has is replaced.

    Parameters
    ----------
    model : TrainedModel
    locator : torch.nn.Module
    entry : mapping
        Of the manifest, as ``manifest.schema.json`` describes it, without ``sha256``.

    Raises
    ------
    ModelError
        If the model is of another task, the entry breaks the schema or does not fit the tensors, or the folder cannot
        be written.
    """
    from safetensors.torch import save

    model.require_task("segmentation")
    tensors = _stored_tensors(locator, half=True)
    content = save(tensors)
    manifest = {**model.manifest, LOCATOR_KEY: {**entry, "sha256": hashlib.sha256(content).hexdigest()}}
    check_manifest(manifest, "The changed model")
    _network(model.name, entry["architecture"], _as_float32(tensors))
    parts = {WEIGHTS_NAME: model.verified_weights(), LOCATOR_NAME: content}
    return _write_folder(model.folder, parts, manifest, model.card, kept=model.folder)


def rewrite_manifest(model: TrainedModel, manifest: Mapping[str, Any], card: str) -> TrainedModel:
    """Replace a model's manifest and card, whole or not at all; weights, hash and all else in the folder stay."""
    check_manifest(manifest, "The changed model")
    if manifest["sha256"] != model.sha256:
        raise ModelError(f"The manifest names other weights than those of the model {model.name}; train it again.")
    return _write_folder(model.folder, {WEIGHTS_NAME: model.verified_weights()}, manifest, card, kept=model.folder)


def _write_folder(
    folder: Path, weights: Mapping[str, bytes], manifest: Mapping[str, Any], card: str, kept: Path | None = None
) -> TrainedModel:
    try:
        with building(folder) as partial:
            if kept is not None:
                shutil.copytree(kept, partial, symlinks=True, dirs_exist_ok=True)
            for name, content in weights.items():
                (partial / name).write_bytes(content)
            (partial / CARD_NAME).write_text(card, encoding="utf-8")
            text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
            (partial / MANIFEST_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from None
    return TrainedModel.open(folder)


def _stored_tensors(module: torch.nn.Module, half: bool) -> dict[str, torch.Tensor]:
    import torch

    parameters = {name for name, _ in module.named_parameters()}
    tensors = {}
    for name, value in module.state_dict().items():
        stored = value.detach().cpu().contiguous().clone()
        if not torch.isfinite(stored).all():
            raise ModelError(f"The network's tensor {name} is not finite; train again with a lower learning rate.")
        halved = stored.half() if half and name in parameters else stored
        tensors[name] = halved if torch.isfinite(halved).all() else stored
    return tensors


def _as_float32(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _network(name: str, architecture: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Build the network that a manifest names around tensors, without initialising weights first."""
    import torch

    from ..networks import build

    try:
        with torch.device("meta"):
            network = build(architecture["class"], architecture["parameters"])
        network.load_state_dict(tensors, strict=True, assign=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"The model {name} names a network that cannot be built: {_sentence(error)}") from None
    except RuntimeError:
        raise ModelError(
            f"The weights of model {name} do not fit its network {architecture['class']}; get the model again."
        ) from None
    return network


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")[:300] + "."
