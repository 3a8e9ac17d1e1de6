"""Masks of a volume are carried over to a picture of the same spine, and refused where they do not fit."""

import numpy as np
import pytest
from scipy import ndimage

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.dataset.mask_transfer import transfer_mask
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, write_dataset
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

TRUE_PIXEL_MM = (0.95, 0.8)
"""Of the picture: it is stretched by a fifth."""
ANGLE_DEGREES, SHIFT_PX = 4.0, (6.0, -9.0)


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom()


@pytest.fixture(scope="module")
def pictured(phantom):
    """A picture of the phantom's middle slice, turned, shifted, stretched and bent in its grey scale; and its truth."""
    index = phantom.mid_slice_index
    spacing = np.array(phantom.volume.spacing_mm[1:])
    angle = np.radians(ANGLE_DEGREES)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.diag(1 / spacing) @ turn @ np.diag(TRUE_PIXEL_MM)
    shape = tuple((np.array(phantom.mask.shape[1:]) * spacing / TRUE_PIXEL_MM).astype(int))
    offset = (np.array(phantom.mask.shape[1:]) - 1) / 2 - matrix @ ((np.array(shape) - 1) / 2 + SHIFT_PX)
    pixels = phantom.volume.voxels[index].astype(float)
    picture = ndimage.affine_transform(pixels, matrix, offset, shape, order=1)
    truth = ndimage.affine_transform(phantom.mask[index], matrix, offset, shape, order=0)
    random = np.random.default_rng(0)
    picture = 255 * (picture / picture.max()) ** 0.8 + random.normal(0, 3, shape)
    points = {}
    for level in LUMBAR_LEVELS:
        place = np.argwhere(truth == DISC_LABELS[level])
        back = place[place[:, 1] >= place[:, 1].max() - 2].mean(axis=0)
        points[level] = tuple(back + random.uniform(-1.5, 1.5, 2))
    return picture, truth, points


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_the_mask_lies_on_the_same_discs_of_a_turned_and_stretched_picture(phantom, pictured):
    picture, truth, points = pictured
    transfer = transfer_mask(phantom.volume, phantom.mask, picture, points)
    assert transfer.problem == ""
    assert transfer.mask.shape == picture.shape
    for level in LUMBAR_LEVELS:
        assert dice(transfer.mask == DISC_LABELS[level], truth == DISC_LABELS[level]) > 0.85, level
    assert transfer.pixel_mm == pytest.approx(TRUE_PIXEL_MM, rel=0.04)
    assert abs(transfer.slice_index - phantom.mid_slice_index) * phantom.volume.spacing_mm[0] <= 4.0
    assert max(transfer.point_mm) < 4.0


def test_points_one_level_off_or_of_another_spine_are_refused(phantom, pictured):
    picture, _, points = pictured
    step = (points["L5-S1"][0] - points["L1-L2"][0]) / 4
    off = {level: (row - step, column) for level, (row, column) in points.items()}
    assert transfer_mask(phantom.volume, phantom.mask, picture, off).problem
    bent = {level: (row, column + 12 * (-1) ** n) for n, (level, (row, column)) in enumerate(points.items())}
    assert transfer_mask(phantom.volume, phantom.mask, picture, bent).problem


def test_without_enough_levels_on_both_sides_nothing_is_carried(phantom, pictured):
    picture, _, points = pictured
    few = {level: points[level] for level in LUMBAR_LEVELS[:3]}
    assert transfer_mask(phantom.volume, phantom.mask, picture, few) is None


def write_sets(folder, phantom, pictured, splits=("train", "train")):
    picture, _, points = pictured
    head_up = np.array([[4.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    volume = SagittalVolume(picture[None].astype(np.float32), head_up, scale_known=False)
    pair = (
        CaseToWrite("p1", phantom.volume, phantom.mask, phantom.grades),
        CaseToWrite("p1", volume, None, {"L4-L5": 4}, kind="picture", level_points=points),
    )
    for name, case, split in zip(("volumes", "pictures"), pair, splits, strict=True):
        parts = {part: ["p1"] if part == split else [] for part in ("train", "tune", "test")}
        write_dataset(folder / name, name=name, cases=[case], splits=parts, licence="CC0", attribution="Made up.")


def transfer(folder) -> int:
    return main(["dataset", "transfer", str(folder / "volumes"), str(folder / "pictures"), str(folder / "new")])


def test_the_command_makes_a_data_set_of_pictures_with_masks(phantom, pictured, tmp_path, capsys):
    write_sets(tmp_path, phantom, pictured)
    assert transfer(tmp_path) == 0
    dataset = LabelledDataset.open(tmp_path / "new")
    (case,) = dataset.cases
    assert (case.patient, case.split, case.kind, case.pixel_size_known) == ("p1", "train", "picture", True)
    assert case.volume().spacing_mm[1:] == pytest.approx(TRUE_PIXEL_MM, rel=0.04)
    assert case.grades == {"L4-L5": 4} and set(case.level_points) == set(LUMBAR_LEVELS)
    assert dice(case.mask()[0] == DISC_LABELS["L4-L5"], pictured[1] == DISC_LABELS["L4-L5"]) > 0.85
    assert "Made up. Masks carried over from volumes: Made up." in dataset.manifest["attribution"]
    assert "Patient p1 (train): correlation" in capsys.readouterr().out


def test_a_patient_in_two_splits_is_refused(phantom, pictured, tmp_path, capsys):
    write_sets(tmp_path, phantom, pictured, ("train", "test"))
    assert transfer(tmp_path) == 1
    assert "patient p1 in different splits" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
