"""The set-up that outsiders run first, on a small project of its own that installs without a network."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from LumbarDiscGradingLib import standalone
from LumbarDiscGradingLib.standalone import Environment, SetupError

PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''"""Builds an editable wheel whose command `lumbar-disc-grading` prints its arguments and exits 7."""
import zipfile
from pathlib import Path

METADATA = """Metadata-Version: 2.1
Name: tiny
Version: 1.0
Provides-Extra: standalone
Provides-Extra: test
"""

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("tiny.py", "import sys\\ndef main():\\n    print(sys.argv[1:])\\n    return 7\\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/entry_points.txt", "[console_scripts]\\nlumbar-disc-grading=tiny:main\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name

def build_wheel(*arguments):
    raise RuntimeError("only editable")
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a checkout") / "LumbarDiscGrading"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    return folder


def environment_of(project: Path) -> tuple[Environment, list[str]]:
    lines: list[str] = []
    return Environment(project.parent / ".venv", project, lines.append), lines


def set_ups(lines: list[str]) -> int:
    return sum(line.startswith("Setting up") for line in lines)


def test_two_set_ups_at_once_do_it_once(project: Path) -> None:
    environments = [environment_of(project) for _ in range(2)]
    assert not environments[0][0].is_ready(["standalone"])
    threads = [threading.Thread(target=e.make_ready, args=(["standalone"],)) for e, _ in environments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(set_ups(lines) for _, lines in environments) == 1
    assert all(environment.is_ready(["standalone"]) for environment, _ in environments)


def test_a_finished_set_up_is_not_repeated(project: Path) -> None:
    environment, lines = environment_of(project)
    environment.make_ready(["standalone"])
    lines.clear()
    environment.make_ready(["standalone"])
    assert lines == []


def test_training_and_evaluation_bring_what_they_need_and_grading_does_not() -> None:
    assert standalone.extras_for(["train", "grading"]) == ["standalone", "train"]
    assert standalone.extras_for(["ablate", "grading"]) == ["standalone", "train"]
    assert standalone.extras_for(["grade", "train"]) == ["standalone"]
    assert standalone.extras_for([]) == ["standalone"]


def test_more_extras_are_added_to_those_there(project: Path) -> None:
    environment, lines = environment_of(project)
    environment.make_ready(["standalone"])
    assert not environment.is_ready(["test"])
    environment.make_ready(["test"])
    assert lines[-1] == "Set-up done."
    assert environment.is_ready(["standalone", "test"])


def test_a_changed_pyproject_is_installed_again(project: Path) -> None:
    environment, lines = environment_of(project)
    environment.make_ready(["standalone"])
    lines.clear()
    (project / "pyproject.toml").write_text(PYPROJECT + "# changed\n", encoding="utf-8")
    assert not environment.is_ready(["standalone"])
    environment.make_ready(["standalone"])
    assert set_ups(lines) == 1
    assert environment.is_ready(["standalone"])


def test_the_command_gets_its_arguments_and_its_exit_code_comes_back(project: Path) -> None:
    environment, _ = environment_of(project)
    environment.make_ready(["standalone"])
    command = [str(environment.executable(standalone.COMMAND)), "grade", "a b", "--slice", "3"]
    code = f"import runpy, sys; sys.exit(runpy.run_path({standalone.__file__!r})['hand_over']({command!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['grade', 'a b', '--slice', '3']"
    assert done.returncode == 7


def test_a_failed_installation_says_why_in_one_line_and_is_tried_again(project: Path) -> None:
    environment, lines = environment_of(project)
    environment.make_ready(["standalone"])
    good = (project / "pyproject.toml").read_text(encoding="utf-8")
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["no such requirement"]\n', encoding="utf-8")
    try:
        with pytest.raises(SetupError, match="cannot be installed") as caught:
            environment.make_ready(["standalone"])
    finally:
        (project / "pyproject.toml").write_text(good, encoding="utf-8")
    assert "\n" not in str(caught.value)
    assert "setup.log" in str(caught.value)
    assert not environment.is_ready(["standalone"])
    lines.clear()
    environment.make_ready(["standalone"])
    assert environment.is_ready(["standalone"])
    assert "  making the virtual environment" not in lines


def test_a_moved_checkout_is_set_up_anew(project: Path, tmp_path: Path) -> None:
    environment, _ = environment_of(project)
    environment.make_ready(["standalone"])
    moved = Environment(environment.folder, tmp_path, lambda line: None)
    (tmp_path / "pyproject.toml").write_bytes((project / "pyproject.toml").read_bytes())
    assert environment.is_ready(["standalone"])
    assert not moved.is_ready(["standalone"])


def test_an_environment_of_somebody_else_is_left_alone(project: Path, tmp_path: Path) -> None:
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    with pytest.raises(SetupError, match="was not made by this set-up: move or delete it"):
        Environment(tmp_path / ".venv", project, lambda line: None).make_ready(["standalone"])
    assert (tmp_path / ".venv" / "lib").is_dir()


def test_the_environment_of_another_checkout_is_not_cleared_through_a_link(project: Path, tmp_path: Path) -> None:
    theirs, _ = environment_of(project)
    theirs.make_ready(["standalone"])
    linked = tmp_path / "linked"
    linked.symlink_to(theirs.folder, target_is_directory=True)
    (tmp_path / "pyproject.toml").write_bytes((project / "pyproject.toml").read_bytes())
    with pytest.raises(SetupError, match=r"is a link to .*: remove the link"):
        Environment(linked, tmp_path, lambda line: None).make_ready(["standalone"])
    assert theirs.is_ready(["standalone"])


def test_an_environment_whose_python_is_gone_is_made_again(project: Path) -> None:
    environment, lines = environment_of(project)
    environment.make_ready(["standalone"])
    environment.executable("python").unlink()
    (environment.folder / "left over").mkdir()
    assert not environment.is_ready(["standalone"])
    lines.clear()
    environment.make_ready(["standalone"])
    assert "  making the virtual environment" in lines
    assert environment.is_ready(["standalone"])
    assert not (environment.folder / "left over").exists()


def test_a_folder_that_cannot_be_written_is_named(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.touch()
    with pytest.raises(SetupError, match="make the folder writable") as caught:
        Environment(file / ".venv", project, lambda line: None).make_ready(["standalone"])
    assert "\n" not in str(caught.value)


def test_another_python_is_refused_with_what_to_do(project: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    with pytest.raises(SetupError, match=r"This is Python 3\.9; Python 3\.10 to 3\.13 is needed"):
        Environment(tmp_path / ".venv", project, lambda line: None).make_ready(["standalone"])
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_is_refused_with_what_to_do(project: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(standalone, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="apt install python3-venv"):
        Environment(tmp_path / ".venv", project, lambda line: None).make_ready(["standalone"])


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        (
            "  Downloading vtk-9.6.2-cp311-cp311-manylinux_2_17_x86_64.whl (146.0 MB)",
            "downloading vtk 9.6.2 (146.0 MB)",
        ),
        ("Downloading torch-2.13.0+cpu-cp312-cp312-win_amd64.whl (1.2 GB)", "downloading torch 2.13.0+cpu (1.2 GB)"),
        ("  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)", ""),
        ("Installing collected packages: numpy, torch, vtk", "installing 3 packages"),
        ("Collecting numpy>=1.26", ""),
    ],
)
def test_progress_tells_what_takes_long(line: str, progress: str) -> None:
    assert standalone.progress_of(line) == progress


def test_the_reason_of_a_failure_is_found_in_pips_output() -> None:
    assert standalone.error_of("ERROR: No matching distribution found for torch==9") == (
        "No matching distribution found for torch==9"
    )
    assert standalone.error_of("error: subprocess-exited-with-error") == ""
    assert standalone.error_of("Collecting error: x") == ""
