"""Adjudication in the panel: two readings side by side as A and B, settled disc by disc, each decision on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_studies import READERS, eroded, make_study, read_grades, read_masks, truth_masks

from LumbarDiscGradingLib.annotation.errors import StudyError, WorkflowError
from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.reference import consensus_grades, consensus_masks
from LumbarDiscGradingLib.annotation.study.states import CaseState
from LumbarDiscGradingLib.annotation.work.session import Duty, ReaderSession
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
RED, YELLOW = "vtkMRMLSliceNodeRed", "vtkMRMLSliceNodeYellow"


class Desk:
    """The section in a window of its own, and what was signed."""

    def __init__(self, host: Any) -> None:
        from LumbarDiscGradingLib.panel.review.adjudication.section import AdjudicationSection

        self.host, self.done = host, 0
        self.container = host.widgetClass()
        self.container.setLayout(host.qt.QVBoxLayout())
        self.section = AdjudicationSection(self.container, self._signed)
        self.container.resize(400, 800)
        self.container.show()
        self.container.activateWindow()

    def _signed(self) -> None:
        self.done += 1

    def open(self, folder: Path, task: Task) -> Any:
        session = ReaderSession.open(folder, "emil")
        self.section.open(session, session.next_item(task, Duty.ADJUDICATE))
        self.section.enter()
        self.host.process_events()
        return self.section

    def reason(self, text: str) -> None:
        """Type a reason and press Return."""
        edit = self.section.ui.reasonComboBox.lineEdit()
        edit.setFocus()
        edit.selectAll()
        self.host.qt.QTest.keyClicks(edit, text)
        self.host.qt.QTest.keyClick(edit, self.host.qt.Qt.Key_Return)
        self.host.process_events()

    def texts(self) -> str:
        table = self.section.ui.disagreementTable
        cells = [table.item(r, c) for r in range(table.rowCount) for c in range(table.columnCount)]
        widgets = self.container.findChildren(self.host.qt.QWidget)
        words = [str(w.property("text") or "") + str(w.property("toolTip") or "") for w in widgets]
        return "\n".join([*(cell.text() + cell.toolTip() for cell in cells), *words])

    def close(self) -> None:
        self.section.dispose()
        self.container.setMRMLScene(None)
        self.section.widget.setMRMLScene(None)
        self.container.close()
        self.container.deleteLater()
        self.host.process_events()


@pytest.fixture
def desk(started: Any) -> Iterator[Desk]:
    started.core.clear()
    started.forget_violations()
    desk = Desk(started)
    yield desk
    desk.close()
    started.core.clear()
    assert started.violations() == []


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """Two grades of C0001 differ."""
    make_study(tmp_path / "study", cases=1)
    read_grades(tmp_path / "study", "carl", "C0001", [1, 2, 3, 4, 5])
    read_grades(tmp_path / "study", "dora", "C0001", [1, 3, 3, 4, 0])
    return tmp_path / "study"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two contours of C0001 differ: L2-L3 in size, and L4-L5 is in one reading alone."""
    readers = (*READERS[2:], Reader("anna", (Role.ANNOTATOR,), 3), Reader("bert", (Role.ANNOTATOR,), 5))
    make_study(tmp_path / "study", cases=1, readers=readers, double_masks=True, peer_review=False)
    second = eroded(truth_masks(), "L2-L3", 2)
    second[second == DISC_LABELS["L4-L5"]] = 0
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    read_masks(tmp_path / "study", "bert", "C0001", second)
    return tmp_path / "study"


def on_disk(folder: Path, task: Task) -> dict[str, dict[str, Any]]:
    """What another program finds of the decisions on C0001."""
    return ReaderSession.open(folder, "emil").open_adjudication("C0001", task).decisions


def state(folder: Path, task: Task) -> CaseState:
    return ReaderSession.open(folder, "emil").states.state("C0001", task)


def table(section: Any) -> list[list[str]]:
    widget = section.ui.disagreementTable
    return [[widget.item(r, c).text() for c in range(widget.columnCount)] for r in range(widget.rowCount)]


