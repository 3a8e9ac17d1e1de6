"""The text of the printed page of a result."""

from __future__ import annotations

import re
from dataclasses import replace

from example_results import analytic_result

from LumbarDiscGradingLib.grading.corrections import GradeSet, NotAssessable, corrected
from LumbarDiscGradingLib.report.overview import overview_picture
from LumbarDiscGradingLib.report.page import TITLES, page_html
from LumbarDiscGradingLib.report.tables import table_discs
from LumbarDiscGradingLib.research_use import RESEARCH_USE


def rows_of(html: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)[1:]]


def test_each_listed_disc_and_each_missing_level_has_a_row() -> None:
    result = analytic_result()
    result = replace(result, missing_levels=("L1-L2",), discs=tuple(d for d in result.discs if d.level != "L1-L2"))
    rows = rows_of(page_html(result, "T2"))
    assert [row[0] for row in rows] == [disc.level for disc in table_discs(result)] + ["L1-L2"]
    assert all(len(row) == len(TITLES) for row in rows[:-1])
    assert rows[-1][1] == "not found"


def test_what_a_reader_set_is_told_as_his() -> None:
    html = page_html(corrected(analytic_result(), [GradeSet("L4-L5", 2), NotAssessable("L3-L4")]), "T2")
    by_level = {row[0]: row for row in rows_of(html)}
    assert by_level["L4-L5"][2] == "II"
    assert by_level["L3-L4"][2] == "-"
    assert {level: row[-1] for level, row in by_level.items() if row[-1] == "reader"}.keys() == {"L3-L4", "L4-L5"}
    assert "L4-L5: Pfirrmann II set by reader (network: IV)" in html


def test_doubts_stand_before_the_first_grade_and_research_use_once() -> None:
    html = page_html(replace(analytic_result(), warnings=("The spine <leaves> the slice.",)), "T2")
    assert html.index("The spine &lt;leaves&gt; the slice.") < html.index("<td>")
    assert html.count(RESEARCH_USE) == 1


def test_a_name_with_marks_of_html_is_printed_as_it_is() -> None:
    assert "3: t2 &lt;b&gt; &amp; co" in page_html(analytic_result(), "3: t2 <b> & co")


def test_the_pages_picture_has_no_footer() -> None:
    result = analytic_result()
    assert overview_picture(result, footer=False).height < overview_picture(result).height


def test_how_sure_the_names_are_is_told_where_it_is_known() -> None:
    result = analytic_result()
    assert "Names of the levels" not in page_html(replace(result, naming_confidence=None), "T2")
    assert "Names of the levels: right with p = 0.87." in page_html(replace(result, naming_confidence=0.871), "T2")
