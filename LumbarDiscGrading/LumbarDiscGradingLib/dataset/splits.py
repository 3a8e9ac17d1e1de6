"""Splits of a data set by patient: the frozen ones that come with the module, and seeded ones for new patients."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..resources import resource_path
from .manifest import SPLITS, DatasetError

STUDY_PROPORTIONS = {"train": 300, "tune": 72, "test": 94}
"""Discs in the study's training, tuning and test sets."""


def packaged_splits(name: str) -> Path | None:
    """Return the file of frozen splits for the data set called `name`, None when there is none."""
    path = resource_path("Splits", f"{name}.json")
    return path if path.is_file() else None


def read_splits(path: Path) -> dict[str, list[str]]:
    """Read a JSON file of patients by split.

    Raises
    ------
    DatasetError
        If it is not an object with the lists ``train``, ``tune`` and ``test``, or has a patient twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        splits = {split: [str(patient) for patient in content[split]] for split in SPLITS}
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(f"{path} holds no splits; expected JSON with the lists {', '.join(SPLITS)}.") from None
    patients = [patient for split in SPLITS for patient in splits[split]]
    if len(set(patients)) < len(patients):
        raise DatasetError(f"{path} has a patient in more than one split; leave each in one.")
    return splits


def split_patients(
    patients: Iterable[str],
    frozen: Mapping[str, Iterable[str]] | None = None,
    seed: int = 0,
    proportions: Mapping[str, float] = STUDY_PROPORTIONS,
) -> dict[str, list[str]]:
    """Part patients into training, tuning and test sets, each patient in one.

    Parameters
    ----------
    patients : iterable of str
    frozen : mapping of str to iterable of str, optional
        Splits already fixed; they stay, and name the split of the patients that they know.
    seed : int
        For the random order of the other patients.
    proportions : mapping of str to float
        Of training, tuning and test patients among them; by default the study's 300/72/94.

    Returns
    -------
    dict of str to list of str
        Sorted patients by split.
    """
    remaining = set(patients)
    result: dict[str, list[str]] = {}
    for split in SPLITS:
        result[split] = sorted(remaining & set((frozen or {}).get(split, ())))
    remaining -= {patient for split in SPLITS for patient in result[split]}
    order = sorted(remaining)
    random.Random(seed).shuffle(order)
    share = len(order) / sum(proportions[split] for split in SPLITS)
    wanted = sum(proportions[split] > 0 for split in SPLITS)
    for split in ("test", "tune"):
        least = int(len(order) >= wanted and proportions[split] > 0)  # with enough patients no set is left empty
        count = max(round(share * proportions[split]), least)
        result[split] = sorted(result[split] + order[:count])
        order = order[count:]
    result["train"] = sorted(result["train"] + order)
    return result
