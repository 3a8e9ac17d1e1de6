"""Small pictures of the graded slices, in a folder beside the page."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from ...atomic import replacing
from ...report.overview import annotated_slice
from ..tables import THUMBNAILS_FOLDER

SIZE_PX = (240, 320)
"""Most width and height: sharp on a dense screen where a card shows it at half of that."""
QUALITY = 80


def thumbnail_path(folder: Path, identifier: str) -> Path:
    """Return where the thumbnail of a scan lies, below the folder of its outputs."""
    return folder / THUMBNAILS_FOLDER / f"{identifier}.jpg"


def make_thumbnail(folder: Path, identifier: str, workplace: Path | None = None) -> bool:
    """Make the thumbnail of a scan from its overview, unless there is one that is as new.

    Parameters
    ----------
    folder : Path
        Holds ``<identifier>_overview.png``.
    identifier : str
        A plain file name; one that leads to another folder has no picture.
    workplace : Path, optional
        Where it is made before it takes its place, on the same disk.

    Returns
    -------
    bool
        Whether there is a thumbnail of this overview now.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    if Path(identifier).name != identifier or "\0" in identifier:
        return False
    overview, thumbnail = folder / f"{identifier}_overview.png", thumbnail_path(folder, identifier)
    try:
        written = overview.stat()
    except OSError:
        return False
    try:
        if thumbnail.stat().st_mtime_ns >= written.st_mtime_ns:
            return True
    except OSError:
        pass  # none yet
    try:
        picture = annotated_slice(overview)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow says of a spoilt file
        thumbnail.unlink(missing_ok=True)
        return False
    picture.thumbnail(SIZE_PX, Image.Resampling.LANCZOS)
    thumbnail.parent.mkdir(exist_ok=True)
    with replacing(thumbnail, workplace) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY, optimize=True)
        # the overview's own time: one that replaces it from now on is newer, also while this was made
        os.utime(temporary, ns=(written.st_atime_ns, written.st_mtime_ns))
    return True
