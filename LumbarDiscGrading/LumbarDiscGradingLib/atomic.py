"""A file (`replacing`) or a folder (`building`) appears whole under its name or not at all. Standard library only."""

from __future__ import annotations

import os
import shutil
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


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder` to fill; it takes the name when the block ends well, else it is removed.

    What was at `folder` before is removed only after the new one has taken its place.

    Raises
    ------
    OSError
        If the folder's parent cannot be written.
    """
    target = Path(os.path.abspath(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        new = workplace / "new"
        new.mkdir()
        yield new
        _put_in_place(new, target, workplace / "old")
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _put_in_place(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        os.replace(new, target)
        return
    os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(old, target)
        raise
