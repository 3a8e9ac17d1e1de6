"""Readers do things in any order: long random sequences leave no error, and what is called saved is on the disk.

Two short sequences run with the tests; ``python Testing/test_review_at_random.py --seeds 20 --actions 200`` runs more.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_studies import READERS, make_study, truth_masks

from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study import Study
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
MODULE = Path(__file__).resolve().parent.parent / "LumbarDiscGrading" / "LumbarDiscGrading.py"
ACTIONS_IN_TESTS = 50
KEYS = (*"123450UFSQWNPGMAC", "Return", "Ctrl+Return")


class RandomReader:
    """Does one random thing after the other to the review and its scene, and checks after each."""

    def __init__(self, host: Any, seed: int, folder: Path) -> None:
        from test_review_panel import Desk

        self.random = random.Random(seed)
        self.host, self.folder = host, folder
        readers = (Reader("anna", (Role.ANNOTATOR, Role.GRADER)), *READERS[1:])
        make_study(folder, 3, readers=readers, repeat_share=0.4)
        self.desk = Desk(host).open(folder, "anna")
        self.done: list[str] = []
        self.blocked: tuple[Path, Path] | None = None
        self.actions = [name for name in dir(self) if name.startswith("do_")]
        self.weights = [8 if name in ("do_key", "do_draw") else 1 for name in self.actions]

    def act(self, count: int) -> None:
        for _ in range(count):
            (name,) = self.random.choices(self.actions, self.weights)
            self.done.append(name)
            getattr(self, name)()
            self.check()
        self.do_unblock()
        self.host.widget.modes.show(1)
        self.host.process_events()
        if self.desk.work is not None:
            assert self.desk.panel.put_away(), self.done

    def check(self) -> None:
        host, panel = self.host, self.desk.panel
        assert host.violations() == [], self.done
        editing = panel.reading.masks.editing
        assert self.desk.ui.readingEditorWidget.shortcutsInstalled == editing, self.done
        work = panel.reading.work
        if work is None or self.blocked is not None or not self.desk.saved.startswith("\N{CHECK MARK} Saved"):
            return
        study = Study.open(self.folder)
        if work.case.discs:
            record = study.histories["anna"].reading(work.item.case, Task.GRADES, work.item.round)
            said = {level: disc.code for level, disc in work.case.discs.items() if disc.code is not None}
            assert record.grades == said, self.done
        if work.case.masks is not None:
            path = study.reading_path("anna", work.item.case, Task.MASKS, work.item.round)
            assert np.array_equal(study.masks(path, work.item.case).voxels, work.case.masks), self.done
            assert np.array_equal(panel.reading.scene.masks(), work.case.masks), self.done

    # -- actions

    def do_key(self) -> None:
        key = self.random.choice(KEYS)
        self.done[-1] += f" {key}"
        self.desk.key(key)

    def do_draw(self) -> None:
        if self.desk.work is not None and self.desk.panel.reading.scene is not None and self.desk.panel.entered:
            level = self.random.choice(LUMBAR_LEVELS)
            disc = np.roll(
                truth_masks() == DISC_LABELS[level], self.random.randint(-3, 3), axis=self.random.randint(0, 2)
            )
            if self.desk.segmentation.GetSegmentation().GetSegment(level) is not None:
                self.desk.draw(level, disc, wait=False)

    def do_wait(self) -> None:
        self.host.wait_until(lambda: not self.desk.saved.startswith("\N{BLACK CIRCLE}"), 10)

    def do_rename(self) -> None:
        ui = self.desk.ui
        if ui.renameButton.visible and ui.renameButton.enabled:
            ui.renameComboBox.setCurrentIndex(self.random.randrange(ui.renameComboBox.count))
            self.desk.click(ui.renameButton)

    def do_comment(self) -> None:
        if self.desk.ui.commentEdit.visible:
            self.desk.ui.commentEdit.setFocus()
            self.desk.key("x")

    def do_slice(self) -> None:
        if self.desk.work is not None:
            self.desk.ui.caseSliceSlider.value = self.random.randrange(3)

    def do_kind(self) -> None:
        combo = self.desk.ui.workComboBox
        combo.setCurrentIndex(self.random.randrange(combo.count))

    def do_close_the_scene(self) -> None:
        self.host.core.clear()
        self.host.process_events()

    def do_delete(self) -> None:
        scene = self.desk.panel.reading.scene
        if scene is not None:
            self.host.scene.RemoveNode(self.random.choice([scene.volumeNode, scene.segmentationNode]))
            self.host.process_events()

    def do_other_module(self) -> None:
        self.host.leave()
        self.host.open(420, 1500)

    def do_other_tab(self) -> None:
        self.host.widget.modes.show(0)
        self.host.process_events()
        self.host.widget.modes.show(1)
        self.host.process_events()

    def do_block(self) -> None:
        """Let nothing be saved of the open case, as on a disk that is full."""
        if self.desk.work is not None and self.blocked is None:
            place = self.folder / "readers" / "anna" / "cases" / self.desk.work.item.case
            kept = place.with_name("kept")
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                place.rename(kept)
            place.write_text("in the way")
            self.blocked = place, kept

    def do_unblock(self) -> None:
        if self.blocked is not None:
            place, kept = self.blocked
            place.unlink()
            if kept.exists():
                kept.rename(place)
            self.blocked = None


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    from slicer_host.application import SlicerHost

    host = SlicerHost(MODULE)
    yield host
    host.close()


def run(host: Any, seed: int, actions: int, folder: Path) -> None:
    host.core.clear()
    host.forget_violations()
    host.open(420, 1500)
    reader = RandomReader(host, seed, folder)
    reader.act(actions)
    host.close_panel()
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"):
        assert host.scene.GetNumberOfNodesByClass(kind) == 0, reader.done
    assert host.violations() == [], reader.done


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_reader_breaks_nothing(host: Any, seed: int, tmp_path: Path) -> None:
    run(host, seed, ACTIONS_IN_TESTS, tmp_path / "study")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--actions", type=int, default=200)
    arguments = parser.parse_args()
    from slicer_host.application import SlicerHost

    host = SlicerHost(MODULE)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            run(host, seed, arguments.actions, Path(folder) / f"study{seed}")
            print(f"seed {seed}: {arguments.actions} actions", flush=True)
    host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
