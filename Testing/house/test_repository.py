"""What the repository promises to Slicer, pip and the Extensions Index."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Any

import pytest
import update_cmake_lists
from PIL import Image

from LumbarDiscGradingLib import HOMEPAGE, __version__, standalone

TOP_LEVEL = {"CMakeLists.txt", "LICENSE", "README.md", "LumbarDiscGrading", "Resources", "Testing"}
LARGEST_FILE_MB = 6.0
LARGEST_CHECKOUT_MB = 100.0
"""Limit of the Extensions Index."""

REQUIRE_LIBRARIES = "LUMBAR_DISC_GRADING_REQUIRE_LIBRARIES=1"
ABSOLUTE_PATH = re.compile(r"(?<![\w.~}\])/])/(?:home|root|Users|work|opt)/\w")
REGISTRY_HOST = re.compile(r"(?:pypi|pythonhosted)\.org|download\.pytorch\.org")
LEFT_OVER = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b|<{7} |>{7} ")


@pytest.fixture(scope="module")
def tracked(checkout: Path) -> list[str]:
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this checkout is not under git")
    return [name for name in listing.decode().split("\0") if name and (checkout / name).is_file()]


def texts(checkout: Path, names: list[str]) -> dict[str, str]:
    contents = {}
    for name in names:
        try:
            contents[name] = (checkout / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return contents


def test_top_level_holds_exactly_what_the_design_names(tracked: list[str]) -> None:
    assert {name.split("/")[0] for name in tracked if not name.startswith(".")} == TOP_LEVEL


def test_the_module_folder_holds_one_python_file(tracked: list[str]) -> None:
    assert [n for n in tracked if re.fullmatch(r"LumbarDiscGrading/[^/]+\.py", n)] == [
        "LumbarDiscGrading/LumbarDiscGrading.py"
    ]


def test_cmake_and_pip_lists_are_those_of_the_files(checkout: Path) -> None:
    for path, text in update_cmake_lists.updated(checkout / "LumbarDiscGrading").items():
        assert path.read_text(encoding="utf-8") == text, "run python3 Testing/update_cmake_lists.py"


def test_every_tracked_file_of_the_module_is_packaged_or_known_not_to_be(tracked: list[str]) -> None:
    files = [name.removeprefix("LumbarDiscGrading/") for name in tracked if name.startswith("LumbarDiscGrading/")]
    packaged = {*update_cmake_lists.scripts(files), *update_cmake_lists.resources(files)}
    assert set(files) - packaged == {"CMakeLists.txt", "pyproject.toml"}


def test_lists_follow_the_files_in_their_folders(tmp_path: Path) -> None:
    for name in ("LumbarDiscGradingLib/__init__.py", "LumbarDiscGradingLib/imaging/__init__.py", "Module.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("Resources/Models/unet/weights.safetensors", "LumbarDiscGradingLib/models/manifest.schema.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = update_cmake_lists.module_files(tmp_path)
    assert update_cmake_lists.scripts(files) == [
        "Module.py",
        "LumbarDiscGradingLib/__init__.py",
        "LumbarDiscGradingLib/imaging/__init__.py",
    ]
    assert update_cmake_lists.resources(files) == [
        "LumbarDiscGradingLib/models/manifest.schema.json",
        "Resources/Models/unet/weights.safetensors",
    ]
    assert update_cmake_lists.replaced("  # begin x\n  old\n  # end x\n", "x", ["new"]) == (
        "  # begin x\n  new\n  # end x\n"
    )
    with pytest.raises(update_cmake_lists.MissingMarkerError):
        update_cmake_lists.replaced("no list", "x", [])


def test_cmake_configures_against_slicers_macros(checkout: Path, tmp_path: Path) -> None:
    """Both CMake files run; Slicer's macros are stood in for by ones that check what Slicer's check."""
    try:
        subprocess.run(["cmake", "--version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("cmake is not installed")
    (tmp_path / "SlicerConfig.cmake").write_text(
        f"""
set(Slicer_USE_FILE "{tmp_path.as_posix()}/use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "{tmp_path.as_posix()}/generate.cmake")
set(Slicer_EXTENSION_CPACK "{tmp_path.as_posix()}/cpack.cmake")
"""
    )
    (tmp_path / "use.cmake").write_text(
        """
include(CMakeParseArguments)
enable_testing()
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "nonexistent file ${file}")
    endif()
  endforeach()
  message(STATUS "module=${MY_NAME};unparsed=${MY_UNPARSED_ARGUMENTS};generic=${MY_WITH_GENERIC_TESTS}")
