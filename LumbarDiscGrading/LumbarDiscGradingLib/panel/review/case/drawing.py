"""`DiscDrawing`: the discs of the open case are drawn with the embedded Segment Editor, and each stroke is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.decisions import Decisions
from ....pfirrmann import DISC_LABELS
from ....scene.study.case_scene import CaseScene
from ...shared.mask_editor import MaskEditor
from ...shared.timers import every, once_after
from .save_state import Outcome, SaveState
from .words import disc_color

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


class DiscDrawing:
    """Draws discs and saves them.

    Parameters
    ----------
    editor : qMRMLSegmentEditorWidget
    button : QPushButton
        Checked while discs are drawn.
    label : QLabel
        Shown while discs are drawn.
    hint : str
        What it says; ``{level}`` stands for the disc that is drawn.
    save : SaveState
    changed : callable
        Called after masks were saved.
    edit_mode : callable
        Called after drawing has begun or ended.
    select : callable
        Called with the level of the disc that is selected in the editor.
    say : callable
        Tells the reader a sentence.
    """

    def __init__(
        self,
        editor: Any,
        button: Any,
        label: Any,
        hint: str,
        save: SaveState,
        changed: Callable[[], None],
        edit_mode: Callable[[], None],
        select: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._button, self._label, self._hint, self._save = button, label, hint, save
        self._changed, self._edit_mode, self._select, self._say = changed, edit_mode, select, say
        self.work: CaseAtHand | None = None
        self.scene: CaseScene | None = None
        self.level: str | None = None
        self._observations: list[tuple[Any, int]] = []
        self._writing = False
        self._seen: Any = None
        self._editor = MaskEditor(editor, EFFECTS)
        self._timer = once_after(SAVE_DELAY_MS, self.flush)
        self._look_timer = every(LOOK_MS, self._look)
        button.connect("toggled(bool)", self._toggled)

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

    def show(self, work: CaseAtHand | None, scene: CaseScene | None) -> None:
        """Take up a case and its place in the scene, or none."""
        self.stop()
        for observed, tag in self._observations:
            observed.RemoveObserver(tag)
        self._observations = []
        self._timer.stop()
        self._look_timer.stop()
        self.work, self.scene = work, scene
        if scene is not None and scene.segmentationNode is not None:
            self._observations = scene.observe_strokes(self._stroke)
            self._seen = scene.stamp()
            self._look_timer.start()

    def select(self, level: str) -> None:
        """Draw the disc of another level."""
        self.level = level
        if self.editing:
            self._editor.select(level)

    def toggle(self) -> None:
        """Begin or end drawing, as the button does."""
        if self.work is not None and self.work.can_draw:
            self._button.checked = not self._button.checked

    def start(self) -> None:
        """Begin drawing the selected disc."""
        self._button.checked = True

    def stop(self) -> None:
        """End drawing; what was drawn is saved."""
        if self.editing:
            self._editor.stop()
            self.flush()
            self._edit_mode()
        self._button.checked = False
        self._label.visible = False

    def flush(self) -> bool:
        """Save what is drawn and not saved yet; returns whether everything drawn is on the disk."""
        self._timer.stop()
        work, scene = self.work, self.scene
        if work is None or scene is None or scene.segmentationNode is None or not scene.is_alive():
            return work is None or not work.has_unsaved
        self._seen = scene.stamp()
        self._say_what_is_no_disc(scene.other_segments)
        masks = scene.masks()
        if np.array_equal(masks, work.masks):
            self._save.refresh()
            return not work.has_unsaved
        if not work.can_draw:
            self.rewrite()
            self._save.refresh()
            return True
        before = work.drawn_levels
        outcome = self._save.save_by(work.set_masks, masks)
        if outcome is not Outcome.REFUSED:
            self._say_what_is_gone(before)
        if isinstance(work, Decisions) and not np.array_equal(work.masks, masks):
            self.rewrite()
        self._changed()
        return outcome is Outcome.SAVED

    def rewrite(self, moved: Mapping[str, str] | None = None) -> None:
        """Show in the scene what the case has; `moved` as in `CaseScene.write_masks`."""
        work, scene = self.work, self.scene
        if work is None or scene is None or scene.segmentationNode is None or not scene.is_alive():
            return
        self._writing = True
        scene.write_masks(work.masks, {level: disc_color(work, level) for level in DISC_LABELS}, moved)
        self._seen = scene.stamp()
        self._writing = False

    # -- what happens

    def _edit(self) -> None:
        node, volume = self.scene.segmentationNode, self.scene.volumeNode
        self._editor.start(node, volume, self.level, READY_EFFECT, self._selected_in_editor)

    def _toggled(self, edit: bool) -> None:
        if not edit:
            self.stop()
        elif self.work is None or not self.work.can_draw or self.scene is None or self.level is None:
            self._button.checked = False
        elif not self.editing:
            self._edit()
            self._label.text = self._hint.format(level=self.level)
            self._label.visible = True
            self._edit_mode()

    def _selected_in_editor(self, segment: str) -> None:
        if segment in DISC_LABELS and segment != self.level:
            self._select(segment)

    def _look(self) -> None:
        if self.scene is not None and self.scene.is_alive() and self.scene.stamp() != self._seen:
            self._stroke()

    def _stroke(self, caller: Any = None, event: str = "") -> None:
        if self._writing or self.work is None:
            return
        self._save.changing()
        if not self._timer.isActive():
            self._timer.start()

    def _say_what_is_no_disc(self, names: tuple[str, ...]) -> None:
        if names:
            text = _("{segments}: no disc level, so it is not saved; draw into the segment of a level instead.")
            self._say(text.format(segments=", ".join(names)))

    def _say_what_is_gone(self, before: tuple[str, ...]) -> None:
        """Say which discs had a contour and have none any more: an effect may wipe more than was meant."""
        gone = [level for level in before if level not in self.work.drawn_levels]
        if gone:
            text = _("{levels} has no contour any more: Z takes that back while masks are edited, else draw it again.")
            self._say(text.format(levels=", ".join(gone)))
