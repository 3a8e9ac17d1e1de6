"""Kills readers with SIGKILL while they save, and checks after each kill that nothing confirmed was lost.

With the library installed, ``python Testing/equipment/kill_readers.py --kills 1000`` runs the whole of it; the
tests run fewer.
Half of the readers die at a random moment, half inside a system call that a save consists of: before or after a write,
a flush or a rename.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from example_studies import make_study, truth_masks

from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

READER = "anna"
CASES = 3
LONGEST_LIFE_SECONDS = 0.25
KILLS_A_STUDY = 100
CALLS = ("write", "fsync", "replace")
GRADES, MASKS, SIGNED = "grades", "masks", "signed"


def variant(number: int) -> np.ndarray:
    """One of many masks that can be told apart."""
    labels = truth_masks()
    rows = np.flatnonzero((labels == DISC_LABELS[LUMBAR_LEVELS[number % 5]]).any(axis=(0, 2)))
    labels[:, rows[0], : 12 + number % 23] = 0
    return labels


def study_for_one_reader(folder: Path) -> Study:
    readers = (Reader(READER, (Role.ANNOTATOR, Role.GRADER)),)
    return make_study(folder, CASES, readers=readers, double_grades=False, peer_review=False)


def die_inside_a_call(dice: random.Random) -> None:
    """Let a randomly chosen call of a save be the last thing that this process does, or nearly does."""
    name, countdown, before = dice.choice(CALLS), [dice.randrange(1, 12)], dice.random() < 0.5
    original = getattr(os, name)

    def deadly(*arguments: object) -> object:
        countdown[0] -= 1
        if countdown[0] == 0 and before:
            if name == "write":  # half of what was to be written gets there
                original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments)
        if countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, deadly)


def read_until_killed(folder: Path, seed: int, pipe: int) -> None:
    """Save again and again; tell the parent what is tried, and what is confirmed as saved."""
    dice, tell = random.Random(seed), os.write
    session = ReaderSession.open(folder, READER)
    tell(pipe, b"ready - - - -\n")
    if dice.random() < 0.5:
        die_inside_a_call(dice)
    while True:
        case = dice.choice(session.study.case_ids)
        with session.open_case(case) as opened:
            for _ in range(dice.randrange(1, 6)):
                what, key, value, act = _next_step(opened, dice)
                line = f"{what} {case} {key} {value}\n".encode()
                tell(pipe, b"try " + line)
                act()
                tell(pipe, b"got " + line)


def _next_step(opened, dice: random.Random):
    task = dice.choice((Task.GRADES, Task.MASKS))
    if opened.is_signed(task):
        return SIGNED, task.value, 0, lambda: opened.reopen(task, "looked again")
    ready = not opened.missing_levels(task)
    if ready and dice.random() < 0.2:
        return SIGNED, task.value, 1, lambda: opened.sign(task)
    if task is Task.GRADES:
        level, grade = dice.choice(LUMBAR_LEVELS), dice.randrange(1, 6)
        return GRADES, level, grade, lambda: opened.grade(level, grade, seconds=1.0)
    number = dice.randrange(1000)
    return MASKS, "-", number, lambda: opened.set_masks(variant(number), seconds=1.0)


def kill_once(folder: Path, seed: int, confirmed: dict, tried: dict) -> int:
    """Fork a reader, kill it, take in what it said; return how many saves it had confirmed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            read_until_killed(folder, seed, writing)
        finally:
            os._exit(3)
    os.close(writing)
    with os.fdopen(reading) as stream:
        stream.readline()  # its life begins when it has opened the study
        time.sleep(random.Random(-seed).uniform(0.0, LONGEST_LIFE_SECONDS))
        os.kill(child, signal.SIGKILL)
        lines = [line.split() for line in stream if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError(f"the reader with seed {seed} failed by itself")
    tried.clear()
    for kind, what, case, key, value in lines:
        if kind == "got":
            confirmed[what, case, key] = int(value)
            tried.clear()
        else:
            tried[what, case, key] = int(value)
    return sum(line[0] == "got" for line in lines)


def lost(folder: Path, confirmed: dict, tried: dict) -> list[str]:
    """Return what is not as confirmed; what was being saved at the moment of death may be there or not."""
    problems = [p for p in verify_study(Study.open(folder)) if "lines of the event log" not in p]
    session = ReaderSession.open(folder, READER)
    found: dict = {}
    for case in session.study.case_ids:
        opened = session.open_case(case)
        found.update({(GRADES, case, level): disc.pfirrmann for level, disc in opened.discs.items()})
        found.update({(SIGNED, case, task.value): int(opened.is_signed(task)) for task in opened.tasks})
        for key in ((MASKS, case, "-"),):
            for values in (confirmed, tried):
                if key in values and opened.masks is not None and np.array_equal(opened.masks, variant(values[key])):
                    found[key] = values[key]
        opened.close()
    for key, value in confirmed.items():
        if found.get(key, 0 if key[0] == SIGNED else None) not in (value, tried.get(key, value)):
            problems.append(f"{key}: confirmed {value}, found {found.get(key)}")
    confirmed.update({key: found[key] for key in tried if key in found and found[key] == tried[key]})
    return problems


def run(kills: int, seed: int = 0) -> tuple[Counter, list[str]]:
    """Kill readers again and again, a hundred in each study; return counts and what was lost."""
    counts: Counter = Counter()
    problems: list[str] = []
    for first in range(0, kills, KILLS_A_STUDY):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "study")
            study_for_one_reader(folder)
            confirmed: dict = {}
            tried: dict = {}
            for number in range(first, min(first + KILLS_A_STUDY, kills)):
                counts["saves confirmed"] += kill_once(folder, seed + number, confirmed, tried)
                counts["killed during a save"] += bool(tried)
                problems += [f"after kill {number}: {problem}" for problem in lost(folder, confirmed, tried)]
                counts["kills"] += 1
            counts["lines torn and passed over"] += Study.open(folder).histories[READER].log.unreadable_lines
    return counts, problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counted, wrong = run(arguments.kills, arguments.seed)
    print(", ".join(f"{value} {name}" for name, value in counted.items()))
    print("\n".join(wrong) if wrong else "nothing confirmed was lost, the study opened after each kill")
    sys.exit(bool(wrong))
