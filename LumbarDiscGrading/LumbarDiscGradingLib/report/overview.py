"""The overview picture: the graded slice, or the curved reformat of several, as it goes into a report.

It is shown plain, and with outlined, graded discs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from ..atomic import replacing
from ..grading.missing_places import is_in_image, missing_places
from ..grading.result import DiscGrade, GradingResult
from ..pfirrmann import GROUPS, ROMAN_GRADES
from ..research_use import RESEARCH_USE
from .along_spine import heights_along_spine_mm
from .display_window import display_window
from .doubts import warnings_of
from .drawing import (
    Color,
    blend,
    contour_alpha,
    draw_line,
    draw_pill,
    draw_text,
    draw_text_on_image,
    resized,
    shortened,
    smooth_field,
    spread,
    text_width,
    wrapped,
)
from .slice_view import BACKGROUND, TEXT, SliceView, compress_highlights
from .spine_box import spine_box
from .text import (
    group_probability,
    is_barely_doubtful,
    model_names,
    possible_grades,
    possible_key,
    reader_verdict,
    slices_phrase,
)

SLICE_HEIGHT_PX = 1120
"""Height of a slice in the picture; the width follows from the physical aspect ratio."""
MAX_SLICE_WIDTH_PX = 1000
"""A slice that would be wider is shown lower."""
MIN_WIDTH_PX = 1200
"""Width of the picture that legend and footer need."""
MISSING_SIZE_MM = (14.0, 36.0)
"""Height and width of the frame at the place of a missing level: a lumbar disc has room in it."""
FILL_ALPHA = 0.20
OUTLINE_PX = 2.4
SCALE_BAR_MM = 50.0

ANNOTATED_SLICE = "annotated slice"
"""A text of the file by this name tells left, top, right and bottom of the annotated slice, in pixels."""

MEASUREMENT_KEY = "Height: mean height of the disc. DHI: disc height index. Signal: relative to fluid in the canal."
MISSING_KEY = "White brackets: where a level that was not found may be, estimated from the other discs."

QUIET: Color = (150, 158, 166)
RULE: Color = (52, 58, 64)

PNG_COMPRESSION = 3
"""Half the time of the default of 6, for files that are a twelfth larger."""

_MARGIN, _HEADER, _COLUMN, _GAP = 36, 92, 336, 28
_LABEL_GAP = 104


def overview_picture(result: GradingResult, footer: bool = True) -> Image.Image:
    """Return the picture of a result: plain slice, labels, annotated slice, legend.

    Square pixels in physical space. Nothing is given in mm where the scale of the image is not known.

    Parameters
    ----------
    result : GradingResult
    footer : bool
        Doubts, changes, models and the research-use line stand below; without it the picture is for a page that has
        them in its text.
    """
    view = _View.of(result)
    plain = view.grey_picture(result)
    width = max(2 * _MARGIN + 2 * plain.width + 2 * _GAP + _COLUMN, MIN_WIDTH_PX)
    labels = _labels(result, view)
    body = max(plain.height, _LABEL_GAP * len(labels))
    lines = _footer_lines(result, width - 2 * _MARGIN) if footer else []
    height = _HEADER + body + 74 + 26 * len(lines) + _MARGIN
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    right = _MARGIN + plain.width + 2 * _GAP + _COLUMN
    _draw_header(canvas, result)
    canvas.paste(plain, (_MARGIN, _HEADER))
    canvas.paste(view.annotated_picture(result, plain), (right, _HEADER))
    canvas.info[ANNOTATED_SLICE] = f"{right} {_HEADER} {right + plain.width} {_HEADER + plain.height}"
    _draw_orientation(canvas, (_MARGIN, _HEADER), plain.size)
    if result.volume.scale_known:
        _draw_scale_bar(canvas, (_MARGIN, _HEADER), plain.size, view.px_per_mm)
    _draw_brackets(canvas, result, view, (right, _HEADER))
    _draw_labels(canvas, labels, (_MARGIN + plain.width + _GAP, right), body)
    bottom = _HEADER + body
    _draw_legend(canvas, bottom + 46)
    for n, (line, color) in enumerate(lines):
        draw_text(canvas, (_MARGIN, bottom + 96 + 26 * n), line, 18, color)
    return canvas


def save(result: GradingResult, path: str | os.PathLike[str], footer: bool = True) -> None:
    """Write the overview picture (see `overview_picture`); it appears whole or not at all."""
    picture = overview_picture(result, footer)
    told = PngInfo()
    told.add_text(ANNOTATED_SLICE, picture.info[ANNOTATED_SLICE])
    with replacing(path) as temporary:
        picture.save(temporary, pnginfo=told, compress_level=PNG_COMPRESSION)


def annotated_slice(path: str | os.PathLike[str]) -> Image.Image:
    """Return the annotated slice of a saved overview; the whole picture where the file does not tell its place.

    Raises
    ------
    OSError
        If the file is no picture, or not a whole one.
    """
    with Image.open(path) as picture:
        picture.load()
        numbers = str(picture.info.get(ANNOTATED_SLICE, "")).split()
        place = [int(number) for number in numbers if number.isascii() and number.isdecimal()]
        if len(place) != 4 or not (place[0] < place[2] <= picture.width and place[1] < place[3] <= picture.height):
            return picture.convert("RGB")
        return picture.convert("RGB").crop((place[0], place[1], place[2], place[3]))


@dataclass(frozen=True, eq=False)
class _View(SliceView):
    """The discs and the places of missing levels with what is around them.

    Attributes
    ----------
    heights_mm : ndarray, shape (row1 - row0 + 1,)
        Where the edges of the rows are shown, in mm: along the spine where it leaves the slice.
    """

    heights_mm: NDArray[np.float64]

    @classmethod
    def of(cls, result: GradingResult) -> _View:
        box = spine_box(result)
        heights_mm = heights_along_spine_mm(result, box[0], box[1])
        height_mm, width_mm = heights_mm[-1], (box[3] - box[2]) * result.volume.spacing_mm[2]
        px_per_mm = min(SLICE_HEIGHT_PX / height_mm, MAX_SLICE_WIDTH_PX / width_mm)
        size = max(round(width_mm * px_per_mm), 1), max(round(height_mm * px_per_mm), 1)
        return cls(*box, size, px_per_mm, heights_mm)

    def crop(self, plane: NDArray) -> NDArray:
        shown, edges = super().crop(plane), np.arange(len(self.heights_mm))
        at = np.interp((edges[:-1] + 0.5) / edges[-1] * self.heights_mm[-1], self.heights_mm, edges) - 0.5
        upper = np.clip(at, 0, len(shown) - 1).astype(int)
        if shown.dtype.kind != "f":
            return shown[np.clip(np.round(at), 0, len(shown) - 1).astype(int)]
        lower, share = np.minimum(upper + 1, len(shown) - 1), np.clip(at - upper, 0.0, 1.0)[:, None]
        return (1.0 - share) * shown[upper] + share * shown[lower]

    def xy(self, row: float, column: float) -> tuple[float, float]:
        x, _ = super().xy(row, column)
        edges = np.arange(len(self.heights_mm))
        height_mm = np.interp(row - self.row0 + 0.5, edges, self.heights_mm)
        return x, float(height_mm / self.heights_mm[-1] * self.size[1])

    def grey_picture(self, result: GradingResult) -> Image.Image:
        from ..grading.spine.of_result import curved_picture  # loads SimpleITK, which an open panel need not wait for

        low, high = display_window(result)
        plane = resized(self.crop(curved_picture(result).astype(np.float32)), self.size)
        grey = compress_highlights(np.maximum((plane - low) / (high - low), 0)) * 255
        return Image.fromarray(np.round(grey).astype(np.uint8)).convert("RGB")

    def annotated_picture(self, result: GradingResult, plain: Image.Image) -> Image.Image:
        pixels = np.asarray(plain, dtype=np.float32).copy()
        labels = self.crop(result.label_slice)
        for disc in result.discs:
            inside, outline = contour_alpha(smooth_field(labels == disc.label_value, self.size), OUTLINE_PX)
            blend(pixels, inside * FILL_ALPHA, disc.color)
            blend(pixels, outline, disc.color)
        return Image.fromarray(np.round(pixels).astype(np.uint8))


def _draw_header(canvas: Image.Image, result: GradingResult) -> None:
    title = "Lumbar disc degeneration"
    draw_text(canvas, (_MARGIN, 50), title, 30, TEXT)
    draw_text(canvas, (_MARGIN, 76), "Sagittal T2, Pfirrmann grade and group of each disc", 18, QUIET)
    volume = result.volume
    last = volume.slice_count - 1
    facts = f"{slices_phrase(result)} (0 to {last})" if last else "single slice"
    if result.is_curved:
        facts = f"curved reformat along the canal, to scale along the spine; {facts}"
    room = canvas.width - 3 * _MARGIN - text_width(title, 30) - 100
    draw_text(canvas, (canvas.width - _MARGIN, 50), shortened(volume.source.name, 24, room), 24, TEXT, "rs")
    draw_text(canvas, (canvas.width - _MARGIN, 76), facts, 18, QUIET, "rs")


def _draw_orientation(canvas: Image.Image, corner: tuple[int, int], size: tuple[int, int]) -> None:
    x, y = corner
    for letter, place, anchor in (
        ("A", (x + 12, y + size[1] / 2), "lm"),
        ("P", (x + size[0] - 12, y + size[1] / 2), "rm"),
        ("H", (x + size[0] / 2, y + 10), "ma"),
        ("F", (x + size[0] / 2, y + size[1] - 10), "md"),
    ):
        draw_text_on_image(canvas, place, letter, 20, TEXT, anchor)


def _draw_scale_bar(canvas: Image.Image, corner: tuple[int, int], size: tuple[int, int], px_per_mm: float) -> None:
    x, y = corner[0] + 16, corner[1] + size[1] - 18
    end = x + SCALE_BAR_MM * px_per_mm
    draw_line(canvas, [(x, y - 6), (x, y), (end, y), (end, y - 6)], TEXT, 1.6)
    draw_text_on_image(canvas, (x + 6, y - 10), f"{SCALE_BAR_MM:.0f} mm", 18, TEXT, "ls")


@dataclass(frozen=True)
class _Label:
    """What the column between the slices says of a level, and where in the slice's picture that is.

    `disc` is None where it was not found, `tip` where there is nothing to point at.
    """

    level: str
    y: float
    tip: tuple[float, float] | None
    disc: DiscGrade | None = None

    @property
    def color(self) -> Color:
        return self.disc.color if self.disc is not None else TEXT


def _labels(result: GradingResult, view: _View) -> list[_Label]:
    """Return the labels of discs and missing levels, head to feet."""
    labels = [
        _Label(disc.level, view.xy(*disc.center_row_column)[1], _front(result, disc, view), disc)
        for disc in result.discs
    ]
    for level, place in missing_places(result).items():
        frame = _frame(result, view, place)
        y = view.xy(*place)[1]
        labels.append(_Label(level, y, (frame[0], (frame[1] + frame[3]) / 2) if frame is not None else None))
    return sorted(labels, key=lambda label: label.y)


def _front(result: GradingResult, disc: DiscGrade, view: _View) -> tuple[float, float] | None:
    """Return the front edge of a disc in the slice's picture."""
    rows, columns = np.nonzero(result.label_slice == disc.label_value)
    if len(rows) == 0:
        return None
    front = int(columns.min())
    return view.xy(float(rows[columns == front].mean()), front - 0.5)


