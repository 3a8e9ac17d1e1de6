"""What stands below the picture on the printed page of a result: discs, changes and doubts as simple HTML."""

from __future__ import annotations

from html import escape

from ..grading.result import DiscGrade, GradingResult
from ..pfirrmann import GROUPS, ROMAN_GRADES
from ..research_use import RESEARCH_USE
from .doubts import warnings_of
from .tables import is_known, table_discs
from .text import (
    course_phrase,
    is_barely_doubtful,
    model_names,
    possible_grades,
    possible_key,
    reader_verdict,
    slices_phrase,
)

TITLES = ("Level", "Group", "Grade", *(group.value for group in GROUPS), "Height", "DHI", "Signal", "Set by")


def page_html(result: GradingResult, name: str) -> str:
    """Return the text of the page, in the part of HTML that Qt's text documents know.

    Parameters
    ----------
    result : GradingResult
    name : str
        Of the volume, as the user sees it; no more of a patient is printed than it tells.
    """
    parts = [f"<h2>Lumbar disc degeneration (Pfirrmann): {escape(name)}</h2>"]
    parts.append(f"<p>Sagittal T2, {slices_phrase(result)}: {escape(result.slice_reason)}.</p><p></p>")
    if result.course is not None and result.is_curved:
        parts.append(f"<p>{escape(course_phrase(result.course))}.</p>")
    if result.naming_confidence is not None:
        parts.append(f"<p>Names of the levels: right with p = {result.naming_confidence:.2f}.</p>")
    doubts = warnings_of(result)
    if doubts:
        parts.append(f"<p><b>Please note first</b></p>{_list(doubts)}")
    parts.append(_table(result))
    changes = [f"{disc.level}: {change}" for disc in result.discs for change in disc.changes]
    if changes:
        parts.append(f"<p><b>Changed by a reader</b></p>{_list(changes)}")
    parts.append("<p>mild, moderate, serious: the network's probabilities. Height in mm. DHI: disc height index. ")
    parts.append("Signal: relative to fluid in the canal. ? low confidence: read the disc yourself.")
    if key := possible_key(result):
        parts.append(f" {key}")
    parts.append("</p>")
    models = f"Models: {', '.join(model_names(result))}. " if result.models else ""
    parts.append(f"<p>{escape(models)}{escape(RESEARCH_USE)}</p>")
    return "".join(parts)


def _table(result: GradingResult) -> str:
    head = "".join(f'<th align="left">{escape(title)}</th>' for title in TITLES)
    rows = [f"<tr>{head}</tr>"]
    for disc in table_discs(result):
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(disc)) + "</tr>")
    rows += [
        f'<tr><td>{level}</td><td colspan="{len(TITLES) - 1}">not found</td></tr>' for level in result.missing_levels
    ]
    return f'<table border="1" cellspacing="0" cellpadding="4" width="100%">{"".join(rows)}</table>'


def _cells(disc: DiscGrade) -> list[str]:
    doubt = " ?" if is_barely_doubtful(disc) else ""
    m = disc.measurements
    return [
        disc.level,
        disc.group_word + doubt,
        (possible_grades(disc) or ROMAN_GRADES[disc.pfirrmann]) if disc.assessable else "-",
        *(f"{100 * p:.0f} %" for p in disc.group_probabilities),
        f"{m.height_mm:.1f}" if is_known(m.height_mm) else "-",
        f"{m.disc_height_index:.2f}" if is_known(m.disc_height_index) else "-",
        f"{m.signal_to_canal:.2f}" if is_known(m.signal_to_canal) else "-",
        "reader" if reader_verdict(disc) else "network",
    ]


def _list(texts: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"
