"""What is shown belongs together: one volume, its image, its result in the table, its discs and nobody else's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_acts import (
    background,
    click_regrade,
    click_row,
    draw,
    draw_segment,
    drawn_over,
    finish,
    grade,
    load,
    open_all,
    row_of,
    segmentation,
    select_volume,
    table,
)

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

VIEWS = ("Red", "Yellow", "Green")


def assert_shown(host: Any, name: str, graded: bool) -> None:
    """One volume is chosen, in all views and in the table, and only its discs are drawn."""
    host.process_events()
    assert host.ui.inputSelector.currentNode().GetName() == name
    assert [background(host, view) for view in VIEWS] == [name] * 3
    assert (host.ui.resultTable.rowCount > 0) == graded
    for view in VIEWS:
        drawn = drawn_over(host, view)
        assert len(drawn) == int(graded)
        assert not graded or drawn[0].startswith(f"{name} discs")
    if graded:
        assert host.ui.summaryLabel.text.startswith(name)


def settle(host: Any) -> None:
    """Wait until the panel has looked at what other modules did."""
    from LumbarDiscGradingLib.panel.grading.tab import LOOK_MS

    host.qt.QTest.qWait(2 * LOOK_MS)


# -- several volumes


def test_a_second_patient_takes_the_place_of_the_one_that_is_graded(host: Any, sample: Any) -> None:
    first = grade(host, sample, "A T2 sag")
    assert_shown(host, "A T2 sag", graded=True)
    load(host, sample, "B T2 sag")
    settle(host)
    assert_shown(host, "B T2 sag", graded=False)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert_shown(host, "B T2 sag", graded=True)
    select_volume(host, first)
    assert_shown(host, "A T2 sag", graded=True)


def test_the_next_patient_is_taken_though_another_series_came_while_the_last_was_graded(host: Any, sample: Any) -> None:
    load(host, sample, "A T2 sag")
    host.click(host.ui.gradeDiscsButton)
    host.wait_until(lambda: not host.widget.panel.run.running or host.ui.progressBar.value >= 70)
    load(host, sample, "T1 sag")
    finish(host)
    settle(host)
    assert_shown(host, "A T2 sag", graded=True)
    load(host, sample, "B T2 sag")
    settle(host)
    assert_shown(host, "B T2 sag", graded=False)


def test_choosing_a_volume_shows_it(host: Any, sample: Any) -> None:
    first = load(host, sample, "A T2 sag")
    load(host, sample, "B T2 sag")
    select_volume(host, first)
    assert_shown(host, "A T2 sag", graded=False)


def test_a_volume_that_the_user_selects_stays_selected(host: Any, sample: Any) -> None:
    """He selects it while the panel still looks which of the loaded ones is the T2."""
    first = grade(host, sample, "A T2 sag")
    load(host, sample, "B T2 sag")
    assert host.ui.inputSelector.currentNode().GetName() == "B T2 sag"
    select_volume(host, first)
    host.qt.QTest.qWait(700)
    assert_shown(host, "A T2 sag", graded=True)


def test_of_a_study_that_is_loaded_the_picked_series_is_shown(host: Any, sample: Any) -> None:
    for name in ("2: t1_tse_sag", "3: t2_tse_sag", "4: localizer"):
        load(host, sample, name)
    axial = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "5: t2_tse_tra")
    slicer.util.updateVolumeFromArray(axial, np.random.default_rng(1).integers(0, 900, (12, 64, 64), dtype=np.int16))
    axial.SetSpacing(0.5, 0.5, 5.0)
    host.show_volume(axial)
    settle(host)
    assert_shown(host, "3: t2_tse_sag", graded=False)


def test_a_series_that_cannot_be_graded_does_not_push_out_a_graded_one(host: Any, sample: Any) -> None:
    grade(host, sample, "A T2 sag")
    load(host, sample, "T1 sag")
    settle(host)
    assert_shown(host, "A T2 sag", graded=True)


def test_a_volume_that_is_put_into_the_sagittal_view_by_hand_is_chosen(host: Any, sample: Any) -> None:
    grade(host, sample, "A T2 sag")
    other = load(host, sample, "B T1 sag")
    host.wait_until(lambda: not host.widget.panel.arrivals.looking)
    host.show_volume(other)
    host.process_events()
    assert_shown(host, "B T1 sag", graded=False)


def test_discs_are_not_drawn_over_another_volume_in_another_view(host: Any, sample: Any) -> None:
    grade(host, sample, "A T2 sag")
    other = load(host, sample, "B T1 sag")
    settle(host)
    host.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").SetBackgroundVolumeID(other.GetID())
    host.process_events()
    assert host.ui.inputSelector.currentNode().GetName() == "A T2 sag"
    assert drawn_over(host, "Red") == []
    assert drawn_over(host, "Yellow") == drawn_over(host, "Green") == ["A T2 sag discs"]


def test_evidence_lies_over_its_own_discs_alone(host: Any, sample: Any) -> None:
    """Not over a view that was turned to another volume, and not while another result is shown."""
    grade(host, sample, "A T2 sag")
    open_all(host)
    other = load(host, sample, "B T1 sag")
    click_row(host, row_of(host, "L3-L4"))
    host.press(host.ui.resultTable, "5")
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    host.click(host.ui.evidenceCheckBox)
    host.wait_until(lambda: not host.widget.panel.run.running, 300)
    host.process_events()
    assert [over(host, view) for view in VIEWS] == ["A T2 sag evidence"] * 3
    host.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed").SetBackgroundVolumeID(other.GetID())
    host.process_events()
    assert [over(host, view) for view in VIEWS] == ["", *["A T2 sag evidence"] * 2]
    combo = host.ui.resultComboBox
    combo.setCurrentIndex(0)
    combo.activated.emit(0)
    host.process_events()
    assert [over(host, view) for view in VIEWS] == [""] * 3
    assert not host.ui.evidenceCheckBox.checked


def over(host: Any, view: str) -> str:
    """Return the name of the volume that lies over a view's own."""
    composite = host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")
    node = host.scene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    return node.GetName() if node is not None else ""


