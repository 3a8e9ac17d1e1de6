"""Users do things in any order: long random sequences of actions leave no error, no observer and a consistent scene.

Two short sequences run with the tests; ``python Testing/test_panel_at_random.py --seeds 50 --actions 200`` runs more.
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
MODULE = Path(__file__).resolve().parent.parent / "LumbarDiscGrading" / "LumbarDiscGrading.py"
ACTIONS_IN_TESTS = 60


class RandomUser:
    """Does one random thing after the other to the panel and its scene, and checks after each."""

    def __init__(self, host: Any, volume: Any, seed: int, folder: Path) -> None:
        self.host, self.volume, self.folder = host, volume, folder
        self.random = random.Random(seed)
        self.done: list[str] = []
        self.actions = [name for name in dir(self) if name.startswith("do_")]
        self.weights = [6 if name in ("do_grade", "do_wait", "do_select_row") else 2 for name in self.actions]

    def act(self, count: int) -> None:
        for _ in range(count):
            (name,) = self.random.choices(self.actions, self.weights)
            self.done.append(name)
            getattr(self, name)()
            if self.random.random() < 0.5:
                self.host.process_events()
            self.check()
        self.do_wait()
        self.check()

    def check(self) -> None:
        host, panel = self.host, self.host.widget.panel
        assert host.violations() == [], self.done
        case = panel.case
        assert (host.ui.resultTable.rowCount > 0) == (case is not None), self.done
        if case is not None:
            assert case.is_alive(), self.done
            segments = case.segmentationNode.GetSegmentation()
            names = [segments.GetNthSegment(n).GetName() for n in range(segments.GetNumberOfSegments())]
            assert sorted(names) == sorted(disc.level for disc in case.result.discs), self.done
            assert case.volumeNode is panel.input.volumeNode, self.done
        assert (host.ui.gradeDiscsButton.text == "Cancel") == panel.run.running, self.done
        assert host.ui.segmentEditorWidget.shortcutsInstalled == panel.correct.editing, self.done
        keys = panel.correct._shortcuts.values()
        assert not (panel.correct.editing and any(key.enabled for key in keys)), self.done

    # -- actions

    def do_load(self) -> None:
        from LumbarDiscGradingLib.scene.volumes import volume_node_from

        if self.host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") < 4:
            name = self.random.choice(["T2 sag", "T1 sag", "localizer"])
            volume_node_from(self.volume, name, self.host.scene)

    def do_select_volume(self) -> None:
        combo = self.host.ui.inputSelector.combo
        row = self.random.randrange(combo.count) if combo.count else -1
        if row >= 0 and self.host.ui.inputCollapsibleButton.enabled:
            combo.setCurrentIndex(row)
            combo.activated.emit(row)

    def do_grade(self) -> None:
        self._click(self.host.ui.gradeDiscsButton)

    def do_wait(self) -> None:
        panel = self.host.widget.panel
        self.host.wait_until(lambda: panel.run.idle)

    def do_wait_a_little(self) -> None:
        self.host.qt.QTest.qWait(self.random.randrange(200))

    def do_delete_volume(self) -> None:
        self._delete("vtkMRMLScalarVolumeNode")

    def do_delete_segmentation(self) -> None:
        self._delete("vtkMRMLSegmentationNode")

    def do_delete_table(self) -> None:
        self._delete("vtkMRMLTableNode")

    def do_close_scene(self) -> None:
        if self.random.random() < 0.3:
            self.host.core.clear()

    def do_select_row(self) -> None:
        rows = self.host.ui.resultTable.rowCount
        if rows:
            self.host.ui.resultTable.selectRow(self.random.randrange(rows))

    def do_click_in_a_view(self) -> None:
        point = tuple(self.random.uniform(-150, 150) for _ in range(3))
        self.host.app.layoutManager().sliceWidget(self.random.choice(["Red", "Yellow", "Green"])).click(point)

    def do_key(self) -> None:
        self.host.qt.QTest.keyClick(self.host.ui.resultTable, self.random.choice("12345g"))

    def do_not_assessable(self) -> None:
        self._click(self.host.ui.notAssessableButton)

    def do_set_level(self) -> None:
        combo = self.host.ui.levelComboBox
        if combo.count:
            combo.setCurrentIndex(self.random.randrange(combo.count))
            self.host.ui.keepBelowCheckBox.checked = self.random.random() < 0.3
            self._click(self.host.ui.setLevelButton)

    def do_undo(self) -> None:
        self._click(self.host.ui.undoButton)

    def do_edit_mask(self) -> None:
        self._click(self.host.ui.editMaskButton)

    def do_draw(self) -> None:
        from panel_acts import draw

        correct = self.host.widget.panel.correct
        if correct.editing and correct.case is not None:
            shift = self.random.randrange(-3, 4)
            draw(self.host, correct.case, correct.edited_level, lambda mask: np.roll(mask, shift, axis=0))

    def do_draw_in_another_module(self) -> None:
        from panel_acts import draw

        panel = self.host.widget.panel
        if panel.case is not None and not panel.correct.editing and not panel.run.running:
            level = self.random.choice([disc.level for disc in panel.case.result.discs])
            draw(self.host, panel.case, level, lambda mask: np.roll(mask, 1, axis=0))

    def do_regrade(self) -> None:
        self._click(self.host.ui.regradeButton)

    def do_slice(self) -> None:
        self._click(self.random.choice([self.host.ui.automaticSliceCheckBox, self.host.ui.useViewedSliceButton]))
        self.host.ui.sliceSlider.value = self.random.randrange(15)

    def do_opacity(self) -> None:
        self.host.ui.opacitySlider.value = self.random.randrange(101)

    def do_leave_and_enter(self) -> None:
        self.host.leave()
        self.host.process_events()
        self.host.open(400, 1400)

    def do_save_and_load(self) -> None:
        if self.host.widget.panel.correct.editing or self.random.random() < 0.5:
            return
        path = self.folder / "random.mrb"
        self.host.core.save_scene(path)
        self.host.core.clear()
        self.host.core.load_scene(path)

    def do_load_sample(self) -> None:
        if self.random.random() < 0.2:
            self._click(self.host.ui.loadSampleButton)

    def do_take_away(self) -> None:
        self.host.answer_file_dialogs(self.folder / self.random.choice(["x.csv", "x.json"]))
        self._click(self.host.ui.saveTableButton)
        self._click(self.host.ui.copyReportButton)

    def _click(self, button: Any) -> None:
        if button.isVisible() and button.isEnabled():
            button.click()

    def _delete(self, kind: str) -> None:
        count = self.host.scene.GetNumberOfNodesByClass(kind)
        if count:
            node = self.host.scene.GetNthNodeByClass(self.random.randrange(count), kind)
            self.host.scene.RemoveNode(node)


def observers_of(host: Any) -> int:
    """Return how many of the scene's and the views' observers are the panel's."""
    scene = host.scene
    events = (scene.StartCloseEvent, scene.EndCloseEvent, scene.StartImportEvent, scene.NodeRemovedEvent)
    views = [host.app.layoutManager().sliceWidget(name) for name in ("Red", "Yellow", "Green")]
    panel = host.widget.panel
    return sum(
        panel.hasObserver(scene, event, getattr(panel, name))
        for event, name in zip(events, ("_scene_closes", "_scene_came", "_scene_loads", "_node_removed"), strict=True)
    ) + sum(view.GetInteractor().HasObserver("LeftButtonPressEvent") for view in views)


