"""Files that are whole or absent, whatever is killed when, and reading that hostile files cannot harm.

A file is written under a temporary name beside its place, flushed to the disk, renamed, the rename flushed too, and
read back. Only then has it been saved. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from ..errors import NotSavedError, StudyError

TEMPORARY_SUFFIX = ".partial"
STALE_TEMPORARY_SECONDS = 3600.0
"""A temporary file older than this was left behind by a process that was killed."""

LARGEST_LOG_BYTES = 1 << 28
RENAME_ATTEMPTS = 20
"""On Windows a rename fails while a virus scanner or indexer holds the file; it is tried again for a second."""

_BINARY = getattr(os, "O_BINARY", 0)
_SAFE_READ = os.O_RDONLY | _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_durable(path: Path, content: bytes) -> None:
    """Write a file so that under its name there is always either what was there before or all of `content`."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        _rename(temporary, path)
        flush_folder(path.parent)
        if path.read_bytes() != content:
            raise NotSavedError(f"{path.name} does not read back as written; save again, or save elsewhere.")
    except OSError as error:
        raise not_saved(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line to a log, flushed to the disk; a line torn by an earlier crash is closed off first."""
    created = not path.exists()
    try:
        with _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)) as descriptor:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            torn = size > 0 and _read_at(descriptor, size - 1, 1) != b"\n"
            content = b"\n" * torn + line.encode("utf-8") + b"\n"
            _write_all(descriptor, content)
            os.fsync(descriptor)
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            if _read_at(descriptor, end - len(content), len(content)) != content:
                raise NotSavedError(f"{path.name} does not read back as written; save again, or save elsewhere.")
        if created:
            flush_folder(path.parent)
    except OSError as error:
        raise not_saved(path, error) from None


def read_limited(path: Path, limit_bytes: int, offset: int = 0, count: int | None = None) -> bytes:
    """Read a regular file of at most `limit_bytes`; links, pipes, devices and larger files are refused.

    Parameters
    ----------
    offset, count : int
        Read only this part.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StudyError
        If it is refused or cannot be read.
    """
    try:
        with _opened(path, _SAFE_READ) as descriptor:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StudyError(f"{path} is not a plain file; remove it from the study.")
            if status.st_size > limit_bytes:
                raise StudyError(
                    f"{path} has {status.st_size / 1e6:.0f} MB, far more than such a file needs; remove or restore it."
                )
            return _read_at(descriptor, offset, limit_bytes if count is None else count)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StudyError(f"{path} is a link; a study holds plain files only: replace it by the file.") from None
        raise StudyError(f"{path} cannot be read ({error.strerror}); check the folder's permissions.") from None


def read_expected(path: Path, limit_bytes: int, count: int | None = None) -> bytes:
    """Read a file that must be there, as `read_limited` does."""
    try:
        return read_limited(path, limit_bytes, count=count)
    except FileNotFoundError:
        raise StudyError(f"{path} is missing; restore it from a backup.") from None


def require_inside(root: Path, folder: Path) -> None:
    """Raise `StudyError` unless a folder, links followed, lies inside `root`."""
    real_root, real = os.path.realpath(root), os.path.realpath(folder)
    if os.path.commonpath([real_root, real]) != real_root:
        raise StudyError(f"{folder} leads out of the study; replace the link by a folder.")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, flushed to the disk."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flush_folder(folder.parent)
    except OSError as error:
        raise not_saved(folder, error) from None


def remove_stale_temporaries(folder: Path) -> None:
    """Remove what killed processes left half written; files that may still be in use stay."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            if time.time() - path.lstat().st_mtime > STALE_TEMPORARY_SECONDS:
                path.unlink()


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Let one process at a time save into a reader's own folder, so that two windows of a reader lose nothing.

    Readers never wait for each other. Where the file system has no locks, the block runs without one.
    """
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        _lock(descriptor)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)  # gives the lock back


def not_saved(path: Path, error: OSError) -> NotSavedError:
    """Return the exception that tells a reader why nothing was saved."""
    keep = "your work is still in memory: save it elsewhere"
    if error.errno in _FULL:
        return NotSavedError(f"The disk that holds {path.name} is full; free space and save again ({keep}).")
    if error.errno in _FORBIDDEN:
        return NotSavedError(f"{path.parent} may not be written; ask for permission ({keep}).")
    return NotSavedError(f"{path.name} could not be saved ({error.strerror or error}); save again ({keep}).")


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | _BINARY, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_at(descriptor: int, offset: int, count: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    blocks = []
    while count > 0 and (block := os.read(descriptor, min(count, 1 << 22))):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


def _rename(temporary: Path, path: Path) -> None:
    for attempt in range(RENAME_ATTEMPTS):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if os.name != "nt" or attempt == RENAME_ATTEMPTS - 1:
                raise
            time.sleep(0.05)


def flush_folder(folder: Path) -> None:
    """Flush to the disk which names a folder holds."""
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals the rename
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
