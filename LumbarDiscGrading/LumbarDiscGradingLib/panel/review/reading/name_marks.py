"""What stands beside each disc on the image while it is read: the reader's own judgement and nobody else's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.reading_task import ReadingTask
from ....pfirrmann import DISC_LABELS, ROMAN_GRADES
from ....scene.study.case_scene import CaseScene
from ...shared.disc_names import NameMark, ShownSlice
from ..case.words import disc_color


def name_marks(work: CaseAtHand) -> list[NameMark]:
    """Return the name of each disc that has a contour, with the grade that this reader gave it."""
    marks = []
    for level in work.drawn_levels:
        red, green, blue = disc_color(work, level)
        front = _front(work, level)
        if front is not None:
            place = work.volume.lps_mm(*front)
            marks.append(NameMark(level, _text(work, level), (red / 255, green / 255, blue / 255), place))
    return marks


def shown_volume(scene: CaseScene) -> ShownSlice:
    """Return the whole stack as one thick slice: a disc's place in the plane is much the same on all its slices."""
    return ShownSlice.of(scene.volumeNode, scene.volume, 2 * scene.volume.slice_count)


def _text(work: CaseAtHand, level: str) -> str:
    if not isinstance(work, ReadingTask):
        return level
    disc = work.disc(level)
    grade = ROMAN_GRADES[disc.pfirrmann] if disc.pfirrmann is not None else "" if disc.assessable else "-"
    return f"{level}  {grade}".rstrip()


def _front(work: CaseAtHand, level: str) -> tuple[int, float, float] | None:
    """Return slice, row and column of the front end of a disc, on the case's slice or where the disc is largest."""
    masks, label, index = work.masks, DISC_LABELS[level], work.slice_index
    front = _front_on(masks[index] == label)
    if front is None:
        index = int((masks == label).sum(axis=(1, 2)).argmax())
        front = _front_on(masks[index] == label)
    return (index, *front) if front is not None else None


def _front_on(disc: NDArray[np.bool_]) -> tuple[float, float] | None:
    rows, columns = np.nonzero(disc)
    if not columns.size:
        return None
    column = columns.min()
    return float(rows[columns == column].mean()), float(column)
