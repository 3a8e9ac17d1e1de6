"""JSON documents of a study: read within limits, checked against their schema, migrated from older versions."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...json_schema import first_violation, load_schema
from ..errors import StudyError
from .durable_files import read_limited, write_durable

SCHEMA_PREFIX = "LumbarDiscGrading/"
LARGEST_DOCUMENT_BYTES = 4 << 20

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a document of one version and returns it as the next version has it."""

VERSIONS = {"study": 1, "case": 1, "grades": 1, "event": 1, "export": 1, "ranking": 1, "selection": 1}
"""Current version of each kind of document."""

MIGRATIONS: dict[str, dict[int, Migration]] = {kind: {} for kind in VERSIONS}
"""By kind and old version; a step is added whenever a version in `VERSIONS` goes up."""


@functools.cache
def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of document, as shipped beside this file."""
    return load_schema(Path(__file__).parents[1] / "schemas" / f"{kind}.schema.json")


def heading(kind: str) -> dict[str, Any]:
    """Return the entries with which each document begins."""
    return {"schema": SCHEMA_PREFIX + kind, "schema_version": VERSIONS[kind]}


def read_document(path: Path, kind: str) -> dict[str, Any]:
    """Read, migrate and check a document.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StudyError
        If it is too large, no JSON, of another kind, newer than this program, or breaks its schema.
    """
    return parse_document(read_limited(path, LARGEST_DOCUMENT_BYTES), kind, str(path))


def parse_document(content: bytes, kind: str, where: str) -> dict[str, Any]:
    """Migrate and check the bytes of a document; errors are those of `read_document`."""
    document = parse_json(content, where)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA_PREFIX + kind:
        raise StudyError(f"{where} is not a {SCHEMA_PREFIX}{kind} document; restore it from a backup.")
    document = migrated(document, VERSIONS[kind], MIGRATIONS[kind], where)
    violation = first_violation(document, schema_of(kind))
    if violation:
        raise StudyError(f"{where} is not valid: {violation}; restore it from a backup.")
    return document


def parse_json(content: bytes, where: str) -> Any:
    """Parse JSON strictly: UTF-8, no NaN, no absurd depth; raise `StudyError` else."""
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise StudyError(f"{where} is not readable as JSON; restore it from a backup.") from None


def migrated(document: dict[str, Any], version: int, steps: Mapping[int, Migration], where: str) -> dict[str, Any]:
    """Bring a document to `version` step by step.

    Raises
    ------
    StudyError
        If it is newer, or there is no step from its version.
    """
    found = document.get("schema_version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise StudyError(f"{where} states no schema version; restore it from a backup.")
    if found > version:
        raise StudyError(f"{where} has schema version {found}, newer than this program; update LumbarDiscGrading.")
    while found < version:
        if found not in steps:
            raise StudyError(f"{where} has schema version {found}, which cannot be read any more.")
        document = {**steps[found](document), "schema_version": found + 1}
        found += 1
    return document


def document_bytes(kind: str, content: Mapping[str, Any]) -> bytes:
    """Return a checked document as the bytes of its file."""
    document = {**heading(kind), **content}
    violation = first_violation(document, schema_of(kind))
    if violation:
        raise StudyError(f"This cannot be written into a {kind} document: {violation}.")
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def write_document(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Check and write a document durably."""
    write_durable(path, document_bytes(kind, content))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