def draw(section: Any, level: str, disc: np.ndarray) -> None:
    """Draw into the own segment of a level, as an effect of the Segment Editor does."""
    from vtk.util.numpy_support import vtk_to_numpy

    scene, name = section.scene, slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = scene.segmentationNode.GetSegmentation()
    segmentation.SeparateSegmentLabelmap(level)
    segment = segmentation.GetSegment(level)
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(segment.GetRepresentation(name))
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    voxels[:] = scene.volume.to_stored(disc.astype(np.uint8)) * segment.GetLabelValue()
    segment.AddRepresentation(name, image)
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


# -- grades


def test_only_the_disagreements_are_shown_and_nobody_is_named(desk, graded):
    section = desk.open(graded, Task.GRADES)
    swapped = section.work.disagreements[0].first == 3
    second, last = (["III", "II"], ["not assess.", "V"]) if swapped else (["II", "III"], ["V", "not assess."])
    assert [row[:1] + row[2:4] for row in table(section)] == [["L2-L3", *second], ["L5-S1", *last]]
    assert not any(name in desk.texts() for name in ("carl", "dora"))
    nodes = [desk.host.scene.GetNthNode(n) for n in range(desk.host.scene.GetNumberOfNodes())]
    assert not any(name in node.GetName() for node in nodes if node.GetName() for name in ("carl", "dora"))


def test_each_decision_is_on_the_disk_at_once_and_signing_settles_the_case(desk, graded):
    section = desk.open(graded, Task.GRADES)
    assert section.table.level == "L2-L3"
    desk.host.click(section.ui.chooseAButton)
    assert on_disk(graded, Task.GRADES)["L2-L3"]["choice"] == "A"
    desk.reason("signal")
    found = on_disk(graded, Task.GRADES)["L2-L3"]
    assert found == {"choice": "A", "reason": "signal", "grade": section.work.disagreement("L2-L3").first}
    section.table.select("L5-S1")
    desk.host.click(section.ui.ownGrade4Button)
    desk.reason("height")
    assert on_disk(graded, Task.GRADES)["L5-S1"] == {"choice": "own", "reason": "height", "grade": 4}
    assert state(graded, Task.GRADES) is CaseState.DISCORDANT and desk.done == 0
    desk.host.click(section.ui.signAdjudicationButton)
    assert state(graded, Task.GRADES) is CaseState.ADJUDICATED and desk.done == 1
    session = ReaderSession.open(graded, "emil")
    assert consensus_grades(session.states, "C0001") == {
        "L1-L2": 1, "L2-L3": found["grade"], "L3-L4": 3, "L4-L5": 4, "L5-S1": 4,
    }  # fmt: skip


def test_without_a_reason_a_decision_is_kept_but_cannot_be_signed(desk, graded):
    section = desk.open(graded, Task.GRADES)
    section.choose("B")
    section.table.select("L5-S1")
    section.choose("B")
    desk.reason("cannot be seen")
    assert set(on_disk(graded, Task.GRADES)) == {"L2-L3", "L5-S1"}
    section.sign()
    assert "L2-L3 has no reason yet" in section.ui.adjudicationMessageLabel.text
    assert desk.done == 0 and state(graded, Task.GRADES) is CaseState.DISCORDANT
    assert section.table.level == "L2-L3" and "reason missing" in table(section)[0][4]
    desk.reason("like the level above")
    section.sign()
    assert desk.done == 1


def test_keys_choose_grade_step_and_sign(desk, graded):
    section = desk.open(graded, Task.GRADES)
    desk.host.press(section.ui.disagreementTable, "b")
    desk.reason("signal")
    desk.host.press(section.ui.disagreementTable, "w")
    assert section.table.level == "L5-S1"
    desk.host.press(section.ui.disagreementTable, "5")
    desk.reason("collapsed")
    assert on_disk(graded, Task.GRADES)["L5-S1"]["grade"] == 5
    qt = desk.host.qt
    qt.QTest.keyClick(section.ui.disagreementTable, qt.Qt.Key_Return, qt.Qt.ControlModifier)
    assert desk.done == 1
    section.exit()
    section.work.reopen("look again")
    desk.host.press(section.ui.disagreementTable, "a")  # keys are off while another module is open
    assert on_disk(graded, Task.GRADES)["L5-S1"]["choice"] == "own"


