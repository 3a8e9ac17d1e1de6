"""Volumes on a coarser grid: everything stays where it is in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.imaging.resampling import isotropic, resampled, slabs
from LumbarDiscGradingLib.imaging.volume import SagittalVolume

SPACINGS = st.tuples(*(st.floats(0.4, 2.5) for _ in range(3)))


def oblique_volume(shape, spacing_mm, seed=0):
    """A volume whose intensity is a linear function of the place in the patient, and that function."""
    random = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(np.eye(3) + 0.1 * random.normal(size=(3, 3)))
    axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    rotation *= np.sign(np.diag(rotation))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation @ axes * spacing_mm, random.uniform(-50, 50, 3)
    slope = random.normal(size=3)
    places = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    voxels = ((slope @ (matrix @ places)[:3]).reshape(shape) + 500).astype(np.float32)
    return SagittalVolume(voxels, matrix), lambda lps: slope @ lps + 500


@settings(max_examples=15)
@given(SPACINGS, SPACINGS, st.integers(0, 50))
def test_intensities_stay_at_their_places_in_the_patient(old_mm, new_mm, seed):
    volume, intensity = oblique_volume((7, 20, 16), old_mm, seed)
    coarse, mask = resampled(volume, new_mm)
    assert mask is None
    assert coarse.spacing_mm == pytest.approx(
        [n if abs(n / o - 1) > 1e-6 else o for n, o in zip(new_mm, old_mm, strict=True)]
    )
    margins = [1 + int(np.ceil(old / new / 2)) for old, new in zip(old_mm, new_mm, strict=True)]  # the outermost voxels
    inner = tuple(
        slice(margin, max(size - margin, margin)) for size, margin in zip(coarse.voxels.shape, margins, strict=True)
    )
    places = np.indices(coarse.voxels.shape)[(slice(None), *inner)].reshape(3, -1)
    expected = intensity((coarse.index_to_lps @ np.vstack([places, np.ones(places.shape[1])]))[:3])
    np.testing.assert_allclose(coarse.voxels[inner].ravel(), expected, atol=0.05)


def test_a_mask_stays_on_its_image():
    volume, _ = oblique_volume((12, 80, 90), (0.9, 0.45, 0.5))
    k, i, j = np.indices(volume.voxels.shape)
    ball = ((k - 5.5) * 0.9) ** 2 + ((i - 30) * 0.45) ** 2 + ((j - 50) * 0.5) ** 2 < 4.0**2
    mask = np.where(ball, 95, np.where(j < 20, 1, 0)).astype(np.uint8)
    for coarse, coarse_mask in (isotropic(volume, 1.0, mask), slabs(volume, 3.0, mask)):
        assert coarse_mask.shape == coarse.voxels.shape
        assert set(np.unique(coarse_mask)) == {0, 1, 95}
        centers = [
            (grid.index_to_lps @ np.append(np.argwhere(labels == 95).mean(axis=0), 1))[:3]
            for grid, labels in ((volume, mask), (coarse, coarse_mask))
        ]
        np.testing.assert_allclose(*centers, atol=0.15)
        sizes = [(m == 95).sum() * np.prod(v.spacing_mm) for v, m in ((volume, mask), (coarse, coarse_mask))]
        assert sizes[1] == pytest.approx(sizes[0], rel=0.15)


def test_slabs_are_means_of_thin_slices_and_thick_slices_stay():
    thin = SagittalVolume(np.arange(12, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4)), np.diag([1.0, 1, 1, 1]))
    slab, _ = slabs(thin, 4.0)
    np.testing.assert_allclose(slab.voxels[:, 0, 0], [1.5, 5.5, 9.5], atol=0.1)
    np.testing.assert_allclose(slab.index_to_lps @ [0, 0, 0, 1], [1.5, 0, 0, 1])
    assert slabs(slab, 4.0)[0] is slab
    single = SagittalVolume(np.ones((1, 8, 8), np.float32), np.diag([4.0, 0.5, 0.5, 1]))
    assert slabs(single, 8.0)[0] is single
    assert isotropic(single, 1.0)[0].voxels.shape == (1, 4, 4)


def test_the_label_that_fills_most_of_a_voxel_is_taken():
    labels = np.array([1, 1, 1, 2, 2, 2, 0, 3, 0, 0, 3, 4], np.uint8)
    volume = SagittalVolume(np.zeros((1, 1, 12), np.float32), np.eye(4))
    _, coarse = resampled(volume, (1.0, 1.0, 4.0), labels[None, None])
    assert coarse.ravel().tolist() == [1, 2, 0]
