"""The manifest `dataset.json` of a labelled data set: names, checks and hashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..json_schema import manifest_problem
from ..pfirrmann import DISC_LABELS, Tissue

MANIFEST_NAME = "dataset.json"
GRADES_NAME = "grades.csv"
GRADES_COLUMNS = ("patient", "level", "pfirrmann", "reader")
LEVELS_NAME = "levels.csv"
LEVELS_COLUMNS = ("patient", "level", "column", "row")
"""Of the table of points: where on a picture the posterior margin of the disc of each level lies, in pixels."""
SCHEMA_NAME = "LumbarDiscGrading/dataset"
SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("dataset.schema.json")
SPLITS = ("train", "tune", "test")
"""The uses of a patient, in the order of the study's 300/72/94."""


class DatasetError(UserError):
    """A data set cannot be used; the message is one sentence for the user: what is wrong and what to do."""


def label_table() -> dict[str, str]:
    """Return the mask values of a data set and what they stand for, as the manifest writes them."""
    names = {int(tissue): tissue.name.lower() for tissue in Tissue}
    names.update({value: level for level, value in DISC_LABELS.items()})
    return {str(value): names[value] for value in sorted(names)}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of the data set in `folder`.

    Raises
    ------
    DatasetError
        If there is none, or it does not follow the schema, or a patient or a subject is not in exactly one split.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder} is not a labelled data set: it has no {MANIFEST_NAME}; make one with 'dataset import'."
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); import or export the data set again.") from None
    check_manifest(manifest, str(path))
    return manifest


def check_manifest(manifest: Any, where: str) -> None:
    """Raise `DatasetError` unless `manifest` follows the schema and its splits part the patients and their subjects."""
    problem = manifest_problem(manifest, SCHEMA_PATH, SCHEMA_VERSION, "manifest", "import or export the data set again")
    if problem:
        raise DatasetError(f"{where} {problem}")
    if manifest["labels"] != label_table():
        raise DatasetError(f"{where} uses other mask values than this program; import or export the data set again.")
    patients = [case["patient"] for case in manifest["cases"]]
    check_splits(manifest["splits"], patients, where)
    _check_subjects(manifest, where)


def check_splits(splits: dict[str, list[str]], patients: list[str], where: str) -> None:
    """Raise `DatasetError` unless each patient occurs once among `patients` and in exactly one split."""
    placed = [patient for split in SPLITS for patient in splits[split]]
    for problem, found in (
        ("lists twice", _repeated(patients)),
        ("has in more than one split", _repeated(placed)),
        ("has in no split", sorted(set(patients) - set(placed))),
        ("has in a split but without an image", sorted(set(placed) - set(patients))),
    ):
        if found:
            raise DatasetError(f"{where} {problem}: patient {', '.join(found[:5])}; correct it and try again.")


def _check_subjects(manifest: dict[str, Any], where: str) -> None:
    """Raise `DatasetError` if cases of one person are in several splits."""
    split_of = {patient: split for split in SPLITS for patient in manifest["splits"][split]}
    used: dict[str, set[str]] = {}
    for case in manifest["cases"]:
        used.setdefault(case.get("subject", case["patient"]), set()).add(split_of[case["patient"]])
    torn = sorted(subject for subject, splits in used.items() if len(splits) > 1)
    if torn:
        raise DatasetError(
            f"{where} has cases of one person in more than one split: subject {', '.join(torn[:5])}; "
            "put all cases of a person into one."
        )


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
