"""The slice that a reader chose stays that slice of the image, wherever the volume is moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from panel_acts import finish
from panel_acts import load as load_volume

from LumbarDiscGradingLib.models.store import default_model_names

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)

CHOSEN = 5
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def matrix(place: Callable[[Any], None]) -> np.ndarray:
    import vtk

    transform = vtk.vtkTransform()
    place(transform)
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())


@pytest.fixture(autouse=True)
def _upright(host: Any) -> None:
    """A clear scene keeps its views: turned by a volume, they are turned still."""
    host.scene.GetNodeByID("vtkMRMLSliceNodeYellow").SetOrientation("Sagittal")


MOVES = {
    "to the right": matrix(lambda transform: transform.Translate(95.0, 0.0, 0.0)),
    "out of the view": matrix(lambda transform: transform.Translate(3.0, 40.0, 700.0)),
    "turned a little": matrix(lambda transform: (transform.RotateZ(14.0), transform.RotateY(9.0))),
    "mirrored": matrix(lambda transform: (transform.Translate(20.0, 0.0, 0.0), transform.Scale(-1.0, 1.0, 1.0))),
}
"""To the right hand of RAS; mirrored, the stored slices run the other way."""


def put_below(node: Any, moved: np.ndarray, name: str = "moved") -> Any:
    parent = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def put_below_and_change(node: Any, moved: np.ndarray) -> None:
    parent = put_below(node, np.eye(4))
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(moved))


def harden(node: Any, moved: np.ndarray) -> None:
    put_below(node, moved)
    node.HardenTransform()


WAYS = {"below a transform": put_below, "the matrix changed": put_below_and_change, "hardened": harden}


def settle(host: Any) -> None:
    """Let the panel look at what other modules did."""
    host.widget.panel.look()
    host.process_events()


def load(host: Any, volume: Any, name: str = "T2 sagittal") -> Any:
    """Load a volume; the panel looks no more whether a likelier one comes, which shows everything anew."""
    node = load_volume(host, volume, name)
    host.process_events()
    host.widget.panel.arrivals.end()
    return node


def choose(host: Any, stored: int = CHOSEN) -> None:
    host.click(host.ui.automaticSliceCheckBox)
    host.ui.sliceSlider.value = stored
    host.process_events()


def ijk_to_ras(node: Any) -> np.ndarray:
    """Where a volume's voxels lie in the world, by Slicer's own account of it."""
    import vtk

    to_ras, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(to_ras)
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
    return slicer.util.arrayFromVTKMatrix(to_world) @ slicer.util.arrayFromVTKMatrix(to_ras)


def yellow_ijk(host: Any, node: Any) -> np.ndarray:
    """The voxel in the middle of what the sagittal view shows, and the voxels' axes across the view, as columns."""
    view = host.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
    columns, rows, _ = view.GetDimensions()
    to_ras = slicer.util.arrayFromVTKMatrix(view.GetXYToRAS())
    points = np.array([[columns / 2, rows / 2, 0, 1], [columns / 2 + 50, rows / 2, 0, 1], [columns / 2, 50, 0, 1]]).T
    return (np.linalg.inv(ijk_to_ras(node)) @ to_ras @ points)[:3]


def assert_viewed(host: Any, node: Any, stored: int, axis: int) -> None:
    """The sagittal view lies in the plane of one stored slice, and has its middle on the image."""
    voxels = yellow_ijk(host, node)
    assert voxels[axis] == pytest.approx([stored] * 3, abs=0.05)
    dimensions = node.GetImageData().GetDimensions()
    assert all(0 <= at < size for at, size in zip(voxels[:, 0], dimensions, strict=True))


def slice_axis(volume: Any) -> int:
    """The VTK axis (i, j, k) along which a volume has its sagittal slices."""
    return 2 - volume.stored_axes[0]


