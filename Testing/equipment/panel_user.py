"""`RandomUser`: does what is possible to the panel *Grade Discs* and its scene, in any order, and looks each time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from panel_acts import draw, draw_segment, finish, paint, select_volume, table
from panel_rules import VIEWS, ForeignSegment, Mine, broken_rules, segmentations, what_is_shown

MOST_VOLUMES = 4
LEADS_BACK = 4
"""Acts of at least this weight are done again and again."""
SAID_BY_MRML = ("invalid orientation preset name: Reformat", "ResolveUnresolvedItems: Unable to find data node")
"""Said when a scene is read that was saved with an oblique view, or after nodes were deleted; not of the panel."""
ACTS: dict[str, tuple[float, tuple[str, ...], bool]] = {}
"""By name: how often an act is done beside others, what must be so for it, and whether the panel is not told of it."""


def act(*when: str, weight: float = 1.0, outside: bool = False) -> Callable[[Any], Any]:
    """Register a method as an act that is possible where all these properties of the user hold."""

    def register(method: Any) -> Any:
        ACTS[method.__name__] = weight, when, outside
        return method

    return register


class RandomUser:
    """Does one random thing after the other, always one of those that are possible then.

    Nothing runs any more when an act has ended, so that what comes next does not hang on the machine's speed.

    Parameters
    ----------
    host : SlicerHost
        With the panel open.
    volume, axial : SagittalVolume, ndarray
        What is loaded.
    seed : int
    folder : Path
        Where scenes and tables are saved.
    reached : Counter
        What was reached before, which is done less often; it goes on being counted.
    without : tuple of str
        Acts that are never done.
    """

    def __init__(
        self,
        host: Any,
        volume: Any,
        axial: np.ndarray,
        seed: int,
        folder: Path,
        reached: Counter[str],
        without: tuple[str, ...] = (),
    ) -> None:
        self.host, self.axial, self.folder, self.reached, self.without = host, axial, folder, reached, without
        self.volume = right_handed(volume)
        self.random = random.Random(seed)
        self.mine, self.done, self._number = Mine(), [], 0

    def begin(self) -> None:
        """Load a volume and grade it."""
        self.load()
        self.grade()
        self.look(outside=False)

    def go_on(self, count: int) -> None:
        """Do so many things; after each all rules hold."""
        for _ in range(count):
            possible = [name for name, (_, when, _) in ACTS.items() if all(getattr(self, what) for what in when)]
            possible = [name for name in possible if name not in self.without]
            (name,) = self.random.choices(possible, [self._weight(name) for name in possible])
            self.done.append(name)
            before = self._corrections()
            getattr(self, name)()
            self._wait()
            self._count(name, before)
            self.look(outside=ACTS[name][2])

    def _weight(self, name: str) -> float:
        """Return how often an act is done now: rather what is new; what leads back to reading is needed every time."""
        weight = ACTS[name][0]
        return weight if weight >= LEADS_BACK else weight / (1 + self.reached[name]) ** 2

    def look(self, outside: bool) -> None:
        """Let the panel look at what happened, and hold what is there against the rules."""
        from LumbarDiscGradingLib.panel.grading.tab import LOOK_MS

        if self.away:
            self.mine.elsewhere = what_is_shown(self.host)
        self.host.process_events()
        if outside or self.random.random() < 0.1:
            self.host.qt.QTest.qWait(LOOK_MS + 30)
        self.check()

    def check(self) -> None:
        broken = [*broken_rules(self.host, self.mine), *self._violations()]
        assert broken == [], "\n".join([*broken, f"after {len(self.done)} acts: {', '.join(self.done)}"])

    def check_violations(self) -> None:
        assert self._violations() == [], self.done

    def _violations(self) -> list[str]:
        """Return what Slicer would have refused; what it says of its own accord is forgotten."""
        said = self.host.violations()
        if said and all(any(known in text for known in SAID_BY_MRML) for text in said):
            self.host.forget_violations()
            return []
        return said

    def _corrections(self) -> list[str]:
        case = self.panel.case
        return [type(correction).__name__ for correction in case.corrections] if case is not None else []

    def _count(self, name: str, before: list[str]) -> None:
        """Count what was reached."""
        after, case = self._corrections(), self.panel.case
        self.reached[name] += 1
        if len(after) == len(before) + 1:
            self.reached[after[-1]] += 1
        if name == "undo" and len(after) == len(before) - 1:
            self.reached["undone"] += 1
        if case is not None and case.is_alive():
            self.reached["with a case"] += 1
            self.reached["beside somebody's segment"] += bool(case.foreign_segments())
        for what in ("stale", "drawn", "editing", "away"):
            self.reached[what] += bool(getattr(self, what))

    # -- where the user stands

    @property
    def panel(self) -> Any:
        return self.host.widget.panel

    @property
    def here(self) -> bool:
        return bool(self.host.representation.isEntered)

    @property
    def away(self) -> bool:
        return not self.here

    @property
    def alive(self) -> bool:
        return self.panel.case is not None and self.panel.case.is_alive()

    @property
    def stale(self) -> bool:
        return self.here and bool(self.host.ui.gradeAgainButton.visible)

    @property
    def graded(self) -> bool:
        """Whether a case is shown that can be corrected."""
        return self.here and self.alive and not self.stale

    @property
    def fits(self) -> bool:
        """Whether there is a case, shown or not, whose segments lie on its volume."""
        from LumbarDiscGradingLib.scene.graded_case import Fit

        return self.alive and self.panel.case.fit() is Fit.FITS

    @property
    def editing(self) -> bool:
        return self.here and self.panel.correct.editing

    @property
    def reading(self) -> bool:
        """Whether a case is shown and no mask is edited."""
        return self.graded and not self.editing

    @property
    def drawn(self) -> bool:
        return self.reading and bool(self.host.ui.regradeDrawnButton.visible)

    @property
    def settled(self) -> bool:
        """Whether a case is shown without anything that has to be finished first."""
        return self.reading and not self.drawn

    @property
    def selected(self) -> bool:
        """Whether a disc is selected."""
        return self.settled and self.host.ui.grade1Button.enabled

    @property
    def changed(self) -> bool:
        return self.reading and self.host.ui.undoButton.enabled

    @property
    def missing(self) -> bool:
        """Whether a level is missing, and nobody's segment is named by it."""
        if not self.fits:
            return False
        return bool(self.panel.case.result.missing_levels) and not self.panel.case.offered_discs()

    @property
    def offered(self) -> bool:
        return self.settled and bool(self.host.ui.takeDiscButton.visible)

    @property
    def free(self) -> bool:
        """Whether nothing is edited in the panel."""
        return not self.editing

    @property
    def ready(self) -> bool:
        return self.here and self.free and bool(self.host.ui.gradeDiscsButton.enabled)

    @property
    def ungraded(self) -> bool:
        return self.ready and not self.alive

    @property
    def loaded(self) -> bool:
        return bool(self._volumes())

    @property
    def room(self) -> bool:
        return len(self._volumes()) < MOST_VOLUMES

    @property
    def several(self) -> bool:
        return len(self._volumes()) > 1

    @property
    def waiting(self) -> bool:
        """Whether a volume would be graded with all others."""
        from LumbarDiscGradingLib.scene.graded_case import result_nodes

        return any(node.GetName().endswith("T2 sag") and not result_nodes(node) for node in self._volumes())

    @property
    def listed(self) -> bool:
        """Whether the list of all volumes is shown."""
        return self.host.ui.allVolumesTable.isVisible() and self.host.ui.allVolumesTable.rowCount > 0

    @property
    def results(self) -> bool:
        return self.settled and self.host.ui.resultComboBox.visible

    @property
    def below_a_transform(self) -> bool:
        volume = self._chosen()
        return volume is not None and volume.GetParentTransformNode() is not None

    @property
    def own_segmentations(self) -> bool:
        return bool(self.mine.visible)

    # -- volumes

    @act("room", "free", weight=0.4, outside=True)
    def load(self) -> Any:
        self._number += 1
        name = f"{self._number} {self.random.choice(['T2 sag', 'T2 sag', 'T1 sag', 'localizer'])}"
        self.mine.chosen = ""
        return self.host.load_volume(self.volume, name if self._number > 1 else "1 T2 sag")

    @act("room", "free", weight=0.3, outside=True)
    def load_an_axial_series(self) -> None:
        import slicer

        self._number += 1
        node = self.host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{self._number} T2 tra")
        slicer.util.updateVolumeFromArray(node, self.axial)
        node.SetSpacing(0.5, 0.5, 5.0)
        self.mine.chosen = ""
        self.host.show_volume(node)

    @act("here", "free", "several")
    def choose_a_volume(self) -> None:
        node = self.random.choice(self._volumes())
        select_volume(self.host, node)
        self.mine.chosen = node.GetID()
        if self.random.random() < 0.2:
            self.host.qt.QTest.qWait(700)

    @act("here", "several", outside=True)
    def turn_a_view(self) -> None:
        """Put another volume into one view, as its controller does."""
        view = self.random.choice(VIEWS)
        self._composite(view).SetBackgroundVolumeID(self.random.choice(self._volumes()).GetID())
        if view == "Yellow":
            self.mine.chosen = ""

    @act("settled", weight=1.2, outside=True)
    def move_the_volume(self) -> None:
        import vtk

        volume, transform = self._chosen(), vtk.vtkTransform()
        if volume is None:
            return
        transform.Translate(*(self.random.uniform(-40, 40) for _ in range(3)))
        transform.RotateX(self.random.uniform(-8, 8))
        node = self.host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
        node.SetMatrixTransformToParent(transform.GetMatrix())
        volume.SetAndObserveTransformNodeID(node.GetID())
        self.reached["moved"] += self.settled

    @act("below_a_transform", "free", weight=1.5, outside=True)
    def harden_the_transform(self) -> None:
        self._chosen().HardenTransform()
        self.reached["hardened"] += self.settled

    @act("settled", weight=1.5, outside=True)
    def change_voxels(self) -> None:
        import slicer

        volume = self._chosen()
        if volume is not None:
            slicer.util.arrayFromVolume(volume)[0, 0, : self.random.randrange(1, 9)] += 40
            slicer.util.arrayFromVolumeModified(volume)

    @act("loaded", "free", weight=0.15, outside=True)
    def crop(self) -> None:
        import slicer

        volume = self._chosen()
        if volume is not None and not volume.GetName().endswith("tra"):
            slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[:, :-4].copy())

    @act("loaded", weight=0.15, outside=True)
    def delete_a_volume(self) -> None:
        self._delete(self.random.choice(self._volumes()))

    @act("alive", weight=0.15, outside=True)
    def delete_a_segmentation(self) -> None:
        self._delete(self.random.choice(segmentations(self.host)))

    @act("alive", weight=0.2, outside=True)
    def delete_a_table(self) -> None:
        count = self.host.scene.GetNumberOfNodesByClass("vtkMRMLTableNode")
        if count:
            self._delete(self.host.scene.GetNthNodeByClass(self.random.randrange(count), "vtkMRMLTableNode"))

    # -- grading

    @act("ready", weight=0.3)
    def grade(self) -> None:
        self._click(self.host.ui.gradeDiscsButton)
        self._wait()

    @act("ungraded", weight=5)
    def grade_what_is_not_graded(self) -> None:
        self.grade()

    @act("ready", "room", weight=0.5)
    def grade_and_do_something_meanwhile(self) -> None:
        self._click(self.host.ui.gradeDiscsButton)
        if not self.panel.run.running:  # something has to be finished first
            return
        ways = ["cancel", "load", "delete_a_volume", "click_a_row", "press_a_key", "turn_a_view"]
        what = "cancel" if not self.reached["canceled"] else self.random.choice(ways)
        self.done.append(f"({what})")
        if what == "cancel":
            self._click(self.host.ui.gradeDiscsButton)
            self.reached["canceled"] += not self.panel.run.running
        elif what not in ("click_a_row", "press_a_key") or self.graded:
            getattr(self, what)()
        self.host.qt.QTest.qWait(300)
        self.check()
        self._wait()

    @act("ready", weight=0.6, outside=True)
    def leave_during_a_run(self) -> None:
        before = self.panel.case
        self._click(self.host.ui.gradeDiscsButton)
        self.host.leave()
        if self.several and self.random.random() < 0.7:
            self.host.show_volume(self.random.choice(self._volumes()))
        self.mine.elsewhere = {what: shown for what, shown in what_is_shown(self.host).items() if "discs" not in what}
        self._wait()
        self.check()
        self.reached["a run ended while away"] += self.panel.case is not before

    @act("ready", "waiting", weight=3.5)
    def grade_all(self) -> None:
        """Grade all loaded volumes, and do something meanwhile."""
        self.host.ui.gradeMenuButton.menu().actions()[0].trigger()
        if not self.panel.run.running:  # something has to be finished first
            return
        what = self.random.choice(["", "", "cancel", "delete_a_volume", "click_a_volume_in_the_list", "press_a_key"])
        self.done.append(f"({what})")
        if what == "cancel":
            self._click(self.host.ui.gradeDiscsButton)
        elif what and (what != "press_a_key" or self.graded):
            getattr(self, what)()
        self.host.qt.QTest.qWait(300)
        self.check()
        self._wait()

    @act("here", "free", "listed", weight=0.5)
    def click_a_volume_in_the_list(self) -> None:
        widget = self.host.ui.allVolumesTable
        row = self.random.randrange(widget.rowCount)
        widget.scrollToItem(widget.item(row, 0))
        place = widget.visualItemRect(widget.item(row, 0)).center()
        before = self._chosen()
        self.host.qt.QTest.mouseClick(widget.viewport(), self.host.qt.Qt.LeftButton, pos=place)
        self.host.process_events()
        if self._chosen() is not before:
            self.mine.chosen = self._chosen().GetID()

    @act("stale", weight=4)
    def grade_again(self) -> None:
        self._click(self.host.ui.gradeAgainButton)
        self._wait()
        self.reached["graded again"] += self.settled

    @act("ready", weight=0.3)
    def choose_a_slice(self) -> None:
        buttons = [self.host.ui.automaticSliceCheckBox, self.host.ui.useViewedSliceButton]
        buttons = [button for button in buttons if button.enabled]
        if buttons:
            self._click(self.random.choice(buttons))
            self.host.ui.sliceSlider.value = self.random.randrange(15)

    # -- reading and correcting

    @act("graded", weight=2)
    def click_a_row(self) -> None:
        widget = self.host.ui.resultTable
        place = widget.visualItemRect(widget.item(self.random.randrange(widget.rowCount), 0)).center()
        self.host.qt.QTest.mouseClick(widget.viewport(), self.host.qt.Qt.LeftButton, pos=place)

    @act("reading")
    def click_a_disc_in_a_view(self) -> None:
        disc = self.random.choice(self.panel.case.result.discs)
        x, y, z = disc.center_lps_mm
        self.host.app.layoutManager().sliceWidget("Yellow").click((-x, -y, z))

    @act("here", weight=0.3)
    def click_anywhere_in_a_view(self) -> None:
        point = tuple(self.random.uniform(-150, 150) for _ in range(3))
        self.host.app.layoutManager().sliceWidget(self.random.choice(VIEWS)).click(point)

    @act("graded", weight=1.5)
    def press_a_key(self) -> None:
        if self.settled and not self.selected:
            self.click_a_row()
        self.host.press(self.host.ui.resultTable, self.random.choice("12345G0NPTL"))

    @act("selected", weight=2)
    def click_a_grade(self) -> None:
        self._click(getattr(self.host.ui, f"grade{self.random.randrange(1, 6)}Button"))

    @act("selected")
    def mark_not_assessable(self) -> None:
        self._click(self.host.ui.notAssessableButton)

    @act("selected", weight=3)
    def set_the_level(self) -> None:
        combo = self.host.ui.levelComboBox
        place = combo.currentIndex + self.random.choice([-2, -1, 1, 2])
        combo.setCurrentIndex(min(max(place, 0), combo.count - 1))
        self.host.ui.keepBelowCheckBox.checked = self.random.random() < 0.4
        if self.host.ui.setLevelButton.visible:
            self._click(self.host.ui.setLevelButton)

    @act("selected", weight=0.6)
    def take_a_disc_out(self) -> None:
        if len(self.panel.case.result.discs) > 3:
            self._click(self.host.ui.noDiscButton)

    @act("settled", weight=1.5)
    def find_a_missing_disc(self) -> None:
        missing = self.panel.case.result.missing_levels
        if missing:
            self.panel.result.select(self.random.choice(missing))
            self._click(self.host.ui.findDiscButton)

    @act("changed")
    def undo(self) -> None:
        self._click(self.host.ui.undoButton)

    @act("settled", weight=0.3)
    def show_or_hide_the_discs(self) -> None:
        self._click(self.host.ui.showDiscsCheckBox)

    @act("graded", weight=0.2)
    def set_the_opacity(self) -> None:
        self.host.ui.opacitySlider.value = self.random.randrange(101)

    # -- masks

    @act("settled", weight=1.5)
    def edit_a_mask(self) -> None:
        if not self.selected:
            self.click_a_row()
        button = self.host.ui.editMaskButton if self.host.ui.editMaskButton.visible else self.host.ui.drawDiscButton
        if button.enabled:
            self._click(button)

    @act("editing", "fits", weight=3.5)
    def draw_in_the_editor(self) -> None:
        sketch = self.panel.correct.sketch
        if sketch is None:
            draw(self.host, self.panel.case, self.panel.correct.edited_level, self._stroke())
        else:
            mask = np.zeros(self.panel.case.result.label_slice.shape, dtype=bool)
            mask[self.random.randrange(40, 300) :, 100:150][:12] = True
            draw_segment(self.host, self.panel.case, sketch, mask)

    @act("editing", weight=4)
    def leave_the_editor(self) -> None:
        ui = self.host.ui
        buttons = [button for button in (ui.editMaskButton, ui.drawDiscButton, ui.regradeButton) if button.visible]
        ways = [self.click_a_row, *(partial(self._click, button) for button in buttons)]
        self.random.choice(ways)()
        self._wait()

    @act("drawn", weight=3)
    def regrade(self) -> None:
        button = self.random.choice([self.host.ui.regradeDrawnButton, self.host.ui.regradeButton])
        self._click(button)
        self._wait()

    @act("drawn", weight=3.9)
    def take_the_masks_back(self) -> None:
        self._click(self.host.ui.takeBackButton)
        self.reached["taken back"] += self.settled

    @act("alive", "fits", "free", weight=1.5, outside=True)
    def draw_in_another_module(self) -> None:
        levels = [disc.level for disc in self.panel.case.result.discs]
        draw(self.host, self.panel.case, self.random.choice(levels), self._stroke())

    def _stroke(self) -> Any:
        shift = self.random.choice([-3, -2, -1, 1, 2, 3])
        strokes: list[Any] = [lambda mask: np.roll(mask, shift, axis=0), lambda mask: mask | np.roll(mask, 1, axis=0)]
        strokes += [lambda mask: mask | np.roll(mask, 60, axis=0), lambda mask: mask & False]
        return self.random.choices(strokes, [3, 3, 1, 1])[0]

    # -- what others made

    @act("loaded", "free", weight=0.4, outside=True)
    def make_a_segmentation(self) -> None:
        volume = self._chosen() or self._volumes()[0]
        self._number += 1
        node = self.host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"mine {self._number}")
        node.CreateDefaultDisplayNodes()
        segment_id = node.GetSegmentation().AddEmptySegment("tumour", self.random.choice(["tumour", "L3-L4"]))
        array = np.zeros(volume.GetImageData().GetDimensions()[::-1], dtype=np.uint8)
        array[2:5, 3:9, 4 : 5 + self.random.randrange(9)] = 1
        paint(node, segment_id, volume, array)
        self.mine.visible[node.GetName()] = True
        self.mine.segments.append(ForeignSegment.of(node, segment_id))

    @act("alive", "fits", "free", weight=0.5, outside=True)
    def add_a_segment_to_the_discs(self) -> None:
        self._add_segment(self.random.choice(["tumour", "Segment_1", "L3-L4"]), 60)

    @act("missing", "free", weight=6, outside=True)
    def add_a_segment_named_by_a_missing_level(self) -> None:
        self._add_segment(self.random.choice(self.panel.case.result.missing_levels), 45)

    def _add_segment(self, name: str, shift: int) -> None:
        case = self.panel.case
        segment_id = case.segmentationNode.GetSegmentation().AddEmptySegment("", name)
        disc = self.random.choice(case.result.discs)
        draw_segment(self.host, case, segment_id, np.roll(case.result.label_slice == disc.label_value, shift, axis=0))
        self.mine.segments.append(ForeignSegment.of(case.segmentationNode, segment_id))

    @act("offered", weight=10)
    def take_it_as_the_disc(self) -> None:
        self._click(self.host.ui.takeDiscButton)
        self._wait()

    # -- other modules

    @act("here", weight=0.7, outside=True)
    def leave(self) -> None:
        self.host.leave()
        self._wait()

    @act("away", weight=6, outside=True)
    def come_back(self) -> None:
        self.mine.elsewhere = None
        self.host.open(400, 1400)

    @act("away", "several", weight=3)
    def show_a_volume(self) -> None:
        node, view = self.random.choice(self._volumes()), self.random.choice(VIEWS)
        ways = (
            lambda: self.host.show_volume(node),
            lambda: self._composite(view).SetBackgroundVolumeID(node.GetID()),
            lambda: self._composite(view).SetForegroundVolumeID(node.GetID()),
        )
        self.random.choice(ways)()

    @act("away", "own_segmentations", weight=2)
    def show_or_hide_a_segmentation(self) -> None:
        name = self.random.choice(list(self.mine.visible))
        self.mine.visible[name] = not self.mine.visible[name]
        self.host.scene.GetFirstNodeByName(name).GetDisplayNode().SetVisibility(self.mine.visible[name])

    @act("away", weight=3.9)
    def look_in(self) -> None:
        """Open the module and leave it again at once: what was shown is shown again."""
        shown = what_is_shown(self.host)
        self.come_back()
        self.look(outside=True)
        picked = self.panel.input.may_pick
        self.host.leave()
        if picked:
            after = what_is_shown(self.host)
            for view in VIEWS:
                assert after[view] == shown[view], self.done
            self.reached["looked in"] += 1

    # -- taking away

    @act("settled", weight=0.5)
    def save(self) -> None:
        from LumbarDiscGradingLib.report.text import report_text

        self.host.wait_until(lambda: not self.panel.arrivals.looking)
        if not self.settled:  # the study that was just loaded took its place
            return
        ui, path = self.host.ui, self.folder / self.random.choice(["x.csv", "x.json"])
        ui.saveCollapsibleButton.collapsed = False
        path.unlink(missing_ok=True)
        self.host.answer_file_dialogs(path)
        self._click(ui.saveTableButton)
        assert path.is_file(), self.done
        self._click(ui.copyReportButton)
        assert self.host.app.clipboard().text() == report_text(self.panel.case.result), self.done

    @act("results", weight=2)
    def choose_another_result(self) -> None:
        combo = self.host.ui.resultComboBox
        row = self.random.randrange(combo.count)
        combo.setCurrentIndex(row)
        combo.activated.emit(row)
        self.reached["another result"] += 1

    @act("settled", weight=0.1)
    def show_or_hide_the_evidence(self) -> None:
        if self.host.ui.evidenceCheckBox.enabled:
            self._click(self.host.ui.evidenceCheckBox)
            self.host.wait_until(lambda: self.panel.run.idle, 300)

    @act("loaded", "free", outside=True)
    def save_and_load_the_scene(self) -> None:
        path, here, before = self.folder / "random.mrb", self.here, table(self.host)
        settled, chosen = self.settled, self._chosen()
        name = chosen.GetName() if chosen is not None else ""
        self.host.core.save_scene(path)
        self.host.core.clear()
        self.host.process_events()
        self.host.core.load_scene(path)
        self.mine.chosen = ""
        if here and settled:
            assert table(self.host) == before, f"{table(self.host)} was {before}; {self.done}"
            assert self._chosen().GetName() == name, self.done
            self.reached["a saved case"] += 1

    @act("here", weight=0.05, outside=True)
    def close_the_scene(self) -> None:
        self.host.core.clear()
        self.mine = Mine()

    # -- how it is done

    def _click(self, button: Any) -> None:
        self.host.process_events()
        if not button.isVisible() and self.host.ui.inputSummaryButton.isVisible():
            self.host.click(self.host.ui.inputSummaryButton)
        assert button.enabled, f"{button.objectName} is not enabled; {self.done}"
        self.host.click(button)

    def _wait(self) -> None:
        finish(self.host)
        self.host.wait_until(lambda: self.panel.run.idle)
        self.host.process_events()

    def _volumes(self) -> list[Any]:
        scene = self.host.scene
        nodes = [
            scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")
            for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
        ]
        return [node for node in nodes if not node.GetAttribute("LumbarDiscGrading.EvidenceKey")]

    def _chosen(self) -> Any:
        return self.host.ui.inputSelector.currentNode()

    def _composite(self, view: str) -> Any:
        return self.host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")

    def _delete(self, node: Any) -> None:
        name = node.GetName()
        if node.GetID() == self.mine.chosen:
            self.mine.chosen = ""
        if node.IsA("vtkMRMLSegmentationNode"):
            self.mine.segments = [known for known in self.mine.segments if known.node != name]
            self.mine.visible.pop(name, None)
        self.host.scene.RemoveNode(node)


def right_handed(volume: Any) -> Any:
    """Return a volume whose voxels are stored as in a node that Slicer has read: as a right-handed grid."""
    if np.linalg.det(volume.stored_index_to_lps[:3, :3]) > 0:
        return volume
    first, *others = volume.stored_flipped
    return replace(volume, stored_flipped=(not first, *others))
