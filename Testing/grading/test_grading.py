"""Grading a volume with the built-in models: what comes out, and what it does not depend on."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, permutations, product

import numpy as np
import pytest
import SimpleITK as sitk

from LumbarDiscGradingLib.grading.corrections import DiscRemoved, corrected
from LumbarDiscGradingLib.grading.device import DeviceError
from LumbarDiscGradingLib.grading.grader import DiscGrader, NoDiscsError
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import ImagingError, SagittalVolume
from LumbarDiscGradingLib.models.manifest import ModelError
from LumbarDiscGradingLib.panel.shared.graders import Graders
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, group_of_grade

AXIS_ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom()


@pytest.fixture(scope="module")
def result(grader, phantom):
    return grader.grade(phantom.volume)


def stored(volume, axes, flips):
    """The same voxels at the same places, stored in another axis order (numpy axes of k, j, i)."""
    array = np.transpose(volume.voxels, axes)
    columns, origin = volume.index_to_lps[:3, :3][:, list(axes)], volume.index_to_lps[:3, 3].copy()
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            origin = origin + columns[:, axis] * (array.shape[axis] - 1)
            columns = columns * np.where(np.arange(3) == axis, -1.0, 1.0)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = columns[:, ::-1], origin
    return np.ascontiguousarray(array), matrix


def test_all_lumbar_discs_of_the_sample_are_found_where_they_are(result, phantom):
    assert set(LUMBAR_LEVELS) <= {disc.level for disc in result.discs}
    assert result.missing_levels == ()
    truth = phantom.mask[result.slice_index]
    for disc in result.discs:
        if disc.level in LUMBAR_LEVELS:
            found, real = result.label_slice == disc.label_value, truth == disc.label_value
            assert 2 * (found & real).sum() / (found.sum() + real.sum()) > 0.6, disc.level


def test_the_chosen_slice_is_the_one_through_the_canal_not_the_middle_one(result, phantom):
    assert phantom.mid_slice_index != phantom.volume.middle_slice_index
    assert abs(result.slice_index - phantom.mid_slice_index) <= 1
    assert "content" in result.slice_reason


def test_probabilities_grades_and_groups_agree(result):
    for disc in result.discs:
        assert sum(disc.grade_probabilities) == pytest.approx(1.0, abs=1e-6)
        assert sum(disc.grade_probabilities[:2]) == pytest.approx(disc.group_probabilities[0], abs=1e-6)
        assert sum(disc.grade_probabilities[3:]) == pytest.approx(disc.group_probabilities[2], abs=1e-6)
        assert group_of_grade(disc.pfirrmann) is disc.group
        assert disc.confident or disc.warnings


def test_bright_high_discs_are_graded_better_than_black_collapsed_ones(grader):
    grades = {"L1-L2": 1, "L2-L3": 1, "L3-L4": 5, "L4-L5": 5}
    found = grader.grade(lumbar_phantom(3, grades).volume)

    def expected(level):
        return float(np.dot(found.disc(level).grade_probabilities, (1, 2, 3, 4, 5)))

    assert max(expected("L1-L2"), expected("L2-L3")) + 1.5 < min(expected("L3-L4"), expected("L4-L5"))


def test_measurements_are_those_of_the_disc(result, phantom):
    truth = phantom.mask[result.slice_index]
    _, rows, columns = phantom.volume.spacing_mm
    for level in LUMBAR_LEVELS:
        measured = result.disc(level).measurements
        area = float((result.label_slice == DISC_LABELS[level]).sum()) * rows * columns
        assert measured.area_mm2 == pytest.approx(area, rel=0.01)
        assert measured.height_mm * measured.diameter_mm == pytest.approx(measured.area_mm2, rel=0.01)
        assert measured.area_mm2 == pytest.approx(float((truth == DISC_LABELS[level]).sum()) * rows * columns, rel=0.6)
        assert 0.0 <= measured.signal_to_canal < 1.2


def test_the_result_does_not_depend_on_the_stored_axis_order(grader, phantom, result):
    """All 48 orders give the same canonical voxels, and so the same result; three of them are graded to see it."""
    reference = result.label_slice
    for number, (axes, flips) in enumerate(AXIS_ORDERS):
        array, matrix = stored(phantom.volume, axes, flips)
        volume = SagittalVolume.from_stored(array, matrix)
        np.testing.assert_array_equal(volume.voxels, phantom.volume.voxels)
        assert volume.slice_center_lps_mm(result.slice_index) == result.slice_center_lps_mm
        if number % 16:
            continue
        again = grader.grade(volume)
        assert again.slice_center_lps_mm == result.slice_center_lps_mm
        assert [(d.level, d.group) for d in again.discs] == [(d.level, d.group) for d in result.discs]
        np.testing.assert_array_equal(again.label_slice, reference)
        np.testing.assert_array_equal(np.argwhere(again.label_volume()).shape, np.argwhere(result.label_volume()).shape)


def rotated_in_plane(volume, degrees):
    """The same anatomy on a grid that is turned about the patient's left-right axis."""
    image = sitk.GetImageFromArray(volume.voxels.astype(np.float32))
    matrix = volume.index_to_lps
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(tuple(spacing[::-1]))
    image.SetDirection(tuple((matrix[:3, :3] / spacing)[:, ::-1].ravel()))
    image.SetOrigin(tuple(matrix[:3, 3]))
    turn = sitk.Euler3DTransform(image.TransformContinuousIndexToPhysicalPoint([(s - 1) / 2 for s in image.GetSize()]))
    turn.SetRotation(np.radians(degrees), 0.0, 0.0)
    rotation = np.array(turn.GetMatrix()).reshape(3, 3)
    direction = rotation @ np.array(image.GetDirection()).reshape(3, 3)
    half = (np.array(image.GetSize()) - 1) / 2 * np.array(image.GetSpacing())
    origin = np.array(turn.GetCenter()) - direction @ half
    turned = sitk.Resample(
        image,
        image.GetSize(),
        sitk.Transform(),
        sitk.sitkLinear,
        origin.tolist(),
        image.GetSpacing(),
        direction.ravel().tolist(),
    )
    return turned, image


