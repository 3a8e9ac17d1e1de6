"""What the reading libraries overlook: zero voxel spacing and voxels cut off; and their chatter kept off the console.

ITK turns a spacing of zero into one and fills what is missing at the end of a NIfTI, GIPL or MetaImage file with what
happens to be in memory, so both are looked up in the file itself.
"""

from __future__ import annotations

import ctypes
import gzip
import math
import os
import struct
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .volume import ImagingError

GZIP_MAGIC = b"\x1f\x8b"
JPEG_END_OF_IMAGE = b"\xff\xd9"
JPEG_TAIL_BYTES = 4096
"""The end of a JPEG is looked for here: some programs add a few bytes of their own."""

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz")
GIPL_HEADER_BYTES = 256
NIFTI1_HEADER_BYTES = 348
NIFTI2_HEADER_BYTES = 540
HEADER_LIMIT_BYTES = 1 << 20
"""Text headers (NRRD, MetaImage) are looked for in the first megabyte."""

CUT_OFF_MESSAGES = ("not read completely", "premature end", "truncated", "not enough data", "read error")
"""Parts, in lower case, of what libraries print, and do not raise, when a file ends too early."""

CONSOLE_DESCRIPTORS = (1, 2)
"""Standard output and standard error."""

_CONSOLE_LOCK = threading.Lock()


class UnreadableFileError(ImagingError):
    """The file is missing, empty, damaged or of a kind that cannot be read."""


class CapturedMessages:
    """What native libraries printed, after `native_messages_captured` was left."""

    text: str = ""


@contextmanager
def native_messages_captured() -> Iterator[CapturedMessages]:
    """Keep what native libraries (ITK, GDCM, libjpeg, HDF5 …) print off the console.

    Their warnings name files and tags, which may name a patient. Yields an object whose `text` is filled on leaving.
    """
    captured = CapturedMessages()
    with _CONSOLE_LOCK, tempfile.TemporaryFile() as sink:
        _flush_console()
        consoles = {}
        for descriptor in CONSOLE_DESCRIPTORS:
            with suppress(OSError):  # a windowed application has no console
                consoles[descriptor] = os.dup(descriptor)
                os.dup2(sink.fileno(), descriptor)
        try:
            yield captured
        finally:
            _flush_console()
            for descriptor, console in consoles.items():
                os.dup2(console, descriptor)
                os.close(console)
            sink.seek(0)
            captured.text = sink.read(HEADER_LIMIT_BYTES).decode("utf-8", "replace")


def _flush_console() -> None:
    """Write out what Python and the C library hold back, so that it lands where it belongs."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    with suppress(AttributeError, OSError, TypeError):  # Windows has no process-wide C library to ask
        ctypes.CDLL(None).fflush(None)


def says_cut_off(messages: str) -> bool:
    """Whether what a library printed means that the file ends too early."""
    lower = messages.lower()
    return any(part in lower for part in CUT_OFF_MESSAGES)


def cut_off_error() -> UnreadableFileError:
    """Return the error for a file that ends too early."""
    return UnreadableFileError("The file is damaged or incomplete (it ends too early); copy or export it again.")


def zero_spacing_error() -> ImagingError:
    """Return the error for a header whose voxel spacing is not a positive number."""
    return ImagingError("The voxel spacing in the file is zero or not a number; export the series again.")


def check_file(path: Path, voxel_bytes: int) -> None:
    """Check what ITK does not: spacing as written in the header, and that all voxels are there.

    Parameters
    ----------
    path : Path
        File that ITK recognised.
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
    with path.open("rb") as file:
        start = file.read(HEADER_LIMIT_BYTES)
    if start[:4] == b"NRRD":
        _check_nrrd_spacing(start)
    elif name.endswith((".mha", ".mhd")):
        _check_metaimage(path, start, voxel_bytes)
    elif name.endswith(NIFTI_SUFFIXES):
        _check_nifti(path, voxel_bytes)
    elif name.endswith((".gipl", ".gipl.gz")):
        _require_length(_unpacked_length(path), voxel_bytes + GIPL_HEADER_BYTES)
    elif name.endswith((".jpg", ".jpeg")):
        _check_jpeg_end(path)
    elif name.endswith(".bmp"):
        _check_bmp_length(path, start)


