"""How a run is asked for, and what it is made from, written beside it: it goes on only as what it began as."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..atomic import replacing
from ..dataset.labelled import OfPerson
from ..models.folder import TrainedModel
from .errors import TrainingError
from .recipes import GradingRecipe, LevelRecipe, SegmentationRecipe, recipe_settings

RECORD_NAME = "run.json"
RECIPE = "recipe"
TRAINING_PATIENTS = "training patients"


@dataclass(frozen=True)
class RunOptions:
    """How a training is run, whatever is trained.

    Attributes
    ----------
    seed : int
    resume : bool
        Go on from the last finished epoch, if there is one.
    device : str
        Lightning accelerator.
    start_from : TrainedModel or None
        Go on from the weights of this model of the same architecture instead of random ones.
    devices, nodes : int
        More than one: distributed data parallel; the batch size is that of each device.
    """

    seed: int = 0
    resume: bool = False
    device: str = "auto"
    start_from: TrainedModel | None = None
    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Devices on all nodes."""
        return self.devices * self.nodes

    def of_fold(self, number: int) -> RunOptions:
        """Return the options of the training of one fold, 1 and on, which has a seed of its own."""
        return replace(self, seed=self.seed + number)


def run_record(
    recipe: SegmentationRecipe | LevelRecipe | GradingRecipe, training: Iterable[OfPerson], options: RunOptions
) -> dict[str, Any]:
    """Return what a training is made from, by what it is called, JSON-ready.

    Parameters
    ----------
    recipe : SegmentationRecipe, LevelRecipe or GradingRecipe
    training : iterable of cases or discs
        Those that train.
    options : RunOptions
    """
    return {
        RECIPE: recipe_settings(recipe),
        "seed": options.seed,
        TRAINING_PATIENTS: patient_names(training),
        "start model": model_hash(options.start_from),
        "number of devices": options.processes,
    }


def patient_names(cases: Iterable[OfPerson]) -> list[str]:
    """Return each patient once as ``source/patient``, sorted."""
    return sorted({f"{case.source}/{case.patient}" for case in cases})


def model_hash(model: TrainedModel | None) -> str | None:
    """Return the SHA-256 of a model's weights."""
    return None if model is None else model.sha256


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write a record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def recorded(path: Path, name: str, advice: str) -> Any:
    """Return one thing that a run was made from, such as `TRAINING_PATIENTS`; all else as in `require_same`."""
    begun = _begun(path)
    if name not in begun:
        raise _unsaid(path, advice)
    return begun[name]


def require_same(record: Mapping[str, Any], path: Path, advice: str) -> None:
    """Make sure that what was begun is what is asked for.

    Parameters
    ----------
    record : mapping
        What is asked for.
    path : Path
        Record of what was begun, as `write_record` left it.
    advice : str
        What to do where it differs; it ends the sentence.

    Raises
    ------
    TrainingError
        One sentence: what differs, or that there is no record to tell by.
    """
    begun = _begun(path)
    if not begun:
        raise _unsaid(path, advice)
    if differing := list(_differences(begun, record)):
        told = ", ".join(differing)
        raise TrainingError(f"The run in {path.parent} differs from what is asked for: {told}; {advice}.")


def _begun(path: Path) -> dict[str, Any]:
    """Return a record, empty where there is none that can be read."""
    try:
        begun = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return begun if isinstance(begun, dict) else {}


def _unsaid(path: Path, advice: str) -> TrainingError:
    return TrainingError(f"The run in {path.parent} does not say what it was made from ({path.name}); {advice}.")


def _differences(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*asked, *begun)):
        before, now = begun.get(name), asked.get(name)
        if before == now:
            continue
        if name == RECIPE and isinstance(before, dict) and isinstance(now, dict):
            settings = [key for key in dict.fromkeys((*now, *before)) if before.get(key) != now.get(key)]
            told = ", ".join(f"{key} {before.get(key)} there, {now.get(key)} here" for key in settings)
            yield f"{name} ({told})"
        else:
            yield name