def _frame(result: GradingResult, view: _View, place: tuple[float, float]) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of a missing level's frame in the slice's picture; None outside the image."""
    if not is_in_image(result, place):
        return None
    x, y = view.xy(*place)
    down, across = (size * view.px_per_mm / 2 for size in MISSING_SIZE_MM)
    left, right = np.clip((x - across, x + across), 1, view.size[0] - 2)
    top, bottom = np.clip((y - down, y + down), 1, view.size[1] - 2)
    return float(left), float(top), float(right), float(bottom)


def _draw_brackets(canvas: Image.Image, result: GradingResult, view: _View, corner: tuple[int, int]) -> None:
    """Mark the places of missing levels by two brackets; the image between them stays free."""
    for place in missing_places(result).values():
        frame = _frame(result, view, place)
        if frame is None:
            continue
        left, top, right, bottom = (n + corner[axis % 2] for axis, n in enumerate(frame))
        arm = min(10.0, (right - left) / 4)
        for x, inward in ((left, arm), (right, -arm)):
            bracket = [(x + inward, top), (x, top), (x, bottom), (x + inward, bottom)]
            draw_line(canvas, bracket, (0, 0, 0), 5.0, 0.7)  # a rim that keeps it seen on fluid and fat
            draw_line(canvas, bracket, TEXT, 1.8)


def _draw_labels(canvas: Image.Image, labels: list[_Label], column: tuple[int, int], height_px: int) -> None:
    """Write the labels between the slices, with a leader to the front edge of each disc or frame."""
    places = spread([_HEADER + label.y for label in labels], _LABEL_GAP, _HEADER + 44, _HEADER + height_px - 50)
    for label, y in zip(labels, places, strict=True):
        _draw_label(canvas, label, column[0], y)
        if label.tip is not None:
            end = column[1] + label.tip[0] - 3, _HEADER + label.tip[1]
            start = column[0] + _COLUMN, y
            draw_line(canvas, [start, (column[1] + 4, y), end], label.color, 1.5, 0.9)


def _draw_label(canvas: Image.Image, label: _Label, x: int, y: float) -> None:
    ImageDraw.Draw(canvas).rectangle((x, y - 38, x + 4, y + 40), fill=label.color)
    left = x + 18
    after = left + draw_text(canvas, (left, y - 10), label.level, 30, TEXT) + 14
    disc = label.disc
    if disc is None:
        draw_text(canvas, (left, y + 16), "not found", 22, TEXT)
        hint = "look near the brackets" if label.tip is not None else "expected outside the image"
        draw_text(canvas, (left, y + 39), hint, 16, QUIET)
        return
    note = _note(disc)
    if note:
        draw_pill(canvas, (after, y - 12), note, 16, TEXT)
    is_network = disc.assessable and reader_verdict(disc) is None
    group = f"{disc.group_word} {100 * group_probability(disc):.0f}%" if is_network else disc.group_word
    grade_x = left + draw_text(canvas, (left, y + 16), group, 22, disc.color) + 14
    if disc.assessable:
        draw_text(canvas, (grade_x, y + 16), f"Pfirrmann {ROMAN_GRADES[disc.pfirrmann]}", 22, TEXT)
    facts = _facts(disc)
    if facts:
        draw_text(canvas, (left, y + 39), facts, 16, QUIET)


def _note(disc: DiscGrade) -> str:
    """Return the one thing to know first of a disc's grade: who set it, which are possible, or that it is doubtful."""
    if reader_verdict(disc) is not None:
        return "set by reader"
    if possible := possible_grades(disc):
        return f"{possible} possible"
    if is_barely_doubtful(disc):
        return "low confidence"
    return "edited by reader" if disc.changes else ""


