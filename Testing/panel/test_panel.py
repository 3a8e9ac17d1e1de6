"""The panel, through its widgets: what a radiologist does and the dangerous moments in between."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_acts import click_regrade, click_row, draw, finish, grade, load, open_all, row_of, segmentation, table, tag

from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import ROMAN_GRADES
from LumbarDiscGradingLib.report.text import several_grades

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)


def scene_state(host: Any) -> list[str]:
    """Everything a user could lose or find changed."""
    nodes = (host.scene.GetNthNode(n) for n in range(host.scene.GetNumberOfNodes()))
    return sorted(f"{node.GetID()} {node.GetName()}" for node in nodes)


# -- opening and input


def test_the_mode_grade_discs_needs_no_heavy_library_to_open(checkout: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from slicer_host.application import SlicerHost\n"
        f"host = SlicerHost(Path({str(checkout / 'LumbarDiscGrading' / 'LumbarDiscGrading.py')!r}))\n"
        "import LumbarDiscGradingLib.panel.grading.tab\n"
        "print([name for name in ('torch', 'SimpleITK', 'scipy', 'pydicom') if name in sys.modules]); host.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_opening_the_panel_loads_no_torch(checkout: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from slicer_host.application import SlicerHost\n"
        f"host = SlicerHost(Path({str(checkout / 'LumbarDiscGrading' / 'LumbarDiscGrading.py')!r}))\n"
        "host.open(); print('torch' in sys.modules, host.violations()); host.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["False []"], done.stderr


def test_an_empty_scene_says_what_to_do_first(host: Any) -> None:
    assert not host.ui.gradeDiscsButton.enabled
    assert "Select" in host.ui.gradeDiscsButton.toolTip
    assert "load a sagittal T2 series, or the sample" in host.ui.inputDoubtsLabel.text
    assert host.ui.inputDoubtsLabel.visible
    assert not host.ui.resultWidget.visible


def test_the_sagittal_t2_is_picked_among_the_loaded_volumes(host: Any, sample: Any) -> None:
    host.leave()
    for name in ("localizer", "T1 sag", "T2 TSE sag", "STIR sag"):
        load(host, sample, name)
    axial = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 tra")
    slicer.util.updateVolumeFromArray(axial, np.random.default_rng(1).integers(0, 900, (12, 64, 64), dtype=np.int16))
    axial.SetSpacing(0.5, 0.5, 5.0)
    host.open()
    assert host.ui.inputSelector.currentNode().GetName() == "T2 TSE sag"
    assert host.ui.gradeDiscsButton.enabled
    assert not host.ui.inputDoubtsLabel.visible


def test_a_volume_that_is_loaded_while_the_panel_is_open_is_taken(host: Any, sample: Any) -> None:
    node = load(host, sample)
    assert host.ui.inputSelector.currentNode() is node


def test_the_sagittal_t2_is_taken_though_another_series_was_loaded_before(host: Any, sample: Any) -> None:
    other = load(host, sample, "T1 sag")
    assert host.ui.inputSelector.currentNode() is other
    node = load(host, sample, "T2 TSE sag")
    host.wait_until(lambda: host.ui.inputSelector.currentNode() is node)
    load(host, sample, "T2 TSE sag, another")
    host.qt.QTest.qWait(50)
    assert host.ui.inputSelector.currentNode() is node  # no likelier one
    host.ui.inputSelector.setCurrentNode(other)
    load(host, sample, "T2 TSE sag, a third")
    host.qt.QTest.qWait(50)
    assert host.ui.inputSelector.currentNode() is other  # the user's choice stays


def test_a_volume_whose_voxels_come_late_is_taken_too(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.scene.volumes import LPS_TO_RAS

    node = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 sagittal")
    host.process_events()
    assert host.ui.inputSelector.currentNode() is None
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(LPS_TO_RAS @ sample.stored_index_to_lps))
    slicer.util.updateVolumeFromArray(node, sample.to_stored(sample.voxels))
    host.wait_until(lambda: host.ui.inputSelector.currentNode() is node)


def test_doubts_are_said_before_anything_runs(host: Any, sample: Any) -> None:
    load(host, sample, "T1 sag")
    assert "another contrast than T2" in host.ui.inputDoubtsLabel.text
    assert host.ui.inputDoubtsLabel.visible
    assert host.ui.gradeDiscsButton.enabled


def test_what_cannot_be_graded_is_refused_with_the_reason(host: Any) -> None:
    axial = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 tra")
    slicer.util.updateVolumeFromArray(axial, np.random.default_rng(1).integers(0, 900, (12, 64, 64), dtype=np.int16))
    axial.SetSpacing(0.5, 0.5, 5.0)
    host.ui.inputSelector.setCurrentNode(axial)
    assert "No sagittal slices" in host.ui.inputDoubtsLabel.text
    assert not host.ui.gradeDiscsButton.enabled
    assert "No sagittal slices" in host.ui.gradeDiscsButton.toolTip


def test_the_slice_is_automatic_until_one_is_chosen(host: Any, sample: Any) -> None:
    load(host, sample)
    parameters = host.widget.panel.input
    assert host.ui.automaticSliceCheckBox.checked
    assert parameters.slice_index is None
    host.click(host.ui.automaticSliceCheckBox)
    host.ui.sliceSlider.value = 4
    assert parameters.slice_index == 4
    view = host.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
    assert -view.GetSliceToRAS().GetElement(0, 3) == pytest.approx(sample.slice_center_lps_mm(4)[0])
    x, y, z = sample.slice_center_lps_mm(9)
    view.JumpSliceByOffsetting(-x, -y, z)
    host.click(host.ui.useViewedSliceButton)
    assert parameters.slice_index == 9
    assert host.ui.sliceSlider.value == 9
    host.click(host.ui.automaticSliceCheckBox)
    assert parameters.slice_index is None


def test_looking_beside_the_volume_is_said(host: Any, sample: Any) -> None:
    load(host, sample)
    host.scene.GetNodeByID("vtkMRMLSliceNodeYellow").JumpSliceByOffsetting(500.0, 0.0, 0.0)
    host.click(host.ui.useViewedSliceButton)
    assert "shows no slice of this volume" in host.ui.statusLabel.text


def test_the_chosen_device_is_remembered_by_the_next_panel(host: Any) -> None:
    host.ui.modelsCollapsibleButton.collapsed = False
    combo = host.ui.deviceComboBox
    combo.setCurrentIndex(combo.findData("cpu"))
    combo.activated.emit(combo.currentIndex)
    host.close_panel()
    host.open()
    assert host.ui.deviceComboBox.itemData(host.ui.deviceComboBox.currentIndex) == "cpu"


# -- run


@needs_models
def test_grading_colors_the_discs_and_fills_the_table(host: Any, sample: Any) -> None:
    node = load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    assert host.ui.gradeDiscsButton.text == "Cancel"
    assert host.ui.progressBar.visible
    assert not host.ui.inputCollapsibleButton.enabled
    finish(host)
    assert host.ui.gradeDiscsButton.text == "Grade Discs"
    assert not host.ui.progressBar.visible
    rows = table(host)
    assert [row[0] for row in rows][-5:] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    result = host.widget.panel.case.result
    for cells, disc in zip(rows[-5:], result.discs[-5:], strict=True):
        assert cells[1].startswith(disc.group.value)
        assert ("?" in cells[1]) == (not disc.confident and len(disc.grade_set) < 2)
        assert cells[2] == (several_grades(disc.grade_set) or ROMAN_GRADES[disc.pfirrmann])
        assert float(cells[4]) == pytest.approx(disc.measurements.height_mm, abs=0.05)
        color = segmentation(host).GetSegmentation().GetSegment(disc.level).GetColor()
        assert tuple(round(255 * c) for c in color) == disc.group.color
    x = -host.scene.GetNodeByID("vtkMRMLSliceNodeYellow").GetSliceToRAS().GetElement(0, 3)
    assert x == pytest.approx(result.slice_center_lps_mm[0])
    assert node.GetName() in host.ui.summaryLabel.text
    assert "Graded on the CPU" in host.ui.summaryLabel.text or result.device != "cpu"
    assert host.widget.logic.getParameterNode().segmentation is segmentation(host)


@needs_models
def test_a_chosen_slice_is_graded(host: Any, sample: Any) -> None:
    load(host, sample)
    host.click(host.ui.automaticSliceCheckBox)
    host.ui.sliceSlider.value = 7
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert host.widget.panel.case.result.slice_index == 7
    assert "given by the user" in host.ui.summaryLabel.text


@needs_models
def test_grading_again_uses_the_same_nodes(host: Any, sample: Any) -> None:
    grade(host, sample)
    before = scene_state(host)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert scene_state(host) == before


@needs_models
def test_a_second_click_cancels_and_leaves_the_scene_as_it_was(host: Any, sample: Any) -> None:
    load(host, sample)
    before = scene_state(host)
    host.click(host.ui.gradeDiscsButton)
    host.click(host.ui.gradeDiscsButton)
    assert host.ui.gradeDiscsButton.text == "Grade Discs"
    assert host.ui.inputCollapsibleButton.enabled
    assert "Canceled" in host.ui.statusLabel.text
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert scene_state(host) == before
    host.click(host.ui.gradeDiscsButton)  # and it can be started again
    finish(host)
    assert host.ui.resultTable.rowCount >= 5


@needs_models
def test_closing_the_scene_during_a_run_stops_it(host: Any, sample: Any) -> None:
    load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    host.scene.Clear(False)
    host.core.add_views()
    assert not host.widget.panel.run.running
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert segmentation(host) is None
    assert not host.ui.gradeDiscsButton.enabled
    assert "scene was closed" in host.ui.statusLabel.text


@needs_models
def test_deleting_the_volume_during_a_run_stops_it(host: Any, sample: Any) -> None:
    node = load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    host.scene.RemoveNode(node)
    assert not host.widget.panel.run.running
    assert "volume was deleted" in host.ui.statusLabel.text
    host.wait_until(lambda: host.widget.panel.run.idle)
    assert segmentation(host) is None


@needs_models
def test_deleting_the_segmentation_during_a_new_run_does_no_harm(host: Any, sample: Any) -> None:
    grade(host, sample)
    host.click(host.ui.gradeDiscsButton)
    host.scene.RemoveNode(segmentation(host))
    assert host.ui.resultTable.rowCount == 0
    finish(host)
    assert host.ui.resultTable.rowCount >= 5
    assert segmentation(host) is not None


@needs_models
def test_deleting_the_segmentation_empties_the_table(host: Any, sample: Any) -> None:
    grade(host, sample)
    host.scene.RemoveNode(segmentation(host))
    assert host.ui.resultTable.rowCount == 0
    assert not host.ui.saveCollapsibleButton.enabled


@needs_models
def test_quitting_during_a_run_waits_for_the_thread(host: Any, sample: Any) -> None:
    import threading

    load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    host.app.emit("aboutToQuit()")
    assert "LumbarDiscGrading" not in [thread.name for thread in threading.enumerate()]
    host.process_events()
    assert segmentation(host) is None


@needs_models
def test_reloading_the_module_during_a_run_gives_a_panel_that_works(host: Any, sample: Any) -> None:
    former = {name: module for name, module in sys.modules.items() if name.startswith("LumbarDiscGrading")}
    load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    old = host.widget
    try:
        old.onReload()
        host.process_events()
        assert host.widget is not old
        assert host.ui.inputSelector.currentNode().GetName() == "T2 sagittal"
        assert host.ui.gradeDiscsButton.text == "Grade Discs"
        assert segmentation(host) is None
    finally:
        host.close_panel()
        for name in [name for name in sys.modules if name.startswith("LumbarDiscGradingLib")]:
            del sys.modules[name]
        sys.modules.update(former)


@needs_models
def test_without_torch_the_user_hears_what_to_do_and_the_panel_stays_usable(
    host: Any, sample: Any, monkeypatch: Any
) -> None:
    from LumbarDiscGradingLib.panel.shared import dependencies

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    assert "install the PyTorch extension" in host.ui.statusLabel.text
    assert host.ui.gradeDiscsButton.text == "Grade Discs"
    declined = types.SimpleNamespace(installTorch=lambda **options: None)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=lambda: declined))
    host.click(host.ui.gradeDiscsButton)
    assert "needs PyTorch, which was not installed" in host.ui.statusLabel.text
    monkeypatch.undo()
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert host.ui.resultTable.rowCount >= 5


@needs_models
def test_networks_are_warmed_up_when_a_volume_is_selected_and_never_for_a_review(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.panel.shared.graders import Graders

    asked: list[str] = []

    class WatchedGraders(Graders):
        def grader(self, device: str, *models: str) -> Any:
            asked.append(device)
            return super().grader(device, *models)

    def look_a_while() -> None:
        host.qt.QTest.qWait(900)
        host.wait_until(lambda: host.widget.panel.run.idle)

    host.ui.deviceComboBox.setCurrentIndex(host.ui.deviceComboBox.findData("auto"))  # others may have chosen
    host.widget.logic.graders = WatchedGraders()
    look_a_while()
    assert asked == []  # an open panel alone loads nothing
    host.widget.modes.show(1)
    load(host, sample)
    look_a_while()
    assert asked == []  # a review needs no networks
    host.widget.modes.show(0)
    host.wait_until(lambda: asked == ["auto"])
    load(host, sample, "T2 sagittal, again")
    look_a_while()
    assert asked == ["auto"]  # they are there


@needs_models
def test_a_graphics_card_without_memory_falls_back_to_the_cpu_and_says_so(
    host: Any, sample: Any, graders: Any, monkeypatch: Any
) -> None:
    import torch

    class FullCard(torch.nn.Module):
        def forward(self, batch: Any) -> Any:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(graders.grader("auto").segmenter, "network", FullCard())
    host.ui.deviceComboBox.setCurrentIndex(host.ui.deviceComboBox.findData("auto"))
    grade(host, sample)
    assert "graded on the CPU" in host.ui.resultWarningsLabel.text
    assert "ran out of memory" in host.widget.panel.case.result.device


@needs_models
def test_an_unexpected_failure_is_told_in_one_line(host: Any, sample: Any, graders: Any, monkeypatch: Any) -> None:
    import torch

    class Broken(torch.nn.Module):
        def forward(self, batch: Any) -> Any:
            raise RuntimeError("something broke\nwith details")

    monkeypatch.setattr(graders.grader("auto").segmenter, "network", Broken())
    host.ui.deviceComboBox.setCurrentIndex(host.ui.deviceComboBox.findData("auto"))
    load(host, sample)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert "something broke" in host.ui.statusLabel.text
    assert "\n" not in host.ui.statusLabel.text
    assert host.ui.gradeDiscsButton.enabled


def test_noise_is_refused_with_the_graders_sentence(host: Any, sample: Any) -> None:
    from dataclasses import replace

    blank = replace(sample, voxels=np.zeros_like(sample.voxels))
    load(host, blank)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert "blank" in host.ui.statusLabel.text
    assert segmentation(host) is None


@needs_models
def test_while_pytorch_is_installed_a_second_click_waits_and_grading_goes_on_at_the_end(
    host: Any, sample: Any, monkeypatch: Any
) -> None:
    node = load(host, sample)
    asked = install_by(monkeypatch, lambda: host.click(host.ui.gradeDiscsButton))
    host.click(host.ui.gradeDiscsButton)
    assert len(asked) == 1
    assert host.widget.panel.run.running
    finish(host)
    assert host.ui.resultTable.rowCount >= 5
    asked = install_by(monkeypatch, lambda: host.scene.RemoveNode(node))
    host.click(host.ui.gradeDiscsButton)
    assert len(asked) == 1
    assert not host.widget.panel.run.running


def install_by(monkeypatch: Any, meanwhile: Any) -> list[None]:
    """Let PyTorch be missing until it is installed, and something happen meanwhile; return how often it was asked."""
    from importlib.util import find_spec

    from LumbarDiscGradingLib.panel.shared import dependencies

    asked: list[None] = []

    def install(**options: Any) -> Any:
        asked.append(None)
        if len(asked) == 1:
            meanwhile()
        monkeypatch.setattr(dependencies, "find_spec", find_spec)
        return object()

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    utilities = types.SimpleNamespace(installTorch=install)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=lambda: utilities))
    return asked


STEPS = 300


def test_work_goes_on_though_the_main_thread_keeps_pythons_lock(host: Any) -> None:
    """Slicer's main thread waits for events with the lock in its hand; a network needs the lock after each step."""
    import time

    def work(progress: Any) -> bool:
        for _step in range(STEPS):
            time.sleep(0)
        return True

    ended: list[Any] = []
    run = host.widget.panel.run
    run.run(work, ended.append)
    looks = 0
    while not ended:
        sum(range(200_000))  # gives the lock to nobody
        run.poll()
        looks += 1
    assert ended[0]
    assert looks < STEPS / 3


