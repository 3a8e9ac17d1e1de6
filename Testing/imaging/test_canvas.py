"""The canvas and disc crops: where pixels go, and that they come back to where they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.imaging.canvas import CANVAS_SHAPE, Grid, normalized_slice
from LumbarDiscGradingLib.imaging.crop import DiscAxis, disc_axis, disc_grid, referenced_crop

SPACINGS = st.tuples(st.floats(0.3, 1.2), st.floats(0.3, 1.2))
ROTATIONS = st.floats(-40, 40)


def ellipse(shape, spacing_mm, center_mm, radii_mm, angle_degrees=0.0):
    rows, columns = np.indices(shape)
    y, x = rows * spacing_mm[0] - center_mm[0], columns * spacing_mm[1] - center_mm[1]
    angle = np.radians(angle_degrees)
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    return (along / radii_mm[0]) ** 2 + (across / radii_mm[1]) ** 2 <= 1


@settings(deadline=None, max_examples=40)
@given(spacing=SPACINGS, rotation=ROTATIONS, offset=st.tuples(st.floats(-20, 20), st.floats(-20, 20)))
def test_a_mask_comes_back_from_the_canvas_to_within_half_a_voxel(spacing, rotation, offset):
    shape = (int(220 / spacing[0]), int(180 / spacing[1]))
    center = (110 + offset[0], 90 + offset[1])
    mask = ellipse(shape, spacing, center, (18.0, 6.0), rotation)
    grid = Grid.fitting(shape, spacing, rotation_degrees=rotation)
    back = grid.sample_back(grid.sample(mask, spacing), shape, spacing) > 0.5
    centroid, returned = (np.argwhere(m).mean(axis=0) for m in (mask, back))
    assert np.abs(centroid - returned).max() <= 0.5
    # no pixel changes that is further from the outline than half a voxel's diagonal and half a canvas pixel's
    reach = np.hypot(*spacing) / 2 + np.hypot(0.625, 0.625) / 2
    larger = ellipse(shape, spacing, center, (18.0 + reach, 6.0 + reach), rotation)
    smaller = ellipse(shape, spacing, center, (18.0 - reach, 6.0 - reach), rotation)
    assert not (back & ~larger).any()
    assert not (smaller & ~back).any()


@settings(deadline=None, max_examples=40)
@given(spacing=SPACINGS, rotation=ROTATIONS, row=st.floats(5, 500), column=st.floats(5, 500))
def test_grid_positions_and_slice_positions_are_each_others_inverse(spacing, rotation, row, column):
    grid = Grid.fitting((300, 280), spacing, rotation_degrees=rotation)
    point = np.array([[row, column]])
    assert np.allclose(grid.from_mm(grid.to_mm(point)), point)


@settings(deadline=None, max_examples=25)
@given(spacing=SPACINGS, rotation=ROTATIONS)
def test_a_sampled_pixel_shows_the_place_that_the_grid_says(spacing, rotation):
    shape = (240, 220)
    rows, columns = np.indices(shape)
    grid = Grid.fitting(shape, spacing, rotation_degrees=rotation)
    middle = np.array([[grid.shape[0] // 2 + 7, grid.shape[1] // 2 - 5]])
    expected = grid.to_mm(middle)[0]
    for coordinate, step, where in ((rows, spacing[0], expected[0]), (columns, spacing[1], expected[1])):
        sampled = grid.sample(coordinate * step, spacing)
        assert sampled[tuple(middle[0])] == pytest.approx(where, abs=0.05)


def test_the_standard_canvas_is_512_by_512_at_a_fixed_pixel_size():
    grid = Grid.over((640, 512), (0.46875, 0.46875))
    assert grid.shape == CANVAS_SHAPE == (512, 512)
    assert grid.pixel_size_mm == 0.625
    assert grid.sample(np.ones((640, 512)), (0.46875, 0.46875)).shape == (512, 512)


def test_a_canvas_is_trimmed_or_grown_to_the_field_of_view_in_steps_of_16():
    assert Grid.fitting((384, 256), (0.625, 0.625)).shape == (384, 256)
    assert Grid.fitting((385, 257), (0.625, 0.625)).shape == (400, 272)
    assert Grid.fitting((900, 400), (0.6, 0.6)).shape == (864, 384)


def test_fine_structure_does_not_alias_on_a_coarser_grid():
    stripes = (np.indices((400, 400))[1] % 2).astype(float)
    sampled = Grid((100, 100), 0.8, (39.9, 39.9)).sample(stripes, (0.2, 0.2))
    assert np.abs(sampled[20:80, 20:80] - 0.5).max() < 0.1


def test_normalization_ignores_scale_and_offset_of_the_intensities():
    values = np.random.default_rng(0).gamma(2.0, 100.0, size=(64, 64))
    assert np.allclose(normalized_slice(values), normalized_slice(values * 7 + 300), atol=1e-5)
    assert normalized_slice(values).min() == 0.0
    assert normalized_slice(values).max() == 1.0
    assert not normalized_slice(np.full((8, 8), 3.0)).any()


@settings(deadline=None, max_examples=30)
@given(angle=st.floats(-60, 60), spacing=SPACINGS)
def test_a_discs_axis_is_found_and_its_crop_lies_level(angle, spacing):
    shape = (int(120 / spacing[0]), int(120 / spacing[1]))
    mask = ellipse(shape, spacing, (60.0, 60.0), (18.0, 4.0), angle)
    axis = disc_axis(np.argwhere(mask), spacing)
    assert axis.angle_degrees == pytest.approx(angle, abs=2.0)
    assert np.allclose(axis.center_mm, (60, 60), atol=max(spacing))
    crop = disc_grid(axis).sample(mask, spacing) > 0.5
    rows, columns = np.nonzero(crop)
    assert crop.shape == (128, 256)
    assert (columns.max() - columns.min() + 1) * 0.25 == pytest.approx(36, abs=2 * max(spacing))
    assert (rows.max() - rows.min() + 1) * 0.25 == pytest.approx(8, abs=2 * max(spacing) + 1)


def test_a_crop_is_relative_to_the_reference_signal():
    image = np.full((100, 100), 30.0)
    crop = referenced_crop(image, (1.0, 1.0), disc_grid(DiscAxis((50.0, 50.0), 0.0)), reference=60.0)
    assert crop == pytest.approx(0.5)
