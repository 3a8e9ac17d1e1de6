"""Whether an export is whole, and holds no original identifier."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...dataset.labelled import LabelledDataset
from ...dataset.manifest import DatasetError
from ...file_hash import file_sha256
from ..errors import StudyError
from ..storage.documents import read_document
from ..storage.durable_files import require_inside

MANIFEST_NAME = "manifest.json"
READINGS_FOLDER = "readings"
TEXT_ENDINGS = (".json", ".jsonl", ".csv", ".md")
_HEADER_BYTES = 1 << 14


def list_files(folder: Path) -> list[dict[str, Any]]:
    """Return path, size and hash of each file of an export, as its manifest lists them."""
    return [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    ]


def verify_export(folder: Path | str, identifiers: Iterable[str] = ()) -> list[str]:
    """Compare an export with its manifest and return the problems, one sentence each; none when it is whole.

    Parameters
    ----------
    identifiers : iterable of str
        Original identifiers that must not occur in it.

    Raises
    ------
    StudyError
        If the folder is no export or its manifest is not valid.
    """
    folder = Path(folder)
    try:
        manifest = read_document(folder / MANIFEST_NAME, "export")
    except (FileNotFoundError, NotADirectoryError):
        raise StudyError(f"{folder} is no export: it has no {MANIFEST_NAME}; export the study again.") from None
    problems = []
    listed = {entry["path"]: entry for entry in manifest["files"]}
    for name, entry in listed.items():
        path = folder / name
        require_inside(folder, path.parent)
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name} is missing.")
        elif path.stat().st_size != entry["bytes"] or file_sha256(path) != entry["sha256"]:
            problems.append(f"{name} has been changed since the export was written.")
    present = {Path(root, name).relative_to(folder).as_posix() for root, _, names in os.walk(folder) for name in names}
    problems += [f"{name} is not part of the export." for name in sorted(present - set(listed) - {MANIFEST_NAME})]
    if not problems and manifest["layout"] == "dataset":
        try:
            problems += LabelledDataset.open(folder).verify()
        except DatasetError as error:
            problems.append(str(error))
    return problems or identity_problems(folder, identifiers)


def identity_problems(folder: Path, identifiers: Iterable[str]) -> list[str]:
    """Return where an original identifier occurs in texts, names or image headers; one sentence each, not naming it."""
    wanted = [name.encode("utf-8").lower() for name in identifiers]
    problems = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not wanted:
            continue
        name = path.relative_to(folder).as_posix()
        if any(identifier in content for content in (name.encode().lower(), _words(path)) for identifier in wanted):
            problems.append(f"{name} holds an identifier of a patient's source; remove it from comments and names.")
    return problems


def _words(path: Path) -> bytes:
    """Return the texts of a file: all of a text file, the header of an image."""
    if path.name.endswith(TEXT_ENDINGS):
        return path.read_bytes().lower()
    if path.name.endswith(".gz"):
        try:
            with gzip.open(path) as stream:
                return stream.read(_HEADER_BYTES).lower()
        except (OSError, EOFError, zlib.error):
            return b""
    with path.open("rb") as stream:
        return stream.read(_HEADER_BYTES).lower()
