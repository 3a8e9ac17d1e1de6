"""What cannot be a row of lumbar discs is refused with its cause, one odd disc has no grade, and doubts lead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.grading.corrections import GradeSet, corrected
from LumbarDiscGradingLib.grading.discs import find_regions
from LumbarDiscGradingLib.grading.grader import NoDiscsError
from LumbarDiscGradingLib.grading.input_checks import contrast_warnings, quality_warnings
from LumbarDiscGradingLib.grading.naming.levels import name_levels
from LumbarDiscGradingLib.grading.plausibility import ImplausibleResultError, judged, mask_question
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.reading import read_volume
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, NOT_GRADED_COLOR, Tissue
from LumbarDiscGradingLib.report import tables
from LumbarDiscGradingLib.scene.stored_result import from_text, to_text

DISC_VALUES = list(DISC_LABELS.values())


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom(1, slice_count=3)


@pytest.fixture(scope="module")
def plain(grader, phantom):
    return grader.grade(phantom.volume)


@pytest.fixture(scope="module")
def with_ball(grader, phantom):
    """A result with a dark ball of 28 mm (a Schmorl node, a tumour, an artefact) where L3-L4 is."""
    return grader.grade(replace(phantom.volume, voxels=ball_at(phantom, "L3-L4", 14.0)))


def tissues_of(labels):
    disc = np.isin(labels, DISC_VALUES)
    return np.where(disc, Tissue.DISC, np.where(labels == 100, Tissue.BACKGROUND, labels)).astype(np.uint8)


def softened(mask, sigma=0.8):
    return ndimage.gaussian_filter(mask.astype(np.float32), (0, sigma, sigma))


def ball_at(phantom, level, radius_mm):
    voxels, spacing = phantom.volume.voxels.astype(np.float32), phantom.volume.spacing_mm
    center = np.argwhere(phantom.mask == DISC_LABELS[level]).mean(axis=0)
    _, rows, columns = np.indices(voxels.shape)
    inside = np.hypot((rows - center[1]) * spacing[1], (columns - center[2]) * spacing[2]) < radius_mm
    dark = np.median(voxels[phantom.mask == DISC_LABELS["L5-S1"]])
    weight = softened(inside, 1.0)
    return voxels * (1 - weight) + dark * weight


def fat_suppressed(phantom):
    """Dark marrow and fat beside bright fluid, discs left as they are."""
    voxels, tissues = phantom.volume.voxels.astype(np.float32), tissues_of(phantom.mask)
    marrow = np.median(voxels[tissues == Tissue.VERTEBRA])
    spine = ndimage.binary_dilation(np.isin(tissues, (Tissue.DISC, Tissue.CANAL)), iterations=2)
    fat = (voxels > 0.9 * marrow) & ~spine
    return voxels * (1 - 0.8 * softened((tissues == Tissue.VERTEBRA) | fat))


def t1_weighted(phantom):
    """Dark fluid beside bright marrow and fat."""
    voxels, tissues = phantom.volume.voxels.astype(np.float32), tissues_of(phantom.mask)
    return voxels * (1 - 0.85 * softened(tissues == Tissue.CANAL))


def quarter(volume, turns):
    """The picture turned by quarters; the phantom's pixels are square."""
    return replace(volume, voxels=np.ascontiguousarray(np.rot90(volume.voxels, turns, axes=(1, 2))))


def mirrored(volume):
    """The picture with its front at the back."""
    return replace(volume, voxels=np.ascontiguousarray(volume.voxels[:, :, ::-1]))


def scaled(volume, factor):
    matrix = volume.index_to_lps.copy()
    matrix[:3, 1:3] *= factor
    return replace(volume, index_to_lps=matrix)


def named_and_regions(labels, spacing):
    tissues = tissues_of(labels)
    disc = (tissues == Tissue.DISC).astype(np.float32)
    marked = (labels == DISC_LABELS["L5-S1"]).astype(np.float32)
    regions = find_regions(tissues, disc, marked, np.ones(labels.shape, bool), spacing)
    return name_levels(regions, (labels.shape[0] - 1) * spacing[0]), regions, tissues


