"""`OwnContour`: where neither reading is right, the adjudicator draws the disc; each stroke is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _

from ....annotation.errors import StudyError
from ....pfirrmann import DISC_LABELS
from ....scene.study.adjudication import AdjudicationScene
from ...shared.mask_editor import MaskEditor
from ..case.save_state import SaveState
from ..reading.masks_section import EFFECTS, READY_EFFECT, SAVE_DELAY_MS
from .work import AdjudicationWork


class OwnContour:
    """Draws own contours with the embedded Segment Editor.

    Parameters
    ----------
    ui : object
        The section's widgets by name.
    save : SaveState
    drawn : callable
        Called after a contour was saved.
    edit_mode : callable
        Called after drawing has begun or ended.
    say : callable
        Tells the adjudicator a sentence.
    """

    def __init__(
        self,
        ui: Any,
        save: SaveState,
        drawn: Callable[[], None],
        edit_mode: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.ui, self._save, self._drawn, self._edit_mode, self._say = ui, save, drawn, edit_mode, say
        self.work: AdjudicationWork | None = None
        self.scene: AdjudicationScene | None = None
        self.level: str | None = None
        self._writing = False
        self._observations: list[tuple[Any, int]] = []
        self._editor = MaskEditor(ui.adjudicationEditorWidget, EFFECTS)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_DELAY_MS)
        self._timer.connect("timeout()", self.flush)
        ui.ownContourButton.connect("toggled(bool)", self._toggled)

    @property
    def editing(self) -> bool:
        """Whether the Segment Editor is on."""
        return self._editor.active

    @property
    def pending(self) -> bool:
        """Whether a stroke waits to be saved."""
        return self._timer.isActive()

    def show(self, work: AdjudicationWork | None, scene: AdjudicationScene | None) -> None:
        """Take up an adjudication and its place in the scene, or none."""
        self.stop()
        self._timer.stop()
        for observed, tag in self._observations:
            observed.RemoveObserver(tag)
        self._observations = []
        self.work, self.scene = work, scene
        if scene is not None and work is not None and work.can_draw:
            self._observations = scene.observe_strokes(self._stroke)

    def select(self, level: str) -> None:
        """Draw the disc of another level."""
        self.level = level
        if self.editing:
            self._editor.select(level)

    def toggle(self) -> None:
        """Begin or end drawing, as the button does."""
        if self.work is not None and self.work.can_draw:
            self.ui.ownContourButton.checked = not self.ui.ownContourButton.checked

    def stop(self) -> None:
        """End drawing; what was drawn is saved."""
        if self.editing:
            self._editor.stop()
            self.flush()
            self._edit_mode()
        self.ui.ownContourButton.checked = False
        self.ui.ownContourLabel.visible = False

    def flush(self) -> bool:
        """Save what is drawn and not saved yet; returns whether everything drawn is on the disk."""
        self._timer.stop()
        work, scene = self.work, self.scene
        if work is None:
            return True
        if scene is None or not work.can_draw or not scene.is_alive():
            return not work.unsaved
        masks = scene.masks()
        if np.array_equal(masks, work.masks):
            self._save.refresh()
            return not work.unsaved
        saved = False
        try:
            saved = self._save.attempt(lambda: work.save_masks(masks))
        except StudyError as error:
            self._say(work.plain(str(error)))
        self._drawn()
        return saved

    def rewrite(self) -> None:
        """Show in the scene what is settled."""
        work, scene = self.work, self.scene
        if work is None or scene is None or not work.can_draw or not scene.is_alive():
            return
        self._writing = True
        scene.write_masks(work.masks)
        self._writing = False

    def _stroke(self, caller: Any, event: str) -> None:
        if not self._writing and self.work is not None:
            self._save.changing()
            if not self._timer.isActive():
                self._timer.start()

    def _toggled(self, edit: bool) -> None:
        if not edit:
            self.stop()
            return
        if self.editing:
            return
        if self.work is None or not self.work.can_draw or self.scene is None or self.level not in DISC_LABELS:
            self.ui.ownContourButton.checked = False
            return
        self._editor.start(self.scene.segmentationNode, self.scene.volumeNode, self.level, READY_EFFECT)
        self.ui.ownContourLabel.text = _(
            "Drawing {level}: keys 1, 2, … choose effects, Z undoes; each stroke is saved. M ends drawing."
        ).format(level=self.level)
        self.ui.ownContourLabel.visible = True
        self._edit_mode()
