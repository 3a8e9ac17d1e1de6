"""Discs of a tissue mask told apart and given the labels of their levels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..pfirrmann import DISC_LABELS, LEVELS_UPWARD, SIX_LUMBAR_UPWARD, Tissue
from .manifest import DatasetError

SPECK_FRACTION = 0.02
"""A connected piece smaller than this part of the largest disc is a slip of the brush, not a disc."""
MAX_NECK_RADIUS = 2
"""Largest radius in pixels of a bridge between two discs that is cut."""
MIN_STEP_FRACTION = 0.6
"""Neighbouring discs lie at least this part of the median distance apart; pieces of one disc lie closer."""
MIN_SIZE_FRACTION = 0.25
"""What is cut off must have at least this part of the median size; less is a bulge or spur of one disc."""

LEAST_PIECES_OF_NO_CANAL = 3
"""A canal may be broken once or twice where it leaves the image or is narrow; what has more pieces is none."""
TISSUE_VALUES = "0 background, 1 vertebra, 2 disc, 3 canal"


def separate_discs(mask: NDArray, expected: int | None = None) -> NDArray[np.uint8]:
    """Return the discs of a mask numbered from the feet upward.

    Discs are face-connected pieces; specks are dropped. Where there are fewer than `expected`, bridges between
    touching discs are cut by in-plane erosion and the pieces grown back, if the pieces then look like discs.

    Parameters
    ----------
    mask : ndarray, shape (slices, rows, columns)
        True in discs; canonical sagittal order (rows head to feet).
    expected : int, optional
        How many discs there should be.

    Returns
    -------
    ndarray of uint8, shape (slices, rows, columns)
        0 outside, 1 in the lowest disc, 2 in the next and so on.
    """
    binary = np.ascontiguousarray(mask, dtype=np.uint8)
    pieces = _pieces(binary)
    for radius in range(1, MAX_NECK_RADIUS + 1):
        if expected is None or pieces.max(initial=0) >= expected:
            break
        cut = _pieces(sitk.GetArrayFromImage(sitk.BinaryErode(sitk.GetImageFromArray(binary), [radius, radius, 0])))
        if cut.max(initial=0) == expected and _are_discs(cut):
            pieces = _grown_back(cut, pieces > 0)
    return _numbered_upward(pieces)


def level_labels(discs: NDArray[np.uint8], levels: Iterable[str]) -> NDArray[np.uint8] | None:
    """Give numbered discs the labels of their levels, or return None where their counts differ.

    Parameters
    ----------
    discs : ndarray of uint8
        As from `separate_discs`.
    levels : iterable of str
        Levels of the patient's graded discs, in any order; they must be the lowest ones without a gap. With L6-S1 among
        them they are those of six lumbar vertebrae.

    Returns
    -------
    ndarray of uint8 or None
        `pfirrmann.DISC_LABELS` values, 0 outside.
    """
    levels = set(levels)
    upward = (SIX_LUMBAR_UPWARD if SIX_LUMBAR_UPWARD[0] in levels else LEVELS_UPWARD)[: len(levels)]
    if int(discs.max(initial=0)) != len(levels) or levels != set(upward):
        return None
    values = np.array([0, *(DISC_LABELS[level] for level in upward)], dtype=np.uint8)
    return values[discs]


def labelled_mask(tissues: NDArray, levels: Iterable[str]) -> tuple[NDArray[np.uint8], bool, int]:
    """Turn a mask of tissue classes into one with a label for each disc level.

    Parameters
    ----------
    tissues : ndarray, shape (slices, rows, columns)
        `pfirrmann.Tissue` values; canonical sagittal order.
    levels : iterable of str
        Levels of the patient's graded discs.

    Returns
    -------
    mask : ndarray of uint8
        Vertebrae and canal as they were; discs with the label of their level, or `Tissue.DISC` where the counts
        differ; specks removed.
    trusted : bool
        Whether the discs got their levels.
    count : int
        Number of discs found.
    """
    levels = tuple(levels)
    discs = separate_discs(tissues == Tissue.DISC, expected=len(levels) or None)
    labels = level_labels(discs, levels)
    mask = np.where(tissues == Tissue.DISC, 0, tissues).astype(np.uint8)
    inside = discs > 0
    mask[inside] = Tissue.DISC if labels is None else labels[inside]
    return mask, labels is not None, int(discs.max(initial=0))


def transition_note(levels: Iterable[str]) -> str:
    """Say where graded levels are those of a lumbosacral transition; empty where they are not."""
    levels = set(levels)
    if set(SIX_LUMBAR_UPWARD[:2]) & levels:
        return "Levels of six lumbar vertebrae (L6) are graded."
    if levels and LEVELS_UPWARD[0] not in levels:
        return "L5-S1 is not graded (a sacralized L5?)."
    return ""


def require_order_of_tissues(tissues: NDArray, whose: str) -> None:
    """Refuse a mask whose values seem to be in another order than that of `Tissue`.

    Parameters
    ----------
    tissues : ndarray, shape (slices, rows, columns)
        `pfirrmann.Tissue` values.
    whose : str
        What is refused, for the sentence.

    Raises
    ------
    DatasetError
        If there is no disc, discs are larger than vertebrae, or the canal falls into more pieces than the discs.
    """
    sizes = {
        tissue: np.bincount(_pieces((tissues == tissue).astype(np.uint8)).ravel())[1:]
        for tissue in (Tissue.VERTEBRA, Tissue.DISC, Tissue.CANAL)
    }
    vertebrae, discs, canal = sizes.values()
    canal_in_pieces = len(canal) >= LEAST_PIECES_OF_NO_CANAL
    if not len(discs):
        wrong = "holds no disc"
    elif len(vertebrae) and discs.sum() > vertebrae.sum() and (discs.max() > vertebrae.max() or canal_in_pieces):
        wrong = "has discs that are larger than its vertebrae"
    elif canal_in_pieces and len(canal) > len(discs):
        wrong = "has a canal in more pieces than it has discs"
    else:
        return
    raise DatasetError(f"{whose} {wrong}: its values seem to be in another order; relabel it to {TISSUE_VALUES}.")


def _pieces(binary: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the face-connected pieces that are not specks, numbered from 1."""
    components = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(binary))).astype(np.int32)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes > SPECK_FRACTION * sizes.max(initial=0))
    numbers = np.zeros(len(sizes), dtype=np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[components]


def _grown_back(seeds: NDArray[np.int32], region: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give every voxel of `region` the number of the seed that reaches it first inside the region."""
    marker = sitk.GetImageFromArray(seeds.astype(np.uint32))
    flat = sitk.GetImageFromArray(np.where(region, 0, 1).astype(np.float32))
    grown = sitk.MorphologicalWatershedFromMarkers(flat, marker, markWatershedLine=False, fullyConnected=False)
    return np.where(region, sitk.GetArrayFromImage(grown), 0).astype(np.int32)


def _centroid_rows(pieces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean row of each piece."""
    inside = pieces > 0
    numbers, rows = pieces[inside], np.nonzero(inside)[1]
    return np.bincount(numbers, weights=rows)[1:] / np.bincount(numbers)[1:]


def _are_discs(pieces: NDArray[np.int32]) -> bool:
    """Whether the pieces lie one above the other in regular steps and are of comparable size."""
    sizes = np.bincount(pieces.ravel())[1:]
    steps = np.diff(np.sort(_centroid_rows(pieces)))
    regular = len(steps) == 0 or steps.min() >= MIN_STEP_FRACTION * np.median(steps)
    return bool(regular and sizes.min() >= MIN_SIZE_FRACTION * np.median(sizes))


def _numbered_upward(pieces: NDArray[np.int32]) -> NDArray[np.uint8]:
    numbers = np.zeros(int(pieces.max(initial=0)) + 1, dtype=np.uint8)
    numbers[1 + np.argsort(_centroid_rows(pieces))[::-1]] = np.arange(1, len(numbers))
    return numbers[pieces]
