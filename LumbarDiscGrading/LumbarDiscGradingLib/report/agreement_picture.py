"""The agreement of a study as a picture: confusion tables, kappa and Dice by level, reading times."""

from __future__ import annotations

import math
import os

from PIL import Image, ImageDraw

from ..annotation.agreement.agreement import (
    ALL_LEVELS,
    COLOR,
    Compared,
    GradeAgreement,
    MaskAgreement,
    Pair,
    StudyAgreement,
    axis_start,
    duration_text,
    interval_text,
)
from ..atomic import replacing
from ..pfirrmann import ROMAN_GRADES
from .drawing import Color, draw_text, shortened

WIDTH_PX = 1500
PAPER: Color = (255, 255, 255)
INK: Color = (24, 28, 32)
QUIET: Color = (104, 112, 120)
RULE: Color = (214, 219, 224)

_MARGIN, _HEADER, _TITLE, _CELL, _ROW = 48, 96, 74, 64, 52
_AXIS_LEFT, _AXIS_WIDTH = 690, 460
_REMARK = 32
_BODY = 6 * _ROW + 120


def agreement_picture(agreement: StudyAgreement) -> Image.Image:
    """Return the picture of an agreement: a block for each pair of readers, then the reading times."""
    pairs = sorted(agreement.pairs(), key=lambda pair: isinstance(pair[0], MaskAgreement))
    times = agreement.known_times()
    heights = [_TITLE + max(_BODY, _ROW * (len(pair) + 1) + 40) for pair in pairs]
    header = _HEADER + _REMARK * len(agreement.remarks)
    height = header + sum(heights) + (64 + 34 * len(times) if times else 0) + _MARGIN
    canvas = Image.new("RGB", (WIDTH_PX, max(height, 220)), PAPER)
    title = shortened(f"Reader agreement: {agreement.study}", 34, WIDTH_PX - 2 * _MARGIN)
    draw_text(canvas, (_MARGIN, 62), title, 34, INK)
    for row, remark in enumerate(agreement.remarks):
        draw_text(canvas, (_MARGIN, _HEADER + _REMARK * row), shortened(remark, 22, WIDTH_PX - 2 * _MARGIN), 22, INK)
    if not pairs:
        draw_text(canvas, (_MARGIN, header + 34), "No case has two signed readings yet.", 24, QUIET)
    top = header
    for pair, pair_height in zip(pairs, heights, strict=True):
        ImageDraw.Draw(canvas).line((_MARGIN, top, WIDTH_PX - _MARGIN, top), fill=RULE, width=2)
        every = pair[0]
        if isinstance(every, GradeAgreement):
            _draw_grades(canvas, top, every)
        else:
            _draw_masks(canvas, top, [found for found in pair if isinstance(found, MaskAgreement)])
        _draw_intervals(canvas, top + _TITLE, pair)
        top += pair_height
    if times:
        ImageDraw.Draw(canvas).line((_MARGIN, top, WIDTH_PX - _MARGIN, top), fill=RULE, width=2)
        draw_text(canvas, (_MARGIN, top + 40), "Time per case: median (quartiles)", 24, INK)
        for row, time in enumerate(times):
            text = f"{time.reader}, {time.task.value}: {_duration(*time.seconds.interval)}, {time.seconds.count} cases"
            draw_text(canvas, (_MARGIN, top + 78 + 34 * row), text, 22, QUIET)
    return canvas


def save_agreement_picture(agreement: StudyAgreement, path: str | os.PathLike[str]) -> None:
    """Write the picture; it appears whole or not at all."""
    picture = agreement_picture(agreement)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _who(found: Compared) -> str:
    return f"{found.first}, first and second reading" if found.repeated else f"{found.first} and {found.second}"


def _draw_grades(canvas: Image.Image, top: float, every: GradeAgreement) -> None:
    discs = f"{every.discs} discs of {every.patients} patient{'s' * (every.patients != 1)}"
    text = f"Grades: {_who(every)}   {discs}, {100 * every.agreed_share:.0f}% the same grade"
    if every.not_assessable:
        text += f", {every.not_assessable} not assessable"
    draw_text(canvas, (_MARGIN, top + 42), shortened(text, 24, WIDTH_PX - 2 * _MARGIN), 24, INK)
    _draw_confusion(canvas, (_MARGIN + 96, top + _TITLE + 50), every)


