"""Whether the input of a scan is still what was graded: a quick look at its files, and the hash where that is open."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from ..imaging.dicom import DicomStudy, files_below, open_files
from ..imaging.file_integrity import UnreadableFileError, data_files
from ..imaging.reading import input_sha256
from ..imaging.volume import ImagingError
from .scan import Scan

SETTLED_SECONDS = 60.0
"""Files that changed more recently are not judged by their times: they may change again within a tick of the clock."""


def stamp(scan: Scan) -> str:
    """Return a text that is another one as soon as a file of the input is written, replaced, added or gone.

    It is made of each file's name, size, number, and times of its content and of its last change of any kind; the
    latter, which no copying tool sets back, is why a file with the size and date of the one before is noticed. Empty
    where the times do not tell: files that changed just now, and Windows, which keeps no time of the last change.
    """
    if os.name == "nt":
        return ""
    digest, newest = hashlib.sha256(), 0.0
    try:
        for file in _files(scan):
            status = os.stat(file)
            newest = max(newest, status.st_mtime, status.st_ctime)
            parts = (file, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            digest.update(os.fsencode("\0".join(map(str, parts))) + b"\n")
    except (OSError, ImagingError):
        return ""
    return digest.hexdigest() if newest < time.time() - SETTLED_SECONDS else ""


def content_sha256(scan: Scan) -> str:
    """Return the hash that a result of the scan would have as that of its input; empty where it cannot be read."""
    try:
        return input_sha256(scan.input, scan.series, study_of(scan))
    except (OSError, ImagingError):
        return ""


def study_of(scan: Scan) -> DicomStudy | None:
    """Read the headers of a study whose folder holds others too; None for every other scan.

    Raises
    ------
    UnreadableFileError
        If a file cannot be read.
    """
    try:
        return open_files([Path(file) for file in scan.files]) if scan.files else None
    except OSError as error:
        raise UnreadableFileError(f"A DICOM file cannot be read ({error.strerror}); run it again.") from None


def _files(scan: Scan) -> list[str]:
    if scan.files:
        return list(scan.files)
    path = Path(scan.input)
    return [str(file) for file in (files_below(path) if path.is_dir() else data_files(path))]
