"""The overview of a spine that leaves its slice: distances along the spine are as long as they are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from equipment.curved_phantoms import PaintedSpine

from LumbarDiscGradingLib.grading.grader import DiscGrader
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.report.along_spine import heights_along_spine_mm
from LumbarDiscGradingLib.report.overview import overview_picture

pytestmark = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)


@pytest.mark.parametrize(("tilt_degrees", "longer"), [(0.0, False), (20.0, True)])
def test_discs_are_as_far_apart_as_along_the_spine(tilt_degrees, longer):
    phantom = PaintedSpine().curved(0.0, tilt_degrees, 4.0)
    result = DiscGrader("cpu").grade(phantom.volume)
    rows = result.label_slice.shape[0]
    heights = heights_along_spine_mm(result, 0, rows)
    row_mm = result.volume.spacing_mm[1]
    assert (heights[-1] > 1.03 * rows * row_mm) == longer
    assert overview_picture(result).width >= 1200
    for upper, lower in pairwise(disc for disc in result.discs if disc.level.startswith("L")):
        first, last = (disc.center_row_column[0] for disc in (upper, lower))
        across_mm = 4.0 * (phantom.middle_at(lower.level) - phantom.middle_at(upper.level))
        shown = np.diff(np.interp([first + 0.5, last + 0.5], np.arange(rows + 1), heights))[0]
        assert shown == pytest.approx(np.hypot((last - first) * row_mm, across_mm), rel=0.03)