def has_fourth_dimension(path: Path) -> bool:
    """Whether a NIfTI header declares more than three dimensions, which ITK drops where they have one frame."""
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        return False
    with _opened(path) as file:
        dimensions, _ = _nifti_dimensions(file.read(NIFTI2_HEADER_BYTES))
    return bool(dimensions) and dimensions[0] > 3


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up an image: the one given and, for a detached header, the one with the voxels."""
    name = path.name.lower()
    beside: str | None = None
    if name.endswith((".mhd", ".nhdr")):
        with path.open("rb") as file:
            fields = _text_fields(file.read(HEADER_LIMIT_BYTES))
        beside = fields.get("elementdatafile") or fields.get("data file") or fields.get("datafile")
    elif name.endswith(".hdr"):
        beside = path.name[:-4] + ".img"
    elif name.endswith(".img"):
        beside = path.name[:-4] + ".hdr"
    if beside and (path.parent / beside).is_file():
        return path, path.parent / beside
    return (path,)


def _text_fields(start: bytes) -> dict[str, str]:
    """Parse ``key: value`` (NRRD) and ``key = value`` (MetaImage) lines up to where the voxels begin."""
    fields: dict[str, str] = {}
    for raw in start.split(b"\n"):
        line = raw.strip(b"\r").decode("latin-1")
        if not line.strip():
            break
        key, separator, value = line.partition("=" if " = " in line and ":" not in line.split("=")[0] else ":")
        if separator and not line.startswith("#"):
            fields[key.strip().lower()] = value.lstrip("=").strip()
            if key.strip() == "ElementDataFile":
                break
    return fields


def _check_nrrd_spacing(start: bytes) -> None:
    fields = _text_fields(start)
    if "space directions" in fields:
        for vector in fields["space directions"].replace(" ", "").split(")"):
            if "(" in vector:
                _require_positive(math.sqrt(sum(float(v) ** 2 for v in vector.split("(")[1].split(","))))
    elif "spacings" in fields:
        for word in fields["spacings"].split():
            if word.lower() != "nan":  # NRRD's word for an axis that has no spacing
                _require_positive(float(word))


def _check_metaimage(path: Path, start: bytes, voxel_bytes: int) -> None:
    fields = _text_fields(start)
    for word in fields.get("elementspacing", fields.get("elementsize", "")).split():
        _require_positive(float(word))
    element_file = fields.get("elementdatafile", "LOCAL")
    if element_file.upper() == "LIST" or "%" in element_file:
        return  # one file for each slice: a missing one makes ITK fail
    data = start[start.find(b"ElementDataFile") :]
    offset = start.find(b"ElementDataFile") + data.find(b"\n") + 1 if element_file.upper() == "LOCAL" else 0
    stored = path if element_file.upper() == "LOCAL" else path.parent / element_file
    if not stored.is_file():
        raise UnreadableFileError(
            f"The voxels are missing: the header names the file {Path(element_file).name}, which is not beside it; "
            f"copy both files."
        )
    if fields.get("compresseddata", "false").lower() == "true":
        with stored.open("rb") as file:
            file.seek(offset)
            length = _inflated_length(file.read())
    else:
        length = stored.stat().st_size - offset
    if length < voxel_bytes:
        raise cut_off_error()


def _inflated_length(data: bytes) -> int:
    inflate = zlib.decompressobj()
    try:
        return sum(
            len(inflate.decompress(data[i : i + HEADER_LIMIT_BYTES])) for i in range(0, len(data), HEADER_LIMIT_BYTES)
        )
    except zlib.error:
        raise cut_off_error() from None


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if it is gzip-compressed."""
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _unpacked_length(path: Path) -> int:
    length = 0
    try:
        with _opened(path) as file:
            while chunk := file.read(HEADER_LIMIT_BYTES):
                length += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise cut_off_error() from None
    return length


def _require_length(length: int, expected: int) -> None:
    if length < expected:
        raise cut_off_error()


def _check_nifti(path: Path, voxel_bytes: int) -> None:
    files = data_files(path)
    _require_length(sum(_unpacked_length(file) for file in files), voxel_bytes + NIFTI1_HEADER_BYTES)
    for file_path in files:
        with _opened(file_path) as file:
            dimensions, spacing = _nifti_dimensions(file.read(NIFTI2_HEADER_BYTES))
        for axis in range(1, min(max(dimensions[0], 0), 3) + 1 if dimensions else 0):
            _require_positive(abs(spacing[axis]))


def _nifti_dimensions(header: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return ``dim`` and ``pixdim`` of a NIfTI header, both empty if it is none."""
    for order in "<>":
        size = struct.unpack(order + "i", header[:4])[0] if len(header) >= 4 else 0
        if size == NIFTI1_HEADER_BYTES and len(header) >= NIFTI1_HEADER_BYTES:
            return struct.unpack(order + "8h", header[40:56]), struct.unpack(order + "8f", header[76:108])
        if size == NIFTI2_HEADER_BYTES and len(header) >= NIFTI2_HEADER_BYTES:
            return struct.unpack(order + "8q", header[16:80]), struct.unpack(order + "8d", header[104:168])
    return (), ()


def _check_jpeg_end(path: Path) -> None:
    """Look for the end-of-image marker, which cannot occur within compressed data."""
    with path.open("rb") as file:
        file.seek(-min(JPEG_TAIL_BYTES, path.stat().st_size), os.SEEK_END)
        if JPEG_END_OF_IMAGE not in file.read():
            raise cut_off_error()


def _check_bmp_length(path: Path, start: bytes) -> None:
    if len(start) < 34:
        raise cut_off_error()
    offset, _, width, height, _, bits, compression = struct.unpack("<IIiiHHI", start[10:34])
    if compression == 0:
        row_bytes = (abs(width) * bits + 31) // 32 * 4
        _require_length(path.stat().st_size, offset + row_bytes * abs(height))


def _require_positive(length: float) -> None:
    if not (math.isfinite(length) and length > 0):
        raise zero_spacing_error()
