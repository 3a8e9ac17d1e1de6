"""``grade --jobs`` and ``grade --cluster``: the same tables and files as one process writes, whatever dies."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cohort_inputs import killed_after_the_first_result, states_in, write_scans

from LumbarDiscGradingLib.cli.main import main

COUNT = 4
WITHOUT_DASK = not importlib.util.find_spec("distributed")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans"), COUNT)


@pytest.fixture(scope="module")
def by_one_process(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("one")
    assert main(["grade", str(scans), "--output", str(output)]) == 0
    return output


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.parametrize(
    "workers",
    [
        ["--jobs", "2"],
        pytest.param(
            ["--cluster", "local", "--jobs", "2"],
            marks=pytest.mark.skipif(WITHOUT_DASK, reason="dask.distributed is missing"),
        ),
    ],
)
def test_the_tables_are_those_of_one_process_though_a_worker_is_killed(
    workers: list[str],
    scans: Path,
    by_one_process: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    killed = killed_after_the_first_result(tmp_path / "out", lambda: multiprocessing.active_children()[0])
    assert main(["grade", str(scans), "--output", "out", *workers]) == 0
    assert killed()
    output = tmp_path / "out"
    for table in ("cohort.csv", "cohort_scans.csv"):
        assert (output / table).read_bytes() == (by_one_process / table).read_bytes()
    assert {file.name for file in output.iterdir()} == {file.name for file in by_one_process.iterdir()}
    said = capfd.readouterr()
    assert f"{COUNT} graded, 0 failed, 0 skipped" in said.out
    assert said.err == ""


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are of POSIX")
def test_ctrl_c_ends_with_130_and_the_next_run_does_the_rest(scans: Path, by_one_process: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "LumbarDiscGradingLib.cli.main", "grade", str(scans), "--output", str(tmp_path)]
    run = subprocess.Popen(
        [*command, "--jobs", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not list(tmp_path.glob("*_result.json")):
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert errors.startswith("Stopped; ")
    assert len(errors.splitlines()) == 1
    assert main(["grade", str(scans), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "cohort.csv").read_bytes() == (by_one_process / "cohort.csv").read_bytes()
    assert set(states_in(tmp_path).values()) == {"graded"}


def test_options_that_do_not_go_together_are_wrong_usage(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "out")]
    for wrong, sentence in (
        (["--jobs", "2", "--cluster", "tcp://host:8786", str(scans)], "--jobs is for this machine"),
        (["--jobs", "2"], "--jobs and --cluster are for many scans"),
        (["--cluster", "local"], "--jobs and --cluster are for many scans"),
    ):
        assert main(["grade", *wrong, *output]) == 2
        assert sentence in capsys.readouterr().err
    for count in ("0", "-1", "two", ""):
        with pytest.raises(SystemExit, match="2"):
            main(["grade", str(scans), f"--jobs={count}", *output])
        assert "is no whole number from 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_workers_cannot_use_is_said_before_anything_is_written(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "out")]
    for wrong in (["--device", "cuda:77"], ["--device", "toaster"], ["--model", str(tmp_path / "missing")]):
        assert main(["grade", str(scans), "--jobs", "2", *wrong, *output]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
