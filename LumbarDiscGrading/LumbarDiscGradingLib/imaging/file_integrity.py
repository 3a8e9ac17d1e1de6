"""What the reading libraries overlook: zero voxel spacing and voxels cut off; and their chatter kept off the console.

In NIfTI files ITK turns a spacing of zero into one; what is missing at the end of a NIfTI or GIPL file or of a picture
it fills with what happens to be in memory. So both are looked up in the file itself. Where a NRRD or MetaImage file
(from ITK 5.4 on) ends too early, ITK says so.
"""

from __future__ import annotations

import ctypes
import gzip
import math
import os
import re
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from .volume import ImagingError

GZIP_MAGIC = b"\x1f\x8b"
CUT_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Pictures that ITK reads where they end too early."""

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz")
GIPL_HEADER_BYTES = 256
NIFTI1_HEADER_BYTES = 348
NIFTI2_HEADER_BYTES = 540
DATA_FILE_FIELD = re.compile(rb"^(?:ElementDataFile *=|data ?file:) *(.*?) *\r?$", re.IGNORECASE | re.MULTILINE)
"""Names the file with the voxels in the header of a MetaImage or a NRRD file."""

CHUNK_BYTES = 1 << 20
"""Read at a time; text headers (NRRD, MetaImage) are looked for in the first chunk."""

CONSOLE_DESCRIPTORS = (1, 2)
"""Standard output and standard error."""

_CONSOLE_LOCK = threading.Lock()


class UnreadableFileError(ImagingError):
    """The file is missing, empty, damaged or of a kind that cannot be read."""


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Keep what native libraries (ITK, GDCM, libjpeg, HDF5 …) print off the console.

    Their warnings name files and tags, which may name a patient.
    """
    with _CONSOLE_LOCK, open(os.devnull, "wb") as sink:
        _flush_console()
        consoles = {}
        for descriptor in CONSOLE_DESCRIPTORS:
            with suppress(OSError):  # a windowed application has no console
                consoles[descriptor] = os.dup(descriptor)
                os.dup2(sink.fileno(), descriptor)
        try:
            yield
        finally:
            _flush_console()
            for descriptor, console in consoles.items():
                os.dup2(console, descriptor)
                os.close(console)


def _flush_console() -> None:
    """Write out what Python and the C library hold back, so that it lands where it belongs."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    with suppress(AttributeError, OSError, TypeError):  # Windows has no process-wide C library to ask
        ctypes.CDLL(None).fflush(None)


def cut_off_error() -> UnreadableFileError:
    """Return the error for a file that ends too early."""
    return UnreadableFileError("The file is damaged or incomplete (it ends too early); copy or export it again.")


def check_file(path: Path, spacing_mm: Iterable[float], voxel_bytes: int) -> None:
    """Check what ITK does not: that each spacing is a length, and that all voxels are there.

    Parameters
    ----------
    path : Path
        File that ITK recognised.
    spacing_mm : iterable of float
        As ITK read it; that of a NIfTI file, where ITK corrects it, is looked up in the file.
    voxel_bytes : int
        Bytes of all voxels, uncompressed, as the header describes them.

    Raises
    ------
    ImagingError
        If a spacing is zero or not a number.
    UnreadableFileError
        If voxels are missing.
    """
    name = path.name.lower()
    files = data_files(path)
    if name.endswith(NIFTI_SUFFIXES):
        _check_nifti(files, voxel_bytes)
        return
    _require_lengths(spacing_mm)
    if name.endswith((".gipl", ".gipl.gz")):
        _require_size(files, voxel_bytes + GIPL_HEADER_BYTES)
    elif name.endswith(CUT_PICTURE_SUFFIXES):
        _check_picture(path)


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up an image: the one given and, for a detached header, the one with the voxels.

    Raises
    ------
    UnreadableFileError
        If the file that the header names is not there.
    """
    name = path.name.lower()
    if name.endswith((".hdr", ".img")):
        beside = path.with_suffix(".img" if name.endswith(".hdr") else ".hdr")
        return (path, beside) if beside.is_file() else (path,)
    if not name.endswith((".mhd", ".nhdr")):
        return (path,)
    with path.open("rb") as file:
        named = DATA_FILE_FIELD.search(file.read(CHUNK_BYTES))
    voxels = named[1].decode("latin-1") if named else "LOCAL"
    if voxels.upper().startswith(("LOCAL", "LIST")) or "%" in voxels:
        return (path,)  # one file, or one for each slice: a missing one makes ITK fail
    if not (path.parent / voxels).is_file():
        raise UnreadableFileError(
            f"The voxels are missing: the header names the file {Path(voxels).name}, which is not beside it; "
            f"copy both files."
        )
    return path, path.parent / voxels


