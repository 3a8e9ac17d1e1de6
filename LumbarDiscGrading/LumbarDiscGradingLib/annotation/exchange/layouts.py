"""A study in the layouts of other tools: nnU-Net v2 raw data and a MONAI data list.

nnU-Net: ``documentation/dataset_format.md`` of MIC-DKFZ/nnUNet, version 2. MONAI: the Medical Segmentation Decathlon
list that ``monai.data.load_decathlon_datalist`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...dataset.image_files import write_stored
from ...pfirrmann import DISC_LABELS
from ..errors import StudyError
from ..storage.durable_files import write_durable
from ..study.reference import ReferenceCase

FILE_ENDING = ".nii.gz"
DATALIST_NAME = "datalist.json"


class Layout(str, Enum):
    """How an export is laid out; its value is the word on the command line."""

    DATASET = "dataset"
    NNUNET = "nnunet"
    MONAI = "monai"


def consecutive_labels(levels: Sequence[str]) -> dict[str, int]:
    """Return label values without gaps, as these tools want them: 0 background, then the levels head to feet."""
    return {"background": 0, **{level: number for number, level in enumerate(levels, start=1)}}


@dataclass(frozen=True)
class Content:
    """What is written into a layout.

    Attributes
    ----------
    name, licence, attribution : str
        Of the data set.
    levels : sequence of str
        Disc levels that are read, head to feet.
    references : iterable of ReferenceCase
        Each with masks.
    splits : mapping of str to sequence of str
        Cases for ``train``, ``tune`` and ``test``.
    """

    name: str
    licence: str
    attribution: str
    levels: Sequence[str]
    references: Iterable[ReferenceCase]
    splits: Mapping[str, Sequence[str]]


def write_nnunet(folder: Path, content: Content) -> None:
    """Write nnU-Net v2 raw data.

    Training and tuning cases go to ``imagesTr`` and ``labelsTr``, and ``splits_final.json``, to be copied to nnU-Net's
    folder of preprocessed data, keeps them apart; test cases go to ``imagesTs`` and ``labelsTs``.
    """
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (folder / part).mkdir()
    labels, splits = consecutive_labels(content.levels), content.splits
    for reference in content.references:
        case, part = reference.case.id, "Ts" if reference.case.id in splits["test"] else "Tr"
        image = folder / f"images{part}" / f"{case}_0000{FILE_ENDING}"
        _write_pair(image, folder / f"labels{part}" / f"{case}{FILE_ENDING}", reference, labels)
    description = {
        "channel_names": {"0": "T2"},
        "labels": labels,
        "numTraining": len(splits["train"]) + len(splits["tune"]),
        "file_ending": FILE_ENDING,
        "name": content.name,
        "licence": content.licence,
        "reference": content.attribution,
    }
    _write_json(folder / "dataset.json", description)
    _write_json(folder / "splits_final.json", [{"train": list(splits["train"]), "val": list(splits["tune"])}])


def write_monai(folder: Path, content: Content) -> None:
    """Write images, labels and ``datalist.json`` with the sections training, validation and test."""
    for part in ("images", "labels"):
        (folder / part).mkdir()
    labels = consecutive_labels(content.levels)
    sections = {"train": "training", "tune": "validation", "test": "test"}
    section_of = {case: sections[split] for split, cases in content.splits.items() for case in cases}
    entries: dict[str, list[dict[str, object]]] = {section: [] for section in sections.values()}
    for reference in content.references:
        image, label = (f"{part}/{reference.case.id}{FILE_ENDING}" for part in ("images", "labels"))
        _write_pair(folder / image, folder / label, reference, labels)
        entry: dict[str, object] = {"image": image, "label": label, "pfirrmann": reference.grades}
        entries[section_of[reference.case.id]].append(entry)
    description = {
        "name": content.name,
        "description": "Lumbar discs by level on sagittal T2-weighted MRI, with Pfirrmann grades",
        "licence": content.licence,
        "reference": content.attribution,
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {str(value): label for label, value in labels.items()},
        "numTraining": len(entries["training"]),
        "numTest": len(entries["test"]),
        **entries,
    }
    _write_json(folder / DATALIST_NAME, description)


def _write_pair(image: Path, label: Path, reference: ReferenceCase, labels: Mapping[str, int]) -> None:
    if reference.masks is None:
        raise StudyError(f"Case {reference.case.id} has no finished masks; export it in the layout 'dataset'.")
    volume = reference.case.volume()
    values = np.zeros(256, dtype=np.uint8)
    for level, value in labels.items():
        if level in DISC_LABELS:
            values[DISC_LABELS[level]] = value
    for path, array in ((image, volume.voxels), (label, values[reference.masks])):
        write_stored(path, volume.to_stored(array), _orthonormal(volume.stored_index_to_lps))


def _orthonormal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grid's matrix with axes at exact right angles, which NIfTI asks for; rounding alone is undone."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / spacing)
    result = matrix.copy()
    result[:3, :3] = (left @ right) * spacing
    return result


def _write_json(path: Path, content: object) -> None:
    write_durable(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))
