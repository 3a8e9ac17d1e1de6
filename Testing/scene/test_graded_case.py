"""A graded volume in the scene through what users do to it: moved, changed, renamed, drawn upon, saved and loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the package slicer-core is not installed")

import slicer
import vtk
from example_results import analytic_result
from slicer.util import arrayFromVolume, arrayFromVolumeModified

from LumbarDiscGradingLib.grading.corrections import DiscAdded, GradeSet, LevelSet, MaskEdited
from LumbarDiscGradingLib.headless.core import SlicerCore
from LumbarDiscGradingLib.imaging.volume import ImagingError
from LumbarDiscGradingLib.report.tables import grade_rows
from LumbarDiscGradingLib.scene.graded_case import Fit, GradedCase, graded_cases, unreadable_cases
from LumbarDiscGradingLib.scene.segments import oriented_image
from LumbarDiscGradingLib.scene.volumes import volume_node_from

LABELMAP = "Binary labelmap"


@pytest.fixture(scope="module")
def running_core():
    with SlicerCore() as core:
        yield core


@pytest.fixture
def core(running_core):
    running_core.clear()
    yield running_core
    complaints = running_core.errors[:]
    running_core.errors.clear()
    running_core.warnings.clear()
    assert complaints == []


@pytest.fixture(params=[((0, 1, 2), (False, False, False)), ((2, 0, 1), (True, False, True))])
def case(core, request):
    """A graded case of six discs, the volume stored in two orders."""
    axes, flipped = request.param
    result = analytic_result(stored_axes=axes, stored_flipped=flipped, oblique_degrees=7)
    return GradedCase.write_new(volume_node_from(result.volume, "T2", core.scene), result)


def turned(degrees: float = 12.0) -> vtk.vtkTransform:
    transform = vtk.vtkTransform()
    transform.Translate(15, -40, 22)
    transform.RotateZ(degrees)
    return transform


def put_below_transform(*nodes) -> None:
    parent = nodes[0].GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    parent.SetMatrixTransformToParent(turned().GetMatrix())
    for node in nodes:
        node.SetAndObserveTransformNodeID(parent.GetID())


def harden(*nodes) -> None:
    for node in nodes:
        node.ApplyTransform(turned())


def centroids_ras(case: GradedCase) -> dict[str, np.ndarray]:
    """Return where each disc's segment lies in the world, as Slicer draws it."""
    found = {}
    for disc in case.result.discs:
        center = case.segmentationNode.GetSegmentCenterRAS(case.segment_id(disc.level))
        found[disc.level] = np.array(center)
    return found


def assert_discs_lie_on_the_spine(case: GradedCase) -> None:
    for disc in case.result.discs:
        mask = np.argwhere(case.result.label_slice == disc.label_value).mean(axis=0)
        expected = np.array(case.result.volume.lps_mm(case.result.slice_index, *mask)) * (-1, -1, 1)
        box_middle = centroids_ras(case)[disc.level]
        assert np.linalg.norm(box_middle - expected) < 6.0, disc.level  # the middle of a box is near the centroid
        assert disc.center_lps_mm == pytest.approx(expected * (-1, -1, 1), abs=0.01)


def draw(case: GradedCase, segment_id: str, mask: np.ndarray) -> None:
    """Draw a mask into a segment as the Segment Editor does: an image of its own on the volume's grid."""
    labels = np.zeros(case.result.volume.voxels.shape, dtype=np.uint8)
    labels[case.result.slice_index] = mask
    segmentation = case.segmentationNode.GetSegmentation()
    segment = segmentation.GetSegment(segment_id)
    segmentation.SeparateSegmentLabelmap(segment_id)
    segment.SetLabelValue(1)
    segment.AddRepresentation(LABELMAP, oriented_image(case.result.volume.to_stored(labels), case.volumeNode))


