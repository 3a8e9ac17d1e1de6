"""One run at a time into an output folder; the lock goes with the process that holds it, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError

LOCK_NAME = "lock"


class RunningError(UserError):
    """Another run writes into the folder; the message is one sentence for the user."""


@contextmanager
def only_run(folder: Path, shown: Path) -> Iterator[None]:
    """Hold the lock of a folder during the block. Where the file system has no locks, the block runs without one.

    Parameters
    ----------
    folder : Path
        Holds the lock file.
    shown : Path
        What the user calls the output folder.

    Raises
    ------
    RunningError
        If another process holds it.
    """
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            raise RunningError(
                f"Another run writes into {shown}; wait until it has ended, or choose another --output."
            ) from None
        except OSError:  # no locks there
            pass
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
