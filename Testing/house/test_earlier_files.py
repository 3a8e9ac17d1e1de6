"""A study and a scene that version 1.2 wrote, kept in ``earlier_files``, still open and mean the same.

The study has a reviewed and an adjudicated case, one that is locked, and one that is only begun. The scene is the
built-in sample with four slices, its disc L2-L3 set to grade IV by the user.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from example_studies import truth_masks
from panel_acts import click_row, open_all, row_of, table

from LumbarDiscGradingLib.annotation.errors import WorkflowError
from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.study.reference import consensus_grades, consensus_masks
from LumbarDiscGradingLib.annotation.study.states import CaseState, StudyStates
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS

pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

FILES = Path(__file__).resolve().parents[1] / "earlier_files"
TABLE = [
    ["T11-T12", "mild", "II", "", "6.2", "0.36"],
    ["T12-L1", "mild", "II", "", "7.0", "0.49"],
    ["L1-L2", "mild", "II", "", "8.2", "0.53"],
    ["L2-L3 *", "serious", "IV", "set by reader", "9.4", "0.34"],
    ["L3-L4", "mild", "II", "", "9.7", "0.21"],
    ["L4-L5", "serious ?", "IV", "", "8.6", "0.09"],
    ["L5-S1", "serious", "IV", "", "6.3", "0.03"],
]
"""What version 1.2 showed of the scene, and the disc above T12-L1, which it kept and did not list."""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    with zipfile.ZipFile(FILES / "study.zip") as archive:
        archive.extractall(tmp_path)
    return Study.open(tmp_path / "study")


def test_a_study_is_whole_and_its_cases_stand_where_they_stood(study: Study) -> None:
    assert verify_study(study) == []
    states = StudyStates(study)
    assert {(case, task.value): states.state(case, task) for case in study.case_ids for task in Task} == {
        ("C0001", "masks"): CaseState.CORRECTED,
        ("C0001", "grades"): CaseState.ADJUDICATED,
        ("C0002", "masks"): CaseState.SIGNED,
        ("C0002", "grades"): CaseState.LOCKED,
        ("C0003", "masks"): CaseState.UNREAD,
        ("C0003", "grades"): CaseState.DRAFT,
    }


def test_what_readers_drew_and_decided_is_the_reference(study: Study) -> None:
    states = StudyStates(study)
    masks = consensus_masks(states, "C0001")
    assert masks is not None
    changed = masks != truth_masks()
    assert changed.any() and set(truth_masks()[changed]) == {DISC_LABELS["L5-S1"]} and set(masks[changed]) == {0}
    assert list(consensus_grades(states, "C0001").values()) == [1, 2, 3, 4, 5]
    assert list(consensus_grades(states, "C0002").values()) == [1, 2, 3, 4, 5]


def test_readers_go_on_where_they_were(study: Study) -> None:
    with ReaderSession.open(study.folder, "carl").open_case("C0003") as case:
        assert case.is_signed(Task.GRADES)
        case.reopen(Task.GRADES, "seen again")
        case.grade("L5-S1", 4)
        case.sign(Task.GRADES)
    with (
        ReaderSession.open(study.folder, "carl").open_case("C0002") as case,
        pytest.raises(WorkflowError, match="locked"),
    ):
        case.reopen(Task.GRADES, "seen again")
    assert verify_study(Study.open(study.folder)) == []


@pytest.mark.needs_library("libEGL.so.1")
@pytest.mark.needs_library("libGL.so.1")
@pytest.mark.needs_library("libxkbcommon.so.0")
@pytest.mark.needs_library("libdbus-1.so.3")
@pytest.mark.needs_library("libfontconfig.so.1")
def test_a_scene_shows_the_table_it_was_saved_with(host: Any) -> None:
    host.core.load_scene(FILES / "scene.mrb")
    host.process_events()
    assert table(host) == TABLE
    open_all(host)
    click_row(host, row_of(host, "L2-L3"))
    host.click(host.ui.undoButton)
    assert [row[0] for row in table(host)] == [row[0].replace(" *", "") for row in TABLE]
    assert table(host)[row_of(host, "L2-L3")][3] == ""
