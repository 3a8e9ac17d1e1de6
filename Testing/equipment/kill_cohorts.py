"""Kills the grading of a cohort with SIGKILL, again and again, and checks what is left, and the tables in the end.

With the library installed, ``python Testing/equipment/kill_cohorts.py --kills 300`` runs the whole of it; the tests run
fewer. Half of the runs die at a random moment, half inside a system call: before or after a write, a rename or the
removal of a file. Each run goes on where the last was killed; when one comes to its end, its tables have to be those of
an undisturbed run, and the next begins with an empty folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet  # noqa: F401 what a run imports is imported once, before it is forked
import SimpleITK as sitk
import slicer  # noqa: F401
import torch
from cohort_inputs import write_scan
from PIL import Image

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.grading import grader  # noqa: F401

SCANS = 3
LONGEST_LIFE_SECONDS = 3.0
CALLS = {"write": 9, "replace": 32, "unlink": 6}
"""System calls inside which a run dies, and about how often a run of `SCANS` makes them."""
TABLES = ("cohort.csv", "cohort_scans.csv")
RESULT_ENDING = "_result.json"
OTHER_ENDINGS = ("_discs.seg.nrrd", "_grades.csv", "_overview.png")


def die_inside_a_call(dice: random.Random) -> None:
    """Let a randomly chosen call be the last thing that this process does, or nearly does."""
    name = dice.choice(list(CALLS))
    countdown, before = [dice.randint(1, CALLS[name])], dice.random() < 0.5
    original = getattr(os, name)

    def deadly(*arguments, **options):
        countdown[0] -= 1
        if countdown[0] == 0 and before:
            if name == "write":  # half of what was to be written gets there
                original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, deadly)


def grade(inputs: Path, output: Path) -> int:
    """Run the command in this process, quietly."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(sink, stream)
    return main(["grade", str(inputs), "--output", str(output), "--device", "cpu"])


def killed(inputs: Path, output: Path, seed: int) -> bool:
    """Fork a run and kill it; return whether that was before its end.

    Raises
    ------
    AssertionError
        If the run failed by itself.
    """
    dice = random.Random(seed)
    inside, life_seconds = dice.random() < 0.5, dice.uniform(0.0, LONGEST_LIFE_SECONDS)
    child = os.fork()
    if child == 0:
        status = 3
        try:
            if inside:
                die_inside_a_call(dice)
            status = grade(inputs, output)
        finally:
            os._exit(status)
    if not inside:
        time.sleep(life_seconds)
        os.kill(child, signal.SIGKILL)  # which a child that has ended, but was not waited for, bears
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 0:
        raise AssertionError(f"the run with seed {seed} failed by itself with {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status)


def half_or_double(output: Path, truth: Path) -> list[str]:
    """Return what is not whole among the files, and rows of the table that are there twice or are none of the truth."""
    problems = []
    for path in sorted(path for path in output.rglob("*_*") if path.is_file() and ".cohort" not in path.parts):
        whole = truth / path.name
        try:
            if path.name.endswith(RESULT_ENDING):
                discs = [json.loads(file.read_text(encoding="utf-8"))["discs"] for file in (path, whole)]
                assert discs[0] == discs[1], "other discs"
                beside = [path.with_name(path.name.replace(RESULT_ENDING, ending)) for ending in OTHER_ENDINGS]
                assert all(file.is_file() for file in beside), "without its other files"
            elif path.suffix in (".png", ".jpg"):
                Image.open(path).load()
            elif path.suffix == ".nrrd":
                sitk.ReadImage(str(path))
            elif path.name not in TABLES:
                assert path.read_bytes() == whole.read_bytes(), "other rows"
        except Exception as error:  # whatever a half file makes a reader say
            problems.append(f"{path.name}: {error}")
    known = set(lines(truth / TABLES[0]))
    found = lines(output / TABLES[0]) if (output / TABLES[0]).exists() else []
    problems += [f"a row is there {count} times: {line}" for line, count in Counter(found).items() if count > 1]
    problems += [f"a strange row: {line}" for line in found if line not in known]
    return problems


def lines(table: Path) -> list[str]:
    """Return the whole lines of a table."""
    return [line for line in table.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def unlike(output: Path, truth: Path) -> list[str]:
    """Return the tables that differ after sorting from those of an undisturbed run, and files that one alone has."""
    files = [{path.relative_to(folder).as_posix() for path in folder.rglob("*")} for folder in (output, truth)]
    differing = [name for name in TABLES if sorted(lines(output / name)) != sorted(lines(truth / name))]
    return [*differing, *sorted(files[0] ^ files[1])]


def run(kills: int, seed: int = 0, scans: int = SCANS) -> tuple[Counter, list[str]]:
    """Kill runs until so many have died and the last was brought to its end; return counts and what was wrong."""
    torch.set_num_threads(1)  # others do not survive a fork
    counts: Counter = Counter()
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        inputs, truth = Path(place, "in"), Path(place, "truth")
        for number in range(scans):
            write_scan(inputs / f"p{number // 2}" / f"t2_{number % 2}.nrrd", number)
        undisturbed = os.fork()
        if undisturbed == 0:
            os._exit(grade(inputs, truth))
        if os.waitpid(undisturbed, 0)[1] != 0:
            raise AssertionError("the undisturbed run failed")
        while counts["kills"] < kills:
            output = Path(place, f"out{counts['whole runs']}")
            while killed(inputs, output, seed):
                seed += 1
                counts["kills"] += 1
                problems += [f"after seed {seed - 1}: {problem}" for problem in half_or_double(output, truth)]
                if counts["kills"] >= kills:
                    finish = os.fork()
                    if finish == 0:
                        os._exit(grade(inputs, output))
                    if os.waitpid(finish, 0)[1] != 0:
                        raise AssertionError("the last run failed by itself")
                    break
            seed += 1
            counts["whole runs"] += 1
            problems += [f"{name} differs, last seed {seed - 1}" for name in unlike(output, truth)]
            problems += half_or_double(output, truth)
    return counts, problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counted, wrong = run(arguments.kills, arguments.seed)
    print(", ".join(f"{value} {name}" for name, value in counted.items()))
    print("\n".join(wrong) if wrong else "no half file, no doubled row, tables as of an undisturbed run")
    sys.exit(bool(wrong))