# -- result


@needs_models
def test_rows_and_discs_select_each_other(host: Any, sample: Any) -> None:
    grade(host, sample)
    case = host.widget.panel.case
    click_row(host, row_of(host, "L4-L5"))
    disc = case.result.disc("L4-L5")
    for view in ("Red", "Green", "Yellow"):
        matrix = host.scene.GetNodeByID(f"vtkMRMLSliceNode{view}").GetSliceToRAS()
        normal = np.array([matrix.GetElement(n, 2) for n in range(3)])
        offset = np.array([matrix.GetElement(n, 3) for n in range(3)]) - np.array([-1, -1, 1]) * disc.center_lps_mm
        assert abs(offset @ normal) < 0.01
    display = segmentation(host).GetDisplayNode()
    assert display.GetSegmentOpacity2DFill("L4-L5") > display.GetSegmentOpacity2DFill("L3-L4")
    x, y, z = case.result.disc("L3-L4").center_lps_mm
    host.ui.gradeDiscsButton.setFocus()
    host.app.layoutManager().sliceWidget("Yellow").click((-x, -y, z))
    assert host.widget.panel.result.level == "L3-L4"
    assert "L3-L4" in host.ui.selectedDiscLabel.text
    host.qt.QTest.keyClick(host.qt_application.focusWidget(), "5")
    assert case.result.disc("L3-L4").pfirrmann == 5  # the keys work after a click in a view too
    host.app.layoutManager().sliceWidget("Yellow").click((900.0, 900.0, 900.0))  # beside the image: nothing happens
    assert host.widget.panel.result.level == "L3-L4"