def test_the_slice_of_another_volume_is_not_taken(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.scene.viewed_slice import viewed_slice

    first, second = load(host, sample, "A T2 sag"), load(host, sample, "B T2 sag")
    host.leave()
    host.show_volume(second)
    assert viewed_slice(first) is None
    assert viewed_slice(second) is not None


# -- other modules


def test_what_was_shown_before_is_shown_again_afterwards(host: Any, sample: Any) -> None:
    load(host, sample, "A T2 sag")
    host.leave()
    other = load(host, sample, "T1 sag")
    mine = host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.CreateDefaultDisplayNodes()
    mine.GetSegmentation().AddEmptySegment("tumour", "tumour")
    composite = host.scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    composite.SetForegroundVolumeID(other.GetID())
    host.open()
    settle(host)
    assert_shown(host, "A T2 sag", graded=False)
    host.leave()
    assert [background(host, view) for view in VIEWS] == ["T1 sag"] * 3
    assert composite.GetForegroundVolumeID() == other.GetID()
    assert drawn_over(host) == ["mine"]


@pytest.mark.parametrize("opened", [True, False])
def test_what_is_hidden_while_the_panel_is_open_is_not_lost_with_a_saved_scene(
    host: Any, sample: Any, tmp_path: Path, opened: bool
) -> None:
    load(host, sample, "A T2 sag")
    mine = host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.CreateDefaultDisplayNodes()
    mine.GetSegmentation().AddEmptySegment("tumour", "tumour")
    settle(host)
    assert drawn_over(host) == []
    host.core.save_scene(tmp_path / "open.mrb")
    if not opened:
        host.leave()
    host.core.clear()
    host.core.load_scene(tmp_path / "open.mrb")
    host.process_events()
    if opened:
        assert drawn_over(host) == []
        host.leave()
    assert drawn_over(host) == ["mine"]


def test_a_graded_volume_stays_in_the_views_and_other_segmentations_come_back(host: Any, sample: Any) -> None:
    mine = host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.CreateDefaultDisplayNodes()
    mine.GetSegmentation().AddEmptySegment("tumour", "tumour")
    first = grade(host, sample, "A T2 sag")
    assert_shown(host, "A T2 sag", graded=True)
    grade(host, sample, "B T2 sag")
    host.leave()
    assert background(host) == "B T2 sag"
    assert sorted(drawn_over(host)) == ["B T2 sag discs", "mine"]
    host.open()
    select_volume(host, first)
    assert_shown(host, "A T2 sag", graded=True)


def test_a_run_that_ends_in_another_module_leaves_its_views_alone(host: Any, sample: Any) -> None:
    load(host, sample, "A T2 sag")
    host.click(host.ui.gradeDiscsButton)
    host.leave()
    other = load(host, sample, "B T1 sag")
    before = [view.GetSliceToRAS().GetElement(0, 3) for view in views(host)]
    host.wait_until(lambda: not host.widget.panel.run.running)
    host.process_events()
    assert segmentation(host) is not None
    assert [background(host, view) for view in VIEWS] == [other.GetName()] * 3
    assert [view.GetSliceToRAS().GetElement(0, 3) for view in views(host)] == before
    assert drawn_over(host) == []
    host.open()
    settle(host)
    assert_shown(host, "A T2 sag", graded=True)


def views(host: Any) -> list[Any]:
    return [host.scene.GetNodeByID(f"vtkMRMLSliceNode{view}") for view in VIEWS]


# -- levels and visibility


@pytest.mark.parametrize("keep_below", [False, True])
def test_every_disc_stays_drawn_when_levels_change(host: Any, sample: Any, keep_below: bool) -> None:
    grade(host, sample)
    open_all(host)
    display = segmentation(host).GetDisplayNode()
    count = segmentation(host).GetSegmentation().GetNumberOfSegments()
    click_row(host, row_of(host, "L2-L3"))
    host.ui.keepBelowCheckBox.checked = keep_below
    host.ui.levelComboBox.setCurrentIndex(host.ui.levelComboBox.findText("L1-L2"))
    host.click(host.ui.setLevelButton)
    assert len(display.GetVisibleSegmentIDs()) == segmentation(host).GetSegmentation().GetNumberOfSegments()
    host.click(host.ui.undoButton)
    assert len(display.GetVisibleSegmentIDs()) == segmentation(host).GetSegmentation().GetNumberOfSegments() == count


@pytest.mark.parametrize("opened", [True, False])
def test_every_disc_stays_drawn_when_another_segmentation_is_deleted(host: Any, sample: Any, opened: bool) -> None:
    """Slicer's slice controllers turn to the discs then, with the visible segments of the one that is gone."""
    mine = host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.CreateDefaultDisplayNodes()
    mine.GetSegmentation().AddEmptySegment("tumour", "tumour")
    grade(host, sample)
    discs = host.widget.panel.case.segmentationNode
    discs.GetDisplayNode().SetSegmentVisibility("L2-L3", False)
    before = discs.GetDisplayNode().GetVisibleSegmentIDs()
    assert len(before) == discs.GetSegmentation().GetNumberOfSegments() - 1
    if not opened:
        host.leave()
    host.scene.RemoveNode(mine)
    host.process_events()
    assert discs.GetDisplayNode().GetVisibleSegmentIDs() == before


def test_hidden_discs_stay_hidden_when_one_is_corrected(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L2-L3"))
    host.click(host.ui.showDiscsCheckBox)
    host.click(host.ui.grade5Button)
    assert not segmentation(host).GetDisplayNode().GetVisibility()
    assert not host.ui.showDiscsCheckBox.checked


# -- the volume or the masks are changed elsewhere


def test_discs_follow_a_volume_that_is_moved(host: Any, sample: Any) -> None:
    import vtk

    node = grade(host, sample)
    open_all(host)
    transform = host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 80.0)
    transform.SetMatrixTransformToParent(matrix)
    before = host.widget.panel.case.result.disc("L3-L4").center_lps_mm
    node.SetAndObserveTransformNodeID(transform.GetID())
    settle(host)
    assert segmentation(host).GetTransformNodeID() == transform.GetID()
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.grade5Button)
    assert table(host)[row_of(host, "L3-L4")][2] == "V"
    after = host.widget.panel.case.result.disc("L3-L4").center_lps_mm
    assert after == pytest.approx((before[0], before[1], before[2] + 80.0), abs=0.01)
    assert not host.ui.gradeAgainButton.visible


