"""Segments, table and views in a real MRML scene, and the files that Slicer opens."""

from __future__ import annotations

import itertools
import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

pytest.importorskip("slicer", reason="the package slicer-core is not installed")

import slicer
import vtk
from example_results import SPIDER, analytic_result, spider_patients, spider_result
from slicer.util import arrayFromVolume, updateVolumeFromArray

from LumbarDiscGradingLib.headless.core import HeadlessError, SlicerCore
from LumbarDiscGradingLib.imaging.volume import ImagingError, NotSagittalError
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LEVELS_BY_LABEL, TERMINOLOGY_NAME
from LumbarDiscGradingLib.report.display_window import display_window
from LumbarDiscGradingLib.report.tables import GRADE_COLUMNS, grade_rows
from LumbarDiscGradingLib.scene.files import write_scene, write_segmentation
from LumbarDiscGradingLib.scene.results import LumbarDiscGradingResults
from LumbarDiscGradingLib.scene.show import showGradedSlice
from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node, volume_node_from
from LumbarDiscGradingLib.segment_tags import disc_terminology_entry

ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


@pytest.fixture(scope="module")
def running_core():
    with SlicerCore() as core:
        yield core


OBLIQUE_VIEW_LOADED = "invalid orientation preset name: Reformat"
"""vtkMRMLSliceNode reports this whenever it reads a view that is turned to an oblique volume; the turn is read."""


@pytest.fixture
def core(running_core):
    """A core with an empty scene; VTK and MRML must not have complained when the test ends."""
    running_core.clear()
    yield running_core
    complaints = [text for text in running_core.errors + running_core.warnings if OBLIQUE_VIEW_LOADED not in text]
    running_core.errors.clear()
    running_core.warnings.clear()
    assert complaints == []


@pytest.fixture
def written(core):
    """A small result in the scene: result, volume node, segmentation node, table node."""
    result = analytic_result()
    volume = volume_node_from(result.volume, "T2", core.scene)
    return result, volume, *LumbarDiscGradingResults(result).write(volume)


def translation_and_turn(scene, degrees=10.0):
    transform = vtk.vtkTransform()
    transform.Translate(12, -7, 30)
    transform.RotateZ(degrees)
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node


def segment_mask(segmentationNode, level, volumeNode):
    """Return a segment as array (k, j, i) on the grid of a volume, exported the way that Slicer does it."""
    scene = segmentationNode.GetScene()
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(level)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.ExportSegmentsToLabelmapNode(segmentationNode, ids, labelmap, volumeNode)
    mask = arrayFromVolume(labelmap) > 0
    scene.RemoveNode(labelmap)
    return mask


def read_labels(path):
    """Return array (k, j, i) and index-to-LPS matrix of a file as SimpleITK sees it."""
    image = SimpleITK.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), matrix, image


