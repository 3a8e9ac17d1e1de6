"""Contact sheets: twelve patients on a picture, so that a person can look through a hundred in a few minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..pfirrmann import DISC_LABELS, GROUPS, LEVELS_BY_LABEL, ROMAN_GRADES, Tissue, group_of_grade
from ..report.drawing import Color, draw_line, draw_text, shortened, spread, wrapped
from ..report.slice_view import BACKGROUND, TEXT
from ..report.text import several_grades
from .failures import LOW_DICE
from .measures import LUMBAR
from .pictures import (
    JPEG_QUALITY,
    MANUAL,
    QUIET,
    PictureStore,
    SlicePicture,
    View,
    color_of,
    draw_outline,
    grey_picture,
    picture_of,
    spine_view,
)
from .scores import DiscScore

COLUMNS, ROWS = 6, 2
PATIENTS_PER_SHEET = COLUMNS * ROWS
IMAGE_SIZE_PX = (290, 560)
"""Largest width and height of a patient's slice."""
MARGINS_MM = (18.0, 45.0, 25.0, 30.0)
"""Shown around the discs towards head, feet, front and back: the sacrum, by which the names are checked, is in it."""
ALARM: Color = (240, 90, 110)
"""What is wrong on its face: a name, a disc that was not found. Not the color of any group."""
ALARM_FIELD: Color = (78, 26, 36)
KEY = (
    "Contours: color of the program's group; thin white: reference. White dots: reference points at the rear of the "
    "discs. Beside each disc its level and grade (below: grades that the program calls possible), then the reference "
    "grade; ? low confidence; red field: other group, "
    "framed where two groups away."
)

_SHEET_MARGIN, _HEADER, _GAP = 24, 74, 16
_TITLE, _SAID, _LINE = 36, 46, 21
_CAPTIONS = 206
_LEVEL, _AUTOMATIC, _REFERENCE = 14, 102, 168
"""Where the columns of the captions begin."""
_CELL = (IMAGE_SIZE_PX[0] + _CAPTIONS, _TITLE + IMAGE_SIZE_PX[1] + _SAID)


@dataclass(frozen=True)
class ContactSheet:
    """A sheet that was written: its file's name, data set and patients."""

    name: str
    source: str
    patients: tuple[str, ...]


