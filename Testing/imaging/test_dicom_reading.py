"""From a DICOM study the sagittal T2 series is chosen, put in order by position, and refused where it is not whole."""

from __future__ import annotations

import random

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import AXIAL, SAGITTAL, T1_TIMES, T2_TIMES, Series, slice_dataset, write_enhanced, write_series

from LumbarDiscGradingLib.imaging.reading import read_volume
from LumbarDiscGradingLib.imaging.volume import ImagingError


def voxels(seed: int = 0, count: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 900, (count, 48, 40)).astype(np.uint16)


def refusal(path, **arguments) -> str:
    with pytest.raises(ImagingError) as caught:
        read_volume(path, **arguments)
    text = str(caught.value)
    assert "\n" not in text and text.endswith("."), text
    assert "Doe" not in text and "SECRET" not in text
    return text


def test_slices_are_sorted_by_position_whatever_their_names_and_numbers(tmp_path):
    series = Series(voxels())
    names = [f"IM{index:04d}" for index in range(9)]
    random.Random(1).shuffle(names)
    paths = write_series(tmp_path / "study", series, names)
    for path, number in zip(paths, random.Random(2).sample(range(1, 100), 9), strict=True):
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = number
        dataset.save_as(path)
    volume = read_volume(tmp_path / "study")
    # the normal of SAGITTAL points to the patient's right: the first slice written lies leftmost
    assert np.array_equal(volume.voxels, series.voxels[::-1])
    assert volume.spacing_mm == pytest.approx((4.0, 0.7, 0.6))
    expected = np.array([-20.0, -90 + 0.6 * 39 / 2, 120 - 0.7 * 47 / 2]) + 8 * 4.0 * series.normal
    assert volume.slice_center_lps_mm(0) == pytest.approx(expected, abs=1e-3)
    assert volume.source.name == "study" and volume.source.modality == "MR"


@pytest.mark.parametrize("tilt", [0.0, 20.0, -25.0])
def test_oblique_sagittal_series_keep_their_geometry(tmp_path, tilt):
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    series = Series(voxels(), orientation=(s, c, 0.0, 0.0, 0.0, -1.0))
    write_series(tmp_path, series)
    volume = read_volume(tmp_path)
    corner = volume.index_to_lps @ np.array([volume.slice_count - 1, 0, 0, 1.0])
    assert corner[:3] == pytest.approx(series.origin_lps, abs=1e-4)
    assert np.array_equal(volume.voxels, series.voxels[::-1])


def test_the_sagittal_t2_series_is_chosen_and_the_others_are_named(tmp_path):
    t2 = Series(voxels(1), number=5)
    write_series(tmp_path / "a", Series(voxels(2), number=4, attributes=T1_TIMES))
    write_series(tmp_path / "b" / "deep", t2)
    write_series(tmp_path / "c", Series(voxels(3), AXIAL, number=6))
    stir = {**T2_TIMES, "InversionTime": 160.0, "ScanOptions": "FS"}
    write_series(tmp_path / "d", Series(voxels(4, 15), number=2, attributes=stir))
    write_series(tmp_path / "e", Series(voxels(5, 3), number=1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tmp_path / "README.txt").write_text("not DICOM")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 30)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, t2.voxels[::-1])
    note = " ".join(volume.notes)
    assert "series 5: sagittal, T2, 9 images" in note
    for text in ("series 4: sagittal, T1", "series 6: axial", "fat suppression", "series 1: sagittal, localizer"):
        assert text in note
    said = f"{note} {volume.source}"
    assert "Doe" not in said and "SECRET" not in said


def test_fat_suppressed_t2_is_taken_when_there_is_no_other(tmp_path):
    stir = Series(voxels(4), number=2, attributes={**T2_TIMES, "InversionTime": 160.0})
    write_series(tmp_path, stir)
    write_series(tmp_path, Series(voxels(2), number=4, attributes=T1_TIMES))
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, stir.voxels[::-1])
    assert "fat suppression" in volume.notes[0]


def test_the_label_decides_where_the_times_are_missing(tmp_path):
    t2 = Series(voxels(1), number=3, attributes={"SeriesDescription": "Doe sag T2 tse"})
    write_series(tmp_path, t2)
    write_series(tmp_path, Series(voxels(2), number=2, attributes={"SeriesDescription": "sag t1 tse"}))
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, t2.voxels[::-1])
    assert not any("Doe" in note for note in volume.notes)


