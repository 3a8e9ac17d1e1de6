"""*Grade all loaded T2 volumes*: one after the other in the background, each with its result, one table of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_acts import background, drawn_over, finish, grade, load, select_volume
from panel_rules import broken_rules, what_is_shown

from LumbarDiscGradingLib.grading.corrections import GradeSet
from LumbarDiscGradingLib.models.store import default_model_names

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    *(
        pytest.mark.needs_library(name)
        for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
    ),
    pytest.mark.skipif(
        set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
    ),
]


@pytest.fixture(scope="module")
def sample() -> Any:
    """A spine with few slices: there is much to grade here."""
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

    return lumbar_phantom(slice_count=7).volume


def grade_all(host: Any) -> None:
    """Choose *Grade all loaded T2 volumes* in the menu."""
    assert host.ui.gradeMenuButton.isVisible()
    host.ui.gradeMenuButton.menu().actions()[0].trigger()
    host.process_events()


def listed(host: Any) -> dict[str, tuple[str, str]]:
    """Return grades and note of each volume in the list, by name, from top to bottom."""
    widget = host.ui.allVolumesTable
    rows = [[widget.item(row, column).text() for column in range(3)] for row in range(widget.rowCount)]
    return {name: (grades, note) for name, grades, note in rows}


def table_of_all(host: Any) -> list[dict[str, str]]:
    """Return the rows of the table of all; none where there is no such table."""
    from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of
    from LumbarDiscGradingLib.scene.text_table import read_text_table

    node = node_of(host.scene)
    return read_text_table(node, COHORT_COLUMNS) if node is not None else []


def names_in(rows: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["identifier"] for row in rows))


def own_table(host: Any, case: Any) -> list[dict[str, str]]:
    from LumbarDiscGradingLib.report.tables import GRADE_COLUMNS
    from LumbarDiscGradingLib.scene.text_table import read_text_table

    return read_text_table(case.tableNode, GRADE_COLUMNS)


def cases_of(node: Any) -> list[Any]:
    from LumbarDiscGradingLib.scene.graded_case import graded_cases

    return graded_cases(node)


def wait_for_piece(host: Any, place: int) -> None:
    """Wait until so many volumes have been begun."""
    host.wait_until(lambda: not host.widget.panel.run.running or host.widget.panel.all.place[0] >= place)
    assert host.widget.panel.run.running


def click_volume(host: Any, name: str) -> None:
    widget = host.ui.allVolumesTable
    row = list(listed(host)).index(name)
    place = widget.visualItemRect(widget.item(row, 0)).center()
    host.qt.QTest.mouseClick(widget.viewport(), host.qt.Qt.LeftButton, host.qt.Qt.NoModifier, place)
    host.process_events()


def assert_nothing_half_done(host: Any) -> None:
    """Each segmentation has its table, each table its segmentation, and both tell the same discs."""
    from LumbarDiscGradingLib.report.tables import grade_rows
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of

    nodes = slicer.util.getNodesByClass
    found = [case for node in nodes("vtkMRMLScalarVolumeNode") for case in cases_of(node)]
    assert len(found) == len(nodes("vtkMRMLSegmentationNode"))
    assert len(nodes("vtkMRMLTableNode")) == len(found) + (node_of(host.scene) is not None)
    for case in found:
        assert own_table(host, case) == grade_rows(case.result)
    assert broken_rules(host) == []


def test_each_volume_gets_what_a_single_grading_gives_it_and_there_is_one_table_of_all(host: Any, sample: Any) -> None:
    single = grade(host, sample, "single T2")
    expected = own_table(host, cases_of(single)[0])
    slicer.mrmlScene.Clear(0)
    host.process_events()
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag")]
    grade_all(host)
    finish(host)
    for node in nodes:
        (case,) = cases_of(node)
        assert own_table(host, case) == expected
        assert case.segmentationNode.GetName() == f"{node.GetName()} discs"
    rows = table_of_all(host)
    assert names_in(rows) == ["A T2 sag", "B T2 sag"]
    assert [{name: row[name] for name in expected[0]} for row in rows] == 2 * expected
    assert all(row["grading_model"] and len(row["grading_sha256"]) == 64 for row in rows)
    assert host.ui.statusLabel.text.startswith("Volumes graded: 2.")
    assert_nothing_half_done(host)


def test_the_table_of_all_is_shown_below_the_views_until_it_is_hidden_or_the_module_is_left(
    host: Any, sample: Any
) -> None:
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of

    layout, kinds = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode"), slicer.vtkMRMLLayoutNode
    before = layout.GetViewArrangement()
    menu = host.ui.gradeMenuButton.menu()
    menu.aboutToShow.emit()
    assert not menu.actions()[1].enabled
    load(host, sample, "A T2 sag")
    grade_all(host)
    finish(host)
    assert layout.GetViewArrangement() == kinds.SlicerLayoutFourUpTableView
    selection = host.scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActiveTableID() == node_of(host.scene).GetID()
    for text, arrangement in (
        ("Hide", kinds.SlicerLayoutOneUpYellowSliceView),
        ("Show", kinds.SlicerLayoutFourUpTableView),
    ):
        menu.aboutToShow.emit()
        assert menu.actions()[1].text.startswith(text)
        menu.actions()[1].trigger()
        assert layout.GetViewArrangement() == arrangement
    host.leave()
    assert layout.GetViewArrangement() == before


def test_while_it_runs_it_says_which_of_how_many_and_can_be_canceled(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "B T2 sag", "C T2 sag"):
        load(host, sample, name)
    grade_all(host)
    assert host.ui.gradeDiscsButton.text == "Cancel"
    wait_for_piece(host, 2)
    assert host.ui.statusLabel.text.startswith("Grading 2 of 3: ")
    host.wait_until(lambda: host.ui.progressBar.text.startswith("2 of 3: "))
    assert 33 <= host.ui.progressBar.value <= 67
    host.click(host.ui.gradeDiscsButton)
    assert not host.widget.panel.run.running
    assert host.ui.statusLabel.text.startswith("Canceled. 1 of 3 volumes were graded and stay so")
    host.wait_until(lambda: host.widget.panel.run.idle)
    notes = [note for _, note in listed(host).values()]
    assert sum(note == "not graded: It was canceled." for note in notes) == 2
    assert table_of_all(host) == []  # a table of some would be taken for that of all
    assert_nothing_half_done(host)


def test_after_a_cancel_only_the_others_are_graded(host: Any, sample: Any) -> None:
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag")]
    grade_all(host)
    wait_for_piece(host, 2)
    host.click(host.ui.gradeDiscsButton)
    (graded,) = [case for node in nodes for case in cases_of(node)]
    before = graded.segmentationNode.GetAttribute("LumbarDiscGrading.Result")
    grade_all(host)
    assert host.ui.statusLabel.text.startswith("Grading 1 of 1: ")
    finish(host)
    assert graded.segmentationNode.GetAttribute("LumbarDiscGrading.Result") == before
    assert [len(cases_of(node)) for node in nodes] == [1, 1]
    assert names_in(table_of_all(host)) == ["A T2 sag", "B T2 sag"]
    assert "Graded before and left as they were: 1." in host.ui.statusLabel.text


def test_the_volume_that_is_looked_at_comes_first_on_the_slice_that_was_chosen(host: Any, sample: Any) -> None:
    load(host, sample, "A T2 sag")
    chosen = load(host, sample, "B T2 sag")
    select_volume(host, chosen)
    host.ui.automaticSliceCheckBox.click()
    host.ui.sliceSlider.value = 5
    host.process_events()
    grade_all(host)
    assert host.ui.statusLabel.text == "Grading 1 of 2: B T2 sag."
    finish(host)
    slices = {row["identifier"]: row["slice"] for row in table_of_all(host)}
    assert slices["B T2 sag"] == "5"
    assert slices["A T2 sag"] != "5"
    assert names_in(table_of_all(host)) == ["A T2 sag", "B T2 sag"]  # in the order of the scene


def test_one_that_cannot_be_graded_stops_no_other_and_is_named(host: Any, sample: Any) -> None:
    from dataclasses import replace

    noise = np.random.default_rng(0).integers(0, 900, sample.voxels.shape).astype(np.int16)
    load(host, sample, "T1 sag")
    load(host, replace(sample, voxels=noise), "A T2 sag noise")
    load(host, sample, "B T2 sag")
    grade_all(host)
    finish(host)
    assert names_in(table_of_all(host)) == ["B T2 sag"]
    said = host.ui.statusLabel.text
    assert "Not graded: A T2 sag noise." in said
    assert "Left out: 1" in said
    rows = listed(host)
    assert next(iter(rows)) == "A T2 sag noise"  # what is to be read first is on top
    assert list(rows)[-1] == "T1 sag"
    assert rows["A T2 sag noise"][1].startswith("not graded: No intervertebral disc")
    assert "another contrast than T2" in rows["T1 sag"][1]
    assert_nothing_half_done(host)


def test_without_a_sagittal_t2_it_says_so_and_begins_nothing(host: Any, sample: Any) -> None:
    grade_all(host)
    assert host.ui.statusLabel.text == "No volume is loaded: load sagittal T2 series first."
    load(host, sample, "T1 sag")
    grade_all(host)
    assert not host.widget.panel.run.running
    assert host.ui.statusLabel.text == "No loaded volume is taken for a sagittal T2; the list says why."
    assert "another contrast" in listed(host)["T1 sag"][1]


def test_volumes_that_are_deleted_meanwhile_stop_no_other(host: Any, sample: Any) -> None:
    """One that is graded already, with its result; the one at work; one that waits."""
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag", "C T2 sag", "D T2 sag")]
    select_volume(host, nodes[0])
    grade_all(host)
    wait_for_piece(host, 2)
    (graded,) = cases_of(nodes[0])
    host.scene.StartState(host.scene.BatchProcessState)  # as the module Data does when a study is deleted
    for node in (nodes[2], nodes[1], nodes[0], graded.segmentationNode, graded.tableNode):
        host.scene.RemoveNode(node)
        host.process_events()
    host.scene.EndState(host.scene.BatchProcessState)
    assert host.widget.panel.run.running
    finish(host)
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert names_in(table_of_all(host)) == ["D T2 sag"]
    assert "Not graded: A T2 sag, B T2 sag, C T2 sag." in host.ui.statusLabel.text
    rows = listed(host)
    assert all("deleted" in rows[name][1] for name in ("A T2 sag", "B T2 sag", "C T2 sag"))
    assert_nothing_half_done(host)


def test_a_scene_that_is_closed_meanwhile_stays_empty(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "B T2 sag", "C T2 sag"):
        load(host, sample, name)
    grade_all(host)
    wait_for_piece(host, 2)
    host.scene.Clear(0)
    host.process_events()
    assert not host.widget.panel.run.running
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert host.ui.statusLabel.text == "Canceled: the scene was closed."
    assert not host.ui.allVolumesCollapsibleButton.visible
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLTableNode", "vtkMRMLScalarVolumeNode"):
        assert host.scene.GetNumberOfNodesByClass(kind) == 0
    grade(host, sample, "D T2 sag")
    assert broken_rules(host) == []


def test_a_scene_that_is_loaded_meanwhile_ends_it_with_whole_results(host: Any, sample: Any, tmp_path: Path) -> None:
    load(host, sample, "old T2 sag")
    host.core.save_scene(tmp_path / "old.mrb")
    host.scene.Clear(0)
    host.process_events()
    for name in ("A T2 sag", "B T2 sag"):
        load(host, sample, name)
    grade_all(host)
    wait_for_piece(host, 2)
    host.core.load_scene(tmp_path / "old.mrb")
    host.process_events()
    assert not host.widget.panel.run.running
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert table_of_all(host) == []
    for name in ("A T2 sag", "B T2 sag"):
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if node.GetName() == name:
                assert len(cases_of(node)) <= 1


def test_a_correction_of_before_stays_and_one_afterwards_counts_in_the_table(host: Any, sample: Any) -> None:
    first = grade(host, sample, "A T2 sag")
    correct_in_panel(host, "L1-L2", 5)
    load(host, sample, "B T2 sag")
    grade_all(host)
    finish(host)
    assert [case.corrections for case in cases_of(first)] == [(GradeSet("L1-L2", 5),)]
    assert changed_by_reader(host) == [("A T2 sag", "L1-L2", "5")]
    click_volume(host, "B T2 sag")
    correct_in_panel(host, "L3-L4", 4)
    assert changed_by_reader(host) == [("A T2 sag", "L1-L2", "5"), ("B T2 sag", "L3-L4", "4")]
    assert "IV" in listed(host)["B T2 sag"][0].split()[2]
    host.click(host.ui.undoButton)
    click_volume(host, "A T2 sag")
    host.click(host.ui.undoButton)
    assert changed_by_reader(host) == []
    assert_nothing_half_done(host)


def test_while_it_runs_nothing_is_corrected_and_graded_volumes_can_be_looked_at(host: Any, sample: Any) -> None:
    first = grade(host, sample, "A T2 sag")
    correct_in_panel(host, "L1-L2", 5)
    for name in ("B T2 sag", "C T2 sag"):
        load(host, sample, name)
    grade_all(host)
    click_volume(host, "A T2 sag")
    assert host.widget.panel.run.running
    assert host.ui.inputSelector.currentNode() is first
    host.widget.panel.result.select("L1-L2")
    assert not host.ui.undoButton.isEnabled()
    assert not host.ui.grade3Button.isEnabled()
    host.press(host.ui.resultTable, "3")
    assert host.widget.panel.run.running
    finish(host)
    assert [case.corrections for case in cases_of(first)] == [(GradeSet("L1-L2", 5),)]
    assert host.ui.inputSelector.currentNode() is first
    assert background(host) == "A T2 sag"
    assert names_in(table_of_all(host)) == ["A T2 sag", "B T2 sag", "C T2 sag"]
    assert_nothing_half_done(host)


def test_what_a_script_grades_or_corrects_meanwhile_is_left_as_it_is(host: Any, sample: Any) -> None:
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag", "C T2 sag")]
    select_volume(host, nodes[0])
    grade_all(host)
    case = host.widget.logic.process(nodes[2], device="cpu", showResult=False)
    case.correct(GradeSet("L4-L5", 1))
    assert host.widget.panel.run.running
    finish(host)
    assert [len(cases_of(node)) for node in nodes] == [1, 1, 1]
    assert cases_of(nodes[2])[0].corrections == (GradeSet("L4-L5", 1),)
    assert changed_by_reader(host) == [("C T2 sag", "L4-L5", "1")]


def test_a_click_on_a_volume_shows_it_with_its_result(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        load(host, sample, name)
    grade_all(host)
    finish(host)
    for name in ("A T2 sag", "B T2 sag", "A T2 sag"):
        click_volume(host, name)
        assert background(host) == name
        assert drawn_over(host) == [f"{name} discs"]
        assert host.ui.summaryLabel.text.startswith(f"{name}, slice")
        selected = [item.text() for item in host.ui.allVolumesTable.selectedItems()]
        assert selected[0] == name
        assert broken_rules(host) == []
    select_volume(host, host.scene.GetFirstNodeByName("B T2 sag"))
    assert host.ui.allVolumesTable.selectedItems()[0].text() == "B T2 sag"


def test_after_a_click_on_a_volume_the_keys_are_those_of_its_discs(host: Any, sample: Any) -> None:
    for name in ("4 T2 sag", "5 T2 sag"):
        load(host, sample, name)
    grade_all(host)
    click_volume(host, "4 T2 sag")
    assert host.qt.QApplication.focusWidget() is not host.ui.allVolumesTable  # in which a digit would search a name
    finish(host)
    for name in ("5 T2 sag", "4 T2 sag"):
        click_volume(host, name)
        assert host.qt.QApplication.focusWidget() is host.ui.resultTable
        for key in "N5":
            host.qt.QTest.keyClick(host.qt.QApplication.focusWidget(), key)
            host.process_events()
        assert host.ui.inputSelector.currentNode().GetName() == name
    cases = [case for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") for case in cases_of(node)]
    assert [[correction.grade for correction in case.corrections] for case in cases] == [[5], [5]]


def test_a_run_that_ends_while_the_user_is_elsewhere_leaves_the_views_alone(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        load(host, sample, name)
    layout = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    grade_all(host)
    host.leave()
    shown, arrangement = what_is_shown(host), layout.GetViewArrangement()
    finish(host)
    after = what_is_shown(host)
    assert {what: after[what] for what in shown} == shown
    assert layout.GetViewArrangement() == arrangement
    assert not any(drawn_over(host, view) for view in ("Red", "Yellow", "Green"))
    host.open()
    assert host.ui.allVolumesTable.rowCount == 2
    assert names_in(table_of_all(host)) == ["A T2 sag", "B T2 sag"]
    assert broken_rules(host) == []


def test_a_volume_that_is_graded_by_itself_afterwards_is_in_list_and_table(host: Any, sample: Any) -> None:
    load(host, sample, "A T2 sag")
    stir = load(host, sample, "STIR sag")
    grade_all(host)
    finish(host)
    assert names_in(table_of_all(host)) == ["A T2 sag"]
    select_volume(host, stir)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert names_in(table_of_all(host)) == ["A T2 sag", "STIR sag"]
    assert listed(host)["STIR sag"][0]
    assert_nothing_half_done(host)


def test_a_volume_whose_voxels_change_while_it_is_graded_is_named_and_gets_no_result(host: Any, sample: Any) -> None:
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag")]
    select_volume(host, nodes[0])
    grade_all(host)
    slicer.util.arrayFromVolume(nodes[0])[0, 0, :9] += 40
    slicer.util.arrayFromVolumeModified(nodes[0])
    finish(host)
    assert names_in(table_of_all(host)) == ["B T2 sag"]
    assert "changed while it was graded" in listed(host)["A T2 sag"][1]
    assert_nothing_half_done(host)


def test_a_panel_that_is_closed_meanwhile_ends_all_work(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        load(host, sample, name)
    grade_all(host)
    run = host.widget.panel.run
    host.close_panel()
    assert run.idle
    assert host.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_script_grades_all_and_is_told_what_became_of_each(host: Any, sample: Any) -> None:
    for name in ("A T2 sag", "T1 sag"):
        load(host, sample, name)
    loaded = host.widget.logic.gradeAllLoaded(device="cpu")
    fates = {volume.name: (volume.became.value, bool(volume.note)) for volume in loaded.volumes}
    assert fates == {"A T2 sag": ("graded", False), "T1 sag": ("left out", True)}
    assert names_in(table_of_all(host)) == ["A T2 sag"]
    selection = host.scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActiveTableID() == loaded.tableNode.GetID()
    again = host.widget.logic.gradeAllLoaded(device="cpu")
    assert [volume.became.value for volume in again.volumes] == ["graded before", "left out"]
    assert again.tableNode is loaded.tableNode


def correct_in_panel(host: Any, level: str, grade_to_set: int) -> None:
    host.widget.panel.result.select(level)
    host.process_events()
    host.click(getattr(host.ui, f"grade{grade_to_set}Button"))


def changed_by_reader(host: Any) -> list[tuple[str, str, str]]:
    rows = [row for row in table_of_all(host) if row["manual_changes"]]
    return [(row["identifier"], row["level"], row["pfirrmann"]) for row in rows]