def play(host: Any, volume: Any, seed: int, actions: int, folder: Path) -> None:
    """Play one sequence from an empty scene to a closed panel."""
    host.core.clear()
    host.forget_violations()
    host.open(400, 1400)
    for section in ("correctCollapsibleButton", "takeAwayCollapsibleButton", "criteriaCollapsibleButton"):
        getattr(host.ui, section).collapsed = False
    host.process_events()
    assert observers_of(host) == 7
    try:
        RandomUser(host, volume, seed, folder).act(actions)
        assert observers_of(host) == 7
    finally:
        panel = host.widget.panel
        host.close_panel()
        host.core.clear()
    views = [host.app.layoutManager().sliceWidget(name) for name in ("Red", "Yellow", "Green")]
    assert not any(view.GetInteractor().HasObserver("LeftButtonPressEvent") for view in views)
    assert panel.Observations == []
    assert host.violations() == []


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    from slicer_host.application import SlicerHost

    started = SlicerHost(MODULE)
    yield started
    started.close()


@pytest.fixture(scope="module")
def volume() -> Any:
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

    return lumbar_phantom().volume


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_actions_leaves_no_error_and_a_consistent_scene(
    host: Any, volume: Any, seed: int, tmp_path: Path
) -> None:
    play(host, volume, seed, ACTIONS_IN_TESTS, tmp_path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--actions", type=int, default=200)
    arguments = parser.parse_args()
    from slicer_host.application import SlicerHost

    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

    started, sample = SlicerHost(MODULE), lumbar_phantom().volume
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            play(started, sample, seed, arguments.actions, Path(folder))
            print(f"seed {seed}: {arguments.actions} actions, no error", flush=True)
    started.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