def test_a_reason_typed_but_not_confirmed_is_saved_on_closing(desk, graded):
    section = desk.open(graded, Task.GRADES)
    section.choose("A")
    section.ui.reasonComboBox.setEditText("signal")
    assert section.has_unsaved
    assert section.close() and not section.has_unsaved
    assert on_disk(graded, Task.GRADES)["L2-L3"]["reason"] == "signal"


def test_reasons_given_before_are_offered_again(desk, graded):
    section = desk.open(graded, Task.GRADES)
    section.choose("A")
    desk.reason("signal")
    section.table.select("L5-S1")
    combo = section.ui.reasonComboBox
    assert combo.currentText == "" and combo.itemText(0) == "signal"
    section.choose("A")
    combo.setCurrentIndex(0)
    combo.activated.emit(0)
    assert on_disk(graded, Task.GRADES)["L5-S1"]["reason"] == "signal"


def test_what_was_decided_is_there_again_and_can_be_reopened_with_a_reason(desk, graded):
    section = desk.open(graded, Task.GRADES)
    for level in ("L2-L3", "L5-S1"):
        section.table.select(level)
        section.choose("A")
        desk.reason("signal")
    section.sign()
    session = ReaderSession.open(graded, "emil")
    (item,) = session.work_list(Task.GRADES, Duty.ADJUDICATE)
    section.open(session, item)
    assert "Signed" in section.ui.adjudicationMessageLabel.text
    assert not section.ui.decisionWidget.enabled and section.ui.reopenAdjudicationButton.visible
    section.choose("B")
    assert on_disk(graded, Task.GRADES)["L2-L3"]["choice"] == "A"
    section.work.reopen("look again")
    section.open(session, item)
    assert [row[4].split()[1] for row in table(section)] == ["A:", "A:"]
    section.choose("B")
    assert on_disk(graded, Task.GRADES)["L2-L3"]["choice"] == "B"


def test_only_adjudicators_of_other_readings_may_open_it(desk, graded):
    session = ReaderSession.open(graded, "emil")
    item = session.next_item(Task.GRADES, Duty.ADJUDICATE)
    with pytest.raises(WorkflowError, match="may not adjudicate"):
        desk.section.open(ReaderSession.open(graded, "carl"), item)
    assert desk.section.work is None and not desk.section.widget.visible


def test_what_cannot_be_saved_is_said_and_not_lost(desk, graded):
    section = desk.open(graded, Task.GRADES)
    others = ReaderSession.open(graded, "dora")
    log = graded / "readers" / "emil" / "events.jsonl"
    log.mkdir(parents=True)
    section.ui.reasonComboBox.setEditText("signal")
    section.choose("A")
    assert "Not saved" in section.ui.saveStateLabel.text and section.has_unsaved
    assert section.ui.trySaveButton.visible and not section.close()
    with pytest.raises(StudyError):
        section.open(others, section.work.item)
    shutil.rmtree(log)
    assert section.close() and section.work is None
    assert on_disk(graded, Task.GRADES)["L2-L3"] == {
        "choice": "A", "reason": "signal", "grade": on_disk(graded, Task.GRADES)["L2-L3"]["grade"],
    }  # fmt: skip


# -- masks


