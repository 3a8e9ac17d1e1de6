"""Time to open a large study, to the next case, of status and agreement, and memory while cases are read.

Run with the library installed:  python Testing/Benchmarks/benchmark_study.py [--cases 1000] [--folder KEPT]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from LumbarDiscGradingLib.annotation.exchange.importing import import_grades, import_masks
from LumbarDiscGradingLib.annotation.protocol import Protocol, Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

READERS = (
    Reader("anna", (Role.ANNOTATOR,), 3),
    Reader("ben", (Role.ANNOTATOR,), 8),
    Reader("carl", (Role.GRADER,), 5),
    Reader("dora", (Role.GRADER,), 15),
    Reader("emil", (Role.ADJUDICATOR,), 20),
)


def make_study(folder: Path, cases: int, unread: int) -> None:
    """Make a study of clinical size (384 x 384 x 15, 16 bit) of which all but `unread` cases are read."""
    protocol = Protocol("Benchmark", READERS, double_masks=True, peer_review=False)
    study = Study.create(folder, protocol)
    phantom = lumbar_phantom()
    first = study.add_case(phantom.volume)
    for number in range(2, cases + 1):  # the same image under many names: only time and size matter here
        name = f"C{number:04d}"
        (folder / "cases" / name).mkdir()
        os.link(first.folder / "image.nrrd", folder / "cases" / name / "image.nrrd")
        document = json.loads((first.folder / "case.json").read_text())
        document |= {"case": name, "patient": name}
        (folder / "cases" / name / "case.json").write_text(json.dumps(document))
    study = Study.open(folder)
    random = np.random.default_rng(0)
    wanted = [DISC_LABELS[level] for level in LUMBAR_LEVELS]
    masks = np.where(np.isin(phantom.mask, wanted), phantom.mask, 0).astype(np.uint8)
    for case_id in study.case_ids[: cases - unread]:
        case, truth = study.case(case_id), random.integers(1, 6, 5)
        for reader, error in (("carl", 0.2), ("dora", 0.4)):
            grades = np.clip(truth + (random.random(5) < error), 1, 5).tolist()
            import_grades(study, case, reader, dict(zip(LUMBAR_LEVELS, grades, strict=True)))
        for reader in ("anna", "ben"):
            drawn = np.roll(masks, int(random.integers(0, 2)), axis=1)
            inside = np.flatnonzero(drawn)
            drawn.flat[random.choice(inside, 20)] = 0  # no two readers draw the same
            import_masks(study, case, reader, drawn)


def measure(folder: Path) -> None:
    """Measure in a fresh process, so that nothing is known from making the study; prints one JSON object."""
    from LumbarDiscGradingLib.annotation.work.session import ReaderSession

    found: dict[str, float] = {}
    since = time.perf_counter()
    session = ReaderSession.open(folder, "carl")
    items = session.work_list(Task.GRADES)
    found["open and list, s"] = time.perf_counter() - since
    found["cases"] = len(items)
    seconds, memory = [], []
    for item in items[:200]:
        since = time.perf_counter()
        session.next_item(Task.GRADES, after=item)
        with session.open_case(item.case) as case:
            case.volume.voxels.max()
            seconds.append(time.perf_counter() - since)
        memory.append(resident_mb())
    found["next case, median s"] = statistics.median(seconds)
    found["next case, 95th percentile s"] = float(np.quantile(seconds, 0.95))
    found["memory after 20 cases, MB"], found["memory after 200 cases, MB"] = memory[19], memory[-1]
    found |= saving_seconds(folder)
    print(json.dumps(found))


def saving_seconds(folder: Path) -> dict[str, float]:
    """Return how long a reader waits for a grade and for a stroke to be on the disk, median of 20."""
    from LumbarDiscGradingLib.annotation.work.session import ReaderSession

    found = {}
    for reader, task, name in (("carl", Task.GRADES, "grade"), ("anna", Task.MASKS, "stroke")):
        session, seconds = ReaderSession.open(folder, reader), []
        item = session.next_item(task)
        with session.open_case(item.case) as case:
            labels = np.zeros(case.volume.voxels.shape, np.uint8)
            for number in range(20):
                labels[7, 100 + number, 100:150] = DISC_LABELS["L4-L5"]
                since = time.perf_counter()
                if task is Task.GRADES:
                    case.grade("L4-L5", 1 + number % 5)
                else:
                    case.set_masks(labels)
                seconds.append(time.perf_counter() - since)
        found[f"save a {name}, s"] = statistics.median(seconds)
    return found


def resident_mb() -> float:
    """Return the resident size of this process in MB (0 where the platform does not tell)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def command_seconds(*arguments: str) -> float:
    """Return the time of a command as a user sees it, start of Python included."""
    since = time.perf_counter()
    command = [sys.executable, "-m", "LumbarDiscGradingLib.cli.main", "study", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - since


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="keep the study there, and use it if it is there")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.folder or Path(place, "study")
        if not folder.exists():
            since = time.perf_counter()
            make_study(folder, arguments.cases, unread=arguments.cases // 10)
            print(f"made in {time.perf_counter() - since:.0f} s")
        own = [sys.executable, __file__, "--measure", "--folder", str(folder)]
        found = json.loads(subprocess.run(own, check=True, capture_output=True, text=True).stdout)
        found["command status, s"] = command_seconds("status", str(folder))
        found["command agreement, s"] = command_seconds("agreement", str(folder))
    for name, value in found.items():
        print(f"{name:32} {value:.3f}" if value < 10 else f"{name:32} {value:.0f}")


if __name__ == "__main__":
    main()
