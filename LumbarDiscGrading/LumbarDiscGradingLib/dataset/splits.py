"""Splits of a data set by patient: the frozen ones that come with the module, and seeded ones for new patients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..resources import resource_path
from .manifest import SPLITS, DatasetError

STUDY_PROPORTIONS = {"train": 300, "tune": 72, "test": 94}
"""Discs in the study's training, tuning and test sets."""
HASH_DIGITS = 12
"""Hexadecimal digits of a hash, few enough for a float to hold them exactly."""


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

    A patient's own number between 0 and 1, a hash of seed and name, says the set. So a test patient stays a test
    patient when others join, and the sizes of the sets follow the proportions only roughly. Where nobody would train,
    the patient with the highest number does; where nobody would tune and there are patients enough, one who would
    train does. An empty test set stays empty: whoever filled it would have to leave it when others join.

    Parameters
    ----------
    patients : iterable of str
    frozen : mapping of str to iterable of str, optional
        Splits already fixed; they stay, and name the split of the patients that they know.
    seed : int
        Of the numbers of the other patients.
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
    total = sum(proportions[split] for split in SPLITS)
    numbers = {patient: _number(patient, seed) * total for patient in remaining}
    order = sorted(remaining, key=lambda patient: (numbers[patient], patient))
    trains = bool(order) and proportions["train"] > 0 and not result["train"]
    tested = sum(number < proportions["test"] for number in numbers.values())
    tested = min(tested, len(order) - trains)
    tuned = sum(number < proportions["test"] + proportions["tune"] for number in numbers.values()) - tested
    wanted = sum(proportions[split] > 0 for split in SPLITS)
    if len(order) >= wanted and proportions["tune"] > 0 and not result["tune"]:
        tuned = max(tuned, 1)
    tuned = min(tuned, len(order) - tested - trains)
    for split, count in (("test", tested), ("tune", tuned), ("train", len(order))):
        result[split] = sorted(result[split] + order[:count])
        order = order[count:]
    return result


def _number(patient: str, seed: int) -> float:
    """Return a number from 0 to below 1 that depends on seed and name alone."""
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()
    return int(digest[:HASH_DIGITS], 16) / 16**HASH_DIGITS
