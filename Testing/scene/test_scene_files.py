"""Scenes that the command line writes, as Slicer finds them: segments in *Data*, discs shown, work that goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the package slicer-core is not installed")

import slicer
import vtk
from example_results import analytic_result

from LumbarDiscGradingLib.grading.corrections import DiscAdded, DiscRemoved, GradeSet, NotAssessable, corrected
from LumbarDiscGradingLib.grading.result import TakenOut
from LumbarDiscGradingLib.headless.core import SlicerCore
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS
from LumbarDiscGradingLib.scene.files import write_scene
from LumbarDiscGradingLib.scene.graded_case import GradedCase, graded_cases
from LumbarDiscGradingLib.scene.results import LumbarDiscGradingResults
from LumbarDiscGradingLib.scene.volumes import volume_node_from

LEVELS = ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]


@pytest.fixture(scope="module")
def running_core():
    with SlicerCore() as core:
        yield core


@pytest.fixture
def core(running_core):
    """A core with an empty scene; VTK and MRML must not have complained when the test ends."""
    running_core.clear()
    yield running_core
    complaints = [*running_core.errors, *running_core.warnings]
    running_core.errors.clear()
    running_core.warnings.clear()
    assert complaints == []


def only(scene, class_name):
    assert scene.GetNumberOfNodesByClass(class_name) == 1
    return scene.GetFirstNodeByClass(class_name)


def children(hierarchy, item):
    ids = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, ids)
    return [ids.GetId(n) for n in range(ids.GetNumberOfIds())]


def segments_in_data(node):
    """Return name and segment ID of what *Data* lists below a segmentation, found as Slicer finds them."""
    hierarchy = node.GetScene().GetSubjectHierarchyNode()
    listed = []
    for item in children(hierarchy, hierarchy.GetItemByDataNode(node)):
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        assert logic.GetSegmentationNodeForSegmentSubjectHierarchyItem(item, node.GetScene()) is node
        assert logic.GetSegmentForSegmentSubjectHierarchyItem(item, node.GetScene()) is not None
        assert hierarchy.GetItemOwnerPluginName(item) == "Segments"
        assert hierarchy.GetItemLevel(item) == "VirtualBranch"
        listed.append((hierarchy.GetItemName(item), hierarchy.GetItemAttribute(item, "segmentID")))
    return listed


def in_scene(core, result):
    volume = volume_node_from(result.volume, "T2", core.scene)
    return volume, GradedCase.write_new(volume, result)


@pytest.mark.parametrize("name", ["x.mrb", "x.mrml"])
def test_a_scene_lists_each_disc_below_its_segmentation(core, tmp_path, name):
    if name.endswith(".mrb"):
        write_scene(analytic_result(), tmp_path / name, core)
    else:
        in_scene(core, analytic_result())
        core.save_scene(tmp_path / name)
        core.clear()
    core.load_scene(tmp_path / name)
    node = only(core.scene, "vtkMRMLSegmentationNode")
    assert segments_in_data(node) == [(level, level) for level in LEVELS]
    hierarchy = core.scene.GetSubjectHierarchyNode()
    top = {hierarchy.GetItemName(item) for item in children(hierarchy, hierarchy.GetSceneItemID())}
    assert top == {node.GetName() for node in (only(core.scene, "vtkMRMLScalarVolumeNode"), node)} | {
        only(core.scene, "vtkMRMLTableNode").GetName()
    }


def test_a_scene_read_into_a_scene_with_data_keeps_both(core, tmp_path):
    write_scene(analytic_result(), tmp_path / "x.mrb", core)
    _, case = in_scene(core, analytic_result((3, 60, 40), slice_index=1))
    core.scene.ReadFromMRB(str(tmp_path / "x.mrb"), False)
    assert core.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    for n in range(2):
        node = core.scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        assert [level for level, _ in segments_in_data(node)] == LEVELS
    assert case.is_alive()


def test_segments_that_are_renamed_added_or_removed_are_so_in_data(core):
    _, case = in_scene(core, analytic_result((3, 60, 40), slice_index=1))
    segmentation = case.segmentationNode.GetSegmentation()
    segmentation.GetSegment("L4-L5").SetName("the disc")
    segmentation.RemoveSegment("L5-S1")
    segmentation.AddEmptySegment("mine", "drawn by hand")
    names = [name for name, _ in segments_in_data(case.segmentationNode)]
    assert names == [*LEVELS[:4], "the disc", "drawn by hand"]
    hierarchy = core.scene.GetSubjectHierarchyNode()
    core.scene.RemoveNode(case.segmentationNode)
    left = children(hierarchy, hierarchy.GetSceneItemID())
    assert [hierarchy.GetItemName(item) for item in left] == ["T2", "T2 grades"]


def test_a_node_without_an_item_in_the_file_gets_it_with_its_segments(core, tmp_path):
    _, case = in_scene(core, analytic_result((3, 60, 40), slice_index=1))
    hierarchy = core.scene.GetSubjectHierarchyNode()
    hierarchy.RemoveItem(hierarchy.GetItemByDataNode(case.segmentationNode), False, False)
    core.save_scene(tmp_path / "x.mrb")
    core.load_scene(tmp_path / "x.mrb")
    node = only(core.scene, "vtkMRMLSegmentationNode")
    assert [level for level, _ in segments_in_data(node)] == LEVELS


def test_all_discs_of_a_scene_are_shown_in_slice_views(core, tmp_path):
    write_scene(analytic_result(), tmp_path / "x.mrb", core)
    core.load_scene(tmp_path / "x.mrb")
    node = only(core.scene, "vtkMRMLSegmentationNode")
    display = node.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    shown = vtk.vtkStringArray()
    display.GetVisibleSegmentIDs(shown)
    assert [shown.GetValue(n) for n in range(shown.GetNumberOfValues())] == LEVELS
    assert all(display.GetSegmentVisibility2DFill(level) for level in LEVELS)
    assert all(display.GetSegmentVisibility2DOutline(level) for level in LEVELS)


@pytest.mark.parametrize("name", ["case", "3: t2_tse_sag", "Fall Ärzte/2 *Süd*?"])
def test_the_module_goes_on_where_the_command_line_ended(core, tmp_path, name):
    result = replace(analytic_result(name=name), warnings=("Look at it.",), missing_levels=("L5-L6",))
    result = corrected(result, [GradeSet("L4-L5", 2), NotAssessable("L1-L2"), DiscRemoved("T12-L1")])
    write_scene(result, tmp_path / "x.mrb", core)
    core.load_scene(tmp_path / "x.mrb")
    volume = only(core.scene, "vtkMRMLScalarVolumeNode")
    (case,) = graded_cases(volume)
    assert volume.GetName() == name
    assert case.tableNode is only(core.scene, "vtkMRMLTableNode")
    assert case.result.discs == result.discs
    assert (case.result.warnings, case.result.missing_levels) == (result.warnings, result.missing_levels)
    assert case.result.taken_out == result.taken_out == (TakenOut("T12-L1", "T12-L1"),)
    np.testing.assert_array_equal(case.result.label_slice, result.label_slice)
    assert case.drawn_levels() == ()
    case.correct(GradeSet("L5-S1", 3))
    assert case.result.disc("L5-S1").pfirrmann == 3
    assert case.segmentationNode is only(core.scene, "vtkMRMLSegmentationNode")


def test_a_disc_that_was_taken_out_and_found_again_is_kept_and_undone_in_a_scene_that_was_saved(core, tmp_path):
    result = analytic_result()
    mask = result.label_slice == DISC_LABELS["L5-S1"]
    _volume, case = in_scene(core, result)
    case.correct(DiscRemoved("L5-S1"))
    assert [level for level, _ in segments_in_data(case.segmentationNode)] == LEVELS[:-1]
    case.correct(DiscAdded(result.disc("L5-S1"), mask, found_on_slice=1))
    core.save_scene(tmp_path / "x.mrb")
    core.load_scene(tmp_path / "x.mrb")
    (case,) = graded_cases(only(core.scene, "vtkMRMLScalarVolumeNode"))
    assert [level for level, _ in segments_in_data(case.segmentationNode)] == LEVELS
    np.testing.assert_array_equal(case.drawn_mask("L5-S1"), mask)
    stored = case.result.volume.stored_slice_index(1)
    assert case.result.disc("L5-S1").changes == (f"added by reader, found on slice {stored}",)
    case.undo()
    assert (case.result.missing_levels, case.segment_id("L5-S1")) == (("L5-S1",), "")
    case.undo()
    assert case.result.disc("L5-S1").changes == ()
    np.testing.assert_array_equal(case.drawn_mask("L5-S1"), mask)
    assert case.undo() is None


def test_what_is_written_again_is_listed_once(core):
    volume, case = in_scene(core, analytic_result((3, 60, 40), slice_index=1))
    for _ in range(3):
        case.rewrite()
    assert [level for level, _ in segments_in_data(case.segmentationNode)] == LEVELS
    LumbarDiscGradingResults(case.result).write(volume)
    for n in range(2):
        node = core.scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        assert [level for level, _ in segments_in_data(node)] == LEVELS
