"""Worker processes that share the networks of one process, as they do on a card; here that process is on the CPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pytest
import torch
from cohort_inputs import killed_after_the_first_result, rows_of, states_in, write_scans

from LumbarDiscGradingLib.cli.grading import card, workers
from LumbarDiscGradingLib.cli.grading.card import NAME, networks_on
from LumbarDiscGradingLib.cli.grading.graders import make_grader
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.cohort import processes
from LumbarDiscGradingLib.errors import UserError
from LumbarDiscGradingLib.grading.shared_networks import NetworksGoneError, use_shared

COUNT = 3


def holders() -> list[multiprocessing.process.BaseProcess]:
    """Return the processes that hold networks, the newest last."""
    return sorted((child for child in multiprocessing.active_children() if child.name == NAME), key=lambda one: one.pid)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with networks_on("cpu", ()) as held:
        yield held.address


@pytest.fixture
def card_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a card."""
    monkeypatch.setattr(workers, "may_be_card", lambda device: True)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans"), COUNT)


def test_the_processor_is_no_card_and_torch_is_not_loaded_to_know_it() -> None:
    script = """
import sys
from LumbarDiscGradingLib.cli.grading import card
card._has_cuda_driver = lambda: False
assert not card.may_be_card("cpu")
assert not card.may_be_card("auto")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_card_is_known_by_its_name_and_nothing_is_put_on_it(monkeypatch) -> None:
    monkeypatch.setattr(card, "_has_cuda_driver", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("LumbarDiscGradingLib.grading.device.device_problem", lambda device: f"asked for {device}")
    assert [card.may_be_card(device) for device in ("auto", "cuda", "cuda:0", "cuda:1")] == [True] * 4
    with pytest.raises(UserError, match="cuda:2"):
        card.may_be_card("cuda:2")


def test_a_result_of_shared_networks_is_that_of_own_ones(address, grader, sample) -> None:
    shared = use_shared(make_grader("cpu", ()), address)
    found, expected = shared.grade(sample), grader.grade(sample)
    assert [disc.level for disc in found.discs] == [disc.level for disc in expected.discs]
    assert (found.label_slice == expected.label_slice).mean() > 0.999
    for one, other in zip(found.discs, expected.discs, strict=True):
        assert one.grade_probabilities == pytest.approx(other.grade_probabilities, abs=0.01)
    assert found.device == "cpu"


def test_no_network_of_the_own_process_works(address, grader, sample) -> None:
    shared = make_grader("cpu", ())
    for own in (shared.segmenter.network, shared.segmenter.locator, shared.classifier.network):
        for parameter in own.parameters():
            parameter.data.zero_()
    assert len(use_shared(shared, address).grade(sample).discs) == len(grader.grade(sample).discs)


def test_a_pass_that_fails_is_told_to_who_asked_and_the_next_is_right(address, grader, sample) -> None:
    shared = use_shared(make_grader("cpu", ()), address)
    with pytest.raises(RuntimeError, match="channels"):
        shared.classifier.network(torch.zeros(1, 7, 128, 256))
    assert len(shared.grade(sample).discs) == len(grader.grade(sample).discs)


def test_who_stops_reading_in_the_middle_reads_no_other_answer(address) -> None:
    shared = use_shared(make_grader("cpu", ()), address)
    network = shared.classifier.network
    connection = network.connection

    def no_room() -> None:
        raise MemoryError

    network.connection = types.SimpleNamespace(send=connection.send, recv=no_room, close=connection.close)
    with pytest.raises(MemoryError):
        network(torch.zeros(1, 2, 128, 256))
    network.connection = connection
    with pytest.raises(NetworksGoneError):
        network(torch.ones(1, 2, 128, 256))


def test_one_with_another_key_or_that_is_silent_keeps_nobody_from_the_networks(address) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(address)
    with pytest.raises((AuthenticationError, EOFError, OSError)):
        Client(address, authkey=b"another")
    assert use_shared(make_grader("cpu", ()), address).device_name == "cpu"
    silent.close()


def test_a_long_path_of_temporary_files_is_no_hindrance_and_nothing_is_left(tmp_path, monkeypatch) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with networks_on("cpu", ()) as held:
        assert use_shared(make_grader("cpu", ()), held.address).device_name == "cpu"
    assert not list(long.iterdir())
    assert not Path(held.address).parent.exists()


def test_where_a_card_does_not_work_each_worker_has_networks_of_its_own_on_the_processor(
    card_found, scans, tmp_path, capfd, monkeypatch
) -> None:
    addresses, by_processes = [], processes.outcomes

    def outcomes(scans, task, jobs):
        addresses.append(task.networks)
        return by_processes(scans, task, jobs)

    monkeypatch.setattr(processes, "outcomes", outcomes)
    assert main(["grade", str(scans), "--output", str(tmp_path), "--jobs", "2"]) == 0
    assert f"{COUNT} graded, 0 failed" in capfd.readouterr().out
    assert addresses == [""]


def test_models_that_cannot_be_used_are_refused_with_their_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="model"), networks_on("cpu", (str(tmp_path),)):
        pass


def test_the_process_with_the_networks_ends_with_its_use() -> None:
    with networks_on("cpu", ()) as held:
        holder = holders()[-1]
        assert holder.is_alive()
    assert not holder.is_alive()
    with pytest.raises(NetworksGoneError, match="run the same command again"):
        use_shared(make_grader("cpu", ()), held.address)


def test_a_cohort_with_shared_networks_has_the_tables_of_one_without(card_found, scans, tmp_path, capfd) -> None:
    assert main(["grade", str(scans), "--output", str(tmp_path / "one"), "--device", "cpu"]) == 0
    assert main(["grade", str(scans), "--output", str(tmp_path / "shared"), "--device", "cpu", "--jobs", "2"]) == 0
    one, shared = (rows_of(tmp_path / name / "cohort.csv") for name in ("one", "shared"))
    assert len(one) >= 5 * COUNT
    for found, expected in zip(shared, one, strict=True):
        assert [found[name] for name in ("identifier", "level", "group", "slice")] == [
            expected[name] for name in ("identifier", "level", "group", "slice")
        ]
        assert float(found["p_mild"]) == pytest.approx(float(expected["p_mild"]), abs=0.01)
    assert f"{COUNT} graded, 0 failed" in capfd.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_where_the_process_with_the_networks_dies_the_run_ends_and_the_next_does_the_rest(
    card_found, scans, tmp_path, capfd
) -> None:
    command = ["grade", str(scans), "--output", str(tmp_path), "--device", "cpu", "--jobs", "1"]
    killed = killed_after_the_first_result(tmp_path, lambda: holders()[-1])
    assert main(command) == 1
    assert killed()
    said = capfd.readouterr().err
    assert "The process that runs the networks ended; run the same command again to go on." in said
    assert "Traceback" not in said
    assert set(states_in(tmp_path).values()) <= {"graded"}
    assert main(command) == 0
    assert list(states_in(tmp_path).values()) == ["graded"] * COUNT


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are of POSIX")
def test_ctrl_c_ends_with_130_and_no_process_is_left(scans, tmp_path) -> None:
    script = """
import sys
from LumbarDiscGradingLib.cli.grading import workers
workers.may_be_card = lambda device: True
from LumbarDiscGradingLib.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    options = ["grade", str(scans), "--output", str(tmp_path), "--device", "cpu", "--jobs", "1"]
    run = subprocess.Popen([sys.executable, "-c", script, *options], stderr=subprocess.PIPE, start_new_session=True)
    while not list(tmp_path.glob("*_result.json")):
        assert run.poll() is None
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert errors.decode().startswith("Stopped; ")
    assert len(errors.splitlines()) == 1
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):
            os.killpg(run.pid, 0)  # as long as one of the run's processes is there
            time.sleep(0.01)
