"""What the reading libraries overlook: zero voxel spacing and voxels cut off; and their chatter kept off the console.

ITK turns a spacing of zero into one and fills what is missing at the end of a NIfTI, GIPL or MetaImage file with what
happens to be in memory, so both are looked up in the file itself.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .volume import ImagingError

GZIP_MAGIC = b"\x1f\x8b"
NIFTI1_HEADER_BYTES = 348
NIFTI2_HEADER_BYTES = 540
HEADER_LIMIT_BYTES = 1 << 20
"""Text headers (NRRD, MetaImage) are looked for in the first megabyte."""

CUT_OFF_MESSAGES = ("not read completely", "premature end", "truncated", "not enough data", "read error")
"""Parts, in lower case, of what libraries print, and do not raise, when a file ends too early."""

_STDERR_LOCK = threading.Lock()


class UnreadableFileError(ImagingError):
    """The file is missing, empty, damaged or of a kind that cannot be read."""


class CapturedMessages:
    """What native libraries printed to standard error, after `native_messages_captured` was left."""

    text: str = ""


@contextmanager
def native_messages_captured() -> Iterator[CapturedMessages]:
    """Keep what native libraries (ITK, GDCM, libjpeg, HDF5 …) print to standard error off the console.

    Their warnings name files and tags, which may name a patient. Yields an object whose `text` is filled on leaving.
    """
    captured = CapturedMessages()
    with _STDERR_LOCK:
        try:
            console = os.dup(2)
        except OSError:  # no standard error, as in a windowed application
            yield captured
            return
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield captured
            finally:
                os.dup2(console, 2)
                os.close(console)
                sink.seek(0)
                captured.text = sink.read(HEADER_LIMIT_BYTES).decode("utf-8", "replace")


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
    elif name.endswith((".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".gipl", ".gipl.gz")):
        _check_length_and_nifti_spacing(path, voxel_bytes)


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


def _check_length_and_nifti_spacing(path: Path, voxel_bytes: int) -> None:
    length = 0
    for file_path in data_files(path):
        with file_path.open("rb") as raw:
            packed = raw.read(2) == GZIP_MAGIC
        with gzip.open(file_path) if packed else file_path.open("rb") as file:
            try:
                header = file.read(NIFTI2_HEADER_BYTES)
                length += len(header)
                _check_nifti_spacing(header)
                if packed:
                    while chunk := file.read(HEADER_LIMIT_BYTES):
                        length += len(chunk)
                else:
                    length += max(file_path.stat().st_size - len(header), 0)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise cut_off_error() from None
    if length < voxel_bytes:
        raise cut_off_error()
    if path.name.lower().endswith((".nii", ".nii.gz")) and length < voxel_bytes + NIFTI1_HEADER_BYTES:
        raise cut_off_error()


def _check_nifti_spacing(header: bytes) -> None:
    for order in "<>":
        size = struct.unpack(order + "i", header[:4])[0] if len(header) >= 4 else 0
        if size == NIFTI1_HEADER_BYTES and len(header) >= NIFTI1_HEADER_BYTES:
            dimensions = struct.unpack(order + "8h", header[40:56])
            spacing = struct.unpack(order + "8f", header[76:108])
        elif size == NIFTI2_HEADER_BYTES and len(header) >= NIFTI2_HEADER_BYTES:
            dimensions = struct.unpack(order + "8q", header[16:80])
            spacing = struct.unpack(order + "8d", header[104:168])
        else:
            continue
        for axis in range(1, min(max(dimensions[0], 0), 3) + 1):
            _require_positive(abs(spacing[axis]))


def _require_positive(length: float) -> None:
    if not (math.isfinite(length) and length > 0):
        raise zero_spacing_error()