@pytest.mark.parametrize("degrees", [20.0, -20.0])
def test_an_oblique_acquisition_gives_the_same_discs(grader, phantom, result, degrees):
    turned, reference = rotated_in_plane(phantom.volume, degrees)
    direction = np.array(turned.GetDirection()).reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = direction * np.array(turned.GetSpacing()), turned.GetOrigin()
    again = grader.grade(SagittalVolume.from_stored(sitk.GetArrayFromImage(turned), matrix))
    assert [disc.level for disc in again.discs if disc.level in LUMBAR_LEVELS] == list(LUMBAR_LEVELS)
    for level in LUMBAR_LEVELS:
        ours, theirs = result.disc(level), again.disc(level)
        assert theirs.group_probabilities == pytest.approx(ours.group_probabilities, abs=0.15), level
        if ours.confident or theirs.confident:  # two groups of about the same probability may change places
            assert theirs.group is ours.group, level
    labels = sitk.GetImageFromArray(again.label_volume())
    labels.CopyInformation(turned)
    back = sitk.GetArrayFromImage(sitk.Resample(labels, reference, sitk.Transform(), sitk.sitkNearestNeighbor))
    lumbar = [DISC_LABELS[level] for level in LUMBAR_LEVELS]
    ours, theirs = np.isin(result.label_volume(), lumbar), np.isin(back, lumbar)
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) >= 0.95


def test_a_given_slice_overrides_the_choice(grader, phantom):
    chosen = grader.grade(phantom.volume, slice_index=phantom.volume.middle_slice_index)
    assert chosen.slice_index == phantom.volume.middle_slice_index
    assert chosen.slice_reason == "given by the user"
    with pytest.raises(ImagingError, match="no slice 99"):
        grader.grade(phantom.volume, slice_index=99)


def test_without_a_known_scale_lengths_are_left_out_and_the_scale_is_found_from_the_anatomy(grader, phantom, result):
    one = phantom.volume.voxels[result.slice_index : result.slice_index + 1]
    matrix = phantom.volume.index_to_lps.copy()
    matrix[:3, 1:3] *= 1.3  # a wrong guess
    picture = SagittalVolume(one, matrix, scale_known=False)
    found = grader.grade(picture)
    assert [disc.level for disc in found.discs if disc.level in LUMBAR_LEVELS] == list(LUMBAR_LEVELS)
    for disc in found.discs:
        assert disc.measurements.height_mm is disc.measurements.area_mm2 is disc.measurements.diameter_mm is None
        assert disc.measurements.signal_to_canal is not None
    assert any("estimate" in warning for warning in found.warnings)


def test_dark_fluid_is_warned_about(grader, phantom, result):
    labels = phantom.mask
    voxels = phantom.volume.voxels.astype(np.float32)
    voxels = np.where(labels == 3, voxels * 0.12, voxels)
    t1_like = grader.grade(replace(phantom.volume, voxels=voxels), slice_index=result.slice_index)
    assert any("T2" in warning or "canal" in warning for warning in t1_like.warnings)
    assert not any("T2" in warning for warning in result.warnings)


def test_noise_has_no_discs(grader, phantom):
    noise = np.random.default_rng(0).normal(500, 100, size=(5, 256, 256)).astype(np.float32)
    with pytest.raises(NoDiscsError, match="No intervertebral disc"):
        grader.grade(replace(phantom.volume, voxels=noise))


