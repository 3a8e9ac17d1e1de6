"""Renaming the disc of a level so that the others follow, in a reading that a reader draws."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ...grading.corrections import CorrectionError
from ...pfirrmann import DISC_LABELS, LEVELS_UPWARD, SIX_LUMBAR_UPWARD


def moved_levels(levels: Iterable[str], level: str, new_level: str) -> dict[str, str]:
    """Return the new level of each disc when one of them gets another.

    Parameters
    ----------
    levels : iterable of str
        Those of all discs.
    level, new_level : str

    Returns
    -------
    dict
        New level by level, for all of `levels`.

    Raises
    ------
    CorrectionError
        If a disc would get a level that has no name.
    """
    present = sorted({*levels, level}, key=list(DISC_LABELS).index)
    sequences = (LEVELS_UPWARD, SIX_LUMBAR_UPWARD)
    old = next((s for s in sequences if set(present) <= set(s)), None)
    if old is None:
        raise CorrectionError(
            "There are levels of five and of six lumbar vertebrae; erase the disc that is named wrongly first."
        )
    new = old if new_level in old else next(s for s in sequences if new_level in s)
    shift = new.index(new_level) - old.index(level)
    places = {name: old.index(name) + shift for name in present}
    outside = [name for name, place in places.items() if not 0 <= place < len(new)]
    if outside:
        raise CorrectionError(
            f"With {level} as {new_level} no level is left for {', '.join(outside)}; erase that disc first."
        )
    return {name: new[place] for name, place in places.items()}


def relabeled(masks: NDArray[np.uint8], moved: dict[str, str]) -> NDArray[np.uint8]:
    """Return masks in which each level has its new label value."""
    table = np.arange(256, dtype=np.uint8)
    for level, new_level in moved.items():
        table[DISC_LABELS[level]] = DISC_LABELS[new_level]
    return table[masks]
