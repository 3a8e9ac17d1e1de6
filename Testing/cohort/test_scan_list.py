"""A caller's list of scans: read tolerantly, refused as a whole where a row is wrong."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from cohort_inputs import write_list

from LumbarDiscGradingLib.cohort.scan import Scan
from LumbarDiscGradingLib.cohort.scan_list import ScanListError, read_scan_list, with_identifiers
from LumbarDiscGradingLib.dataset.manifest import DatasetError

NOTHING_SAID = Scan("", "")
HEADER = ("input", "identifier", "pixel_size", "series", "slice", "age", "sex")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_row_says_all_that_is_known_of_a_scan(inputs: Path) -> None:
    table = write_list(inputs / "list.csv", HEADER, ("sub/a.png", "one", "0.7", "7", "3", "63", "F"))
    path = str(inputs / "sub" / "a.png")
    assert read_scan_list(table, NOTHING_SAID) == [Scan("one", path, "7", 0.7, 3, "63", "F")]


def test_what_a_row_does_not_say_is_as_on_the_command_line(inputs: Path) -> None:
    table = write_list(inputs / "list.csv", HEADER, ("a.png", "", "", "", "", "", ""), ("sub/a.png", "", "0.9"))
    first, second = read_scan_list(table, Scan("", "", "T2", 0.5, 2))
    assert (first.series, first.pixel_size_mm, first.stored_slice) == ("T2", 0.5, 2)
    assert second.pixel_size_mm == 0.9


def test_a_spreadsheets_list_is_read(inputs: Path) -> None:
    text = "Path;ID;Pixel size (mm)\n\n" + "a.png;Müller;0,7\n"
    (inputs / "list.csv").write_bytes(text.encode("utf-16"))
    (scan,) = read_scan_list(inputs / "list.csv", NOTHING_SAID)
    assert (scan.identifier, scan.pixel_size_mm) == ("Müller", 0.7)


def test_umlauts_of_file_names_are_found_in_either_way_of_writing(inputs: Path) -> None:
    (inputs / unicodedata.normalize("NFD", "ä.png")).touch()
    table = write_list(inputs / "list.csv", ("input",), (unicodedata.normalize("NFC", "ä.png"),))
    assert Path(read_scan_list(table, NOTHING_SAID)[0].input).exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("", "x"), "row 4 has no input"),
        (("gone.png", "x"), "row 4 names gone.png, which does not exist"),
        (("a.png", "ONE"), "row 4 has the identifier ONE of row 2"),
        (("a.png", "x/y"), "row 4 has an identifier that cannot name a file"),
        (("a.png", ".."), "row 4 has an identifier that cannot name a file"),
        (("a.png", "con"), "row 4 has an identifier that cannot name a file"),
        (("a.png", "x", "wide"), "row 4 has the pixel_size 'wide', which is no number from 0.05 to 2"),
        (("a.png", "x", "nan"), "row 4 has the pixel_size 'nan'"),
        (("a.png", "x", "", "", "1.5"), "row 4 has the slice '1.5'"),
        (("a.png", "x", "", "", "-1"), "row 4 has the slice '-1'"),
        (("a.png", "x", "", "", "", "1950"), "row 4 has the age '1950'"),
        (("a.png", "x", "", "", "", "131"), "row 4 has the age '131'"),
        (("a.png", "x", "", "", "", "1.2.1950"), "row 4 has the age '1.2.1950'"),
    ],
)
def test_a_bad_row_is_refused_with_its_number(inputs: Path, row: tuple[str, ...], said: str) -> None:
    table = write_list(inputs / "list.csv", HEADER, ("a.png", "one"), (), row)
    with pytest.raises(ScanListError) as refused:
        read_scan_list(table, NOTHING_SAID)
    assert said in str(refused.value) and "nothing was done" in str(refused.value)


@pytest.mark.parametrize("age", ["", "63", "44,9", "063Y", "18 M", "61 years"])
def test_ages_are_taken_as_they_are_written(inputs: Path, age: str) -> None:
    table = write_list(inputs / "list.csv", ("input", "age"), ("a.png", age))
    assert read_scan_list(table, NOTHING_SAID)[0].age == age


def test_how_many_rows_are_wrong_is_said(inputs: Path) -> None:
    table = write_list(inputs / "list.csv", ("input",), ("gone",), ("a.png",), ("away",), ("lost",))
    with pytest.raises(ScanListError, match=r"row 2 .* \(2 more rows are wrong\)"):
        read_scan_list(table, NOTHING_SAID)


def test_a_list_without_scans_or_inputs_is_refused(inputs: Path) -> None:
    with pytest.raises(ScanListError, match="lists no scan"):
        read_scan_list(write_list(inputs / "list.csv", HEADER), NOTHING_SAID)
    with pytest.raises(DatasetError, match="no column for input"):
        read_scan_list(write_list(inputs / "list.csv", ("picture",), ("a.png",)), NOTHING_SAID)


def test_scans_without_an_identifier_get_one_that_no_other_has(inputs: Path) -> None:
    rows = ("a.png", ""), ("sub/a.png", ""), ("a.png", "A")
    scans = read_scan_list(write_list(inputs / "list.csv", HEADER, *rows), NOTHING_SAID)
    names = [scan.identifier for scan in with_identifiers(scans, {})]
    assert names[2] == "A" and len({name.casefold() for name in names}) == 3
    assert names[1] == "sub_a"
    rows = ("sub/a.png", ""), ("a.png", "A")
    scans = read_scan_list(write_list(inputs / "list.csv", HEADER, *rows), NOTHING_SAID)
    assert [scan.identifier for scan in with_identifiers(scans, {})] == ["sub_a", "A"]
    earlier = {"a": str(inputs / "sub" / "a.png")}  # what another scan is to be called now
    assert [scan.identifier for scan in with_identifiers(scans, earlier)] == ["sub_a", "A"]
