"""Masks as ``.seg.nrrd``: what the study writes is what 3D Slicer reads, and what is damaged is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from example_studies import image, protocol, truth_masks
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.annotation.errors import StudyError
from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.storage.nrrd_files import nrrd_bytes, parse_nrrd
from LumbarDiscGradingLib.annotation.storage.segmentation_files import parse_segmentation, segmentation_bytes
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, NOT_GRADED_COLOR, Group

VOLUME = image(0)
STORED = VOLUME.to_stored(truth_masks())
MATRIX = VOLUME.stored_index_to_lps


def test_slicer_reads_names_labels_colors_terms_and_place(tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer")
    import vtk
    from slicer.util import arrayFromVolume

    from LumbarDiscGradingLib.headless.core import SlicerCore
    from LumbarDiscGradingLib.scene.volumes import volume_node_from
    from LumbarDiscGradingLib.segment_tags import disc_terminology_entry

    path = tmp_path / "masks.seg.nrrd"
    path.write_bytes(segmentation_bytes(STORED, MATRIX, {"L4-L5": 3, "L5-S1": 5}, {"Reader": "anna"}))
    with SlicerCore() as core:
        storage = core.scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(str(path))
        node = core.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        assert storage.ReadData(node)
        volume_node = volume_node_from(VOLUME, "image", core.scene)
        segmentation = node.GetSegmentation()
        assert [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())] == list(
            LUMBAR_LEVELS
        )
        colors = {"L4-L5": Group.MODERATE.color, "L5-S1": Group.SERIOUS.color}
        for level in LUMBAR_LEVELS:
            segment = segmentation.GetSegment(level)
            assert (segment.GetName(), segment.GetLabelValue()) == (level, DISC_LABELS[level])
            expected = np.array(colors.get(level, NOT_GRADED_COLOR)) / 255
            assert np.allclose(segment.GetColor(), expected, atol=1e-5)
            tags = {"LumbarDiscGrading.Reader": "anna", segment.GetTerminologyEntryTagName(): disc_terminology_entry()}
            for tag, value in tags.items():
                found = vtk.reference("")
                assert segment.GetTag(tag, found) and str(found) == value
            exported = core.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
            identifiers = vtk.vtkStringArray()
            identifiers.InsertNextValue(level)
            export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
            assert export(node, identifiers, exported, volume_node)
            assert np.array_equal(arrayFromVolume(exported) > 0, DISC_LABELS[level] == STORED)
        del segment, segmentation, node, storage, volume_node, exported, found


@pytest.mark.parametrize("cropped", [False, True])
def test_a_file_that_slicer_saved_again_is_read_back(cropped: bool, tmp_path: Path) -> None:
    pytest.importorskip("slicer")
    from LumbarDiscGradingLib.headless.core import SlicerCore

    path = tmp_path / "masks.seg.nrrd"
    path.write_bytes(segmentation_bytes(STORED, MATRIX))
    with SlicerCore() as core:
        storage = core.scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        node = core.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        storage.SetFileName(str(path))
        assert storage.ReadData(node)
        storage.SetFileName(str(tmp_path / "again.seg.nrrd"))
        storage.SetCropToMinimumExtent(cropped)
        assert storage.WriteData(node)
        del node, storage
    content = (tmp_path / "again.seg.nrrd").read_bytes()
    assert (b"sizes: 48 96 3" in content) is not cropped
    labels = parse_segmentation(content, "again", STORED.shape, MATRIX)
    assert np.array_equal(labels, STORED)


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
)
def test_any_grid_comes_back_bit_by_bit(seed: int, dtype: str) -> None:
    random = np.random.default_rng(seed)
    array = random.integers(0, 100, random.integers(1, 9, 3)).astype(dtype)
    matrix = np.eye(4)
    matrix[:3] = random.normal(size=(3, 4))
    content = nrrd_bytes(array, matrix, {"comment": "a\\b\nc", "Unicode": "Größe"})
    back, back_matrix, fields = parse_nrrd(content, "grid")
    assert np.array_equal(back, array) and back.dtype == array.dtype
    assert np.array_equal(back_matrix, matrix)
    assert fields["Unicode"] == "Größe"
    assert nrrd_bytes(array, matrix, {"comment": "a\\b\nc", "Unicode": "Größe"}) == content


def test_simpleitk_reads_the_same_image(tmp_path: Path) -> None:
    import SimpleITK as sitk

    path = tmp_path / "image.nrrd"
    path.write_bytes(nrrd_bytes(VOLUME.to_stored(VOLUME.voxels), MATRIX))
    read = sitk.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(read.GetDirection(), (3, 3)) * read.GetSpacing()
    matrix[:3, 3] = read.GetOrigin()
    volume = SagittalVolume.from_stored(sitk.GetArrayFromImage(read), matrix)
    assert np.array_equal(volume.voxels, VOLUME.voxels) and np.allclose(volume.index_to_lps, VOLUME.index_to_lps)


GOOD = segmentation_bytes(STORED, MATRIX)


@settings(max_examples=40)
@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(StudyError):
        parse_segmentation(GOOD[:length], "cut", STORED.shape, MATRIX)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.replace(b"encoding: gzip", b"encoding: gzip\ndata file: /etc/passwd"), "single 3-D grid"),
        (lambda c: c.replace(b"encoding: gzip", b"encoding: gzip\ndatafile: LIST"), "single 3-D grid"),
        (lambda c: c.replace(b"encoding: gzip", b"encoding: gzip\nbyte skip: 9"), "single 3-D grid"),
        (lambda c: c.replace(b"sizes: 48 96 3", b"sizes: 90000 90000 90000"), "size is not possible"),
        (lambda c: c.replace(b"sizes: 48 96 3", b"sizes: 96 48 3"), "voxels, the image|does not lie on"),
        (lambda c: c.replace(b"encoding: gzip", b"encoding: bzip2"), "not supported"),
        (lambda c: c.replace(b"Segment0_Name:=L1-L2", b"Segment0_Name:=../../x"), "no disc level"),
        (lambda c: c.replace(b"Segment0_LabelValue:=92", b"Segment0_LabelValue:=40"), "no segment"),
        (lambda c: c.replace(b"space origin: (", b"space origin: (9"), "does not lie on"),
        (lambda c: c.replace(b"space origin: (", b"space origin: (nan"), "single 3-D grid"),
    ],
)
def test_hostile_and_damaged_masks_are_refused_with_a_sentence(change, message: str) -> None:
    changed = change(GOOD)
    assert changed != GOOD
    with pytest.raises(StudyError, match=message):
        parse_segmentation(changed, "file", STORED.shape, MATRIX)


@settings(max_examples=24)
@given(
    st.permutations(range(3)),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.floats(-20, 20),
    st.lists(st.floats(-300, 300), min_size=3, max_size=3),
)
def test_masks_lie_on_the_image_whatever_the_order_in_which_it_is_stored(axes, flips, degrees, origin) -> None:
    """Any of the 48 axis orders, oblique, anywhere: image and masks come back voxel on voxel from a study."""
    canonical = VOLUME.voxels
    turned = np.eye(4)
    angle = np.radians(degrees)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix = turned @ VOLUME.index_to_lps
    matrix[:3, 3] = origin
    stored, columns, start = np.transpose(canonical, axes), matrix[:3, list(axes)], matrix[:3, 3].copy()
    for axis, flip in enumerate(flips):
        if flip:
            start += columns[:, axis] * (stored.shape[axis] - 1)
            stored, columns[:, axis] = np.flip(stored, axis), -columns[:, axis]
    to_lps = np.eye(4)
    to_lps[:3, :3], to_lps[:3, 3] = columns[:, ::-1], start
    volume = SagittalVolume.from_stored(np.ascontiguousarray(stored), to_lps)
    with tempfile.TemporaryDirectory() as place:
        readers = (Reader("anna", (Role.ANNOTATOR,)),)
        rules = {"readers": readers, "tasks": (Task.MASKS,), "peer_review": False}
        study = Study.create(Path(place, "study"), protocol(**rules))
        case = study.add_case(volume)
        with ReaderSession.open(study.folder, "anna").open_case(case.id) as opened:
            assert np.array_equal(opened.volume.voxels, canonical)
            assert np.allclose(opened.volume.index_to_lps, matrix)
            opened.set_masks(truth_masks())
        study.refresh()
        masks = study.masks(study.reading_path("anna", case.id, Task.MASKS), case.id)
        assert np.array_equal(masks.voxels, truth_masks())
        assert np.allclose(masks.index_to_lps, matrix)