def test_a_changed_volume_makes_its_result_stale(host: Any, sample: Any) -> None:
    node = grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L3-L4"))
    before = table(host)
    slicer.util.arrayFromVolume(node)[0, 0, :9] += 40
    slicer.util.arrayFromVolumeModified(node)
    settle(host)
    assert "was changed since it was graded" in host.ui.resultWarningsLabel.text
    assert drawn_over(host) == []
    assert not host.ui.correctWidget.enabled
    assert not host.ui.saveCollapsibleButton.enabled
    host.press(host.ui.resultTable, "5")
    assert table(host) == before
    host.click(host.ui.gradeAgainButton)
    finish(host)
    assert "was changed" not in host.ui.resultWarningsLabel.text
    assert host.ui.correctWidget.enabled
    assert_shown(host, "T2 sagittal", graded=True)


def test_a_correction_that_the_scene_does_not_take_changes_nothing(host: Any, sample: Any) -> None:
    """The key comes before the panel has looked."""
    node = grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L3-L4"))
    before = table(host)
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node)[1:].copy())
    host.qt.QTest.keyClick(host.ui.resultTable, "5")
    assert "was changed since it was graded" in host.ui.statusLabel.text
    assert table(host) == before
    assert host.widget.panel.case.corrections == ()
    assert host.ui.gradeAgainButton.visible


