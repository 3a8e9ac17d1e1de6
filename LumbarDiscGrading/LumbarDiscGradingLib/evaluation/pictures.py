"""Slices of evaluated patients: image, manual and automatic contours side by side, and thumbnails of single discs."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..dataset.labelled import is_disc
from ..grading.spine.of_result import curved_picture
from ..pfirrmann import DISC_LABELS, LEVELS_BY_LABEL, NOT_GRADED_COLOR, ROMAN_GRADES, Tissue, group_of_grade
from ..report.display_window import display_window
from ..report.drawing import (
    Color,
    blend,
    contour_alpha,
    draw_line,
    draw_text,
    draw_text_on_image,
    resized,
    smooth_field,
    spread,
)
from ..report.slice_view import BACKGROUND, TEXT, SliceView, compress_highlights
from .scores import DiscScore, ScoredCase

QUIET: Color = (170, 178, 186)
MANUAL: Color = (255, 255, 255)
"""Contours of the reference in thumbnails: white, so that the colour of a group is the program's alone."""
SPINE_MARGINS_MM = (18.0, 22.0, 30.0, 32.0)
"""Shown around the discs of a patient: towards head, feet, front and back."""
DISC_VIEW_MM = (46.0, 60.0)
"""Height and width of what is shown around a single disc."""
FIGURE_HEIGHT_PX = 620
DISC_HEIGHT_PX = 200
SPINE_HEIGHT_PX = 300
SCALE_BAR_MM = 50.0
JPEG_QUALITY = 88

_GAP, _TITLE, _MARGIN, _CAPTIONS, _LEVELS, _LINE = 14, 34, 16, 112, 68, 18


@dataclass(frozen=True)
class SlicePicture:
    """What pictures of a patient need: the graded slice, its masks, and what is known of its discs.

    Attributes
    ----------
    grey : ndarray of uint8, shape (rows, columns)
    reference : ndarray of uint8, shape (rows, columns), or None
    automatic : ndarray of uint8, shape (rows, columns)
        Disc labels.
    spacing_mm : tuple of float
    grades : dict
        Reference grade by level.
    predicted : dict
        Automatic grade by the level that the program named.
    scale_known : bool
    points : dict
        Row and column of the reference point of each level; empty where there are none.
    said : str
        What the program said against its result as a whole, or why there is none; empty for nothing.
    """

    grey: NDArray[np.uint8]
    reference: NDArray[np.uint8] | None
    automatic: NDArray[np.uint8]
    spacing_mm: tuple[float, float]
    grades: dict[str, int]
    predicted: dict[str, int]
    scale_known: bool = True
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    said: str = ""

    @classmethod
    def of(cls, scored: ScoredCase) -> SlicePicture:
        """Take what is needed of an evaluated case."""
        result = scored.result
        plane = scored.volume.voxels[scored.slice_index] if result is None else curved_picture(result)
        image = np.asarray(plane, dtype=np.float32)
        low, high = display_window(result) if result is not None else np.percentile(image, (1, 98))
        grey = np.maximum((image - low) / max(high - low, 1e-6), 0)
        return cls(
            np.round(compress_highlights(grey) * 255).astype(np.uint8),
            scored.reference,
            np.zeros(image.shape, np.uint8) if result is None else result.label_slice,
            scored.volume.spacing_mm[1:],
            dict(scored.case.grades) if scored.case.levels_trusted else {},
            {} if result is None else {disc.level: disc.pfirrmann for disc in result.discs if disc.assessable},
            scored.volume.scale_known,
            dict(scored.case.level_points) if any(score.by_point for score in scored.scores) else {},
            scored.problem if result is None else " ".join(result.doubts),
        )


class PictureStore:
    """Keeps the slices of evaluated patients on disk until it is known which of them are worth showing."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evaluation-")
        self._facts: dict[tuple[str, str], tuple] = {}

    def __enter__(self) -> PictureStore:
        return self

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._facts

    def keep(self, scored: ScoredCase) -> None:
        """Keep a case's picture."""
        picture = SlicePicture.of(scored)
        key = scored.case.source, scored.case.patient
        arrays = {"grey": picture.grey, "automatic": picture.automatic}
        if picture.reference is not None:
            arrays["reference"] = picture.reference
        np.savez_compressed(self._path(len(self._facts)), **arrays)
        facts = picture.spacing_mm, picture.grades, picture.predicted, picture.scale_known, picture.points, picture.said
        self._facts[key] = (len(self._facts), *facts)

    def picture(self, source: str, patient: str) -> SlicePicture:
        """Return what was kept of a patient."""
        number, *facts = self._facts[source, patient]
        with np.load(self._path(number), allow_pickle=False) as arrays:
            return SlicePicture(arrays["grey"], arrays.get("reference"), arrays["automatic"], *facts)

    def _path(self, number: int) -> Path:
        return Path(self._folder.name, f"{number}.npz")


