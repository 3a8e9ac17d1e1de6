"""The page of a cohort in a real browser: filters, order, links, thumbnails, keys, light and dark, paper."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
import pytest
from example_results import analytic_result
from phantom_cohort import disc_row, graded_row, left_row, write_large_tables, write_tables
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from LumbarDiscGradingLib.cohort.page import write_page
from LumbarDiscGradingLib.report import overview

pytestmark = [
    pytest.mark.needs_program("chromium", "chromium"),
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's browser, and file names as Linux allows them"),
]

HOSTILE = (
    '"quoted" <b>&amp;\'',
    "<img src=x onerror=window.broken=1>",
    "100%25 #1?",
    "M\xfcller",
    os.fsdecode(b"M\xfcller"),
)
"""Names that a list may bring; the last one is not UTF-8."""
SURE, DOUBTED, UNREAD, SERIOUS = "spine 2", "spine 10", "spine 1", "spine 3"
CONFIDENCE = (UNREAD, SERIOUS, DOUBTED, SURE)
"""From the least sure disc to the surest."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    """A cohort of four spines, a failed and a skipped scan, and scans with hostile names."""
    folder = tmp_path_factory.mktemp("cohort")
    low = "L4-L5: low confidence, read it yourself."
    discs = {
        SURE: [disc_row(SURE, "L4-L5", 1, 0.99), disc_row(SURE, "L5-S1", 3, 0.98)],
        DOUBTED: [disc_row(DOUBTED, "L4-L5", 2, 0.9), disc_row(DOUBTED, "L5-S1", 2, 0.9)],
        UNREAD: [disc_row(UNREAD, "L4-L5", 2, 0.95), disc_row(UNREAD, "L5-S1", None)],
        SERIOUS: [disc_row(SERIOUS, "L4-L5", 4, 0.5, warnings=low), disc_row(SERIOUS, "L5-S1", 2, 0.97)],
        **{name: [disc_row(name, "L4-L5", 3, 0.55)] for name in HOSTILE},
    }
    doubts = {DOUBTED: "The contrast is doubtful. Not found: L3-L4."}
    scans = [graded_row(name, rows, doubts=doubts.get(name, "")) for name, rows in discs.items()]
    scans.append(left_row("torn", "failed", "Only 3 of 15 slices are there; copy the series again."))
    scans.append(left_row("localizer", "skipped", "No sagittal T2-weighted series is in it."))
    write_tables(folder, [row for rows in discs.values() for row in rows], scans)
    overview.save(analytic_result(), folder / f"{SURE}_overview.png")
    for name in discs:
        if name != SURE:
            shutil.copy2(folder / f"{SURE}_overview.png", folder / f"{name}_overview.png")
        for ending in ("result.json", "grades.csv"):
            (folder / f"{name}_{ending}").write_text("{}")
    write_page(folder)
    return folder


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    yield from opened(browser, folder)


def opened(browser: Browser, folder: Path, **context: Any) -> Iterator[Page]:
    """Open the page of a folder; no error may have come and nothing from elsewhere may have been asked for."""
    with browser.new_context(viewport={"width": 1300, "height": 900}, **context) as tab:
        page = tab.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(folder.as_uri()) else None)
        page.goto((folder / "cohort.html").as_uri())
        yield page
        assert wrong == []
        assert page.evaluate("window.broken") is None


def names(page: Page) -> list[str]:
    """Return the names of the cards that are shown, as they stand."""
    return page.eval_on_selector_all(".card h3", "all => all.map(title => title.firstChild.textContent)")


def choose(page: Page, **values: str) -> list[str]:
    """Set filters anew and return the names that are shown, scans with hostile names left out."""
    page.get_by_role("button", name="Show all").click()
    for name, value in values.items():
        field = page.locator(f"[name={name}]")
        if name == "text":
            field.fill(value)
        else:
            field.select_option(value)
    return plain(page)


def plain(page: Page) -> list[str]:
    return [name for name in names(page) if name.startswith(("spine", "torn", "localizer"))]


def picture_of(locator: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"), dtype=float)


def test_the_worst_confidence_comes_first_and_what_was_not_graded_last(page: Page) -> None:
    assert plain(page) == [*CONFIDENCE, "localizer", "torn"]


def test_possible_grades_stand_in_the_place_of_one_and_of_the_question_mark(browser: Browser, tmp_path: Path) -> None:
    sets = {"L2-L3": "", "L3-L4": "2", "L4-L5": "2 3", "L5-S1": "1 2 3"}
    discs = [disc_row("a", level, 2, 0.5) | {"pfirrmann_set": grades} for level, grades in sets.items()]
    write_tables(tmp_path, discs, [graded_row("a", discs)])
    write_page(tmp_path)
    for page in opened(browser, tmp_path):
        rows = [row.split("\t") for row in page.locator(".card tr").all_inner_texts()]
        assert [row[2].strip() for row in rows] == ["II", "II", "II or III", "I to III"]
        assert ["?" in row[3] for row in rows] == [True, True, False, False]


def test_the_order_can_be_by_warnings_or_by_name(page: Page) -> None:
    assert choose(page, sort="warnings") == [DOUBTED, SERIOUS, UNREAD, SURE, "localizer", "torn"]
    assert choose(page, sort="name") == ["localizer", UNREAD, SURE, SERIOUS, DOUBTED, "torn"]


def test_filters_leave_what_they_say(page: Page) -> None:
    assert choose(page, state="failed") == ["torn"]
    assert choose(page, state="skipped") == ["localizer"]
    assert choose(page, doubt="scan") == [DOUBTED]
    assert choose(page, doubt="disc") == [SERIOUS]
    assert choose(page, doubt="any") == [SERIOUS, DOUBTED]
    assert choose(page, doubt="no") == [UNREAD, SURE]
    assert choose(page, grade="serious") == [SERIOUS]
    assert choose(page, grade="1") == [SURE]
    assert choose(page, grade="none") == [UNREAD]
    assert choose(page, grade="doubtful") == [SERIOUS]
    assert choose(page, level="L5-S1", grade="moderate") == [SURE]
    assert choose(page, level="L4-L5", grade="5") == []
    assert page.locator("#count").inner_text() == "0 scans, of 11 in all"
    choose(page, text="mu\u0308LLER")
    assert names(page) == ["M\xfcller"]
    assert choose(page, level="L5-S1", grade="mild", text="SPINE 1") == [DOUBTED]
    assert page.locator("#count").inner_text() == "1\N{EN DASH}1 of 1 scan, of 11 in all"


def test_a_card_says_level_grade_group_probability_and_doubts_in_words(page: Page) -> None:
    choose(page, text=SERIOUS)
    rows = [row.split() for row in page.locator(".card tr").all_inner_texts()]
    assert rows == [["L4-L5", "serious", "IV", "50", "%", "?"], ["L5-S1", "mild", "II", "97", "%"]]
    page.get_by_text("1 warning at discs").click()
    assert page.locator(".card .told").inner_text() == "L4-L5: low confidence, read it yourself."
    choose(page, text=DOUBTED)
    assert page.locator(".card .told li").all_inner_texts() == ["The contrast is doubtful.", "Not found: L3-L4."]
    choose(page, text="torn")
    assert page.locator(".card").inner_text().split("\n") == [
        "torn failed",
        "Only 3 of 15 slices are there; copy the series again.",
    ]


def test_reasons_counts_and_bars_lead_to_their_scans(page: Page) -> None:
    page.get_by_role("link", name="Not found: L3-L4.").click()
    assert names(page) == [DOUBTED]
    assert "Only those that say: Not found: \N{HORIZONTAL ELLIPSIS}." in page.locator("#only").inner_text()
    page.reload()
    assert names(page) == [DOUBTED]
    page.get_by_role("button", name="Show the others too").click()
    assert len(names(page)) == 11
    page.get_by_role("link", name="1 failed").click()
    assert names(page) == ["torn"]
    page.locator("a[href='#level=L4-L5&grade=4']").click()
    assert names(page) == [SERIOUS]
    page.go_back()
    assert names(page) == ["torn"]
    page.get_by_role("link", name="To the contact sheets").click()
    assert names(page) == ["torn"]


def test_back_from_the_first_choice_shows_all_again(page: Page) -> None:
    page.get_by_role("link", name="1 failed").click()
    assert names(page) == ["torn"]
    page.go_back()
    assert len(names(page)) == 11
    page.goto(f"{page.url}#why=gone")
    assert names(page) == []


def test_each_link_leads_to_a_file_whatever_its_name(page: Page, folder: Path) -> None:
    links = page.eval_on_selector_all(".card a, .card img", "all => all.map(link => link.href || link.src)")
    files = {Path(os.fsdecode(unquote_to_bytes(urlsplit(link).path))) for link in links}
    assert all(urlsplit(link).query == urlsplit(link).fragment == "" for link in links)
    assert {path.parent for path in files} == {folder, folder / "cohort_thumbnails"}
    assert sorted(os.fsencode(path) for path in files if not path.is_file()) == []
    assert len(files) == 4 * (4 + len(HOSTILE))
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[2], "M\xfcller", "M%FCller"} <= set(names(page))


def test_the_overview_opens_and_back_leads_to_the_same_scans(page: Page) -> None:
    choose(page, text="spine", level="L5-S1", grade="mild", sort="name")
    shown = names(page)
    assert shown == [SERIOUS, DOUBTED]
    page.locator(".card .picture").first.click()
    page.wait_for_url("**/spine%203_overview.png")
    page.go_back()
    assert names(page) == shown
    assert page.locator("[name=grade]").input_value() == "mild"


def test_the_thumbnail_really_shows_on_light_and_dark_pages(browser: Browser, folder: Path) -> None:
    with Image.open(folder / "cohort_thumbnails" / f"{SURE}.jpg") as stored:
        thumbnail = stored.convert("RGB")
    for scheme in ("light", "dark"):
        for page in opened(browser, folder, color_scheme=scheme):
            choose(page, text=SURE)
            image = page.locator(".card img")
            image.scroll_into_view_if_needed()
            page.wait_for_function(
                "() => { const i = document.querySelector('.card img'); return i.complete && i.naturalWidth; }"
            )
            seen = picture_of(image)
            height = seen.shape[0]
            width = round(height * thumbnail.width / thumbnail.height)
            left = (seen.shape[1] - width) // 2
            expected = np.asarray(thumbnail.resize((width, height)), dtype=float)
            inside = slice(6, -6), slice(left + 6, left + width - 6)
            assert expected.std() > 20
            assert np.abs(seen[inside] - expected[:, 6:-6][6:-6]).mean() < 8


def test_dark_and_light_pages_can_be_read(browser: Browser, folder: Path) -> None:
    ground = {}
    for scheme in ("light", "dark"):
        for page in opened(browser, folder, color_scheme=scheme):
            pixels = picture_of(page.locator("h1"))
            ground[scheme] = np.median(pixels)
            assert np.ptp(pixels) > 180
    assert ground["light"] > 240
    assert ground["dark"] < 40


def test_nothing_is_wider_than_its_place(page: Page) -> None:
    for width in (360, 390, 520, 800, 1160, 1300, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        over = "all => all.map(card => card.scrollWidth - card.clientWidth)"
        assert max(page.eval_on_selector_all(".card", over)) <= 0, width


def test_keys_alone_filter_and_open(page: Page) -> None:
    page.locator("[name=text]").focus()
    page.keyboard.type("spine 2")
    assert names(page) == [SURE]
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Show all"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "picture"
    page.keyboard.press("Enter")
    page.wait_for_url("**/spine%202_overview.png")


def test_on_paper_the_cards_stay_and_the_controls_go(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("#filters").is_hidden()
    assert page.locator(".card").count() == 11
    assert page.pdf().startswith(b"%PDF")


def test_ten_thousand_scans_are_shown_sheet_by_sheet(browser: Browser, tmp_path: Path) -> None:
    write_large_tables(tmp_path, 10_000)
    write_page(tmp_path)
    for page in opened(browser, tmp_path):
        assert page.locator("#count").inner_text() == "1\N{EN DASH}48 of 10,000 scans"
        first = names(page)
        assert len(first) == 48
        page.get_by_role("button", name="Next").first.click()
        assert page.locator("#count").inner_text() == "49\N{EN DASH}96 of 10,000 scans"
        assert set(names(page)).isdisjoint(first)
        page.locator("[name=state]").select_option("failed")
        assert page.locator("#count").inner_text() == "1\N{EN DASH}48 of 200 scans, of 10,000 in all"
        page.locator("[name=text]").fill("patient009950")
        assert len(names(page)) == 1
