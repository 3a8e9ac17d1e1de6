"""Worker processes: each scan is done once, whatever becomes of the workers, and no process stays behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cohort_tasks import Logged, all_end, noted, scans_named, started

from LumbarDiscGradingLib.cohort import processes
from LumbarDiscGradingLib.cohort.processes import WorkersError, outcomes
from LumbarDiscGradingLib.cohort.scan import Scan
from LumbarDiscGradingLib.errors import UserError

INTERRUPTED_RUN = """
import sys
from pathlib import Path
from cohort_tasks import Logged, scans_named
from LumbarDiscGradingLib.cohort.processes import outcomes

if __name__ == "__main__":
    try:
        for outcome in outcomes(scans_named(1000), Logged(Path(sys.argv[1]), 0.05), 2):
            print(outcome.scan.identifier, flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def identifiers(found: list) -> list[str]:
    return sorted(outcome.scan.identifier for outcome in found)


@pytest.fixture(scope="module")
def run_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("script") / "run.py"
    script.write_text(INTERRUPTED_RUN)
    return script


def test_two_workers_share_the_scans_and_take_them_one_by_one(tmp_path: Path) -> None:
    taken = []

    def coming() -> Iterator[Scan]:
        for scan in scans_named(40):
            taken.append(scan.identifier)
            yield scan

    found, most_ahead = [], 0
    for outcome in outcomes(coming(), Logged(tmp_path, 0.01), 2):
        found.append(outcome)
        most_ahead = max(most_ahead, len(taken) - len(found))
    assert identifiers(found) == identifiers_of(scans_named(40))
    assert len({pid for *_, pid in noted(tmp_path)}) == 2
    assert os.getpid() not in {pid for *_, pid in noted(tmp_path)}
    assert most_ahead <= 2
    assert multiprocessing.active_children() == []


def identifiers_of(scans: list[Scan]) -> list[str]:
    return sorted(scan.identifier for scan in scans)


def test_no_more_workers_than_scans_are_started(tmp_path: Path) -> None:
    assert len(list(outcomes(scans_named(1), Logged(tmp_path), 4))) == 1
    assert len(list(outcomes([], Logged(tmp_path), 4))) == 0
    assert len({pid for *_, pid in noted(tmp_path)}) == 1


def test_a_worker_that_is_killed_is_replaced_and_its_scan_done_again_alone(tmp_path: Path) -> None:
    run, found = outcomes(scans_named(30), Logged(tmp_path, 0.05), 2), []
    for outcome in run:
        found.append(outcome)
        if len(found) == 5:
            victim = multiprocessing.active_children()[0].pid
            os.kill(victim, signal.SIGKILL)
    assert identifiers(found) == identifiers_of(scans_named(30))
    assert {outcome.state for outcome in found} == {"graded"}
    notes = noted(tmp_path)
    assert notes[-1][2] == notes[-2][2] == found[-1].scan.identifier, "it was tried again beside others"
    assert notes[-1][3] != victim
    finished = [name for _, what, name, _ in notes if what == "end"]
    assert len(finished) - len(set(finished)) <= 1, "more than the scan of the victim was done twice"


def test_a_scan_that_kills_its_workers_is_set_aside_after_two(tmp_path: Path) -> None:
    deadly = frozenset({"scan_00003", "scan_00007"})
    found = list(outcomes(scans_named(12), Logged(tmp_path, 0.01, deadly), 2))
    assert identifiers(found) == identifiers_of(scans_named(12))
    failed = {outcome.scan.identifier: outcome for outcome in found if outcome.state == "failed"}
    assert set(failed) == deadly
    for name, outcome in failed.items():
        assert outcome.reason.startswith("Two worker processes died on it (exit code 7)")
        assert outcome.scan_row["identifier"] == name
        assert outcome.scan_row["reason"] == outcome.reason
        assert [identifier for _, what, identifier, _ in noted(tmp_path) if what == "begin"].count(name) == 2
    begun = [name for _, what, name, _ in noted(tmp_path) if what == "begin"]
    assert set(begun[-2:]) == deadly, "they were tried again beside others"
    assert len(begun) == 14


def test_workers_that_die_whatever_they_do_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_DEATHS_IN_A_ROW", 3)
    deadly = frozenset(identifiers_of(scans_named(1000)))
    with pytest.raises(WorkersError, match=r"3 worker processes died one after the other \(exit code 7\)"):
        list(outcomes(scans_named(1000), Logged(tmp_path, 0.0, deadly), 2))
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(not Path("/bin/false").is_file(), reason="there is no program that only fails")
def test_workers_that_cannot_be_started_end_the_run(tmp_path: Path) -> None:
    multiprocessing.set_executable("/bin/false")
    try:
        with pytest.raises(WorkersError, match=r"cannot be started here \(exit code 1\)"):
            list(outcomes(scans_named(9), Logged(tmp_path), 2))
    finally:
        multiprocessing.set_executable(sys.executable)
    assert noted(tmp_path) == []


def test_what_the_task_raises_comes_through_and_ends_the_workers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scan_00004 is refused"):
        list(outcomes(scans_named(1000), Logged(tmp_path, 0.01, refused=frozenset({"scan_00004"})), 2))
    assert multiprocessing.active_children() == []


def test_a_run_that_is_left_ends_its_workers_and_leaves_nothing_half(tmp_path: Path) -> None:
    run = outcomes(scans_named(1000), Logged(tmp_path, 0.2), 2)
    next(run)
    run.close()
    assert multiprocessing.active_children() == []
    assert list(tmp_path.glob("partial-*")) == []


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are of POSIX")
def test_ctrl_c_leaves_no_process_and_no_word_of_a_worker(tmp_path: Path, run_script: Path) -> None:
    run = started(run_script, tmp_path)
    os.killpg(run.pid, signal.SIGINT)
    output, errors = run.communicate(timeout=60)
    assert output.splitlines()[-1] == "stopped"
    assert errors == ""
    assert all_end({pid for *_, pid in noted(tmp_path)})
    assert list(tmp_path.glob("partial-*")) == []


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_workers_end_where_their_parent_was_killed(tmp_path: Path, run_script: Path) -> None:
    run = started(run_script, tmp_path)
    run.kill()
    assert run.communicate(timeout=60)[1] == ""
    assert all_end({pid for *_, pid in noted(tmp_path)})


def test_the_cores_are_shared_out_between_workers() -> None:
    cores = processes.threads_each(1)
    assert cores >= 1
    assert processes.threads_each(cores) == 1
    assert processes.threads_each(10 * cores) == 1