def test_an_unstated_contrast_is_accepted_and_said(tmp_path):
    write_series(tmp_path, Series(voxels(1), attributes={"SeriesDescription": ""}))
    assert any("does not state the contrast" in note for note in read_volume(tmp_path).notes)


def test_a_given_series_is_read_even_if_it_is_not_t2(tmp_path):
    t1 = Series(voxels(2), number=4, attributes=T1_TIMES)
    write_series(tmp_path, Series(voxels(1), number=5))
    write_series(tmp_path, t1)
    volume = read_volume(tmp_path, series=t1.uid)
    assert np.array_equal(volume.voxels, t1.voxels[::-1])
    assert any("not those of a T2" in note for note in volume.notes)
    assert "SeriesInstanceUID" in refusal(tmp_path, series="1.2.3")


@pytest.mark.parametrize("series", ["7", "doe sag T1", "the uid"])
def test_a_series_is_asked_for_by_number_text_or_uid_and_the_result_says_so(tmp_path, series):
    t1 = Series(voxels(2), number=7, attributes={**T1_TIMES, "SeriesDescription": "Doe sag T1"})
    write_series(tmp_path, Series(voxels(1), number=5))
    write_series(tmp_path, t1)
    volume = read_volume(tmp_path, series=t1.uid if series == "the uid" else series)
    assert np.array_equal(volume.voxels, t1.voxels[::-1])
    assert "series 7: sagittal, T1, 9 images, as asked for (not taken: series 5: sagittal, T2" in volume.notes[0]
    assert not any("Doe" in note for note in volume.notes)


def test_a_number_is_that_of_the_series_even_where_another_has_it_in_its_text(tmp_path):
    fifth = Series(voxels(2), number=5, attributes={**T2_TIMES, "SeriesDescription": "sag"})
    write_series(tmp_path, Series(voxels(1), number=6, attributes={**T2_TIMES, "SeriesDescription": "sag L5"}))
    write_series(tmp_path, fifth)
    assert np.array_equal(read_volume(tmp_path, series="5").voxels, fifth.voxels[::-1])


def test_a_series_asked_for_must_be_there_and_sagittal_and_the_input_dicom(tmp_path):
    write_series(tmp_path, Series(voxels(1), number=5))
    write_series(tmp_path, Series(voxels(3), AXIAL, number=6))
    for nothing in ("9", "doe the other", ""):
        assert "no series with that" in refusal(tmp_path, series=nothing)
    assert "asked for is not sagittal" in refusal(tmp_path, series="6")
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(tmp_path / "volume.nrrd"))
    assert "no DICOM image" in refusal(tmp_path / "volume.nrrd", series="5")


def test_a_dicomdir_alone_is_told_for_what_it_is(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 30)
    assert "give the folder in which it lies" in refusal(tmp_path / "DICOMDIR")


def test_an_image_that_describes_too_few_frames_does_not_keep_the_others_from_being_read(tmp_path):
    broken = write_enhanced(tmp_path / "broken.dcm", Series(voxels(2)), list(range(5)))
    dataset = pydicom.dcmread(broken)
    dataset.NumberOfFrames = 7
    dataset.save_as(broken)
    assert "has 7 frames but describes 5" in refusal(tmp_path)
    series = Series(voxels(1), number=3)
    write_series(tmp_path, series)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, series.voxels[::-1])
    assert any("has 7 frames but describes 5" in note for note in volume.notes)


@pytest.mark.parametrize("descriptions", [("sag t1", "sag t2"), ("", "")], ids=["described", "undescribed"])
def test_a_protocol_name_of_the_whole_exam_makes_no_series_a_localizer(tmp_path, descriptions):
    t2 = Series(voxels(1), number=3, attributes={**T2_TIMES, "SeriesDescription": descriptions[1]})
    t1 = Series(voxels(2), number=2, attributes={**T1_TIMES, "SeriesDescription": descriptions[0]})
    for series in (t1, t2):
        write_series(tmp_path, series, ProtocolName="LOC + LSPINE SURVEY", StudyInstanceUID="1.2.3")
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, t2.voxels[::-1])
    assert "series 3: sagittal, T2, 9 images" in volume.notes[0] and len(volume.notes) == 1


