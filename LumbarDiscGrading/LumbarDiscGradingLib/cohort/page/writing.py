"""Writing the page of a cohort from its tables and overview pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np

from ...atomic import replacing
from ...grading.result import NOT_ASSESSABLE
from ...imaging.file_names import printable
from ...pfirrmann import GRADES, GROUPS, ROMAN_GRADES
from ...report.html import group_word, page_style, plural, table
from ...resources import resource_path
from ..people import AGE_GROUPS, NOT_TOLD, NOT_UNDERSTOOD, SEXES, age_group, sex_group
from ..tables import COHORT_FILE, SCANS_FILE
from .card_data import card_data
from .charts import Stratum, fill_of, grade_word, grades_chart, height_chart, levels_of
from .reading import ScanRow, read_scans
from .sentences import KindCount, count_kinds
from .thumbnails import make_thumbnail

PAGE_FILE = "cohort.html"
MOST_KINDS = 25
"""Kinds of reasons, doubts and warnings that are listed; the tables have all."""


def write_page(folder: Path, workplace: Path | None = None) -> Path:
    """Write ``cohort.html`` and the thumbnails that it shows, and return its path.

    Parameters
    ----------
    folder : Path
        Output folder of a cohort: both tables and ``<identifier>_overview.png`` of the graded scans.
    workplace : Path, optional
        Where files are made before they take their place, on the same disk.

    Raises
    ------
    CohortTableError
        If a table is missing or is not one.
    OSError
        If the folder cannot be written.
    """
    scans = read_scans(folder)
    graded = [scan.identifier for scan in scans if scan.state == "graded"]
    pictured = {identifier for identifier in graded if make_thumbnail(folder, identifier, workplace)}
    why = _kinds(scans)
    kinds = list(dict.fromkeys(each.kind for _, counted in why for each in counted[:MOST_KINDS]))
    page = Template(_resource("cohort.html")).substitute(
        style=page_style() + _resource("cohort.css") + _chips(),
        script=_resource("cohort.js"),
        data=card_data(scans, pictured, kinds),
        summary=_summary(scans),
        why=_why(why),
        distributions=_distributions(scans),
        level_options=_options((level, level) for level in levels_of(scans)),
        grade_options=_options(
            [
                *((group.value, f"{group.value} ({_romans(group.grades)})") for group in GROUPS),
                *((str(grade), f"grade {grade_word(grade)}") for grade in GRADES),
                ("none", NOT_ASSESSABLE),
                ("doubtful", "low confidence"),
            ]
        ),
    )
    path = folder / PAGE_FILE
    with replacing(path, workplace) as temporary:
        temporary.write_bytes(page.encode("utf-8"))
    return path


def _resource(name: str) -> str:
    return resource_path("Cohort", name).read_text(encoding="utf-8")


def _chips() -> str:
    """Return the style of the patch of colour before each group's word."""
    colors = {**{group.value: fill_of(group.grades[-1]) for group in GROUPS}, "none": fill_of(None)}
    return "".join(f".fill-{name} {{ background: {color}; }}\n" for name, color in colors.items())


def _options(named: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in named)


def _romans(grades: Sequence[int]) -> str:
    return "-".join(ROMAN_GRADES[grade] for grade in grades)


def _summary(scans: Sequence[ScanRow]) -> str:
    graded = [scan for scan in scans if scan.state == "graded"]
    counts = [
        (len(scans), "scans found", "state="),
        (len(graded), "graded", "state=graded"),
        (sum(bool(scan.doubts) for scan in graded), "of them doubtful as a whole", "state=graded&doubt=scan"),
        (sum(_warned(scan) for scan in graded), "with a warning at a disc", "state=graded&doubt=disc"),
        (sum(scan.state == "failed" for scan in scans), "failed", "state=failed"),
        (sum(scan.state == "skipped" for scan in scans), "skipped", "state=skipped"),
    ]
    tiles = "".join(
        f'<li><a href="#{escape(link)}"><b>{count:,}</b> {escape(words)}</a></li>' for count, words, link in counts
    )
    return f'<ul class="counts">{tiles}</ul>{_list(_facts(graded))}'


def _warned(scan: ScanRow) -> bool:
    return any(disc.warnings for disc in scan.discs)


def _facts(graded: Sequence[ScanRow]) -> list[str]:
    """Return what is to be known of the tables before figures are read off them."""
    discs = sum(len(scan.discs) for scan in graded)
    facts = [f"{plural(discs, 'disc')} listed, T12-L1 and below. A patient who was scanned twice counts twice."]
    models = sorted({scan.models for scan in graded})
    for used in models if len(models) > 1 else ():
        count = sum(scan.models == used for scan in graded)
        facts.append(f"{plural(count, 'scan')} graded by {', '.join(used) or 'models that are not told'}.")
    if len(models) == 1 and models[0]:
        facts.append(f"Models: {', '.join(models[0])}.")
    if len(models) > 1:
        facts.append("Not all were graded by the same models; compare them with care.")
    torn = sum(len(scan.discs) != scan.discs_told for scan in graded)
    if torn:
        facts.append(f"{plural(torn, 'scan')} not with as many rows in {COHORT_FILE} as {SCANS_FILE} tells.")
    for what, group in (("age", age_group), ("sex", sex_group)):
        odd = sum(group(getattr(scan, what)) == NOT_UNDERSTOOD for scan in graded)
        if odd:
            facts.append(f"The {what} of {plural(odd, 'scan')} was not understood.")
    return facts


