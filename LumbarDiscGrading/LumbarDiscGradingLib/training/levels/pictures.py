"""From labelled data sets to pictures whose disc levels are known by masks or by points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ...dataset.labelled import LabelledCase
from ...dataset.level_points import median_step
from ...evaluation.scores import discs_at_points
from ...grading.discs import posterior_margin_mm
from ...grading.grader import DiscGrader, NoDiscsError
from ...imaging.crop import disc_axis
from ...imaging.volume import SagittalVolume
from ...pfirrmann import DISC_LABELS
from .views import PlacedPicture

LEVELS = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1")
"""What is looked for, from the feet upward: the lumbar discs, and the one above them, which bounds them."""
SLICE_OFFSETS = (0, -1, 1, -2, 2)
"""Slices of a volume that are taken, from its middle one; the further, the more slices are averaged."""
LEAST_PIXELS = 60
"""A smaller part of a mask is the rim of a disc beside the slice."""
LEAST_LEVELS = 4
NEXT_STEPS = (0.6, 1.3)
"""The disc above L1-L2 lies this far from it, in the median distance of the lumbar ones."""


def placed_pictures(cases: Iterable[LabelledCase], grader: DiscGrader) -> Iterator[PlacedPicture]:
    """Yield the pictures of cases with masks of trusted levels, and of those with points.

    A picture that the program refuses, such as one that lies upside down, is left out. On pictures with points for the
    lumbar levels alone, T12-L1 is the disc that was found next above L1-L2.

    Parameters
    ----------
    cases : iterable of LabelledCase
    grader : DiscGrader
    """
    for case in cases:
        mask = case.mask() if case.levels_trusted else None
        if mask is not None:
            yield from _of_mask(case, mask)
        elif case.level_points:
            yield from _of_points(case, grader)


def _of_mask(case: LabelledCase, mask: NDArray[np.uint8]) -> Iterator[PlacedPicture]:
    volume = case.volume()
    spacing = volume.spacing_mm[1], volume.spacing_mm[2]
    middle = volume.middle_slice_index
    for further, offset in enumerate(SLICE_OFFSETS):
        index = middle + offset
        if not 0 <= index < volume.slice_count:
            continue
        slab = volume.voxels[max(0, index - 1 - further) : index + 2 + further].astype(np.float32).mean(axis=0)
        parts = {level: mask[index] == DISC_LABELS[level] for level in LEVELS}
        places = {level: _posterior_margin(part, spacing) for level, part in parts.items() if part.sum() > LEAST_PIXELS}
        if len(places) >= LEAST_LEVELS:
            yield PlacedPicture(f"{case.patient}.{further}", case.source, case.split, slab, spacing, places)


def _of_points(case: LabelledCase, grader: DiscGrader) -> Iterator[PlacedPicture]:
    volume = case.volume()
    try:
        result = grader.grade(volume)
    except NoDiscsError:
        return
    spacing = _spacing(volume, case)
    places = {**case.level_points, **_next_above(result.label_slice, case.level_points, spacing)}
    yield PlacedPicture(case.patient, case.source, case.split, volume.voxels[result.slice_index], spacing, dict(places))


def _spacing(volume: SagittalVolume, case: LabelledCase) -> tuple[float, float]:
    """Return the pixel spacing; of a picture whose scale is not known, such that its discs lie as in most people."""
    spacing = volume.spacing_mm[1], volume.spacing_mm[2]
    if volume.scale_known:
        return spacing
    factor = USUAL_STEP_MM / _median_step(case.level_points, spacing)
    return spacing[0] * factor, spacing[1] * factor


USUAL_STEP_MM = 34.0
"""Median distance of the points of neighbouring lumbar levels."""


def _median_step(points: dict[str, tuple[float, float]], spacing: tuple[float, float]) -> float:
    return median_step(points.values(), spacing) or float("nan")


def _next_above(
    labels: NDArray[np.uint8], points: dict[str, tuple[float, float]], spacing: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Return where T12-L1 is: the disc that was found next above the one at the point of L1-L2."""
    found = discs_at_points(labels, points).get("L1-L2")
    if found is None:
        return {}
    margins = {value: _posterior_margin(labels == value, spacing) for value in np.unique(labels) if value}
    highest = margins[DISC_LABELS[found]]
    above = [place for place in margins.values() if place[0] < highest[0]]
    if not above:
        return {}
    nearest = max(above)
    step = float(np.linalg.norm((np.array(highest) - nearest) * spacing)) / _median_step(points, spacing)
    return {"T12-L1": nearest} if NEXT_STEPS[0] < step < NEXT_STEPS[1] else {}


def _posterior_margin(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> tuple[float, float]:
    axis = disc_axis(np.argwhere(mask), spacing)
    row, column = posterior_margin_mm(mask, axis, spacing) / np.array(spacing)
    return float(row), float(column)
