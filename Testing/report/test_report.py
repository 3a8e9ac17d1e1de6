"""Pictures, tables and text of a result."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from example_results import SPIDER, analytic_result, disc_grade, spider_patients, spider_result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from LumbarDiscGradingLib.grading.corrections import GradeSet, LevelSet, MaskEdited, NotAssessable, corrected
from LumbarDiscGradingLib.grading.missing_places import missing_places
from LumbarDiscGradingLib.grading.result import DiscMeasurements, missing_lumbar_levels
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, Group, Tissue
from LumbarDiscGradingLib.report import overview
from LumbarDiscGradingLib.report.display_window import display_window
from LumbarDiscGradingLib.report.doubts import warnings_of
from LumbarDiscGradingLib.report.drawing import shortened, spread, text_width, wrapped
from LumbarDiscGradingLib.report.overview import overview_picture
from LumbarDiscGradingLib.report.page import page_html
from LumbarDiscGradingLib.report.tables import write_grades_csv, write_result_json
from LumbarDiscGradingLib.report.text import report_text
from LumbarDiscGradingLib.research_use import RESEARCH_USE

HEADER = (
    "level,group,p_mild,p_moderate,p_serious,pfirrmann,slice,slice_center_lps_mm,height_mm,diameter_mm,area_mm2,"
    "disc_height_index,signal_to_canal,confident,warnings,manual_changes,pfirrmann_set"
)


def with_measurements(result, **measurements):
    """Return the result with the measurements of its first disc replaced."""
    first = replace(result.discs[0], measurements=DiscMeasurements(**measurements))
    return replace(result, discs=(first, *result.discs[1:]))


def without(result, *levels):
    """Return the result as if the discs of some levels had not been found."""
    kept = tuple(disc for disc in result.discs if disc.level not in levels)
    shown = np.isin(result.label_slice, [disc.label_value for disc in kept])
    missing = missing_lumbar_levels(tuple(disc.level for disc in kept))
    labels = np.where(shown, result.label_slice, 0).astype(np.uint8)
    return replace(result, discs=kept, label_slice=labels, missing_levels=missing)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_the_promised_columns_and_a_row_for_each_disc_head_to_feet(tmp_path):
    result = analytic_result(stored_flipped=(True, False, False), slice_index=1)
    write_grades_csv(result, tmp_path / "grades.csv")
    assert (tmp_path / "grades.csv").read_text(encoding="utf-8").splitlines()[0] == HEADER
    rows = rows_of(tmp_path / "grades.csv")
    assert [row["level"] for row in rows] == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert [row["pfirrmann"] for row in rows] == ["1", "2", "2", "3", "4", "5"]
    assert [row["group"] for row in rows] == ["mild", "mild", "mild", "moderate", "serious", "serious"]
    assert all(float(row["p_mild"]) + float(row["p_moderate"]) + float(row["p_serious"]) == 1 for row in rows)
    assert {row["slice"] for row in rows} == {"3"}  # canonical slice 1 of 5, stored the other way round
    center = tuple(float(value) for value in rows[0]["slice_center_lps_mm"].split(" "))
    assert center == pytest.approx(result.slice_center_lps_mm)
    assert [row["confident"] for row in rows] == ["true", "true", "true", "false", "true", "true"]
    assert rows[3]["warnings"] == "Low confidence: read it again."


def test_csv_leaves_unknown_measurements_empty(tmp_path):
    write_grades_csv(with_measurements(analytic_result(), height_mm=None, area_mm2=math.nan), tmp_path / "grades.csv")
    first, second = rows_of(tmp_path / "grades.csv")[:2]
    assert first["height_mm"] == first["area_mm2"] == first["signal_to_canal"] == ""
    assert float(second["height_mm"]) == pytest.approx(7.2, abs=0.2)


def test_csv_leaves_other_thoracic_discs_to_the_json(tmp_path):
    result = analytic_result()
    labels = result.label_slice.copy()
    labels[2:6, 60:90] = DISC_LABELS["T11-T12"]
    extra = disc_grade("T11-T12", 1, labels, result.volume, result.slice_index)
    result = replace(result, label_slice=labels, discs=(extra, *result.discs))
    write_grades_csv(result, tmp_path / "grades.csv")
    write_result_json(result, tmp_path / "result.json")
    assert "T11-T12" not in [row["level"] for row in rows_of(tmp_path / "grades.csv")]
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["discs"][0]["level"] == "T11-T12"


def test_json_is_strict_and_tells_that_it_is_for_research(tmp_path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    result = with_measurements(analytic_result(), signal_to_canal=math.inf, height_mm=np.float32(6.5))
    write_result_json(result, tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["schema_version"] == "1.0"
    assert content["note"] == RESEARCH_USE
    assert content["discs"][0]["measurements"]["signal_to_canal"] is None
    assert content["discs"][0]["measurements"]["height_mm"] == 6.5
    assert [model["sha256"] for model in content["models"]] == ["a" * 64, "b" * 64]


def test_nothing_half_written_stays_when_the_disk_refuses(tmp_path, monkeypatch):
    target = tmp_path / "overview.png"
    target.write_bytes(b"the former picture")

    def fail(self, path, *_args, **_kwargs):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space"):
        overview.save(analytic_result(), target)
    assert target.read_bytes() == b"the former picture"
    assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]


def test_the_annotated_slice_can_be_taken_from_a_saved_overview(tmp_path):
    target = tmp_path / "overview.png"
    picture = overview_picture(analytic_result())
    overview.save(analytic_result(), target)
    part = overview.annotated_slice(target)
    pixels = np.asarray(part, dtype=int)
    assert part.height > 0.7 * picture.height
    assert part.width < 0.4 * picture.width
    assert (np.ptp(pixels, axis=2) > 80).any(axis=1).sum() > 100, "rows with coloured outlines"
    plain = np.asarray(picture, dtype=int)[:, : picture.width // 3]
    assert not (np.ptp(plain, axis=2) > 80).any(axis=1)[: part.height].any(), "the plain slice has none"
    picture.save(target)
    assert overview.annotated_slice(target).size == picture.size


def test_text_names_levels_grades_measurements_models_and_research_use():
    result = replace(analytic_result(warnings=("The contrast is not T2-like.",)), missing_levels=("L1-L2",))
    lines = report_text(result).splitlines()
    rows = {line.split(":")[0]: line for line in lines if line[:2] in ("T1", "L1", "L2", "L3", "L4", "L5")}
    assert list(rows) == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert "L5-S1: serious, Pfirrmann V (p = 0.91); height 7.1 mm;" in rows["L5-S1"]
    assert [level for level, row in rows.items() if "low confidence" in row] == ["L3-L4"]
    assert "Models: spine-unet 1.0, disc-spinenet 1.0." in lines
    assert lines[-1] == RESEARCH_USE
    assert lines.count(RESEARCH_USE) == 1


def test_text_tells_every_warning_before_the_first_grade():
    low = replace(analytic_result().discs[-1], warnings=("L5-S1: cut by the edge of the image.",))
    result = analytic_result(warnings=("The contrast is not T2-like.",))
    result = replace(
        result,
        discs=(*result.discs[:-1], low),
        missing_levels=("L1-L2",),
        volume=replace(result.volume, notes=("The header does not state the contrast.",)),
    )
    text = report_text(result)
    first_grade = text.index("T12-L1: mild")
    for warning in (
        "Not found: L1-L2.",
        "The contrast is not T2-like.",
        "L5-S1: cut by the edge of the image.",
        "The header does not state the contrast.",
    ):
        assert text.count(warning) == 1
        assert text.index(warning) < first_grade


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), ["Not found: L3-L4, L5-S1."]),
        (
            ("The disc L3-L4 was not found; look at it yourself.", "Not found or not in the image: L5-S1."),
            ["The disc L3-L4 was not found; look at it yourself.", "Not found or not in the image: L5-S1."],
        ),
        (
            ("Not found or not in the image: L3-L4, L5-S1.", "The disc L3-L4 was not found; look at it yourself."),
            ["Not found or not in the image: L5-S1.", "The disc L3-L4 was not found; look at it yourself."],
        ),
        (("Not found: L5-S1.", "Not found: L5-S1."), ["Not found: L3-L4.", "Not found: L5-S1."]),
    ],
)
def test_each_missing_level_is_named_once(said, told):
    result = without(analytic_result(), "L3-L4", "L5-S1")
    result = replace(result, warnings=said)
    assert warnings_of(result) == told
    text = report_text(result)
    assert all(text.count(level) == 1 for level in ("L3-L4", "L5-S1"))


def test_low_confidence_is_told_at_its_disc_alone_and_a_cause_is_kept():
    result = analytic_result()
    doubted = replace(
        result.disc("L3-L4"), warnings=("L3-L4: low confidence, read it yourself.", "L3-L4: hardly seen.")
    )
    discs = tuple(doubted if disc.level == "L3-L4" else disc for disc in result.discs)
    result = replace(result, discs=discs, warnings=("L3-L4: low confidence, read it yourself.", "L3-L4: hardly seen."))
    assert warnings_of(result) == ["L3-L4: hardly seen."]
    assert report_text(result).count("low confidence") == 1
    sure = replace(doubted, confident=True)
    result = replace(result, discs=tuple(sure if disc.level == "L3-L4" else disc for disc in result.discs))
    assert "L3-L4: low confidence, read it yourself." in warnings_of(result)


def other_probabilities(result, level):
    """Return the result with other probabilities of the network for a disc, its grade as it is."""
    disc = replace(
        result.disc(level), group_probabilities=(0.3, 0.3, 0.4), grade_probabilities=(0.1, 0.2, 0.3, 0.2, 0.2)
    )
    return replace(result, discs=tuple(disc if other.level == level else other for other in result.discs))


@pytest.mark.parametrize("correction", [GradeSet("L4-L5", 2), GradeSet("L4-L5", 4), NotAssessable("L4-L5")])
def test_the_networks_probability_is_never_printed_for_a_readers_grade(correction):
    result = corrected(analytic_result(), [correction])
    other = other_probabilities(result, "L4-L5")
    assert report_text(result) == report_text(other)
    assert "set by reader" in report_text(result)
    assert np.array_equal(overview_picture(result), overview_picture(other))


def test_the_probability_of_a_mask_that_a_reader_drew_is_the_networks_and_is_printed():
    result = analytic_result()
    mask = result.label_slice == DISC_LABELS["L4-L5"]
    result = corrected(result, [MaskEdited(result.disc("L4-L5"), mask)])
    row = next(line for line in report_text(result).splitlines() if line.startswith("L4-L5"))
    assert "(p = 0.91)" in row and "mask edited by reader, graded again" in row
    other = other_probabilities(result, "L4-L5")
    assert not np.array_equal(overview_picture(result), overview_picture(other))


@pytest.mark.parametrize("changes", [(), ("not assessable (reader)",)])
def test_a_disc_that_is_not_assessable_has_neither_grade_nor_doubt(changes):
    result = analytic_result()
    disc = replace(result.disc("L3-L4"), assessable=False, changes=changes)
    result = replace(result, discs=tuple(disc if other.level == "L3-L4" else other for other in result.discs))
    row = next(line for line in report_text(result).splitlines() if line.startswith("L3-L4"))
    assert row.startswith("L3-L4: not assessable;")
    assert row.count("not assessable") == 1
    assert "Pfirrmann" not in row and "p =" not in row and "confidence" not in row
    assert ("set by reader" in row) == bool(changes)
    other = other_probabilities(result, "L3-L4")
    assert np.array_equal(overview_picture(result), overview_picture(other))


def test_text_gives_no_millimetres_without_a_known_scale():
    assert " mm" not in report_text(analytic_result(scale_known=False))


def colored(picture, color, tolerance=6):
    """Return where a picture has a color."""
    difference = np.abs(np.asarray(picture, dtype=int) - color).max(axis=2)
    return difference <= tolerance


def test_each_disc_is_outlined_in_the_color_of_its_group_and_nothing_is_drawn_on_the_plain_slice():
    result = analytic_result(shape=(3, 240, 160), slice_index=1)
    picture = overview_picture(result)
    middle = picture.width // 2
    for group, graded in ((Group.MILD, 3), (Group.MODERATE, 1), (Group.SERIOUS, 2)):
        hits = colored(picture, group.color)
        body = slice(92, 92 + 1120)
        assert hits[body, middle + 220 :].sum() > 400 * graded
        assert hits[body, : middle - 260].sum() == 0


def test_the_picture_has_square_pixels_in_physical_space():
    tall = overview_picture(analytic_result(spacing_mm=(4.0, 0.9, 0.9)))
    stretched = overview_picture(analytic_result(shape=(5, 120, 160), spacing_mm=(4.0, 1.8, 0.9)))
    assert stretched.size == pytest.approx(tall.size, rel=0.02)


def test_only_a_known_scale_is_drawn():
    known, unknown = (overview_picture(analytic_result(scale_known=known)) for known in (True, False))
    bar = (40, 92 + 1060, 260, 92 + 1115)
    assert np.asarray(known.crop(bar)).max() > 200
    assert np.asarray(unknown.crop(bar)).max() < 200


def seen_in_picture(result, level):
    """Return whether the overview shows the image where the disc of a level lies that was not found."""
    true = analytic_result()
    inside = true.label_slice == DISC_LABELS[level]
    tissue = np.where(inside, np.uint8(0), result.tissue_slice)  # the window is chosen by tissues
    pictures = []
    for value in (0, 900):
        voxels = result.volume.voxels.copy()
        voxels[:, inside] = value
        pictures.append(
            np.asarray(
                overview_picture(replace(result, tissue_slice=tissue, volume=replace(result.volume, voxels=voxels))),
                dtype=int,
            )
        )
    return np.count_nonzero(np.abs(pictures[0] - pictures[1]).max(axis=2) > 60) > 2000


@pytest.mark.parametrize(
    "missing", [("L4-L5", "L5-S1"), ("T12-L1", "L1-L2"), ("L2-L3", "L3-L4"), ("T12-L1", "L1-L2", "L2-L3", "L3-L4")]
)
def test_the_picture_shows_where_a_missing_level_must_be(missing):
    result = without(analytic_result(), *missing)
    assert all(seen_in_picture(result, level) for level in result.missing_levels)


@pytest.mark.parametrize("level", ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"])
def test_the_place_of_a_missing_level_follows_from_the_others(level):
    true = analytic_result()
    result = without(true, level) if level != "L1-L2" else without(true, "T12-L1", level)
    places = missing_places(result)
    assert list(places) == [level]
    error = np.subtract(places[level], true.disc(level).center_row_column)
    assert np.hypot(*(error * 0.9)) < 6.0
    assert missing_places(true) == {}


def test_levels_of_six_lumbar_vertebrae_have_their_places():
    result = without(analytic_result(), "L5-S1")
    result = corrected(result, [LevelSet("L4-L5", "L5-L6")])
    assert result.missing_levels == ("L6-S1",)
    (place,) = missing_places(result).values()
    assert place == pytest.approx(analytic_result().disc("L5-S1").center_row_column, abs=6)


def test_a_missing_level_is_marked_by_white_brackets_where_it_lies_in_the_image():
    result = analytic_result(shape=(3, 240, 160), slice_index=1)

    def white(shown):
        picture = overview_picture(shown)
        right = picture.width - 36 - (picture.width - 2 * 36 - 2 * 28 - 336) // 2
        return colored(picture, (236, 239, 242))[92:-300, right + 2 : -36].sum()

    assert white(result) == 0
    assert white(without(result, "L3-L4")) > 150
    assert white(without(result, "L5-S1")) > 150
    outside = without(result, "T12-L1", "L1-L2", "L2-L3", "L3-L4")
    rows = slice(150, 240)
    cut = replace(
        outside,
        volume=replace(outside.volume, voxels=outside.volume.voxels[:, rows]),
        label_slice=outside.label_slice[rows],
        tissue_slice=outside.tissue_slice[rows],
        discs=tuple(
            replace(disc, center_row_column=(disc.center_row_column[0] - 150, disc.center_row_column[1]))
            for disc in outside.discs
        ),
    )
    assert white(cut) == 0
    assert len(missing_places(cut)) == 3


@settings(max_examples=20)
@given(st.sets(st.sampled_from(["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"])))
def test_a_picture_is_made_whatever_was_not_found(missing):
    result = without(analytic_result(shape=(1, 120, 80), slice_index=0), *missing)
    picture = overview_picture(result)
    assert picture.width >= 1200
    assert set(missing_places(result)) == (set(result.missing_levels) if result.discs else set())


@pytest.mark.parametrize("discs", [0, 1, 6])
def test_a_picture_is_made_of_any_number_of_discs(discs):
    result = analytic_result()
    kept = result.discs[:discs]
    labels = np.where(np.isin(result.label_slice, [disc.label_value for disc in kept]), result.label_slice, 0)
    assert overview_picture(replace(result, discs=kept, label_slice=labels.astype(np.uint8))).width >= 1200


def test_the_window_shows_marrow_grey_whatever_the_fat_behind():
    result = analytic_result()
    bright = result.volume.voxels.copy()
    behind = np.cumsum(result.tissue_slice == Tissue.CANAL, axis=1) > 12
    bright[:, behind & (result.tissue_slice == Tissue.BACKGROUND)] = 20000
    low, high = display_window(replace(result, volume=replace(result.volume, voxels=bright)))
    marrow = np.median(bright[result.slice_index][result.tissue_slice == Tissue.VERTEBRA])
    assert 0.25 < (marrow - low) / (high - low) < 0.5


def test_the_window_of_a_blank_region_is_still_a_window():
    result = analytic_result()
    low, high = display_window(
        replace(
            result,
            volume=replace(result.volume, voxels=np.full_like(result.volume.voxels, 7)),
            tissue_slice=np.zeros_like(result.tissue_slice),
        )
    )
    assert low < high


@given(
    st.lists(st.floats(0, 1000), max_size=11).map(sorted),
    st.floats(1, 150),
    st.floats(0, 100),
    st.floats(900, 1100),
)
def test_labels_never_overlap_and_stay_inside(centers, gap, low, high):
    places = spread(centers, gap, low, high)
    assert len(places) == len(centers)
    apart = min(gap, (high - low) / max(len(centers) - 1, 1))
    assert all(b - a >= apart - 1e-6 for a, b in pairwise(places))
    assert all(low - 1e-6 <= place <= high + 1e-6 for place in places)


@given(st.lists(st.floats(0, 1000), max_size=11).map(sorted))
def test_labels_with_room_stay_beside_their_discs(centers):
    apart = [100 + 90 * n + center % 10 for n, center in enumerate(centers)]
    assert spread(apart, 80, 0, 2000) == pytest.approx(apart)


def test_long_text_is_broken_or_shortened_to_fit():
    text = "The lowest disc may not be L5-S1 because the field of view ends there."
    lines = wrapped(text, 18, 200)
    assert " ".join(lines) == text
    assert all(text_width(line, 18) <= 200 for line in lines)
    name = shortened("a_very_long_series_name_from_a_scanner_2024_03_t2_tse_sag", 24, 300)
    assert text_width(name, 24) <= 300 and name.startswith("a_very") and name.endswith("sag") and "..." in name


@pytest.mark.skipif(not SPIDER.is_dir(), reason="the real data is not beside this checkout (../shared/data)")
def test_real_discs_keep_their_signal_under_the_fill():
    result = spider_result(spider_patients()[0])
    picture = np.asarray(overview_picture(result), dtype=float)
    width = (picture.shape[1] - 2 * 36 - 2 * 28 - 336) // 2
    plain, marked = picture[92:1212, 36 : 36 + width], picture[92:1212, -36 - width : -36]
    change = np.abs(plain - marked).max(axis=2)
    filled = (change > 2) & (change < 0.25 * 255)  # outlines and leaders change more
    before, after = plain.mean(axis=2)[filled], marked.mean(axis=2)[filled]
    assert before.size > 20000
    assert before.std() > 10
    assert np.corrcoef(before, after)[0, 1] > 0.95


def test_possible_grades_are_told_in_place_of_the_bare_low_confidence():
    result = analytic_result()
    unsure = [replace(disc, confident=False) for disc in result.discs[:3]]
    discs = (unsure[0], replace(unsure[1], grade_set=(3, 4)), replace(unsure[2], grade_set=(2,)), *result.discs[3:])
    text = report_text(replace(result, discs=discs)).splitlines()
    line = {disc.level: next(each for each in text if each.startswith(f"{disc.level}:")) for disc in discs[:3]}
    said = {level: ("low confidence" in each, "possible: III or IV" in each) for level, each in line.items()}
    assert list(said.values()) == [(True, False), (False, True), (True, False)]
    page = page_html(replace(result, discs=discs), "case")
    rows = page.split("<tr>")
    assert [" ?" in next(row for row in rows if f"<td>{disc.level}</td>" in row) for disc in discs[:3]] == [
        True,
        False,
        True,
    ]
    assert page.count("several Pfirrmann grades are possible") == 1
    assert "several Pfirrmann grades are possible" not in page_html(result, "case")


def test_what_several_possible_grades_promise_is_told_as_the_model_states_it():
    result = analytic_result()
    result = replace(result, discs=(replace(result.discs[0], grade_set=(1, 2)), *result.discs[1:]))
    stating = replace(result, models=(result.models[0], replace(result.models[1], set_coverage=0.8)))
    for told in (report_text, lambda one: page_html(one, "case")):
        assert "hold the right one in 80% of all discs of patients like those" in told(stating)
        assert "the right one" not in told(result)
        assert "several Pfirrmann grades are possible" in told(result)
    assert [model.get("set_coverage") for model in stating.to_dict()["models"]] == [None, 0.8]
    assert "set_coverage" not in stating.to_dict()["models"][0]


def test_possible_grades_stand_on_the_overview_picture():
    result = analytic_result()
    unsure = replace(result.discs[3], confident=False)
    pictures = [
        np.asarray(overview_picture(replace(result, discs=(*result.discs[:3], disc, *result.discs[4:]))))
        for disc in (unsure, replace(unsure, grade_set=(3, 4)), replace(unsure, grade_set=(3,)))
    ]
    assert (pictures[0] == pictures[2]).all()
    above_footer = [picture[:1000] for picture in pictures]
    assert (above_footer[0] != above_footer[1]).any()
    assert len(pictures[1]) > len(pictures[0])  # what several grades mean stands below