class TestVolumes:
    @pytest.mark.parametrize(("axes", "flipped"), ORDERS[::5])
    def test_a_volume_goes_into_the_scene_and_comes_back_the_same(self, core, axes, flipped):
        volume = analytic_result((3, 60, 40), stored_axes=axes, stored_flipped=flipped, oblique_degrees=15).volume
        node = volume_node_from(volume, "T2", core.scene)
        back = sagittal_volume_from_node(node)
        np.testing.assert_array_equal(back.voxels, volume.voxels)
        np.testing.assert_allclose(back.index_to_lps, volume.index_to_lps, atol=1e-9)
        np.testing.assert_array_equal(arrayFromVolume(node), volume.to_stored(volume.voxels))
        assert (back.stored_axes, back.stored_flipped) == (axes, flipped)

    def test_the_voxels_are_a_copy(self, core):
        node = volume_node_from(analytic_result((3, 60, 40)).volume, "T2", core.scene)
        volume = sagittal_volume_from_node(node)
        arrayFromVolume(node)[:] = 0
        assert volume.voxels.max() > 0

    def test_a_linear_parent_transform_counts(self, core):
        volume = analytic_result((3, 60, 40)).volume
        node = volume_node_from(volume, "T2", core.scene)
        parent = translation_and_turn(core.scene)
        node.SetAndObserveTransformNodeID(parent.GetID())
        moved = sagittal_volume_from_node(node)
        np.testing.assert_array_equal(moved.voxels, volume.voxels)
        ras = np.append(np.array(volume.lps_mm(1, 10, 20)) * (-1, -1, 1), 1.0)
        matrix = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(matrix)
        expected = np.array(matrix.MultiplyPoint(ras))[:3] * (-1, -1, 1)
        assert moved.lps_mm(1, 10, 20) == pytest.approx(expected, abs=0.002)

    def test_a_warping_parent_transform_is_refused(self, core):
        node = volume_node_from(analytic_result((3, 60, 40)).volume, "T2", core.scene)
        warp = core.scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
        spline = vtk.vtkThinPlateSplineTransform()
        warp.SetAndObserveTransformToParent(spline)
        node.SetAndObserveTransformNodeID(warp.GetID())
        with pytest.raises(ImagingError, match="harden"):
            sagittal_volume_from_node(node)

    def test_what_cannot_be_graded_is_refused_with_a_sentence(self, core):
        with pytest.raises(ImagingError, match="No volume is selected"):
            sagittal_volume_from_node(None)
        node = core.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        with pytest.raises(ImagingError, match="no voxels"):
            sagittal_volume_from_node(node)
        updateVolumeFromArray(node, np.full((5, 60, 50), 3.0))
        with pytest.raises(ImagingError, match="blank"):
            sagittal_volume_from_node(node)
        updateVolumeFromArray(node, np.random.default_rng(0).random((40, 60, 50)) * [[[np.nan]]])
        with pytest.raises(ImagingError, match="not numbers"):
            sagittal_volume_from_node(node)
        updateVolumeFromArray(node, np.random.default_rng(0).random((5, 60, 50)))
        node.SetSpacing(4.0, 4.0, 4.0)
        with pytest.raises(NotSagittalError):
            sagittal_volume_from_node(node)

    def test_the_hash_changes_with_voxels_and_place(self, core):
        node = volume_node_from(analytic_result((3, 60, 40)).volume, "T2", core.scene)
        first = sagittal_volume_from_node(node).source.sha256
        assert sagittal_volume_from_node(node).source.sha256 == first
        node.SetOrigin(0, 0, 1)
        second = sagittal_volume_from_node(node).source.sha256
        arrayFromVolume(node)[0, 0, 0] += 1
        assert len({first, second, sagittal_volume_from_node(node).source.sha256}) == 3