def verdict(labels, spacing, scale_known=True):
    return judged(*named_and_regions(labels, spacing), scale_known)


@pytest.fixture(scope="module")
def truth(phantom):
    return phantom.mask[phantom.mid_slice_index], phantom.volume.spacing_mm[1:]


def test_a_spine_is_neither_refused_nor_doubted(plain, truth):
    found = verdict(*truth)
    assert (found.odd_levels, found.fault, found.doubts) == ((), "", ())
    assert set(LUMBAR_LEVELS) <= {disc.level for disc in plain.discs if disc.assessable}
    assert plain.doubts == ()


@pytest.mark.parametrize("seed", range(10, 13))
def test_no_phantom_is_refused_or_has_an_odd_disc(grader, seed):
    result = grader.grade(lumbar_phantom(seed, slice_count=3).volume)
    assert all(disc.assessable for disc in result.discs)
    assert result.doubts == ()


@pytest.mark.parametrize(
    ("turned", "cause"),
    [
        (lambda v: replace(v, voxels=np.ascontiguousarray(v.voxels[:, ::-1])), "upside down"),
        (lambda v: replace(v, voxels=np.ascontiguousarray(v.voxels[:, ::-1, ::-1])), "upside down"),
        (lambda v: mirrored(v), "mirrored front to back"),
        (lambda v: quarter(v, 1), "turned by a quarter"),
        (lambda v: quarter(v, -1), "turned by a quarter"),
        (lambda v: quarter(mirrored(v), 1), "turned by a quarter and mirrored"),
        (lambda v: quarter(mirrored(v), -1), "turned by a quarter and mirrored"),
    ],
)
def test_an_image_that_lies_wrongly_is_refused_with_how_it_lies(grader, phantom, turned, cause):
    with pytest.raises(ImplausibleResultError, match=f"looks {cause}: turn it"):
        grader.grade(turned(phantom.volume))


def test_a_file_whose_whole_geometry_was_lost_is_graded_where_its_axes_are_the_patients(grader, phantom, tmp_path):
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(phantom.volume.voxels[:, ::-1], 0, 2)))
    sitk.WriteImage(image, str(tmp_path / "lost.nii.gz"))
    result = grader.grade(read_volume(tmp_path / "lost.nii.gz"))
    assert [disc.level for disc in result.discs] == list(phantom.grades)
    assert any("no pixel size or orientation in its header" in note for note in result.volume.notes)
    assert all(disc.measurements.height_mm is None for disc in result.discs)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_pixel_size_that_is_wrong_by_two_is_refused_as_that(grader, phantom, factor):
    with pytest.raises(ImplausibleResultError, match="pixel size is probably wrong"):
        grader.grade(scaled(phantom.volume, factor))


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_pixel_size_that_fits_few_adults_is_a_doubt(grader, phantom, factor):
    result = grader.grade(scaled(phantom.volume, factor))
    assert "check the pixel size" in result.doubts[0]


def test_without_a_known_scale_the_distance_of_the_discs_is_no_doubt(phantom, truth):
    labels, spacing = truth
    far = tuple(1.7 * step for step in spacing)
    assert "35 mm in adults" in verdict(labels, far).fault
    assert verdict(labels, far, scale_known=False).fault == ""


@pytest.mark.parametrize(("changed", "said"), [(fat_suppressed, "fat-suppressed"), (t1_weighted, "T2-weighted")])
def test_another_contrast_leads_the_warnings_and_no_grade_is_sure(grader, phantom, changed, said):
    result = grader.grade(replace(phantom.volume, voxels=changed(phantom)))
    assert said in result.warnings[0]
    assert result.doubts[0] == result.warnings[0]
    assert not any(disc.confident for disc in result.discs)