def write_contact_sheets(scores: Sequence[DiscScore], pictures: PictureStore, folder: Path) -> list[ContactSheet]:
    """Write the patients of each data set, in their order, as JPEG files; sheets of an earlier evaluation go.

    Parameters
    ----------
    scores : sequence of DiscScore
    pictures : PictureStore
    folder : Path

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("sheet_[0-9]*.jpg"):
        earlier.unlink()
    by_patient: dict[tuple[str, str], list[DiscScore]] = {}
    for score in scores:
        if (score.source, score.patient) in pictures:
            by_patient.setdefault((score.source, score.patient), []).append(score)
    sheets: list[ContactSheet] = []
    for source, keys in groupby(by_patient, key=lambda key: key[0]):
        patients = [patient for _, patient in keys]
        for first in range(0, len(patients), PATIENTS_PER_SHEET):
            shown = tuple(patients[first : first + PATIENTS_PER_SHEET])
            cells = [patient_cell(pictures.picture(source, name), by_patient[source, name], name) for name in shown]
            sheet = ContactSheet(f"sheet_{len(sheets) + 1:03d}.jpg", source, shown)
            title = f"{source}: patients {first + 1} to {first + len(shown)} of {len(patients)}"
            _sheet(cells, title).save(folder / sheet.name, quality=JPEG_QUALITY, subsampling=0, optimize=True)
            sheets.append(sheet)
    return sheets


def names_silently_wrong(scores: Sequence[DiscScore]) -> bool:
    """Whether a lumbar disc of a patient was not found or wrongly named, and the program said nothing of it."""
    return any(score.all_named is False and not score.levels_doubted for score in scores)


def _sheet(cells: Sequence[Image.Image], title: str) -> Image.Image:
    across, down = min(COLUMNS, max(len(cells), 2)), -(-len(cells) // COLUMNS)
    width = 2 * _SHEET_MARGIN + across * _CELL[0] + (across - 1) * _GAP
    lines = wrapped(KEY, 16, width - 2 * _SHEET_MARGIN)
    top = _HEADER + 22 * (len(lines) - 1)
    sheet = Image.new("RGB", (width, top + down * (_CELL[1] + _GAP) + _SHEET_MARGIN), BACKGROUND)
    draw_text(sheet, (_SHEET_MARGIN, 34), title, 24, TEXT)
    for n, line in enumerate(lines):
        draw_text(sheet, (_SHEET_MARGIN, 60 + 22 * n), line, 16, QUIET)
    for n, cell in enumerate(cells):
        x, y = n % COLUMNS, n // COLUMNS
        sheet.paste(cell, (_SHEET_MARGIN + x * (_CELL[0] + _GAP), top + y * (_CELL[1] + _GAP)))
    return sheet


def patient_cell(picture: SlicePicture, scores: Sequence[DiscScore], patient: str) -> Image.Image:
    """Return one patient's part of a sheet: the slice with contours, beside it what each disc is and should be.

    Parameters
    ----------
    picture : SlicePicture
    scores : sequence of DiscScore
        Of this patient.
    patient : str
        Stands above it.
    """
    cell = Image.new("RGB", _CELL, BACKGROUND)
    view = _fitted_view(picture)
    slice_picture = _with_contours(picture, view)
    cell.paste(slice_picture, (0, _TITLE))
    after = draw_text(cell, (0, 22), patient, 22, TEXT) + 14
    word = _word_on_names(scores)
    if word:
        draw_text(cell, (after, 22), word, 18, ALARM)
    elif any(score.levels_doubted for score in scores):
        draw_text(cell, (after, 22), "names questioned", 18, QUIET)
    _draw_captions(cell, _captions(picture, view, scores), slice_picture.width)
    for n, line in enumerate(_two_lines(picture.said)):
        draw_text(cell, (0, _TITLE + IMAGE_SIZE_PX[1] + 20 + 19 * n), line, 15, QUIET)
    return cell


def _word_on_names(scores: Sequence[DiscScore]) -> str:
    if all(score.all_named is not False for score in scores):
        return ""
    found = all(score.named_level for score in scores if score.located and score.level in LUMBAR)
    what = "wrong names" if found else "disc not found"
    return what + (", no warning" if names_silently_wrong(scores) else ", questioned")


def _two_lines(text: str) -> list[str]:
    lines = wrapped(text, 15, _CELL[0])
    return lines if len(lines) < 3 else [lines[0], shortened(" ".join(lines[1:]), 15, _CELL[0])]


def _fitted_view(picture: SlicePicture) -> View:
    view = spine_view(picture, IMAGE_SIZE_PX[1], MARGINS_MM)
    too_wide = view.size[0] / IMAGE_SIZE_PX[0]
    return view if too_wide <= 1 else spine_view(picture, int(IMAGE_SIZE_PX[1] / too_wide), MARGINS_MM)


def _with_contours(picture: SlicePicture, view: View) -> Image.Image:
    pixels = np.asarray(grey_picture(picture, view), dtype=np.float32).copy()
    if picture.reference is not None:
        for value in np.unique(picture.reference):
            if value == Tissue.DISC or value in LEVELS_BY_LABEL:
                draw_outline(pixels, view, picture.reference == value, MANUAL, 0.8)
    for level, value in DISC_LABELS.items():
        if (picture.automatic == value).any():
            draw_outline(pixels, view, picture.automatic == value, color_of(picture.predicted.get(level)), 1.6)
    image = picture_of(pixels)
    for row, column in picture.points.values():
        x, y = view.xy(row, column)
        ImageDraw.Draw(image).ellipse((x - 3, y - 3, x + 3, y + 3), fill=MANUAL, outline=(0, 0, 0))
    return image


@dataclass(frozen=True)
class _Caption:
    """What stands beside a disc, and where the disc's rear is in the picture; None where its place is not known."""

    level: str
    automatic: int | None
    reference: int | None
    rear: tuple[float, float] | None
    remark: str = ""
    doubtful: bool = False
    possible: str = ""

    @property
    def groups_apart(self) -> int:
        """How many groups lie between what program and reference say; 0 where one of them says nothing."""
        if self.automatic is None or self.reference is None:
            return 0
        groups = group_of_grade(self.automatic), group_of_grade(self.reference)
        return abs(GROUPS.index(groups[0]) - GROUPS.index(groups[1]))