class TestResults:
    def test_a_segment_for_each_disc_named_and_colored(self, written):
        result, _, segmentation, _ = written
        ids = list(segmentation.GetSegmentation().GetSegmentIDs())
        assert ids == ["T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
        colors = {"mild": (0, 158, 115), "moderate": (230, 159, 0), "serious": (213, 94, 0)}
        for disc in result.discs:
            segment = segmentation.GetSegmentation().GetSegment(disc.level)
            assert segment.GetName() == disc.level
            assert segment.GetLabelValue() == DISC_LABELS[disc.level]
            assert np.multiply(segment.GetColor(), 255) == pytest.approx(colors[disc.group.value], abs=0.01)
            assert not segment.GetNameAutoGenerated() and not segment.GetColorAutoGenerated()

    @pytest.mark.parametrize(("axes", "flipped"), ORDERS[::7])
    def test_segments_lie_where_the_labels_are(self, core, axes, flipped):
        result = analytic_result((3, 100, 60), stored_axes=axes, stored_flipped=flipped, slice_index=1)
        volume = volume_node_from(result.volume, "T2", core.scene)
        segmentation, _ = LumbarDiscGradingResults(result).write(volume)
        for disc in result.discs:
            found = segment_mask(segmentation, disc.level, volume)
            np.testing.assert_array_equal(found > 0, result.label_volume() == disc.label_value)

    def test_a_result_of_the_file_fits_the_volume_that_slicer_reordered(self, core):
        result = analytic_result((3, 100, 60), slice_index=2)
        reordered = analytic_result((3, 100, 60), stored_axes=(2, 0, 1), stored_flipped=(True, False, True)).volume
        volume = volume_node_from(reordered, "T2", core.scene)
        segmentation, _ = LumbarDiscGradingResults(result).write(volume)
        found = segment_mask(segmentation, "L4-L5", volume)
        expected = np.zeros(result.volume.voxels.shape, bool)
        expected[2] = result.label_slice == DISC_LABELS["L4-L5"]
        np.testing.assert_array_equal(found > 0, reordered.to_stored(expected))

    def test_tags_tell_grade_probability_and_model(self, written):
        _, _, segmentation, _ = written
        tag = vtk.reference("")
        segment = segmentation.GetSegmentation().GetSegment("L3-L4")
        expected = {
            "Level": "L3-L4",
            "Group": "moderate",
            "Pfirrmann": "3",
            "PModerate": "0.4200",
            "Confident": "false",
            "Model": "spine-unet, disc-spinenet",
            "ModelSha256": f"{'a' * 64}, {'b' * 64}",
            "DiscHeightIndex": "0.31",
            "Warnings": "Low confidence: read it again.",
        }
        for name, value in expected.items():
            assert segment.GetTag(f"LumbarDiscGrading.{name}", tag), name
            assert tag.get() == value

    def test_terminology_is_what_slicer_itself_would_write(self, written):
        logic, tag = slicer.vtkSlicerTerminologiesModuleLogic, vtk.reference("")
        segment = written[2].GetSegmentation().GetSegment("L4-L5")
        segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
        by_slicer = logic.SerializeTerminologyEntry(
            TERMINOLOGY_NAME,
            *("123037004", "SCT", "Anatomical Structure"),
            *("360499006", "SCT", "Intervertebral disc"),
            *("", "", ""),
            *("", "", "", ""),
            *("", "", ""),
        )
        assert tag.get() == by_slicer == disc_terminology_entry()

    def test_terminology_file_defines_the_entry(self, checkout):
        path = checkout / "LumbarDiscGrading" / "Resources" / "Terminology" / "LumbarDiscGrading.term.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        (category,) = content["SegmentationCodes"]["Category"]
        (kind,) = category["Type"]
        coded = [
            "^".join(c[k] for k in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")) for c in (category, kind)
        ]
        assert content["@schema"].endswith("/segment-context-schema.json#")
        assert disc_terminology_entry().split("~")[:3] == [content["SegmentationCategoryTypeContextName"], *coded]

    def test_reference_geometry_role_and_place_in_the_hierarchy(self, core):
        result = analytic_result()
        volume = volume_node_from(result.volume, "T2", core.scene)
        hierarchy = core.scene.GetSubjectHierarchyNode()
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
        segmentation, table = LumbarDiscGradingResults(result).write(volume)
        assert segmentation.GetNodeReferenceID(segmentation.GetReferenceImageGeometryReferenceRole()) == volume.GetID()
        geometry = segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")
        assert geometry.endswith(";0;159;0;239;0;4;")
        for node in (segmentation, table):
            assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
        assert segmentation.GetNodeReference("LumbarDiscGrading.table") is table
        assert table.GetNodeReference("LumbarDiscGrading.segmentation") is segmentation
        assert table.GetNodeReference("LumbarDiscGrading.volume") is volume

    def test_display_leaves_the_disc_readable(self, written):
        display = written[2].GetDisplayNode()
        assert 0 < display.GetOpacity2DFill() <= 0.35
        assert display.GetOpacity2DOutline() == 1 and display.GetVisibility2DOutline()
        assert not display.GetVisibility3D()
        assert written[2].GetSegmentation().GetSourceRepresentationName() == "Binary labelmap"

    def test_the_table_is_the_csv(self, written):
        result, _, _, table = written
        assert [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())] == list(GRADE_COLUMNS)
        cells = [[table.GetCellText(r, c) for c in range(table.GetNumberOfColumns())] for r in range(6)]
        assert cells == [list(row.values()) for row in grade_rows(result)]

    def test_segments_move_with_the_volume(self, core):
        volume = volume_node_from(analytic_result().volume, "T2", core.scene)
        volume.SetAndObserveTransformNodeID(translation_and_turn(core.scene).GetID())
        result = replace(analytic_result(), volume=sagittal_volume_from_node(volume))
        segmentation, _ = LumbarDiscGradingResults(result).write(volume)
        assert segmentation.GetTransformNodeID() == volume.GetTransformNodeID()
        found = segment_mask(segmentation, "L4-L5", volume)
        np.testing.assert_array_equal(found > 0, result.label_volume() == DISC_LABELS["L4-L5"])

    def test_writing_again_into_the_same_nodes_replaces(self, core, written):
        result, volume, segmentation, table = written
        before = core.scene.GetNumberOfNodes()
        fewer = replace(result, discs=result.discs[2:])
        again = LumbarDiscGradingResults(fewer)
        assert again.write(volume, segmentation, table) == (segmentation, table)
        assert (again.segmentationNode, again.tableNode) == (segmentation, table)
        assert list(segmentation.GetSegmentation().GetSegmentIDs()) == ["L2-L3", "L3-L4", "L4-L5", "L5-S1"]
        assert table.GetNumberOfRows() == 4
        assert core.scene.GetNumberOfNodes() == before

    def test_a_result_of_another_volume_is_refused_and_the_scene_left_alone(self, core):
        result = analytic_result()
        volume = volume_node_from(result.volume, "T2", core.scene)
        volume.SetOrigin(1, 2, 3)
        before = core.scene.GetNumberOfNodes()
        with pytest.raises(ImagingError, match="grade it again"):
            LumbarDiscGradingResults(result).write(volume)
        assert core.scene.GetNumberOfNodes() == before

    def test_editing_one_segment_leaves_its_neighbours(self, written):
        _, volume, segmentation, _ = written
        neighbours = {level: segment_mask(segmentation, level, volume).copy() for level in ("L3-L4", "L5-S1")}
        segmentation.GetSegmentation().RemoveSegment("L4-L5")
        for level, before in neighbours.items():
            np.testing.assert_array_equal(segment_mask(segmentation, level, volume), before)


class TestShow:
    @pytest.mark.parametrize("degrees", [0.0, 20.0, -14.0])
    @pytest.mark.parametrize(("axes", "flipped"), ORDERS[::6])
    def test_views_show_the_graded_slice_whole(self, core, degrees, axes, flipped):
        result = analytic_result((5, 120, 80), (4.0, 1.8, 1.8), axes, flipped, degrees, slice_index=3)
        volume = volume_node_from(result.volume, "T2", core.scene)
        showGradedSlice(result, volume)
        yellow = core.scene.GetNodeByID("vtkMRMLSliceNodeYellow")
        to_ras = yellow.GetSliceToRAS()
        x, y, z = result.slice_center_lps_mm
        normal = np.array([to_ras.GetElement(r, 2) for r in range(3)])
        origin = np.array([to_ras.GetElement(r, 3) for r in range(3)])
        along_slices = result.volume.index_to_lps[:3, 0] * (-1, -1, 1)
        assert abs(normal @ along_slices) / np.linalg.norm(along_slices) == pytest.approx(1, abs=1e-6)
        assert normal @ (np.array([-x, -y, z]) - origin) == pytest.approx(0, abs=1e-3)
        width, height, _ = yellow.GetFieldOfView()
        assert height == pytest.approx(120 * 1.8, rel=0.02)
        to_back, to_head = (np.array([to_ras.GetElement(r, c) for r in range(3)]) for c in (0, 1))
        assert to_head[2] > 0.99 and to_back[1] < -0.9  # head up, front to the left, as sagittal images are read
        assert width / height == pytest.approx(yellow.GetDimensions()[0] / yellow.GetDimensions()[1])

    def test_the_window_is_the_one_of_the_report(self, core):
        result = analytic_result()
        volume = volume_node_from(result.volume, "T2", core.scene)
        showGradedSlice(result, volume)
        display = volume.GetDisplayNode()
        shown = display.GetWindowLevelMin(), display.GetWindowLevelMax()
        assert shown == pytest.approx(display_window(result))
        assert not display.GetAutoWindowLevel()
        for name in ("Red", "Yellow", "Green"):
            composite = core.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}")
            assert composite.GetBackgroundVolumeID() == volume.GetID()


