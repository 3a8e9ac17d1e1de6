"""How long a reader waits in the mode Annotation Review, in a study of many cases of clinical size.

The panel runs in the test host (Slicer's MRML and logics, Qt offscreen), without Slicer's own rendering. Given are the
median and the longest wall time, and the median processor time, which a busy machine does not stretch. Run with the
library and its test extra installed:  python Testing/Benchmarks/benchmark_review.py [--cases 1000] [--rounds 10]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TESTING = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTING / "equipment"))

from slicer_host.application import SlicerHost  # noqa: E402 - found by the line above

from LumbarDiscGradingLib.annotation.protocol import Protocol, Reader, Role  # noqa: E402
from LumbarDiscGradingLib.annotation.study.study import Study  # noqa: E402
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom  # noqa: E402
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS  # noqa: E402

MODULE = TESTING.parent / "LumbarDiscGrading" / "LumbarDiscGrading.py"


def make_study(folder: Path, cases: int) -> None:
    """Make a study of unread cases of clinical size (384 x 384 x 15, 16 bit)."""
    readers = (Reader("anna", (Role.ANNOTATOR, Role.GRADER), 3), Reader("carl", (Role.GRADER,), 5))
    study = Study.create(folder, Protocol("Benchmark", readers, peer_review=False))
    first = study.add_case(lumbar_phantom().volume)
    document = json.loads((first.folder / "case.json").read_text())
    for number in range(2, cases + 1):  # the same image under many names: only time matters here
        place = folder / "cases" / f"C{number:04d}"
        place.mkdir()
        os.link(first.folder / "image.nrrd", place / "image.nrrd")
        (place / "case.json").write_text(json.dumps(document | {"case": place.name, "patient": place.name}))


class Stopwatch:
    """Collects wall and processor times by name."""

    def __init__(self) -> None:
        self.times: dict[str, list[tuple[float, float]]] = {}

    def measure(self, name: str, action: Callable[[], object]) -> None:
        """Do something and note how long it took."""
        wall, processor = time.perf_counter(), time.process_time()
        action()
        self.times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - processor))

    def report(self) -> None:
        """Print a line for each name."""
        print(f"{'':24}{'median ms':>12}{'longest ms':>12}{'CPU ms':>12}")
        for name, times in self.times.items():
            walls, processors = zip(*times, strict=True)
            figures = (statistics.median(walls), max(walls), statistics.median(processors))
            print(f"{name:24}" + "".join(f"{1000 * figure:12.0f}" for figure in figures))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    phantom, watch = lumbar_phantom(), Stopwatch()
    disc = phantom.mask == DISC_LABELS["L4-L5"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        make_study(folder, arguments.cases)
        host = SlicerHost(MODULE)
        host.open()
        host.widget.modes.show(1)
        panel = host.widget.modes.review
        combo = panel.ui.readerComboBox

        def open_study() -> None:
            panel.study.list_readers(str(folder))
            combo.setCurrentIndex(combo.findData("anna"))
            panel.study.open_study()
            host.process_events()

        watch.measure("open the study", open_study)
        reading = panel.reading
        for number in range(arguments.rounds):
            watch.measure("open a case" if number == 0 else "next case", panel.open_next)
            masks = reading.scene.masks()
            masks[disc] = DISC_LABELS["L4-L5"]
            reading.scene.write_masks(masks)
            watch.measure("save a stroke", reading.masks.flush)
            reading.discs.select("L1-L2")
            for grade in (1, 2, 3, 4, 5):
                watch.measure("a grade", reading.discs.grade_setter(grade))
            host.process_events()
        watch.measure("leave the mode", lambda: host.widget.modes.show(0))
        host.close()
    watch.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
