"""Masks from a DICOM Segmentation object, of this program or of another, as a label map on the voxels of its image."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from ..imaging.dicom import is_dicom_file
from ..pfirrmann import DISC_CODES, DISC_LABELS, INTERVERTEBRAL_DISC, LEVELS_BY_LABEL, Tissue
from .image_files import read_stored
from .labelled import MASK_TOLERANCE_MM, require_same_grid
from .manifest import DatasetError

DICOM_ENDING = ".dcm"
LEVELS_BY_CODE = {code: level for level, code in DISC_CODES.items()} | {"75782005": "L5-S1"}
"""SNOMED CT has two concepts for the lowest disc."""
TISSUES_BY_CODE = {INTERVERTEBRAL_DISC[1]: Tissue.DISC, "51282000": Tissue.VERTEBRA, "61853006": Tissue.CANAL}
ALTERED_STRUCTURE = "49755003"
"""SNOMED CT code of a category: a herniation, say, which is no anatomy."""
TISSUE_WORDS = (
    (Tissue.DISC, {"disc", "discs", "disk", "disks", "ivd"}, {"intervertebral", "lumbar", "spine", "label"}),
    (Tissue.CANAL, {"canal"}, {"spinal", "vertebral", "spine", "label"}),
    (Tissue.VERTEBRA, {"vertebra", "vertebrae", "vertebral"}, {"body", "bodies", "lumbar", "spine", "label"}),
)
"""A name with such a word, and besides of nothing but the others, tells the tissue; a herniated disc is no disc."""

LEVEL_PATTERN = re.compile(
    r"(?<![A-Za-z0-9])([CTL]\d{1,2}|S1)(?:[ _/-]*([CTLS]?\d{1,2}|S))?(?![A-Za-z0-9])", re.IGNORECASE
)
"""Finds L4-L5, L4/5, disc_L4_L5, L4L5, vertebrae_L4, L5-S."""

FRACTION_INSIDE = 0.5


def read_labels(
    path: Path, shape: tuple[int, ...], index_to_lps: NDArray[np.float64], patient: str
) -> NDArray[np.integer]:
    """Read a label map, or a DICOM Segmentation as one, on the stored voxel grid of its image.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Stored shape (k, j, i) of the image.
    index_to_lps : ndarray, shape (4, 4)
        Of the image, from (i, j, k, 1) to LPS mm.
    patient : str
        Named in messages about a label map; those about a Segmentation name its file.

    Returns
    -------
    ndarray, shape (k, j, i)
        As stored; from a Segmentation `pfirrmann.Tissue` values, and those of `pfirrmann.DISC_LABELS` where the
        segments name the levels.

    Raises
    ------
    DatasetError
        If it cannot be read, does not lie on the image, or has no disc where it is a Segmentation.
    """
    if is_dicom_file(path):
        return _labels_of_segmentation(path, shape, index_to_lps)
    array, matrix = read_stored(path)
    require_same_grid(array.shape, matrix, shape, index_to_lps, patient)
    return array


def _labels_of_segmentation(path: Path, shape: tuple[int, ...], index_to_lps: NDArray[np.float64]) -> NDArray[np.uint8]:
    name = path.name
    dataset, frames = _read(path)
    label_of = {int(segment.SegmentNumber): _label_of(segment) for segment in dataset.SegmentSequence}
    found = [label for label in label_of.values() if label in (Tissue.DISC, *LEVELS_BY_LABEL)]
    if not found:
        names = ", ".join(str(segment.get("SegmentLabel", "?"))[:30] for segment in list(dataset.SegmentSequence)[:5])
        raise DatasetError(f"The segmentation {name} has no segment of a disc, but {names}.")
    named = [label for label in found if label != Tissue.DISC]
    if (named and Tissue.DISC in found) or len(set(named)) < len(named):
        raise DatasetError(
            f"The segmentation {name} names the levels of some discs only, or one twice; name each disc."
        )
    labels = np.zeros(shape, dtype=np.uint8)
    to_index = np.linalg.inv(index_to_lps)
    tolerance = MASK_TOLERANCE_MM / np.linalg.norm(index_to_lps[:3, :3], axis=0)
    for number, groups, mask in _masks(dataset, frames):
        label = label_of.get(number)
        if not label or not mask.any():
            continue
        place = _voxels_of(mask, to_index @ _pixel_to_lps(dataset, groups, name), shape, tolerance, name)
        there = labels[place]
        if label in (Tissue.VERTEBRA, Tissue.CANAL):  # at their edges discs win
            labels[place] = np.where(there == 0, label, there)
            continue
        if np.isin(there, [each for each in found if each != label]).any():
            raise DatasetError(f"Two discs overlap in the segmentation {name}; correct it.")
        labels[place] = label
    return labels


def _read(path: Path) -> tuple[pydicom.Dataset, NDArray]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks quote values
            dataset = pydicom.dcmread(path, force=True)
            if dataset.get("Modality") != "SEG" or not dataset.get("SegmentSequence"):
                raise DatasetError(f"{path.name} is DICOM but no segmentation; give a DICOM SEG or a label map.")
            return dataset, dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    except (DatasetError, MemoryError):
        raise
    except Exception:  # pydicom raises nearly anything on a damaged file
        raise DatasetError(f"{path.name} cannot be read as a DICOM segmentation; export it again.") from None


def _masks(dataset: pydicom.Dataset, frames: NDArray) -> Iterator[tuple[int, pydicom.Dataset, NDArray[np.bool_]]]:
    """Yield segment number, functional groups and mask of what each frame holds."""
    kind = str(dataset.get("SegmentationType", "BINARY"))
    least = FRACTION_INSIDE * float(dataset.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 0
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or [pydicom.Dataset()] * len(frames)
    for groups, frame in zip(per_frame, frames, strict=False):
        if kind == "LABELMAP":
            for number in np.unique(frame[frame > 0]).tolist():
                yield number, groups, frame == number
        else:
            identification = _item(dataset, groups, "SegmentIdentificationSequence")
            yield int(identification.get("ReferencedSegmentNumber", 0)), groups, frame > least


def _item(dataset: pydicom.Dataset, groups: pydicom.Dataset, keyword: str) -> pydicom.Dataset:
    """Return the item of a functional group, of a frame or shared by all; an empty one where there is none."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    return (groups.get(keyword) or shared.get(keyword) or [pydicom.Dataset()])[0]


