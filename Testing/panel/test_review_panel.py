"""The mode Annotation Review, by keys and clicks: what readers do, and what must never happen to their work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_studies import READERS, image, make_study, read_grades, read_masks, truth_masks
from review_desk import Desk

from LumbarDiscGradingLib.annotation.active_learning.ranking import CaseRanking, CaseScores, RankingModel
from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.states import CaseState
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import Duty, ReaderSession
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)
PURPLE, TINT, MILD, MODERATE, SERIOUS = (204, 121, 167), (238, 196, 222), (0, 158, 115), (230, 159, 0), (213, 94, 0)
SIGN = "Ctrl+Return"


@pytest.fixture
def host(started: Any) -> Iterator[Any]:
    """An empty scene and an open panel; nothing that Slicer would refuse may have happened at the end."""
    started.core.clear()
    started.qt.QSettings().clear()
    started.forget_violations()
    started.open(420, 1500)
    yield started
    started.close_panel()
    assert started.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert started.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    started.core.clear()
    assert started.violations() == []
    assert started.app.slots("aboutToQuit()") == []
    for name in started.app.layoutManager().sliceViewNames():
        assert not started.app.layoutManager().sliceWidget(name).GetInteractor().HasObserver("LeftButtonPressEvent")


@pytest.fixture
def desk(host: Any) -> Desk:
    return Desk(host)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three cases, read by one annotator and two graders, reviewed and adjudicated."""
    folder = tmp_path / "study"
    make_study(folder)
    return folder


def block_saving(study: Path, reader: str, case: str) -> Path:
    """Let nothing be saved of a case, as on a disk that is full; removing the path ends that."""
    place = study / "readers" / reader / "cases" / case
    assert not place.exists()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    return place


def saved_masks(study: Path, reader: str, case: str) -> np.ndarray:
    opened = Study.open(study)
    return opened.masks(opened.reading_path(reader, case, Task.MASKS), case).voxels


def saved_grades(study: Path, reader: str, case: str) -> dict[str, int]:
    return Study.open(study).histories[reader].reading(case, Task.GRADES).grades


# -- the whole way, by keys


def test_a_study_is_graded_by_keys_alone(desk: Desk, study: Path) -> None:
    """One key opens, five grade, one signs and opens the next; everything is on the disk as typed."""
    desk.open(study, "carl")
    assert desk.ui.progressLabel.text == "0 of 3 signed"
    order = [row[0] for row in desk.rows(desk.ui.workTable)]
    grades = {order[0]: (1, 2, 3, 4, 5), order[1]: (5, 4, 3, 2, 1), order[2]: (2, 2, 3, 3, 4)}
    desk.keys = 0
    desk.key("Return")
    for number, case in enumerate(order, start=1):
        assert desk.title == case
        time.sleep(0.3)  # the reader looks: seconds are kept to the tenth
        desk.key(*(str(grade) for grade in grades[case]))
        assert desk.saved.startswith("\N{CHECK MARK} Saved ")
        desk.key(SIGN)
        assert desk.keys == 1 + number * (5 + 1)
    assert desk.work is None
    assert "Nothing is left to do" in desk.ui.workMessageLabel.text
    assert desk.ui.progressLabel.text == "3 of 3 signed"
    session = ReaderSession.open(study, "carl")
    assert session.progress(Task.GRADES).done == 3
    for case in order:
        assert saved_grades(study, "carl", case) == dict(zip(LUMBAR_LEVELS, grades[case], strict=True))
        assert session.history.reading(case, Task.GRADES).seconds > 0


def test_masks_are_drawn_signed_reviewed_and_graded_to_the_end(desk: Desk, study: Path) -> None:
    """The way of one case through all hands, each at this panel."""
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    case = desk.title
    assert desk.segmentation.GetName() == case
    assert [desk.color(level) for level in LUMBAR_LEVELS] == [PURPLE, TINT, PURPLE, TINT, PURPLE]
    desk.key("M")
    for level in LUMBAR_LEVELS:
        desk.select(level)
        desk.draw(level, truth == DISC_LABELS[level])
    assert np.array_equal(saved_masks(study, "anna", case), truth)
    desk.key(SIGN)
    assert desk.title != case
    desk.open(study, "ben")
    assert desk.rows(desk.ui.workTable) == [[case, "\N{WHITE CIRCLE} signed", ""]]
    desk.key("Return")
    desk.key("A", "A", "A", "A", "A")
    assert [row[1] for row in desk.rows(desk.ui.discTable)] == ["accepted"] * 5
    desk.key(SIGN)
    assert Study.open(study).histories["ben"].reviews[case, "anna"].signed
    states = ReaderSession.open(study, "ben").states
    assert states.state(case, Task.MASKS) is CaseState.ACCEPTED


def test_reading_needs_no_torch(checkout: Path, tmp_path: Path) -> None:
    make_study(tmp_path / "study")
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "sys.modules['torch'] = None\n"
        "from pathlib import Path; from slicer_host.application import SlicerHost\n"
        f"host = SlicerHost(Path({str(checkout / 'LumbarDiscGrading' / 'LumbarDiscGrading.py')!r}))\n"
        "host.open(); from review_desk import Desk; desk = Desk(host)\n"
        f"desk.open(Path({str(tmp_path / 'study')!r}), 'carl'); desk.key('Return', *'12345', 'Ctrl+Return')\n"
        "print(desk.ui.progressLabel.text, host.violations()); host.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["1 of 3 signed []"], done.stderr


def test_folder_and_reader_are_remembered(host: Any, study: Path) -> None:
    Desk(host).open(study, "dora")
    host.close_panel()
    host.open(420, 1500)
    desk = Desk(host)
    assert desk.ui.studyFolderEdit.text == str(study)
    assert desk.ui.openStudyButton.text == "Open as dora"
    assert desk.panel.session is None  # who reads is confirmed by a click, never assumed
    desk.click(desk.ui.openStudyButton)
    assert desk.panel.session.reader.id == "dora"
    assert desk.clicks == 1