class View(SliceView):
    """A box of a slice, cut to it."""

    @classmethod
    def around(
        cls, shape: tuple[int, int], spacing_mm: tuple[float, float], box_mm: tuple[float, ...], height_px: int
    ) -> View:
        """Return the view of a box in mm, cut to the slice."""
        low = [max(0, int(np.floor(box_mm[2 * axis] / spacing_mm[axis]))) for axis in (0, 1)]
        high = [
            max(low[axis] + 2, min(shape[axis], int(np.ceil(box_mm[2 * axis + 1] / spacing_mm[axis])) + 1))
            for axis in (0, 1)
        ]
        tall, wide = ((high[axis] - low[axis]) * spacing_mm[axis] for axis in (0, 1))
        px_per_mm = height_px / tall
        return cls(low[0], high[0], low[1], high[1], (max(1, round(wide * px_per_mm)), height_px), px_per_mm)


def spine_view(
    picture: SlicePicture, height_px: int, margins_mm: tuple[float, float, float, float] = SPINE_MARGINS_MM
) -> View:
    """Return the view of all discs and reference points of a patient with the tissue around them.

    Parameters
    ----------
    picture : SlicePicture
    height_px : int
    margins_mm : tuple of float
        What is shown beside them towards head, feet, front and back.
    """
    discs = picture.automatic > 0
    if picture.reference is not None:
        discs = discs | is_disc(picture.reference)
    for row, column in picture.points.values():
        inside = np.clip(np.round((row, column)).astype(int), 0, np.array(discs.shape) - 1)
        discs[tuple(inside)] = True
    return _view_of(picture, discs, margins_mm, height_px)


def disc_view(picture: SlicePicture, disc: NDArray[np.bool_], height_px: int) -> View:
    """Return the view of a single disc, the same size in mm for every disc."""
    rows, columns = np.nonzero(disc)
    center = rows.mean() * picture.spacing_mm[0], columns.mean() * picture.spacing_mm[1]
    half = DISC_VIEW_MM[0] / 2, DISC_VIEW_MM[1] / 2
    box_mm = (center[0] - half[0], center[0] + half[0], center[1] - half[1], center[1] + half[1])
    return View.around(picture.grey.shape, picture.spacing_mm, box_mm, height_px)


def _view_of(picture: SlicePicture, mask: NDArray[np.bool_], margins_mm: Sequence[float], height_px: int) -> View:
    shape, spacing = picture.grey.shape, picture.spacing_mm
    if not mask.any():
        return View.around(shape, spacing, (0, shape[0] * spacing[0], 0, shape[1] * spacing[1]), height_px)
    rows, columns = np.nonzero(mask)
    head, feet, front, back = margins_mm
    box_mm = (
        rows.min() * spacing[0] - head,
        rows.max() * spacing[0] + feet,
        columns.min() * spacing[1] - front,
        columns.max() * spacing[1] + back,
    )
    return View.around(shape, spacing, box_mm, height_px)


def side_by_side(picture: SlicePicture, scores: Sequence[DiscScore], title: str) -> Image.Image:
    """Return image, manual and automatic contours of a patient side by side, as in the study's Fig. 2.

    Contours have the colour of their group, purple where there is no grade. Beside each disc stand its level, grade and
    group, and the Dice of the automatic contour.
    """
    view = spine_view(picture, FIGURE_HEIGHT_PX)
    plain = grey_picture(picture, view)
    panels = [("Image", plain)]
    if picture.reference is not None:
        manual = _outlined(plain, view, picture.reference, picture.grades)
        panels.append(("Manual", _captioned(manual, view, picture.reference, picture.grades, {})))
    dice = {score.named_level: score.dice for score in scores if score.dice is not None and score.named_level}
    automatic = _outlined(plain, view, picture.automatic, picture.predicted)
    panels.append(("Automatic", _captioned(automatic, view, picture.automatic, picture.predicted, dice)))
    canvas = _row_of([panel for _, panel in panels], _TITLE * 2)
    draw_text(canvas, (_MARGIN, _TITLE - 8), title, 19, TEXT)
    x = _MARGIN
    for name, panel in panels:
        draw_text(canvas, (x, 2 * _TITLE - 10), name, 17, QUIET)
        x += panel.width + _GAP
    if picture.scale_known:
        x, y = _MARGIN + 12, canvas.height - _MARGIN - 14
        end = x + SCALE_BAR_MM * view.px_per_mm
        draw_line(canvas, [(x, y - 6), (x, y), (end, y), (end, y - 6)], TEXT, 1.6)
        draw_text_on_image(canvas, (x + 6, y - 9), f"{SCALE_BAR_MM:.0f} mm", 15, TEXT, "ls")
    return canvas


def disc_thumbnail(picture: SlicePicture, level: str, named_level: str) -> Image.Image:
    """Return a disc without and with contours: the reference in white, the program's in the colour of its group.

    The whole spine is shown, with levels, where the disc's place is not known, because it was missed and has no
    reference mask, or where its name is wrong.
    """
    reference = _part(picture.reference, level)
    automatic = _part(picture.automatic, named_level)
    shown = reference if reference is not None else automatic
    if shown is None or named_level != (level or named_level):
        return _spine_thumbnail(picture)
    view = disc_view(picture, shown, DISC_HEIGHT_PX)
    plain = grey_picture(picture, view)
    pixels = np.asarray(plain, dtype=np.float32).copy()
    if reference is not None:
        draw_outline(pixels, view, reference, MANUAL, 1.8)
    if automatic is not None:
        draw_outline(pixels, view, automatic, color_of(picture.predicted.get(named_level)), 1.8)
    return _row_of([plain, picture_of(pixels)], 0, margin=0, gap=3)


