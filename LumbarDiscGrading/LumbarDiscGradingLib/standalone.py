"""Run ``lumbar-disc-grading`` from a checkout on a machine that has nothing but Python 3.10 to 3.13.

``python3 LumbarDiscGrading/LumbarDiscGradingLib/standalone.py grade`` makes a virtual environment ``.venv`` in the
checkout, once, installs the project there (editable: the command always runs the checkout's code) and hands over to
``lumbar-disc-grading`` with the arguments given. Standard library only; nothing else of the library is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 13)
"""Python versions that all dependencies are published for."""

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = CHECKOUT / "LumbarDiscGrading"
COMMAND = "lumbar-disc-grading"
TRAINING_COMMANDS = ("train", "cross-validate", "ablate", "evaluate", "compare")
LARGE_DOWNLOAD_MB = 15.0
"""Downloads from this size on are worth a line of progress."""


class SetupError(RuntimeError):
    """The environment cannot be made; the message is one sentence for the user: what is wrong and what to do."""


class Environment:
    """The virtual environment of a checkout: made once, kept until ``pyproject.toml`` or the checkout's place changes.

    Parameters
    ----------
    folder : Path
        Where the environment is, or is to be.
    project : Path
        Folder with the ``pyproject.toml`` that is installed into it.
    say : callable
        Takes one line of progress.
    """

    def __init__(self, folder: Path, project: Path, say: Callable[[str], None]) -> None:
        self.folder, self.project, self._say = folder, project, say

    @property
    def scripts(self) -> Path:
        """Folder of the environment's executables."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def executable(self, name: str) -> Path:
        """Return the path of an executable of the environment, such as ``python``."""
        return self.scripts / (f"{name}.exe" if os.name == "nt" else name)

    @property
    def _marker(self) -> Path:
        return self.folder / "lumbar-disc-grading.json"

    def _installed(self) -> dict:
        """Return what the marker says is installed; empty where it is missing or unreadable."""
        try:
            content = json.loads(self._marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _in_place(self) -> bool:
        """Whether the environment was made, here and wholly, and its Python is still there."""
        installed = self._installed()
        whole = installed.get("project") == str(self.project) and installed.get("made", False)
        return whole and self.executable("python").exists()

    def is_ready(self, extras: Sequence[str]) -> bool:
        """Whether the project as its ``pyproject.toml`` stands now is installed with at least these extras."""
        installed = self._installed()
        return (
            self._in_place()
            and installed.get("pyproject") == self._fingerprint()
            and set(extras) <= set(installed.get("extras", []))
        )

    def _fingerprint(self) -> str:
        return hashlib.sha256((self.project / "pyproject.toml").read_bytes()).hexdigest()

    def make_ready(self, extras: Sequence[str]) -> None:
        """Make the environment and install the project into it, unless that is done already.

        Safe when two processes do it at once: the second waits for the first.

        Raises
        ------
        SetupError
            If the environment cannot be made or the packages cannot be installed.
        """
        if self.is_ready(extras):
            return
        with self._lock():
            if not self.is_ready(extras):
                self._install(extras)

    def _install(self, extras: Sequence[str]) -> None:
        _require_python()
        present = self._installed().get("extras", []) if self._in_place() else []
        extras = sorted({*extras, *present})
        fingerprint = self._fingerprint()
        self._say(f"Setting up {self.folder} (once; takes some minutes and about 2.5 GB) …")
        if not self._in_place():
            self._say("  making the virtual environment")
            self._create()
        self._mark(present, "")  # not ready while pip works; if it fails, the environment need not be made again
        self._say("  finding the packages")
        self._pip_install(f"{self.project}[{','.join(extras)}]")
        self._mark(extras, fingerprint)
        self._say("Set-up done.")

    def _mark(self, extras: Sequence[str], fingerprint: str, made: bool = True) -> None:
        content = {"project": str(self.project), "made": made, "pyproject": fingerprint, "extras": list(extras)}
        self._marker.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _create(self) -> None:
        if find_spec("venv") is None or find_spec("ensurepip") is None:
            raise SetupError(
                "This Python cannot make virtual environments (its venv or ensurepip is missing): install it, on "
                f"Debian and Ubuntu with 'sudo apt install python3-venv', and run this again ({sys.executable})."
            )
        self._clear()
        command = [sys.executable, "-m", "venv", str(self.folder)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if done.returncode:
            reason = _last_line(done.stderr or done.stdout)
            raise SetupError(f"The virtual environment {self.folder} cannot be made ({reason}); run this again.")

    def _clear(self) -> None:
        """Leave nothing but the marker in the folder; what somebody else put there is not touched."""
        if self.folder.is_symlink():
            raise SetupError(
                f"{self.folder} is a link to {self.folder.resolve()}, which another checkout may use: remove the link "
                "and run this again."
            )
        try:
            self.folder.mkdir(exist_ok=True)
            if not self._installed() and any(self.folder.iterdir()):
                raise SetupError(
                    f"{self.folder} is there already and was not made by this set-up: move or delete it and run this "
                    "again."
                )
            self._mark([], "", made=False)
            for entry in self.folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry != self._marker:
                    entry.unlink()
        except OSError as error:
            raise SetupError(
                f"{self.folder} cannot be written ({error.strerror}): close programs that use it, delete it and run "
                "this again."
            ) from error

    def _pip_install(self, requirement: str) -> None:
        log = self.folder / "setup.log"
        command = [str(self.executable("python")), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        command += ["--disable-pip-version-check", "--editable", requirement]
        environment = {**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1"}
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
        error = ""
        with pip, open(log, "w", encoding="utf-8") as record:
            assert pip.stdout is not None
            for line in pip.stdout:
                record.write(line)
                error = error_of(line) or error
                progress = progress_of(line)
                if progress:
                    self._say(f"  {progress}")
        if pip.returncode:
            raise SetupError(
                f"The packages cannot be installed ({error or 'pip gave no reason'}); check the network connection and "
                f"the free disk space and run this again (full log: {log})."
            )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the checkout's set-up lock; the operating system frees it when the process ends, however it ends."""
        path = self.folder.with_name(f"{self.folder.name}.lock")
        try:
            handle = open(path, "a+b")  # noqa: SIM115 - closed below, after the lock is freed
        except OSError as error:
            raise SetupError(
                f"The virtual environment cannot be made in {path.parent} ({error.strerror}): make the folder writable "
                "or copy the checkout to one that is."
            ) from error
        with handle:
            if not _try_lock(handle.fileno(), wait=False):
                self._say("Another set-up of this checkout is running; waiting for it …")
                while not _try_lock(handle.fileno(), wait=True):
                    pass
            yield


def _try_lock(descriptor: int, wait: bool) -> bool:
    """Lock an open file for this process; return False if another has it (after at most 10 s on Windows)."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def progress_of(pip_line: str) -> str:
    """Return what a line of pip's output means to someone who waits; empty for most lines.

    Examples
    --------
    >>> progress_of("  Downloading torch-2.13.0-cp311-none-macosx_11_0_arm64.whl (74.5 MB)")
    'downloading torch 2.13.0 (74.5 MB)'
    >>> progress_of("Installing collected packages: numpy, torch")
    'installing 2 packages'
    """
    download = re.match(r"\s*Downloading (?:\S*/)?([^\s/-]+)-([^\s/-]+)-\S+ \(([\d.]+) ([kMG])B\)", pip_line)
    if download:
        name, version, size, unit = download.groups()
        megabytes = float(size) * {"k": 0.001, "M": 1.0, "G": 1000.0}[unit]
        return f"downloading {name} {version} ({size} {unit}B)" if megabytes >= LARGE_DOWNLOAD_MB else ""
    if pip_line.startswith("Installing collected packages:"):
        return f"installing {pip_line.count(',') + 1} packages"
    return ""


def error_of(pip_line: str) -> str:
    """Return the reason that a line of pip's output gives for a failure; empty for all other lines.

    Examples
    --------
    >>> error_of("ERROR: No matching distribution found for torch==2.13.0")
    'No matching distribution found for torch==2.13.0'
    >>> error_of("error: subprocess-exited-with-error")
    ''
    """
    reason = re.match(r"\s*error: (?!subprocess-exited)(.*\S)", pip_line, re.IGNORECASE)
    return reason.group(1) if reason else ""


def _require_python() -> None:
    version = sys.version_info[:2]
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        oldest, newest = (".".join(map(str, bound)) for bound in (OLDEST_PYTHON, NEWEST_PYTHON))
        raise SetupError(
            f"This is Python {version[0]}.{version[1]}; Python {oldest} to {newest} is needed: run this with one, "
            f"for example 'python{newest}'."
        )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def checkout_environment() -> Environment:
    """Return the environment ``.venv`` of this checkout; progress goes to standard error."""
    return Environment(CHECKOUT / ".venv", PROJECT, lambda line: print(line, file=sys.stderr, flush=True))


def hand_over(command: Sequence[str]) -> int:
    """Run a command in place of this process; its exit code becomes this process's.

    Returns
    -------
    int
        The exit code, where the operating system cannot replace a process (Windows); elsewhere this does not return.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        return subprocess.call(command)
    os.execv(command[0], list(command))


def extras_for(arguments: Sequence[str]) -> list[str]:
    """Return what a command needs installed: training and evaluation bring libraries of their own."""
    return ["standalone", *(["train"] if arguments and arguments[0] in TRAINING_COMMANDS else [])]


def main(arguments: Sequence[str]) -> int:
    """Set up where needed, then run ``lumbar-disc-grading`` with the arguments."""
    environment = checkout_environment()
    try:
        environment.make_ready(extras_for(arguments))
    except SetupError as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted; run this again to go on with the set-up.", file=sys.stderr)
        return 130
    return hand_over([str(environment.executable(COMMAND)), *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
