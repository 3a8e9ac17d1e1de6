"""File names that are not UTF-8, as from old Windows disks: shown and written with escapes, read by way of a link."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNDECODABLE = re.compile("[\ud800-\udfff]")
"""What Python puts for a byte of a file name that is not UTF-8."""


def is_plain(name: str) -> bool:
    """Whether a name can be printed, and given to libraries that take names as UTF-8."""
    return UNDECODABLE.search(name) is None


def printable(name: str) -> str:
    """Return a name with bytes that are not UTF-8 as ``%E4``; other names stay as they are."""
    return UNDECODABLE.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)


@contextmanager
def native_path(path: Path) -> Iterator[Path]:
    """Give a path by which a native library can open a file; they end the process at a name that is not UTF-8."""
    if is_plain(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / printable(path.name)
        link.symlink_to(path.resolve())
        yield link