def test_progress_names_the_stages_and_can_stop_the_grading(grader, phantom):
    class StoppedError(Exception):
        pass

    stages = []

    def stop(stage):
        stages.append(stage)
        if stage == "grade":
            raise StoppedError

    with pytest.raises(StoppedError):
        grader.grade(phantom.volume, progress=stop)
    assert [stage for stage, _ in groupby(stages)] == ["segment", "find discs", "grade"]
    assert stages.count("segment") > 1  # once for each batch of slices, so that it can be stopped in between


def test_the_result_names_both_models_with_their_hashes(result):
    assert [model.task for model in result.models] == ["segmentation", "grading"]
    assert all(len(model.sha256) == 64 for model in result.models)
    assert result.to_dict()["models"][0]["name"]


def test_a_model_of_the_other_task_is_refused(grader):
    with pytest.raises(ModelError, match="for grading, not for segmentation"):
        DiscGrader("cpu", segmentation_model=grader.models[1].name)


def test_a_device_that_is_not_there_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="--device"):
        DiscGrader("cuda:77")


def test_a_given_mask_is_graded_as_the_grader_would_itself(grader, phantom, result):
    """The masks of a result give its own grades again; a larger mask gives a larger disc."""
    masks = {disc.level: result.label_slice == disc.label_value for disc in result.discs}
    again = grader.regrade(phantom.volume, result.slice_index, masks)
    for disc, graded in zip(result.discs, again, strict=True):
        assert graded.level == disc.level
        assert graded.grade_probabilities == pytest.approx(disc.grade_probabilities, abs=0.02)
        assert graded.measurements.height_mm == pytest.approx(disc.measurements.height_mm, rel=0.01)
    grown = masks["L4-L5"] | np.roll(masks["L4-L5"], 2, axis=0)
    (larger,) = grader.regrade(phantom.volume, result.slice_index, {"L4-L5": grown})
    assert larger.measurements.area_mm2 > result.disc("L4-L5").measurements.area_mm2
    with pytest.raises(ImagingError, match="mask of L4-L5 is empty"):
        grader.regrade(phantom.volume, result.slice_index, {"L4-L5": np.zeros_like(grown)})


class GradersOf(Graders):
    """Graders that come from a function of the device."""

    def __init__(self, grader_on):
        super().__init__()
        self.grader_on = grader_on

    def grader(self, device, *models):
        return self.grader_on(device)


def test_a_failing_graphics_card_is_replaced_by_the_cpu_once(grader, phantom, monkeypatch):
    torch = pytest.importorskip("torch")
    asked = []

    def grade(device):
        asked.append(device)
        if device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return grader.grade(phantom.volume, 6)

    result = GradersOf(lambda device: device).run(grade, "cuda")
    assert asked == ["cuda", "cpu"]
    assert "ran out of memory" in result.device
    assert any("graded on the CPU" in warning for warning in result.warnings)


def test_a_card_that_torch_cannot_drive_is_replaced_by_the_cpu(grader, phantom, result):
    def on(device):
        if device == "cuda:77":
            return DiscGrader(device)
        return grader

    graded = GradersOf(on).run(lambda used: used.grade(phantom.volume), "cuda:77")
    assert [disc.level for disc in graded.discs] == [disc.level for disc in result.discs]
    assert any("graphics card was not used" in warning for warning in graded.warnings)
    masks = {"L4-L5": result.label_slice == DISC_LABELS["L4-L5"]}
    (disc,) = GradersOf(on).run(lambda used: used.regrade(phantom.volume, result.slice_index, masks), "cuda:77")
    assert "graded on the CPU" in disc.warnings[-1]
    lacking = corrected(result, [DiscRemoved("L4-L5")])
    found = GradersOf(on).run(lambda used: used.find_disc(lacking, "L4-L5"), "cuda:77")
    assert "L4-L5: graded on the CPU" in found.disc.warnings[-1]


@pytest.mark.parametrize("error", [ImagingError("no discs"), RuntimeError("a bug"), DeviceError("no device")])
def test_other_errors_do_not_fall_back(error):
    asked = []

    def grade(device):
        asked.append(device)
        raise error

    with pytest.raises(type(error)):
        GradersOf(lambda device: device).run(grade, "cuda")
    assert asked == ["cuda"]


def test_a_slice_beyond_the_last_is_never_chosen(grader, phantom):
    volume = phantom.volume
    first = volume.voxels[: phantom.mid_slice_index + 1]  # the canal ends with the stack
    cut = SagittalVolume.from_stored(first, volume.index_to_lps[:, [2, 1, 0, 3]])
    assert grader.grade(cut).slice_index in (cut.slice_count - 1, cut.slice_count - 2)