def test_a_mask_that_was_changed_elsewhere_is_said_at_once(host: Any, sample: Any) -> None:
    grade(host, sample)
    case = host.widget.panel.case
    draw(host, case, "L3-L4", lambda mask: np.roll(mask, 2, axis=0) | mask)
    settle(host)
    assert "The mask of L3\N{NON-BREAKING HYPHEN}L4 was changed" in host.ui.resultWarningsLabel.text
    assert table(host)[row_of(host, "L3-L4")][0] == "L3-L4 !"
    host.click(host.ui.takeBackButton)
    assert case.drawn_levels() == ()
    assert "!" not in table(host)[row_of(host, "L3-L4")][0]
    host.leave()
    draw(host, case, "L3-L4", lambda mask: np.roll(mask, 2, axis=0) | mask)
    host.open()
    host.click(host.ui.regradeDrawnButton)
    finish(host)
    assert table(host)[row_of(host, "L3-L4")][0] == "L3-L4 *"
    assert not host.ui.regradeDrawnButton.visible
    assert "was changed" not in host.ui.resultWarningsLabel.text


def test_a_mask_in_two_pieces_is_asked_about(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    case = host.widget.panel.case
    draw(host, case, "L3-L4", lambda mask: mask | np.roll(mask, 60, axis=0))
    click_regrade(host)
    assert not host.widget.panel.run.running
    assert "L3-L4" in host.ui.statusLabel.text
    assert "once more" in host.ui.statusLabel.text
    assert case.drawn_levels() == ("L3-L4",)
    click_regrade(host)
    finish(host)
    assert "mask edited" in host.ui.changesLabel.text


# -- what others draw


def test_a_segment_that_the_user_added_is_kept_and_offered_as_the_missing_disc(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    case = host.widget.panel.case
    click_row(host, row_of(host, "L5-S1"))
    host.ui.levelComboBox.setCurrentIndex(host.ui.levelComboBox.findText("L4-L5"))
    host.click(host.ui.setLevelButton)  # the lowest disc is L4-L5 now, and L5-S1 was not found
    assert table(host)[-1][:2] == ["L5-S1", "not found: find it or draw it"]
    added = segmentation(host).GetSegmentation().AddEmptySegment("mine", "L5-S1")
    mask = np.roll(case.drawn_mask("L4-L5"), 45, axis=0)
    draw_segment(host, case, added, mask)
    click_row(host, row_of(host, "L3-L4"))
    host.press(host.ui.resultTable, "5")
    assert np.array_equal(case.foreign_mask(added), mask)
    settle(host)
    assert "A segment is named L5\N{NON-BREAKING HYPHEN}S1" in host.ui.resultWarningsLabel.text
    host.click(host.ui.takeDiscButton)
    finish(host)
    assert table(host)[-1][0] == "L5-S1 *"
    assert "added by reader" in host.ui.changesLabel.text
    assert not host.ui.takeDiscButton.visible
    host.click(host.ui.undoButton)
    assert table(host)[-1] == ["L5-S1", "not found: find it or draw it", "", "", "", ""]
    assert np.array_equal(case.foreign_mask(added), mask)


# -- what comes first


def test_notices_stand_above_the_table_and_in_the_view(host: Any, sample: Any) -> None:
    from dataclasses import replace

    grade(host, sample)
    top = host.ui.gradingPage
    place = host.ui.noticesWidget.mapTo(top, host.qt.QPoint(0, 0)).y()
    assert place < host.ui.resultTable.mapTo(top, host.qt.QPoint(0, 0)).y()
    darker = replace(sample, voxels=sample.voxels.max() - sample.voxels)
    node = load(host, darker, "T2 sag inverted")
    select_volume(host, node)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    case = host.widget.panel.case
    if case is None:  # refused, which says why
        assert "T2" in host.ui.statusLabel.text
        return
    assert case.result.doubts
    assert host.ui.resultWarningsLabel.text.startswith(case.result.doubts[0][:20])
    texts = host.app.layoutManager().sliceWidget("Yellow").texts()
    assert case.result.doubts[0][:20] in " ".join(" ".join(texts).split())


def test_every_disc_that_is_drawn_has_a_row(host: Any, sample: Any) -> None:
    grade(host, sample)
    case = host.widget.panel.case
    assert [cells[0] for cells in table(host)] == [disc.level for disc in case.result.discs]
    highest = case.result.discs[0]
    x, y, z = highest.center_lps_mm
    host.app.layoutManager().sliceWidget("Yellow").click((-x, -y, z))
    assert host.widget.panel.result.level == highest.level


@pytest.mark.parametrize("width", [300, 400, 560])
def test_nothing_is_drawn_over_something_else(host: Any, sample: Any, width: int) -> None:
    """The sections get their least height, as in Slicer's panel."""
    grade(host, sample)
    host.representation.resize(width, 10)
    host.process_events()
    host.representation.resize(width, host.ui.gradingPage.parent().minimumSizeHint().height())
    host.process_events()
    shown = [host.ui.resultTable, host.ui.showDiscsCheckBox, host.ui.summaryLabel]
    for above, below in pairwise(shown):
        places = [widget.mapTo(host.ui.gradingPage, host.qt.QPoint(0, 0)).y() for widget in (above, below)]
        assert places[0] + above.height <= places[1]
    for label in (host.ui.summaryLabel, host.ui.resultWarningsLabel, host.ui.inputDoubtsLabel):
        assert not label.visible or label.height >= label.heightForWidth(label.width)
    rows = sum(host.ui.resultTable.rowHeight(row) for row in range(host.ui.resultTable.rowCount))
    assert host.ui.resultTable.viewport().height >= rows


def test_a_label_takes_no_more_room_than_its_text(host: Any, sample: Any) -> None:
    """The section was folded, so that its labels were narrow when they got their texts."""
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L4-L5"))
    settle(host)
    assert host.ui.selectedDiscLabel.height <= 2 * host.ui.selectedDiscLabel.fontMetrics().height()


def test_a_kept_corrected_result_can_be_opened_again(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L3-L4"))
    host.press(host.ui.resultTable, "5")
    assert not host.ui.resultComboBox.visible
    corrected = table(host)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert table(host) != corrected
    combo = host.ui.resultComboBox
    assert combo.visible
    assert combo.count == 2
    combo.setCurrentIndex(0)
    combo.activated.emit(0)
    host.process_events()
    assert table(host) == corrected
    assert drawn_over(host) == ["T2 sagittal discs"]


def test_no_sentence_outlives_its_scene(host: Any, sample: Any, tmp_path: Path) -> None:
    grade(host, sample)
    open_all(host)
    host.answer_file_dialogs(tmp_path / "t.csv")
    host.click(host.ui.saveTableButton)
    assert "Saved" in host.ui.statusLabel.text
    host.core.clear()
    host.process_events()
    assert host.ui.statusLabel.text == ""
    assert not host.ui.noticesWidget.visible
    assert host.app.layoutManager().sliceWidget("Yellow").texts() == []


def test_a_missing_level_is_looked_at_by_a_click_on_its_row(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L2-L3"))
    host.ui.levelComboBox.setCurrentIndex(host.ui.levelComboBox.findText("L1-L2"))
    host.ui.keepBelowCheckBox.checked = True
    host.click(host.ui.setLevelButton)  # between L1-L2 and L3-L4 a disc was missed
    discs = host.widget.panel.case.result
    expected = np.mean([discs.disc(level).center_lps_mm for level in ("L1-L2", "L3-L4")], axis=0)
    click_row(host, row_of(host, "L2-L3"))
    axial = host.scene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert axial.GetElement(2, 3) == pytest.approx(expected[2], abs=2.0)
    assert "L2-L3 was not found" in host.ui.selectedDiscLabel.text
    assert not host.ui.grade1Button.enabled