def _list(facts: Sequence[str]) -> str:
    return '<ul class="facts quiet">' + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>"


def _kinds(scans: Sequence[ScanRow]) -> list[tuple[str, list[KindCount]]]:
    """Return what is told of scans, counted by its kind, below the heading that it stands under."""
    graded = [scan for scan in scans if scan.state == "graded"]
    told = {
        "Why failed": [(s.identifier, s.reason) for s in scans if s.state == "failed" and s.reason],
        "Why skipped": [(s.identifier, s.reason) for s in scans if s.state == "skipped" and s.reason],
        "Doubts about the whole scan": [(s.identifier, text) for s in graded for text in s.doubts],
        "Warnings at a disc": [(s.identifier, text) for s in graded for disc in s.discs for text in disc.warnings],
    }
    return [(title, count_kinds(pairs)) for title, pairs in told.items() if pairs]


def _why(why: Sequence[tuple[str, list[KindCount]]]) -> str:
    parts = []
    for title, counted in why:
        rows = [
            [f"{each.scans:,}", f'<a href="#why={quote(printable(each.kind))}">{escape(printable(each.words))}</a>']
            for each in counted[:MOST_KINDS]
        ]
        rarer = len(counted) - MOST_KINDS
        more = f"<p>{plural(rarer, 'rarer kind')} not listed; {SCANS_FILE} and {COHORT_FILE} have all.</p>"
        listed = table(("Scans", "What is told"), rows, "")
        parts.append(f"<div><h3>{escape(title)}</h3>{listed}{more if rarer > 0 else ''}</div>")
    return "".join(parts) or "<p>Nothing: all scans were graded, without a doubt or a warning.</p>"


def _distributions(scans: Sequence[ScanRow]) -> str:
    graded = [scan for scan in scans if scan.discs]
    if not graded:
        return "<p>No disc was graded.</p>"
    legend = "".join(
        f'<li><i style="background:{fill_of(grade)}"></i>{_legend(grade)}</li>' for grade in (*GRADES, None)
    )
    parts = [f'<ul class="legend">{legend}</ul>', _both([Stratum("", graded)]), _numbers(graded)]
    for title, strata in (
        ("By age", _strata(graded, lambda scan: age_group(scan.age), AGE_GROUPS)),
        ("By sex", _strata(graded, lambda scan: sex_group(scan.sex), SEXES)),
    ):
        if strata:
            parts.append(f"<details><summary><h3>{title}</h3></summary>{_both(strata)}</details>")
    return "".join(parts)


def _legend(grade: int | None) -> str:
    if grade is None:
        return NOT_ASSESSABLE
    return next(f"{ROMAN_GRADES[grade]} {group_word(group)}" for group in GROUPS if grade in group.grades)


def _strata(scans: Sequence[ScanRow], group_of: Callable[[ScanRow], str], names: Sequence[str]) -> list[Stratum]:
    """Return the scans by group, those without one last; nothing where no group is known."""
    by_group: dict[str, list[ScanRow]] = {name: [] for name in (*names, NOT_TOLD, NOT_UNDERSTOOD)}
    for scan in scans:
        by_group[group_of(scan)].append(scan)
    if not any(by_group[name] for name in names):
        return []
    return [Stratum(name, members) for name, members in by_group.items() if members]


def _both(strata: Sequence[Stratum]) -> str:
    return (
        '<div class="charts">'
        f"<figure><figcaption>Pfirrmann grades by level</figcaption>{grades_chart(strata)}</figure>"
        "<figure><figcaption>Disc height index by level: median, quartiles, 5th to 95th percentile</figcaption>"
        f"{height_chart(strata)}</figure></div>"
    )


def _numbers(scans: Sequence[ScanRow]) -> str:
    every = Stratum("", scans)
    rows = []
    for level in levels_of(scans):
        discs = every.discs(level)
        counts = [sum(disc.grade == grade for disc in discs) for grade in (*GRADES, None)]
        heights = every.heights(level)
        median = f"{np.median(heights):.2f}" if len(heights) else "&ndash;"
        rows.append([level, f"{len(discs):,}", *(f"{count:,}" for count in counts), median])
    head = ("Level", "Discs", *ROMAN_GRADES.values(), NOT_ASSESSABLE, "Median disc height index")
    return f"<details><summary>The same in numbers</summary>{table(head, rows, '')}</details>"
