"""`file_sha256`: what is in files, told by one hash. Standard library only."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK_BYTES = 1 << 20


def file_sha256(*paths: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of those of several files one after the other, as hexadecimal digits.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
