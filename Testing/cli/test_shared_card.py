"""Worker processes that share the networks of one process, as they do on a card; here that process is on the CPU."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cohort_inputs import states_in, write_scan

from LumbarDiscGradingLib.cli.grading import workers
from LumbarDiscGradingLib.cli.grading.card import NAME, networks_on
from LumbarDiscGradingLib.cli.grading.graders import make_grader
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.errors import UserError
from LumbarDiscGradingLib.grading.shared_networks import NetworksGoneError, use_shared

COUNT = 3


def holders() -> list[multiprocessing.process.BaseProcess]:
    """Return the processes that hold networks, the newest last."""
    return sorted((child for child in multiprocessing.active_children() if child.name == NAME), key=lambda one: one.pid)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with networks_on("cpu", ()) as address:
        yield address


@pytest.fixture
def card_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU for a card."""
    monkeypatch.setattr(workers, "has_card", lambda device: True)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(COUNT):
        write_scan(folder / f"scan{seed}.nrrd", seed)
    return folder


def test_the_processor_is_no_card_and_torch_is_not_loaded_to_know_it() -> None:
    script = """
import sys
from LumbarDiscGradingLib.cli.grading import card
card._has_cuda_driver = lambda: False
assert not card.has_card("cpu")
assert not card.has_card("auto")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_result_of_shared_networks_is_that_of_own_ones(address, grader, sample) -> None:
    shared = use_shared(make_grader("cpu", ()), address)
    found, expected = shared.grade(sample), grader.grade(sample)
    assert [disc.level for disc in found.discs] == [disc.level for disc in expected.discs]
    assert (found.label_slice == expected.label_slice).mean() > 0.999
    for one, other in zip(found.discs, expected.discs, strict=True):
        assert one.grade_probabilities == pytest.approx(other.grade_probabilities, abs=0.01)
    assert found.device == "cpu"


def test_no_network_of_the_own_process_works_but_where_gradients_are_asked_for(address, grader, sample) -> None:
    shared = use_shared(make_grader("cpu", ()), address)
    for remote in (shared.segmenter.network, shared.segmenter.locator, shared.classifier.network):
        for parameter in remote.own.parameters():
            parameter.data.zero_()
    assert len(shared.grade(sample).discs) == len(grader.grade(sample).discs)
    shared = use_shared(make_grader("cpu", ()), address)
    expected = grader.evidence(grader.grade(sample))
    found = shared.evidence(shared.grade(sample))
    assert np.corrcoef(found.slice_map().ravel(), expected.slice_map().ravel())[0, 1] > 0.99


def test_models_that_cannot_be_used_are_refused_with_their_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="model"), networks_on("cpu", (str(tmp_path),)):
        pass


def test_the_process_with_the_networks_ends_with_its_use() -> None:
    with networks_on("cpu", ()) as address:
        holder = holders()[-1]
        assert holder.is_alive()
    assert not holder.is_alive()
    with pytest.raises(NetworksGoneError, match="run the same command again"):
        use_shared(make_grader("cpu", ()), address)


def test_a_cohort_with_shared_networks_has_the_tables_of_one_without(card_found, scans, tmp_path, capfd) -> None:
    assert main(["grade", str(scans), "--output", str(tmp_path / "one"), "--device", "cpu"]) == 0
    assert main(["grade", str(scans), "--output", str(tmp_path / "shared"), "--device", "cpu", "--jobs", "2"]) == 0
    one, shared = (list(csv.DictReader((tmp_path / name / "cohort.csv").open())) for name in ("one", "shared"))
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
    def kill() -> None:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*_result.json")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(holders()[-1].pid, signal.SIGKILL)

    command = ["grade", str(scans), "--output", str(tmp_path), "--device", "cpu", "--jobs", "1"]
    thread = threading.Thread(target=kill)
    thread.start()
    assert main(command) == 1
    thread.join()
    said = capfd.readouterr().err
    assert "The process that runs the networks ended; run the same command again to go on." in said
    assert "Traceback" not in said
    assert set(states_in(tmp_path).values()) <= {"graded"}
    assert main(command) == 0
    assert list(states_in(tmp_path).values()) == ["graded"] * COUNT