def test_a_localizer_that_only_its_protocol_names_is_one(tmp_path):
    write_series(tmp_path, Series(voxels(1), number=1), ProtocolName="survey", SeriesDescription="")
    write_series(tmp_path, Series(voxels(2), number=2), ProtocolName="t2 sag", SeriesDescription="")
    assert "series 1: sagittal, localizer" in read_volume(tmp_path).notes[0]


def test_two_echoes_at_each_position_are_told_apart(tmp_path):
    series = Series(voxels(1))
    late = Series(voxels(2), uid=series.uid, attributes={**T2_TIMES, "EchoTime": 90.0})
    write_series(tmp_path, Series(voxels(1), uid=series.uid, attributes={**T2_TIMES, "EchoTime": 15.0}))
    write_series(tmp_path, late)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, late.voxels[::-1])


def test_repeated_acquisitions_are_told_apart(tmp_path):
    first = Series(voxels(1), attributes={**T2_TIMES, "AcquisitionNumber": 1})
    write_series(tmp_path, Series(voxels(2), uid=first.uid, attributes={**T2_TIMES, "AcquisitionNumber": 2}))
    write_series(tmp_path, first)
    assert np.array_equal(read_volume(tmp_path).voxels, first.voxels[::-1])


def test_the_same_image_stored_twice_counts_once(tmp_path):
    series = Series(voxels(1))
    for path in write_series(tmp_path / "one", series):
        (tmp_path / "copies").mkdir(exist_ok=True)
        (tmp_path / "copies" / path.name).write_bytes(path.read_bytes())
    assert np.array_equal(read_volume(tmp_path).voxels, series.voxels[::-1])


def test_images_that_nothing_tells_apart_are_refused(tmp_path):
    series = Series(voxels(1))
    write_series(tmp_path / "a", series)
    write_series(tmp_path / "b", Series(voxels(2), uid=series.uid))
    assert "one position" in refusal(tmp_path)


def test_a_missing_slice_is_refused_but_missing_ends_are_not(tmp_path):
    paths = write_series(tmp_path, Series(voxels(1)))
    paths[0].unlink()
    assert read_volume(tmp_path).slice_count == 8
    paths[4].unlink()
    assert "1 slice is missing" in refusal(tmp_path)


def test_rescale_slope_and_window_are_applied_and_carried(tmp_path):
    series = Series(voxels(1))
    write_series(
        tmp_path, series, RescaleSlope=2.0, RescaleIntercept=-3.0, WindowCenter=[400, 40], WindowWidth=[800, 80]
    )
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, series.voxels[::-1] * np.float32(2) - 3)
    assert volume.source.window == (400.0, 800.0)


def test_one_dicom_file_is_one_slice(tmp_path):
    series = Series(voxels(1))
    path = write_series(tmp_path, series)[4]
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, series.voxels[4:5])
    assert volume.spacing_mm == pytest.approx((4.0, 0.7, 0.6))
    path.rename(tmp_path / "no_suffix")
    assert np.array_equal(read_volume(tmp_path / "no_suffix").voxels, series.voxels[4:5])


def test_one_dicom_file_of_another_contrast_is_accepted_with_a_note(tmp_path):
    path = write_series(tmp_path, Series(voxels(1), attributes=T1_TIMES))[4]
    assert any("not those of a T2" in note for note in read_volume(path).notes)


def test_an_enhanced_multi_frame_image_is_sorted_by_position(tmp_path):
    series = Series(voxels(1))
    path = write_enhanced(tmp_path / "enhanced" / "image.dcm", series, [3, 0, 8, 1, 7, 2, 6, 4, 5])
    for given in (path, path.parent):
        volume = read_volume(given)
        assert np.array_equal(volume.voxels, series.voxels[::-1])
        assert volume.spacing_mm == pytest.approx((4.0, 0.7, 0.6))