def test_contrast_and_quality_of_the_phantom_itself_are_not_doubted(phantom):
    middle = phantom.mid_slice_index
    image, tissues = phantom.volume.thick_slice(middle), tissues_of(phantom.mask[middle])
    assert contrast_warnings(image, tissues) == ()
    assert quality_warnings(image, tissues, phantom.volume.spacing_mm[1:]) == ()


@pytest.mark.parametrize("side", [1, 3, 30])
def test_quality_is_not_asked_of_a_speck(side):
    tissues = np.zeros((64, 64), np.uint8)
    tissues[:, :10], tissues[:, 10:20] = Tissue.VERTEBRA, Tissue.CANAL
    tissues[20 : 20 + side, 30 : 30 + side] = Tissue.DISC
    image = np.random.default_rng(0).normal(100, 1, (64, 64)).astype(np.float32)
    assert quality_warnings(image, tissues, (1.0, 1.0)) == ()
    assert quality_warnings(image, np.zeros_like(tissues), (1.0, 1.0)) == ()


def test_a_blurred_and_a_noisy_image_are_doubted(grader, phantom):
    voxels, spacing = phantom.volume.voxels.astype(np.float32), phantom.volume.spacing_mm
    blurred = ndimage.gaussian_filter(voxels, (0, 1.5 / spacing[1], 1.5 / spacing[2]))
    random = np.random.default_rng(0)
    sigma = 0.12 * np.percentile(voxels, 99)
    noisy = np.hypot(voxels + random.normal(0, sigma, voxels.shape), random.normal(0, sigma, voxels.shape))
    for changed, said in ((blurred, "too blurred"), (noisy, "so noisy")):
        result = grader.grade(replace(phantom.volume, voxels=changed.astype(np.float32)))
        assert any(said in doubt for doubt in result.doubts)


def test_an_image_without_the_canal_is_refused(grader, phantom):
    first = int(np.nonzero((phantom.mask == Tissue.CANAL).any(axis=(0, 1)))[0].min()) - 8
    matrix = phantom.volume.index_to_lps
    cut = SagittalVolume(np.ascontiguousarray(phantom.volume.voxels[:, :, :first]), matrix)
    with pytest.raises(ImplausibleResultError, match=r"no spinal canal .* load a sagittal T2"):
        grader.grade(cut)
    given = grader.grade(cut, slice_index=phantom.mid_slice_index)  # the reader's own choice is doubted only
    assert any("mid-sagittal" in doubt for doubt in given.doubts)
    assert not any(disc.confident for disc in given.discs)


def test_an_image_that_ends_below_a_disc_is_a_doubt_about_the_levels(grader, phantom):
    last = int(np.argwhere(phantom.mask == DISC_LABELS["L2-L3"])[:, 1].max()) + 12
    cut = replace(phantom.volume, voxels=np.ascontiguousarray(phantom.volume.voxels[:, :last]))
    result = grader.grade(cut)
    assert any("levels are an assumption" in doubt for doubt in result.doubts)


@pytest.mark.parametrize("sigma", [0.0, 8.0])
@pytest.mark.parametrize("scale_known", [True, False])
def test_noise_and_blobs_are_refused(grader, phantom, sigma, scale_known):
    noise = np.random.default_rng(5).normal(0.0, 1.0, (1, 384, 384))
    blobs = ndimage.gaussian_filter(noise, (0, sigma, sigma))
    voxels = (500 + 100 * blobs / blobs.std()).astype(np.float32)
    with pytest.raises(NoDiscsError):
        grader.grade(replace(phantom.volume, voxels=voxels, scale_known=scale_known))


def test_stripes_are_refused(grader, phantom):
    rows = np.arange(384)[None, :, None] * 0.7
    for period_mm in (20.0, 36.0):
        stripes = np.broadcast_to(100 + 90 * np.sin(2 * np.pi * rows / period_mm), (1, 384, 384))
        with pytest.raises(NoDiscsError):
            grader.grade(replace(phantom.volume, voxels=np.ascontiguousarray(stripes, dtype=np.float32)))