def _captions(picture: SlicePicture, view: View, scores: Sequence[DiscScore]) -> list[_Caption]:
    """Return what stands beside the discs that were found, and beside those of the reference that were not."""
    captions = []
    by_name: Mapping[str, DiscScore] = {score.named_level: score for score in reversed(scores) if score.named_level}
    for level, value in DISC_LABELS.items():
        rear = _rear(picture.automatic == value, view)
        if rear is None:
            continue
        score = by_name.get(level, DiscScore("", "", level))
        remark = f"is {score.level}" if score.level and score.level != level else ""
        if score.dice is not None and score.dice < LOW_DICE:
            remark += f"{', ' if remark else ''}Dice {score.dice:.2f}"
        grade = picture.predicted.get(level)
        possible = several_grades(score.set_grades)
        doubtful = score.confident is False and not possible
        captions.append(_Caption(level, grade, score.grade, rear, remark, doubtful, possible))
    for score in scores:
        if not score.named_level and score.level:
            rear = None
            if score.level in picture.points:
                rear = view.xy(*picture.points[score.level])
            elif picture.reference is not None:
                rear = _rear(picture.reference == DISC_LABELS[score.level], view)
            captions.append(_Caption(score.level, None, score.grade, rear, "not found"))
    return sorted(captions, key=_wanted_y)


def _wanted_y(caption: _Caption) -> float:
    """Where a caption would best stand: beside its disc, at the end where a disc of unknown place must lie."""
    if caption.rear is not None:
        return caption.rear[1]
    return float(IMAGE_SIZE_PX[1]) if caption.level in LUMBAR else 0.0


def _rear(disc: NDArray[np.bool_], view: View) -> tuple[float, float] | None:
    rows, columns = np.nonzero(disc)
    if not rows.size:
        return None
    return view.xy(float(rows[columns == columns.max()].mean()), float(columns.max()))


def _draw_captions(cell: Image.Image, captions: Sequence[_Caption], left: int) -> None:
    """Write the captions right of the slice, each with a line to its disc."""
    draw_text(cell, (left + _AUTOMATIC, _TITLE - 6), "program", 14, QUIET)
    draw_text(cell, (left + _REFERENCE, _TITLE - 6), "ref.", 14, QUIET)
    wanted = [_TITLE + _wanted_y(caption) for caption in captions]
    places = spread(wanted, 2 * _LINE + 4, _TITLE + _LINE, _TITLE + IMAGE_SIZE_PX[1] - _LINE)
    for caption, y in zip(captions, places, strict=True):
        if caption.groups_apart:
            box = (left + _LEVEL - 4, y - 13, left + _CAPTIONS - 6, y + 13)
            frame = ALARM if caption.groups_apart > 1 else None
            ImageDraw.Draw(cell).rounded_rectangle(box, radius=4, fill=ALARM_FIELD, outline=frame, width=2)
        if caption.rear is not None:
            end = caption.rear[0] + 3, caption.rear[1] + _TITLE
            draw_line(cell, [end, (left - 4, y), (left + _LEVEL - 6, y)], QUIET, 1.0, 0.5)
        draw_text(cell, (left + _LEVEL, y), caption.level, 18, TEXT, "lm")
        if caption.automatic is not None:
            text = ROMAN_GRADES[caption.automatic] + (" ?" if caption.doubtful else "")
            draw_text(cell, (left + _AUTOMATIC, y), text, 20, color_of(caption.automatic), "lm")
        if caption.reference is not None:
            text = ROMAN_GRADES[caption.reference]
            draw_text(cell, (left + _REFERENCE, y), text, 20, color_of(caption.reference), "lm")
        if caption.remark:
            draw_text(cell, (left + _LEVEL, y + 20), caption.remark, 15, ALARM, "lm")
        elif caption.possible:
            draw_text(cell, (left + _AUTOMATIC, y + 20), caption.possible, 15, QUIET, "lm")