class TestFiles:
    @pytest.mark.parametrize(("axes", "flipped"), ORDERS[::3])
    @pytest.mark.parametrize("degrees", [0.0, 17.0])
    def test_the_segmentation_file_has_every_label_in_its_voxel(self, core, tmp_path, axes, flipped, degrees):
        result = analytic_result((3, 100, 60), (4.0, 0.7, 0.5), axes, flipped, degrees, 1)
        write_segmentation(result, tmp_path / "Fall Ärzte_discs.seg.nrrd", core)
        labels, matrix, _ = read_labels(tmp_path / "Fall Ärzte_discs.seg.nrrd")
        np.testing.assert_array_equal(labels, result.label_volume())
        np.testing.assert_allclose(matrix, result.volume.stored_index_to_lps, atol=1e-6)

    def test_the_segmentation_file_of_one_slice_stays_three_dimensional(self, core, tmp_path):
        result = analytic_result((1, 100, 60), slice_index=0)
        write_segmentation(result, tmp_path / "x.seg.nrrd", core)
        labels, _, image = read_labels(tmp_path / "x.seg.nrrd")
        assert image.GetDimension() == 3 and image.GetNumberOfComponentsPerPixel() == 1
        np.testing.assert_array_equal(labels, result.label_volume())

    def test_slicer_reads_names_colors_and_tags_back(self, core, tmp_path):
        result = analytic_result()
        awkward = 'Height < 2 mm; see "L4|L5" & neighbours: 50 %.'
        result = replace(result, discs=(replace(result.discs[0], warnings=(awkward,)), *result.discs[1:]))
        write_segmentation(result, tmp_path / "x.seg.nrrd", core)
        node = core.module_logics["Segmentations"].LoadSegmentationFromFile(str(tmp_path / "x.seg.nrrd"), False, "x")
        segmentation, tag = node.GetSegmentation(), vtk.reference("")
        assert segmentation.GetNumberOfSegments() == 6
        for disc in result.discs:
            segment = segmentation.GetSegment(disc.level)
            assert (segment.GetName(), segment.GetLabelValue()) == (disc.level, disc.label_value)
            assert np.multiply(segment.GetColor(), 255) == pytest.approx(disc.group.color, abs=0.01)
            assert segment.GetTag("LumbarDiscGrading.Pfirrmann", tag) and tag.get() == str(disc.pfirrmann)
            assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
            assert tag.get() == disc_terminology_entry()
        segmentation.GetSegment("T12-L1").GetTag("LumbarDiscGrading.Warnings", tag)
        assert tag.get() == awkward.replace("|", "/")

    def test_a_result_without_discs_is_no_segmentation(self, core, tmp_path):
        with pytest.raises(ImagingError, match="No disc was found in analytic"):
            write_segmentation(replace(analytic_result((3, 60, 40)), discs=()), tmp_path / "x.seg.nrrd", core)
        assert os.listdir(tmp_path) == []

    def test_the_scene_opens_ready_to_read(self, core, tmp_path):
        awkward = 'Doubtful contrast; "T1"? < & 50 %: see | here.'
        result = analytic_result(
            stored_axes=(2, 0, 1), stored_flipped=(True, False, True), oblique_degrees=9, warnings=(awkward,)
        )
        write_scene(result, tmp_path / "case one.mrb", core)
        core.load_scene(tmp_path / "case one.mrb")
        scene = core.scene
        volume, segmentation, table = (
            scene.GetFirstNodeByClass(f"vtkMRML{kind}Node") for kind in ("ScalarVolume", "Segmentation", "Table")
        )
        back = sagittal_volume_from_node(volume)
        np.testing.assert_array_equal(back.voxels, result.volume.voxels)
        np.testing.assert_allclose(back.index_to_lps, result.volume.index_to_lps, atol=1e-6)
        for disc in result.discs:
            found = segment_mask(segmentation, disc.level, volume) > 0
            expected = np.zeros(back.voxels.shape, bool)
            expected[result.slice_index] = result.label_slice == disc.label_value
            np.testing.assert_array_equal(found, back.to_stored(expected))
        assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is volume
        assert segmentation.GetNodeReference("LumbarDiscGrading.table") is table
        assert segmentation.GetAttribute("LumbarDiscGrading.Warnings") == awkward
        assert table.GetNumberOfRows() == 6
        assert table.GetCellText(3, 0) == "L3-L4"
        yellow = scene.GetNodeByID("vtkMRMLSliceNodeYellow")
        assert abs(yellow.GetSliceToRAS().GetElement(1, 2)) == pytest.approx(np.sin(np.radians(9)), abs=1e-5)
        to_view = np.linalg.inv(slicer.util.arrayFromVTKMatrix(yellow.GetSliceToRAS()))
        width, height, _ = yellow.GetFieldOfView()
        for disc in result.discs:  # each is seen, on the graded slice
            x, y, z = disc.center_lps_mm
            across, up, depth, _ = to_view @ (-x, -y, z, 1.0)
            assert abs(across) < width / 2 and abs(up) < height / 2 and abs(depth) < 0.01
        composite = scene.GetNodeByID("vtkMRMLSliceCompositeNodeYellow")
        assert composite.GetBackgroundVolumeID() == volume.GetID()
        display = volume.GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx(display_window(result))
        layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
        assert scene.GetLastLoadedVersion().startswith("Slicer ")

    def test_the_scene_file_tells_nothing_of_this_machine(self, core, tmp_path):
        write_scene(analytic_result(), tmp_path / "x.mrb", core)
        with zipfile.ZipFile(tmp_path / "x.mrb") as bundle:
            (scene_file,) = [name for name in bundle.namelist() if name.endswith(".mrml")]
            text = bundle.read(scene_file).decode("utf-8")
        assert str(tmp_path) not in text and ".writing-" not in text

    @pytest.mark.parametrize(("write", "name"), [(write_segmentation, "x.seg.nrrd"), (write_scene, "x.mrb")])
    def test_many_results_leave_nothing_behind_in_the_core(self, core, tmp_path, write, name):
        nodes = []
        for _ in range(3):
            write(analytic_result((3, 60, 40)), tmp_path / name, core)
            nodes.append(core.scene.GetNumberOfNodes())
        assert nodes[0] == nodes[1] == nodes[2]

    @pytest.mark.parametrize(("write", "name"), [(write_segmentation, "x.seg.nrrd"), (write_scene, "x.mrb")])
    def test_a_failure_leaves_nothing(self, core, tmp_path, write, name):
        (tmp_path / name).write_bytes(b"former")
        result = analytic_result((3, 60, 40))
        broken = replace(result, label_slice=np.zeros((5, 5), np.uint8))
        with pytest.raises((ValueError, IndexError)):
            write(broken, tmp_path / name, core)
        assert (tmp_path / name).read_bytes() == b"former"
        assert os.listdir(tmp_path) == [name]
        with pytest.raises(OSError):
            write(result, tmp_path / "missing" / name, core)

    @pytest.mark.skipif(not SPIDER.is_dir(), reason="the real data is not beside this checkout (../shared/data)")
    def test_a_real_patient_round_trips(self, core, tmp_path):
        result = spider_result(spider_patients()[1])
        write_segmentation(result, tmp_path / "x.seg.nrrd", core)
        labels, matrix, _ = read_labels(tmp_path / "x.seg.nrrd")
        graded = np.isin(result.label_volume(), [disc.label_value for disc in result.discs])
        np.testing.assert_array_equal(labels, np.where(graded, result.label_volume(), 0))
        original = SimpleITK.ReadImage(str(SPIDER / f"{spider_patients()[1]}_t2.nrrd"))
        np.testing.assert_allclose(matrix[:3, 3], original.GetOrigin(), atol=1e-5)
        assert {LEVELS_BY_LABEL[v] for v in np.unique(labels) if v} == {disc.level for disc in result.discs}