def test_a_disc_whose_mask_is_none_stays_as_a_row_without_a_grade(with_ball, plain):
    odd = with_ball.disc("L3-L4")
    assert not odd.assessable
    assert odd.group_word == "not assessable"
    assert odd.color == NOT_GRADED_COLOR
    assert odd.changes == ()  # no reader said so
    assert odd.warnings[0] == "L3-L4: the mask has not the shape of a disc; look at it yourself."
    assert all(disc.assessable for disc in with_ball.discs if disc.level != "L3-L4")
    assert [disc.level for disc in with_ball.discs] == [disc.level for disc in plain.discs]
    (row,) = [row for row in tables.grade_rows(with_ball) if row["level"] == "L3-L4"]
    assert row["group"] == "not assessable"
    assert row["pfirrmann"] == ""


def test_a_reader_can_grade_such_a_disc(with_ball):
    read = corrected(with_ball, [GradeSet("L3-L4", 4)]).disc("L3-L4")
    assert read.assessable
    assert read.pfirrmann == 4
    assert any("set by reader" in change for change in read.changes)


def test_odd_discs_and_doubts_survive_a_saved_scene(with_ball, grader, phantom):
    restored, _ = from_text(to_text(with_ball, ()), with_ball.volume)
    assert not restored.disc("L3-L4").assessable
    doubted = grader.grade(scaled(phantom.volume, 1.4))
    restored, _ = from_text(to_text(doubted, ()), doubted.volume)
    assert restored.doubts == doubted.doubts != ()
    assert doubted.to_dict()["doubts"] == list(doubted.doubts)


def test_most_masks_without_a_discs_shape_make_a_fault(truth):
    labels, spacing = truth
    rows, columns = np.indices(labels.shape)
    painted = labels.copy()
    for level in ("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5"):
        center = np.argwhere(labels == DISC_LABELS[level]).mean(axis=0)
        painted[labels == DISC_LABELS[level]] = Tissue.BACKGROUND
        painted[np.hypot((rows - center[0]) * spacing[0], (columns - center[1]) * spacing[1]) < 8.0] = DISC_LABELS[
            level
        ]
    assert "without the shape" in verdict(painted, spacing).fault


def test_masks_without_bodies_between_them_or_behind_the_canal_make_a_fault(truth):
    labels, spacing = truth
    assert "no vertebral bodies" in verdict(np.where(labels == Tissue.VERTEBRA, 0, labels), spacing).fault
    behind = labels.copy()
    canal = np.argwhere(labels == Tissue.CANAL)
    for level in LUMBAR_LEVELS:
        row = int(np.argwhere(labels == DISC_LABELS[level])[:, 0].mean())
        back = canal[canal[:, 0] == row, 1]
        if len(back):
            behind[row - 5 : row + 6, back.max() + 8 : back.max() + 40] = DISC_LABELS[level]
    assert "behind the spinal canal" in verdict(behind, spacing).fault


def test_a_network_that_sees_discs_only_is_not_asked_for_canal_and_bodies(truth):
    labels, spacing = truth
    named, regions, tissues = named_and_regions(np.where(np.isin(labels, DISC_VALUES), labels, 0), spacing)
    assert judged(named, regions, tissues, True).fault
    assert judged(named, regions, tissues, True, sees_all=False).fault == ""


def test_what_lies_far_in_front_of_the_spine_is_no_disc_of_it(truth):
    labels, spacing = truth
    labels = labels.copy()
    lowest = np.argwhere(labels == DISC_LABELS["L5-S1"])
    between = int((lowest[:, 0].mean() + np.argwhere(labels == DISC_LABELS["L4-L5"])[:, 0].mean()) / 2)
    labels[between - 5 : between + 5, 5:45] = DISC_LABELS["L4-L5"] - 1
    named, _, _ = named_and_regions(labels, spacing)
    assert not any(disc.mask[between - 5 : between + 5, 5:45].any() for disc in named.discs)
    assert set(LUMBAR_LEVELS) <= set(named.levels)


