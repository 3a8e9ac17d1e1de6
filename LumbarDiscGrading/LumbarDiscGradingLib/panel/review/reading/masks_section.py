"""Masks of the case that is read: drawn, renamed together, and pre-filled by a model where the protocol allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.reading_task import ReadingTask
from ....pfirrmann import LISTED_LEVELS
from ....scene.study.case_scene import CaseScene
from ....scene.study.levels import moved_levels, relabeled
from ...shared.refusals import refusals_told
from ..case.drawing import DiscDrawing
from ..case.save_state import Outcome, SaveState
from .prefill import Prefill


class MasksSection(DiscDrawing):
    """Draws, renames and pre-fills masks.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
        Gives the model that pre-fills, where the protocol allows it.
    save, changed, edit_mode, select, say
        As for `DiscDrawing`; `changed` is called after levels moved, too.
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
        hint = _(
            "Editing masks: keys 1, 2, … choose effects, Q and W the disc, Z undoes; each stroke is saved. "
            "M ends editing."
        )
        widgets = ui.readingEditorWidget, ui.editMasksButton, ui.editModeLabel
        super().__init__(*widgets, hint, save, changed, edit_mode, select, say)
        self.ui = ui
        self.prefill = Prefill(ui, logic, self._prefilled, say)
        ui.renameButton.connect("clicked()", self._rename_clicked)
        ui.prefillButton.connect("clicked()", self._prefill_clicked)

    def show(self, work: CaseAtHand | None, scene: CaseScene | None) -> None:
        """Take up a work and its place in the scene, or none."""
        self.prefill.cancel()
        super().show(work, scene)
        self.update()

    def update(self, level: str | None = None) -> None:
        """Show what can be done with the masks; the disc of a level is selected."""
        if level is not None:
            self.level = level
        work = self.work
        can_draw = work is not None and work.can_draw and self.scene is not None
        self.ui.readMasksWidget.visible = can_draw
        self.ui.prefillButton.visible = can_draw and isinstance(work, ReadingTask) and work.can_prefill
        if not can_draw:
            self.stop()
            return
        combo = self.ui.renameComboBox
        combo.clear()
        for name in LISTED_LEVELS:
            combo.addItem(name)
        combo.setCurrentIndex(combo.findText(self.level or ""))
        self.ui.renameButton.enabled = combo.enabled = self.level in work.drawn_levels
        if self.level is not None:
            self.select(self.level)

    def close(self) -> None:
        """End with the panel."""
        self.prefill.close()

    # -- what happens

    def _say_what_is_no_disc(self, names: tuple[str, ...]) -> None:
        added = [name for name in names if name in LISTED_LEVELS]
        if not added:
            super()._say_what_is_no_disc(names)
            return
        text = _(
            "{segments}: added beside the segments of this case, so it is not saved; draw into one that was there "
            "and give it that level with Rename disc."
        )
        self._say(text.format(segments=", ".join(added)))

    def _rename_clicked(self) -> None:
        work, new = self.work, self.ui.renameComboBox.currentText
        if work is None or self.level is None or new in ("", self.level) or not self.flush():
            return
        with refusals_told(self._say):
            self._rename(moved_levels(work.drawn_levels, self.level, new))

    def _rename(self, moved: dict[str, str]) -> None:
        if self._save.save_by(self.work.rename, moved, relabeled(self.work.masks, moved)) is Outcome.REFUSED:
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
            self._edit()

    def _prefill_clicked(self) -> None:
        if isinstance(self.work, ReadingTask) and self.work.can_prefill and self.scene is not None and self.flush():
            viewed = self.scene.viewed_slice()
            index = self.work.slice_index if viewed is None else viewed
            self.prefill.start(self.work.volume, index)

    def _prefilled(self, masks: Any, model_sha256: str) -> None:
        work = self.work
        if not isinstance(work, ReadingTask) or not self.flush():
            return
        if self._save.save_by(work.case.prefill_masks, masks, model_sha256) is not Outcome.REFUSED:
            self.rewrite()
            self._changed()
