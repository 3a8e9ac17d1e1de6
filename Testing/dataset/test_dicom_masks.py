"""DICOM Segmentations as masks: this program's own and those of others, or a sentence why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from graded_series import result_on_series, write_foreign_segmentation

from LumbarDiscGradingLib.dataset.dicom_masks import read_labels
from LumbarDiscGradingLib.dataset.image_files import write_stored
from LumbarDiscGradingLib.dataset.importing import import_folder
from LumbarDiscGradingLib.dataset.manifest import DatasetError
from LumbarDiscGradingLib.grading.result import GradingResult
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, Tissue
from LumbarDiscGradingLib.report.dicom.writing import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")

DISC = ("SCT", "360499006", "Intervertebral disc")
VERTEBRA, CANAL = ("SCT", "51282000", "Vertebra"), ("SCT", "61853006", "Vertebral canal")
L4_L5, L4 = ("SCT", "84020006", "L4/L5 disc"), ("SCT", "11994002", "L4 vertebra")
TISSUE, CORD = ("SCT", "85756007", "Tissue"), ("SCT", "2748008", "Spinal cord")
HERNIATED = ("99X", "1", "Herniated disc")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> GradingResult:
    return result_on_series(tmp_path_factory.mktemp("graded") / "series", turned_degrees=12.0)


def read(path: Path, result: GradingResult) -> np.ndarray:
    """Return the labels of a segmentation in canonical order."""
    volume = result.volume
    shape = volume.to_stored(volume.voxels).shape
    return volume.canonical(read_labels(path, shape, volume.stored_index_to_lps, "p"))


def on_images(result: GradingResult, *planes: np.ndarray) -> np.ndarray:
    """Return masks of the graded slice as one array on all images of the series, a segment each."""
    masks = np.zeros((*result.volume.voxels.shape, len(planes)), dtype=np.uint8)
    for number, plane in enumerate(planes):
        masks[result.slice_index, ..., number] = plane
    files = result.volume.source.dicom_files
    depth = [result.volume.index_of_lps(pydicom.dcmread(file).ImagePositionPatient)[0] for file in files]
    return masks[np.rint(depth).astype(int)]


def disc_plane(result: GradingResult, *levels: str) -> np.ndarray:
    return np.isin(result.label_slice, [DISC_LABELS[level] for level in levels])


def test_what_this_program_wrote_comes_back_as_the_masks_of_a_data_set(graded: GradingResult, tmp_path: Path) -> None:
    volume, folder = graded.volume, tmp_path / "source"
    folder.mkdir()
    write_dicom(graded, folder / "p_labels.dcm", tmp_path / "report.dcm")
    write_stored(folder / "p_t2.nrrd", volume.to_stored(volume.voxels), volume.stored_index_to_lps)
    (folder / "grades.csv").write_text("patient,level,pfirrmann\np,L4-L5,4\n")
    (case,) = import_folder(folder, tmp_path / "made").cases
    mask = case.mask()
    assert case.levels_trusted and mask is not None
    np.testing.assert_array_equal(mask[graded.slice_index], graded.label_slice)
    assert np.count_nonzero(mask) == np.count_nonzero(graded.label_slice)


@pytest.mark.parametrize(
    ("kind", "empty_frames"), [("BINARY", False), ("BINARY", True), ("FRACTIONAL", False), ("LABELMAP", False)]
)
def test_a_segmentation_of_tissues_is_read_whatever_its_kind(
    graded: GradingResult, tmp_path: Path, kind: str, empty_frames: bool
) -> None:
    discs = graded.label_slice > 0
    vertebrae, canal = graded.tissue_slice == Tissue.VERTEBRA, graded.tissue_slice == Tissue.CANAL
    segments = [("intervertebral_discs", DISC), ("vertebrae_L4", L4), ("canal", CANAL), ("spinal_cord", CORD)]
    segments[1] = ("vertebrae", VERTEBRA)
    masks = on_images(graded, discs, vertebrae & ~discs, canal & ~discs & ~vertebrae, np.zeros_like(discs))
    path = tmp_path / "seg.dcm"
    write_foreign_segmentation(path, graded.volume.source.dicom_files, segments, masks, kind, empty_frames)
    labels = read(path, graded)
    expected = np.where(discs, Tissue.DISC, graded.tissue_slice)
    np.testing.assert_array_equal(labels[graded.slice_index], expected)
    assert np.count_nonzero(labels) == np.count_nonzero(expected)


@pytest.mark.parametrize(
    ("label", "kind", "value"),
    [
        ("Disc L4-L5", DISC, DISC_LABELS["L4-L5"]),
        ("L4/5 disc", TISSUE, DISC_LABELS["L4-L5"]),
        ("disc_L5_S", TISSUE, DISC_LABELS["L5-S1"]),
        ("L4/L5", TISSUE, DISC_LABELS["L4-L5"]),
        ("Segment_1", L4_L5, DISC_LABELS["L4-L5"]),
        ("L6-S1", DISC, DISC_LABELS["L6-S1"]),
        ("Disk 3", TISSUE, Tissue.DISC),
        ("intervertebral_discs", ("99X", "7", "Something"), Tissue.DISC),
    ],
)
def test_names_and_codes_of_others_are_understood(
    graded: GradingResult, tmp_path: Path, label: str, kind: tuple[str, str, str], value: int
) -> None:
    path, masks = tmp_path / "seg.dcm", on_images(graded, disc_plane(graded, "L4-L5"))
    write_foreign_segmentation(path, graded.volume.source.dicom_files, [(label, kind)], masks)
    assert set(np.unique(read(path, graded))) == {0, value}


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([("vertebrae_L4", L4), ("cord", CORD)], "no segment of a disc, but vertebrae_L4, cord"),
        ([("L4-L5", HERNIATED), ("C5/C6 disc", DISC)], "no segment of a disc"),
        ([("L4-L5", DISC), ("disc", DISC)], "names the levels of some discs only"),
        ([("L4-L5", DISC), ("Disc L4/5", L4_L5)], "or one twice"),
        ([("L3-L4", L4_L5), ("L5-S1", DISC)], "coded as L3-L4, L4-L5"),
        ([("L4-L5", DISC), ("L5-S1", DISC)], "overlap"),
    ],
)
def test_what_could_be_misread_is_refused(
    graded: GradingResult, tmp_path: Path, segments: list[tuple[str, tuple[str, str, str]]], told: str
) -> None:
    plane = disc_plane(graded, "L4-L5")
    path = tmp_path / "seg.dcm"
    write_foreign_segmentation(path, graded.volume.source.dicom_files, segments, on_images(graded, plane, plane))
    with pytest.raises(DatasetError, match=told):
        read(path, graded)


def test_a_segmentation_of_another_series_is_refused(graded: GradingResult, tmp_path: Path) -> None:
    path, masks = tmp_path / "seg.dcm", on_images(graded, disc_plane(graded, "L4-L5"))
    write_foreign_segmentation(path, graded.volume.source.dicom_files, [("L4-L5", DISC)], masks)
    volume = graded.volume
    shape, matrix = volume.to_stored(volume.voxels).shape, volume.stored_index_to_lps
    for change in ((0.0, 0.0, 0.0, 0.3), (0.0, 0.0, 1.0, 0.0)):
        moved = matrix.copy()
        moved[2] += change
        with pytest.raises(DatasetError, match="does not lie on the image's voxels"):
            read_labels(path, shape, moved, "p")
    finer = matrix @ np.diag([0.5, 0.5, 1.0, 1.0])
    with pytest.raises(DatasetError, match="does not lie on the image's voxels"):
        read_labels(path, (shape[0], 2 * shape[1], 2 * shape[2]), finer, "p")


def test_dicom_that_is_no_segmentation_is_refused(graded: GradingResult, tmp_path: Path) -> None:
    image = graded.volume.source.dicom_files[0]
    with pytest.raises(DatasetError, match="is DICOM but no segmentation"):
        read(image, graded)
    cut = tmp_path / "cut.dcm"
    path = write_foreign_segmentation(
        tmp_path / "seg.dcm", graded.volume.source.dicom_files, [("L4-L5", DISC)], on_images(graded, disc_plane(graded))
    )
    cut.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DatasetError, match=r"cut\.dcm cannot be read"):
        read(cut, graded)
