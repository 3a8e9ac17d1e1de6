"""Small tasks for the workers of a cohort, which import them by name; they need no network."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from LumbarDiscGradingLib.cohort.scan import Outcome, Scan
from LumbarDiscGradingLib.errors import UserError


def scans_named(count: int) -> list[Scan]:
    """Return scans that no task here reads."""
    return [Scan(f"scan_{number:05}", f"/nowhere/{number}.nrrd") for number in range(count)]


@dataclass(frozen=True)
class Logged:
    """Notes in a folder when it begins and ends a scan and in which process, and does what the identifier is here for.

    Parameters
    ----------
    folder
        One file a process, ``<pid>.log``, with lines ``begin`` or ``end``, identifier and time.
    seconds
        How long a scan takes.
    deadly
        Identifiers of scans that end the process.
    refused
        Identifiers of scans that raise `UserError`.
    """

    folder: Path
    seconds: float = 0.0
    deadly: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    def __call__(self, scan: Scan) -> Outcome:
        self._note("begin", scan)
        if scan.identifier in self.deadly:
            os._exit(7)
        if scan.identifier in self.refused:
            raise UserError(f"{scan.identifier} is refused.")
        with tempfile.TemporaryDirectory(prefix="partial-", dir=self.folder):
            time.sleep(self.seconds)
        self._note("end", scan)
        return Outcome(scan, "graded", "", ({"identifier": scan.identifier},), {"identifier": scan.identifier})

    def _note(self, what: str, scan: Scan) -> None:
        with open(self.folder / f"{os.getpid()}.log", "a", encoding="utf-8") as log:
            log.write(f"{what} {scan.identifier} {time.monotonic()}\n")


def other_in_each_process() -> dict[str, str]:
    """Stand for the hashes of models that lie on each machine and are not the same."""
    return {"segmentation": "the same", "grading": str(os.getpid())}


def noted(folder: Path) -> list[tuple[float, str, str, int]]:
    """Return what `Logged` noted, in the order of time: time, what, identifier, process."""
    notes = []
    for log in folder.glob("*.log"):
        for line in log.read_text(encoding="utf-8").splitlines():
            what, identifier, at = line.split()
            notes.append((float(at), what, identifier, int(log.stem)))
    return sorted(notes)


def is_running(pid: int) -> bool:
    """Return whether a process is there and is more than an exit code that nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" if Path("/proc").is_dir() else True


def all_end(pids: set[int]) -> bool:
    """Wait until processes have ended, and return whether they did in good time."""
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_running, pids))


def started(script: Path, folder: Path) -> subprocess.Popen[str]:
    """Run a script on a folder, in a group of its own, until it has printed a line."""
    run = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    run.stdout.readline()
    return run
