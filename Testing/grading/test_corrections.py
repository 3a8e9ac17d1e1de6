"""What a reader changes in a result, how it shows everywhere, and that a scene keeps it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from example_results import analytic_result
from hypothesis import given
from hypothesis import strategies as st

from LumbarDiscGradingLib.grading.corrections import (
    CorrectionError,
    DiscAdded,
    DiscRemoved,
    GradeSet,
    LevelSet,
    MaskEdited,
    NotAssessable,
    corrected,
    network_grade,
    origins,
    possible_levels,
)
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, NOT_GRADED_COLOR, Group
from LumbarDiscGradingLib.report.doubts import warnings_of
from LumbarDiscGradingLib.report.overview import overview_picture
from LumbarDiscGradingLib.report.tables import write_grades_csv, write_result_json
from LumbarDiscGradingLib.report.text import report_text
from LumbarDiscGradingLib.scene.stored_result import StoredResultError, from_text, to_text

RESULT = analytic_result()
"""T12-L1 to L5-S1."""


def levels(result):
    return [disc.level for disc in result.discs]


def edited_mask(result, level):
    mask = result.label_slice == DISC_LABELS[level]
    return MaskEdited(result.disc(level), mask | np.roll(mask, 1, axis=0))


def test_a_grade_sets_its_group_and_remembers_what_the_network_said():
    result = corrected(RESULT, [GradeSet("L4-L5", 2)])
    disc = result.disc("L4-L5")
    assert (disc.group, disc.pfirrmann, disc.confident) == (Group.MILD, 2, True)
    assert disc.changes == ("Pfirrmann II set by reader (network: IV)",)
    assert disc.group_probabilities == RESULT.disc("L4-L5").group_probabilities
    assert network_grade(disc) == (Group.SERIOUS, 4)
    assert RESULT.disc("L4-L5").pfirrmann == 4
    assert corrected(RESULT, [GradeSet("L4-L5", 2), GradeSet("L4-L5", 3)]).disc("L4-L5").changes == (
        "Pfirrmann III set by reader (network: IV)",
    )


def test_six_lumbar_vertebrae():
    result = corrected(RESULT, [LevelSet("L5-S1", "L6-S1")])
    assert levels(result) == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-L6", "L6-S1"]
    assert result.missing_levels == ()
    for before, after in zip(RESULT.discs, result.discs, strict=True):
        assert np.array_equal(RESULT.label_slice == before.label_value, result.label_slice == after.label_value)
        assert after.pfirrmann == before.pfirrmann
    back = corrected(RESULT, [LevelSet("L5-S1", "L6-S1"), LevelSet("L6-S1", "L5-S1")])
    assert levels(back) == levels(RESULT)
    assert all(disc.changes == () for disc in back.discs)


def test_a_missed_disc_below_moves_only_the_discs_above():
    result = corrected(RESULT, [LevelSet("L4-L5", "L3-L4", keep_below=True)])
    assert levels(result) == ["T11-T12", "T12-L1", "L1-L2", "L2-L3", "L3-L4", "L5-S1"]
    assert result.missing_levels == ("L4-L5",)
    assert any("L4-L5" in warning for warning in result.warnings)


def test_a_disc_pushed_below_the_sacrum_is_left_out():
    result = corrected(RESULT, [LevelSet("L4-L5", "L5-S1")])
    assert levels(result) == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert not (result.label_slice[RESULT.label_slice == DISC_LABELS["L5-S1"]]).any()


def test_what_is_not_possible_is_refused_in_a_sentence():
    with pytest.raises(CorrectionError, match="no disc L5-L6"):
        corrected(RESULT, [GradeSet("L5-L6", 2)])
    with pytest.raises(CorrectionError, match="does not fit"):
        corrected(RESULT, [LevelSet("L3-L4", "L5-S1", keep_below=True)])
    with pytest.raises(CorrectionError, match="does not fit"):
        corrected(RESULT, [LevelSet("L4-L5", "L5-L6", keep_below=True)])
    with pytest.raises(CorrectionError, match="is no disc level"):
        corrected(RESULT, [LevelSet("L3-L4", "S1-S2")])
    with pytest.raises(CorrectionError, match="empty"):
        corrected(RESULT, [MaskEdited(RESULT.disc("L3-L4"), np.zeros_like(RESULT.label_slice, dtype=bool))])
    with pytest.raises(ValueError, match="1 to 5"):
        corrected(RESULT, [GradeSet("L3-L4", 6)])
    with pytest.raises(CorrectionError, match="no disc L5-L6"):
        corrected(RESULT, [DiscRemoved("L5-L6")])
    with pytest.raises(CorrectionError, match="the only disc"):
        corrected(RESULT, [DiscRemoved(level) for level in levels(RESULT)])


def added(result, level, found_on_slice=None):
    """Add a disc where the analytic spine has the one of that level."""
    return DiscAdded(result.disc(level), result.label_slice == DISC_LABELS[level], found_on_slice)


def test_what_is_no_disc_is_taken_out_and_that_is_said():
    result = corrected(RESULT, [DiscRemoved("L5-S1")])
    assert levels(result) == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"]
    assert result.missing_levels == ("L5-S1",)
    assert DISC_LABELS["L5-S1"] not in result.label_slice
    assert np.array_equal(result.label_slice > 0, (RESULT.label_slice > 0) & (RESULT.label_slice != 100))
    assert warnings_of(result)[0] == "Taken out by reader: L5-S1."
    assert not any("ot found" in warning for warning in warnings_of(result))
    assert corrected(RESULT, [DiscRemoved("T12-L1")]).missing_levels == ()
    assert warnings_of(corrected(RESULT, [DiscRemoved("T12-L1")]))[0] == "Taken out by reader: T12-L1."


def test_the_levels_of_what_was_taken_out_follow_the_others():
    below_the_sacrum = corrected(RESULT, [DiscRemoved("L5-S1"), LevelSet("L4-L5", "L5-S1")])
    assert levels(below_the_sacrum) == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert warnings_of(below_the_sacrum)[0] == "Taken out by reader: what the network had named L5-S1."
    between = corrected(RESULT, [DiscRemoved("L3-L4"), LevelSet("L4-L5", "L3-L4")])
    assert between.missing_levels == ("L2-L3", "L5-S1")
    assert between.warnings == (
        "Not found or not in the image: L5-S1.",
        "Taken out by reader: L2-L3 (network: L3-L4).",
    )
    taken = corrected(RESULT, [DiscRemoved("L3-L4"), LevelSet("L2-L3", "L3-L4", keep_below=True)])
    assert taken.warnings == ("Taken out by reader: what the network had named L3-L4.",)
    named_before = corrected(RESULT, [LevelSet("L5-S1", "L4-L5"), DiscRemoved("L3-L4")])
    assert "Taken out by reader: L3-L4 (network: L4-L5)." in named_before.warnings
    six = corrected(RESULT, [LevelSet("L5-S1", "L6-S1"), DiscRemoved("L6-S1"), DiscRemoved("L5-L6")])
    assert six.missing_levels == ("L5-L6", "L6-S1")


def test_a_disc_taken_out_comes_back_when_the_correction_is_left_out_again():
    done = [GradeSet("L4-L5", 2), DiscRemoved("L4-L5"), GradeSet("L3-L4", 1)]
    assert corrected(RESULT, done[:1]).disc("L4-L5").pfirrmann == 2
    assert corrected(RESULT, done).disc("L3-L4").pfirrmann == 1
    assert corrected(RESULT, done).disc("L4-L5") is None
    assert origins(RESULT, done) == {level: level for level in levels(RESULT) if level != "L4-L5"}


def test_another_disc_can_be_added_in_the_place_of_one_taken_out():
    done = [DiscRemoved("L5-S1"), added(RESULT, "L5-S1", 1)]
    result = corrected(RESULT, done)
    assert (levels(result), result.missing_levels) == (levels(RESULT), ())
    assert result.disc("L5-S1").changes == ("added by reader, found on slice 1",)
    assert result.warnings == ("Taken out by reader: what the network had named L5-S1.",)
    assert origins(RESULT, done)["L5-S1"] == "added 2"
    moved = corrected(RESULT, [*done, LevelSet("L5-S1", "L6-S1"), GradeSet("L6-S1", 3)])
    assert moved.disc("L6-S1").changes == (
        "added by reader, found on slice 1",
        "level set by reader (added as L5-S1)",
        "Pfirrmann III set by reader (network: V)",
    )
    assert corrected(RESULT, [*done, edited_mask(RESULT, "L5-S1")]).disc("L5-S1").changes == (
        "added by reader, found on slice 1",
        "mask edited by reader, graded again",
    )
    again = corrected(RESULT, [*done, DiscRemoved("L5-S1")])  # what a reader added and took out was never there
    assert again.warnings == ("Taken out by reader: L5-S1.",)
    assert origins(RESULT, [*done, DiscRemoved("L5-S1")]).keys() == {"T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"}


def test_every_export_tells_what_a_reader_took_out_and_what_he_added(tmp_path):
    drawn, found = added(RESULT, "L3-L4"), added(RESULT, "L4-L5", 1)
    removed = [DiscRemoved(level) for level in ("L3-L4", "L4-L5", "L5-S1")]
    result = corrected(RESULT, [*removed, drawn, found])
    write_grades_csv(result, tmp_path / "grades.csv")
    rows = {row["level"]: row for row in csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8"))}
    assert set(rows) == {"T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"}
    assert rows["L3-L4"]["manual_changes"] == "added by reader, mask drawn by reader"
    assert rows["L4-L5"]["manual_changes"] == "added by reader, found on slice 1"
    write_result_json(result, tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert content["missing_levels"] == ["L5-S1"]
    assert content["taken_out"][-1] == {"network_level": "L5-S1", "level": "L5-S1"}
    assert any("Taken out by reader" in warning for warning in content["warnings"])
    changes = {disc["level"]: disc["manual_changes"] for disc in content["discs"]}
    assert changes["L3-L4"] == ["added by reader, mask drawn by reader"]
    assert changes["L4-L5"] == ["added by reader, found on slice 1"]
    text = report_text(result)
    assert "L5-S1." in next(line for line in text.splitlines() if line.startswith("- Taken out by reader:"))
    assert "added by reader, mask drawn by reader." in text
    assert "added by reader, found on slice 1." in text


def test_the_slice_on_which_a_disc_was_found_is_told_as_it_is_stored():
    stored_backwards = analytic_result(stored_flipped=(True, False, False))
    done = [DiscRemoved("L5-S1"), added(stored_backwards, "L5-S1", 1)]
    assert corrected(stored_backwards, done).disc("L5-S1").changes == ("added by reader, found on slice 3",)


def test_an_edited_mask_replaces_the_old_one_and_wins_over_neighbours():
    mask = np.zeros_like(RESULT.label_slice, dtype=bool)
    mask[RESULT.label_slice == DISC_LABELS["L2-L3"]] = True
    mask[0, 0] = True
    result = corrected(RESULT, [MaskEdited(RESULT.disc("L3-L4"), mask)])
    assert np.array_equal(result.label_slice == DISC_LABELS["L3-L4"], mask)
    assert "mask edited by reader, graded again" in result.disc("L3-L4").changes


def test_every_export_shows_the_changes(tmp_path):
    changes = [GradeSet("L4-L5", 2), NotAssessable("L5-S1"), edited_mask(RESULT, "L1-L2")]
    result = corrected(RESULT, changes)
    write_grades_csv(result, tmp_path / "grades.csv")
    rows = {row["level"]: row for row in csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8"))}
    assert (rows["L5-S1"]["group"], rows["L5-S1"]["pfirrmann"]) == ("not assessable", "")
    assert rows["L4-L5"]["manual_changes"] == "Pfirrmann II set by reader (network: IV)"
    assert rows["L3-L4"]["manual_changes"] == ""
    write_result_json(result, tmp_path / "result.json")
    discs = {d["level"]: d for d in json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["discs"]}
    assert not discs["L5-S1"]["assessable"]
    assert discs["L1-L2"]["manual_changes"] == ["mask edited by reader, graded again"]
    text = report_text(result)
    assert "L5-S1: not assessable;" in text
    assert "Pfirrmann II set by reader (network: IV)" in text
    pixels = np.asarray(overview_picture(result)).reshape(-1, 3)
    assert (pixels == NOT_GRADED_COLOR).all(axis=1).sum() > 100


def test_a_disc_is_not_added_under_a_name_of_another_count_of_lumbar_vertebrae():
    as_six = [LevelSet("L5-S1", "L6-S1", False), DiscRemoved("L6-S1")]
    with pytest.raises(CorrectionError, match="L5-S1 counts the lumbar vertebrae otherwise"):
        corrected(RESULT, [*as_six, added(RESULT, "L5-S1", None)])


CORRECTIONS = st.one_of(
    st.builds(GradeSet, st.sampled_from(LUMBAR_LEVELS), st.integers(1, 5)),
    st.builds(NotAssessable, st.sampled_from(LUMBAR_LEVELS)),
    st.builds(LevelSet, st.sampled_from(LUMBAR_LEVELS), st.sampled_from(sorted(DISC_LABELS)), st.booleans()),
    st.sampled_from([edited_mask(RESULT, level) for level in LUMBAR_LEVELS]),
    st.builds(DiscRemoved, st.sampled_from(LUMBAR_LEVELS)),
    st.builds(added, st.just(RESULT), st.sampled_from(LUMBAR_LEVELS), st.sampled_from([None, 1, 2])),
)


@given(st.lists(CORRECTIONS, max_size=6))
def test_any_corrections_leave_a_consistent_result_that_is_read_back(wanted):
    done = []
    for correction in wanted:
        try:
            corrected(RESULT, [*done, correction])
        except CorrectionError:
            continue
        done.append(correction)
    result = corrected(RESULT, done)
    assert len(set(levels(result))) == len(result.discs)
    assert set(origins(RESULT, done)) == set(levels(result))
    assert not set(result.missing_levels) & set(levels(result))
    told = " ".join(warnings_of(result))
    assert all(level in told for level in result.missing_levels)
    assert ("Taken out by reader" in told) == bool(result.taken_out)
    assert {disc.label_value for disc in result.discs} >= set(np.unique(result.label_slice)) - {0}
    original, read = from_text(to_text(RESULT, done), RESULT.volume)
    assert original.discs == RESULT.discs
    assert np.array_equal(original.label_slice, RESULT.label_slice)
    assert corrected(original, read).discs == result.discs
    assert np.array_equal(corrected(original, read).label_slice, result.label_slice)


def test_the_levels_offered_are_possible():
    for level in possible_levels(RESULT, "L3-L4"):
        if level != "L3-L4":
            assert corrected(RESULT, [LevelSet("L3-L4", level)]).disc(level) is not None
    assert possible_levels(RESULT, "L6-S1") == ()


def test_what_a_scene_keeps_of_another_volume_or_version_is_refused():
    text = to_text(RESULT, [])
    other = replace(RESULT.volume, voxels=RESULT.volume.voxels[:, :-1])
    with pytest.raises(StoredResultError, match="another volume"):
        from_text(text, other)
    with pytest.raises(StoredResultError, match="cannot be read back"):
        from_text(text[:100], RESULT.volume)
    with pytest.raises(StoredResultError, match="newer version"):
        from_text(text.replace('"layout": 1', '"layout": 5'), RESULT.volume)


def test_only_what_an_earlier_version_cannot_read_is_marked_as_newer():
    drawn, found = added(RESULT, "L5-S1"), added(RESULT, "L5-S1", 1)
    removed = corrected(RESULT, [DiscRemoved("L5-S1")])
    without = replace(removed, taken_out=())  # as if it had never been found
    assert '"layout": 2' in to_text(removed, [])
    assert from_text(to_text(removed, []), RESULT.volume)[0].taken_out == removed.taken_out
    assert '"layout": 1' in to_text(without, [drawn])
    assert '"layout": 2' in to_text(without, [found])
    assert '"layout": 2' in to_text(RESULT, [DiscRemoved("L5-S1")])
    stating = replace(RESULT, models=tuple(replace(model, set_coverage=0.8) for model in RESULT.models))
    assert '"layout": 4' in to_text(stating, [])
    assert from_text(to_text(stating, []), RESULT.volume)[0].models == stating.models
    before = to_text(without, [drawn]).replace(', "found_on_slice": null', "")
    (read,) = from_text(before, RESULT.volume)[1]
    assert (read.level, read.found_on_slice) == ("L5-S1", None)
    assert np.array_equal(read.mask, drawn.mask)
