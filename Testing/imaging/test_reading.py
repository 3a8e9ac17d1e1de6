"""Every kind of file either becomes the right sagittal volume or is refused with one clear sentence."""

from __future__ import annotations

import gzip
import struct
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from LumbarDiscGradingLib.imaging.reading import read_volume, stem_of
from LumbarDiscGradingLib.imaging.volume import ImagingError, NotSagittalError

SHAPE = (9, 48, 40)
SPACING_MM = (4.0, 0.7, 0.7)
SAGITTAL_DIRECTION = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""Columns (i) to the back, rows (j) to the feet, slices (k) to the left."""


def mr_voxels(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 900, shape).astype(np.int16)


def sagittal_image(voxels: np.ndarray | None = None, is_vector: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(mr_voxels() if voxels is None else voxels, isVector=is_vector)
    image.SetSpacing(SPACING_MM[::-1])
    image.SetOrigin((-16.0, -90.0, 130.0))
    image.SetDirection(SAGITTAL_DIRECTION)
    return image


def written(image: sitk.Image, path: Path, compress: bool = False) -> Path:
    sitk.WriteImage(image, str(path), compress)
    return path


def refusal(path: Path, **arguments: object) -> str:
    """Read a file that must be refused; return what it says, checked to be one clear sentence."""
    with pytest.raises(ImagingError) as caught:
        read_volume(path, **arguments)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and text[0].isupper(), text
    assert "itk::" not in text and "Traceback" not in text and str(path.parent) not in text
    return text


# --- volume files ---


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".gipl", ".gipl.gz"])
@pytest.mark.parametrize("compress", [False, True])
def test_every_volume_format_gives_the_same_voxels(tmp_path, suffix, compress):
    path = written(sagittal_image(), tmp_path / f"case{suffix}", compress)
    if suffix.startswith(".gipl"):  # has no orientation, so nothing says that it is sagittal
        assert "load the sagittal T2 series" in refusal(path)
        return
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, mr_voxels())
    assert volume.voxels.dtype == np.int16
    assert volume.spacing_mm == pytest.approx(SPACING_MM, abs=1e-5)
    assert volume.slice_center_lps_mm(0) == pytest.approx((-16.0, -90 + 0.7 * 39 / 2, 130 - 0.7 * 47 / 2), abs=2e-3)
    assert volume.source.name == "case"
    assert volume.scale_known and volume.notes == ()


def test_a_file_reads_the_same_in_all_48_storage_orders(tmp_path):
    reference = read_volume(written(sagittal_image(), tmp_path / "reference.nrrd"))
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        image = sitk.Flip(sitk.PermuteAxes(sagittal_image(), order), flips)
        volume = read_volume(written(image, tmp_path / "reordered.nrrd"))
        assert np.array_equal(volume.voxels, reference.voxels)
        assert volume.slice_center_lps_mm(2) == reference.slice_center_lps_mm(2)
        assert np.array_equal(volume.to_stored(volume.voxels), sitk.GetArrayFromImage(image))


def test_a_single_sagittal_slice_is_a_volume(tmp_path):
    volume = read_volume(written(sagittal_image(mr_voxels()[:1]), tmp_path / "one.nii.gz"))
    assert volume.voxels.shape == (1, *SHAPE[1:])
    assert volume.scale_known


def test_the_hash_is_that_of_the_bytes_and_of_nothing_else(tmp_path):
    first = written(sagittal_image(), tmp_path / "first.nrrd")
    second = tmp_path / "second.nrrd"
    second.write_bytes(first.read_bytes())
    other = written(sagittal_image(mr_voxels() + 1), tmp_path / "other.nrrd")
    assert read_volume(first).source.sha256 == read_volume(second).source.sha256
    assert len(read_volume(first).source.sha256) == 64
    assert read_volume(first).source.sha256 != read_volume(other).source.sha256


def test_the_hash_covers_voxels_beside_a_detached_header(tmp_path):
    path = written(sagittal_image(), tmp_path / "case.mhd")
    before = read_volume(path).source.sha256
    header = path.read_bytes()
    written(sagittal_image(mr_voxels() + 1), path)
    assert path.read_bytes() == header
    assert read_volume(path).source.sha256 != before


def test_grey_stored_as_colour_is_read_with_a_note(tmp_path):
    grey = mr_voxels()[..., None].clip(0, 255).astype(np.uint8)
    volume = read_volume(written(sagittal_image(grey.repeat(3, axis=-1), is_vector=True), tmp_path / "grey.nrrd"))
    assert np.array_equal(volume.voxels, grey[..., 0])
    assert any("channels" in note for note in volume.notes)


def test_four_dimensions_with_one_frame_are_read_with_a_note(tmp_path):
    image = sitk.JoinSeries([sagittal_image()])
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        volume = read_volume(written(image, tmp_path / f"one_frame{suffix}"))
        assert np.array_equal(volume.voxels, mr_voxels())
        assert any("one frame" in note for note in volume.notes)


def test_a_wider_type_is_kept_as_float(tmp_path):
    volume = read_volume(written(sagittal_image(mr_voxels().astype(np.float64)), tmp_path / "wide.nrrd"))
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, mr_voxels())


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.nii.gz", "a"), ("a.b.nrrd", "a.b"), ("A.NII.GZ", "A"), ("scan.mha", "scan"), (".nii.gz", ".nii"), ("x", "x")],
)
def test_the_stem_is_the_name_without_its_suffix(name, stem):
    assert stem_of(name) == stem


# --- bad volume files ---


def test_a_missing_file_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.nrrd")


def test_an_empty_file_is_refused(tmp_path):
    for name in ("empty.nrrd", "empty.dcm", "empty.png"):
        (tmp_path / name).touch()
        assert "empty" in refusal(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".nii.gz", ".mha", ".mhd", ".nhdr", ".gipl"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, suffix, compress, share, capfd):
    path = written(sagittal_image(), tmp_path / f"cut{suffix}", compress)
    largest = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: int(largest.stat().st_size * share)])
    assert "damaged" in refusal(path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == ""


@pytest.mark.parametrize(
    "suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".dcm", ".png", ".jpg", ".tif", ".hdr", ".txt", ""]
)
def test_text_under_any_name_is_refused_quietly(tmp_path, suffix, capfd):
    path = tmp_path / f"text{suffix}"
    path.write_text("Dear colleague, the images are on the disc.\n" * 40)
    assert "not an image" in refusal(path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == ""


def test_what_the_reading_libraries_print_stays_off_the_console(tmp_path, capfd):
    path = tmp_path / "patient_name.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 2000)  # HDF5 prints its error stack
    assert "not an image" in refusal(path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == ""


def test_a_header_without_its_voxel_file_is_refused(tmp_path):
    path = written(sagittal_image(), tmp_path / "case.mhd")
    (tmp_path / "case.raw").unlink()
    assert "copy" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_several_frames_are_refused(tmp_path, suffix):
    path = written(sitk.JoinSeries([sagittal_image(), sagittal_image()]), tmp_path / f"frames{suffix}")
    assert "2 frames" in refusal(path)


def test_many_values_for_a_voxel_are_refused(tmp_path):
    path = written(sagittal_image(mr_voxels((*SHAPE, 6)), is_vector=True), tmp_path / "vector.nrrd")
    assert "6 values" in refusal(path)


def test_colour_is_refused(tmp_path):
    colour = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    assert "colour" in refusal(written(sagittal_image(colour, is_vector=True), tmp_path / "colour.nrrd"))


def test_a_constant_image_is_refused(tmp_path):
    assert "blank" in refusal(written(sagittal_image(np.full(SHAPE, 17, np.int16)), tmp_path / "constant.nrrd"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, bad):
    voxels = mr_voxels().astype(np.float32)
    voxels[3, 4, 5] = bad
    assert "not numbers" in refusal(written(sagittal_image(voxels), tmp_path / "bad.nrrd"))


def test_zero_spacing_is_refused_in_nrrd(tmp_path):
    path = written(sagittal_image(), tmp_path / "zero.nrrd")
    text, separator, voxels = path.read_bytes().partition(b"\n\n")
    lines = [
        b"space directions: (0,0.7,0) (0,0,-0.7) (0,0,0)" if line.startswith(b"space directions") else line
        for line in text.split(b"\n")
    ]
    path.write_bytes(b"\n".join(lines) + separator + voxels)
    assert "spacing" in refusal(path)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_zero_spacing_is_refused_in_nifti(tmp_path, axis, bad):
    data = bytearray(written(sagittal_image(), tmp_path / "zero.nii").read_bytes())
    struct.pack_into("<f", data, 76 + 4 * axis, bad)
    (tmp_path / "zero.nii").write_bytes(data)
    (tmp_path / "zero.nii.gz").write_bytes(gzip.compress(bytes(data)))
    assert "spacing" in refusal(tmp_path / "zero.nii")
    assert "spacing" in refusal(tmp_path / "zero.nii.gz")


def test_zero_spacing_is_refused_in_metaimage(tmp_path):
    path = written(sagittal_image(), tmp_path / "zero.mha")
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 0.69999999999999996", b"ElementSpacing = 0"))
    assert "spacing" in refusal(path)


def test_sheared_axes_are_refused(tmp_path):
    data = bytearray(written(sagittal_image(), tmp_path / "sheared.nii").read_bytes())
    struct.pack_into("<hh", data, 252, 0, 1)  # no quaternion, an affine matrix
    struct.pack_into("<12f", data, 280, 0.0, 0.0, -4.0, 0.0, -0.7, 0.4, 0.0, 0.0, 0.0, -0.7, 0.0, 0.0)
    (tmp_path / "sheared.nii").write_bytes(data)
    assert "right angles" in refusal(tmp_path / "sheared.nii")


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 31, 400), (40, 20, 20)])
def test_too_few_voxels_are_refused(tmp_path, shape):
    assert "too small" in refusal(written(sagittal_image(mr_voxels(shape)), tmp_path / "small.nrrd"))


def test_a_huge_image_is_refused_from_its_header(tmp_path):
    path = tmp_path / "huge.nrrd"
    path.write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 60000 60000 900\n"
        b"space directions: (0,0.1,0) (0,0,-0.1) (0.1,0,0)\nkinds: domain domain domain\n"
        b"endian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    assert "too large" in refusal(path)


def test_an_axial_volume_is_refused(tmp_path):
    image = sitk.GetImageFromArray(mr_voxels((30, 48, 40)))
    image.SetSpacing((0.7, 0.7, 4.0))
    image.SetOrigin((-14.0, -120.0, 30.0))
    path = written(image, tmp_path / "axial.nrrd")
    assert "load the sagittal T2 series" in refusal(path)
    with pytest.raises(NotSagittalError):
        read_volume(path)


def test_an_orientation_that_was_lost_is_said_and_a_stack_whose_planes_cannot_be_told_refused(tmp_path):
    image = sitk.GetImageFromArray(mr_voxels((60, 48, 9)))  # the default axes: slices from right to left
    image.SetSpacing((4.0, 0.7, 0.7))
    volume = read_volume(written(image, tmp_path / "lost.nii.gz"))
    assert volume.slice_count == 9 and volume.scale_known
    assert any("no orientation in its header" in note for note in volume.notes)
    image.SetOrigin((-14.0, -120.0, 30.0))
    assert not any("no orientation" in note for note in read_volume(written(image, tmp_path / "kept.nrrd")).notes)
    stack = sitk.GetImageFromArray(mr_voxels((9, 60, 48)))
    stack.SetSpacing((0.7, 0.7, 4.0))
    assert "which of its planes are sagittal cannot be told" in refusal(written(stack, tmp_path / "stack.mha"))


@pytest.mark.parametrize("spacing_mm", [1.0, 0.7])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_without_orientation_and_slice_distance_an_image_is_read_as_stored_or_refused(tmp_path, order, spacing_mm):
    for flips in product((False, True), repeat=3):
        turned = np.transpose(mr_voxels(), order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        image = sitk.GetImageFromArray(np.ascontiguousarray(turned))
        image.SetSpacing((spacing_mm,) * 3)
        path = written(image, tmp_path / "lost.nrrd")
        if order[2] == 0:  # the slices lie along the patient's left-right axis, as the default has it
            volume = read_volume(path)
            assert np.array_equal(volume.voxels, np.moveaxis(turned, 2, 0)[:, ::-1])
            assert sum("orientation in its header; it was read as if" in note for note in volume.notes) == 1
            assert volume.scale_known == (spacing_mm != 1.0)
        else:
            said = refusal(path)
            assert "orientation in its header" in said and "load the original DICOM series, or save" in said


def lies(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_lies_as_its_exif_orientation_says(tmp_path, suffix, orientation):
    shown = np.zeros((180, 160), np.uint8)
    shown[:40, :20], shown[:16, 96:] = 200, 100
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.T,
        6: shown.T[::-1],
        7: shown.T[::-1, ::-1],
        8: shown.T[:, ::-1],
    }[orientation]
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"picture{suffix}", exif=lies(orientation))
    volume = read_volume(tmp_path / f"picture{suffix}")
    assert volume.voxels[0].shape == shown.shape
    assert np.abs(volume.voxels[0].astype(int) - shown).max() < 20
    assert any("EXIF" in note for note in volume.notes) == (orientation != 1)


def test_a_turned_picture_in_color_or_cut_off_is_refused_as_any_other(tmp_path):
    color = np.random.default_rng(1).integers(0, 255, (80, 60, 3)).astype(np.uint8)
    Image.fromarray(color).save(tmp_path / "color.png", exif=lies(6))
    assert "in colour" in refusal(tmp_path / "color.png")
    Image.fromarray(color[..., 0]).save(tmp_path / "grey.tif", exif=lies(6))
    assert "stored turned or mirrored" in refusal(tmp_path / "grey.tif")
    Image.fromarray(color[..., 0]).save(tmp_path / "grey.jpg", exif=lies(6))
    content = (tmp_path / "grey.jpg").read_bytes()
    (tmp_path / "grey.jpg").write_bytes(content[: len(content) // 2])
    refusal(tmp_path / "grey.jpg")


def test_hounsfield_units_are_refused(tmp_path):
    voxels = np.random.default_rng(0).normal(40, 25, SHAPE)
    voxels[:, :, :9] = -1000  # air
    voxels[:, :, 9:14] = -100  # fat
    assert "CT" in refusal(written(sagittal_image(voxels.astype(np.int16)), tmp_path / "ct.nii.gz"))


@pytest.mark.parametrize(("padding", "darkest"), [(-32768, 0), (-1024, 0), (-2000, -20)])
def test_padding_of_mr_is_read_as_dark_and_said(tmp_path, padding, darkest):
    voxels = mr_voxels()
    voxels[0, 0, 0] = darkest
    voxels[:, :, :9] = padding
    voxels[0, 0, 20] = darkest
    volume = read_volume(written(sagittal_image(voxels), tmp_path / "padded.nrrd"))
    assert volume.voxels.min() == darkest and volume.voxels.max() == voxels.max()
    assert any(f"{padding} were taken for padding" in note for note in volume.notes)


def test_mr_with_values_around_zero_is_not_taken_for_ct(tmp_path):
    voxels = np.random.default_rng(0).gamma(2.0, 300.0, SHAPE)
    centered = np.rint(voxels - voxels.mean()).astype(np.int16)
    assert centered.min() < -400
    assert read_volume(written(sagittal_image(centered), tmp_path / "centered.nrrd")).voxels.min() == centered.min()
    shifted = written(sagittal_image(centered - 100), tmp_path / "shifted.nrrd")
    assert "CT" in refusal(shifted)


def test_a_few_negative_values_of_resampled_mr_are_not_taken_for_ct(tmp_path):
    voxels = mr_voxels()
    voxels[:, :1, :3] = -300
    assert read_volume(written(sagittal_image(voxels), tmp_path / "ringing.nrrd")).voxels.min() == -300


# --- pictures ---


def picture_pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (170, 156)).astype(np.uint8)


def picture(path: Path, array: np.ndarray | None = None) -> Path:
    array = picture_pixels() if array is None else array
    return written(sitk.GetImageFromArray(array, isVector=array.ndim == 3), path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_a_picture_is_one_sagittal_slice_with_the_head_up_and_the_front_to_the_left(tmp_path, suffix):
    path = picture(tmp_path / f"slice{suffix}")
    volume = read_volume(path, pixel_size_mm=0.5)
    assert volume.voxels.shape == (1, 170, 156)
    if suffix != ".jpg":  # loses a little
        assert np.array_equal(volume.voxels[0], picture_pixels())
    assert volume.spacing_mm[1:] == pytest.approx((0.5, 0.5))
    assert volume.scale_known
    directions = volume.index_to_lps[:3, :3] / np.array(volume.spacing_mm)
    assert np.allclose(directions, np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))


def test_a_picture_without_a_pixel_size_is_taken_for_a_lumbar_field_of_view(tmp_path):
    volume = read_volume(picture(tmp_path / "slice.png", np.tile(np.arange(350, dtype=np.uint8), (400, 1))))
    assert not volume.scale_known
    assert volume.spacing_mm[1:] == pytest.approx((280 / 400, 280 / 400))
    assert any("scale" in note and "--pixel-size" in note for note in volume.notes)


def test_a_grey_picture_saved_in_colour_is_read_with_a_note(tmp_path):
    grey = np.random.default_rng(3).integers(0, 255, (170, 156, 1)).astype(np.uint8)
    opaque = np.full_like(grey, 255)
    for name, array in (
        ("rgb", grey.repeat(3, axis=-1)),
        ("rgba", np.concatenate([grey, grey, grey, opaque], axis=-1)),
    ):
        volume = read_volume(picture(tmp_path / f"{name}.png", array))
        assert np.array_equal(volume.voxels[0], grey[..., 0])
        assert any("channels" in note for note in volume.notes)


def test_a_picture_too_coarse_to_show_discs_is_refused(tmp_path):
    assert "too coarse" in refusal(picture(tmp_path / "thumbnail.png", picture_pixels()[:64, :64]))


def test_a_colour_picture_is_refused(tmp_path):
    colour = np.random.default_rng(3).integers(0, 255, (170, 156, 3)).astype(np.uint8)
    assert "colour" in refusal(picture(tmp_path / "colour.png", colour))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share, capfd):
    path = picture(tmp_path / f"cut{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "damaged" in refusal(path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == ""


@pytest.mark.parametrize("pixel_size_mm", [0.0, -1.0, float("nan"), float("inf"), 12.0])
def test_an_impossible_pixel_size_is_refused(tmp_path, pixel_size_mm):
    assert "pixel size" in refusal(picture(tmp_path / "slice.png"), pixel_size_mm=pixel_size_mm)


def test_a_pixel_size_for_a_file_with_its_own_scale_is_not_used_and_said_so(tmp_path):
    volume = read_volume(written(sagittal_image(), tmp_path / "case.nrrd"), pixel_size_mm=0.3)
    assert volume.spacing_mm == pytest.approx(SPACING_MM)
    assert any("pixel size" in note for note in volume.notes)


def test_a_flat_medical_image_keeps_its_stated_scale(tmp_path):
    image = sitk.GetImageFromArray(mr_voxels()[0])
    image.SetSpacing((0.6, 0.6))
    volume = read_volume(written(image, tmp_path / "flat.mha"))
    assert volume.scale_known and volume.spacing_mm[1:] == pytest.approx((0.6, 0.6))
    assert np.array_equal(volume.voxels[0], mr_voxels()[0])


# --- real data ---


def test_real_volumes_and_pictures_are_read(shared_data):
    volume = read_volume(next(iter(sorted((shared_data / "spider_space").glob("*_t2.nrrd")))))
    assert volume.slice_count == 15 and volume.spacing_mm == pytest.approx((0.9, 0.46875, 0.46875), abs=1e-3)
    flat = read_volume(next(iter(sorted((shared_data / "sudirman_t2").glob("*_t2.png")))), pixel_size_mm=0.6875)
    assert flat.voxels.shape == (1, 384, 384) and flat.scale_known


def test_integers_that_a_nifti_header_scales_are_read(tmp_path):
    data = bytearray(written(sagittal_image(), tmp_path / "scaled.nii").read_bytes())
    struct.pack_into("<ff", data, 112, 2.0, 5.0)  # slope and intercept
    (tmp_path / "scaled.nii").write_bytes(data)
    assert np.array_equal(read_volume(tmp_path / "scaled.nii").voxels, mr_voxels() * 2.0 + 5.0)
    (tmp_path / "scaled.nii").write_bytes(data[:-40])
    assert "damaged" in refusal(tmp_path / "scaled.nii")


def test_two_echoes_in_one_file_are_refused(tmp_path):
    echoes = np.stack([mr_voxels(), mr_voxels()[::-1]], axis=-1)
    assert "later echo" in refusal(written(sagittal_image(echoes, is_vector=True), tmp_path / "echoes.nrrd"))
