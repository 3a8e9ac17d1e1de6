"""Rates, overhead, growth and a killed worker of a cohort, as ratios within one run.

Run with the library and its extra ``cohort`` installed, on a machine that does nothing else:
python Testing/Benchmarks/benchmark_cohort.py [SCANS] [--count 100] [--parts rates overhead growth tables cluster]

SCANS is a folder of volume files; phantoms of varied size are made without it. Wall times hold on a quiet machine only;
the processor times beside them hold on a busy one too.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

PARTS = ("rates", "overhead", "growth", "tables", "cluster")
COMMAND = (sys.executable, "-m", "LumbarDiscGradingLib.cli.main", "grade")
PHANTOM_SLICES = (1, 3, 5, 9, 15)
MARKS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
MEGABYTE = 1024**2


@dataclass
class Spent:
    """Seconds of a command by the clock, and of the processors in it and what it started."""

    wall_s: float
    cpu_s: float


def command(arguments: Sequence[str], threads: int | None = None) -> subprocess.Popen[bytes]:
    """Start ``grade``, held to a number of threads or as it comes."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return subprocess.Popen([*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL)


def timed(arguments: Sequence[str], threads: int | None = None) -> Spent:
    """Run ``grade`` to its end."""
    before, since = os.times(), time.perf_counter()
    if status := command(arguments, threads).wait():
        sys.exit(f"grade ended with {status}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(time.perf_counter() - since, cpu)


def phantoms(folder: Path, slices: Sequence[int] = PHANTOM_SLICES) -> list[Path]:
    """Write phantoms of varied size: slices, and rows and columns by what is cut off or padded."""
    import numpy as np
    import SimpleITK as sitk

    from LumbarDiscGradingLib.imaging.phantom import PIXEL_SIZE_MM, SLICE_SPACING_MM, lumbar_phantom

    folder.mkdir()
    paths = []
    for seed, (count, margin) in enumerate(itertools.product(slices, (-20, 0, 40, 80))):
        voxels = lumbar_phantom(seed, slice_count=count).volume.voxels
        edge = [(0, 0), (0, 0), (margin, margin)]
        voxels = np.pad(voxels, edge) if margin >= 0 else voxels[:, :, -margin:margin]
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((PIXEL_SIZE_MM, PIXEL_SIZE_MM, SLICE_SPACING_MM))
        image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))
        paths.append(folder / f"phantom{seed:02}.nrrd")
        sitk.WriteImage(image, str(paths[-1]))
    return paths