def _facts(disc: DiscGrade) -> str:
    m = disc.measurements
    facts = (
        (m.height_mm, "height {:.1f} mm"),
        (m.disc_height_index, "DHI {:.2f}"),
        (m.signal_to_canal, "signal {:.2f}"),
    )
    return ", ".join(text.format(value) for value, text in facts if value is not None and np.isfinite(value))


def _draw_legend(canvas: Image.Image, y: int) -> None:
    x = _MARGIN
    for group in GROUPS:
        ImageDraw.Draw(canvas).rectangle((x, y - 17, x + 20, y + 2), fill=group.color)
        grades = " to ".join(dict.fromkeys(ROMAN_GRADES[g] for g in (group.grades[0], group.grades[-1])))
        x += 30 + draw_text(canvas, (x + 30, y), f"{group.value}: Pfirrmann {grades}", 20, TEXT) + 44
    draw_text(canvas, (x, y), "Percentage: the network's probability", 18, QUIET)


def _footer_lines(result: GradingResult, width_px: int) -> list[tuple[str, Color]]:
    notes = warnings_of(result)
    notes += [f"{disc.level}: {'; '.join(disc.changes)}." for disc in result.discs if disc.changes]
    lines = [(line, TEXT) for note in notes for line in wrapped(note, 18, width_px)]
    if any(is_in_image(result, place) for place in missing_places(result).values()):
        lines.append((MISSING_KEY, QUIET))
    if any(_facts(disc) for disc in result.discs):
        lines.append((MEASUREMENT_KEY, QUIET))
    if key := possible_key(result):
        lines += [(line, QUIET) for line in wrapped(key, 18, width_px)]
    if result.models:
        lines += [(line, QUIET) for line in wrapped(f"Models: {', '.join(model_names(result))}", 18, width_px)]
    return [*lines, (RESEARCH_USE, QUIET)]
