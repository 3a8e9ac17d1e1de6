"""Building blocks of the report: tables, words in the colours of their groups, and how each figure is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from numpy.typing import NDArray

from ..pfirrmann import GROUPS, Group
from .metrics import BOOTSTRAP_ROUNDS

DEFINITIONS: Mapping[str, str] = {
    "Patients and intervals": "Intervals are percentile bootstraps: patients, not discs, are drawn with replacement "
    f"{BOOTSTRAP_ROUNDS} times, those of each source among themselves. An interval of a few patients is rough; "
    "none is given where a figure has no value in many of the draws.",
    "Which discs": "Lumbar discs, L1-L2 to L5-S1 (L5-L6 and L6-S1 with six vertebrae), that the reference outlines on "
    "the graded slice or grades. A disc is found where a segmented one covers at least a quarter of it. Grades are "
    "compared for the disc in that place, whatever it was named. Where a point takes the place of a mask, the "
    "segmented disc nearest to it counts, within 0.45 of the distance of neighbouring points. Without either the name "
    "alone decides. "
    "Discs of patients whose reference does not name levels count for the contours alone.",
    "Dice and IoU": "Of each disc on the slice that the program chose. Where the reference is drawn on one slice only, "
    "on that slice.",
    "Surface distance": "Mean distance of the two contours in both directions, and the larger of the two directed 95th "
    "percentiles; in mm, by the pixel spacing of the slice. By side: mean distance by which the contour lies outside "
    "the reference's at the upper and the lower end plate, in front and at the rear; negative where it lies inside.",
    "Mid-sagittal slice": "The middle of the reference canal: the mean slice of its voxels; of the discs where no "
    "canal is labelled.",
    "Pairwise AUC": "Among the reference discs of two groups alone, by the second group's probability out of the two, "
    "p(b) / (p(a) + p(b)) (measure A of Hand and Till, 2001). The study does not say how it compares pairs.",
    "Kappa": "Cohen's, weighted by the square of the distance of the groups or grades (quadratic), by the distance "
    "(linear) or not at all (unweighted). They are not comparable with each other.",
    "Balanced accuracy": "The mean sensitivity of the groups.",
    "Calibration": "Expected calibration error of the most probable group over ten bins of equal width. Brier score: "
    "squared differences summed over the three groups, 0 to 2. Uncertain discs are those that the program itself marks "
    "for a second look.",
    "Prediction sets": "Neighbouring grades of which the model states that they hold the right one with a coverage "
    "that stands in its manifest. Here each disc counts the same, there each patient.",
    "Study": "What the study that this program follows reports on its own 94 test discs of one centre, split at random "
    "by disc, so that discs of one patient are in training and test. Its figures are not directly comparable.",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, paper_rows: int = 0) -> str:
    """Return a table; the last `paper_rows` rows are the study's. Cells are HTML."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = []
    for n, row in enumerate(rows):
        mark = ' class="paper"' if n >= len(rows) - paper_rows else ""
        cells = "".join(f'<td class="value">{cell}</td>' for cell in row[1:])
        body.append(f'<tr{mark}><th scope="row">{row[0]}</th>{cells}</tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    rows_text = "".join(body)
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{rows_text}</tbody></table></div>'


def confusion_table(counts: NDArray, names: Sequence[str]) -> str:
    """Return counts, reference in rows, as a table shaded by the share of the row; names are HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = []
    for i, name in enumerate(names):
        total = max(int(counts[i].sum()), 1)
        cells = "".join(
            f'<td{_right(i == j)} style="background: rgba(var(--shade), {0.65 * count / total:.2f})">{count}</td>'
            for j, count in enumerate(counts[i])
        )
        body.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    rows = "".join(body)
    return f'<table class="confusion"><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _right(diagonal: bool) -> str:
    return ' class="right"' if diagonal else ""


def coloured(sentence: str) -> str:
    """Return a sentence with the words of the groups in their colours."""
    text = escape(sentence)
    for group in GROUPS:
        text = text.replace(group.value, group_word(group))
    return text


def group_word(group: Group) -> str:
    """Return the word of a group in its colour."""
    return f'<span class="{group.value}">{group.value}</span>'


def plural(count: int, word: str) -> str:
    """Return a number with its noun."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def sentence_case(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def definitions() -> str:
    """Return the section that says how each figure is measured."""
    items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in DEFINITIONS.items())
    return f'<h2>How it is measured</h2><dl class="definitions">{items}</dl>'