def write_list(path: Path, scans: Sequence[Path], count: int) -> Path:
    """List so many scans, each with a name of its own; they are repeated as often as is needed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["input", "identifier"])
        rows.writerows(
            [str(scan), f"scan{n:06}"] for n, scan in enumerate(itertools.islice(itertools.cycle(scans), count))
        )
    return path


def rates(listed: Path, count: int, jobs: int, folder: Path) -> None:
    """Print how many scans are graded in a time by one process and by several."""
    spent = {
        "one process, one thread": timed(["--list", str(listed), "--output", str(folder / "thread")], threads=1),
        "one process as it comes": timed(["--list", str(listed), "--output", str(folder / "one")]),
        f"--jobs {jobs}": timed(["--list", str(listed), "--output", str(folder / "jobs"), "--jobs", str(jobs)]),
    }
    print(f"rates, {count} scans, start included")
    for name, took in spent.items():
        print(f"  {name:28} {count / took.wall_s:6.3f} scans/s  {took.cpu_s / count:6.3f} processor s/scan")
    written = {(folder / name / "cohort.csv").read_bytes() for name in ("thread", "one", "jobs")}
    print(f"  tables equal byte for byte: {len(written) == 1}")
    thread, one, several = spent.values()
    print(f"  --jobs {jobs} / one thread      {thread.wall_s / several.wall_s:6.2f} by the clock (wanted: 1.7)")
    print(f"  --jobs {jobs} / as it comes     {one.wall_s / several.wall_s:6.2f} by the clock (wanted: 1.15)")
    bound = jobs * thread.cpu_s / several.cpu_s
    print(f"  --jobs {jobs} / one thread      {bound:6.2f} where each job has a core, by processor time")


def overhead(listed: Path, count: int, folder: Path) -> None:
    """Print what a cohort costs over calling `DiscGrader` in a loop, with one thread: waiting threads would count."""
    import torch

    from LumbarDiscGradingLib.cli.grading.files import ResultFiles
    from LumbarDiscGradingLib.cli.grading.graders import make_grader
    from LumbarDiscGradingLib.cli.main import main as grade
    from LumbarDiscGradingLib.cohort.scan import Scan
    from LumbarDiscGradingLib.cohort.scan_list import read_scan_list
    from LumbarDiscGradingLib.imaging.reading import read_volume

    scans = read_scan_list(listed, Scan("", ""))
    torch.set_num_threads(1)
    grader = make_grader("cpu", ())
    (folder / "loop").mkdir()
    files = ResultFiles(folder / "loop", scene=False, evidence=False, dicom=False)
    files.write(grader.grade(read_volume(scans[0].input)), "first")  # what is loaded once
    since, writing = time.process_time(), 0.0
    for scan in scans:
        result = grader.grade(read_volume(scan.input))
        begun = time.process_time()
        files.write(result, scan.identifier)
        writing += time.process_time() - begun
    loop = time.process_time() - since
    files.close()
    since = time.process_time()
    grade(["grade", "--list", str(listed), "--output", str(folder / "cohort"), "--device", "cpu"])
    cohort = time.process_time() - since
    print(f"overhead, {count} scans, processor time of one process with one thread")
    print(f"  read and graded in a loop    {(loop - writing) / count:7.3f} s/scan")
    print(f"  and the files written        {loop / count:7.3f} s/scan")
    print(f"  as a cohort, networks loaded {cohort / count:7.3f} s/scan")
    print(f"  cohort / loop that writes    {cohort / loop:7.2f} (wanted: 1.1)")
    print(f"  cohort / loop without files  {cohort / (loop - writing):7.2f}")


def growth(listed: Path, count: int, jobs: int, output: Path) -> None:
    """Print cost and memory as a cohort grows."""
    print(f"growth to {count} scans with --jobs {jobs}")
    run = psutil.Process(command(["--list", str(listed), "--output", str(output), "--jobs", str(jobs)]).pid)
    marks = iter([*(mark for mark in MARKS if mark < count), count])
    mark, done, cpu_before = next(marks), 0, 0.0
    while run.is_running() and run.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.2)
        journal = output / ".cohort" / "journal.jsonl"
        graded = journal.read_bytes().count(b"\n") if journal.is_file() else 0
        if graded < mark:
            continue
        processes = [run, *run.children()]
        cpu = sum(sum(process.cpu_times()[:2]) for process in processes)
        memory = [process.memory_info().rss / MEGABYTE for process in processes]
        main, workers = memory[0], sorted(memory[1:])[-jobs:]
        print(
            f"  {done:6} to {graded:6}: {(cpu - cpu_before) / max(graded - done, 1):6.3f} processor s/scan; resident "
            f"{main:.0f} MB, workers {', '.join(f'{size:.0f}' for size in workers)} MB",
            flush=True,
        )
        done, cpu_before, mark = graded, cpu, next(marks, sys.maxsize)


class Canned:
    """Gives every scan the same five discs, to see what tables and hand-over cost without networks."""

    def __call__(self, scan):
        """Return the outcome of a scan."""
        from LumbarDiscGradingLib.cohort.scan import Outcome
        from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS, SCAN_COLUMNS

        known = {"identifier": scan.identifier, "state": "graded", "discs": "5"}
        discs = {column: known.get(column, "1") for column in COHORT_COLUMNS}
        row = {column: known.get(column, "1") for column in SCAN_COLUMNS}
        return Outcome(scan, "graded", "", (discs,) * 5, row)


def tables(count: int, jobs: int, output: Path) -> None:
    """Print what a cohort costs beside the networks, in the process that writes the tables, as it grows."""
    from LumbarDiscGradingLib.cohort.journal import Journal
    from LumbarDiscGradingLib.cohort.processes import outcomes
    from LumbarDiscGradingLib.cohort.running import Recipe, run
    from LumbarDiscGradingLib.cohort.scan import Outcome, Scan

    print(f"tables of {count} scans, without networks")
    here = psutil.Process()
    output.mkdir()

    def seen(scans: Sequence[Scan]) -> Iterator[Outcome]:
        since, done = time.process_time(), 0
        for number, outcome in enumerate(outcomes(scans, Canned(), jobs), 1):
            yield outcome
            if number in MARKS:
                cost = (time.process_time() - since) / (number - done) * 1000
                print(f"  {done:6} to {number:6}: {cost:6.2f} ms/scan, {here.memory_info().rss / MEGABYTE:.0f} MB")
                since, done = time.process_time(), number

    scans = [Scan(f"scan{n:06}", __file__) for n in range(count)]
    since = time.process_time()
    with Journal.open(output) as journal:
        run(journal, scans, [], Recipe({}, ()), seen)
    print(f"  all, tables sorted at the end: {(time.process_time() - since) / count * 1000:6.2f} ms/scan")


def cluster(listed: Path, count: int, jobs: int, folder: Path) -> None:
    """Kill a worker of a local Dask cluster in the middle, and compare the table with that of one process."""
    one, several = folder / "one", folder / "cluster"
    alone = timed(["--list", str(listed), "--output", str(one)], threads=1)
    since = time.perf_counter()
    run = command(["--list", str(listed), "--output", str(several), "--cluster", "local", "--jobs", str(jobs)])
    while len(list(several.glob("*_result.json"))) < count // 2:
        time.sleep(0.1)
    workers = sorted(psutil.Process(run.pid).children(), key=lambda child: sum(child.cpu_times()[:2]))
    workers[-1].send_signal(signal.SIGKILL)
    status, wall = run.wait(), time.perf_counter() - since
    same = [sorted((output / "cohort.csv").read_bytes().splitlines()) for output in (one, several)]
    identifiers = [row["identifier"] for row in csv.DictReader((several / "cohort_scans.csv").open(encoding="utf-8"))]
    print(f"Dask cluster of {jobs} workers, {count} scans, one worker killed after {count // 2}: exit status {status}")
    print(f"  tables equal {same[0] == same[1]}, scans {len(identifiers)}, of them different {len(set(identifiers))}")
    print(f"  {count / wall:.3f} scans/s; one process with one thread {count / alone.wall_s:.3f}")


def main() -> None:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="?", type=Path, help="folder of volume files (default: phantoms)")
    parser.add_argument("--pattern", default="*", help="which files of the folder (default: all)")
    parser.add_argument("--count", type=int, default=100, help="scans of rates and overhead")
    parser.add_argument("--grown", type=int, default=10_000, help="scans of growth and of tables")
    parser.add_argument("--cluster-count", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        varied = phantoms(folder / "phantoms")
        scans = sorted(arguments.scans.glob(arguments.pattern)) if arguments.scans else varied
        listed = write_list(folder / "scans.csv", scans, arguments.count)
        parts = {
            "rates": partial(rates, listed, arguments.count, arguments.jobs, folder / "rates"),
            "overhead": partial(overhead, listed, arguments.count, folder / "overhead"),
            "growth": partial(
                growth,
                write_list(folder / "grown.csv", varied, arguments.grown),
                arguments.grown,
                arguments.jobs,
                folder / "growth",
            ),
            "tables": partial(tables, arguments.grown, arguments.jobs, folder / "tables"),
            "cluster": partial(
                cluster,
                write_list(folder / "cluster.csv", varied[:4], arguments.cluster_count),
                arguments.cluster_count,
                arguments.jobs,
                folder / "dask",
            ),
        }
        print(f"{os.cpu_count()} cores, load of the machine {os.getloadavg()[0]:.1f} beside this")
        for name in arguments.parts:
            if name in ("rates", "overhead", "cluster"):
                (folder / {"cluster": "dask"}.get(name, name)).mkdir()
            parts[name]()


if __name__ == "__main__":
    main()
