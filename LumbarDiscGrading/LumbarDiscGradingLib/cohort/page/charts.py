"""Distributions by level as inline SVG: Pfirrmann grades as bars of shares, the disc height index as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ...grading.result import NOT_ASSESSABLE
from ...pfirrmann import GRADES, LISTED_LEVELS, NOT_GRADED_COLOR, ROMAN_GRADES, group_of_grade
from .reading import DiscRow, ScanRow

FEWEST_FOR_A_BOX = 5
"""Quartiles of fewer discs say nothing; each is a point then."""
TICK = 0.1
_WIDTH, _LEVEL_WIDTH, _NAME_WIDTH, _RIGHT = 620, 62, 104, 58
_LONE_BAR, _BAR, _BETWEEN_BARS, _BETWEEN_LEVELS = 24, 16, 2, 9
_ROOM_FOR_GRADE, _ROOM_FOR_SHARE = 17, 62
_PALE = 0.55
"""Share of the group's colour in the lesser of its two grades, the rest is white."""


@dataclass(frozen=True)
class Stratum:
    """Scans that are counted together; the name of the only one is not shown."""

    name: str
    scans: Sequence[ScanRow]

    def discs(self, level: str) -> list[DiscRow]:
        """Return the discs of a level."""
        return [disc for scan in self.scans for disc in scan.discs if disc.level == level]

    def heights(self, level: str) -> NDArray[np.float64]:
        """Return the disc height indices of a level; a mask that is hardly a disc's has none."""
        discs = self.discs(level)
        known = [d.disc_height_index for d in discs if d.group is not None and d.disc_height_index is not None]
        return np.array(known, dtype=np.float64)


def levels_of(scans: Sequence[ScanRow]) -> list[str]:
    """Return the levels of which there are discs, head to feet."""
    found = {disc.level for scan in scans for disc in scan.discs}
    return [level for level in LISTED_LEVELS if level in found]


def fill_of(grade: int | None) -> str:
    """Return the colour of a grade: its group's, paler for the lesser of two grades; purple where there is none."""
    if grade is None:
        return _hex(NOT_GRADED_COLOR)
    group = group_of_grade(grade)
    share = _PALE if len(group.grades) > 1 and grade == group.grades[0] else 1.0
    red, green, blue = (round(255 + share * (value - 255)) for value in group.color)
    return _hex((red, green, blue))


def grade_word(grade: int | None) -> str:
    """Return a grade with the word of its group."""
    return NOT_ASSESSABLE if grade is None else f"{ROMAN_GRADES[grade]} ({group_of_grade(grade).value})"


def grades_chart(strata: Sequence[Stratum]) -> str:
    """Return the shares of the grades at each level, a bar a stratum; bars of the only one lead to their scans."""
    frame = _Frame(strata)
    for level, stratum, y in frame.rows():
        discs = stratum.discs(level)
        frame.label(level, stratum, y, len(discs))
        start = float(frame.left)
        for grade in (*GRADES, None):
            count = sum(disc.grade == grade for disc in discs)
            if not count:
                continue
            width = frame.room * count / len(discs)
            of = f" of {stratum.name}" if frame.several else ""
            said = f"{level}{of}: {grade_word(grade)}, {count} of {len(discs)} discs ({100 * count / len(discs):.0f} %)"
            shape = _segment(start, y, width, frame.bar, grade, count / len(discs), said)
            frame.parts.append(shape if frame.several else _link(level, grade, shape))
            start += width
    return frame.svg("Pfirrmann grades by level")


def _segment(x: float, y: float, width: float, height: float, grade: int | None, share: float, said: str) -> str:
    name = ROMAN_GRADES[grade] if grade is not None else "\N{EN DASH}"
    words = f"{name} {100 * share:.0f} %" if width >= _ROOM_FOR_SHARE else name if width >= _ROOM_FOR_GRADE else ""
    text = _text(x + width / 2, y + height / 2, words, "on") if words else ""
    return (
        f"<g><title>{escape(said)}</title>"
        f'<rect class="part" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{fill_of(grade)}"/>'
        f"{text}</g>"
    )


def _link(level: str, grade: int | None, shape: str) -> str:
    return f'<a href="#level={level}&amp;grade={grade or "none"}">{shape}</a>'


