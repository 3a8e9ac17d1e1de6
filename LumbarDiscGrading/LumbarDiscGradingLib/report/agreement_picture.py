"""The agreement of a study as a picture: confusion tables, kappa and Dice by level, reading times."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..annotation.agreement.agreement import ALL_LEVELS, GradeAgreement, MaskAgreement, Spread, StudyAgreement
from ..atomic import replacing
from ..pfirrmann import ROMAN_GRADES
from .drawing import Color, draw_text, shortened

WIDTH_PX = 1500
PAPER: Color = (255, 255, 255)
INK: Color = (24, 28, 32)
QUIET: Color = (104, 112, 120)
RULE: Color = (214, 219, 224)
ACCENT: Color = (0, 114, 178)
"""Blue of the colour-blind safe palette of Okabe and Ito: no degeneration group has it."""

_MARGIN, _HEADER, _TITLE, _CELL, _ROW = 48, 96, 74, 64, 52
_AXIS_LEFT, _AXIS_WIDTH = 690, 460
_BODY = 6 * _ROW + 120


def agreement_picture(agreement: StudyAgreement) -> Image.Image:
    """Return the picture of an agreement: a block for each pair of readers, then the reading times.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    grades = _pairs((*agreement.grades, *agreement.repeated_grades))
    masks = _pairs((*agreement.masks, *agreement.repeated_masks))
    times = [time for time in agreement.times if time.seconds.count]
    heights = [_TITLE + max(_BODY, _ROW * (len(block) + 1) + 40) for block in (*grades, *masks)]
    height = _HEADER + sum(heights) + (64 + 34 * len(times) if times else 0) + _MARGIN
    canvas = Image.new("RGB", (WIDTH_PX, max(height, 220)), PAPER)
    title = shortened(f"Reader agreement: {agreement.study}", 34, WIDTH_PX - 2 * _MARGIN)
    draw_text(canvas, (_MARGIN, 62), title, 34, INK)
    if not (grades or masks):
        draw_text(canvas, (_MARGIN, 130), "No case has two signed readings yet.", 24, QUIET)
    top = _HEADER
    for block, block_height in zip((*grades, *masks), heights, strict=True):
        ImageDraw.Draw(canvas).line((_MARGIN, top, WIDTH_PX - _MARGIN, top), fill=RULE, width=2)
        if isinstance(block[0], GradeAgreement):
            _draw_grades(canvas, top, block)
        else:
            _draw_masks(canvas, top, block)
        top += block_height
    if times:
        ImageDraw.Draw(canvas).line((_MARGIN, top, WIDTH_PX - _MARGIN, top), fill=RULE, width=2)
        draw_text(canvas, (_MARGIN, top + 40), "Time per case: median (quartiles)", 24, INK)
        for row, time in enumerate(times):
            text = f"{time.reader}, {time.task.value}: {_duration(time.seconds)}, {time.seconds.count} cases"
            draw_text(canvas, (_MARGIN, top + 78 + 34 * row), text, 22, QUIET)
    return canvas


