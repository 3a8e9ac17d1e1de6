"""NRRD files as a study holds them: one attached 3-D grid, gzip or raw, read within limits.

Format: Teem's "Definition of NRRD File Format" (teem.sourceforge.net/nrrd/format.html). A header may name other files
to read from; such files are refused here, since a study folder can come from anyone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import StudyError

COMPRESSION_LEVEL = 1
"""Masks are mostly zero and images hardly compressible: higher levels cost time and save little."""

MAX_VOXELS = 1 << 28
MAX_HEADER_BYTES = 1 << 16
_GZIP_WINDOW = 31
_NAMES = {
    "i1": ("int8", "signed char", "int8_t"),
    "u1": ("uint8", "uchar", "unsigned char", "uint8_t"),
    "i2": ("int16", "short", "short int", "signed short", "int16_t"),
    "u2": ("uint16", "ushort", "unsigned short", "unsigned short int", "uint16_t"),
    "i4": ("int32", "int", "signed int", "int32_t"),
    "u4": ("uint32", "uint", "unsigned int", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
"""Names of the voxel types, that which is written first."""
_TYPES = {name: code for code, names in _NAMES.items() for name in names}
_FLIPS_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}


def nrrd_bytes(array: NDArray, index_to_lps: NDArray[np.float64], fields: Mapping[str, str] | None = None) -> bytes:
    """Return a grid as the bytes of an NRRD file; the same input gives the same bytes.

    Parameters
    ----------
    array : ndarray, shape (k, j, i)
        Integers of 8 to 32 bits or floats.
    index_to_lps : ndarray, shape (4, 4)
        Maps (i, j, k, 1) to LPS mm.
    fields : mapping of str to str, optional
        Key/value pairs of the header.

    Raises
    ------
    StudyError
        If the voxel type cannot be stored.
    """
    kind = _NAMES.get(array.dtype.str[1:], ("",))[0]
    if not kind or array.ndim != 3:
        raise StudyError(f"A grid of type {array.dtype} and {array.ndim} dimensions cannot be stored.")
    directions = " ".join(_vector(index_to_lps[:3, axis]) for axis in range(3))
    lines = [
        "NRRD0004",
        f"type: {kind}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(size) for size in array.shape[::-1]),
        f"space directions: {directions}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(index_to_lps[:3, 3])}",
        *(f"{key}:={_escaped(value)}" for key, value in (fields or {}).items()),
    ]
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    data = compressor.compress(memoryview(little_endian).cast("B")) + compressor.flush()
    return "\n".join(lines).encode("utf-8") + b"\n\n" + data


def parse_nrrd(
    content: bytes, where: str, shape: tuple[int, ...] | None = None
) -> tuple[NDArray, NDArray[np.float64], dict[str, str]]:
    """Read the bytes of an NRRD file.

    Parameters
    ----------
    where : str
        Named in messages.
    shape : tuple of int, optional
        The largest shape (k, j, i) that makes sense; a larger one is refused before anything is unpacked.

    Returns
    -------
    ndarray, shape (k, j, i)
    ndarray, shape (4, 4)
        Maps (i, j, k, 1) to LPS mm.
    dict
        Key/value pairs.

    Raises
    ------
    StudyError
        If it is damaged, names other files, is no 3-D grid of numbers, or is larger than expected.
    """
    header, pairs, data = _parse_header(content, where)
    try:
        if header["dimension"] != "3" or "data file" in header or "datafile" in header:
            raise ValueError
        if any(int(header.get(key, "0")) for key in ("line skip", "lineskip", "byte skip", "byteskip")):
            raise ValueError
        dtype = np.dtype(_TYPES[header["type"].lower()])
        sizes = tuple(int(size) for size in header["sizes"].split())[::-1]
        matrix = _matrix(header)
        encoding = header["encoding"].lower()
    except (KeyError, ValueError, IndexError):
        raise _damaged(where, "its header is not that of a single 3-D grid") from None
    if len(sizes) != 3 or min(sizes) < 1 or np.prod(sizes, dtype=float) > MAX_VOXELS:
        raise _damaged(where, "its size is not possible")
    if shape is not None and any(size > limit for size, limit in zip(sizes, shape, strict=True)):
        raise _damaged(where, f"it has {sizes} voxels, the image {tuple(shape)}")
    raw = _unpacked(data, encoding, int(np.prod(sizes)) * dtype.itemsize, where)
    dtype = dtype.newbyteorder(">" if header.get("endian", "little").lower() == "big" else "<")
    array = np.frombuffer(raw, dtype=dtype).reshape(sizes)
    return array.astype(dtype.newbyteorder("="), copy=False), matrix, pairs


def nrrd_matrix(head: bytes, where: str) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from (i, j, k, 1) to LPS mm of a file whose first bytes are given."""
    header, _, _ = _parse_header(head, where)
    try:
        return _matrix(header)
    except (KeyError, ValueError, IndexError):
        raise _damaged(where, "its header is not that of a single 3-D grid") from None


def _parse_header(content: bytes, where: str) -> tuple[dict[str, str], dict[str, str], memoryview]:
    if not content.startswith(b"NRRD000"):
        raise _damaged(where, "it is no NRRD file")
    end = content.find(b"\n\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        raise _damaged(where, "its header has no end")
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in content[:end].decode("utf-8", "replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        key, is_pair, value = line.partition(":=")
        if is_pair:
            pairs[key] = value.replace("\\n", "\n").replace("\\\\", "\\")
        else:
            key, _, value = line.partition(":")
            fields[key.strip().lower()] = value.strip()
    return fields, pairs, memoryview(content)[end + 2 :]


def _matrix(header: Mapping[str, str]) -> NDArray[np.float64]:
    flips = np.array(_FLIPS_TO_LPS[header["space"].lower()])
    matrix = np.eye(4)
    for axis, text in enumerate(header["space directions"].split()):
        matrix[:3, axis] = _numbers(text) * flips
    matrix[:3, 3] = _numbers(header["space origin"]) * flips
    if not np.all(np.isfinite(matrix)):
        raise ValueError
    return matrix


def _numbers(text: str) -> NDArray[np.float64]:
    numbers = np.array([float(part) for part in text.strip("()").split(",")])
    if numbers.shape != (3,):
        raise ValueError
    return numbers


def _unpacked(data: memoryview, encoding: str, size: int, where: str) -> bytes:
    if encoding == "raw":
        raw = bytes(data[: size + 1])
    elif encoding in ("gzip", "gz"):
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            raw = unpacker.decompress(data, size + 1)
        except zlib.error:
            raise _damaged(where, "its compressed data is broken") from None
        if len(raw) == size and not unpacker.eof:  # the checksum follows the last byte
            try:
                raw += unpacker.decompress(unpacker.unconsumed_tail, 1)
            except zlib.error:
                raise _damaged(where, "its compressed data is broken") from None
        if not unpacker.eof:
            raise _damaged(where, "its compressed data is cut off or too long")
    else:
        raise _damaged(where, f"its encoding {encoding[:20]!r} is not supported")
    if len(raw) != size:
        raise _damaged(where, "it has another number of voxels than its header says")
    return raw


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value) + 0.0) for value in values) + ")"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\r", " ").replace("\n", "\\n")


def _damaged(where: str, reason: str) -> StudyError:
    return StudyError(f"{where} cannot be used: {reason}; restore it from a backup.")