def height_chart(strata: Sequence[Stratum]) -> str:
    """Return the disc height index at each level: median, quartiles, 5th to 95th percentile; few discs as points."""
    frame = _Frame(strata)
    values = {(level, n): s.heights(level) for level in frame.levels for n, s in enumerate(strata)}
    top = max((float(np.percentile(v, 95)) for v in values.values() if len(v)), default=0.0)
    ticks = int(np.ceil(round(top / TICK, 6))) or 1
    scale = frame.room / (ticks * TICK)
    for n in range(ticks + 1):
        x = frame.left + n * TICK * scale
        frame.parts.append(f'<path class="grid" d="M{x:.1f} 0V{frame.height:.1f}"/>')
        frame.parts.append(_text(x, frame.height + 12, f"{n * TICK:.1f}", "quiet middle"))
    for level, stratum, y in frame.rows():
        heights = values[level, strata.index(stratum)]
        frame.label(level, stratum, y, len(heights))
        if len(heights):
            frame.parts.append(_box(f"{level} {stratum.name}".strip(), heights, frame.left, scale, y, frame.bar))
    return frame.svg("Disc height index by level", below=24)


def _box(name: str, values: NDArray[np.float64], left: float, scale: float, y: float, height: float) -> str:
    middle = y + height / 2
    if len(values) < FEWEST_FOR_A_BOX:
        said = f"{name}: {', '.join(f'{value:.2f}' for value in np.sort(values))}"
        marks = "".join(f'<circle class="box" cx="{left + v * scale:.1f}" cy="{middle}" r="3"/>' for v in values)
    else:
        numbers = np.percentile(values, (5, 25, 50, 75, 95))
        low, lower, median, upper, high = numbers
        said = (
            f"{name}: median {median:.2f}, quartiles {lower:.2f} and {upper:.2f}, "
            f"5th to 95th percentile {low:.2f} to {high:.2f}, {len(values)} discs"
        )
        p5, p25, p50, p75, p95 = (left + number * scale for number in numbers)
        marks = (
            f'<path class="whisker" d="M{p5:.1f} {middle}H{p25:.1f}M{p75:.1f} {middle}H{p95:.1f}"/>'
            f'<rect class="box" x="{p25:.1f}" y="{y}" width="{p75 - p25:.1f}" height="{height}"/>'
            f'<path class="median" d="M{p50:.1f} {y}V{y + height}"/>'
        )
    pointed_at = f'<rect class="row" x="{left}" y="{y}" width="{_WIDTH - left - _RIGHT}" height="{height}"/>'
    return f"<g><title>{escape(said)}</title>{pointed_at}{marks}</g>"


class _Frame:
    """Rows of a chart, a level and a stratum each, with their names at the left and their counts at the right."""

    def __init__(self, strata: Sequence[Stratum]) -> None:
        self.strata, self.several = strata, len(strata) > 1
        self.levels = levels_of([scan for stratum in strata for scan in stratum.scans])
        self.bar = _BAR if self.several else _LONE_BAR
        self.left = _LEVEL_WIDTH + (_NAME_WIDTH if self.several else 0)
        self.room = _WIDTH - self.left - _RIGHT
        self.block = len(strata) * (self.bar + _BETWEEN_BARS) + _BETWEEN_LEVELS
        self.height = self.block * len(self.levels)
        self.parts: list[str] = []

    def rows(self) -> list[tuple[str, Stratum, float]]:
        """Return level, stratum and top of each row."""
        return [
            (level, stratum, m * self.block + n * (self.bar + _BETWEEN_BARS) + _BETWEEN_LEVELS / 2)
            for m, level in enumerate(self.levels)
            for n, stratum in enumerate(self.strata)
        ]

    def label(self, level: str, stratum: Stratum, y: float, count: int) -> None:
        middle = y + self.bar / 2
        if stratum is self.strata[0]:
            self.parts.append(_text(0, middle, level, "level"))
        if self.several:
            self.parts.append(_text(self.left - 8, middle, stratum.name, "quiet end"))
        self.parts.append(_text(_WIDTH, middle, f"n {count}", "quiet end"))

    def svg(self, title: str, below: float = 0) -> str:
        box = f"0 0 {_WIDTH} {self.height + below:.0f}"
        parts = "".join(self.parts)
        return f'<svg class="chart" role="group" aria-label="{escape(title)}" viewBox="{box}">{parts}</svg>'


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" dy=".35em">{escape(words)}</text>'


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
