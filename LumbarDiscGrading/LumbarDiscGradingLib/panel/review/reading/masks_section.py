"""Masks of the case that is read: drawn with the embedded Segment Editor, saved at each stroke, renamed together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from ....annotation.errors import StudyError
from ....grading.corrections import CorrectionError
from ....pfirrmann import DISC_LABELS, LISTED_LEVELS
from ....scene.study.case_scene import CaseScene
from ....scene.study.levels import moved_levels, relabeled
from ...shared.mask_editor import MaskEditor
from ..case.save_state import SaveState
from ..case.work import ReadingWork, ReviewWork, Work
from .prefill import Prefill

EFFECTS = (
    "Paint",
    "Draw",
    "Erase",
    "Level tracing",
    "Threshold",
    "Grow from seeds",
    "Margin",
    "Smoothing",
    "Islands",
    "Scissors",
)
"""In the order of the editor's keys 1, 2, …"""
READY_EFFECT = "Paint"
SAVE_DELAY_MS = 200
"""A stroke is saved so long after the first change it made."""
LOOK_MS = 500
"""Changes that no event tells of (a segment wiped by an empty stroke) are looked for at this interval."""


class MasksSection:
    """Draws, renames and pre-fills masks.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
        Gives the model that pre-fills, where the protocol allows it.
    save : SaveState
    changed : callable
        Called after masks were saved or levels moved.
    edit_mode : callable
        Called after editing has begun or ended.
    select : callable
        Called with the level of the disc that is selected in the editor.
    say : callable
        Tells the reader a sentence.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        save: SaveState,
        changed: Callable[[], None],
        edit_mode: Callable[[], None],
        select: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self.ui, self._save, self._changed = ui, save, changed
        self._edit_mode, self._select, self._say = edit_mode, select, say
        self.work: Work | None = None
        self.scene: CaseScene | None = None
        self.level: str | None = None
        self._observations: list[tuple[Any, int]] = []
        self._writing = False
        self._editor = MaskEditor(ui.readingEditorWidget, EFFECTS)
        self.prefill = Prefill(ui, logic, self._prefilled, say)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_DELAY_MS)
        self._timer.connect("timeout()", self.flush)
        self._seen: Any = None
        self._look_timer = qt.QTimer()
        self._look_timer.setInterval(LOOK_MS)
        self._look_timer.connect("timeout()", self._look)
        ui.editMasksButton.connect("toggled(bool)", self._edit_toggled)
        ui.renameButton.connect("clicked()", self._rename_clicked)
        ui.prefillButton.connect("clicked()", self._prefill_clicked)

    @property
    def editing(self) -> bool:
        """Whether the Segment Editor is on."""
        return self._editor.active

    @property
    def pending(self) -> bool:
        """Whether something was drawn that is not saved yet."""
        drawn = self.scene is not None and bool(self._observations) and self.scene.is_alive()
        return self._timer.isActive() or (drawn and self.scene.stamp() != self._seen)

    @property
    def takes_clicks(self) -> bool:
        """Whether clicks in the views belong to an effect of the editor."""
        return self._editor.effect_active

    def show(self, work: Work | None, scene: CaseScene | None) -> None:
        """Take up a work and its place in the scene, or none."""
        self.stop_editing()
        self._unobserve()
        self.prefill.cancel()
        self.work, self.scene = work, scene
        if scene is not None and scene.segmentationNode is not None:
            self._observations = scene.observe_strokes(self._stroke)
            self._seen = scene.stamp()
            self._look_timer.start()
        self.update()

    def update(self, level: str | None = None) -> None:
        """Show what can be done with the masks; the disc of a level is selected."""
        if level is not None:
            self.level = level
        work = self.work
        can_draw = work is not None and work.can_draw and self.scene is not None
        self.ui.readMasksWidget.visible = can_draw
        self.ui.prefillButton.visible = can_draw and isinstance(work, ReadingWork) and work.can_prefill
        if not can_draw:
            self.stop_editing()
            return
        combo = self.ui.renameComboBox
        combo.clear()
        for name in LISTED_LEVELS:
            combo.addItem(name)
        combo.setCurrentIndex(combo.findText(self.level or ""))
        drawn = self.level in work.drawn_levels
        self.ui.renameButton.enabled = combo.enabled = drawn
        if self.editing and self.level is not None:
            self._editor.select(self.level)

    def _say_what_is_no_disc(self, names: tuple[str, ...]) -> None:
        added = [name for name in names if name in LISTED_LEVELS]
        if added:
            text = _(
                "{segments}: added beside the segments of this case, so it is not saved; draw into one that was there "
                "and give it that level with Rename disc."
            )
            self._say(text.format(segments=", ".join(added)))
        elif names:
            text = _("{segments}: no disc level, so it is not saved; draw into the segment of a level instead.")
            self._say(text.format(segments=", ".join(names)))

    def _say_what_is_gone(self, before: tuple[str, ...]) -> None:
        """Say which discs had a contour and have none any more: an effect may wipe more than was meant."""
        gone = [level for level in before if level not in self.work.drawn_levels]
        if gone:
            text = _("{levels} has no contour any more: Z takes that back while masks are edited, else draw it again.")
            self._say(text.format(levels=", ".join(gone)))

    def flush(self) -> bool:
        """Save what is drawn and not saved yet; returns whether everything drawn is on the disk."""
        self._timer.stop()
        work, scene = self.work, self.scene
        if work is None or scene is None or scene.segmentationNode is None or not scene.is_alive():
            return work is None or not work.unsaved
        self._seen = scene.stamp()
        self._say_what_is_no_disc(scene.other_segments)
        masks = scene.masks()
        if np.array_equal(masks, work.masks):
            self._save.refresh()
            return not work.unsaved
        if not work.can_draw:
            self.rewrite()
            return True
        saved, before = False, work.drawn_levels
        try:
            saved = self._save.attempt(lambda: work.save_masks(masks))
            self._say_what_is_gone(before)
        except StudyError as error:
            self._say(work.plain(str(error)))
        if isinstance(work, ReviewWork) and not np.array_equal(work.masks, masks):
            self.rewrite()
        self._changed()
        return saved

    def rewrite(self, moved: Mapping[str, str] | None = None) -> None:
        """Show in the scene what the work has; `moved` as in `CaseScene.write_masks`."""
        if self.scene is None or self.work is None or self.scene.segmentationNode is None:
            return
        self._writing = True
        colors = {level: self.work.color(level) for level in DISC_LABELS}
        self.scene.write_masks(self.work.masks, colors, moved)
        self._seen = self.scene.stamp()
        self._writing = False

    def toggle_editing(self) -> None:
        """Begin or end editing, as the button does."""
        if self.work is not None and self.work.can_draw:
            self.ui.editMasksButton.checked = not self.ui.editMasksButton.checked

    def start_editing(self) -> None:
        """Begin editing the selected disc."""
        if not self.editing:
            self.ui.editMasksButton.checked = True

    def stop_editing(self) -> None:
        """End editing; what was drawn is saved."""
        if self.editing:
            self._editor.stop()
            self.flush()
            self._edit_mode()
        self.ui.editMasksButton.checked = False
        self.ui.editModeLabel.visible = False

    def close(self) -> None:
        """Let go of everything."""
        self.stop_editing()
        self._timer.stop()
        self._unobserve()
        self.prefill.close()
        self.work = self.scene = None

    # -- what happens

    def _unobserve(self) -> None:
        for observed, tag in self._observations:
            observed.RemoveObserver(tag)
        self._observations = []
        self._timer.stop()
        self._look_timer.stop()

    def _look(self) -> None:
        if self.scene is not None and self.scene.is_alive() and self.scene.stamp() != self._seen:
            self._stroke()

    def _stroke(self, caller: Any = None, event: str = "") -> None:
        if self._writing or self.work is None:
            return
        self._save.changing()
        if not self._timer.isActive():
            self._timer.start()

    def _edit_toggled(self, edit: bool) -> None:
        if not edit:
            self.stop_editing()
            return
        if self.work is None or not self.work.can_draw or self.scene is None or self.level is None:
            self.ui.editMasksButton.checked = False
            return
        if self.editing:
            return
        node, volume = self.scene.segmentationNode, self.scene.volumeNode
        self._editor.start(node, volume, self.level, READY_EFFECT, self._selected_in_editor)
        self.ui.editModeLabel.text = _(
            "Editing masks: keys 1, 2, … choose effects, Q and W the disc, Z undoes; each stroke is saved. "
            "M ends editing."
        )
        self.ui.editModeLabel.visible = True
        self._edit_mode()

    def _selected_in_editor(self, segment: str) -> None:
        if segment in DISC_LABELS and segment != self.level:
            self._select(segment)

    def _rename_clicked(self) -> None:
        work, new = self.work, self.ui.renameComboBox.currentText
        if work is None or self.level is None or new in ("", self.level) or not self.flush():
            return
        try:
            moved = moved_levels(work.drawn_levels, self.level, new)
            self._save.attempt(lambda: work.rename(moved, relabeled(work.masks, moved)))
        except (CorrectionError, StudyError) as error:
            self._say(work.plain(str(error)))
            return
        self._say("")
        self._say_what_is_no_disc(self.scene.other_segments)
        editing = self.editing
        if editing:
            self._editor.stop()
        self.rewrite(moved)
        self._changed()
        self._select(moved[self.level])
        if editing:
            self._editor.start(
                self.scene.segmentationNode, self.scene.volumeNode, self.level, READY_EFFECT, self._selected_in_editor
            )

    def _prefill_clicked(self) -> None:
        if isinstance(self.work, ReadingWork) and self.work.can_prefill and self.scene is not None and self.flush():
            viewed = self.scene.viewed_slice()
            index = self.work.slice_index if viewed is None else viewed
            self.prefill.start(self.work.volume, index)

    def _prefilled(self, masks: Any, model_sha256: str) -> None:
        work = self.work
        if not isinstance(work, ReadingWork) or not self.flush():
            return
        try:
            self._save.attempt(lambda: work.prefill(masks, model_sha256))
        except StudyError as error:
            self._say(work.plain(str(error)))
            return
        self.rewrite()
        self._changed()