def _draw_masks(canvas: Image.Image, top: float, pair: list[MaskAgreement]) -> None:
    every = pair[0]
    text = f"Masks: {_who(every)}   {every.discs} discs"
    text += f", {every.only_one} drawn by one reader only" if every.only_one else ""
    text += f", {every.conflicts} level conflicts" if every.conflicts else ""
    draw_text(canvas, (_MARGIN, top + 42), shortened(text, 24, WIDTH_PX - 2 * _MARGIN), 24, INK)
    lines = ["Mean surface distance", "median (quartiles), mm", ""]
    lines += [f"{_level(found)}: {interval_text(found.surface_mm.interval, undefined='none')}" for found in pair]
    for n, line in enumerate(lines):
        draw_text(canvas, (_MARGIN, top + _TITLE + 30 + 34 * n), line, 22, INK if n == 0 else QUIET)


def _draw_confusion(canvas: Image.Image, origin: tuple[float, float], agreement: GradeAgreement) -> None:
    x0, y0 = origin
    pen = ImageDraw.Draw(canvas)
    largest = max(max(row) for row in agreement.table) or 1
    names = list(ROMAN_GRADES.values())
    second = "second reading" if agreement.repeated else agreement.second
    first = "first reading" if agreement.repeated else agreement.first
    draw_text(canvas, (x0 + 2.5 * _CELL, y0 - 34), shortened(second, 20, 5 * _CELL), 20, QUIET, anchor="ms")
    draw_text(canvas, (x0 - 44, y0 + 5 * _CELL + 28), shortened(f"rows: {first}", 20, 6 * _CELL), 20, QUIET)
    for i, row in enumerate(agreement.table):
        draw_text(canvas, (x0 - 14, y0 + (i + 0.5) * _CELL), names[i], 22, INK, anchor="rm")
        draw_text(canvas, (x0 + (i + 0.5) * _CELL, y0 - 8), names[i], 22, INK, anchor="ms")
        for j, count in enumerate(row):
            share = (count / largest) ** 0.5
            fill = tuple(round(p + share * (a - p)) for p, a in zip(PAPER, COLOR, strict=True))
            left, upper = x0 + j * _CELL, y0 + i * _CELL
            pen.rectangle((left, upper, left + _CELL - 2, upper + _CELL - 2), fill=fill, outline=RULE)
            if i == j:
                pen.rectangle((left, upper, left + _CELL - 2, upper + _CELL - 2), outline=INK, width=2)
            color = PAPER if share > 0.7 else INK if count else RULE
            middle = (left + _CELL / 2 - 1, upper + _CELL / 2 - 1)
            draw_text(canvas, middle, str(count), 22, color, anchor="mm")


def _draw_intervals(canvas: Image.Image, top: float, pair: Pair) -> None:
    """Draw the values of a pair with their intervals on an axis that ends at 1."""
    pen = ImageDraw.Draw(canvas)
    start = axis_start(pair)
    undefined = "not defined" if isinstance(pair[0], GradeAgreement) else "none"

    def x(value: float) -> float:
        return _AXIS_LEFT + _AXIS_WIDTH * (value - start) / (1 - start)

    draw_text(canvas, (_AXIS_LEFT, top + 16), pair[0].MEASURE, 20, QUIET)
    bottom = top + 44 + _ROW * len(pair)
    for tick in range(round(start * 5), 6):
        pen.line((x(tick / 5), top + 34, x(tick / 5), bottom), fill=RULE, width=1)
        draw_text(canvas, (x(tick / 5), bottom + 24), f"{tick / 5:.1f}", 18, QUIET, anchor="ms")
    for n, found in enumerate(pair):
        value, low, high = found.interval
        y = top + 44 + _ROW * (n + 0.5)
        weight = INK if found.level == ALL_LEVELS else QUIET
        label = interval_text(found.interval, undefined=undefined)
        draw_text(canvas, (_AXIS_LEFT - 20, y), _level(found), 22, weight, anchor="rm")
        draw_text(canvas, (_AXIS_LEFT + _AXIS_WIDTH + 24, y), label, 22, weight, anchor="lm")
        if math.isfinite(low) and math.isfinite(high):
            pen.line((x(low), y, x(high), y), fill=COLOR, width=3)
        if math.isfinite(value):
            radius = 9 if found.level == ALL_LEVELS else 7
            pen.ellipse((x(value) - radius, y - radius, x(value) + radius, y + radius), fill=COLOR)


def _level(found: Compared) -> str:
    return "all levels" if found.level == ALL_LEVELS else found.level


def _duration(median: float, lower_quartile: float, upper_quartile: float) -> str:
    return f"{duration_text(median)} ({duration_text(lower_quartile)} to {duration_text(upper_quartile)})"