@needs_models
def test_one_key_hides_and_shows_and_the_slider_sets_the_opacity(host: Any, sample: Any) -> None:
    grade(host, sample)
    display = segmentation(host).GetDisplayNode()
    host.press(host.ui.resultTable, "g")
    assert not display.GetVisibility()
    host.press(host.ui.resultTable, "g")
    assert display.GetVisibility()
    display.SetVisibility(False)  # with the key G of the slice view
    host.press(host.ui.resultTable, "g")
    assert display.GetVisibility()
    assert host.ui.showDiscsCheckBox.checked
    host.click(host.ui.showDiscsCheckBox)
    assert not display.GetVisibility()
    host.ui.opacitySlider.value = 60
    assert display.GetOpacity2DFill() == pytest.approx(0.6)


# -- corrections


@needs_models
def test_keys_1_to_5_set_the_grade_and_it_is_kept_everywhere(host: Any, sample: Any, tmp_path: Path) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L4-L5"))
    host.press(host.ui.resultTable, "3")
    cells = table(host)[row_of(host, "L4-L5")]
    assert cells[0] == "L4-L5 *"
    assert cells[1:3] == ["moderate", "III"]
    assert "L4-L5: Pfirrmann III set by reader" in host.ui.changesLabel.text
    assert tag(host, "L4-L5", "Group") == "moderate"
    assert "set by reader" in tag(host, "L4-L5", "ManualChanges")
    host.answer_file_dialogs(tmp_path / "t.csv")
    host.click(host.ui.saveTableButton)
    rows = {row["level"]: row for row in csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8"))}
    assert (rows["L4-L5"]["pfirrmann"], rows["L4-L5"]["group"]) == ("3", "moderate")
    assert "set by reader" in rows["L4-L5"]["manual_changes"]
    host.answer_file_dialogs(tmp_path / "t.json")
    host.click(host.ui.saveTableButton)
    discs = {d["level"]: d for d in json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["discs"]}
    assert discs["L4-L5"]["pfirrmann"] == 3
    assert discs["L4-L5"]["manual_changes"]
    host.click(host.ui.copyReportButton)
    report = host.app.clipboard().text()
    assert "Pfirrmann III set by reader" in report
    assert "research use" in report


@needs_models
def test_a_disc_is_marked_not_assessable_and_everything_is_undone(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    before = table(host)
    click_row(host, row_of(host, "L5-S1"))
    host.click(host.ui.notAssessableButton)
    assert table(host)[-1][1] == "not assessable"
    assert tuple(round(255 * c) for c in segmentation(host).GetSegmentation().GetSegment("L5-S1").GetColor()) == (
        204,
        121,
        167,
    )
    host.click(host.ui.grade2Button)
    assert table(host)[-1][1:3] == ["mild", "II"]
    host.click(host.ui.undoButton)
    assert table(host)[-1][1] == "not assessable"
    host.click(host.ui.undoButton)
    assert table(host) == before
    assert not host.ui.undoButton.enabled


@needs_models
def test_setting_one_level_moves_the_others_along(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    before = [cells[0] for cells in table(host)]
    click_row(host, row_of(host, "L5-S1"))
    combo = host.ui.levelComboBox
    combo.setCurrentIndex(combo.findText("L6-S1"))
    host.click(host.ui.setLevelButton)
    levels = [cells[0].removesuffix(" *") for cells in table(host)]
    assert levels[-3:] == ["L4-L5", "L5-L6", "L6-S1"]
    segments = segmentation(host).GetSegmentation()
    assert segments.GetSegmentIdBySegmentName("L6-S1") == "L5-S1"  # the ID is that of the disc for life
    assert "L5-S1" not in host.widget.panel.case.result.missing_levels
    assert host.widget.panel.result.level == "L6-S1"  # the same disc under its new name
    host.click(host.ui.undoButton)
    assert [cells[0] for cells in table(host)] == before


@needs_models
def test_an_edited_mask_is_graded_again_alone(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    case = host.widget.panel.case
    others = {disc.level: disc for disc in case.result.discs if disc.level != "L3-L4"}
    before = case.result.disc("L3-L4")
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.editMaskButton)
    editor = host.ui.segmentEditorWidget
    assert editor.visible
    assert editor.shortcutsInstalled
    assert editor.mrmlSegmentEditorNode().GetSelectedSegmentID() == "L3-L4"
    host.press(host.ui.resultTable, "5")  # this key is the editor's now
    assert case.result.disc("L3-L4") == before
    click_regrade(host)
    assert "No mask has been changed" in host.ui.statusLabel.text
    draw(host, case, "L3-L4", lambda mask: np.roll(mask, 2, axis=0) | mask)
    click_regrade(host)
    finish(host)
    after = host.widget.panel.case.result.disc("L3-L4")
    assert after.measurements.area_mm2 > before.measurements.area_mm2
    assert "mask edited" in host.ui.changesLabel.text
    assert {disc.level: disc for disc in case.result.discs if disc.level != "L3-L4"} == others
    assert not editor.visible
    assert not editor.shortcutsInstalled
    assert editor.calls.count("removeViewObservations") == editor.calls.count("setupViewObservations")
    host.click(host.ui.undoButton)
    assert case.result.disc("L3-L4") == before
    assert not case.mask_was_drawn("L3-L4")


@needs_models
def test_grading_again_keeps_a_corrected_result(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L3-L4"))
    host.press(host.ui.resultTable, "5")
    corrected = segmentation(host)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert host.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    assert "is kept" in host.ui.statusLabel.text
    assert not corrected.GetDisplayVisibility()
    from LumbarDiscGradingLib.scene.graded_case import GradedCase

    assert GradedCase.from_segmentation(corrected).result.disc("L3-L4").pfirrmann == 5
    assert not host.ui.undoButton.enabled


@needs_models
def test_a_drawn_mask_is_not_lost_when_the_user_goes_on(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    case = host.widget.panel.case
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.editMaskButton)
    draw(host, case, "L3-L4", lambda mask: np.roll(mask, 2, axis=0) | mask)
    for button in (host.ui.grade2Button, host.ui.gradeDiscsButton, host.ui.copyReportButton, host.ui.saveTableButton):
        host.ui.statusLabel.text = ""
        host.click(button)
        assert "The mask of L3-L4 was changed" in host.ui.statusLabel.text
    click_row(host, row_of(host, "L1-L2"))
    assert host.widget.panel.run.running
    finish(host)
    assert "mask edited by reader, graded again" in case.result.disc("L3-L4").changes
    assert host.widget.panel.result.level == "L3-L4" or host.ui.undoButton.enabled
    host.click(host.ui.editMaskButton)
    level = host.widget.panel.correct.edited_level
    draw(host, case, level, lambda mask: np.roll(mask, 2, axis=0))
    click_regrade(host)
    host.click(host.ui.gradeDiscsButton)  # cancel: what was drawn stays, and is said
    assert case.mask_was_drawn(level)
    host.wait_until(lambda: host.widget.panel.run.idle and host.ui.takeBackButton.visible)
    host.click(host.ui.takeBackButton)
    assert not case.mask_was_drawn(level)


@needs_models
def test_masks_drawn_in_another_module_are_graded_together_or_taken_back(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    case = host.widget.panel.case
    for level in ("L1-L2", "L3-L4"):
        draw(host, case, level, lambda mask: np.roll(mask, 1, axis=0) | mask)
    click_row(host, row_of(host, "L5-S1"))
    host.press(host.ui.resultTable, "2")
    assert "The mask of L1-L2, L3-L4 was changed" in host.ui.statusLabel.text
    click_regrade(host)
    finish(host)
    edited = [disc.level for disc in case.result.discs if disc.changes]
    assert edited == ["L1-L2", "L3-L4"]
    draw(host, case, "L4-L5", lambda mask: np.roll(mask, 1, axis=0))
    host.click(host.ui.undoButton)
    assert case.drawn_levels() == ()
    assert [disc.level for disc in case.result.discs if disc.changes] == edited


@needs_models
def test_leaving_the_editor_takes_back_an_empty_mask(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.editMaskButton)
    draw(host, host.widget.panel.case, "L3-L4", lambda mask: np.zeros_like(mask))
    host.leave()
    assert "is empty" in host.ui.statusLabel.text
    assert not host.ui.segmentEditorWidget.shortcutsInstalled
    assert not host.widget.panel.case.mask_was_drawn("L3-L4")
    host.open()
    assert not host.ui.editMaskButton.checked


# -- save, scene, models, sample


@needs_models
def test_everything_comes_back_with_a_saved_scene(host: Any, sample: Any, tmp_path: Path) -> None:
    grade(host, sample)
    open_all(host)
    click_row(host, row_of(host, "L2-L3"))
    host.press(host.ui.resultTable, "4")
    before = table(host)
    host.core.save_scene(tmp_path / "case.mrb")
    host.core.clear()
    host.process_events()
    assert host.ui.resultTable.rowCount == 0
    host.core.load_scene(tmp_path / "case.mrb")
    host.process_events()
    assert table(host) == before
    assert host.ui.inputSelector.currentNode().GetName() == "T2 sagittal"
    click_row(host, row_of(host, "L2-L3"))
    assert "L2-L3" in host.ui.selectedDiscLabel.text
    host.click(host.ui.undoButton)
    assert "*" not in "".join(cells[0] for cells in table(host))


@needs_models
def test_segmentation_and_picture_are_saved(host: Any, sample: Any, tmp_path: Path) -> None:
    from PIL import Image

    grade(host, sample)
    open_all(host)
    host.answer_file_dialogs(tmp_path / "x.seg.nrrd")
    host.click(host.ui.saveSegmentationButton)
    assert "Saved" in host.ui.statusLabel.text
    loaded = host.core.module_logics["Segmentations"].LoadSegmentationFromFile(str(tmp_path / "x.seg.nrrd"))
    assert loaded.GetSegmentation().GetSegment("L4-L5") is not None
    host.answer_file_dialogs(tmp_path / "picture")
    host.click(host.ui.savePictureButton)
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width > 1000
    host.answer_file_dialogs("")
    host.ui.statusLabel.text = "before"
    host.click(host.ui.savePictureButton)
    assert host.ui.statusLabel.text == "before"


@needs_models
def test_what_cannot_be_saved_is_not_called_saved(host: Any, sample: Any, tmp_path: Path) -> None:
    grade(host, sample)
    open_all(host)
    for button in (host.ui.saveSegmentationButton, host.ui.saveTableButton, host.ui.savePictureButton):
        host.answer_file_dialogs(tmp_path / "no such folder" / "x.csv")
        host.click(button)
        assert "could not be saved" in host.ui.statusLabel.text


@needs_models
def test_a_model_is_installed_from_a_file_and_used(host: Any, sample: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import shutil

    from LumbarDiscGradingLib.models import store

    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path / "models"))
    source = store.find_model(None, "grading").folder
    copy = tmp_path / "mine"
    shutil.copytree(source, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["name"] = "my-spinenet"
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", copy)
    host.ui.modelsCollapsibleButton.collapsed = False
    host.process_events()
    host.answer_file_dialogs(archive)
    host.click(host.ui.installModelButton)
    assert "installed" in host.ui.statusLabel.text
    assert "my-spinenet" in host.ui.gradingModelComboBox.currentText
    host.click(host.ui.modelCardButton)
    assert host.ui.modelCardBrowser.visible
    assert "Measured" in host.ui.modelCardBrowser.toPlainText()
    grade(host, sample)
    assert "my-spinenet" in [model.name for model in host.widget.panel.case.result.models]
    (tmp_path / "bad.zip").write_text("no zip")
    host.answer_file_dialogs(tmp_path / "bad.zip")
    host.ui.inputSummaryButton.click()
    host.click(host.ui.installModelButton)
    assert "not a readable zip" in host.ui.statusLabel.text


def test_the_sample_is_made_by_code_and_selected(host: Any) -> None:
    host.ui.criteriaCollapsibleButton.collapsed = False
    host.process_events()
    host.click(host.ui.loadSampleButton)
    finish(host)
    assert host.ui.inputSelector.currentNode().GetName() == "Lumbar phantom T2 sagittal"
    assert host.ui.gradeDiscsButton.enabled


@needs_models
def test_one_line_grades_without_a_main_window(host: Any, sample: Any, graders: Any) -> None:
    host.close_panel()
    host.app.hasMainWindow = False
    try:
        node = load(host, sample)
        logic = host.module.LumbarDiscGradingLogic()
        logic.graders = graders
        results = logic.process(node, sliceIndex=6, device="cpu")
        assert results.result.slice_index == 6
        assert results.segmentationNode.GetSegmentation().GetNumberOfSegments() == len(results.result.discs)
        host.open()
        assert host.ui.resultTable.rowCount >= 5
    finally:
        host.app.hasMainWindow = True


def test_the_modules_own_test_passes_with_a_panel(host: Any) -> None:
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(host.module.LumbarDiscGradingTest)
    outcome = unittest.TestResult()
    suite.run(outcome)
    assert outcome.testsRun >= 4
    assert [text for _, text in outcome.failures + outcome.errors] == []


def test_a_working_folder_that_was_removed_does_not_end_slicer(checkout: Path, tmp_path: Path) -> None:
    """A broken scene bundle leaves Slicer in a removed folder; torch ends the process when it is loaded there."""
    if set(default_model_names()) != {"segmentation", "grading"}:
        pytest.skip("no trained models are in Resources/Models")
    code = (
        f"import os, sys, shutil; sys.path[:0] = {sys.path!r}\n"
        "os.makedirs('gone'); os.chdir('gone'); shutil.rmtree('../gone')\n"
        "from LumbarDiscGradingLib.panel.shared.graders import Graders\n"
        "print(Graders().grader('cpu').device_name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "cpu", done.stderr
