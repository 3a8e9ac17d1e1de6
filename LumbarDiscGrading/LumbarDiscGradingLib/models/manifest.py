"""The manifest `manifest.json` of a trained network: names and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..json_schema import manifest_problem

MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
LOCATOR_NAME = "level_locator.safetensors"
LOCATOR_KEY = "level_locator"
"""In the manifest of a segmentation model that has one."""
CARD_NAME = "README.md"
SCHEMA_NAME = "LumbarDiscGrading/model"
SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("manifest.schema.json")


class ModelError(UserError):
    """A model cannot be used: it is not there, damaged, of another task or version, or cannot be written.

    All that opens, loads, installs or writes models raises it.
    """


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of the model in `folder`."""
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder} is not a model: it has no {MANIFEST_NAME}; give the folder of a model.") from None
    except (OSError, ValueError):
        raise ModelError(f"{path} cannot be read as JSON; install the model again.") from None
    check_manifest(manifest, str(path))
    return manifest


def check_manifest(manifest: Any, where: str) -> None:
    """Raise `ModelError` unless `manifest` follows the schema."""
    advice = "get the model again from its source"
    problem = manifest_problem(manifest, SCHEMA_PATH, SCHEMA_VERSION, "model manifest", advice)
    if problem:
        raise ModelError(f"{where} {problem}")
