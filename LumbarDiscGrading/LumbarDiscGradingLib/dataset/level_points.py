"""The table of points that name the discs of pictures without masks."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..pfirrmann import DISC_LABELS
from .manifest import LEVELS_COLUMNS, DatasetError
from .tables import read_table

LevelPoints = dict[str, dict[str, tuple[float, float]]]
"""Row and column of the posterior margin of the disc, by patient and level."""


def median_step(places: Iterable[tuple[float, float]], spacing_mm: tuple[float, float] = (1.0, 1.0)) -> float | None:
    """Return the median distance of neighbouring points from head to feet, None with less than two.

    Parameters
    ----------
    places : iterable of tuple of float
        Row and column of the points of one picture.
    spacing_mm : tuple of float
        Of rows and columns; without it the distance is in pixels.
    """
    order = np.array(sorted(places), dtype=float).reshape(-1, 2) * spacing_mm
    steps = [float(np.linalg.norm(below - above)) for above, below in pairwise(order)]
    return float(np.median(steps)) if steps else None


def read_level_points(path: Path) -> LevelPoints:
    """Read a table with the columns ``patient``, ``level``, ``column`` and ``row``.

    Raises
    ------
    DatasetError
        If it cannot be read, a level is unknown, a position is no number, or a disc has two points.
    """
    points: LevelPoints = {}
    for line, row in enumerate(read_table(path, dict.fromkeys(LEVELS_COLUMNS, ())), start=2):
        patient, level, column, row_text = (row[name] for name in LEVELS_COLUMNS)
        place = _place(row_text, column)
        if not patient or level not in DISC_LABELS or place is None:
            raise DatasetError(
                f"{path}, line {line}: expected patient, level (as L4-L5), column and row in pixels, "
                f"found {patient!r}, {level!r}, {column!r}, {row_text!r}; correct the row."
            )
        if level in points.get(patient, {}):
            raise DatasetError(f"{path}, line {line}: patient {patient} has {level} twice; remove one of the rows.")
        points.setdefault(patient, {})[level] = place
    return points


def write_level_points(path: Path, points: Mapping[str, Mapping[str, tuple[float, float]]]) -> None:
    """Write the table that `read_level_points` reads."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(LEVELS_COLUMNS)
        writer.writerows(
            (patient, level, column, row)
            for patient, places in points.items()
            for level, (row, column) in places.items()
        )


def _place(row: str, column: str) -> tuple[float, float] | None:
    try:
        place = float(row), float(column)
    except ValueError:
        return None
    return place if all(math.isfinite(value) for value in place) else None
