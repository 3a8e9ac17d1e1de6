"""Two processes that share a batch train the same network as one that has the whole of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

WORKER = Path(__file__).parents[1] / "equipment" / "distributed_worker.py"


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_processes_take_the_same_step_as_one(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    run([sys.executable, str(WORKER), str(alone), "8"])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run([*launcher, str(WORKER), str(together), "4"])
    ours, theirs = load_file(alone / "weights.safetensors"), load_file(together / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert (together / "last.ckpt").exists()