def test_readers_are_shown_with_roles_and_years_and_none_is_assumed(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.choose(study)
    combo = desk.ui.readerComboBox
    assert combo.itemText(combo.currentIndex) == "Who reads?"
    assert not desk.ui.openStudyButton.enabled
    assert "dora (grader; 15 years)" in [combo.itemText(n) for n in range(combo.count)]
    desk.choose(tmp_path)
    assert "is no study" in desk.ui.studyMessageLabel.text
    assert not desk.ui.openStudyButton.enabled


def test_the_work_list_is_filtered_and_searched(desk: Desk, study: Path) -> None:
    read_grades(study, "carl", "C0002", [1, 2, 3, 4, 5])
    desk.open(study, "carl")
    assert desk.ui.progressLabel.text == "1 of 3 signed"
    combo = desk.ui.stateComboBox
    combo.setCurrentIndex(combo.findText("Signed"))
    assert [row[0] for row in desk.rows(desk.ui.workTable)] == ["C0002"]
    combo.setCurrentIndex(0)
    desk.ui.searchEdit.setFocus()
    desk.key("0", "0", "0", "3")
    assert [row[0] for row in desk.rows(desk.ui.workTable)] == ["C0003"]
    assert desk.ui.progressLabel.text == "1 of 3 signed"
    desk.ui.searchEdit.text = ""
    desk.key("Return")


def test_the_most_informative_cases_come_first_where_the_protocol_allows_it(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder, 3, active_learning=True)
    desk.open(folder, "carl")
    order = [row[0] for row in desk.rows(desk.ui.workTable)]
    desk.click(desk.ui.informativeCheckBox)
    assert "study rank" in desk.ui.workMessageLabel.text  # no model has ranked them yet
    assert not desk.ui.informativeCheckBox.checked
    models = (RankingModel("segmentation", "u", "1", "a" * 64), RankingModel("grading", "s", "1", "b" * 64))
    ranking = CaseRanking.of_models(Study.open(folder), models)
    sure, unsure = (0.98, 0.01, 0.01), (0.34, 0.33, 0.33)
    for case, groups in ((order[0], sure), (order[1], sure), (order[2], unsure)):
        ranking.cases[case] = CaseScores("c" * 64, dict.fromkeys(LUMBAR_LEVELS, groups), 0.1)
    ranking.save()
    desk.click(desk.ui.informativeCheckBox)
    assert desk.rows(desk.ui.workTable)[0][0] == order[2]
    desk.key("N")
    assert desk.title == order[2]
    desk.key(*"33333", SIGN)
    assert desk.title in order[:2]
    desk.open(make_study(tmp_path / "other").folder, "carl")
    assert not desk.ui.informativeCheckBox.visible


def test_a_reader_with_several_roles_chooses_what_to_do(desk: Desk, tmp_path: Path) -> None:
    readers = (
        Reader("anna", (Role.ANNOTATOR, Role.GRADER), 3),
        Reader("ben", (Role.PEER_REVIEWER, Role.GRADER, Role.ADJUDICATOR), 8),
    )
    make_study(tmp_path / "study", readers=readers)
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    desk.open(tmp_path / "study", "ben")
    combo = desk.ui.workComboBox
    assert [combo.itemText(n) for n in range(combo.count)] == ["Grade discs", "Review masks", "Adjudicate grades"]
    assert len(desk.rows(desk.ui.workTable)) == 3
    desk.kind("Review masks")
    assert [row[0] for row in desk.rows(desk.ui.workTable)] == ["C0001"]
    desk.key("N")


def test_no_message_is_the_former_readers(desk: Desk, study: Path) -> None:
    for case in Study.open(study).case_ids:
        read_grades(study, "carl", case, [1, 2, 3, 4, 5])
    desk.open(study, "carl")
    desk.key("N")
    assert desk.ui.workMessageLabel.text == "Nothing is left to do in this list."
    desk.open(study, "dora")
    assert desk.ui.workMessageLabel.text == "" and not desk.ui.workMessageLabel.visible
    assert desk.rows(desk.ui.workTable)


def test_a_message_on_one_list_is_not_left_on_another(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder, cases=1, readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:]))
    read_masks(folder, "anna", "C0001", truth_masks())
    desk.open(folder, "anna")
    desk.key("N")
    assert desk.ui.workMessageLabel.text == "Nothing is left to do in this list."
    desk.kind("Grade discs")
    assert desk.ui.workMessageLabel.text == ""


def test_the_next_case_opens_at_its_top(desk: Desk, study: Path) -> None:
    host = desk.host
    area = host.qt.QScrollArea()  # Slicer's module panel
    area.setWidgetResizable(True)
    area.setWidget(host.representation)
    area.resize(420, 430)
    area.show()
    try:
        desk.open(study, "carl")
        desk.key("Return")
        host.process_events()
        first, bar = desk.title, area.verticalScrollBar()
        bar.setValue(bar.maximum)
        assert bar.value > 400
        desk.key("N")
        host.wait_until(lambda: desk.ui.saveStateWidget.mapTo(area.viewport(), host.qt.QPoint(0, 0)).y() >= 0)
        top = desk.ui.saveStateWidget.mapTo(area.viewport(), host.qt.QPoint(0, 0)).y()
        assert desk.title != first and 0 <= top < 60
    finally:
        area.takeWidget()
        area.deleteLater()