endmacro()
macro(slicer_add_python_unittest)
  message(STATUS "unittest=${ARGN}")
endmacro()
"""
    )
    (tmp_path / "generate.cmake").write_text('message(STATUS "depends=${EXTENSION_DEPENDS}")\n')
    (tmp_path / "cpack.cmake").touch()
    command = ["cmake", "-S", str(checkout), "-B", str(tmp_path / "build"), f"-DSlicer_DIR={tmp_path}"]
    command += ["-DBUILD_TESTING=ON", "-DCMAKE_C_COMPILER_WORKS=1", "-DCMAKE_CXX_COMPILER_WORKS=1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "CMAKE_CXX_COMPILER" in done.stderr or "CMAKE_C_COMPILER" in done.stderr:
        pytest.skip("no compiler, which CMake's project() asks for")
    assert done.returncode == 0, done.stderr
    assert "module=LumbarDiscGrading;unparsed=;generic=TRUE" in done.stdout
    assert "unittest=SCRIPT;LumbarDiscGrading.py" in done.stdout
    assert "depends=PyTorch" in done.stdout
    tests = subprocess.run(["ctest", "-N"], cwd=tmp_path / "build", capture_output=True, text=True)
    assert "LumbarDiscGrading_FileLists" in tests.stdout


def cmake_variable(checkout: Path, name: str) -> str:
    """Return a variable of the top CMake file, found as the Extensions Index finds it."""
    text = (checkout / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(rf'set\s*\({name}\s*"([^"]+)"[ ]*\)', text)
    assert match, f"{name} is not set in CMakeLists.txt"
    return match.group(1)


def test_catalogue_entry_is_what_the_extensions_index_takes(checkout: Path) -> None:
    raw = (checkout / "Resources" / "LumbarDiscGrading.json").read_bytes()
    entry = json.loads(raw)
    assert b"\r" not in raw
    assert list(entry) == [
        "$schema",
        "build_dependencies",
        "build_subdirectory",
        "category",
        "scm_revision",
        "scm_url",
        "tier",
    ]
    assert entry["build_dependencies"] == cmake_variable(checkout, "EXTENSION_DEPENDS").split() == ["PyTorch"]
    assert entry["category"] == "Segmentation"
    assert entry["tier"] in range(1, 6)
    assert entry["scm_url"].rsplit("/", 1)[1].startswith("Slicer")
    text = (checkout / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"project\s*\(\s*([^\s)]+)", text).group(1) == "LumbarDiscGrading"


def test_the_homepage_is_the_same_everywhere(checkout: Path, tracked: list[str]) -> None:
    entry = json.loads((checkout / "Resources" / "LumbarDiscGrading.json").read_text(encoding="utf-8"))
    assert entry["scm_url"] == HOMEPAGE == cmake_variable(checkout, "EXTENSION_HOMEPAGE")
    path = re.escape(HOMEPAGE.removeprefix("https://github.com"))
    same = re.compile(rf"https://(?:github\.com|raw\.githubusercontent\.com){path}(?![\w-])")
    any_own = re.compile(r"https://(?:github\.com|raw\.githubusercontent\.com)/[\w.-]+/SlicerLumbarDiscGrading")
    for name, text in texts(checkout, tracked).items():
        for match in any_own.finditer(text):
            assert same.match(text, match.start()), f"{name} names another homepage: {match.group()}"


def test_pictures_named_for_the_extensions_index_are_in_the_repository(checkout: Path) -> None:
    prefix = HOMEPAGE.replace("https://github.com", "https://raw.githubusercontent.com") + "/main/"
    urls = [
        cmake_variable(checkout, "EXTENSION_ICONURL"),
        *cmake_variable(checkout, "EXTENSION_SCREENSHOTURLS").split(),
    ]
    for url in urls:
        assert url.startswith(prefix)
        with Image.open(checkout / url.removeprefix(prefix)) as picture:
            picture.load()


@pytest.mark.parametrize(
    "name", ["Resources/LumbarDiscGrading.png", "LumbarDiscGrading/Resources/Icons/LumbarDiscGrading.png"]
)
def test_icons_are_128_pixels_with_a_transparent_corner(checkout: Path, name: str) -> None:
    with Image.open(checkout / name) as icon:
        assert (icon.format, icon.size, icon.mode) == ("PNG", (128, 128), "RGBA")
        assert icon.getpixel((0, 0))[3] == 0


def test_license_is_apache_2(checkout: Path) -> None:
    text = (checkout / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_files_are_small_enough(checkout: Path, tracked: list[str]) -> None:
    sizes = {name: (checkout / name).stat().st_size / 1e6 for name in tracked}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FILE_MB} == {}
    assert sum(sizes.values()) < LARGEST_CHECKOUT_MB


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (ABSOLUTE_PATH, "a path of one machine"),
        (REGISTRY_HOST, "the address of a package registry"),
        (LEFT_OVER, "something left to do"),
    ],
)
def test_texts_are_free_of(checkout: Path, tracked: list[str], pattern: re.Pattern, what: str) -> None:
    found = {
        f"{name}: {match.group()}"
        for name, text in texts(checkout, tracked).items()
        for match in [pattern.search(text)]
        if match
    }
    assert found == set(), what


def loaded(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


def commands(workflow: dict) -> list[str]:
    """Return what the steps of a workflow run."""
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_all_tests_run_on_each_system_with_each_python_that_is_supported(checkout: Path) -> None:
    workflow = loaded(checkout / ".github" / "workflows" / "tests.yml")
    (job,) = workflow["jobs"].values()
    matrix, oldest, newest = job["strategy"]["matrix"], standalone.OLDEST_PYTHON, standalone.NEWEST_PYTHON
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == [f"3.{minor}" for minor in range(oldest[1], newest[1] + 1)]
    project = (checkout / "LumbarDiscGrading" / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={matrix["python"][0]}"' in project
    assert "python Testing/run_tests.py" in commands(workflow)
    assert "python3 Testing/run_tests.py" in (checkout / "README.md").read_text(encoding="utf-8")


def test_workflows_run_what_is_there_and_may_only_read(checkout: Path) -> None:
    paths = sorted((checkout / ".github" / "workflows").glob("*.yml"))
    assert [path.stem for path in paths] == ["extension", "tests"]
    for path in paths:
        workflow = loaded(path)
        assert workflow["permissions"] == {"contents": "read"}
        ran = [name for command in commands(workflow) for name in re.findall(r"\bTesting/[\w./]+", command)]
        assert ran and all((checkout / name).is_file() for name in ran)
        for used in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), f"{used} can change under its name"


def test_continuous_integration_installs_what_tests_ask_for(checkout: Path, tracked: list[str]) -> None:
    own = (checkout / ".ci" / "run").read_text(encoding="utf-8")
    packages = {package for _, package in re.findall(r"has_library '(.*?)'\)\" (\S+)", own)}
    (installing,) = [c for c in commands(loaded(checkout / ".github" / "workflows" / "tests.yml")) if "apt-get" in c]
    tests = [path.read_text(encoding="utf-8") for path in (checkout / "Testing").rglob("test_*.py")]
    programs = dict(pair for text in tests for pair in re.findall(r'needs_program\("([\w-]+)", "([\w-]+)"\)', text))
    assert set(programs.values()) == set(re.findall(r'need "command -v (?!git)[\w-]+" (\S+)', own))
    packages |= set(programs.values())
    assert programs and packages <= set(installing.split())
    assert REQUIRE_LIBRARIES in installing


@pytest.mark.parametrize("name", ["wrong_grade", "wrong_level", "crash"])
def test_forms_keep_patient_data_out_and_ask_for_the_version(checkout: Path, name: str) -> None:
    form = loaded(checkout / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    first, promise, *asked = form["body"]
    assert first["type"] == "markdown" and "No patient data" in first["attributes"]["value"]
    assert [option["required"] for option in promise["attributes"]["options"]] == [True]
    assert "no patient data" in promise["attributes"]["options"][0]["label"]
    fields = {field["id"]: field for field in asked}
    assert len(fields) == len(asked)
    assert fields["version"]["validations"]["required"] is True
    assert not re.search(r"birth|gender|\bage\b|patient (?:name|id)", json.dumps(asked), re.IGNORECASE)


def test_a_contributor_is_told_of_patient_data_the_tests_and_the_commits(checkout: Path) -> None:
    text = (checkout / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for part in ("No patient data", "python3 Testing/run_tests.py --quick", "`ENH:`", "pre-commit install"):
        assert part in text
    for name in re.findall(r"`((?:Testing|LumbarDiscGrading)/[\w./]+|\.importlinter)`", text):
        assert (checkout / name).exists(), name


def test_hooks_before_a_commit_check_with_versions_that_the_tests_allow(checkout: Path) -> None:
    specifiers = pytest.importorskip("packaging.specifiers")
    project = (checkout / "LumbarDiscGrading" / "pyproject.toml").read_text(encoding="utf-8")
    (local,) = loaded(checkout / ".pre-commit-config.yaml")["repos"]
    assert [hook["id"] for hook in local["hooks"]] == ["ruff-check", "ruff-format", "import-linter"]
    for hook in local["hooks"]:
        name, version = hook["additional_dependencies"][0].split("==")
        (allowed,) = re.findall(rf'"{name}(>=[^"]+)"', project)
        assert specifiers.SpecifierSet(allowed).contains(version)


def test_nothing_pickled_is_tracked(tracked: list[str]) -> None:
    assert [n for n in tracked if re.search(r"\.(?:pt|pth|ckpt|pkl|pickle|joblib)$", n)] == []


def test_module_file_names_what_slicer_loads(checkout: Path) -> None:
    tree = ast.parse((checkout / "LumbarDiscGrading" / "LumbarDiscGrading.py").read_text(encoding="utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    expected = {f"LumbarDiscGrading{suffix}" for suffix in ("", "Widget", "Logic", "ParameterNode", "Test")}
    assert expected <= classes


def test_every_widget_that_the_panels_use_is_in_a_ui_file(checkout: Path) -> None:
    module = checkout / "LumbarDiscGrading"
    files = [module / "LumbarDiscGrading.py", *(module / "LumbarDiscGradingLib" / "panel").glob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    widgets = [
        widget
        for path in (module / "Resources" / "UI").glob("*.ui")
        for widget in ElementTree.parse(path).iter("widget")
    ]
    used = set(re.findall(r"\bui\.(\w+)", code))
    assert len(used) > 20
    assert used <= {widget.get("name") for widget in widgets}
    texts_of = {w.get("name"): w.findtext("property[@name='text']/string") for w in widgets}
    assert texts_of["gradeDiscsButton"] == "Grade Discs"


def test_a_wheel_carries_library_and_resources(checkout: Path, tmp_path: Path, tracked: list[str]) -> None:
    """What pip installs contains each packaged file, and finds its resources."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("setuptools is older than the build needs")
    source = tmp_path / "LumbarDiscGrading"
    files = [name for name in tracked if name.startswith("LumbarDiscGrading/")]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((checkout / name).read_bytes())
    build = f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"lumbar_disc_grading-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"lumbar_disc_grading-{__version__}.dist-info/METADATA").decode()
        entry_points = archive.read(f"lumbar_disc_grading-{__version__}.dist-info/entry_points.txt").decode()
        archive.extractall(tmp_path / "site")
    short = [name.removeprefix("LumbarDiscGrading/") for name in files]
    expected = {n for n in update_cmake_lists.scripts(short) if n.startswith("LumbarDiscGradingLib/")}
    for name in update_cmake_lists.resources(short):
        expected.add(name if name.startswith("LumbarDiscGradingLib/") else f"LumbarDiscGradingLib/{name}")
    assert packed == expected
    assert "lumbar-disc-grading = LumbarDiscGradingLib.cli.main:main" in entry_points
    assert "Requires-Python: >=3.10" in metadata
    assert 'Requires-Dist: torch==2.13.0; extra == "standalone"' in metadata
    assert {"standalone", "train", "test"} <= set(re.findall(r"Provides-Extra: (\S+)", metadata))
    find = "from LumbarDiscGradingLib.resources import resource_path; print(resource_path('Splits').is_dir())"
    done = subprocess.run(
        [sys.executable, "-c", find], cwd=tmp_path / "site", capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    assert done.stdout.strip() == "True", done.stderr


def test_no_test_module_imports_another(checkout: Path) -> None:
    files = (checkout / "Testing").rglob("*.py")
    assert [p.name for p in files if re.search(r"^\s*\W*(from|import) test_", p.read_text("utf-8"), re.MULTILINE)] == []
