"""A contour that lies off the reference's is told by its side and direction."""

import numpy as np
import pytest
from scipy.ndimage import rotate

from LumbarDiscGradingLib.evaluation.contour_sides import outward_distances_mm

SPACING_MM = (0.5, 0.8)


def disc(above: int = 0, below: int = 0, front: int = 0, rear: int = 0) -> np.ndarray:
    """A disc 20 pixels high and 50 wide, larger by so many pixels on each side."""
    mask = np.zeros((80, 100), dtype=bool)
    mask[30 - above : 50 + below, 25 - front : 75 + rear] = True
    return mask


def test_equal_contours_lie_nowhere_outside():
    same = outward_distances_mm(disc(), disc(), SPACING_MM)
    assert (same.above, same.below, same.front, same.rear) == (0, 0, 0, 0)


@pytest.mark.parametrize(("side", "pixel_mm"), [("above", 0.5), ("below", 0.5), ("front", 0.8), ("rear", 0.8)])
@pytest.mark.parametrize("pixels", [2, -2])
def test_what_is_too_large_or_small_on_one_side_is_told_there(side, pixel_mm, pixels):
    outward = outward_distances_mm(disc(**{side: pixels}), disc(), SPACING_MM)
    assert getattr(outward, side) == pytest.approx(pixels * pixel_mm, abs=0.25)
    opposite = {"above": "below", "below": "above", "front": "rear", "rear": "front"}[side]
    assert getattr(outward, opposite) == pytest.approx(0, abs=0.05)


def test_sides_are_those_of_a_tilted_disc():
    tilted, larger = (rotate(mask.astype(float), -40, order=1) > 0.5 for mask in (disc(), disc(above=3)))
    outward = outward_distances_mm(larger, tilted, (0.5, 0.5))
    assert outward.above == pytest.approx(1.5, abs=0.2)
    assert outward.below == pytest.approx(0, abs=0.1)


def test_a_disc_at_the_edge_of_the_slice_is_measured():
    reference = np.zeros((20, 40), dtype=bool)
    reference[:8, 5:35] = True
    assert outward_distances_mm(reference, reference, (1.0, 1.0)).above == 0
