"""Readers do things in any order: long random sequences leave no error, and what is called saved is on the disk.

Two short sequences run with the tests; ``PYTHONPATH=LumbarDiscGrading:Testing/equipment python
Testing/panel/test_review_at_random.py --seeds 20 --actions 200`` runs more.
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
from review_desk import Desk

from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LISTED_LEVELS, LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
MODULE = Path(__file__).resolve().parents[2] / "LumbarDiscGrading" / "LumbarDiscGrading.py"
ACTIONS_IN_TESTS = 50
UNTRIED = 2
"""So many acts at most may not have come up, or done nothing, in a sequence."""
KEYS = (*"123450UFSQWNPGMAC", "Return", "Ctrl+Return")


class RandomReader:
    """Does one random thing after the other to the review and its scene, and checks after each.

    Drawn from is what is possible where the reader stands: ``can_draw`` says so for ``do_draw``.
    """

    def __init__(self, host: Any, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.host, self.folder = host, folder
        both = (Role.ANNOTATOR, Role.GRADER)
        readers = (Reader("anna", both), Reader("carl", both), *(r for r in READERS if r.id not in ("anna", "carl")))
        make_study(folder, 3, readers=readers, repeat_share=0.4)
        self.desk = Desk(host).open(folder, "anna")
        self.done: list[str] = []
        self.took_effect: set[str] = set()
        self.blocked: tuple[Path, Path] | None = None
        self.node: Any = None
        self.notes: dict[str, np.ndarray] = {}
        self.hid = False
        self.acts = [name.removeprefix("do_") for name in dir(self) if name.startswith("do_")]
        self.timer = host.qt.QTimer()
        self.timer.connect("timeout()", self._answer)
        self.timer.start(20)

    def act(self, count: int) -> None:
        for _ in range(count):
            name = self._choose()
            self.done.append(name)
            self._follow_scene()
            before = self._state()
            getattr(self, f"do_{name}")()
            if self._state() != before:
                self.took_effect.add(name)
            self.check()
        self.timer.stop()
        if self.blocked is not None:
            self.do_unblock()
        self.host.widget.modes.show(1)
        self.host.process_events()
        if self.desk.work is not None:
            assert self.desk.panel.close_case(), self.done

    def _choose(self) -> str:
        """Return something that is possible now; what has never been done comes up more often."""
        possible = [name for name in self.acts if getattr(self, f"can_{name}", lambda: True)()]
        weights = [8 if name in ("key", "draw", "open") else 1 if name in self.took_effect else 8 for name in possible]
        return self.random.choices(possible, weights)[0]

    def _answer(self) -> None:
        """Answer the question that a signature may ask, this way or that."""
        dialog = self.host.qt_application.activeModalWidget()
        if dialog is not None:
            (dialog.accept if self.random.random() < 0.5 else dialog.reject)()

    def _state(self) -> Any:
        """Return what tells whether something has happened."""
        panel, ui = self.desk.panel, self.desk.ui
        work, scene = panel.reading.work, panel.reading.scene
        drawn = scene.stamp() if scene is not None and scene.is_alive() and scene.segmentationNode is not None else ()
        words = [widget.text for widget in (ui.caseTitleLabel, ui.saveStateLabel, ui.commentEdit, ui.workMessageLabel)]
        rows = self.desk.rows(ui.discTable) if work is not None else []
        return (
            panel.item,
            rows,
            words,
            drawn,
            panel.reading.masks.pending,
            ui.caseSliceSlider.value,
            ui.workComboBox.currentText,
            self._tidings(),
        )

    def _tidings(self) -> Any:
        """Return what the other acts change: the reader, the notes, the block, and who was here."""
        reader = self.desk.panel.session.reader.id
        return reader, len(self.notes), self.blocked, self.hid, self.visits

    visits = 0
    """How often the reader came back from another module or tab, or had the scene closed."""

    def check(self) -> None:
        host, panel = self.host, self.desk.panel
        assert host.violations() == [], self.done
        editing = panel.reading.masks.editing
        assert self.desk.ui.readingEditorWidget.shortcutsInstalled == editing, self.done
        self.check_what_is_seen()
        work = panel.reading.work
        if work is None or self.blocked is not None or not self.desk.saved.startswith("\N{CHECK MARK} Saved"):
            return
        study, reader = Study.open(self.folder), work.session.reader.id
        if work.case.discs:
            record = study.histories[reader].reading(work.item.case, Task.GRADES, work.item.round)
            said = {level: disc.code for level, disc in work.case.discs.items() if disc.code is not None}
            assert record.grades == said, self.done
        if work.case.masks is not None:
            path = study.reading_path(reader, work.item.case, Task.MASKS, work.item.round)
            assert np.array_equal(study.masks(path, work.item.case).voxels, work.case.masks), self.done
            assert np.array_equal(panel.reading.scene.masks(), work.case.masks), self.done
            drawn = [row[0] for row in self.desk.rows(self.desk.ui.discTable) if "drawn" in row]
            assert drawn == [name for name in work.levels if (work.case.masks == DISC_LABELS[name]).any()], self.done

    def check_what_is_seen(self) -> None:
        """Each disc is visible unless the reader has hidden all, and what is no disc is as it was drawn."""
        self._follow_scene()
        if self.node is None:
            return
        shown = self.desk.visible()
        assert all(shown[level] for level in self.desk.panel.reading.scene.levels), (shown, self.done)
        assert self.node.GetDisplayNode().GetVisibility() or self.hid, self.done
        for name, drawn in self.notes.items():
            assert self.node.GetSegmentation().GetSegment(name).GetName() == "note", self.done
            assert np.array_equal(self.desk.drawn(name), drawn), self.done

    def _follow_scene(self) -> None:
        """Forget the notes of a case whose segmentation is gone, with all that was in it."""
        scene = self.desk.panel.reading.scene
        node = scene.segmentationNode if scene is not None and scene.is_alive() else None
        if node is not self.node:
            self.node, self.notes, self.hid = node, {}, False

    def can_draw(self) -> bool:
        self._follow_scene()
        return self.node is not None and self.desk.panel.entered

    # -- actions

    def do_key(self) -> None:
        key = self.random.choice(KEYS)
        self.done[-1] += f" {key}"
        self.hid |= key == "G"
        self.desk.key(key)

    def do_draw(self) -> None:
        level = self.random.choice(self.desk.panel.reading.scene.levels)
        shape = truth_masks() == DISC_LABELS[self.random.choice(LUMBAR_LEVELS)]
        disc = np.roll(shape, self.random.randint(-3, 3), axis=self.random.randint(0, 2))
        self.desk.draw(level, disc, wait=False)

    def can_open(self) -> bool:
        return self.desk.panel.item is None

    def do_open(self) -> None:
        self.desk.click(self.desk.ui.nextToDoButton)

    can_note = can_draw

    def do_note(self) -> None:
        """Draw something that is no disc, as in the Segment Editor."""
        segmentation = self.desk.segmentation.GetSegmentation()
        name = segmentation.AddEmptySegment("", "note")
        self.notes[name] = np.zeros(truth_masks().shape, bool)
        self.notes[name][self.random.randrange(3), :2, : self.random.randint(1, 4)] = True
        self.desk.draw(name, self.notes[name], wait=False)

    def can_wait(self) -> bool:
        return self.blocked is None and self.desk.panel.reading.masks.pending

    def do_wait(self) -> None:
        """Wait until a stroke is saved."""
        self.host.wait_until(lambda: not self.desk.panel.reading.masks.pending)

    def can_rename(self) -> bool:
        work = self.desk.work
        return self.can_draw() and work.can_draw and bool(work.drawn_levels) and self.desk.ui.renameButton.visible

    def do_rename(self) -> None:
        self.desk.select(self.random.choice(self.desk.work.drawn_levels))
        self.desk.rename(self.random.choice(LISTED_LEVELS))

    def can_comment(self) -> bool:
        return bool(self.desk.ui.commentEdit.visible)

    def do_comment(self) -> None:
        self.desk.ui.commentEdit.setFocus()
        self.host.qt.QTest.keyClicks(self.desk.ui.commentEdit, "x")
        self.host.process_events()

    def can_slice(self) -> bool:
        return self.desk.work is not None

    def do_slice(self) -> None:
        slider = self.desk.ui.caseSliceSlider
        slider.value = (slider.value + self.random.randint(1, 2)) % 3

    def can_kind(self) -> bool:
        return self.desk.ui.workComboBox.count > 1

    def do_kind(self) -> None:
        combo = self.desk.ui.workComboBox
        combo.setCurrentIndex(self.random.randrange(combo.count))

    def do_reader(self) -> None:
        """Let another reader open the study; what the former one was told is gone."""
        before = self.desk.panel.session.reader.id
        self.desk.open(self.folder, "carl" if before == "anna" else "anna")
        if self.desk.panel.session.reader.id != before:
            assert self.desk.ui.workMessageLabel.text == self.desk.message == "", self.done

    def do_close_the_scene(self) -> None:
        self.host.core.clear()
        self.host.process_events()
        self.visits += 1

    can_delete = can_draw

    def do_delete(self) -> None:
        scene = self.desk.panel.reading.scene
        self.host.scene.RemoveNode(self.random.choice([scene.volumeNode, scene.segmentationNode]))
        self.host.process_events()

    def do_other_module(self) -> None:
        self.host.leave()
        self.host.open(420, 1500)
        self.visits += 1

    def do_other_tab(self) -> None:
        self.host.widget.modes.show(0)
        self.host.process_events()
        self.host.widget.modes.show(1)
        self.host.process_events()
        self.visits += 1

    def can_block(self) -> bool:
        return self.desk.work is not None and self.blocked is None

    def do_block(self) -> None:
        """Let nothing be saved of the open case, as on a disk that is full."""
        work = self.desk.work
        place = self.folder / "readers" / work.session.reader.id / "cases" / work.item.case
        kept = place.with_name("kept")
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(kept)
        place.write_text("in the way")
        self.blocked = place, kept

    def can_unblock(self) -> bool:
        return self.blocked is not None

    def do_unblock(self) -> None:
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
    untried = set(reader.acts) - reader.took_effect
    assert len(untried) <= UNTRIED, (untried, reader.done)
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
