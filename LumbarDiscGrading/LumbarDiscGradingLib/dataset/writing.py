"""`write_dataset`: a labelled data set written whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..atomic import building
from ..file_hash import file_sha256
from ..imaging.volume import SagittalVolume
from .image_files import write_stored
from .labelled import LabelledDataset
from .level_points import LevelPoints, write_level_points
from .manifest import (
    GRADES_COLUMNS,
    GRADES_NAME,
    LEVELS_NAME,
    MANIFEST_NAME,
    SCHEMA_NAME,
    SCHEMA_VERSION,
    SPLITS,
    DatasetError,
    check_manifest,
    label_table,
)


@dataclass(frozen=True)
class Reading:
    """One reader's grade of one disc, kept beside the reference grade."""

    level: str
    pfirrmann: int
    reader: str


@dataclass(frozen=True)
class CaseToWrite:
    """What is written for one case.

    Attributes
    ----------
    patient : str
        Pseudonym: letters, digits, ``.``, ``_`` and ``-``; also the stem of the files.
    volume : SagittalVolume
        Written in its stored order, with its stored voxel type.
    mask : ndarray of uint8, shape (slices, rows, columns), or None
        `pfirrmann.Tissue` and `pfirrmann.DISC_LABELS` values, aligned with ``volume.voxels``.
    grades : mapping of str to int
        Reference Pfirrmann grade by disc level.
    readings : tuple of Reading
        Grades of single readers, if they are to be kept.
    kind : str
        ``volume`` or ``picture``.
    levels_trusted : bool
        False when the discs of the mask could not be matched to levels.
    notes : tuple of str
    subject : str
        Pseudonym of the person, where there are several cases of one; empty for `patient`.
    level_points : mapping of str to tuple of float
        Row and column, in pixels of the picture, of the posterior margin of the disc of a level.
    """

    patient: str
    volume: SagittalVolume
    mask: NDArray[np.uint8] | None = None
    grades: Mapping[str, int] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    kind: str = "volume"
    levels_trusted: bool = True
    notes: tuple[str, ...] = ()
    subject: str = ""
    level_points: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def write_dataset(
    folder: Path | str,
    *,
    name: str,
    cases: Iterable[CaseToWrite],
    splits: Mapping[str, Sequence[str]],
    licence: str = "",
    attribution: str = "",
    provenance: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> LabelledDataset:
    """Write a labelled data set; `folder` appears only when everything in it is complete.

    Parameters
    ----------
    folder : Path
        The data set's folder; must not exist, or be empty, unless `replace`.
    name, licence, attribution : str
        Written into the manifest.
    cases : iterable of CaseToWrite
        Taken one at a time, so a generator keeps memory constant.
    splits : mapping of str to sequence of str
        ``train``, ``tune`` and ``test`` patients; each patient written must be in exactly one, and all cases of one
        subject in the same.
    provenance : mapping, optional
        Where the data came from; JSON values.
    replace : bool
        Whether a data set already in `folder` is replaced.

    Raises
    ------
    DatasetError
        If the folder is taken or cannot be written, or the data set would not be valid.
    """
    folder = Path(folder)
    require_free(folder, replace)
    try:
        with building(folder) as partial:
            entries, rows, points = _write_cases(partial, cases)
            _write_grades(partial / GRADES_NAME, rows)
            tables = {"grades": {"path": GRADES_NAME, "sha256": file_sha256(partial / GRADES_NAME)}}
            if points:
                write_level_points(partial / LEVELS_NAME, points)
                tables["levels"] = {"path": LEVELS_NAME, "sha256": file_sha256(partial / LEVELS_NAME)}
            manifest = {
                "schema": SCHEMA_NAME,
                "schema_version": SCHEMA_VERSION,
                "name": name,
                "licence": licence,
                "attribution": attribution,
                "labels": label_table(),
                **tables,
                "cases": entries,
                "splits": {split: list(splits.get(split, ())) for split in SPLITS},
                "provenance": {"software": f"LumbarDiscGrading {__version__}", **(provenance or {})},
            }
            check_manifest(manifest, "The data set")
            text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
            (partial / MANIFEST_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written ({error.strerror}); free space or choose another.") from None
    return LabelledDataset.open(folder)


def require_free(folder: Path, replace: bool) -> None:
    """Raise `DatasetError` if `folder` holds something that must not be overwritten."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not replace:
        raise DatasetError(f"{folder} exists already; choose another folder, or say that it is to be replaced.")
    if not (folder / MANIFEST_NAME).is_file():
        raise DatasetError(f"{folder} is not a labelled data set and is not replaced; choose another folder.")


def _write_cases(
    folder: Path, cases: Iterable[CaseToWrite]
) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]], LevelPoints]:
    entries: list[dict[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    points: LevelPoints = {}
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for case in cases:
        if Path(case.patient).name != case.patient or any(entry["patient"] == case.patient for entry in entries):
            raise DatasetError(f"The patient name {case.patient!r} is not usable or occurs twice; rename the patient.")
        entries.append(_write_case(folder, case))
        rows += [(case.patient, level, grade, "") for level, grade in case.grades.items()]
        rows += [(case.patient, reading.level, reading.pfirrmann, reading.reader) for reading in case.readings]
        if case.level_points:
            points[case.patient] = dict(case.level_points)
    return entries, rows, points


def _write_case(folder: Path, case: CaseToWrite) -> dict[str, Any]:
    volume = case.volume
    files: dict[str, dict[str, str] | None] = {"image": None, "mask": None}
    arrays = {"image": volume.voxels, "mask": case.mask}
    for kind, canonical in arrays.items():
        if canonical is None:
            continue
        if canonical.shape != volume.voxels.shape:
            raise DatasetError(f"The mask of patient {case.patient} has another size than the image; draw it again.")
        relative = f"{kind}s/{case.patient}.nrrd"
        write_stored(folder / relative, volume.to_stored(canonical), volume.stored_index_to_lps)
        files[kind] = {"path": relative, "sha256": file_sha256(folder / relative)}
    return {
        "patient": case.patient,
        **({"subject": case.subject} if case.subject not in ("", case.patient) else {}),
        "kind": case.kind,
        **files,
        "pixel_size_mm": [round(size, 6) for size in volume.spacing_mm[1:]],
        "pixel_size_known": volume.scale_known,
        "levels_trusted": case.levels_trusted,
        "notes": list(case.notes),
    }


def _write_grades(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(GRADES_COLUMNS)
        writer.writerows(rows)