def jpeg_data_url(picture: Image.Image) -> str:
    """Return a picture as an address that holds the picture itself."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _spine_thumbnail(picture: SlicePicture) -> Image.Image:
    view = spine_view(picture, SPINE_HEIGHT_PX)
    plain = grey_picture(picture, view)
    left = plain
    if picture.reference is not None:
        left = _outlined(plain, view, picture.reference, picture.grades)
        left = _captioned(left, view, picture.reference, {}, {})
    right = _outlined(plain, view, picture.automatic, picture.predicted)
    right = _captioned(right, view, picture.automatic, {}, {})
    return _row_of([left, right], 0, margin=0, gap=3)


def _part(labels: NDArray[np.uint8] | None, level: str) -> NDArray[np.bool_] | None:
    part = labels == DISC_LABELS[level] if labels is not None and level else None
    return part if part is not None and part.any() else None


def grey_picture(picture: SlicePicture, view: View) -> Image.Image:
    """Return what a view shows of the plain slice."""
    plane = resized(view.crop(picture.grey), view.size)
    return Image.fromarray(np.clip(np.round(plane), 0, 255).astype(np.uint8)).convert("RGB")


def draw_outline(
    pixels: NDArray[np.float32], view: View, mask: NDArray[np.bool_], color: Color, width_px: float
) -> None:
    """Draw the contour of a mask of the slice into the RGB pixels of a view."""
    _, outline = contour_alpha(smooth_field(view.crop(mask), view.size), width_px)
    blend(pixels, outline, color)


def _outlined(plain: Image.Image, view: View, labels: NDArray[np.uint8], grades: Mapping[str, int]) -> Image.Image:
    """Return the slice with the contour of each disc in the colour of its group."""
    pixels = np.asarray(plain, dtype=np.float32).copy()
    for value in np.unique(labels):
        if value == Tissue.DISC or value in LEVELS_BY_LABEL:
            draw_outline(pixels, view, labels == value, color_of(grades.get(LEVELS_BY_LABEL.get(value, ""))), 2.2)
    return picture_of(pixels)


def _captioned(
    panel: Image.Image,
    view: View,
    labels: NDArray[np.uint8],
    grades: Mapping[str, int],
    dice: Mapping[str, float],
) -> Image.Image:
    """Return a panel with a column beside it that says what each disc is: level, grade and group, Dice."""
    discs = []
    for level, value in DISC_LABELS.items():
        rows, columns = np.nonzero(labels == value)
        if not rows.size:
            continue
        lines = [(level, TEXT)]
        if level in grades:
            lines.append((_grade_text(grades[level]), color_of(grades[level])))
        if level in dice:
            lines.append((f"Dice {dice[level]:.2f}", QUIET))
        discs.append((view.xy(float(rows[columns == columns.max()].mean()), float(columns.max())), lines))
    if not discs:
        return panel
    discs.sort(key=lambda disc: disc[0][1])
    width = _CAPTIONS if grades else _LEVELS
    wide = Image.new("RGB", (panel.width + width, panel.height), BACKGROUND)
    wide.paste(panel, (0, 0))
    height = _LINE * max(len(lines) for _, lines in discs)
    places = spread([y for (_, y), _ in discs], height + 4, height / 2, panel.height - height / 2)
    for ((x, y), lines), place in zip(discs, places, strict=True):
        draw_line(wide, [(x + 3, y), (panel.width - 8, place), (panel.width + 4, place)], QUIET, 1.0, 0.55)
        for n, (text, color) in enumerate(lines):
            top = place + _LINE * (n - (len(lines) - 1) / 2)
            draw_text(wide, (panel.width + 8, top), text, 14, color, "lm")
    return wide


def _row_of(panels: Sequence[Image.Image], top: int, margin: int = _MARGIN, gap: int = _GAP) -> Image.Image:
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1) + 2 * margin
    canvas = Image.new("RGB", (width, max(panel.height for panel in panels) + top + margin), BACKGROUND)
    x = margin
    for panel in panels:
        canvas.paste(panel, (x, top))
        x += panel.width + gap
    return canvas


def picture_of(pixels: NDArray[np.float32]) -> Image.Image:
    """Return RGB pixels, 0 to 255, as a picture."""
    return Image.fromarray(np.round(pixels).astype(np.uint8))


def color_of(grade: int | None) -> Color:
    """Return the color of a grade's group, purple where there is none."""
    return NOT_GRADED_COLOR if grade is None else group_of_grade(grade).color


def _grade_text(grade: int | None) -> str:
    return "" if grade is None else f"{ROMAN_GRADES[grade]} {group_of_grade(grade).value}"