def _pixel_to_lps(dataset: pydicom.Dataset, groups: pydicom.Dataset, name: str) -> NDArray[np.float64]:
    """Return what maps (column, row, 1) of a frame to (x, y, z, 1) in LPS mm."""
    position = _item(dataset, groups, "PlanePositionSequence").get("ImagePositionPatient")
    orientation = _item(dataset, groups, "PlaneOrientationSequence").get("ImageOrientationPatient")
    spacing = _item(dataset, groups, "PixelMeasuresSequence").get("PixelSpacing")
    if not position or not orientation or not spacing:
        raise DatasetError(f"The segmentation {name} does not say where its frames lie; export it again.")
    matrix = np.zeros((4, 3))
    matrix[:3, 0] = np.array(orientation[:3], dtype=float) * float(spacing[1])
    matrix[:3, 1] = np.array(orientation[3:], dtype=float) * float(spacing[0])
    matrix[:, 2] = [*map(float, position), 1.0]
    return matrix


def _voxels_of(
    mask: NDArray[np.bool_],
    to_index: NDArray[np.float64],
    shape: tuple[int, ...],
    tolerance: NDArray[np.float64],
    name: str,
) -> tuple[NDArray[np.int64], ...]:
    """Return the indices (k, j, i) of the voxels that are the pixels of a mask."""
    rows, columns = np.nonzero(mask)
    exact = (to_index @ np.stack([columns, rows, np.ones(len(rows))]))[:3]
    index = np.rint(exact).astype(np.int64)
    steps = np.abs(to_index[:3, :2])
    one_voxel = np.allclose(np.sort(steps, axis=0), [[0, 0], [0, 0], [1, 1]], atol=tolerance.min() / max(mask.shape))
    inside = ((index >= 0) & (index < np.array(shape[::-1])[:, None])).all()
    if not one_voxel or not inside or (np.abs(exact - index) > tolerance[:, None]).any():
        raise DatasetError(f"The segmentation {name} does not lie on the image's voxels; export it for this series.")
    return tuple(index[::-1])


def _label_of(segment: pydicom.Dataset) -> int | None:
    """Return the value of a segment in a label map, None where it is neither disc, vertebra nor canal."""
    label = str(segment.get("SegmentLabel", ""))
    kinds, regions = (
        list(segment.get(keyword) or ()) for keyword in ("SegmentedPropertyTypeCodeSequence", "AnatomicRegionSequence")
    )
    categories = segment.get("SegmentedPropertyCategoryCodeSequence") or ()
    tissue = None if any(_snomed(item) == ALTERED_STRUCTURE for item in categories) else _tissue_of(label, kinds)
    if tissue is not Tissue.DISC:
        return tissue
    told = [_level_in(text) for text in (label, *(str(item.get("CodeMeaning", "")) for item in (*kinds, *regions)))]
    told += [LEVELS_BY_CODE.get(_snomed(item)) for item in (*kinds, *regions)]
    levels = {level for level in told if level}
    if len(levels) > 1:
        raise DatasetError(f"A segment is called {label[:30]} and coded as {', '.join(sorted(levels))}; correct it.")
    if not levels:
        return Tissue.DISC
    return DISC_LABELS.get(levels.pop())


def _tissue_of(label: str, kinds: list[Any]) -> Tissue | None:
    for item in kinds:
        value = _snomed(item)
        if value in LEVELS_BY_CODE:
            return Tissue.DISC
        if value in TISSUES_BY_CODE:
            return TISSUES_BY_CODE[value]
    for text in (*(str(item.get("CodeMeaning", "")) for item in kinds), label):
        words = set(re.findall(r"[a-z]+", LEVEL_PATTERN.sub(" ", text).lower()))
        for tissue, telling, others in TISSUE_WORDS:
            if words & telling:
                return tissue if words <= telling | others else None
    return Tissue.DISC if _level_in(label) and not words else None


def _snomed(item: pydicom.Dataset) -> str:
    return str(item.get("CodeValue", "")) if item.get("CodingSchemeDesignator") == "SCT" else ""


def _level_in(text: str) -> str | None:
    """Return the disc level that a text names, as L4-L5."""
    for upper, lower in LEVEL_PATTERN.findall(text):
        if lower.isdigit():  # L4/5
            return f"{upper}-{upper[0]}{lower}".upper() if int(lower) == int(upper[1:]) + 1 else None
        if lower:
            return f"{upper}-{'S1' if lower.upper() == 'S' else lower}".upper()
    return None