def _check_picture(path: Path) -> None:
    """Decode a picture by Pillow, which says where one ends too early; what it does not know is left to ITK."""
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            picture.load()
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return
    except OSError:
        raise cut_off_error() from None


def _check_nifti(files: tuple[Path, ...], voxel_bytes: int) -> None:
    for file_path in files:
        with _opened(file_path) as file:
            header = file.read(NIFTI2_HEADER_BYTES)
            count, spacing_mm = _nifti_spacing(header)
        voxel_bytes = _stored_bytes(header) or voxel_bytes
        _require_lengths(abs(length) for length in spacing_mm[1 : 1 + min(max(count, 0), 3)])
    _require_size(files, voxel_bytes + NIFTI1_HEADER_BYTES)


def _stored_bytes(header: bytes) -> int:
    """Return the bytes of all voxels as a NIfTI header states them: ITK widens integers that are to be scaled."""
    for order in "<>":
        size = struct.unpack(order + "i", header[:4])[0] if len(header) >= 4 else 0
        if size == NIFTI1_HEADER_BYTES and len(header) >= NIFTI1_HEADER_BYTES:
            count, *lengths = struct.unpack(order + "8h", header[40:56])
            bits = struct.unpack(order + "h", header[72:74])[0]
        elif size == NIFTI2_HEADER_BYTES and len(header) >= NIFTI2_HEADER_BYTES:
            count, *lengths = struct.unpack(order + "8q", header[16:80])
            bits = struct.unpack(order + "h", header[14:16])[0]
        else:
            continue
        return math.prod(max(length, 1) for length in lengths[: min(max(count, 0), 7)]) * max(bits, 0) // 8
    return 0


def _nifti_spacing(header: bytes) -> tuple[int, tuple[float, ...]]:
    """Return the number of dimensions and ``pixdim`` of a NIfTI header; 0 and nothing if it is none."""
    for order in "<>":
        size = struct.unpack(order + "i", header[:4])[0] if len(header) >= 4 else 0
        if size == NIFTI1_HEADER_BYTES and len(header) >= NIFTI1_HEADER_BYTES:
            return struct.unpack(order + "h", header[40:42])[0], struct.unpack(order + "8f", header[76:108])
        if size == NIFTI2_HEADER_BYTES and len(header) >= NIFTI2_HEADER_BYTES:
            return struct.unpack(order + "q", header[16:24])[0], struct.unpack(order + "8d", header[104:168])
    return 0, ()


def _require_lengths(spacing_mm: Iterable[float]) -> None:
    if not all(math.isfinite(length) and length > 0 for length in spacing_mm):
        raise ImagingError("The voxel spacing in the file is zero or not a number; export the series again.")


def _require_size(files: Iterable[Path], expected_bytes: int) -> None:
    """Refuse files that, unpacked and together, are shorter than they should be."""
    length = 0
    try:
        for path in files:
            with _opened(path) as file:
                while chunk := file.read(CHUNK_BYTES):
                    length += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise cut_off_error() from None
    if length < expected_bytes:
        raise cut_off_error()


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is gzip-compressed."""
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]