def test_the_panel_sees_by_itself_that_a_volume_was_moved(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.panel.grading.tab import LOOK_MS

    node = load(host, sample)
    choose(host)
    put_below(node, MOVES["out of the view"])
    host.qt.QTest.qWait(2 * LOOK_MS)
    assert_viewed(host, node, CHOSEN, slice_axis(sample))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("move", MOVES)
def test_the_chosen_slice_stays_chosen_and_viewed(host: Any, sample: Any, move: str, way: str) -> None:
    node = load(host, sample)
    choose(host)
    assert_viewed(host, node, CHOSEN, slice_axis(sample))
    WAYS[way](node, MOVES[move])
    settle(host)
    assert not host.ui.automaticSliceCheckBox.checked
    assert host.ui.sliceSlider.value == CHOSEN
    assert host.widget.logic.getParameterNode().sliceIndex == CHOSEN
    assert_viewed(host, node, CHOSEN, slice_axis(sample))
    assert host.ui.inputDoubtsLabel.text == ""


@needs_models
@pytest.mark.parametrize("at_once", [False, True], ids=["seen", "at once"])
@pytest.mark.parametrize("move", ["turned a little", "mirrored"])
def test_the_chosen_slice_is_graded_where_it_lies_now(host: Any, sample: Any, move: str, at_once: bool) -> None:
    """Also where Grade Discs is clicked before the panel has looked again."""
    node = load(host, sample)
    choose(host)
    center = LPS_TO_RAS @ (*sample.slice_center_lps_mm(sample.canonical_slice_index(CHOSEN)), 1.0)
    stored = np.take(slicer.util.arrayFromVolume(node), CHOSEN, axis=sample.stored_axes[0])
    put_below(node, MOVES[move])
    if not at_once:
        settle(host)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    result = host.widget.panel.case.result
    graded = result.volume.voxels[result.slice_index]
    assert np.array_equal(np.sort(graded, axis=None), np.sort(stored, axis=None))
    assert result.stored_slice_index == CHOSEN
    assert f"slice {CHOSEN}" in host.ui.summaryLabel.text
    expected = (LPS_TO_RAS @ MOVES[move] @ center)[:3]
    assert result.slice_center_lps_mm == pytest.approx(expected, abs=0.01)
    assert_viewed(host, node, CHOSEN, slice_axis(sample))


@needs_models
def test_the_chosen_slice_is_graded_again_where_it_lies_now(host: Any, sample: Any) -> None:
    node = load(host, sample)
    choose(host)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    put_below(node, MOVES["mirrored"])
    settle(host)
    host.click(host.ui.gradeAgainButton)
    finish(host)
    assert host.widget.panel.case.result.stored_slice_index == CHOSEN
    assert host.ui.sliceSlider.value == CHOSEN
    assert_viewed(host, node, CHOSEN, slice_axis(sample))


def test_a_slice_that_is_slid_to_after_a_move_is_shown_where_it_lies(host: Any, sample: Any) -> None:
    node = load(host, sample)
    choose(host)
    put_below(node, MOVES["mirrored"])
    host.ui.sliceSlider.value = 3
    assert_viewed(host, node, 3, slice_axis(sample))


def test_the_viewed_slice_is_taken_by_where_the_volume_lies_now(host: Any, sample: Any) -> None:
    node = load(host, sample)
    put_below(node, MOVES["mirrored"])
    view = host.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
    index = np.array([(size - 1) / 2 for size in node.GetImageData().GetDimensions()] + [1.0])
    index[slice_axis(sample)] = 4
    view.JumpSliceByOffsetting(*(ijk_to_ras(node) @ index)[:3])
    host.click(host.ui.useViewedSliceButton)
    assert host.ui.sliceSlider.value == 4


def test_a_view_of_another_slice_is_left_alone(host: Any, sample: Any) -> None:
    node = load(host, sample)
    choose(host)
    view = host.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
    x, y, z = sample.slice_center_lps_mm(sample.canonical_slice_index(2))
    view.JumpSliceByOffsetting(-x, -y, z)
    before = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
    put_below(node, MOVES["to the right"])
    settle(host)
    assert host.ui.sliceSlider.value == CHOSEN
    assert np.array_equal(slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()), before)