def rescale_tags_added(path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.RescaleSlope, dataset.RescaleIntercept = 2.0, -3.0
    dataset.save_as(path)


def test_run_length_encoded_images_are_decoded(tmp_path):
    series = Series(voxels(1))
    for path in write_series(tmp_path, series):
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
        rescale_tags_added(path)
    assert np.array_equal(read_volume(tmp_path).voxels, series.voxels[::-1] * np.float32(2) - 3)


def test_jpeg_2000_images_are_decoded_and_rescaled_once(tmp_path):
    series = Series(voxels(1))
    for path in write_series(tmp_path, series):
        reader, writer = sitk.ImageFileReader(), sitk.ImageFileWriter()
        reader.SetFileName(str(path))
        image = reader.Execute()
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG2000")
        writer.SetFileName(str(path))
        writer.Execute(image)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
        rescale_tags_added(path)
    assert np.array_equal(read_volume(tmp_path).voxels, series.voxels[::-1] * np.float32(2) - 3)


def test_the_hash_does_not_depend_on_file_names(tmp_path):
    series = Series(voxels(1))
    paths = write_series(tmp_path / "a", series)
    (tmp_path / "b").mkdir()
    for index, path in enumerate(reversed(paths)):
        (tmp_path / "b" / f"{index}.dcm").write_bytes(path.read_bytes())
    assert read_volume(tmp_path / "a").source.sha256 == read_volume(tmp_path / "b").source.sha256


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (Series(voxels(2), attributes=T1_TIMES), "sagittal, T1"),
        (Series(voxels(2), AXIAL), "axial"),
        (Series(voxels(2), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)), "coronal"),
        (Series(voxels(2), attributes={**T2_TIMES, "EchoTime": 30.0}), "other contrast"),
        (Series(voxels(2), attributes={**T2_TIMES, "DiffusionBValue": 800.0}), "other contrast"),
        (Series(voxels(2), attributes={**T2_TIMES, "SeriesDescription": "3-plane localizer"}), "localizer"),
    ],
    ids=["t1", "axial", "coronal", "proton density", "diffusion", "localizer"],
)
def test_a_folder_without_a_sagittal_t2_series_is_refused(tmp_path, series, words):
    write_series(tmp_path, series)
    text = refusal(tmp_path)
    assert "no sagittal T2 series" in text and words in text


def test_old_files_without_a_preamble_are_read(tmp_path):
    series = Series(voxels(1))
    for index in range(9):
        dataset = slice_dataset(series, index)
        stripped = pydicom.Dataset(dataset)
        pydicom.dcmwrite(tmp_path / f"1.2.3.{index}", stripped, implicit_vr=True, little_endian=True)
    (tmp_path / "volume.nii.gz").write_bytes(bytes(range(256)) * 40)
    assert (tmp_path / "1.2.3.0").read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_volume(tmp_path).voxels, series.voxels[::-1])


def test_ct_is_refused_by_its_modality(tmp_path):
    paths = write_series(tmp_path, Series(voxels(1)), Modality="CT")
    assert "CT" in refusal(tmp_path)
    assert "CT" in refusal(paths[0])


def test_a_folder_without_dicom_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    assert "no DICOM image" in refusal(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "no DICOM image" in refusal(tmp_path / "empty")


def test_damaged_pixels_are_refused_quietly(tmp_path, capfd):
    path = write_series(tmp_path, Series(voxels(1)))[3]
    path.write_bytes(path.read_bytes()[:-400])
    assert "damaged" in refusal(tmp_path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == ""


def test_a_series_with_wrong_tags_does_not_print_them(tmp_path, capfd, caplog):
    dataset = slice_dataset(Series(voxels(1)), 0, PatientBirthDate="19700101")
    dataset.add_new("PatientAge", "AS", "041Y")
    dataset.save_as(tmp_path / "one.dcm")
    data = (tmp_path / "one.dcm").read_bytes().replace(b"19700101", b"Doe^Jane")
    (tmp_path / "one.dcm").write_bytes(data)
    read_volume(tmp_path)
    console = capfd.readouterr()
    assert console.out == "" and console.err == "" and "Doe" not in caplog.text


def test_orientations_that_differ_by_rounding_belong_together(tmp_path):
    series = Series(voxels(1))
    for index in range(9):
        jitter = 1e-5 * (-1) ** index
        slice_dataset(series, index, ImageOrientationPatient=[jitter, *SAGITTAL[1:]]).save_as(tmp_path / f"{index}.dcm")
    assert read_volume(tmp_path).slice_count == 9
