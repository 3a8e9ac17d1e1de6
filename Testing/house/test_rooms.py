"""Each room of the library imports only the packages that the design gives it; import-linter checks their order."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

FOUNDATIONS = (
    *("standalone", "errors", "resources", "json_schema", "atomic", "file_hash", "progress", "research_use"),
    *("pfirrmann", "segment_tags"),
)
"""Stand on the standard library alone."""
IMAGE = {"numpy", "SimpleITK", "pydicom", "scipy"}
"""Slicer brings these, and PIL (its SuperBuild: numpy, scipy, SimpleITK, dicom-requirements)."""
TORCH = {"torch", "safetensors"}
MRML = {"slicer", "vtk", "vtkmodules"}
PACKAGES_OF_ROOM = {
    "__init__": set(),
    **{room: set() for room in FOUNDATIONS},
    "imaging": IMAGE | {"PIL"},
    "measures": {"numpy", "scipy"},
    "dataset": IMAGE,
    "annotation": IMAGE,
    "networks": IMAGE | {"torch"},
    "models": IMAGE | TORCH,
    "grading": IMAGE | TORCH,
    "report": IMAGE | {"PIL", "highdicom"},
    "evaluation": IMAGE | {"PIL", "torch", "monai", "sklearn", "matplotlib"},
    "training": IMAGE | TORCH | {"PIL", "lightning", "monai", "sklearn", "matplotlib", "rich", "tqdm"},
    "cohort": IMAGE | {"PIL"},
    "headless": IMAGE | MRML,
    "scene": IMAGE | MRML,
    "panel": IMAGE | MRML | {"qt", "ctk", "PyTorchUtils", "SampleData", "DICOMLib"},
    "cli": IMAGE | {"rich", "tqdm"},
}
MOST_FILES_IN_A_FOLDER = 20
WITHOUT_TORCH = (*FOUNDATIONS, "imaging", "measures", "dataset", "annotation", "report")
"""Rooms whose every module is imported without torch."""


@pytest.fixture(scope="module")
def library(checkout: Path) -> Path:
    return checkout / "LumbarDiscGrading" / "LumbarDiscGradingLib"


def room_of(path: Path, library: Path) -> str:
    return path.relative_to(library).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a file imports anywhere, relative imports left out."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(node.module.split(".")[0])
    return packages


def test_rooms_import_only_the_packages_of_the_design(library: Path) -> None:
    unexpected = {}
    for path in sorted(library.rglob("*.py")):
        room = room_of(path, library)
        assert room in PACKAGES_OF_ROOM, f"{room} is no room of the design"
        found = imported_packages(path) - set(sys.stdlib_module_names) - PACKAGES_OF_ROOM[room]
        if found:
            unexpected[str(path.relative_to(library))] = found
    assert unexpected == {}


def test_the_types_are_checked_alike_with_each_release_of_other_packages(checkout: Path) -> None:
    """mypy takes the packages of all rooms for untyped, whether they are installed or not."""
    settings = configparser.ConfigParser()
    settings.read(checkout / ".mypy.ini", encoding="utf-8")
    skipped = [name for name in settings.sections() if settings[name].get("follow_imports") == "skip"]
    untyped = {part.removesuffix(".*") for name in skipped for part in name.removeprefix("mypy-").split(",")}
    assert set().union(*PACKAGES_OF_ROOM.values()) <= untyped


def test_the_library_imports_itself_relatively(library: Path) -> None:
    assert [p.name for p in library.rglob("*.py") if "LumbarDiscGradingLib" in imported_packages(p)] == []


def test_reading_data_sets_and_annotation_need_no_torch(library: Path) -> None:
    """Opening the panel and reviewing annotations work where torch is not installed."""
    modules = [
        ".".join(["LumbarDiscGradingLib", *path.relative_to(library).with_suffix("").parts]).removesuffix(".__init__")
        for path in sorted(library.rglob("*.py"))
        if room_of(path, library) in WITHOUT_TORCH
    ]
    assert "LumbarDiscGradingLib.imaging.volume" in modules
    code = (
        "import importlib, sys\n"
        "for name in ('torch', 'safetensors', 'lightning', 'monai'): sys.modules[name] = None\n"
        f"for name in {[*modules, 'LumbarDiscGradingLib.grading.result']!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=library.parent, capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr


def test_standalone_starts_on_the_bare_standard_library(library: Path) -> None:
    """No site-packages at all: the set-up must run before anything is installed."""
    code = f"import runpy; runpy.run_path({str(library / 'standalone.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def modules_imported(path: Path, library: Path, modules: dict[str, Path]) -> set[str]:
    """Return the files of the library that a file imports anywhere, in functions and for typing too."""
    own = list(path.relative_to(library).with_suffix("").parts)
    package = own[:-1]  # also of an __init__
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - (node.level - 1)], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                found.add(whole if whole in modules else ".".join(base))
    return found & set(modules)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of files that import each other, directly or through others."""

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            for following in graph[waiting.pop()] - seen:
                seen.add(following)
                waiting.append(following)
        return seen

    reach = {name: reached(name) for name in graph}
    found = [{other for other in graph if other in reach[name] and name in reach[other]} for name in graph]
    return [group for n, group in enumerate(found) if group and group not in found[:n]]


def test_no_files_import_each_other_in_a_circle(library: Path) -> None:
    paths = {
        ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__"): path
        for path in library.rglob("*.py")
        if path.parent != library or path.stem != "__init__"
    }
    graph = {name: modules_imported(path, library, paths) for name, path in paths.items()}
    assert sum(len(targets) for targets in graph.values()) > len(graph)
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def test_no_folder_holds_more_files_than_can_be_looked_over(library: Path) -> None:
    folders = {path.parent for path in library.rglob("*.py")}
    assert {str(f.relative_to(library)) for f in folders if len(list(f.glob("*.py"))) > MOST_FILES_IN_A_FOLDER} == set()
