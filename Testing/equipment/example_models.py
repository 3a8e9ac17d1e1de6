"""Models to test with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from LumbarDiscGradingLib.measures.prediction_sets import METHOD
from LumbarDiscGradingLib.models.store import find_model


def model_with_sets(folder: Path, threshold: float = 0.9999) -> Path:
    """Copy the built-in grading model into a folder whose name it takes, and let it state prediction sets.

    The default threshold makes large ones.
    """
    shutil.copytree(find_model(None, "grading").folder, folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["name"] = folder.name
    manifest["calibration"]["prediction_set"] = {
        "coverage": 0.8,
        "threshold": threshold,
        "method": METHOD,
        "patients": 20,
        "discs": 100,
    }
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return folder