def save_agreement_picture(agreement: StudyAgreement, path: str | os.PathLike[str]) -> None:
    """Write the picture; it appears whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    picture = agreement_picture(agreement)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _pairs(found: Sequence) -> list[list]:
    """Group agreements, which come level by level, into blocks that begin with all levels together."""
    blocks: list[list] = []
    for agreement in found:
        if agreement.level == ALL_LEVELS:
            blocks.append([])
        blocks[-1].append(agreement)
    return [block for block in blocks if _count(block[0])]


def _count(agreement: GradeAgreement | MaskAgreement) -> int:
    return agreement.discs if isinstance(agreement, GradeAgreement) else agreement.dice.count


def _who(agreement: GradeAgreement | MaskAgreement) -> str:
    if agreement.first == agreement.second:
        return f"{agreement.first}, first and second reading"
    return f"{agreement.first} and {agreement.second}"


def _draw_grades(canvas: Image.Image, top: float, block: list[GradeAgreement]) -> None:
    every = block[0]
    discs = f"{every.discs} discs of {every.patients} patient{'s' * (every.patients != 1)}"
    text = f"Grades: {_who(every)}   {discs}, {100 * every.agreed_share:.0f}% the same grade"
    if every.not_assessable:
        text += f", {every.not_assessable} not assessable"
    draw_text(canvas, (_MARGIN, top + 42), shortened(text, 24, WIDTH_PX - 2 * _MARGIN), 24, INK)
    _draw_confusion(canvas, (_MARGIN + 96, top + _TITLE + 50), every)
    rows = []
    for found in block:
        kappa = found.kappa_quadratic
        label = f"{kappa.value:.2f}" if math.isfinite(kappa.value) else "not defined"
        if math.isfinite(kappa.low):
            label += f" ({kappa.low:.2f}, {kappa.high:.2f})"
        rows.append((found.level, kappa.value, kappa.low, kappa.high, label))
    _draw_intervals(canvas, top + _TITLE, "Quadratic weighted kappa, 95% interval", rows)


def _draw_masks(canvas: Image.Image, top: float, block: list[MaskAgreement]) -> None:
    every = block[0]
    text = f"Masks: {_who(every)}   {every.dice.count} discs"
    text += f", {every.only_one} drawn by one reader only" if every.only_one else ""
    text += f", {every.conflicts} level conflicts" if every.conflicts else ""
    draw_text(canvas, (_MARGIN, top + 42), shortened(text, 24, WIDTH_PX - 2 * _MARGIN), 24, INK)
    lines = ["Mean surface distance", "median (quartiles), mm", ""]
    for found in block:
        s = found.surface_mm
        quartiles = f"{s.median:.2f} ({s.lower_quartile:.2f}, {s.upper_quartile:.2f})"
        lines.append(f"{_level(found.level)}: {quartiles if s.count else 'none'}")
    for n, line in enumerate(lines):
        draw_text(canvas, (_MARGIN, top + _TITLE + 30 + 34 * n), line, 22, INK if n == 0 else QUIET)
    rows = []
    for found in block:
        d = found.dice
        label = f"{d.median:.2f} ({d.lower_quartile:.2f}, {d.upper_quartile:.2f})" if d.count else "none"
        rows.append((found.level, d.median, d.lower_quartile, d.upper_quartile, label))
    _draw_intervals(canvas, top + _TITLE, "Dice, median and quartiles", rows)


def _draw_confusion(canvas: Image.Image, origin: tuple[float, float], agreement: GradeAgreement) -> None:
    x0, y0 = origin
    pen = ImageDraw.Draw(canvas)
    largest = max(max(row) for row in agreement.table) or 1
    names = list(ROMAN_GRADES.values())
    second = "second reading" if agreement.first == agreement.second else agreement.second
    first = "first reading" if agreement.first == agreement.second else agreement.first
    draw_text(canvas, (x0 + 2.5 * _CELL, y0 - 34), shortened(second, 20, 5 * _CELL), 20, QUIET, anchor="ms")
    draw_text(canvas, (x0 - 44, y0 + 5 * _CELL + 28), shortened(f"rows: {first}", 20, 6 * _CELL), 20, QUIET)
    for i, row in enumerate(agreement.table):
        draw_text(canvas, (x0 - 14, y0 + (i + 0.5) * _CELL), names[i], 22, INK, anchor="rm")
        draw_text(canvas, (x0 + (i + 0.5) * _CELL, y0 - 8), names[i], 22, INK, anchor="ms")
        for j, count in enumerate(row):
            share = (count / largest) ** 0.5
            fill = tuple(round(p + share * (a - p)) for p, a in zip(PAPER, ACCENT, strict=True))
            left, upper = x0 + j * _CELL, y0 + i * _CELL
            pen.rectangle((left, upper, left + _CELL - 2, upper + _CELL - 2), fill=fill, outline=RULE)
            if i == j:
                pen.rectangle((left, upper, left + _CELL - 2, upper + _CELL - 2), outline=INK, width=2)
            color = PAPER if share > 0.7 else INK if count else RULE
            middle = (left + _CELL / 2 - 1, upper + _CELL / 2 - 1)
            draw_text(canvas, middle, str(count), 22, color, anchor="mm")


def _draw_intervals(
    canvas: Image.Image, top: float, title: str, rows: Sequence[tuple[str, float, float, float, str]]
) -> None:
    """Draw values with their intervals on an axis that ends at 1."""
    pen = ImageDraw.Draw(canvas)
    low = min([0.0, *(value for row in rows for value in row[1:3] if math.isfinite(value))])
    low = math.floor(low * 5) / 5

    def x(value: float) -> float:
        return _AXIS_LEFT + _AXIS_WIDTH * (value - low) / (1 - low)

    draw_text(canvas, (_AXIS_LEFT, top + 16), title, 20, QUIET)
    bottom = top + 44 + _ROW * len(rows)
    for tick in range(round(low * 5), 6):
        pen.line((x(tick / 5), top + 34, x(tick / 5), bottom), fill=RULE, width=1)
        draw_text(canvas, (x(tick / 5), bottom + 24), f"{tick / 5:.1f}", 18, QUIET, anchor="ms")
    for n, (level, value, lower, upper, label) in enumerate(rows):
        y = top + 44 + _ROW * (n + 0.5)
        weight = INK if level == ALL_LEVELS else QUIET
        draw_text(canvas, (_AXIS_LEFT - 20, y), _level(level), 22, weight, anchor="rm")
        draw_text(canvas, (_AXIS_LEFT + _AXIS_WIDTH + 24, y), label, 22, weight, anchor="lm")
        if math.isfinite(lower) and math.isfinite(upper):
            pen.line((x(lower), y, x(upper), y), fill=ACCENT, width=3)
        if math.isfinite(value):
            radius = 9 if level == ALL_LEVELS else 7
            pen.ellipse((x(value) - radius, y - radius, x(value) + radius, y + radius), fill=ACCENT)


def _level(level: str) -> str:
    return "all levels" if level == ALL_LEVELS else level


def _duration(seconds: Spread) -> str:
    def short(value: float) -> str:
        return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"

    quartiles = f"{short(seconds.lower_quartile)} to {short(seconds.upper_quartile)}"
    return f"{short(seconds.median)} ({quartiles})"