def test_cases_are_changed_by_key(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    order = [row[0] for row in desk.rows(desk.ui.workTable)]
    desk.key("Return", "N")
    assert desk.title == order[1]
    desk.key("N")
    assert desk.title == order[2]
    desk.key("P", "P")
    assert desk.title == order[0]
    desk.key("P")
    assert "first case" in desk.message
    assert not (study / "readers" / "carl" / "cases").exists()  # looking is no reading


# -- grades


def test_confidence_comment_and_not_assessable_are_kept(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return", "S", "4")  # sure, then the grade
    desk.ui.commentEdit.setFocus()
    desk.key("1", "2", " ", "m", "m")  # digits are text here
    desk.key("Return")
    desk.key("0", "U", "3")
    case = desk.title
    rows = desk.rows(desk.ui.discTable)
    assert rows[0] == ["L1-L2", "IV serious", "sure", ""]
    assert rows[1] == ["L2-L3", "not assessable", "", "12 mm"]
    assert rows[2] == ["L3-L4", "III moderate", "unsure", ""]
    path = study / "readers" / "carl" / "cases" / case / "grades.json"
    discs = {entry["level"]: entry for entry in json.loads(path.read_text())["discs"]}
    assert (discs["L1-L2"]["pfirrmann"], discs["L1-L2"]["confidence"]) == (4, 3)
    assert (discs["L2-L3"]["assessable"], discs["L2-L3"]["comment"]) == (False, "12 mm")


def test_selection_goes_to_the_next_open_disc(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return", "W", "W")
    assert desk.panel.reading.discs.level == "L3-L4"
    desk.key("3", "3", "3")
    assert desk.panel.reading.discs.level == "L1-L2"  # nothing open below
    desk.key("2")
    assert desk.panel.reading.discs.level == "L2-L3"
    desk.key("2")
    assert "Ctrl+Return" in desk.message
    desk.key("Q")
    assert desk.panel.reading.discs.level == "L1-L2"


def test_signing_too_early_says_what_is_missing(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return", "1", "2", SIGN)
    assert "L3-L4, L4-L5, L5-S1" in desk.message
    assert "no grade yet" in desk.message
    assert not desk.work.is_signed
    desk.open(study, "anna")
    desk.key("Return", SIGN)
    assert "no masks yet" in desk.message


def test_masks_with_empty_levels_are_signed_only_if_that_is_meant(desk: Desk, study: Path) -> None:
    desk.open(study, "anna")
    desk.key("Return")
    case = desk.title
    desk.key(SIGN)
    assert "no masks yet" in desk.message  # nothing to be asked about
    desk.draw("L3-L4", truth_masks() == DISC_LABELS["L3-L4"])
    said = desk.host.answer_dialog(accept=False)
    desk.key(SIGN)
    assert said[0].startswith("L1-L2, L2-L3, L4-L5, L5-S1: nothing is drawn")
    assert desk.title == case and not desk.work.is_signed
    assert desk.panel.reading.discs.level == "L1-L2"
    desk.host.answer_dialog()
    desk.key(SIGN)
    assert desk.title != case
    assert Study.open(study).histories["anna"].reading(case, Task.MASKS).signed


def test_a_reviewer_is_asked_about_empty_levels_too(desk: Desk, study: Path) -> None:
    for case in Study.open(study).case_ids:
        truth = truth_masks()
        read_masks(study, "anna", case, np.where(truth == DISC_LABELS["L1-L2"], 0, truth))
    desk.open(study, "ben")
    desk.key("Return")
    case = desk.title
    desk.key("A", "A", "A", "A")
    said = desk.host.answer_dialog(accept=False)
    desk.key(SIGN)
    assert said[0].startswith("L1-L2: nothing is drawn")
    assert desk.title == case and not desk.work.is_signed
    desk.host.answer_dialog()
    desk.key(SIGN)
    assert desk.title != case


def test_a_signed_reading_changes_only_after_it_is_reopened_with_a_reason(desk: Desk, study: Path) -> None:
    read_grades(study, "carl", "C0001", [1, 2, 3, 4, 5])
    desk.open(study, "carl")
    desk.panel.open_item(next(i for i in desk.panel.session.work_list(Task.GRADES) if i.case == "C0001"))
    assert "Signed" in desk.message
    assert not desk.ui.readGradesWidget.visible
    desk.key("5", SIGN)
    assert saved_grades(study, "carl", "C0001")["L1-L2"] == 1
    desk.host.answer_dialog("wrong", accept=False)
    desk.click(desk.ui.reopenButton)
    assert desk.work.is_signed
    desk.host.answer_dialog("slipped by one disc")
    desk.click(desk.ui.reopenButton)
    assert not desk.work.is_signed
    desk.select("L1-L2")
    desk.key("5")
    assert saved_grades(study, "carl", "C0001")["L1-L2"] == 5
    log = (study / "readers" / "carl" / "events.jsonl").read_text()
    assert "slipped by one disc" in log


def test_the_slice_that_the_reader_chose_is_remembered(desk: Desk, study: Path) -> None:
    from LumbarDiscGradingLib.scene.viewed_slice import viewed_slice

    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    node = desk.panel.reading.scene.volumeNode
    assert viewed_slice(node) == 1  # the middle one
    desk.ui.caseSliceSlider.value = desk.work.volume.stored_slice_index(2)
    assert viewed_slice(node) == 2
    desk.key("N", "P")
    assert desk.title == case
    assert desk.work.slice_index == 2
    assert viewed_slice(desk.panel.reading.scene.volumeNode) == 2
    desk.panel.reading.scene.show_slice(0)
    desk.click(desk.ui.takeViewedSliceButton)
    assert Study.open(study).histories["carl"].reading(case, Task.GRADES).slice_index == 0


def test_folding_the_case_away_shows_nothing_that_was_hidden(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return", *"12345")
    desk.ui.caseCollapsibleButton.collapsed = True
    desk.key(SIGN, "P")  # the next case, and back to the signed one
    desk.ui.caseCollapsibleButton.collapsed = False
    assert desk.work.is_signed
    assert desk.ui.reopenButton.visible
    for hidden in (desk.ui.signButton, desk.ui.readGradesWidget, desk.ui.commentWidget, desk.ui.readMasksWidget):
        assert not hidden.visible


def test_the_criteria_are_in_view(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    words = [label.text for label in desk.ui.criteriaWidget.findChildren(desk.host.qt.QLabel)]
    assert any("nucleus" in text for text in words)
    assert desk.ui.criteriaWidget.visible


# -- masks


def test_each_stroke_is_saved_and_the_group_colors_the_disc(desk: Desk, tmp_path: Path) -> None:
    folder, truth = tmp_path / "study", truth_masks()
    make_study(folder, readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:]))
    desk.open(folder, "anna")
    desk.key("Return")
    case = desk.title
    desk.draw("L4-L5", truth == DISC_LABELS["L4-L5"], wait=False)
    assert desk.saved == "\N{BLACK CIRCLE} Not saved yet."
    desk.host.wait_until(lambda: desk.saved.startswith("\N{CHECK MARK} Saved"))
    assert np.array_equal(saved_masks(folder, "anna", case), np.where(truth == 95, truth, 0))
    desk.draw("L5-S1", truth == DISC_LABELS["L5-S1"])
    desk.click_disc("L4-L5", truth)
    assert desk.panel.reading.discs.level == "L4-L5"
    desk.key("4")
    assert desk.color("L4-L5") == SERIOUS
    assert desk.color("L5-S1") == PURPLE
    desk.key("N", "P")
    assert desk.title == case
    assert desk.color("L4-L5") == SERIOUS
    assert np.array_equal(desk.panel.reading.scene.masks(), np.where(truth >= 95, truth, 0))


def test_a_grade_reaches_the_disk_in_seven_frames(desk: Desk, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walks, flush = [], os.fsync

    def watched(descriptor: int) -> None:
        frames = [frame for frame in traceback.extract_stack() if "LumbarDiscGradingLib" in frame.filename]
        walks.append([frame.name for frame in frames])
        flush(descriptor)

    desk.open(study, "carl")
    desk.key("Return")
    monkeypatch.setattr(os, "fsync", watched)
    desk.key("3")
    walked = ["set_grade", "save_by", "judge", "save"]
    assert [walk for walk in walks if walk[-1] in ("write_durable", "append_line")] == [
        [*walked, "write_durable"],
        [*walked, "append", "append", "append_line"],
    ]
    assert saved_grades(study, "carl", desk.title) == {"L1-L2": 3}


def test_nothing_is_called_saved_while_a_stroke_or_a_comment_is_not(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder, readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:]))
    desk.open(folder, "anna")
    desk.key("Return", "4")
    assert desk.saved.startswith("\N{CHECK MARK} Saved")
    desk.draw("L4-L5", truth_masks() == 95, wait=False)
    desk.panel.reading.discs.confidence_setter(3)()  # saved, but the stroke is not yet
    assert desk.saved == "\N{BLACK CIRCLE} Not saved yet."
    desk.host.wait_until(lambda: desk.saved.startswith("\N{CHECK MARK} Saved"))
    desk.ui.commentEdit.setFocus()
    desk.key("x")
    assert desk.saved == "\N{BLACK CIRCLE} Not saved yet."
    desk.key("Return")
    assert desk.saved.startswith("\N{CHECK MARK} Saved")


def test_a_segment_that_is_no_disc_is_said_not_to_be_saved(desk: Desk, study: Path) -> None:
    desk.open(study, "anna")
    desk.key("Return")
    desk.segmentation.GetSegmentation().AddEmptySegment("", "Cyst")
    desk.draw("L3-L4", truth_masks() == DISC_LABELS["L3-L4"])
    assert "Cyst: no disc level, so it is not saved" in desk.ui.caseMessageLabel.text
    assert set(np.unique(saved_masks(study, "anna", desk.title))) == {0, DISC_LABELS["L3-L4"]}
    desk.segmentation.GetSegmentation().AddEmptySegment("", "T12-L1")
    desk.draw("L4-L5", truth_masks() == DISC_LABELS["L4-L5"])
    assert desk.message.startswith("T12-L1: added beside the segments of this case, so it is not saved")


def test_keys_are_the_editors_in_edit_mode_and_ours_otherwise(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder, readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:]))
    desk.open(folder, "anna")
    desk.key("Return")
    editor = desk.ui.readingEditorWidget
    assert not editor.shortcutsInstalled
    desk.key("2")
    assert desk.work.case.discs["L1-L2"].pfirrmann == 2
    desk.key("M")
    node = editor.mrmlSegmentEditorNode()
    assert editor.visible
    assert desk.ui.editModeLabel.visible
    assert node.GetActiveEffectName() == "Paint"
    assert node.GetSelectedSegmentID() == "L2-L3"
    desk.key("3")  # the third effect, no grade
    assert node.GetActiveEffectName() == "Erase"
    assert "L2-L3" not in desk.work.case.discs
    desk.key("W")
    assert node.GetSelectedSegmentID() == "L3-L4"
    assert desk.panel.reading.discs.level == "L3-L4"
    desk.key("M")
    assert not editor.visible
    assert not editor.shortcutsInstalled
    assert editor.calls.count("setupViewObservations") == editor.calls.count("removeViewObservations") == 1
    desk.key("5")
    assert desk.work.case.discs["L3-L4"].pfirrmann == 5


def test_a_click_draws_where_an_effect_is_active_and_selects_elsewhere(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    read_masks(study, "anna", "C0001", truth)
    desk.open(study, "ben")
    desk.key("Return", "M")
    editor = desk.ui.readingEditorWidget
    desk.click_disc("L5-S1", truth)
    assert desk.panel.reading.discs.level == "L1-L2"  # painting
    editor.mrmlSegmentEditorNode().SetActiveEffectName("")
    desk.click_disc("L5-S1", truth)
    assert desk.panel.reading.discs.level == "L5-S1"
    assert editor.mrmlSegmentEditorNode().GetSelectedSegmentID() == "L5-S1"
    desk.key("M")


def test_islands_leaves_a_disc_and_removes_specks(desk: Desk, study: Path) -> None:
    disc = truth_masks() == DISC_LABELS["L4-L5"]
    speck = np.zeros(disc.shape, bool)
    speck[disc.any(axis=(1, 2)).argmax(), 1, 1] = True
    desk.open(study, "anna")
    desk.key("Return")
    desk.draw("L4-L5", disc | speck)
    desk.select("L4-L5")
    desk.key("M")
    editor = desk.ui.readingEditorWidget
    editor.setActiveEffectByName("Islands")
    editor.applyIslands()
    desk.key("M")
    assert np.array_equal(desk.drawn("L4-L5"), disc)
    assert np.array_equal(saved_masks(study, "anna", desk.title) == DISC_LABELS["L4-L5"], disc)


def test_effects_stay_on_one_slice_until_the_reader_wants_otherwise(desk: Desk, study: Path) -> None:
    desk.open(study, "anna")
    desk.key("Return", "M")
    node = desk.ui.readingEditorWidget.mrmlSegmentEditorNode()
    slice_mm = desk.work.volume.spacing_mm[0]
    assert float(node.GetAttribute("Smoothing.KernelSizeMm")) < 2 * slice_mm
    assert float(node.GetAttribute("Smoothing.GaussianStandardDeviationMm")) < 0.5 * slice_mm
    assert node.GetAttribute("Scissors.SliceCutMode") == "Symmetric"
    assert node.GetAttribute("BrushDiameterIsRelative") == "0"
    assert float(node.GetAttribute("BrushAbsoluteDiameter")) < 5
    node.SetAttribute("Islands.MinimumSize", "7")
    node.SetAttribute("BrushAbsoluteDiameter", "2.5")
    desk.key("M", "N", "M")
    assert desk.panel.reading.masks.editing
    assert node.GetAttribute("Islands.MinimumSize") == "7"
    assert node.GetAttribute("BrushAbsoluteDiameter") == "2.5"


def test_a_disc_that_an_effect_has_wiped_is_said_and_nowhere_called_drawn(desk: Desk, study: Path) -> None:
    desk.open(study, "anna")
    desk.key("Return")
    desk.draw("L3-L4", truth_masks() == DISC_LABELS["L3-L4"])
    desk.draw("L4-L5", truth_masks() == DISC_LABELS["L4-L5"])
    desk.select("L4-L5")
    desk.key("M")
    editor = desk.ui.readingEditorWidget
    editor.mrmlSegmentEditorNode().SetAttribute("Islands.MinimumSize", "100000")
    editor.setActiveEffectByName("Islands")
    editor.applyIslands()
    desk.key("M")
    assert desk.message.startswith("L4-L5 has no contour any more")
    assert [row[0] for row in desk.rows(desk.ui.discTable) if "drawn" in row] == ["L3-L4"]
    assert mask_names(saved_masks(study, "anna", desk.title)) == ["L3-L4"]
    assert desk.saved.startswith("\N{CHECK MARK}")


def test_renaming_a_disc_takes_the_others_and_the_grades_along(desk: Desk, tmp_path: Path) -> None:
    folder, truth = tmp_path / "study", truth_masks()
    make_study(folder, readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:]))
    desk.open(folder, "anna")
    desk.key("Return")
    case = desk.title
    shifted = np.select([truth == DISC_LABELS[level] for level in LUMBAR_LEVELS[1:]], [92, 93, 94, 95], 0)
    for level in LUMBAR_LEVELS[:4]:  # L2-L3 to L5-S1, taken for L1-L2 to L4-L5
        desk.draw(level, shifted == DISC_LABELS[level])
    desk.select("L4-L5")
    desk.key("5")
    desk.click_disc("L4-L5", shifted)
    combo = desk.ui.renameComboBox
    combo.setCurrentIndex(combo.findText("L5-S1"))
    desk.click(desk.ui.renameButton)
    assert np.array_equal(saved_masks(folder, "anna", case), np.where(truth == 92, 0, truth))
    assert np.array_equal(desk.panel.reading.scene.masks(), np.where(truth == 92, 0, truth))
    assert desk.panel.reading.discs.level == "L5-S1"
    assert saved_grades(folder, "anna", case) == {"L5-S1": 5}
    assert desk.color("L5-S1") == SERIOUS
    combo.setCurrentIndex(combo.findText("L6-S1"))
    desk.click(desk.ui.renameButton)
    assert mask_names(saved_masks(folder, "anna", case)) == ["L3-L4", "L4-L5", "L5-L6", "L6-S1"]
    desk.key("N", "P")
    assert desk.title == case
    assert "L6-S1" in [row[0] for row in desk.rows(desk.ui.discTable)]


