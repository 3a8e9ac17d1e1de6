"""Users do things in any order: long random sequences of acts leave no error, no observer and no broken rule.

Two short sequences run with the tests; ``PYTHONPATH=LumbarDiscGrading:Testing/equipment python
Testing/panel/test_panel_at_random.py --seeds 50 --actions 200`` runs more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_user import RandomUser

from LumbarDiscGradingLib.models.store import default_model_names

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    *(
        pytest.mark.needs_library(name)
        for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
    ),
    pytest.mark.skipif(
        set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
    ),
]
MODULE = Path(__file__).resolve().parents[2] / "LumbarDiscGrading" / "LumbarDiscGrading.py"
SEQUENCES, MOST_SEQUENCES, ACTS_IN_TESTS = 2, 12, 50
"""More sequences than the first two are played only as long as something was not reached."""
SLOW = ("show_or_hide_the_evidence",)
"""Is done in longer sequences alone."""
MUST_BE_REACHED = (
    *(
        "GradeSet",
        "LevelSet",
        "NotAssessable",
        "MaskEdited",
        "DiscAdded",
        "DiscRemoved",
        "undone",
        "editing",
        "drawn",
        "taken back",
    ),
    *("stale", "graded again", "moved", "hardened", "canceled", "a run ended while away", "a saved case"),
    *("beside somebody's segment", "looked in", "another result", "save", "away", "come_back"),
)


def views_observed(host: Any) -> int:
    """Return in how many slice views the panel waits for clicks."""
    views = [host.app.layoutManager().sliceWidget(name) for name in ("Red", "Yellow", "Green")]
    return sum(view.GetInteractor().HasObserver("LeftButtonPressEvent") for view in views)


def play(
    host: Any,
    volume: Any,
    seed: int,
    acts: int,
    folder: Path,
    reached: Counter[str],
    without: tuple[str, ...] = (),
) -> None:
    """Play one sequence from an empty scene to a closed panel, and count what was reached."""
    host.core.clear()
    host.forget_violations()
    host.open(400, 1400)
    for section in ("saveCollapsibleButton", "criteriaCollapsibleButton"):
        getattr(host.ui, section).collapsed = False
    host.process_events()
    axial = np.random.default_rng(1).integers(0, 900, (12, 64, 64), dtype=np.int16)
    user = RandomUser(host, volume, axial, seed, folder, reached, without)
    observed = len(host.widget.panel.Observations)
    try:
        user.begin()
        user.go_on(acts)
        assert len(host.widget.panel.Observations) == observed, user.done
        assert views_observed(host) == (3 if user.here else 0), user.done
    finally:
        panel = host.widget.panel
        host.close_panel()
        host.core.clear()
    assert views_observed(host) == 0
    assert panel.Observations == []
    user.check_violations()


def test_any_order_of_acts_leaves_no_error_and_no_broken_rule(
    host: Any, graders: Any, sample: Any, tmp_path: Path
) -> None:
    reached = Counter[str]()
    for seed in range(MOST_SEQUENCES):
        if seed >= SEQUENCES and all(reached[what] for what in MUST_BE_REACHED):
            break
        host.open()
        host.widget.logic.graders = graders
        play(host, sample, seed, ACTS_IN_TESTS, tmp_path, reached, SLOW)
    assert [what for what in MUST_BE_REACHED if not reached[what]] == [], dict(reached)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--actions", type=int, default=200)
    arguments = parser.parse_args()
    from slicer_host.application import SlicerHost

    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.panel.shared.graders import Graders

    graders = Graders()
    started, sample, reached, failed = SlicerHost(MODULE), lumbar_phantom().volume, Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            started.open()
            started.widget.logic.graders = graders
            try:
                found = Counter[str]()
                play(started, sample, seed, arguments.actions, Path(folder), found)
                reached.update(found)
                print(f"seed {seed}: {arguments.actions} acts, no error", flush=True)
            except Exception:  # the next seed may find another fault
                failed += 1
                print(f"seed {seed} failed:\n{traceback.format_exc()}", flush=True)
    print(dict(reached))
    started.close()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