def drawn(*boxes):
    mask = np.zeros((200, 200), dtype=bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(
    ("boxes", "asked"),
    [
        ([(90, 60, 12, 50)], ""),  # a disc of 35 by 8 mm
        ([(90, 60, 12, 20), (90, 85, 12, 20)], ""),  # parted by gas of 3.5 mm
        ([(90, 60, 12, 50), (90, 130, 1, 1)], ""),  # a slip of the brush
        ([(90, 60, 12, 40), (118, 60, 12, 40)], "in two pieces 12 mm apart"),
        ([(90, 60, 12, 25), (90, 105, 12, 25)], "in two pieces 15 mm apart"),
        ([(90, 60, 12, 30), (60, 60, 12, 30), (120, 60, 12, 30)], "in 3 pieces"),
        ([(80, 80, 30, 30)], "not the shape of a disc"),
        ([(90, 60, 12, 14)], "not the shape of a disc"),
        ([], ""),
    ],
)
def test_a_drawn_mask_that_is_no_disc_is_asked_about(boxes, asked):
    question = mask_question("L4-L5", drawn(*boxes), (0.7, 0.7))
    assert asked in question
    assert bool(question) == bool(asked)
    assert question == "" or question.startswith("The mask of L4-L5 ")


def test_masks_of_a_result_are_not_asked_about(plain):
    spacing = plain.volume.spacing_mm[1:]
    for disc in plain.discs:
        assert mask_question(disc.level, plain.label_slice == disc.label_value, spacing) == ""


def test_importing_the_checks_loads_no_heavy_library():
    code = (
        "import sys; import LumbarDiscGradingLib.grading.plausibility; "
        "print([n for n in ('torch', 'SimpleITK', 'scipy', 'pydicom') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def written(path, volume):
    image = sitk.GetImageFromArray(volume.voxels)
    steps = np.linalg.norm(volume.index_to_lps[:3, :3], axis=0)
    image.SetSpacing(tuple(steps[::-1]))
    image.SetDirection(tuple((volume.index_to_lps[:3, :3] / steps)[:, ::-1].ravel()))
    image.SetOrigin(tuple(volume.index_to_lps[:3, 3]))
    sitk.WriteImage(image, str(path), useCompression=True)
    return str(path)


def test_the_command_refuses_an_upside_down_spine_with_one_sentence(phantom, tmp_path, capsys):
    turned = replace(phantom.volume, voxels=np.ascontiguousarray(phantom.volume.voxels[:, ::-1]))
    path = written(tmp_path / "turned.nrrd", turned)
    assert main(["grade", path, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert "looks upside down" in line
    assert not list((tmp_path / "out").iterdir())


def test_the_command_prints_doubts_before_the_rows_and_no_grade_of_an_odd_disc(phantom, tmp_path, capsys):
    changed = replace(phantom.volume, voxels=ball_at(phantom, "L3-L4", 14.0))
    path = written(tmp_path / "odd.nrrd", changed)
    suppressed = written(tmp_path / "fat.nrrd", replace(phantom.volume, voxels=fat_suppressed(phantom)))
    assert main(["grade", path, suppressed, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    odd, fat = capsys.readouterr().out.split("Written to")[:2]
    (row,) = [line for line in odd.splitlines() if line.startswith("  L3-L4")]
    assert "not assessable" in row
    assert "Pfirrmann" not in row
    lines = fat.splitlines()
    doubt = next(number for number, line in enumerate(lines) if "fat-suppressed" in line)
    assert doubt < next(number for number, line in enumerate(lines) if line.startswith("  L3-L4"))
    assert sum("fat-suppressed" in line for line in lines) == 1