MOVES = {
    "the volume below a transform": lambda case: put_below_transform(case.volumeNode),
    "both below a transform": lambda case: put_below_transform(case.volumeNode, case.segmentationNode),
    "the volume hardened": lambda case: harden(case.volumeNode),
    "both hardened": lambda case: harden(case.volumeNode, case.segmentationNode),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_moved_volume_is_followed(case, move):
    before = centroids_ras(case)
    move(case)
    assert case.fit() is Fit.MOVED
    case.follow()
    assert case.fit() is Fit.FITS
    assert_discs_lie_on_the_spine(case)
    matrix = turned().GetMatrix()
    for level, place in centroids_ras(case).items():
        assert place == pytest.approx(matrix.MultiplyPoint((*before[level], 1.0))[:3], abs=2.0)
    assert case.drawn_levels() == ()


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_a_correction_after_a_move_is_kept_in_scene_and_table(case, move):
    move(case)
    case.correct(GradeSet("L4-L5", 2))
    assert case.fit() is Fit.FITS
    assert_discs_lie_on_the_spine(case)
    table = case.tableNode
    cells = [[table.GetCellText(r, c) for c in range(table.GetNumberOfColumns())] for r in range(6)]
    assert cells == [list(row.values()) for row in grade_rows(case.result)]
    assert case.undo() is not None


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_what_was_drawn_and_what_others_drew_moves_along(case, move):
    segmentation = case.segmentationNode.GetSegmentation()
    drawn = np.roll(case.drawn_mask("L2-L3"), 3, axis=0)
    draw(case, "L2-L3", drawn)
    foreign = segmentation.AddEmptySegment("note", "note")
    note = np.roll(case.drawn_mask("L4-L5"), 9, axis=1)
    draw(case, foreign, note)
    move(case)
    case.follow()
    assert case.drawn_levels() == ("L2-L3",)
    np.testing.assert_array_equal(case.drawn_mask("L2-L3"), drawn)
    np.testing.assert_array_equal(case.foreign_mask(foreign), note)


def test_a_moved_volume_is_followed_after_the_scene_was_loaded(core, case, tmp_path):
    before = {disc.level: case.drawn_mask(disc.level) for disc in case.result.discs}
    harden(case.volumeNode)
    core.save_scene(tmp_path / "case.mrb")
    core.load_scene(tmp_path / "case.mrb")
    volume = core.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    (loaded,) = graded_cases(volume)
    assert loaded.fit() is Fit.MOVED
    loaded.follow()
    assert_discs_lie_on_the_spine(loaded)
    assert loaded.drawn_levels() == ()
    for level, mask in before.items():
        np.testing.assert_array_equal(loaded.drawn_mask(level), mask)


def test_a_saved_case_fits_its_volume(core, case, tmp_path):
    case.correct(LevelSet("L5-S1", "L6-S1"))
    core.save_scene(tmp_path / "case.mrb")
    core.load_scene(tmp_path / "case.mrb")
    (loaded,) = graded_cases(core.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert loaded.fit() is Fit.FITS
    assert loaded.drawn_levels() == ()
    assert loaded.segment_id("L6-S1") == "L5-S1"
    loaded.undo()
    assert loaded.segment_id("L5-S1") == "L5-S1"


def change_voxels(case: GradedCase) -> None:
    arrayFromVolume(case.volumeNode)[0, 0, 0] += 1
    arrayFromVolumeModified(case.volumeNode)


def crop(case: GradedCase) -> None:
    slicer.util.updateVolumeFromArray(case.volumeNode, arrayFromVolume(case.volumeNode)[1:].copy())


@pytest.mark.parametrize("change", [change_voxels, crop])
def test_nothing_is_changed_of_the_result_of_a_changed_volume(case, change):
    case.correct(GradeSet("L1-L2", 4))
    result, corrections = case.result, case.corrections
    change(case)
    assert case.fit() is Fit.CHANGED
    for attempt in (lambda: case.correct(GradeSet("L4-L5", 1)), case.undo, case.rewrite, case.follow):
        with pytest.raises(ImagingError, match="T2 was changed since it was graded"):
            attempt()
        assert case.result is result
        assert case.corrections is corrections
    assert case.tableNode.GetCellText(1, 5) == "4"


def test_a_result_of_changed_voxels_is_not_taken_for_one_of_the_loaded_volume(core, case, tmp_path):
    volume = case.volumeNode
    change_voxels(case)
    assert graded_cases(volume) == []
    (problem,) = unreadable_cases(volume)
    assert "before this one was changed" in problem


def test_a_volume_that_changes_while_it_is_graded_gets_no_result(core):
    result = analytic_result()
    volume = volume_node_from(result.volume, "T2", core.scene)
    arrayFromVolume(volume)[1, 1, 1] += 5
    arrayFromVolumeModified(volume)
    with pytest.raises(ImagingError, match="was changed while it was graded"):
        GradedCase.write_new(volume, result)
    assert core.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_disc_keeps_its_segment_whatever_its_level_becomes(case):
    segmentation = case.segmentationNode.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs())
    masks = {disc.level: case.drawn_mask(disc.level) for disc in case.result.discs}
    display = case.segmentationNode.GetDisplayNode()
    display.SetSegmentVisibility("L3-L4", False)
    case.correct(LevelSet("L5-S1", "L6-S1"))
    assert list(segmentation.GetSegmentIDs()) == ids
    assert [segmentation.GetSegment(name).GetName() for name in ids] == [disc.level for disc in case.result.discs]
    np.testing.assert_array_equal(case.drawn_mask("L6-S1"), masks["L5-S1"])
    assert [display.GetSegmentVisibility(name) for name in ids] == [name != "L3-L4" for name in ids]
    case.undo()
    assert [segmentation.GetSegment(name).GetName() for name in ids] == ids
    for level, mask in masks.items():
        np.testing.assert_array_equal(case.drawn_mask(level), mask)


def test_what_the_user_has_hidden_stays_hidden(case):
    display = case.segmentationNode.GetDisplayNode()
    display.SetVisibility(False)
    display.SetOpacity2DFill(0.6)
    case.correct(GradeSet("L4-L5", 1))
    assert not display.GetVisibility()
    assert display.GetOpacity2DFill() == pytest.approx(0.6)


def test_segments_of_others_are_left_alone(case):
    segmentation = case.segmentationNode.GetSegmentation()
    foreign = segmentation.AddEmptySegment("L5-S1 copy", "L5-S1 again")
    segmentation.GetSegment(foreign).SetColor(0.1, 0.2, 0.3)
    mask = np.roll(case.drawn_mask("L5-S1"), 4, axis=1)
    draw(case, foreign, mask)
    copied = slicer.vtkSegment()
    copied.DeepCopy(segmentation.GetSegment("L3-L4"))
    segmentation.AddSegment(copied, "L3-L4 copy")  # with all tags of the disc
    for act in (
        lambda: case.correct(GradeSet("L4-L5", 3)),
        lambda: case.correct(LevelSet("L5-S1", "L4-L5")),
        lambda: case.correct(MaskEdited(case.result.discs[2], np.roll(case.drawn_mask("L2-L3"), 1, axis=0))),
        case.rewrite,
        case.undo,
        case.undo,
    ):
        act()
        assert set(case.foreign_segments()) == {foreign, "L3-L4 copy"}
        np.testing.assert_array_equal(case.foreign_mask(foreign), mask)
        assert case.foreign_mask("L3-L4 copy").any()
        assert segmentation.GetSegment(foreign).GetColor() == pytest.approx((0.1, 0.2, 0.3))


def test_a_segment_that_is_named_by_a_missing_level_can_become_that_disc(core):
    result = analytic_result()
    lost = result.disc("L5-S1")
    mask = result.label_slice == lost.label_value
    labels = np.where(mask, 0, result.label_slice).astype(np.uint8)
    result = replace(result, discs=result.discs[:-1], label_slice=labels, missing_levels=("L5-S1",))
    case = GradedCase.write_new(volume_node_from(result.volume, "T2", core.scene), result)
    assert case.offered_discs() == {}
    foreign = case.segmentationNode.GetSegmentation().AddEmptySegment("L5-S1", "L5-S1")
    assert case.offered_discs() == {}  # nothing is drawn in it
    draw(case, foreign, mask)
    assert case.offered_discs() == {"L5-S1": foreign}
    case.correct(DiscAdded(lost, mask))
    assert [disc.level for disc in case.result.discs][-1] == "L5-S1"
    assert case.result.missing_levels == ()
    assert case.segment_id("L5-S1") not in ("", foreign)
    np.testing.assert_array_equal(case.drawn_mask("L5-S1"), mask)
    np.testing.assert_array_equal(case.foreign_mask(foreign), mask)
    (again,) = graded_cases(case.volumeNode)
    assert again.result.disc("L5-S1").changes == ("added by reader, mask drawn by reader",)
    again.correct(LevelSet("L5-S1", "L6-S1"))
    again.undo()
    again.undo()
    assert again.result.missing_levels == ("L5-S1",)
    assert set(again.foreign_segments()) == {foreign}
    np.testing.assert_array_equal(again.foreign_mask(foreign), mask)