class TestCore:
    def test_a_core_can_be_started_again_and_closed_twice(self, capfd, tmp_path):
        for n in range(2):
            core = SlicerCore()
            volume_node_from(analytic_result((3, 60, 40)).volume, "T2", core.scene)
            core.save_scene(tmp_path / f"{n}.mrml")
            core.close()
            core.close()
            assert (core.errors, core.warnings) == ([], [])
        out, err = capfd.readouterr()
        assert out + err == ""
        assert (tmp_path / "Data" / "T2.nrrd").is_file()

    def test_a_saved_mrml_scene_loads(self, core, tmp_path):
        volume = analytic_result((3, 60, 40)).volume
        volume_node_from(volume, "T2", core.scene)
        core.save_scene(tmp_path / "x.mrml")
        core.load_scene(tmp_path / "x.mrml")
        back = sagittal_volume_from_node(core.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
        np.testing.assert_array_equal(back.voxels, volume.voxels)

    def test_what_cannot_be_saved_or_loaded_is_said(self, capfd, tmp_path):
        with SlicerCore() as core:
            with pytest.raises(HeadlessError, match=r"\.mrb or \.mrml"):
                core.save_scene(tmp_path / "x.zip")
            with pytest.raises(HeadlessError, match=r"x\.mrb could not be written"):
                core.save_scene(tmp_path / "missing" / "x.mrb")
            (tmp_path / "broken.mrb").write_bytes(b"no archive")
            before = os.getcwd()
            with pytest.raises(HeadlessError, match=r"broken\.mrb could not be read"):
                core.load_scene(tmp_path / "broken.mrb")
            assert os.getcwd() == before
        out, err = capfd.readouterr()
        assert out + err == ""
