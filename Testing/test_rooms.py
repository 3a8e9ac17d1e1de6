"""Each room of the library imports only the packages that the design gives it; import-linter checks their order."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOUNDATIONS = ("standalone", "resources", "json_schema", "atomic_folder", "pfirrmann")
"""Stand on the standard library alone."""
IMAGE = {"numpy", "SimpleITK", "pydicom", "scipy"}
"""Slicer brings these, and PIL (its SuperBuild: numpy, scipy, SimpleITK, dicom-requirements)."""
TORCH = {"torch", "safetensors"}
MRML = {"slicer", "vtk", "vtkmodules"}
PACKAGES_OF_ROOM = {
    "__init__": set(),
    **{room: set() for room in FOUNDATIONS},
    "imaging": IMAGE,
    "measures": {"numpy", "scipy"},
    "dataset": IMAGE,
    "annotation": IMAGE,
    "networks": IMAGE | {"torch"},
    "models": IMAGE | TORCH,
    "grading": IMAGE | TORCH,
    "report": IMAGE | {"PIL"},
    "evaluation": IMAGE | {"PIL", "torch", "monai", "sklearn", "matplotlib"},
    "training": IMAGE | TORCH | {"PIL", "lightning", "monai", "sklearn", "matplotlib", "rich", "tqdm"},
    "headless": IMAGE | MRML,
    "scene": IMAGE | MRML,
    "panel": IMAGE | MRML | {"qt", "ctk", "PyTorchUtils", "SampleData", "DICOMLib"},
    "cli": IMAGE | {"rich", "tqdm"},
}
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
