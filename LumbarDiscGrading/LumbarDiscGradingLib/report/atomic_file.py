"""`replacing`: a file appears whole under its name or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it takes the name when the block ends well, else it is removed.

    The temporary file lies in a folder of its own and has the final name, so that writers which look at the
    name's ending, or which store the name, see the right one.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    target = Path(path).absolute()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as folder:
        temporary = Path(folder, target.name)
        yield temporary
        os.replace(temporary, target)
