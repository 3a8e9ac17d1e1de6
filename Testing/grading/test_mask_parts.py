"""Parts of masks are those of the whole image, though only the box around a mask is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk

from LumbarDiscGradingLib.grading.discs import _opened, components


def masks() -> Iterator[np.ndarray]:
    """Yield noise and blobs in boxes of random size and place, empty ones and such at the edges included."""
    random = np.random.default_rng(0)
    for number in range(60):
        mask = np.zeros(random.integers(1, 60, 2), dtype=bool)
        top, bottom = sorted(random.integers(0, mask.shape[0] + 1, 2))
        left, right = sorted(random.integers(0, mask.shape[1] + 1, 2))
        mask[top:bottom, left:right] = random.random((bottom - top, right - left)) < random.random()
        if number % 2:
            mask = sitk.GetArrayFromImage(sitk.BinaryDilate(image_of(mask), [1, 2])) > 0
        yield mask


def image_of(mask: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(mask.astype(np.uint8))


def test_parts_come_largest_first_and_equal_ones_from_the_top() -> None:
    for mask in masks():
        labels = sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(image_of(mask), True)))
        expected = [labels == label for label in range(1, int(labels.max()) + 1)]
        found = components(mask)
        assert len(found) == len(expected)
        assert all((one == other).all() for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(("radius_mm", "spacing_mm"), [(1.3, (0.6, 0.9)), (4.0, (1.0, 0.5))])
def test_an_opening_is_that_of_the_whole_image(radius_mm: float, spacing_mm: tuple[float, float]) -> None:
    radius = [max(1, round(radius_mm / step)) for step in reversed(spacing_mm)]
    for mask in masks():
        expected = sitk.GetArrayFromImage(sitk.BinaryMorphologicalOpening(image_of(mask), radius)) > 0
        assert (_opened(mask, radius_mm, spacing_mm) == expected).all()
