"""Check JSON data against the part of JSON Schema that this project's schemas use, with the standard library alone.

Inside Slicer nothing needs to be installed for it. Keywords: ``type``, ``const``, ``enum``, ``pattern``, ``minLength``,
``minimum``, ``maximum``, ``exclusiveMinimum``, ``items``, ``minItems``, ``maxItems``, ``uniqueItems``, ``properties``,
``required``, ``additionalProperties``. A schema with any other constraint is refused, so that none is skipped
unseen.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_ANNOTATIONS = {"$schema", "$id", "title", "description", "examples"}
_CONSTRAINTS = {
    *("type", "const", "enum", "pattern", "minLength", "minimum", "maximum", "exclusiveMinimum"),
    *("items", "minItems", "maxItems", "uniqueItems", "properties", "required", "additionalProperties"),
}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def load_schema(path: Path) -> dict[str, Any]:
    """Read a schema file shipped with the library."""
    return json.loads(path.read_text(encoding="utf-8"))


def manifest_problem(manifest: Any, schema_path: Path, version: int, kind: str, advice: str) -> str | None:
    """Return what is wrong with a manifest that states the version of its schema, as the end of a sentence, or None.

    Parameters
    ----------
    manifest : Any
        What `json.loads` returned.
    schema_path : Path
        Of its JSON Schema, in the latest version known.
    version : int
        That version.
    kind, advice : str
        What it should be, such as "model manifest", and what to do where it is not.
    """
    stated = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if isinstance(stated, int) and stated > version:
        return f"has schema version {stated}, newer than this program; update LumbarDiscGrading."
    violation = first_violation(manifest, load_schema(schema_path))
    return f"is not a valid {kind}: {violation}; {advice}." if violation else None


def first_violation(data: Any, schema: dict[str, Any], where: str = "") -> str | None:
    """Return the first thing in `data` that breaks `schema`, as the end of a sentence, or None.

    Parameters
    ----------
    data : Any
        What `json.loads` returned.
    schema : dict
        JSON Schema of the keywords named in this module.
    where : str
        Name of `data` in the message; empty for the whole document.

    Raises
    ------
    ValueError
        If the schema uses a keyword that is not checked here.
    """
    unknown = set(schema) - _ANNOTATIONS - _CONSTRAINTS
    if unknown:
        raise ValueError(f"The schema uses keywords that are not supported: {', '.join(sorted(unknown))}.")
    name = f"'{where}'" if where else "the document"
    return _wrong_value(data, schema, name) or _wrong_children(data, schema, where, name)


def python_types(names: str | list[str]) -> tuple[type, ...]:
    """Return the types that `json.loads` gives to data of one or several JSON types."""
    return tuple(found for name in ([names] if isinstance(names, str) else names) for found in _TYPES[name])


def _has_type(data: Any, type_name: str) -> bool:
    if isinstance(data, bool):
        return type_name == "boolean"
    if type_name == "integer" and isinstance(data, float):
        return data.is_integer()
    return isinstance(data, _TYPES[type_name])


def _is_same(data: Any, value: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return data == value and isinstance(data, bool) == isinstance(value, bool)


def _wrong_value(data: Any, schema: dict[str, Any], name: str) -> str | None:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_has_type(data, type_name) for type_name in types):
        return f"{name} is not of type {' or '.join(types)}"
    if "const" in schema and not _is_same(data, schema["const"]):
        return f"{name} is {data!r}, expected {schema['const']!r}"
    if "enum" in schema and not any(_is_same(data, value) for value in schema["enum"]):
        return f"{name} is {data!r}, expected one of {', '.join(repr(value) for value in schema['enum'])}"
    if isinstance(data, str):
        if len(data) < schema.get("minLength", 0):
            return f"{name} is empty" if not data else f"{name} is too short"
        if "pattern" in schema and not re.search(schema["pattern"], data):
            return f"{name} is {data!r}, which does not match {schema['pattern']}"
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        if not data >= schema.get("minimum", data) or not data <= schema.get("maximum", data):
            return f"{name} is {data}, out of range"
        if "exclusiveMinimum" in schema and not data > schema["exclusiveMinimum"]:
            return f"{name} is {data}, expected more than {schema['exclusiveMinimum']}"
    return None


def _wrong_children(data: Any, schema: dict[str, Any], where: str, name: str) -> str | None:
    if isinstance(data, list):
        if not schema.get("minItems", 0) <= len(data) <= schema.get("maxItems", len(data)):
            return f"{name} has {len(data)} entries"
        if schema.get("uniqueItems") and any(item in data[:index] for index, item in enumerate(data)):
            return f"{name} names something twice"
        if "items" in schema:
            violations = (first_violation(item, schema["items"], f"{where}[{i}]") for i, item in enumerate(data))
            return next(filter(None, violations), None)
    if isinstance(data, dict):
        for key in schema.get("required", ()):
            if key not in data:
                return f"{name} has no '{key}'"
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, value in data.items():
            child = f"{where}.{key}" if where else key
            if key not in properties and others is False:
                return f"{name} has an unknown entry '{key}'"
            rules = properties.get(key, others if isinstance(others, dict) else {})
            violation = first_violation(value, rules, child)
            if violation:
                return violation
    return None