def test_disputed_discs_lie_side_by_side_each_in_its_own_view(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    work, nodes = section.work, section.scene.readingNodes
    assert [row[0] for row in table(section)] == ["L2-L3", "L4-L5"]
    assert table(section)[0][1].startswith("Dice 0.") and table(section)[1][1] == "not in both"
    for letter, masks in (("A", work.masks_a), ("B", work.masks_b)):
        segmentation = nodes[letter].GetSegmentation()
        shown = {segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())}
        assert shown == {level for level in ("L2-L3", "L4-L5") if (masks == DISC_LABELS[level]).any()}
    displays = [nodes[letter].GetDisplayNode() for letter in "AB"]
    red, yellow = (desk.host.scene.GetNodeByID(name) for name in (RED, YELLOW))
    assert [[d.IsDisplayableInView(v) for v in (RED, YELLOW)] for d in displays] == [[True, False], [False, True]]
    assert displays[0].GetSliceIntersectionThickness() != displays[1].GetSliceIntersectionThickness()
    colors = {nodes[letter].GetSegmentation().GetNthSegment(0).GetColor() for letter in "AB"}
    assert len(colors) == 2
    labels = [section.scene.letterNodes[letter].GetNthControlPointLabel(0) for letter in "AB"]
    assert [label[0] for label in labels] == ["A", "B"]
    assert red.GetOrientation() == yellow.GetOrientation()
    same = [[view.GetSliceToRAS().GetElement(i, j) for i in range(3) for j in range(3)] for view in (red, yellow)]
    assert np.allclose(*same)
    desk.host.click(section.ui.overlayCheckBox)
    assert all(d.IsDisplayableInView(v) for d in displays for v in (RED, YELLOW))
    desk.host.click(section.ui.overlayCheckBox)
    assert [[d.IsDisplayableInView(v) for v in (RED, YELLOW)] for d in displays] == [[True, False], [False, True]]


