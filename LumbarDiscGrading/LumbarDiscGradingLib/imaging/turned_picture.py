"""Pictures that are stored turned or mirrored, with an EXIF entry that says how they are to be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .admission import UnsuitableImageError

EXIF_ORIENTATION = 0x0112
ORIENTATIONS = range(1, 9)
"""Values of the entry: the side and the end at which the first row and the first column are to be shown."""
MIRRORED = (2, 4, 5, 7)
QUARTERS_CLOCKWISE = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}
"""Quarter turns that bring a stored picture, mirrored left to right first where it is one of `MIRRORED`, upright."""
TIFF_FORMAT = "TIFF"


def exif_orientation(path: Path) -> int:
    """Return how a picture is to be shown by its EXIF entry; 1, as it is stored, where it does not say.

    Raises
    ------
    UnsuitableImageError
        If it is a TIFF to be turned: readers of that format turn some of them, and some in part.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            orientation, kind = picture.getexif().get(EXIF_ORIENTATION, 1), picture.format
    except (OSError, SyntaxError, ValueError):  # what SimpleITK reads and Pillow does not
        return 1
    if orientation not in ORIENTATIONS:
        return 1
    if kind == TIFF_FORMAT and orientation != 1:
        raise UnsuitableImageError(
            "The TIFF picture is stored turned or mirrored; save it with the head up and the front to the left, as PNG."
        )
    return int(orientation)


def upright(stored: NDArray, orientation: int) -> NDArray:
    """Return a picture as it is to be shown.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns) or (rows, columns, channels)
    orientation : int
        From `exif_orientation`.
    """
    mirrored = stored[:, ::-1] if orientation in MIRRORED else stored
    return np.ascontiguousarray(np.rot90(mirrored, -QUARTERS_CLOCKWISE[orientation]))
