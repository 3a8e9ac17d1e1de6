"""Evidence maps: where they lie, that they hang on the group and on the weights, and that they find what counts."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.image_files import write_stored
from LumbarDiscGradingLib.grading import evidence
from LumbarDiscGradingLib.grading.classifier import Classifier
from LumbarDiscGradingLib.grading.corrections import GradeSet, LevelSet, MaskEdited, corrected
from LumbarDiscGradingLib.grading.discs import region_of_mask
from LumbarDiscGradingLib.grading.evidence import EvidenceError, evidence_key
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import ImagingError, SagittalVolume
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import GROUPS, Group
from LumbarDiscGradingLib.report.evidence_picture import CROP_SIZE_PX, evidence_picture, save_volume

pytestmark = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)
BLANKED = 0.1
"""Share of the crop that the deletion test takes out."""


@pytest.fixture(scope="module")
def result(grader):
    return grader.grade(lumbar_phantom(3, {"L1-L2": 1, "L2-L3": 2, "L3-L4": 3, "L4-L5": 5, "L5-S1": 4}).volume)


@pytest.fixture(scope="module")
def found(grader, result):
    return grader.evidence(result)


def inputs_of(grader, result):
    spacing = result.volume.spacing_mm[1:]
    regions = [region_of_mask(result.label_slice == disc.label_value, spacing) for disc in result.discs]
    return evidence.inputs_of(result, regions, spacing, grader.classifier.mask_use)


def likeness(first, second):
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_the_network_is_asked_about_what_it_graded(grader, result):
    probabilities = grader.classifier.grade_probabilities(inputs_of(grader, result))
    np.testing.assert_allclose(probabilities, [disc.grade_probabilities for disc in result.discs], atol=1e-6)


def test_each_disc_has_a_map_of_its_own_group(found, result):
    assert [(disc.level, disc.group) for disc in found.discs] == [(disc.level, disc.group) for disc in result.discs]
    for disc in found.discs:
        assert disc.relative.min() == 0.0
        assert disc.relative.max() == pytest.approx(1.0)


def test_the_evidence_adds_up_to_what_the_detail_changes(grader, result, found):
    """Completeness: over the crop the map sums to the log-odds with the detail less those without it."""
    inputs = inputs_of(grader, result)
    groups = [disc.group for disc in found.discs]
    with torch.inference_mode():
        with_it, without = (
            evidence.group_log_odds(grader.classifier, torch.from_numpy(values), groups).numpy()
            for values in (inputs, evidence.without_detail(inputs))
        )
    summed = np.array([disc.density.sum() * 0.25**2 for disc in found.discs])
    np.testing.assert_allclose(summed, with_it - without, atol=0.15 * np.abs(with_it - without).max())


def test_most_evidence_lies_at_the_disc_whose_it_is(found, result):
    rows, columns = np.indices(result.label_slice.shape)
    _, row_mm, column_mm = result.volume.spacing_mm
    shares = []
    for disc in found.discs:
        on_slice = disc.on_slice(result.label_slice.shape)
        row, column = result.disc(disc.level).center_row_column
        peak = np.unravel_index(on_slice.argmax(), on_slice.shape)
        distance = np.hypot((peak[0] - row) * row_mm, (peak[1] - column) * column_mm)
        assert distance < 25.0, disc.level
        near = (abs(rows - row) * row_mm < 16.0) & (abs(columns - column) * column_mm < 26.0)
        shares.append(on_slice[near].sum() / on_slice.sum())
    assert min(shares) > 0.7


def test_a_place_of_the_crop_comes_back_to_its_voxel(found, result):
    """A single bright pixel of the crop lands where its grid says, and the volume keeps it on the graded slice."""
    disc = found.discs[-1]
    density = np.zeros_like(disc.density)
    density[40:44, 100:104] = 1.0
    marked = replace(found, discs=(replace(disc, density=density),))
    where_mm = disc.grid.to_mm(np.array([[41.5, 101.5]]))[0]
    plane = marked.slice_map()
    peak = np.argwhere(plane > 0.5 * plane.max()).mean(axis=0)
    np.testing.assert_allclose(peak, where_mm / np.array(disc.spacing_mm), atol=0.75)
    volume = marked.in_volume()
    np.testing.assert_array_equal(volume[result.slice_index], plane)
    assert np.count_nonzero(volume) == np.count_nonzero(plane)


def test_the_evidence_does_not_depend_on_the_stored_axis_order(grader, result, found):
    volume = result.volume
    array = np.ascontiguousarray(volume.voxels.transpose(2, 0, 1)[::-1])
    matrix = np.eye(4)
    columns = volume.index_to_lps[:3, [2, 0, 1]].copy()
    matrix[:3, 3] = volume.index_to_lps[:3, 3] + columns[:, 0] * (array.shape[0] - 1)
    columns[:, 0] *= -1
    matrix[:3, :3] = columns[:, ::-1]
    again = grader.evidence(grader.grade(SagittalVolume.from_stored(array, matrix)))
    np.testing.assert_allclose(again.slice_map(), found.slice_map(), atol=1e-4)


def test_maps_of_different_groups_differ(grader, result, found):
    """What speaks for mild and for serious is not the same place: the maps are of the group, not of the image."""
    mild, serious = (
        grader.evidence(result, {disc.level: group for disc in result.discs}) for group in (Group.MILD, Group.SERIOUS)
    )
    for one, other in zip(mild.discs, serious.discs, strict=True):
        assert likeness(one.density, other.density) < 0.5, one.level
    by_own = {disc.level: disc for disc in found.discs}
    same = [disc for disc in serious.discs if by_own[disc.level].group is Group.SERIOUS]
    assert same
    assert all(np.array_equal(disc.density, by_own[disc.level].density) for disc in same)


def test_a_network_of_random_weights_gives_other_maps(grader, result, found):
    """Sanity check of Adebayo et al. (2018): a map that did not change would show the image, not the network."""
    inputs = inputs_of(grader, result)
    groups = [disc.group for disc in found.discs]
    torch.manual_seed(0)
    other = Classifier(grader.classifier.model, grader.device)
    for module in other.network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.reset_parameters()
    maps = evidence.evidence_density(other, inputs, groups)
    assert np.mean([abs(likeness(a, b.density)) for a, b in zip(maps, found.discs, strict=True)]) < 0.5


def test_taking_out_the_strongest_evidence_costs_more_than_the_weakest(grader):
    falls = []
    for seed in (1, 2, 3):
        result = grader.grade(lumbar_phantom(seed).volume)
        inputs = inputs_of(grader, result)
        for crop, disc in zip(inputs, grader.evidence(result).discs, strict=True):
            order = np.argsort(disc.density.ravel())
            count, group = round(BLANKED * order.size), GROUPS.index(disc.group)
            versions = np.stack([crop, crop, crop])
            for version, chosen in zip(versions[1:], (order[-count:], order[:count]), strict=True):
                version[0].ravel()[chosen] = crop[0].mean()
            with torch.inference_mode():
                odds = evidence.group_log_odds(
                    grader.classifier, torch.from_numpy(versions), [GROUPS[group]] * 3
                ).numpy()
            falls.append((odds[0] - odds[1], odds[0] - odds[2]))
    strongest, weakest = np.array(falls).T
    assert np.mean(strongest > weakest) > 0.9
    assert strongest.mean() > 0.5


def test_a_renamed_or_regraded_disc_keeps_its_map(grader, result, found):
    renamed = corrected(result, [LevelSet("L5-S1", "L6-S1"), GradeSet("L5-L6", 1)])
    named = found.named_as(renamed)
    assert named.disc("L6-S1").density is found.disc("L5-S1").density
    assert evidence_key(renamed) == found.key
    again = grader.evidence(renamed)
    assert again.disc("L5-L6").group is result.disc("L4-L5").group
    np.testing.assert_allclose(again.disc("L6-S1").density, found.disc("L5-S1").density, atol=1e-6)


def test_a_mask_that_was_edited_has_no_map_until_it_is_computed_again(grader, result, found):
    mask = np.roll(result.label_slice == result.disc("L4-L5").label_value, 2, axis=1)
    (disc,) = grader.regrade(result.volume, result.slice_index, {"L4-L5": mask})
    edited = corrected(result, [MaskEdited(disc, mask)])
    assert found.named_as(edited).disc("L4-L5") is None
    assert len(found.named_as(edited).discs) == len(found.discs) - 1
    assert evidence_key(edited) != found.key
    assert grader.evidence(edited).named_as(edited).disc("L4-L5") is not None


def test_a_picture_without_scale_is_explained_at_the_scale_by_which_it_was_graded(grader, result):
    wrong = result.volume.index_to_lps.copy()
    wrong[:3, 1:3] *= 1.4
    flat = result.volume.voxels[result.slice_index][None]
    picture = replace(result.volume, voxels=flat, index_to_lps=wrong, scale_known=False)
    graded = grader.grade(picture)
    for disc in grader.evidence(graded).discs:
        assert disc.spacing_mm[0] < 0.85 * picture.spacing_mm[1]


def test_the_work_can_be_stopped_at_each_step(grader, result):
    class StopError(Exception):
        pass

    seen = []

    def progress(stage):
        seen.append(stage)
        if len(seen) == 4:
            raise StopError

    with pytest.raises(StopError):
        grader.evidence(result, progress=progress)
    assert seen == ["evidence"] * 4


def test_a_result_of_another_model_is_refused_with_a_sentence(grader, result):
    others = tuple(replace(use, sha256="0" * 64, name="other") for use in result.models)
    with pytest.raises(EvidenceError, match="graded by another model \\(other"):
        grader.evidence(replace(result, models=others))


def test_the_picture_marks_the_evidence_and_leaves_the_plain_crop_grey(result, found):
    picture = np.asarray(evidence_picture(result, found)).astype(int)
    left, width, height = 36 + 250, *CROP_SIZE_PX
    marked = left + width + 20
    for n, disc in enumerate(found.discs):
        top = 118 + n * (height + 22)
        plain = picture[top : top + height, left : left + width]
        shown = picture[top : top + height, marked : marked + width]
        assert np.ptp(plain, axis=2).max() <= 6  # the letters are a little blue
        blue = shown[..., 2] - shown[..., 0] > 40
        scale = height / disc.relative.shape[0]
        peak = np.unravel_index(disc.relative.argmax(), disc.relative.shape)
        assert blue[int(peak[0] * scale), int(peak[1] * scale)], disc.level
        assert 0.001 < blue.mean() < 0.5


def test_the_picture_says_where_a_disc_has_no_evidence(result, found):
    fewer = replace(found, discs=found.discs[1:])
    assert evidence_picture(result, fewer).size == evidence_picture(result, found).size


def test_the_volume_file_lies_on_the_input(tmp_path, found, result):
    save_volume(found, tmp_path / "evidence.nrrd")
    image = sitk.ReadImage(str(tmp_path / "evidence.nrrd"))
    volume = result.volume
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), volume.to_stored(found.in_volume()), atol=1e-6)
    disc = found.disc("L4-L5")
    row, column = np.unravel_index(disc.on_slice(result.label_slice.shape).argmax(), result.label_slice.shape)
    index = image.TransformPhysicalPointToIndex(volume.lps_mm(result.slice_index, float(row), float(column)))
    assert image.GetPixel(index) == pytest.approx(found.slice_map()[row, column], abs=1e-6)


def test_the_command_writes_evidence_only_when_asked(tmp_path, capsys):
    phantom = lumbar_phantom(1, slice_count=3).volume
    write_stored(tmp_path / "t2.nrrd", phantom.to_stored(phantom.voxels), phantom.stored_index_to_lps)
    arguments = ["grade", str(tmp_path / "t2.nrrd"), "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "plain")]) == 0
    assert main([*arguments, "--output", str(tmp_path / "more"), "--evidence", "--scene"]) == 0
    plain, more = ({path.name for path in (tmp_path / name).iterdir()} for name in ("plain", "more"))
    assert more - plain == {"t2_evidence.png", "t2_evidence.nrrd", "t2.mrb"}
    with zipfile.ZipFile(tmp_path / "more" / "t2.mrb") as bundle:
        assert any("evidence" in name for name in bundle.namelist())
    size = sitk.ReadImage(str(tmp_path / "t2.nrrd")).GetSize()
    assert sitk.ReadImage(str(tmp_path / "more" / "t2_evidence.nrrd")).GetSize() == size


@pytest.fixture(scope="module")
def running_core():
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    from LumbarDiscGradingLib.headless.core import SlicerCore

    with SlicerCore() as core:
        yield core


@pytest.fixture
def core(running_core):
    running_core.clear()
    yield running_core
    running_core.errors.clear()


@pytest.fixture
def case(core, result):
    """The result in the scene, its slice in the views."""
    from LumbarDiscGradingLib.scene.graded_case import GradedCase
    from LumbarDiscGradingLib.scene.show import showGradedSlice
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    node = volume_node_from(result.volume, "T2", core.scene)
    case = GradedCase.write_new(node, result)
    showGradedSlice(result, node)
    return case


def composites(scene):
    name = "vtkMRMLSliceCompositeNode"
    return [scene.GetNthNodeByClass(n, name) for n in range(scene.GetNumberOfNodesByClass(name))]


def evidence_nodes(scene):
    name = "vtkMRMLScalarVolumeNode"
    nodes = (scene.GetNthNodeByClass(n, name) for n in range(scene.GetNumberOfNodesByClass(name)))
    return [node for node in nodes if "evidence" in node.GetName()]


class TestScene:
    def test_the_overlay_is_laid_over_the_volume_and_taken_off_again(self, core, case, grader, found):
        from slicer.util import arrayFromVolume

        before = core.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
        for composite in composites(core.scene):
            composite.SetForegroundVolumeID(before.GetID())
            composite.SetForegroundOpacity(0.3)
        discs = case.segmentationNode.GetDisplayNode()
        node = case.showEvidence(grader)
        assert not discs.GetVisibility2DFill()
        assert discs.GetVisibility2DOutline()
        assert all(c.GetForegroundVolumeID() == node.GetID() for c in composites(core.scene))
        array = arrayFromVolume(node)
        np.testing.assert_allclose(array, found.volume.to_stored(found.in_volume()), atol=1e-5)
        display = node.GetDisplayNode()
        assert display.GetColorNodeID() == "vtkMRMLColorTableNodeOcean"
        assert display.GetApplyThreshold()
        assert 0 < display.GetLowerThreshold() < 0.5
        hierarchy = core.scene.GetSubjectHierarchyNode()
        items = [hierarchy.GetItemByDataNode(n) for n in (node, case.volumeNode)]
        assert hierarchy.GetItemParent(items[0]) == hierarchy.GetItemParent(items[1]) != 0
        assert node.GetNodeReference("LumbarDiscGrading.segmentation") is case.segmentationNode
        case.hideEvidence()
        assert discs.GetVisibility2DFill()
        assert all(c.GetForegroundVolumeID() == before.GetID() for c in composites(core.scene))
        assert all(c.GetForegroundOpacity() == pytest.approx(0.3) for c in composites(core.scene))
        assert case.showEvidence() is node  # without a grader: nothing is computed again

    def test_the_evidence_lies_at_the_same_place_of_the_world(self, core, case, grader, found, result):
        import vtk

        node = case.showEvidence(grader)
        disc = found.disc("L3-L4")
        row, column = np.unravel_index(disc.on_slice(result.label_slice.shape).argmax(), result.label_slice.shape)
        x, y, z = result.volume.lps_mm(result.slice_index, float(row), float(column))
        to_ijk = vtk.vtkMatrix4x4()
        node.GetRASToIJKMatrix(to_ijk)
        i, j, k = (round(value) for value in to_ijk.MultiplyPoint((-x, -y, z, 1.0))[:3])
        value = node.GetImageData().GetScalarComponentAsDouble(i, j, k, 0)
        assert value == pytest.approx(found.slice_map()[row, column], abs=1e-5)

    def test_an_overlay_is_no_image_to_be_graded(self, core, case, grader):
        from LumbarDiscGradingLib.scene.input_choice import input_doubts, likely_volume

        node = case.showEvidence(grader)
        assert likely_volume(core.scene) is case.volumeNode
        with pytest.raises(ImagingError, match="not an image"):
            input_doubts(node)

    def test_corrections_keep_the_overlay_but_not_that_of_an_edited_mask(self, core, case, grader, result):
        node = case.showEvidence(grader)
        case.correct(LevelSet("L5-S1", "L6-S1"))
        case.correct(GradeSet("L6-S1", 2))
        assert case.evidenceNode is node
        assert not case.segmentationNode.GetDisplayNode().GetVisibility2DFill()
        mask = np.roll(result.label_slice == result.disc("L4-L5").label_value, 2, axis=1)
        (disc,) = grader.regrade(result.volume, result.slice_index, {"L5-L6": mask})
        case.correct(MaskEdited(disc, mask))
        assert case.evidenceNode is None
        assert evidence_nodes(core.scene) == []
        assert case.segmentationNode.GetDisplayNode().GetVisibility2DFill()
        assert all(c.GetForegroundVolumeID() is None for c in composites(core.scene))
        assert case.showEvidence(grader) is not None

    def test_it_goes_with_its_segmentation(self, core, case, grader):
        from LumbarDiscGradingLib.scene.evidence import remove_orphans

        case.showEvidence(grader)
        remove_orphans(core.scene)
        assert len(evidence_nodes(core.scene)) == 1
        core.scene.RemoveNode(case.segmentationNode)
        remove_orphans(core.scene)
        assert evidence_nodes(core.scene) == []

    def test_a_saved_scene_keeps_it(self, core, case, grader, found, tmp_path):
        from slicer.util import arrayFromVolume

        from LumbarDiscGradingLib.scene.evidence import evidence_node, fits, is_shown
        from LumbarDiscGradingLib.scene.graded_case import GradedCase

        case.showEvidence(grader)
        core.save_scene(tmp_path / "case.mrb")
        core.load_scene(tmp_path / "case.mrb")
        restored = GradedCase.from_segmentation(core.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
        node = evidence_node(restored.segmentationNode)
        assert fits(node, restored.result)
        assert is_shown(node)
        expected = restored.result.volume.to_stored(found.in_volume())
        np.testing.assert_allclose(arrayFromVolume(node), expected, atol=1e-5)
        restored.correct(GradeSet("L4-L5", 1))
        assert restored.showEvidence() is node

    def test_what_is_not_in_the_scene_cannot_be_shown(self, result):
        from LumbarDiscGradingLib.scene.results import LumbarDiscGradingResults

        with pytest.raises(ImagingError, match="write it first"):
            LumbarDiscGradingResults(result).showEvidence()


@pytest.fixture(scope="module")
def started(checkout):
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    from slicer_host.application import SlicerHost

    host = SlicerHost(checkout / "LumbarDiscGrading" / "LumbarDiscGrading.py")
    yield host
    host.close()


@pytest.fixture
def host(started):
    """An open panel with the graded sample; nothing that Slicer would refuse may have happened at the end."""
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    started.core.clear()
    started.forget_violations()
    started.open()
    volume_node_from(lumbar_phantom().volume, "T2 sagittal", started.scene)
    started.process_events()
    started.click(started.ui.gradeDiscsButton)
    finish(started)
    assert started.ui.resultTable.rowCount >= 5, started.ui.statusLabel.text
    yield started
    started.close_panel()
    started.core.clear()
    assert started.violations() == []


def finish(host):
    host.wait_until(lambda: not host.widget.panel.run.running)
    host.process_events()


def shown_in(host):
    return [composite.GetForegroundVolumeID() for composite in composites(host.scene)]


@pytest.mark.needs_library("libEGL.so.1")
@pytest.mark.needs_library("libGL.so.1")
@pytest.mark.needs_library("libxkbcommon.so.0")
class TestPanel:
    def test_the_box_computes_once_shows_and_hides(self, host):
        box = host.ui.evidenceCheckBox
        assert box.enabled
        assert not box.checked
        assert evidence_nodes(host.scene) == []
        before = host.app.layoutManager().sliceWidget("Yellow").picture(400, 500).astype(int)
        host.click(box)
        assert host.ui.gradeDiscsButton.text == "Cancel"
        assert not box.enabled
        finish(host)
        (node,) = evidence_nodes(host.scene)
        assert box.checked
        assert set(shown_in(host)) == {node.GetID()}
        assert not host.ui.opacitySlider.enabled
        with_it = host.app.layoutManager().sliceWidget("Yellow").picture(400, 500).astype(int)
        blue = (with_it[..., 2] - with_it[..., 0] > 40) & (before[..., 2] - before[..., 0] < 40)
        assert 0.001 < blue.mean() < 0.2
        host.click(box)
        assert set(shown_in(host)) == {None}
        assert host.ui.opacitySlider.enabled
        host.click(box)
        assert not host.widget.panel.run.running
        assert set(shown_in(host)) == {node.GetID()}

    def test_a_cancelled_computation_leaves_the_scene_as_it_was(self, host):
        host.click(host.ui.evidenceCheckBox)
        host.click(host.ui.gradeDiscsButton)
        host.wait_until(lambda: host.widget.panel.run.idle)
        assert not host.ui.evidenceCheckBox.checked
        assert host.ui.evidenceCheckBox.enabled
        assert evidence_nodes(host.scene) == []

    def test_an_edited_mask_takes_the_overlay_off(self, host):
        host.click(host.ui.evidenceCheckBox)
        finish(host)
        case = host.widget.panel.case
        host.widget.panel.result.select("L4-L5")
        host.ui.grade1Button.click()
        assert host.ui.evidenceCheckBox.checked
        mask = np.roll(case.result.label_slice == case.result.disc("L4-L5").label_value, 2, axis=1)
        moved = replace(case.result.disc("L4-L5"), center_row_column=(1.0, 2.0))
        case.correct(MaskEdited(moved, mask))
        host.widget.panel._show_case(case)
        assert not host.ui.evidenceCheckBox.checked
        assert evidence_nodes(host.scene) == []

    def test_deleting_the_discs_or_the_evidence_tidies_up(self, host):
        host.click(host.ui.evidenceCheckBox)
        finish(host)
        host.scene.RemoveNode(evidence_nodes(host.scene)[0])
        assert not host.ui.evidenceCheckBox.checked
        host.click(host.ui.evidenceCheckBox)
        finish(host)
        assert host.ui.evidenceCheckBox.checked
        host.scene.RemoveNode(host.widget.panel.case.segmentationNode)
        assert evidence_nodes(host.scene) == []
        assert not host.ui.evidenceCheckBox.enabled

    def test_closing_the_scene_while_it_is_computed_is_survived(self, host):
        host.click(host.ui.evidenceCheckBox)
        host.scene.Clear(False)
        host.core.add_views()
        host.wait_until(lambda: host.widget.panel.run.idle)
        assert not host.ui.evidenceCheckBox.checked
        assert evidence_nodes(host.scene) == []
