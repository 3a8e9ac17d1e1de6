"""Where no header tells T1, T2 and STIR apart, the sagittal T2 series is chosen from the pixels, and it is said.

There are no T1 and STIR images to test with: they are made from the T2-weighted phantom by arithmetic on its masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import AXIAL, T1_TIMES, T2_TIMES, Series, write_series
from scipy import ndimage

from LumbarDiscGradingLib.imaging.dicom import open_dicom
from LumbarDiscGradingLib.imaging.phantom import LumbarPhantom, lumbar_phantom
from LumbarDiscGradingLib.imaging.reading import read_volume

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
COARSER = 2
SPACING_MM = (4.0, 1.4, 1.4)
UNSTATED = {"SeriesDescription": ""}
VERTEBRA, CANAL = 1, 3


def contrasts(phantom: LumbarPhantom) -> dict[str, np.ndarray]:
    """Return the phantom as T2, and changed as T1 (dark fluid, no dark muscle) and as STIR (dark fat and marrow)."""
    t2 = phantom.volume.voxels[:, ::COARSER, ::COARSER].astype(np.float32)
    mask = phantom.mask[:, ::COARSER, ::COARSER]
    fluid = np.percentile(t2[mask == CANAL], 75)
    body = ndimage.gaussian_filter(t2, (0, 3, 3)) > 0.06 * fluid
    t1 = np.where(body, fluid * (0.3 + 0.7 * np.minimum(t2 / fluid, 1.2)), t2)
    t1[mask == VERTEBRA] = 0.4 * t2[mask == VERTEBRA] + 0.45 * fluid
    t1[mask > CANAL] = 0.1 * t2[mask > CANAL] + 0.35 * fluid
    t1[mask == CANAL] = 0.03 * t2[mask == CANAL] + 0.25 * fluid
    stir = t2.copy()
    stir[(t2 > fluid / 3) & (mask < CANAL)] *= 0.12
    stir[mask == VERTEBRA] *= 0.35
    return {"T1": t1, "T2": t2, "STIR": stir}


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return contrasts(lumbar_phantom(seed=3))


def write(folder: Path, number: int, voxels: np.ndarray, **arguments: object) -> None:
    series = Series(voxels[::-1], number=number, spacing_mm=SPACING_MM, attributes=UNSTATED, **arguments)
    write_series(folder / str(number), series)


def read_of(folder: Path) -> tuple[np.ndarray, str]:
    volume = read_volume(folder)
    return volume.voxels, " ".join(volume.notes)


def test_t2_is_chosen_from_the_pixels_out_of_a_study_without_descriptions_and_times(tmp_path, images):
    write(tmp_path, 1, images["T2"][6:9], origin_lps=(-10.0, -90.0, 120.0))  # localizer
    write(tmp_path, 2, images["T1"])  # nothing in the headers speaks against it, and it comes first
    write(tmp_path, 3, images["STIR"])
    write(tmp_path, 4, images["T2"])
    write(tmp_path, 5, images["T2"], orientation=AXIAL)
    write(tmp_path, 6, images["T2"], orientation=CORONAL)
    voxels, said = read_of(tmp_path)
    assert np.array_equal(voxels, images["T2"].astype(np.uint16))
    assert "chosen from the pixels: of 3 sagittal series" in said
    assert "fluid is dark or all but fluid is dark" in said
    reasons = {
        stack.first.series_number: reason
        for choice in [open_dicom(tmp_path).choice()]
        for stack, reason in zip(choice.stacks, choice.reasons, strict=True)
    }
    assert reasons[2] == "looks like T1" and reasons[3] == "looks like T2 with fat suppression"


@pytest.mark.parametrize(("first", "second"), [("T1", "T2"), ("STIR", "T2"), ("T2", "STIR")])
def test_t2_is_told_from_one_other_even_where_that_has_finer_pixels(tmp_path, images, first, second):
    for number, kind in enumerate((first, second), start=1):
        pixel_mm = 1.4 if kind == "T2" else 1.35
        series = Series(images[kind][::-1], number=number, spacing_mm=(4.0, pixel_mm, pixel_mm), attributes=UNSTATED)
        write_series(tmp_path, series)
    voxels, said = read_of(tmp_path)
    assert np.array_equal(voxels, images["T2"].astype(np.uint16))
    assert "chosen from the pixels" in said


def test_pixels_that_do_not_tell_leave_the_choice_to_geometry_with_a_doubt(tmp_path):
    noise = np.random.default_rng(1).integers(1, 900, (9, 96, 80)).astype(np.uint16)
    write(tmp_path, 1, noise)
    write(tmp_path, 2, noise + 1)
    voxels, said = read_of(tmp_path)
    assert np.array_equal(voxels, noise)
    assert "their pixels did not tell them apart" in said and "does not state the contrast" in said


def test_of_two_t2_series_that_look_alike_geometry_chooses_with_a_doubt(tmp_path, images):
    write(tmp_path, 1, images["T2"])
    write(tmp_path, 2, images["T2"] + 1)
    voxels, said = read_of(tmp_path)
    assert np.array_equal(voxels, images["T2"].astype(np.uint16))
    assert "did not tell them apart" in said and "does not state the contrast" in said


def test_no_pixel_is_read_where_the_headers_tell(tmp_path, images):
    for number, attributes in ((1, T1_TIMES), (2, T2_TIMES), (3, UNSTATED)):
        write_series(tmp_path, Series(images["T2"], number=number, attributes=attributes))
    study = open_dicom(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    choice = study.choice()
    assert choice.taken.first.series_number == 2
    assert not any("pixels" in note for note in choice.notes)


def test_values_below_zero_and_much_air_do_not_keep_the_pixels_from_telling(tmp_path, images):
    for number, kind in enumerate(("STIR", "T2"), start=1):
        wide = np.pad(images[kind][::-1], ((0, 0), (0, 0), (200, 200)))
        series = Series(wide, number=number, spacing_mm=SPACING_MM, attributes=UNSTATED)
        write_series(tmp_path, series, RescaleSlope=1.0, RescaleIntercept=-500.0)
    assert "series 2: sagittal" in read_of(tmp_path)[1].split("(not taken")[0]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_image_that_is_nearly_all_air_tells_nothing(tmp_path):
    dot = np.zeros((9, 96, 80), np.uint16)
    dot[:, 40:44, 40:44] = 500
    write(tmp_path, 1, dot)
    write(tmp_path, 2, dot + dot)
    assert "did not tell them apart" in read_of(tmp_path)[1]
