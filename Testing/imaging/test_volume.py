"""A sagittal volume is the same whatever the order its voxels are stored in, and goes back to that order exactly."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LumbarDiscGradingLib.imaging.volume import (
    CANONICAL_AXES_LPS,
    MAX_OBLIQUE_DEGREES,
    ImagingError,
    NotSagittalError,
    SagittalVolume,
    VolumeSource,
)

SHAPE = (5, 34, 41)
SPACING_MM = (4.0, 0.7, 0.6)
ORIGIN_LPS = (-11.0, 42.0, 310.0)
ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)]


def canonical_voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)


def canonical_matrix(rotation: np.ndarray | None = None) -> np.ndarray:
    """Matrix from canonical (slice, row, column) to LPS, turned by `rotation`."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) @ CANONICAL_AXES_LPS.T * np.array(SPACING_MM)
    matrix[:3, 3] = ORIGIN_LPS
    return matrix


def stored(
    voxels: np.ndarray, matrix: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Store canonical voxels with axes in `order` (numpy axis n holds canonical axis order[n]) and flipped.

    The matrix is worked out voxel by voxel, not with the code under test: four corners fix it.
    """
    array = np.transpose(voxels, order)
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]

    def position(kji: tuple[int, ...]) -> np.ndarray:
        canonical = [0, 0, 0]
        for axis, (index, flip) in enumerate(zip(kji, flips, strict=True)):
            canonical[order[axis]] = array.shape[axis] - 1 - index if flip else index
        return matrix[:3, :3] @ canonical + matrix[:3, 3]

    first = position((0, 0, 0))
    stored_matrix = np.eye(4)
    for column, kji in enumerate(((0, 0, 1), (0, 1, 0), (1, 0, 0))):
        stored_matrix[:3, column] = position(kji) - first
    stored_matrix[:3, 3] = first
    return np.ascontiguousarray(array), stored_matrix


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rodrigues' rotation about a unit vector."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_all_48_storage_orders_give_the_same_volume(order, flips):
    array, matrix = stored(canonical_voxels(), canonical_matrix(), order, flips)
    volume = SagittalVolume.from_stored(array, matrix)
    assert np.array_equal(volume.voxels, canonical_voxels())
    assert np.allclose(volume.index_to_lps, canonical_matrix())
    assert volume.spacing_mm == pytest.approx(SPACING_MM)
    reference = SagittalVolume.from_stored(canonical_voxels(), stored_matrix_of_canonical())
    for index in range(volume.slice_count):
        assert volume.slice_center_lps_mm(index) == reference.slice_center_lps_mm(index)


def stored_matrix_of_canonical() -> np.ndarray:
    return stored(canonical_voxels(), canonical_matrix(), (0, 1, 2), (False, False, False))[1]


@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_going_back_to_the_stored_order_is_exact(order, flips):
    array, matrix = stored(canonical_voxels(), canonical_matrix(), order, flips)
    volume = SagittalVolume.from_stored(array, matrix)
    assert np.array_equal(volume.to_stored(volume.voxels), array)
    assert np.allclose(volume.stored_index_to_lps, matrix)


@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_a_stored_slice_index_names_the_same_slice(order, flips):
    array, matrix = stored(canonical_voxels(), canonical_matrix(), order, flips)
    volume = SagittalVolume.from_stored(array, matrix)
    sagittal_axis = order.index(0)
    for canonical_index in range(volume.slice_count):
        stored_index = volume.stored_slice_index(canonical_index)
        assert np.array_equal(
            np.sort(np.take(array, stored_index, axis=sagittal_axis), axis=None),
            np.sort(volume.voxels[canonical_index], axis=None),
        )
        assert volume.canonical_slice_index(stored_index) == canonical_index


angles = st.floats(0, 2 * np.pi)


@given(direction=angles, tilt=st.floats(0, MAX_OBLIQUE_DEGREES - 0.1), order=st.sampled_from(ORDERS))
def test_oblique_slices_up_to_the_limit_are_sagittal(direction, tilt, order):
    turned = canonical_matrix(rotation(np.array([0.0, np.cos(direction), np.sin(direction)]), tilt))
    array, matrix = stored(canonical_voxels(), turned, *order)
    volume = SagittalVolume.from_stored(array, matrix)
    assert np.array_equal(volume.voxels, canonical_voxels())
    assert np.allclose(volume.index_to_lps, turned)
    assert np.allclose(volume.stored_index_to_lps, matrix)


@given(direction=angles, tilt=st.floats(MAX_OBLIQUE_DEGREES + 0.1, 45), order=st.sampled_from(ORDERS))
def test_slices_tilted_beyond_the_limit_are_refused(direction, tilt, order):
    turned = canonical_matrix(rotation(np.array([0.0, np.cos(direction), np.sin(direction)]), tilt))
    array, matrix = stored(canonical_voxels(), turned, *order)
    with pytest.raises(NotSagittalError, match="tilted"):
        SagittalVolume.from_stored(array, matrix)


@given(
    direction=angles,
    tilt=st.floats(0, 25),
    index=st.tuples(st.floats(0, 4), st.floats(0, 33), st.floats(0, 40)),
)
def test_positions_are_those_of_the_stored_grid(direction, tilt, index):
    turned = canonical_matrix(rotation(np.array([0.0, np.cos(direction), np.sin(direction)]), tilt))
    array, matrix = stored(canonical_voxels(), turned, (2, 0, 1), (True, False, True))
    volume = SagittalVolume.from_stored(array, matrix)
    assert volume.lps_mm(*index) == pytest.approx(turned[:3, :3] @ index + turned[:3, 3], abs=1e-3)
    assert volume.index_of_lps(volume.lps_mm(*index)) == pytest.approx(index, abs=2e-3)


@pytest.mark.parametrize("spacing_ras", [(0.7, 0.7, 4.0), (0.7, 4.0, 0.7)], ids=["axial", "coronal"])
def test_thick_slices_of_another_plane_are_refused(spacing_ras):
    matrix = np.diag([*spacing_ras, 1.0])
    with pytest.raises(NotSagittalError, match="load the sagittal T2 series"):
        SagittalVolume.from_stored(np.zeros((34, 34, 34)), matrix)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_grid_without_a_valid_spacing_is_refused(bad):
    matrix = canonical_matrix()
    matrix[:3, 0] = bad
    with pytest.raises(ImagingError, match="spacing"):
        SagittalVolume.from_stored(canonical_voxels(), matrix)


def test_a_slice_that_does_not_exist_is_refused():
    volume = SagittalVolume.from_stored(canonical_voxels(), stored_matrix_of_canonical())
    for index in (-1, SHAPE[0]):
        with pytest.raises(ImagingError, match="slices 0 to 4"):
            volume.canonical_slice_index(index)


def test_the_middle_slice_does_not_depend_on_the_storage_order():
    for count in (1, 2, 5, 6):
        voxels = canonical_voxels()[:1].repeat(count, axis=0)
        centers = set()
        for flips in ((False, False, False), (True, False, False)):
            array, matrix = stored(voxels, canonical_matrix(), (0, 1, 2), flips)
            volume = SagittalVolume.from_stored(array, matrix, VolumeSource("case"))
            centers.add(volume.slice_center_lps_mm(volume.middle_slice_index))
        assert len(centers) == 1


def test_thin_slices_are_averaged_up_to_a_clinical_thickness_and_thick_ones_left_alone():
    voxels = np.arange(9, dtype=np.int16)[:, None, None] * np.ones((1, 4, 5), np.int16)
    matrix = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    thin = SagittalVolume(voxels, matrix)
    assert (thin.thick_slice(4) == 4).all()
    assert (thin.thick_slice(0) == 1).all()  # slices 0, 1 and 2: no more on the other side
    matrix = matrix.copy()
    matrix[0, 0] = 4.4
    assert (SagittalVolume(voxels, matrix).thick_slice(3) == 3).all()