def test_a_renamed_disc_stays_visible_and_what_is_hidden_stays_hidden(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    for level in LUMBAR_LEVELS:
        desk.draw(level, truth == DISC_LABELS[level])
    desk.select("L5-S1")
    desk.rename("L4-L5")
    assert desk.visible() == dict.fromkeys(("T12-L1", *LUMBAR_LEVELS), True)
    desk.rename("L6-S1")  # T12-L1 goes, L5-L6 and L6-S1 come
    assert desk.visible() == dict.fromkeys((*LUMBAR_LEVELS[:4], "L5-L6", "L5-S1", "L6-S1"), True)
    desk.segmentation.GetDisplayNode().SetSegmentVisibility("L5-L6", False)
    desk.rename("L5-S1")
    assert [level for level, shown in desk.visible().items() if not shown] == ["L4-L5"]  # the same disc
    desk.key("N", "P")
    assert all(desk.visible().values())


def test_segments_that_are_no_discs_survive_each_rewrite(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    desk.draw("L4-L5", truth == DISC_LABELS["L4-L5"])
    segmentation = desk.segmentation.GetSegmentation()
    note = segmentation.AddEmptySegment("", "note")
    cyst = np.zeros(truth.shape, bool)
    cyst[1, 2:5, 2:5] = True
    desk.draw(note, cyst)
    for level in ("L3-L4", "L4-L5"):  # from here on discs and the note share an image, as Slicer lets them
        desk.draw(level, truth == DISC_LABELS[level])
    desk.segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    desk.select("L4-L5")
    desk.rename("L5-S1")
    desk.rename("L6-S1")
    segment = segmentation.GetSegment(note)
    assert segment is not None and segment.GetName() == "note"
    assert np.array_equal(desk.drawn(note), cyst)
    assert np.array_equal(desk.drawn("L6-S1"), truth == DISC_LABELS["L4-L5"])
    assert "note: no disc level" in desk.message
    assert [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())] == [
        *LUMBAR_LEVELS[:4],
        "L5-L6",
        "L5-S1",
        "L6-S1",
        note,
    ]


def mask_names(masks: np.ndarray) -> list[str]:
    return [level for level, value in DISC_LABELS.items() if (masks == value).any()]


def test_masks_of_an_image_in_any_storage_order_come_back_as_drawn(desk: Desk, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.imaging.volume import SagittalVolume

    folder, truth = tmp_path / "study", truth_masks()
    study = Study.create(folder, make_study(tmp_path / "other").protocol)
    canonical = image(3).voxels
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    columns = {"i": (0, -1.5, 0), "j": (4.0, 0, 0), "k": (0, 0, 1.5)}  # back to front, left, feet to head
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([columns[axis] for axis in "ijk"]).T
    stored = np.transpose(canonical[:, ::-1, ::-1], (1, 0, 2))  # (k, j, i) = (rows up, slices, columns forward)
    study.add_case(SagittalVolume.from_stored(np.ascontiguousarray(stored), matrix))
    desk.open(folder, "anna")
    desk.key("Return")
    for level in ("L1-L2", "L5-S1"):
        desk.draw(level, (truth == DISC_LABELS[level]) & (np.arange(3) < 2)[:, None, None])
    expected = np.where(np.isin(truth, (92, 100)) & (np.arange(3) < 2)[:, None, None], truth, 0)
    assert np.array_equal(saved_masks(folder, "anna", "C0001"), expected)
    desk.click_disc("L5-S1", expected)
    assert desk.panel.reading.discs.level == "L5-S1"


@needs_models
def test_a_model_prefills_masks_only_where_the_protocol_allows_it(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.panel.shared.graders import Graders

    phantom = lumbar_phantom()
    folder = tmp_path / "study"
    study = make_study(folder, cases=0, model_prefill=True)
    study.add_case(phantom.volume)
    host.widget.logic.graders = Graders()
    desk = Desk(host)
    desk.open(folder, "anna")
    desk.key("Return")
    desk.ui.caseSliceSlider.value = desk.work.volume.stored_slice_index(phantom.mid_slice_index)
    desk.click(desk.ui.prefillButton)
    assert "check each of them" in desk.message
    host.wait_until(lambda: not desk.panel.reading.masks.prefill.running)
    host.process_events()
    masks = saved_masks(folder, "anna", "C0001")
    index = phantom.mid_slice_index
    for level in LUMBAR_LEVELS:
        mine, truth = masks[index] == DISC_LABELS[level], phantom.mask[index] == DISC_LABELS[level]
        assert 2 * (mine & truth).sum() / (mine.sum() + truth.sum()) > 0.7, level
    assert len(Study.open(folder).histories["anna"].reading("C0001", Task.MASKS).model_sha256) == 64
    assert not desk.ui.prefillButton.visible  # and no grade of the model is shown:
    assert [desk.color(level) for level in LUMBAR_LEVELS] == [
        PURPLE,
        TINT,
        PURPLE,
        TINT,
        PURPLE,
    ]  # no grade of the model is shown
    other = tmp_path / "other"
    make_study(other, 1)
    desk.open(other, "anna")
    desk.key("Return")
    assert not desk.ui.prefillButton.visible


# -- blindness


def test_nothing_of_another_reader_is_in_the_scene_before_the_own_signature(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    for case in ("C0001", "C0002", "C0003"):
        read_grades(study, "dora", case, [5, 5, 5, 5, 5])
        read_masks(study, "anna", case, truth)
    host = desk.host
    model = host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "graded before")
    model.CreateDefaultDisplayNodes()
    overlay = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "heat map")
    composite = nodes(host, "vtkMRMLSliceCompositeNode")[0]
    composite.SetForegroundVolumeID(overlay.GetID())
    desk.open(study, "carl")
    desk.key("Return")
    assert not model.GetDisplayVisibility()
    assert composite.GetForegroundVolumeID() is None
    assert [node.GetName() for node in nodes(host, "vtkMRMLSegmentationNode")] == ["graded before"]
    assert all(row[1] == "-" for row in desk.rows(desk.ui.discTable))
    shown = " ".join(text_of(desk.ui))
    assert "dora" not in shown
    assert "anna" not in shown
    host.widget.modes.show(0)
    assert model.GetDisplayVisibility()
    assert composite.GetForegroundVolumeID() == overlay.GetID()
    for node in (model, overlay):
        host.scene.RemoveNode(node)


def test_a_repeat_cannot_be_told_from_a_first_reading(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder, 2, repeat_share=1.0)
    for case in ("C0001", "C0002"):
        read_grades(folder, "carl", case, [3, 3, 3, 3, 3])
    desk.open(folder, "carl")
    assert [row[0] for row in desk.rows(desk.ui.workTable)] == ["No. 1", "No. 2", "No. 3", "No. 4"]
    desk.key("Return")
    assert desk.work.item.round == 2
    assert all(row[1] == "-" for row in desk.rows(desk.ui.discTable))
    place = folder / "readers" / "carl" / "cases" / desk.work.item.case
    kept = place.rename(place.with_name("kept"))
    place.write_text("in the way")
    desk.key("1")
    assert desk.saved.startswith("\N{WARNING SIGN} Not saved")
    names = [node.GetName() or "" for node in nodes(desk.host, "vtkMRMLNode")]
    for text in (*text_of(desk.ui), *names):
        assert "C000" not in text.replace(str(folder), ""), text
    place.unlink()
    kept.rename(place)
    desk.click(desk.ui.trySaveButton)
    assert desk.saved.startswith("\N{CHECK MARK} Saved")


def nodes(host: Any, kind: str) -> list[Any]:
    return [host.scene.GetNthNodeByClass(n, kind) for n in range(host.scene.GetNumberOfNodesByClass(kind))]


def text_of(ui: Any) -> list[str]:
    """Everything that can be read on the screen, tooltips included, but the choice of study and reader."""
    texts = []
    for name, widget in vars(ui).items():
        if hasattr(widget, "toolTip") and name not in ("readerComboBox", "studyFolderEdit"):
            texts += [str(getattr(widget, "text", "") or ""), str(widget.toolTip or "")]
    for table in (ui.workTable, ui.discTable):
        cells = (table.item(row, column) for row in range(table.rowCount) for column in range(table.columnCount))
        texts += [cell.text() + cell.toolTip() for cell in cells if cell is not None]
    return texts


def test_finished_masks_are_shown_to_graders_only_if_the_protocol_says_so(desk: Desk, tmp_path: Path) -> None:
    folder, truth = tmp_path / "study", truth_masks()
    make_study(folder, 1, graders_see_masks=True, peer_review=False)
    read_masks(folder, "anna", "C0001", truth)
    desk.open(folder, "carl")
    desk.key("Return")
    assert np.array_equal(desk.panel.reading.scene.masks(), truth)
    assert not desk.ui.readMasksWidget.visible
    desk.click_disc("L3-L4", truth)
    desk.key("3")
    assert desk.color("L3-L4") == MODERATE
    assert desk.color("L4-L5") == TINT
    desk.draw("L3-L4", np.zeros_like(truth, bool), wait=False)  # by another module: not the grader's to change
    desk.host.wait_until(lambda: np.array_equal(desk.panel.reading.scene.masks(), truth))


# -- peer review


def test_a_reviewer_accepts_some_discs_and_corrects_others(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    sketch = np.where(truth == 100, 0, truth)  # L5-S1 was forgotten
    read_masks(study, "anna", "C0002", sketch)
    desk.open(study, "ben")
    desk.key("Return", "A")
    assert desk.rows(desk.ui.discTable)[0][:2] == ["L1-L2", "accepted"]
    assert "anna" not in " ".join(text_of(desk.ui))
    desk.key("C")
    assert desk.ui.readingEditorWidget.mrmlSegmentEditorNode().GetSelectedSegmentID() == "L2-L3"
    better = np.roll(sketch == 93, 1, axis=1)
    desk.draw("L2-L3", better)
    assert desk.rows(desk.ui.discTable)[1][:2] == ["L2-L3", "corrected"]
    desk.draw("L5-S1", truth == 100)
    desk.key("M", "A", "A")
    desk.select("L2-L3")
    desk.ui.commentEdit.setFocus()
    desk.key("h", "i", "g", "h", "Return")
    desk.key(SIGN)
    record = Study.open(study).histories["ben"].reviews["C0002", "anna"]
    assert record.signed
    assert {level: d["choice"] for level, d in record.decisions.items()} == {
        "L1-L2": "accepted",
        "L2-L3": "corrected",
        "L3-L4": "accepted",
        "L4-L5": "accepted",
        "L5-S1": "corrected",
    }
    assert record.decisions["L2-L3"]["reason"] == "high"
    opened = Study.open(study)
    masks = opened.masks(opened.review_path("ben", "C0002", "anna"), "C0002", record.sha256).voxels
    expected = np.where(truth == 93, 0, truth)
    expected[better] = 93
    assert np.array_equal(masks, expected)
    assert np.array_equal(saved_masks(study, "anna", "C0002"), sketch)  # the annotator's file is the annotator's


def test_accepting_takes_a_correction_back(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    read_masks(study, "anna", "C0001", truth)
    desk.open(study, "ben")
    desk.key("Return", "C")
    desk.draw("L1-L2", np.roll(truth == 92, 2, axis=1))
    desk.key("M")
    assert desk.panel.reading.discs.level == "L2-L3"  # L1-L2 is decided
    desk.key("Q", "A")
    assert desk.rows(desk.ui.discTable)[0][1] == "corrected"  # no key takes a correction back
    assert "button Accept" in desk.message
    desk.click(desk.ui.acceptButton)
    assert desk.rows(desk.ui.discTable)[0][1] == "accepted"
    assert np.array_equal(desk.panel.reading.scene.masks(), truth)
    desk.key(SIGN)
    assert "not decided yet" in desk.message


def test_a_disc_drawn_and_erased_again_in_a_review_is_no_error(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    read_masks(study, "anna", "C0001", np.where(truth == 100, 0, truth))
    desk.open(study, "ben")
    desk.key("Return", "M")
    desk.draw("L5-S1", truth == 100)
    desk.draw("L5-S1", np.zeros_like(truth, bool))
    desk.key("M")
    assert desk.message.startswith("L5-S1 has no contour any more")
    assert desk.saved.startswith("\N{CHECK MARK}")
    desk.key("A", "A", "A", "A")
    desk.host.answer_dialog()
    desk.key(SIGN)
    assert Study.open(study).histories["ben"].reviews["C0001", "anna"].signed


# -- adjudication


def test_an_adjudicator_settles_case_after_case(desk: Desk, study: Path) -> None:
    """Listed beside the readings, opened and gone on with by the same keys."""
    for case in ("C0001", "C0003"):
        read_grades(study, "carl", case, [1, 2, 3, 4, 5])
        read_grades(study, "dora", case, [1, 2, 3, 4, 4])
    desk.open(study, "emil")
    assert desk.ui.progressLabel.text == "0 of 2 settled"
    desk.key("Return")
    section = desk.panel.adjudication
    first = desk.panel.item.case
    desk.key("A", *"likely", "Return", SIGN)
    assert desk.panel.item.case != first
    desk.key("P")
    assert section.work.is_signed
    desk.key("N", "B", *"sure", "Return")
    desk.host.leave()
    desk.host.open(420, 1500)
    desk.host.process_events()
    desk.key(SIGN)
    assert desk.panel.item is None
    assert desk.ui.progressLabel.text == "2 of 2 settled"
    assert nodes(desk.host, "vtkMRMLScalarVolumeNode") == []
    states = ReaderSession.open(study, "emil").states
    assert {states.state(case, Task.GRADES) for case in ("C0001", "C0003")} == {CaseState.ADJUDICATED}


def test_agreement_is_shown_to_whoever_has_nothing_to_read_any_more(desk: Desk, study: Path) -> None:
    for case in ("C0001", "C0002", "C0003"):
        read_grades(study, "carl", case, [1, 2, 3, 4, 5])
        read_grades(study, "dora", case, [1, 2, 3, 4, 4])
    desk.open(study, "emil")
    section = desk.panel.agreement
    section.ui.agreementCollapsibleButton.collapsed = False
    desk.host.wait_until(lambda: section.agreement is not None)
    desk.host.widget.modes.show(0)
    assert section.agreement is None
    desk.host.widget.modes.show(1)
    assert section.widget.visible


# -- nothing is lost


def test_what_cannot_be_saved_is_said_and_kept_and_saved_later(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    way = block_saving(study, "carl", case)
    desk.key("4")
    assert desk.saved.startswith("\N{WARNING SIGN} Not saved:")
    assert "kept here" in desk.saved
    assert desk.rows(desk.ui.discTable)[0][1] == "IV serious"
    desk.key("N")
    assert desk.title == case
    assert "is not saved" in desk.message
    desk.key("5", "5", "5", "5", SIGN)
    assert not desk.work.is_signed
    desk.host.widget.modes.show(0)
    assert desk.host.widget.modes.tabs.currentIndex == 1  # not left behind
    way.unlink()
    desk.click(desk.ui.trySaveButton)
    assert desk.saved.startswith("\N{CHECK MARK} Saved")
    assert not desk.ui.saveElsewhereButton.visible
    assert list(saved_grades(study, "carl", case).values()) == [4, 5, 5, 5, 5]
    desk.key(SIGN)
    assert desk.title != case


def test_work_is_saved_elsewhere_and_the_reader_goes_on(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    block_saving(study, "carl", case)
    desk.key("4")
    (tmp_path / "stick").mkdir()
    desk.host.answer_file_dialogs("")  # thought better of it
    desk.click(desk.ui.saveElsewhereButton)
    desk.key("N")
    assert desk.title == case
    desk.host.answer_file_dialogs(tmp_path / "stick")
    desk.click(desk.ui.saveElsewhereButton)
    assert f"kept in {tmp_path / 'stick'}" in desk.saved
    kept = json.loads((tmp_path / "stick" / "carl" / case / "grades.json").read_text())
    assert kept["discs"][0]["pfirrmann"] == 4
    desk.key("N")
    assert desk.title != case


def test_a_change_after_saving_elsewhere_is_not_taken_for_saved(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    way = block_saving(study, "carl", case)
    desk.key("4")
    desk.host.answer_file_dialogs(tmp_path)
    desk.click(desk.ui.saveElsewhereButton)
    desk.key("5", "N")
    assert desk.title == case
    way.unlink()
    desk.key("N")  # tries again by itself
    assert desk.title != case
    assert list(saved_grades(study, "carl", case).values()) == [4, 5]


def test_another_window_of_the_same_reader_is_noticed(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return", "4")
    case = desk.title
    other = ReaderSession.open(study, "carl").open_case(case)
    other.grade("L5-S1", 1)
    desk.key("5")
    assert "another window" in desk.saved
    assert desk.ui.takeSavedButton.visible
    desk.click(desk.ui.takeSavedButton)
    assert [row[1] for row in desk.rows(desk.ui.discTable)] == ["IV serious", "-", "-", "-", "I mild"]
    other.grade("L4-L5", 1)
    desk.key("5")
    desk.click(desk.ui.saveOverButton)
    assert desk.saved.startswith("\N{CHECK MARK} Saved")
    assert saved_grades(study, "carl", case) == {"L1-L2": 4, "L2-L3": 5, "L5-S1": 1}


def test_a_second_window_on_a_case_hears_of_the_first(desk: Desk, study: Path) -> None:
    first = ReaderSession.open(study, "anna")
    case = first.next_item(Task.MASKS).case
    opened = first.open_case(case)
    opened.set_masks(truth_masks())
    desk.open(study, "anna")
    assert [case, "\N{BLACK CIRCLE} draft, open elsewhere"] in [row[:2] for row in desk.rows(desk.ui.workTable)]
    desk.panel.open_item(next(item for item in desk.panel.session.work_list(Task.MASKS) if item.case == case))
    assert desk.message.startswith("This case is open in another window of yours since ")
    assert "Recovered" not in desk.message
    opened.close()
    desk.key("N", "P")
    assert desk.message == ""


def test_a_second_window_on_a_review_hears_of_the_first(desk: Desk, study: Path) -> None:
    for case in Study.open(study).case_ids:
        read_masks(study, "anna", case, truth_masks())
    review = ReaderSession.open(study, "ben")
    item = review.work_list(Task.MASKS, Duty.REVIEW)[0]
    first = review.open_review(item.case, "anna")
    desk.open(study, "ben")
    desk.panel.open_item(desk.panel.session.work_list(Task.MASKS, Duty.REVIEW)[0])
    assert desk.message.startswith("This case is open in another window of yours since ")
    first.close()


def test_after_a_crash_the_case_is_there_as_it_was(desk: Desk, checkout: Path, study: Path) -> None:
    code = (
        f"import sys, os; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from slicer_host.application import SlicerHost\n"
        "from example_studies import truth_masks; from review_desk import Desk\n"
        "from LumbarDiscGradingLib.pfirrmann import DISC_LABELS\n"
        f"host = SlicerHost(Path({str(checkout / 'LumbarDiscGrading' / 'LumbarDiscGrading.py')!r}))\n"
        f"host.open(420, 1500); desk = Desk(host).open(Path({str(study)!r}), 'anna'); desk.key('Return', 'M')\n"
        "truth = truth_masks()\n"
        "for level in ('L3-L4', 'L4-L5'): desk.draw(level, truth == DISC_LABELS[level])\n"
        "print(desk.title, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    case, truth = done.stdout.split()[-1], truth_masks()
    desk.open(study, "anna")
    assert [case, "\N{BLACK CIRCLE} draft"] in [row[:2] for row in desk.rows(desk.ui.workTable)]
    desk.panel.open_item(next(i for i in desk.panel.session.work_list(Task.MASKS) if i.case == case))
    assert "Recovered" in desk.message
    assert np.array_equal(desk.panel.reading.scene.masks(), np.where(np.isin(truth, (94, 95)), truth, 0))


def test_closing_the_scene_saves_first(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return", "M")
    case = desk.title
    desk.draw("L4-L5", truth == 95, wait=False)
    desk.host.core.clear()
    desk.host.process_events()
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth == 95, truth, 0))
    assert desk.work is None
    assert "everything is saved" in desk.ui.workMessageLabel.text
    assert not desk.ui.readingEditorWidget.shortcutsInstalled
    assert not Study.open(study).histories["anna"].reading(case, Task.MASKS).is_open


def test_closing_the_scene_keeps_what_could_not_be_saved(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    case = desk.title
    way = block_saving(study, "anna", case)
    desk.draw("L4-L5", truth == 95, wait=False)
    desk.host.core.clear()
    desk.host.process_events()
    assert desk.title == case  # shown again, out of memory
    assert np.array_equal(desk.panel.reading.scene.masks(), np.where(truth == 95, truth, 0))
    assert desk.saved.startswith("\N{WARNING SIGN}")
    way.unlink()
    desk.draw("L5-S1", truth == 100)
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth >= 95, truth, 0))


def test_deleting_our_nodes_loses_nothing(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    case = desk.title
    desk.draw("L4-L5", truth == 95, wait=False)
    desk.host.scene.RemoveNode(desk.segmentation)
    desk.host.process_events()
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth == 95, truth, 0))
    assert desk.work is None
    assert nodes(desk.host, "vtkMRMLScalarVolumeNode") == []


def test_another_tab_or_module_takes_nothing_with_it(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return", "M")
    case = desk.title
    desk.draw("L4-L5", truth == 95, wait=False)
    desk.host.leave()  # another module of Slicer
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth == 95, truth, 0))
    assert not desk.ui.readingEditorWidget.shortcutsInstalled
    assert desk.work is not None  # the case stays open
    desk.host.open(420, 1500)
    desk.draw("L5-S1", truth == 100, wait=False)
    desk.host.widget.modes.show(0)  # Grade Discs
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth >= 95, truth, 0))
    assert nodes(desk.host, "vtkMRMLScalarVolumeNode") == []
    assert desk.host.ui.gradingPage.visible
    assert desk.host.ui.inputSelector.currentNode() is None
    desk.host.widget.modes.show(1)
    assert desk.title == case  # resumed
    assert np.array_equal(desk.panel.reading.scene.masks(), np.where(truth >= 95, truth, 0))


def test_keys_do_nothing_while_the_review_is_not_shown(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    desk.host.widget.modes.show(0)
    desk.key("1", "N", SIGN)
    desk.host.widget.modes.show(1)
    assert desk.title == case
    assert saved_grades(study, "carl", case) == {}


def test_quitting_with_unsaved_work_writes_it_into_the_home_folder(
    host: Any, study: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    desk = Desk(host).open(study, "carl")
    desk.key("Return")
    case = desk.title
    block_saving(study, "carl", case)
    desk.key("4")
    host.app.emit("aboutToQuit()")
    kept = tmp_path / "home" / "LumbarDiscGrading-unsaved" / "carl" / case / "grades.json"
    assert json.loads(kept.read_text())["discs"][0]["pfirrmann"] == 4
    host.close_panel()
    host.open(420, 1500)
    assert str(kept.parents[2]) in Desk(host).ui.studyMessageLabel.text


def test_quitting_saves_a_stroke_and_a_comment_in_the_making(host: Any, study: Path) -> None:
    truth = truth_masks()
    desk = Desk(host).open(study, "anna")
    desk.key("Return")
    case = desk.title
    desk.draw("L4-L5", truth == 95, wait=False)
    host.app.emit("aboutToQuit()")
    assert np.array_equal(saved_masks(study, "anna", case), np.where(truth == 95, truth, 0))
    host.close_panel()
    host.open(420, 1500)
    desk = Desk(host).open(study, "carl")
    desk.key("Return", "4", "Q")
    case = desk.title
    desk.ui.commentEdit.text = "bright rim"
    host.app.emit("aboutToQuit()")
    path = study / "readers" / "carl" / "cases" / case / "grades.json"
    assert json.loads(path.read_text())["discs"][0]["comment"] == "bright rim"


def test_closing_the_panel_leaves_no_key_on_the_window(host: Any, study: Path) -> None:
    desk = Desk(host).open(study, "carl")
    desk.key("Return")
    assert {"N", "1", "M"} <= active_keys(host)
    host.widget.modes.close()
    assert active_keys(host) & {"N", "P", "M", "A", "Q", "Ctrl+Return"} == set()


def active_keys(host: Any) -> set[str]:
    shortcuts = host.representation.findChildren(host.qt.QShortcut)
    return {shortcut.key.toString() for shortcut in shortcuts if shortcut.enabled}


def test_a_damaged_case_is_refused_with_a_sentence_and_the_list_stays(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    first = desk.rows(desk.ui.workTable)[0][0]
    (study / "cases" / first / "image.nrrd").write_bytes(b"no image")
    desk.key("Return")
    assert desk.work is None
    assert "restore it from a backup" in desk.ui.workMessageLabel.text
    assert desk.host.violations() == []
    desk.ui.workTable.setFocus()
    desk.key("Down", "Return")
    assert desk.title != first


def test_the_case_is_marked_as_being_read(desk: Desk, study: Path) -> None:
    desk.open(study, "carl")
    desk.key("Return")
    case = desk.title
    other = ReaderSession.open(study, "dora").work_list(Task.GRADES, Duty.READ)
    assert [item.case for item in other if item.being_read_by == ("carl",)] == [case]
    desk.host.widget.modes.show(0)
    other = ReaderSession.open(study, "dora").work_list(Task.GRADES, Duty.READ)
    assert not any(item.being_read_by for item in other)


def test_the_sagittal_view_is_alone_while_reading_and_the_layout_comes_back(desk: Desk, study: Path) -> None:
    layout = desk.host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    former = layout.GetViewArrangement()
    desk.open(study, "carl")
    desk.key("Return")
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
    desk.host.leave()
    assert layout.GetViewArrangement() == former
    desk.host.open(420, 1500)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView


def test_nothing_of_a_study_is_saved_with_the_scene(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.open(study, "anna")
    desk.key("Return")
    desk.draw("L4-L5", truth_masks() == 95)
    desk.host.core.save_scene(tmp_path / "scene.mrb")
    desk.host.widget.modes.show(0)
    desk.host.core.clear()
    desk.host.core.load_scene(tmp_path / "scene.mrb")
    assert nodes(desk.host, "vtkMRMLScalarVolumeNode") == []
    assert nodes(desk.host, "vtkMRMLSegmentationNode") == []


# -- names on the image


def names_in(host: Any) -> list[str]:
    view = host.app.layoutManager().sliceWidget("Yellow")
    props = view.renderer.GetViewProps()
    actors = [props.GetItemAsObject(n) for n in range(props.GetNumberOfItems())]
    return sorted(actor.GetInput() for actor in actors if actor.IsA("vtkTextActor") and actor.GetVisibility())


def test_the_image_names_each_drawn_disc_with_the_readers_own_grade_alone(desk: Desk, study: Path) -> None:
    truth = truth_masks()
    desk.open(study, "anna")
    desk.key("Return")
    assert names_in(desk.host) == []
    desk.key("M")
    for level in LUMBAR_LEVELS:
        desk.draw(level, truth == DISC_LABELS[level])
    assert names_in(desk.host) == sorted(LUMBAR_LEVELS)
    desk.key("M")
    desk.key("G")
    assert names_in(desk.host) == []
    desk.key("G")
    assert names_in(desk.host) == sorted(LUMBAR_LEVELS)
    desk.host.leave()
    assert names_in(desk.host) == []