def test_an_own_contour_with_nothing_in_it_is_asked_about(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    for level in ("L2-L3", "L4-L5"):
        section.table.select(level)
        section.choose("A")
        desk.reason("clear")
    nothing = np.zeros(section.scene.masks().shape, bool)
    section.work.decide("L2-L3", "own", "erased", disc=nothing)
    section.drawing.rewrite()
    said = desk.host.answer_dialog(accept=False)
    section.sign()
    assert said[0].startswith("L2-L3: nothing is drawn")
    assert not section.work.is_signed and section.table.level == "L2-L3"
    desk.host.answer_dialog()
    section.sign()
    assert state(drawn, Task.MASKS) is CaseState.ADJUDICATED


def test_accepting_settles_the_contours_and_leaves_the_undisputed_ones(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    larger = "A" if (section.work.masks_a == DISC_LABELS["L4-L5"]).any() else "B"
    section.choose(larger)
    desk.reason("endplate to endplate")
    section.table.select("L4-L5")
    desk.host.click(section.ui.chooseBButton if larger == "A" else section.ui.chooseAButton)
    desk.reason("no disc to be seen")
    assert (section.scene.masks() == DISC_LABELS["L2-L3"]).sum() == (truth_masks() == DISC_LABELS["L2-L3"]).sum()
    for node in (section.scene.segmentationNode, *section.scene.readingNodes.values()):
        segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        assert ids and all(display.GetSegmentVisibility(name) for name in ids)
    section.sign()
    expected = truth_masks()
    expected[expected == DISC_LABELS["L4-L5"]] = 0
    session = ReaderSession.open(drawn, "emil")
    assert np.array_equal(consensus_masks(session.states, "C0001"), expected)


def test_an_own_contour_is_saved_stroke_by_stroke(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    section.table.select("L4-L5")
    desk.host.click(section.ui.ownContourButton)
    assert section.drawing.editing and section.ui.adjudicationEditorWidget.shortcutsInstalled
    disc = truth_masks() == DISC_LABELS["L4-L5"]
    disc[0] = False
    draw(section, "L4-L5", disc)
    assert section.has_unsaved
    desk.host.wait_until(lambda: not section.has_unsaved)
    assert on_disk(drawn, Task.MASKS)["L4-L5"]["choice"] == "own"
    again = ReaderSession.open(drawn, "emil").open_adjudication("C0001", Task.MASKS)
    assert np.array_equal(again.masks == DISC_LABELS["L4-L5"], disc)
    assert "reason missing" in table(section)[1][4] and on_disk(drawn, Task.MASKS).keys() == {"L4-L5"}
    desk.reason("seen on two slices")
    assert not section.drawing.editing or section.ui.adjudicationEditorWidget.shortcutsInstalled
    section.table.select("L2-L3")
    section.choose("A")
    desk.reason("endplate")
    assert not section.ui.adjudicationEditorWidget.shortcutsInstalled
    section.sign()
    masks = consensus_masks(ReaderSession.open(drawn, "emil").states, "C0001")
    assert np.array_equal(masks == DISC_LABELS["L4-L5"], disc)


def test_the_segment_that_is_selected_in_the_editor_is_the_selected_disc(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    desk.host.press(section.ui.disagreementTable, "m")
    section.ui.adjudicationEditorWidget.mrmlSegmentEditorNode().SetSelectedSegmentID("L4-L5")
    assert section.table.level == "L4-L5" and section.drawing.editing
    assert on_disk(drawn, Task.MASKS) == {}


def test_while_a_disc_is_drawn_the_digits_belong_to_the_editor(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    desk.host.press(section.ui.disagreementTable, "m")
    assert section.drawing.editing
    desk.host.press(section.ui.disagreementTable, "a")
    assert on_disk(drawn, Task.MASKS) == {}
    desk.host.press(section.ui.disagreementTable, "m")
    assert not section.drawing.editing
    desk.host.press(section.ui.disagreementTable, "a")
    assert on_disk(drawn, Task.MASKS)["L2-L3"]["choice"] == "A"


def test_a_stroke_just_made_is_saved_on_closing_and_the_scene_is_as_before(desk, drawn):
    scene = desk.host.scene
    scene.GetSubjectHierarchyNode()  # makes it
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    red = scene.GetNodeByID(RED)
    before = red.GetOrientation(), sorted(scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes()))
    section = desk.open(drawn, Task.MASKS)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    assert red.GetOrientation() != before[0]
    disc = truth_masks() == DISC_LABELS["L2-L3"]
    draw(section, "L2-L3", disc)
    assert section.close()
    again = ReaderSession.open(drawn, "emil").open_adjudication("C0001", Task.MASKS)
    assert np.array_equal(again.masks == DISC_LABELS["L2-L3"], disc)
    left = sorted(scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes()))
    assert red.GetOrientation() == before[0] and left == before[1]
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


def test_a_closing_scene_loses_nothing_and_the_case_is_shown_again(desk, drawn):
    section = desk.open(drawn, Task.MASKS)
    disc = truth_masks() == DISC_LABELS["L2-L3"]
    draw(section, "L2-L3", disc)
    section.leave_scene()
    desk.host.core.clear()
    assert not section.scene.is_alive()
    section.restore_scene()
    assert section.scene.is_alive()
    assert np.array_equal(section.scene.masks() == DISC_LABELS["L2-L3"], disc)
    assert on_disk(drawn, Task.MASKS)["L2-L3"]["choice"] == "own"


def test_levels_named_differently_carry_their_names_in_the_views(desk, tmp_path):
    readers = (*READERS[2:], Reader("anna", (Role.ANNOTATOR,), 3), Reader("bert", (Role.ANNOTATOR,), 5))
    make_study(tmp_path / "study", cases=1, readers=readers, double_masks=True, peer_review=False)
    second = truth_masks()
    second[second == DISC_LABELS["L1-L2"]] = DISC_LABELS["T12-L1"]
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    read_masks(tmp_path / "study", "bert", "C0001", second)
    section = desk.open(tmp_path / "study", Task.MASKS)
    assert {row[0] for row in table(section)} == {"T12-L1", "L1-L2"}
    assert all("level conflict" in row[1] for row in table(section))
    labels = {section.scene.letterNodes[letter].GetNthControlPointLabel(0) for letter in "AB"}
    assert labels in ({"A L1-L2", "B T12-L1"}, {"A T12-L1", "B L1-L2"})


def test_finished_contours_orient_the_adjudicator_of_grades_where_the_protocol_shows_them(desk, tmp_path):
    make_study(tmp_path / "study", cases=1, peer_review=False, graders_see_masks=True)
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    read_grades(tmp_path / "study", "carl", "C0001", [1, 2, 3, 4, 5])
    read_grades(tmp_path / "study", "dora", "C0001", [1, 2, 3, 4, 4])
    section = desk.open(tmp_path / "study", Task.GRADES)
    assert np.array_equal(section.scene.masks(), truth_masks())
    assert section.scene.readingNodes == {} and section.scene.levels == LUMBAR_LEVELS
