"""What the page of a cohort says without a browser: counts, reasons, distributions, thumbnails, refusals."""

from __future__ import annotations

import json
import os
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from example_results import analytic_result
from phantom_cohort import disc_row, graded_row, left_row, write_large_tables, write_tables
from PIL import Image

from LumbarDiscGradingLib.cohort.page import PAGE_FILE, write_page
from LumbarDiscGradingLib.cohort.page.reading import CohortTableError
from LumbarDiscGradingLib.cohort.page.sentences import kind_of, sentences
from LumbarDiscGradingLib.cohort.people import age_group, sex_group
from LumbarDiscGradingLib.cohort.tables import COHORT_FILE, SCANS_FILE
from LumbarDiscGradingLib.report import overview

LARGE = 10_000
MOST_BYTES = 10_000_000


def graded(identifier: str, grade: int | None = 2, **cells: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the rows of a scan whose disc L5-S1 has this grade."""
    rows = [disc_row(identifier, "L4-L5", 2, height_index=0.4), disc_row(identifier, "L5-S1", grade)]
    return rows, graded_row(identifier, rows, **cells)


def write(folder: Path, scans: list[Any]) -> str:
    """Write a cohort of graded scans and of those that were left, and return its page."""
    pairs = [scan if isinstance(scan, tuple) else ([], scan) for scan in scans]
    write_tables(folder, [row for rows, _ in pairs for row in rows], [row for _, row in pairs])
    return write_page(folder).read_text(encoding="utf-8")


def counts_of(page: str) -> dict[str, str]:
    return {words: count for count, words in re.findall(r"<b>([\d,]+)</b> ([^<]+)</a></li>", page)}


def lines_of(page: str, title: str) -> list[tuple[str, str]]:
    """Return count and words of each reason that is listed below a heading."""
    part = page.split(f"<h3>{title}</h3>")[1].split("</table>")[0]
    return [(count, unescape(words)) for count, words in re.findall(r'row">([\d,]+)</th>.*?>([^<>]+)</a>', part)]


def shown_data(page: str) -> Any:
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_scans_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    warned = [disc_row("c", "L4-L5", 3, 0.5, warnings="L4-L5: low confidence, read it yourself.")]
    page = write(
        tmp_path,
        [
            graded("a"),
            graded("b", doubts="The contrast is doubtful."),
            (warned, graded_row("c", warned)),
            left_row("d", "failed", "It is cut off."),
            left_row("e", "skipped", "No T2."),
            left_row("f", "skipped", "No T2."),
        ],
    )
    assert counts_of(page) == {
        "scans found": "6",
        "graded": "3",
        "of them doubtful as a whole": "1",
        "with a warning at a disc": "1",
        "failed": "1",
        "skipped": "2",
    }
    assert page.count("Research software, not a medical device") == 1


def test_reasons_that_differ_only_by_their_scan_are_one_line(tmp_path: Path) -> None:
    page = write(
        tmp_path,
        [
            left_row(
                "a", "failed", "/pacs/Muster_Erika/1.nrrd: 3 of 15 slices are missing.", "/pacs/Muster_Erika/1.nrrd"
            ),
            left_row("b", "failed", "/pacs/Muster_Max/2.nrrd: 4 of 12 slices are missing.", "/pacs/Muster_Max/2.nrrd"),
            left_row("c", "failed", "Cannot read 2.nrrd in /pacs/Muster_Max.", "/pacs/Muster_Max/2.nrrd"),
            graded("d", doubts="Not found: L1-L2. The canal was seen beside 5 of 8 discs."),
            graded("e", doubts="Not found: L3-L4, L5-S1."),
        ],
    )
    assert lines_of(page, "Why failed") == [
        ("2", "… of … slices are missing."),
        ("1", "Cannot read … in …."),
    ]
    doubts = lines_of(page, "Doubts about the whole scan")
    assert doubts == [("2", "Not found: …."), ("1", "The canal was seen beside 5 of 8 discs.")]


def test_the_page_tells_no_place_of_an_input(tmp_path: Path) -> None:
    source = "/pacs/Muster_Erika/1234.nrrd"
    reasons = f"{source}: cut off; copy 1234.nrrd again.", "/pacs/Muster_Erika/other: it is no image."
    page = write(tmp_path, [*(left_row(reason[-9:], "failed", reason, source) for reason in reasons), graded("b")])
    assert [words for _, words in lines_of(page, "Why failed")] == [
        "cut off; copy … again.",
        "…/other: it is no image.",
    ]
    assert "Muster" not in page
    assert "1234" not in page
    assert "/pacs" not in page
    assert str(tmp_path) not in page


def test_grades_and_heights_are_drawn_by_level_with_numbers_beside(tmp_path: Path) -> None:
    page = write(tmp_path, [*(graded(f"a{n}", 4) for n in range(3)), graded("b", 1), graded("c", None), graded("d", 4)])
    said = [unescape(title) for title in re.findall(r"<title>(L5-S1[^<]*)</title>", page)]
    assert said == [
        "L5-S1: I (mild), 1 of 6 discs (17 %)",
        "L5-S1: IV (serious), 4 of 6 discs (67 %)",
        "L5-S1: not assessable, 1 of 6 discs (17 %)",
        "L5-S1: median 0.30, quartiles 0.30 and 0.30, 5th to 95th percentile 0.30 to 0.30, 5 discs",
    ]
    widths = [float(w) for w in re.findall(r'>L5-S1:[^>]*</title><rect class="part"[^>]* width="([\d.]+)"', page)]
    assert len(widths) == 3
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.01)
    row = page.split('<th scope="row">L5-S1</th>')[1].split("</tr>")[0]
    assert re.findall(r">([^<>]+)<", row) == ["6", "1", "0", "0", "4", "0", "1", "0.30"]


def test_grades_that_are_possible_are_known_to_the_page_where_there_are_several(tmp_path: Path) -> None:
    sets = {"L4-L5": "2 3", "L5-S1": "4"}
    rows, scan = graded("a", 4)
    page = write(tmp_path, [([{**row, "pfirrmann_set": sets[row["level"]]} for row in rows], scan)])
    assert [disc[6:] for disc in shown_data(page)["scans"][0][4]] == [[2, 3], []]


def test_distributions_by_age_and_sex_are_there_where_they_are_told(tmp_path: Path) -> None:
    plain = write(tmp_path, [graded("a"), graded("b")])
    assert "By age" not in plain
    assert "By sex" not in plain
    scans = [
        graded("a", age="44", sex="F"),
        graded("b", 5, age="045Y", sex="männlich"),
        graded("c", age="1957-02-03", sex="?"),
    ]
    page = write(tmp_path, scans)
    said = {unescape(title).partition(":")[0] for title in re.findall(r"<title>([^<]*)</title>", page)}
    assert {"L5-S1 of 40-49", "L5-S1 of female", "L5-S1 of male", "L5-S1 of not understood"} <= said
    assert "The age of 1 scan was not understood." in page
    assert [scan[6:8] for scan in shown_data(page)["scans"]] == [["40-49", "female"], ["40-49", "male"], ["", ""]]
    assert "1957" not in page


def test_models_are_told_and_a_mixture_of_them(tmp_path: Path) -> None:
    assert "Models: spine-unet 1.0 (aaaaaaaaaaaa), disc-spinenet 1.0 (bbbbbbbbbbbb)." in write(tmp_path, [graded("a")])
    page = write(tmp_path, [graded("a"), graded("b", grading_model="disc-spinenet 2.0", grading_sha256="c" * 64)])
    assert "1 scan graded by spine-unet 1.0 (aaaaaaaaaaaa), disc-spinenet 2.0 (cccccccccccc)." in page
    assert "Not all were graded by the same models" in page


def test_discs_that_the_table_lacks_are_told(tmp_path: Path) -> None:
    rows, scan = graded("a")
    assert "not with as many rows" not in write(tmp_path, [(rows, scan)])
    assert "1 scan not with as many rows in cohort.csv as cohort_scans.csv tells." in write(
        tmp_path, [(rows[:1], scan)]
    )


@pytest.mark.parametrize(
    "name", ['"quoted" <b>&amp;', "</script><script>alert(1)</script>", "<!--<script>", "Müller\u2028", "'onload='x"]
)
def test_no_name_breaks_out_of_its_place(tmp_path: Path, name: str) -> None:
    page = write(tmp_path, [graded(name, age=name, sex=name, doubts=name), left_row(f"{name}2", "failed", name)])
    plain = write(tmp_path, [graded("a", age="odd", sex="odd", doubts="odd"), left_row("a2", "failed", "odd")])
    tags, plain_tags = (re.findall(r"<[a-z!/]+", text.split('id="data">')[0]) for text in (page, plain))
    assert tags == plain_tags
    assert page.count("</script") == plain.count("</script") == 2
    assert [scan[0] for scan in shown_data(page)["scans"]] == [name, f"{name}2"]


def test_a_page_of_ten_thousand_scans_is_small(tmp_path: Path) -> None:
    write_large_tables(tmp_path, LARGE)
    page = write_page(tmp_path)
    assert page.stat().st_size < MOST_BYTES
    assert len(shown_data(page.read_text(encoding="utf-8"))["scans"]) == LARGE


def test_a_thumbnail_is_made_once_and_again_of_a_newer_overview(tmp_path: Path) -> None:
    overview.save(analytic_result(), tmp_path / "a_overview.png")
    assert shown_data(write(tmp_path, [graded("a"), graded("b")]))["scans"][0][5] == 1
    thumbnail = tmp_path / "cohort_thumbnails" / "a.jpg"
    assert [path.name for path in thumbnail.parent.iterdir()] == ["a.jpg"]
    with Image.open(thumbnail) as picture:
        assert picture.format == "JPEG"
        assert 100 < picture.height <= 320
        assert picture.width < picture.height
    assert thumbnail.stat().st_size < 40_000
    first = thumbnail.read_bytes(), thumbnail.stat().st_ino
    write_page(tmp_path)
    assert (thumbnail.read_bytes(), thumbnail.stat().st_ino) == first

    told = (tmp_path / "a_overview.png").stat().st_mtime_ns
    Image.new("RGB", (300, 300), "red").save(tmp_path / "a_overview.png")
    os.utime(tmp_path / "a_overview.png", ns=(told + 1, told + 1))
    write_page(tmp_path)
    with Image.open(thumbnail) as picture:
        assert picture.getpixel((50, 50))[0] > 250


def test_an_overview_that_is_spoilt_or_elsewhere_has_no_thumbnail(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    overview.save(analytic_result(), folder / "a_overview.png")
    write(folder, [graded("a")])
    whole = (folder / "a_overview.png").read_bytes()
    (tmp_path / "b_overview.png").write_bytes(whole)
    (folder / "a_overview.png").write_bytes(whole[: len(whole) // 2])
    told = (folder / "a_overview.png").stat().st_mtime_ns + 10**9
    os.utime(folder / "a_overview.png", ns=(told, told))
    page = write(folder, [graded("a"), graded("../b"), graded(str(tmp_path / "b")), graded("")])
    assert [scan[5] for scan in shown_data(page)["scans"]] == [0, 0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b_overview.png", "out"]
    assert list((folder / "cohort_thumbnails").iterdir()) == []


def test_what_is_no_cohort_is_refused_and_the_page_stays(tmp_path: Path) -> None:
    with pytest.raises(CohortTableError, match=r"cohort\.csv is missing; choose the output folder"):
        write_page(tmp_path)
    write(tmp_path, [graded("a")])
    before = (tmp_path / PAGE_FILE).read_bytes()
    scans = (tmp_path / SCANS_FILE).read_text(encoding="utf-8")
    for table, spoilt, words in (
        (SCANS_FILE, scans.replace("lowest_probability", "lowest"), "has no column lowest_probability"),
        (SCANS_FILE, scans.replace(",graded,", ",done,"), "unknown state 'done'"),
        (SCANS_FILE, "", "has no column identifier"),
        (COHORT_FILE, (tmp_path / COHORT_FILE).read_text(encoding="utf-8").replace("L5-S1", "L9"), "level 'L9'"),
    ):
        whole = (tmp_path / table).read_bytes()
        (tmp_path / table).write_text(spoilt, encoding="utf-8")
        with pytest.raises(CohortTableError, match=words):
            write_page(tmp_path)
        (tmp_path / table).write_bytes(whole)
    assert (tmp_path / PAGE_FILE).read_bytes() == before


def test_a_cohort_of_which_nothing_was_graded_has_a_page(tmp_path: Path) -> None:
    assert "No disc was graded." in write(tmp_path, [left_row("a", "failed", "It is cut off.")])
    assert counts_of(write(tmp_path, []))["scans found"] == "0"


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("44", "40-49"),
        (" 044Y ", "40-49"),
        ("44.9 years", "40-49"),
        ("19,5", "under 20"),
        ("018M", "under 20"),
        ("50", "50-59"),
        ("80", "80 and over"),
        ("1931-04-02", "not understood"),
        ("444", "not understood"),
        ("40-49", "not understood"),
        ("forty", "not understood"),
        ("-3", "not understood"),
        ("", "not told"),
    ],
)
def test_ages_are_read_as_lists_write_them(text: str, group: str) -> None:
    assert age_group(text) == group


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("F", "female"),
        (" weiblich", "female"),
        ("m", "male"),
        ("O", "other"),
        ("1", "not understood"),
        (" ", "not told"),
    ],
)
def test_sexes_are_read_as_lists_write_them(text: str, group: str) -> None:
    assert sex_group(text) == group


def test_sentences_are_parted_and_levels_and_numbers_left_open() -> None:
    assert sentences("Scale 0.71 mm. L4-L5: odd; look. ") == ("Scale 0.71 mm.", "L4-L5: odd; look.")
    assert kind_of("L4-L5: p 0.71 of T2, at /a/b c.") == "…: p … of T2, at … c."