def test_pan_and_zoom_stay_when_the_view_follows(host: Any, sample: Any) -> None:
    node = load(host, sample)
    choose(host)
    view = host.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
    view.SetXYZOrigin(30.0, -45.0, 0.0)
    view.SetFieldOfView(90.0, 90.0, view.GetFieldOfView()[2])
    before, field = yellow_ijk(host, node), view.GetFieldOfView()
    put_below(node, MOVES["out of the view"])
    settle(host)
    assert yellow_ijk(host, node) == pytest.approx(before, abs=0.05)
    assert view.GetFieldOfView() == field


def test_the_choice_waits_while_a_volume_is_turned_out_of_the_sagittal_plane(host: Any, sample: Any) -> None:
    node = load(host, sample)
    choose(host)
    parent = put_below(node, matrix(lambda transform: transform.RotateZ(45.0)))
    settle(host)
    assert "No sagittal slices" in host.ui.inputDoubtsLabel.text
    assert not host.ui.gradeDiscsButton.enabled
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(MOVES["mirrored"]))
    settle(host)
    assert host.ui.inputDoubtsLabel.text == ""
    assert host.ui.gradeDiscsButton.enabled
    assert host.ui.sliceSlider.value == CHOSEN
    assert_viewed(host, node, CHOSEN, slice_axis(sample))


# -- other planes of the volume become sagittal


TURNED = matrix(lambda transform: transform.RotateZ(90.0))
LET_GO = (
    f"Slice {CHOSEN} is not chosen any more, since cube has other sagittal slices now: choose one again, or it is "
    "chosen automatically."
)


@pytest.fixture
def cube(host: Any) -> Any:
    """A volume of even voxels, as many along all axes, so that each of its planes can be read as sagittal."""
    node = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "cube")
    slicer.util.updateVolumeFromArray(node, np.random.default_rng(3).integers(0, 900, (120,) * 3, dtype=np.int16))
    node.SetSpacing(1.5, 1.5, 1.5)
    node.SetOrigin(12.0, 30.0, -400.0)
    host.show_volume(node)
    host.process_events()
    host.widget.panel.look()
    host.widget.panel.arrivals.end()
    assert host.ui.inputSelector.currentNode() is node
    return node


@pytest.mark.parametrize("way", WAYS)
def test_a_slice_along_an_axis_that_is_not_sagittal_any_more_is_let_go(host: Any, cube: Any, way: str) -> None:
    choose(host)
    WAYS[way](cube, TURNED)
    settle(host)
    assert host.ui.automaticSliceCheckBox.checked
    assert host.ui.inputDoubtsLabel.text.splitlines()[0] == LET_GO
    assert host.ui.inputDoubtsLabel.visible
    assert host.ui.sliceSlider.value in (59, 60)  # the middle, as for a new volume
    choose(host, 3)
    assert LET_GO not in host.ui.inputDoubtsLabel.text
    assert host.widget.panel.input.slice_index is not None


def test_another_slice_is_not_graded_in_place_of_one_that_was_let_go(host: Any, cube: Any) -> None:
    choose(host)
    put_below(cube, TURNED)
    host.click(host.ui.gradeDiscsButton)
    assert not host.widget.panel.run.running
    assert host.ui.statusLabel.text == LET_GO


def test_a_slice_is_let_go_also_where_the_volume_was_turned_in_another_module(host: Any, cube: Any) -> None:
    choose(host)
    host.leave()
    put_below(cube, TURNED)
    host.close_panel()
    host.open()
    assert host.ui.automaticSliceCheckBox.checked
    assert host.ui.inputDoubtsLabel.text.splitlines()[0] == LET_GO


def test_what_was_let_go_is_not_said_of_another_volume(host: Any, sample: Any, cube: Any) -> None:
    choose(host)
    put_below(cube, TURNED)
    settle(host)
    node = load(host, sample, "T2 sag")
    host.ui.inputSelector.setCurrentNode(node)
    host.process_events()
    assert host.ui.inputSelector.currentNode() is node
    assert "not chosen any more" not in host.ui.inputDoubtsLabel.text
