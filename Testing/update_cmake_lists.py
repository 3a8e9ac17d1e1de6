"""Rewrite the file lists of CMakeLists.txt and the package list of pyproject.toml (both in LumbarDiscGrading/).

Run it after ``git add`` (or ``git rm``) of a file of the module: ``python3 Testing/update_cmake_lists.py``. Only files
that git tracks are listed, so that a list never names what a commit lacks. With ``--check`` it writes nothing and exits
1 if a list is out of date.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

MODULE = Path(__file__).resolve().parent.parent / "LumbarDiscGrading"
LIBRARY = "LumbarDiscGradingLib"


class MissingMarkerError(ValueError):
    """A file has lost the two comments between which its list stands."""


def module_files(module: Path) -> list[str]:
    """Return the tracked files below the module folder, sorted, as POSIX paths; outside git all but build outputs."""
    command = ["git", "-C", str(module), "ls-files", "-z", "--cached", "."]
    try:
        listing = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        names = {name for name in listing.split("\0") if name and (module / name).is_file()}
    except (OSError, subprocess.CalledProcessError):
        names = {
            path.relative_to(module).as_posix()
            for path in module.rglob("*")
            if path.is_file() and not _is_build_output(path.relative_to(module))
        }
    return sorted(names, key=lambda name: (name.count("/") > 0, name))


def scripts(files: list[str]) -> list[str]:
    """Return the files for MODULE_PYTHON_SCRIPTS."""
    return [name for name in files if name.endswith(".py")]


def resources(files: list[str]) -> list[str]:
    """Return the files for MODULE_PYTHON_RESOURCES: all of Resources, and the schemas inside the library."""
    return [
        name
        for name in files
        if not name.endswith(".py")
        and (name.startswith("Resources/") or (name.startswith(f"{LIBRARY}/") and name.endswith(".json")))
    ]


def packages(files: list[str]) -> list[str]:
    """Return the Python packages, and the one that carries Resources."""
    found = {str(PurePosixPath(name).parent).replace("/", ".") for name in scripts(files) if name.startswith(LIBRARY)}
    return [f'"{name}",' for name in sorted(found | {f"{LIBRARY}.Resources"})]


def replaced(text: str, name: str, lines: list[str]) -> str:
    """Return the text with `lines` between the comments ``# begin <name>`` and ``# end <name>``."""
    pattern = re.compile(rf"^( *)# begin {name}\n.*?^ *# end {name}$", re.MULTILINE | re.DOTALL)
    match = pattern.search(text)
    if match is None:
        raise MissingMarkerError(f"The comments '# begin {name}' and '# end {name}' are missing; put them back.")
    indent = match.group(1)
    block = "\n".join(f"{indent}{line}" for line in [f"# begin {name}", *lines, f"# end {name}"])
    return text[: match.start()] + block + text[match.end() :]


def updated(module: Path) -> dict[Path, str]:
    """Return what CMakeLists.txt and pyproject.toml should contain."""
    files = module_files(module)
    cmake, pyproject = module / "CMakeLists.txt", module / "pyproject.toml"
    cmake_text = replaced(cmake.read_text(encoding="utf-8"), "scripts", scripts(files))
    return {
        cmake: replaced(cmake_text, "resources", resources(files)),
        pyproject: replaced(pyproject.read_text(encoding="utf-8"), "packages", packages(files)),
    }


def _is_build_output(path: Path) -> bool:
    return path.parts[0] in {"build", "dist"} or any(part.endswith((".egg-info", "__pycache__")) for part in path.parts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say which file is out of date")
    check = parser.parse_args(arguments).check
    stale = [(path, text) for path, text in updated(MODULE).items() if path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{path.name} {'is out of date: run python3 Testing/update_cmake_lists.py' if check else 'rewritten'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
