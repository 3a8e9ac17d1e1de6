"""How alive the panel stays: from click to coloured discs, and the longest time that the main thread stood still.

The panel runs in the test host (Slicer's MRML and logics, Qt offscreen), without Slicer's own rendering. Run with the
library and its test extra installed:  python Testing/Benchmarks/benchmark_panel.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import threading
import time
from pathlib import Path

TESTING = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTING / "equipment"))

from slicer_host.application import SlicerHost  # noqa: E402 - found by the line above

HEARTBEAT_MS = 5
MODULE = TESTING.parent / "LumbarDiscGrading" / "LumbarDiscGrading.py"


class Heartbeat:
    """Remembers the longest time between two beats of a timer of the main thread."""

    def __init__(self, host: SlicerHost) -> None:
        self.longest = 0.0
        self._last = time.perf_counter()
        self._timer = host.qt.QTimer()
        self._timer.setInterval(HEARTBEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def measure(self, host: SlicerHost, action, done) -> tuple[float, float]:
        """Do something and wait; return seconds until `done`, and the longest gap between beats meanwhile."""
        host.process_events()
        self.longest, self._last = 0.0, time.perf_counter()
        since = time.perf_counter()
        action()
        while not done():
            host.process_events()
            time.sleep(0.001)
        host.process_events()
        self._beat()
        return time.perf_counter() - since, self.longest


def time_forward_passes(grader) -> list[float]:
    """Time the forward passes of a grader's networks from now on; the one number of the list grows by each."""
    spent = [0.0]
    for owner in (grader.segmenter, grader.classifier):
        network = owner.network

        def timed(batch, network=network):
            since = time.perf_counter()
            out = network(batch)
            spent[0] += time.perf_counter() - since
            return out

        owner.network = timed
    return spent


def thread_ended(thread: threading.Thread):
    """Return a function that tells whether a thread has ended."""
    return lambda: not thread.is_alive()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=15)
    arguments = parser.parse_args()

    import numpy as np

    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.imaging.volume import SagittalVolume
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    phantom = lumbar_phantom(slice_count=arguments.slices).volume
    pad = 512 - phantom.voxels.shape[1]
    voxels = np.pad(phantom.voxels, ((0, 0), (0, pad), (0, pad)), mode="edge")
    volume = SagittalVolume(voxels, phantom.index_to_lps, source=phantom.source)

    since = time.perf_counter()
    host = SlicerHost(MODULE)
    started = time.perf_counter() - since
    beat = Heartbeat(host)
    opened, _ = beat.measure(host, lambda: host.open(), lambda: True)
    panel = host.widget.panel
    print(f"{os.cpu_count()} cores; volume {' x '.join(map(str, voxels.shape))}")
    print(f"start of the test host           {started:8.3f} s")
    print(f"opening the panel                {opened:8.3f} s, torch loaded: {'torch' in sys.modules}")
    seconds, gap = beat.measure(
        host,
        lambda: volume_node_from(volume, "T2 sagittal", host.scene),
        lambda: panel.input.volumeNode is not None,
    )
    print(f"volume loaded and picked         {seconds:8.3f} s, main thread still for at most {1000 * gap:6.0f} ms")
    panel.exit()  # libraries by themselves first: they are loaded under Python's lock, whatever the thread
    for library in ("torch", "SimpleITK"):
        thread = threading.Thread(target=importlib.import_module, args=(library,))
        seconds, gap = beat.measure(host, thread.start, thread_ended(thread))
        title = f"import {library}, in a thread"
        print(f"{title:32} {seconds:8.3f} s, main thread still for at most {1000 * gap:6.0f} ms")
    panel.enter()
    seconds, gap = beat.measure(host, lambda: None, lambda: panel.jobs.warm and panel.run.idle)
    print(f"warm-up (the networks)           {seconds:8.3f} s, main thread still for at most {1000 * gap:6.0f} ms")
    import torch

    grader = host.widget.logic.graders.grader(panel.input.device)
    spent = time_forward_passes(grader)
    whole, own, gaps = [], [], []
    for _ in range(arguments.rounds + 1):
        spent[0] = 0.0
        seconds, gap = beat.measure(host, lambda: host.ui.gradeDiscsButton.click(), lambda: not panel.run.running)
        whole.append(seconds)
        own.append(seconds - spent[0])
        gaps.append(gap)
    assert host.ui.resultTable.rowCount >= 5, host.ui.statusLabel.text
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {grader.device_name}")
    print(f"click to coloured discs, first   {whole[0]:8.3f} s, main thread still for at most {1000 * gaps[0]:6.0f} ms")
    median = statistics.median
    print(f"click to coloured discs          {median(whole[1:]):8.3f} s (median of {arguments.rounds})")
    print(
        f"  of it outside the networks     {median(own[1:]):8.3f} s ({100 * median(own[1:]) / median(whole[1:]):.0f} %)"
    )
    print(f"  main thread still for at most  {1000 * max(gaps[1:]):8.0f} ms")
    host.ui.resultTable.selectRow(2)
    seconds, gap = beat.measure(host, lambda: host.ui.grade4Button.click(), lambda: True)
    print(f"a correction                     {seconds:8.3f} s, main thread still for at most {1000 * gap:6.0f} ms")

    def cancel() -> None:
        host.ui.gradeDiscsButton.click()
        host.ui.gradeDiscsButton.click()

    seconds, _ = beat.measure(host, cancel, lambda: not panel.run.running)
    print(f"cancel, until the panel is free  {seconds:8.3f} s")
    seconds, _ = beat.measure(host, lambda: None, lambda: panel.run.idle)
    print(f"  until the thread has ended     {seconds:8.3f} s more")
    for text in host.violations():
        print(f"violation: {text}")
    host.close()


if __name__ == "__main__":
    main()
