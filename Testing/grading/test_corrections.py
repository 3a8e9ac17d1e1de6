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
    GradeSet,
    LevelSet,
    MaskEdited,
    NotAssessable,
    corrected,
    network_grade,
    possible_levels,
)
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, NOT_GRADED_COLOR, Group
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


CORRECTIONS = st.one_of(
    st.builds(GradeSet, st.sampled_from(LUMBAR_LEVELS), st.integers(1, 5)),
    st.builds(NotAssessable, st.sampled_from(LUMBAR_LEVELS)),
    st.builds(LevelSet, st.sampled_from(LUMBAR_LEVELS), st.sampled_from(sorted(DISC_LABELS)), st.booleans()),
    st.sampled_from([edited_mask(RESULT, level) for level in LUMBAR_LEVELS]),
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
        from_text(text.replace('"layout": 1', '"layout": 2'), RESULT.volume)
