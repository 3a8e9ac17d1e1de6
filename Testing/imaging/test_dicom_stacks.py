"""Headers that are slightly off lead to the whole series, never to a part of it."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import SAGITTAL, T2_TIMES, Series, slice_dataset, write_series

from LumbarDiscGradingLib.imaging.reading import read_volume

VOXELS = np.random.default_rng(4).integers(1, 900, (9, 48, 40)).astype(np.uint16)

OFF = {
    "cosines across a rounding boundary": lambda i: {
        "ImageOrientationPatient": [0.005 + 1e-6 * (-1) ** i, *SAGITTAL[1:]]
    },
    "spacing in other digits": lambda i: {"PixelSpacing": [0.6875, 0.6875] if i % 2 else [0.68749998, 0.68749998]},
    "a series for each slice": lambda i: {"SeriesInstanceUID": f"1.2.3.{i + 1}"},
    "an acquisition for each slice": lambda i: {"AcquisitionNumber": i + 1},
    "one instance for all": lambda i: {"SOPInstanceUID": "1.2.3"},
    "no class and no modality": lambda i: {"SOPClassUID": None, "Modality": None},
}


@pytest.mark.parametrize("off", OFF)
def test_a_series_stays_whole_and_a_copy_of_a_slice_counts_once(tmp_path, off):
    series = Series(VOXELS)
    for name, index in [*((f"{i}.dcm", i) for i in range(9)), ("copy.dcm", 4)]:
        slice_dataset(series, index, **OFF[off](index if name[0] != "c" else 20)).save_as(tmp_path / name)
    assert np.array_equal(read_volume(tmp_path).voxels, VOXELS[::-1])


def test_instances_that_repeat_from_series_to_series_are_all_kept(tmp_path):
    for number, times in ((1, {"RepetitionTime": 550.0, "EchoTime": 11.0}), (2, T2_TIMES)):
        series = Series(VOXELS + number, number=number, attributes=times)
        for index in range(9):
            dataset = slice_dataset(series, index, SOPInstanceUID=f"1.2.{index + 1}")
            dataset.save_as(tmp_path / f"{number}_{index}.dcm")
    assert np.array_equal(read_volume(tmp_path).voxels, VOXELS[::-1] + 2)


def test_two_people_in_a_folder_are_said_and_not_mixed(tmp_path):
    for number, name in ((1, "Roe^Ann"), (2, "Doe^Jane")):
        attributes = {**T2_TIMES, "PatientID": "ANONYMOUS", "PatientName": name, "StudyInstanceUID": f"1.{number}"}
        write_series(tmp_path, Series(VOXELS + number, number=number, attributes=attributes))
    volume = read_volume(tmp_path)
    assert volume.slice_count == 9
    (said,) = [note for note in volume.notes if "people" in note]
    assert "9 images of the others were left out" in said and "Doe" not in said and "Roe" not in said


def test_monochrome1_is_inverted(tmp_path):
    write_series(tmp_path, Series(VOXELS), PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_volume(tmp_path).voxels, 65535 - VOXELS[::-1].astype(float))


def test_linked_folders_are_searched(tmp_path):
    write_series(tmp_path / "real", Series(VOXELS))
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert read_volume(tmp_path / "given").slice_count == 9


DIXON = {"in": ("IN_PHASE", 3), "water": ("WATER", 2), "fat": ("FAT", 1), "opposed": ("OPP_PHASE", 0)}


@pytest.mark.parametrize(
    ("there", "taken"), [(("fat", "water", "in", "opposed"), "in"), (("opposed", "water"), "water")]
)
def test_of_a_dixon_acquisition_in_phase_else_water_is_taken(tmp_path, there, taken):
    for number, part in enumerate(there):
        kind, offset = DIXON[part]
        write_series(tmp_path, Series(VOXELS + offset, number=number), ImageType=["DERIVED", "PRIMARY", "M", kind])
    assert np.array_equal(read_volume(tmp_path).voxels, VOXELS[::-1] + DIXON[taken][1])


def test_of_two_stations_the_lower_one_is_taken(tmp_path):
    write_series(tmp_path, Series(VOXELS, number=1, origin_lps=(-20.0, -90.0, 420.0)))
    write_series(tmp_path, Series(VOXELS + 1, number=2))
    assert np.array_equal(read_volume(tmp_path).voxels, VOXELS[::-1] + 1)


@pytest.mark.parametrize("attributes", [{"SeriesDescription": "sag t2 different"}, {"EchoTime": 55.0}])
def test_words_and_times_near_to_another_contrast_do_not_refuse_t2(tmp_path, attributes):
    write_series(tmp_path, Series(VOXELS, attributes={**T2_TIMES, **attributes}))
    assert "sagittal, T2," in read_volume(tmp_path).notes[0]


@pytest.mark.parametrize("kind", ["MPR", "COMPOSED"])
def test_a_computed_series_is_taken_with_a_doubt_where_it_is_the_only_one(tmp_path, kind):
    write_series(tmp_path, Series(VOXELS), ImageType=["DERIVED", "SECONDARY", kind])
    assert any(f"computed ({kind})" in note for note in read_volume(tmp_path).notes)
