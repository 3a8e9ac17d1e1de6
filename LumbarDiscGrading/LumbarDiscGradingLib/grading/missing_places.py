"""Where a level that was not found must lie, told by the discs that were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import LEVELS_UPWARD, SIX_LUMBAR_UPWARD
from .result import GradingResult

USUAL_STEP_MM = 36.0
"""Distance of the centres of neighbouring lumbar discs in adults; taken where a single disc was found."""


def missing_places(result: GradingResult) -> dict[str, tuple[float, float]]:
    """Estimate the centres of the missing levels.

    Between two discs they are spread evenly; beyond the last disc each is one step further, as long as the step between
    the last two.

    Returns
    -------
    dict
        (row, column) on the graded slice by level, head to feet; a place may lie outside the image.
    """
    levels = {disc.level for disc in result.discs} | set(result.missing_levels)
    upward = SIX_LUMBAR_UPWARD if not levels <= set(LEVELS_UPWARD) else LEVELS_UPWARD
    found = {upward.index(d.level): np.array(d.center_row_column) for d in result.discs if d.level in upward}
    if not found:
        return {}
    usual = np.array([-USUAL_STEP_MM / result.volume.spacing_mm[1], 0.0])
    wanted = sorted((upward.index(level) for level in result.missing_levels if level in upward), reverse=True)
    places = ((upward[position], _place(position, found, usual)) for position in wanted)
    return {level: (float(row), float(column)) for level, (row, column) in places}


def slice_at(result: GradingResult, place: tuple[float, float]) -> int:
    """Return the slice of the disc that lies nearest in height to a place (row, column)."""
    nearest = min(result.discs, key=lambda disc: abs(disc.center_row_column[0] - place[0]))
    return result.slice_of(nearest)


def is_in_image(result: GradingResult, place: tuple[float, float]) -> bool:
    """Tell whether a place lies within the slice."""
    rows, columns = result.label_slice.shape
    return -0.5 <= place[0] <= rows - 0.5 and -0.5 <= place[1] <= columns - 0.5


def _place(position: int, found: dict[int, NDArray], usual_step: NDArray) -> NDArray:
    """Return the centre at a position, counted upward, from the centres of those that were found."""
    known = sorted(found)
    below, above = [p for p in known if p < position], [p for p in known if p > position]
    if len(known) == 1:
        return found[known[0]] + (position - known[0]) * usual_step
    lower, upper = (below[-1], above[0]) if below and above else (known[:2] if above else known[-2:])
    step = (found[upper] - found[lower]) / (upper - lower)
    return found[lower] + (position - lower) * step
