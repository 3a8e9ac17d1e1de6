"""Evidence maps: where they lie, that they hang on the group and on the weights, and that they find what counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from LumbarDiscGradingLib.grading import evidence
from LumbarDiscGradingLib.grading.classifier import Classifier
from LumbarDiscGradingLib.grading.corrections import GradeSet, LevelSet, MaskEdited, corrected
from LumbarDiscGradingLib.grading.discs import region_of_mask
from LumbarDiscGradingLib.grading.evidence import EvidenceError, evidence_key
from LumbarDiscGradingLib.grading.grader import DiscGrader
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import GROUPS, Group

pytestmark = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)
BLANKED = 0.1
"""Share of the crop that the deletion test takes out."""


@pytest.fixture(scope="module")
def grader():
    return DiscGrader("cpu")


@pytest.fixture(scope="module")
def result(grader):
    return grader.grade(lumbar_phantom(3, {"L1-L2": 1, "L2-L3": 2, "L3-L4": 3, "L4-L5": 5, "L5-S1": 4}).volume)


@pytest.fixture(scope="module")
def found(grader, result):
    return grader.evidence(result)


def inputs_of(grader, result):
    spacing = result.volume.spacing_mm[1:]
    regions = [region_of_mask(result.label_slice == disc.label_value, spacing) for disc in result.discs]
    return evidence.inputs_of(result, regions, spacing, grader.classifier.channels)


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
    again = grader.evidence(grader.grade(SagittalVolume.from_stored(array, matrix), result.slice_index))
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
