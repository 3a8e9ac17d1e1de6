"""The display window follows the tissue, takes the DICOM window when it is sensible, and maps to 0-1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.window import automatic_window


@pytest.fixture(scope="module")
def volume():
    return lumbar_phantom(0, slice_count=5).volume


def with_window(volume, window):
    return replace(volume, source=replace(volume.source, window=window))


@given(scale=st.floats(0.01, 100), offset=st.floats(-1000, 1000))
def test_the_window_follows_the_intensity_scale(scale, offset):
    pixels = np.random.default_rng(0).gamma(2.0, 100.0, (60, 60))
    center, width = automatic_window(pixels)
    scaled_center, scaled_width = automatic_window(pixels * scale + offset)
    assert scaled_width == pytest.approx(width * scale, rel=1e-2)
    assert scaled_center == pytest.approx(center * scale + offset, rel=1e-2, abs=width * scale * 1e-2)


def test_a_few_hot_pixels_do_not_move_the_window(volume):
    pixels = volume.voxels[2].astype(np.float32)
    hot = pixels.copy()
    hot[:3, :3] = 1e6
    assert automatic_window(hot) == pytest.approx(automatic_window(pixels), rel=0.05)


def test_a_sensible_dicom_window_is_taken(volume):
    assert automatic_window(with_window(volume, (400.0, 820.0))) == (400.0, 820.0)


@pytest.mark.parametrize(
    "window", [(40.0, 1.0), (50000.0, 400.0), (400.0, 0.0), (400.0, 1e7), (float("nan"), 800.0), (400.0, float("inf"))]
)
def test_a_dicom_window_that_would_hide_the_tissue_is_not_taken(volume, window):
    assert automatic_window(with_window(volume, window)) == automatic_window(volume)


def test_discs_and_fluid_can_be_told_apart_in_the_automatic_window():
    phantom = lumbar_phantom(0, slice_count=7)
    center, width = automatic_window(phantom.volume)
    shown = (phantom.volume.voxels[phantom.mid_slice_index] - (center - width / 2)) / width
    mask = phantom.mask[phantom.mid_slice_index]
    assert np.median(shown[mask == 3]) > 0.6
    assert 0.1 < np.median(shown[mask == 1]) < 0.6
    assert np.median(shown[mask == 100]) < 0.2


def test_a_constant_picture_still_gets_a_window():
    center, width = automatic_window(np.full((8, 8), 3.0))
    assert np.isfinite(center) and width > 0
