"""A Dask cluster does the scans of a cohort: workers die, the scheduler gets lost, machines do not fit."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cohort_tasks import Logged, all_end, noted, other_in_each_process, scans_named, started

from LumbarDiscGradingLib.cohort.cluster import ClusterError, outcomes
from LumbarDiscGradingLib.cohort.scan import Outcome, Scan
from LumbarDiscGradingLib.errors import UserError

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="dask.distributed is missing")

LOCAL_RUN = """
import sys
from pathlib import Path
from cohort_tasks import Logged, scans_named
from LumbarDiscGradingLib.cohort.cluster import outcomes

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        for outcome in outcomes(scans_named(1000), Logged(folder, 0.05), "local", 2, folder):
            print(outcome.scan.identifier, flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def names(found: list[Outcome]) -> list[str]:
    return sorted(outcome.scan.identifier for outcome in found)


@contextmanager
def started_cluster(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a scheduler and a worker of two threads, each a process of its own as on another machine."""
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    with open(folder / "log", "w") as log:
        scheduler = subprocess.Popen([*command, *where], stdout=log, stderr=log)
        worker_command = [sys.executable, "-m", "distributed.cli.dask_worker", *where, "--nthreads", "2", *options]
        worker = subprocess.Popen([*worker_command, "--local-directory", str(folder)], stdout=log, stderr=log)
        while not file.exists():
            time.sleep(0.05)
        yield str(file), scheduler
        for process in (worker, scheduler):
            process.terminate()
            process.wait(30)


@pytest.fixture
def scheduler_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen]]:
    with started_cluster(tmp_path_factory.mktemp("scheduler")) as cluster:
        yield cluster


def test_a_local_cluster_does_each_scan_once_though_a_worker_is_killed_and_scans_kill_theirs(tmp_path: Path) -> None:
    deadly, found, victim = frozenset({"scan_00010", "scan_00021"}), [], None
    for outcome in outcomes(scans_named(40), Logged(tmp_path, 0.05, deadly), "local", 2, tmp_path):
        found.append(outcome)
        if len(found) == 5:
            victim = noted(tmp_path)[-1][3]
            os.kill(victim, signal.SIGKILL)
    assert names(found) == names_of(40)
    failed = {outcome.scan.identifier: outcome.reason for outcome in found if outcome.state == "failed"}
    assert set(failed) == deadly
    assert all(reason.startswith("2 workers of the cluster died on it") for reason in failed.values())
    begun = [name for _, what, name, _ in noted(tmp_path) if what == "begin"]
    assert all(begun.count(name) == 2 for name in deadly)
    assert victim not in {pid for *_, pid in noted(tmp_path)[-4:]}
    assert not list(tmp_path.glob(".grading*"))


def names_of(count: int) -> list[str]:
    return [scan.identifier for scan in scans_named(count)]


def test_a_worker_of_many_threads_does_one_scan_at_a_time(tmp_path: Path, scheduler_file: tuple) -> None:
    found = list(outcomes(scans_named(12), Logged(tmp_path, 0.02), scheduler_file[0], 1, tmp_path))
    assert names(found) == names_of(12)
    assert [what for _, what, _, _ in noted(tmp_path)] == ["begin", "end"] * 12


def test_a_lost_scheduler_is_told_in_a_sentence_and_what_is_done_was_handed_over(
    tmp_path: Path, scheduler_file: tuple
) -> None:
    address, scheduler = scheduler_file
    found = []
    with pytest.raises(
        ClusterError, match=f"The connection to the scheduler at {address} was lost.*run the same command"
    ):
        for outcome in outcomes(scans_named(1000), Logged(tmp_path, 0.05), address, 1, tmp_path):
            found.append(outcome)
            if len(found) == 3:
                scheduler.kill()
    assert len(found) >= 3


def test_a_scheduler_that_does_not_answer_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LumbarDiscGradingLib.cohort.cluster.SECONDS_TO_CONNECT", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense", str(tmp_path / "missing.json"), "10.0.0"):
        with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address}"):
            list(outcomes(scans_named(1), Logged(tmp_path), address, 1, tmp_path))


def test_a_worker_that_does_not_fit_ends_the_run_with_a_sentence(
    tmp_path: Path, scheduler_file: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LumbarDiscGradingLib.cohort.cluster.__version__", "0.0.7")
    with pytest.raises(ClusterError, match=r"The worker tcp://\S+ runs version \S+ and this command 0.0.7"):
        list(outcomes(scans_named(3), Logged(tmp_path), scheduler_file[0], 1, tmp_path))
    assert noted(tmp_path) == []


def test_a_worker_that_sees_another_folder_ends_the_run_with_a_sentence(tmp_path: Path, scheduler_file: tuple) -> None:
    def coming() -> Iterator[Scan]:
        for sign in tmp_path.glob(".grading-cluster-*"):
            sign.unlink()  # as a machine that has a folder of its own under this path
        yield from scans_named(3)

    with pytest.raises(ClusterError, match=rf"The worker tcp://\S+ does not see the output folder {tmp_path}"):
        list(outcomes(coming(), Logged(tmp_path), scheduler_file[0], 1, tmp_path))
    assert noted(tmp_path) == []


def test_a_worker_with_another_model_ends_the_run_with_a_sentence(tmp_path: Path, scheduler_file: tuple) -> None:
    with pytest.raises(ClusterError, match=r"The worker tcp://\S+ has another model for grading than this command"):
        list(outcomes(scans_named(3), Logged(tmp_path), scheduler_file[0], 1, tmp_path, other_in_each_process))
    assert noted(tmp_path) == []


def test_a_worker_without_the_library_ends_the_run_with_a_sentence(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bare")
    (folder / "without.py").write_text("import sys\nsys.modules['LumbarDiscGradingLib'] = None\n")
    with (
        started_cluster(folder, "--preload", str(folder / "without.py")) as (address, _),
        pytest.raises(
            ClusterError, match=r"A worker cannot import LumbarDiscGrading .*; install version .* on all machines"
        ),
    ):
        list(outcomes(scans_named(3), Logged(tmp_path), address, 1, tmp_path))


def test_without_dask_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"--cluster needs dask\.distributed; install the extra 'cohort'"):
        list(outcomes(scans_named(1), Logged(tmp_path), "local", 1, tmp_path))


def test_workers_that_die_whatever_they_do_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("LumbarDiscGradingLib.cohort.cluster.MOST_DEATHS_IN_A_ROW", 3)
    with pytest.raises(ClusterError, match="died on 3 scans one after the other"):
        list(outcomes(scans_named(50), Logged(tmp_path, deadly=frozenset(names_of(50))), "local", 2, tmp_path))


def test_what_the_task_raises_comes_through(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scan_00004 is refused"):
        list(outcomes(scans_named(9), Logged(tmp_path, refused=frozenset({"scan_00004"})), "local", 2, tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are of POSIX")
def test_ctrl_c_leaves_no_process_and_no_word_of_a_worker(tmp_path: Path) -> None:
    usual_port = socket.socket()
    with suppress(OSError):  # another cluster of this machine may have it
        usual_port.bind(("", 8787))
        usual_port.listen()
    script = tmp_path / "run.py"
    script.write_text(LOCAL_RUN)
    run = started(script, tmp_path)
    os.killpg(run.pid, signal.SIGINT)
    output, errors = run.communicate(timeout=60)
    usual_port.close()
    assert output.splitlines()[-1] == "stopped"
    assert errors == ""
    assert all_end({pid for *_, pid in noted(tmp_path)})
    assert not list(tmp_path.glob(".grading*"))
