"""The section Correct: grade, level and mask of the selected disc, each change visible and undoable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ...grading.corrections import Correction, DiscRemoved, GradeSet, LevelSet, NotAssessable, possible_levels
from ...grading.result import DiscGrade
from ...imaging.volume import ImagingError
from ...pfirrmann import GRADES
from ...scene.graded_case import GradedCase
from ..shared.mask_editor import MaskEditor
from ..shared.refusals import refusals_told
from ..shared.scroll_to_top import scroll_to_top
from ..shared.shortcuts import bind
from ..shared.timers import once_after

SCROLL_MS = 50
"""After the editor was shown, until the panel is laid out with it."""
EFFECTS = ["Paint", "Draw", "Erase", "Scissors", "Islands", "Smoothing"]
"""What is useful on one slice; the others of the Segment Editor are left out."""


class CorrectSection:
    """Changes the case that is shown.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    corrected : callable
        Called after the case has changed, with the level to be selected then.
    regrade : callable
        Called with the case and the levels whose masks are to be graded again; returns whether that has begun.
    add : callable
        Called with the case, a missing level and the segment that was drawn for it, which is to be graded; returns
        whether that has begun.
    find : callable
        Called with a missing level that is to be looked for again.
    use_slice : callable
        Called with the level of a disc that is to be graded on the slice that is shown.
    """

    def __init__(
        self,
        ui: Any,
        corrected: Callable[[str | None], None],
        regrade: Callable[[GradedCase, tuple[str, ...]], bool],
        add: Callable[[GradedCase, str, str], bool],
        find: Callable[[str], None],
        use_slice: Callable[[str], None],
    ) -> None:
        self._use_slice = use_slice
        self.ui, self._corrected, self._regrade, self._add, self._find = ui, corrected, regrade, add, find
        self.case: GradedCase | None = None
        self.level: str | None = None
        self.missing_level: str | None = None
        self._edited: str | None = None
        self._sketch: str | None = None
        self._allowed = True
        self._shortcuts = self._make_shortcuts()
        for grade in GRADES:
            getattr(ui, f"grade{grade}Button").connect("clicked()", self._grade_setter(grade))
        ui.notAssessableButton.connect("clicked()", self._mark_not_assessable)
        ui.setLevelButton.connect("clicked()", self._set_level)
        ui.editMaskButton.connect("toggled(bool)", self._edit_toggled)
        ui.regradeButton.connect("clicked()", self._regrade_clicked)
        ui.undoButton.connect("clicked()", self.undo)
        ui.noDiscButton.connect("clicked()", self._take_out)
        ui.findDiscButton.connect("clicked()", self._find_missing)
        ui.useSliceButton.connect("clicked()", self._use_viewed_slice)
        ui.drawDiscButton.connect("toggled(bool)", self._draw_toggled)
        ui.levelComboBox.connect("currentIndexChanged(int)", self._show_renaming)
        self._editor = MaskEditor(ui.segmentEditorWidget, EFFECTS)
        self._scroll_soon = once_after(SCROLL_MS, lambda: scroll_to_top(ui.correctWidget))

    @property
    def edited_level(self) -> str | None:
        """Level of the disc whose mask is being edited."""
        return self._edited

    @property
    def sketch(self) -> str | None:
        """Segment in which a missing disc is being drawn."""
        return self._sketch

    @property
    def editing(self) -> bool:
        """Whether a mask is being edited."""
        return self._edited is not None

    def show(
        self, case: GradedCase | None, level: str | None, missing_level: str | None = None, allowed: bool = True
    ) -> None:
        """Show what can be changed of the selected disc, or of a missing level; while something runs nothing can.

        Parameters
        ----------
        case : GradedCase or None
        level : str or None
            Of the selected disc.
        missing_level : str or None
            Of the selected row, where no disc was found.
        allowed : bool
        """
        wanted = missing_level if self._sketch else level
        if self.editing and (case is not self.case or wanted != self._edited) and self.stop_editing():
            return  # what was drawn is graded now, and that has shown everything anew
        self.case, self.level, self.missing_level, self._allowed = case, level, missing_level, allowed
        disc = case.result.disc(level) if case is not None and level else None
        self.ui.correctWidget.visible = case is not None
        self.ui.correctWidget.enabled = case is not None and allowed
        self.ui.selectedDiscLabel.text = self._title(disc)
        self.ui.gradeButtonsWidget.enabled = disc is not None  # it stays: what is below does not jump
        for widget in (self.ui.levelComboBox, self.ui.editMaskButton, self.ui.noDiscButton):
            widget.visible = missing_level is None
            widget.enabled = disc is not None
        self.ui.useSliceButton.visible = disc is not None and case.result.volume.slice_count > 1
        for widget in (self.ui.findDiscButton, self.ui.drawDiscButton):
            widget.visible = missing_level is not None
        self.ui.regradeButton.visible = self.editing or bool(self.drawn_levels)
        self._list_levels(disc.level if disc is not None else None)
        self._show_renaming()
        self._show_changes()
        self._enable_shortcuts()

    def _title(self, disc: DiscGrade | None) -> str:
        if self.missing_level is not None:
            return _("{level} was not found: look for it again, or draw it.").format(level=self.missing_level)
        if disc is None:
            return _("Select a disc in the table or click it in a slice view.")
        return _("{level}: keys 1 to 5 set its grade, 0 not assessable.").format(level=disc.level)

    def undo(self) -> None:
        """Take the last change back."""
        if self.case is None or not self._allowed:
            return
        if self._sketch is not None:
            self.stop_editing(keep=False)
            self._corrected(None)
            return
        if self.drawn_levels:
            self.take_masks_back()
            return
        self.stop_editing()
        with refusals_told(self._refused):
            undone = self.case.undo()
            if undone is not None:
                self._corrected(undone.level)
                self.ui.statusLabel.text = _("The last change was taken back.")

    def take_masks_back(self) -> None:
        """Show the masks as they were graded, whatever was drawn since."""
        self.stop_editing(keep=False)
        with refusals_told(self._refused):
            self.case.rewrite()
            self._corrected(self.level)
            self.ui.statusLabel.text = _("The masks are as they were graded.")

    def _refused(self, why: str) -> None:
        """Tell why nothing was changed, and show the case as it is."""
        self._corrected(self.level)
        self.ui.statusLabel.text = why

    def set_grade(self, grade: int) -> None:
        """Set the Pfirrmann grade of the selected disc."""
        if self.level is not None:
            self.correct(GradeSet(self.level, grade))

    def correct(self, correction: Correction) -> None:
        """Apply a correction; where it is not possible the user hears why."""
        if self.case is None or not self._allowed or self.finish_first():
            return
        self.stop_editing()
        with refusals_told(self._refused):
            self.case.correct(correction)
            self.ui.statusLabel.text = ""
            self._corrected(correction.new_level if isinstance(correction, LevelSet) else correction.level)

    @property
    def drawn_levels(self) -> tuple[str, ...]:
        """Levels whose masks were drawn, here or in another module, and have not been graded since."""
        return self.case.drawn_levels() if self.case is not None and self.case.is_alive() else ()

    def finish_first(self) -> bool:
        """Tell the user to finish a drawn mask, so that nothing drawn is lost, and return whether there is one."""
        levels = self.drawn_levels
        if self._sketch is not None:
            self.ui.statusLabel.text = _("{level} is being drawn: click Draw it once more first, or undo.").format(
                level=self._edited
            )
        elif levels:
            text = _("The mask of {levels} was changed: click Re-grade disc first, or undo.")
            self.ui.statusLabel.text = text.format(levels=", ".join(levels))
        return self._sketch is not None or bool(levels)

    def stop_editing(self, keep: bool = True) -> bool:
        """Leave the mask editor, its keys and its hold on the views.

        Parameters
        ----------
        keep : bool
            A mask that was drawn is graded, which keeps it as a change that can be undone; one that cannot be graded
            now stays drawn, an empty one is taken back. Without it everything drawn is taken back.

        Returns
        -------
        bool
            Whether it is being graded.
        """
        if not self.editing:
            return False
        if self._sketch is not None:
            return self._stop_drawing(keep)
        drawn = self.drawn_levels
        self._leave_editor()
        if not drawn:
            return False
        if not keep:
            self._rewrite()
            return False
        empty = tuple(level for level in drawn if not self.case.drawn_mask(level).any())
        rest = tuple(level for level in drawn if level not in empty)
        if rest and self._regrade(self.case, rest):
            return True
        if empty:
            self._rewrite(keep=rest)
            text = _("The mask of {levels} is empty on the graded slice, so it is as it was graded again.")
            self.ui.statusLabel.text = text.format(levels=", ".join(empty))
        self._corrected(self.level)
        return False

    def _leave_editor(self) -> None:
        self._edited = self._sketch = None
        self._editor.stop()
        self.ui.editMaskButton.checked = self.ui.drawDiscButton.checked = False
        self.ui.regradeButton.visible = False
        self._enable_shortcuts()

    def _stop_drawing(self, keep: bool) -> bool:
        """Leave the editor of a disc that was missing; returns whether what was drawn is being graded."""
        level, sketch = self._edited, self._sketch
        self._leave_editor()
        if not self.case.is_alive():
            return False
        if keep and self.case.foreign_mask(sketch).any():
            return self._add(self.case, level, sketch)
        self.case.end_sketch(level)
        if keep:
            self.ui.statusLabel.text = _("Nothing was drawn on the graded slice, so {level} is still missing.").format(
                level=level
            )
        return False

    def _rewrite(self, keep: tuple[str, ...] = ()) -> None:
        with contextlib.suppress(ImagingError):  # of a changed volume, which is said where it is found
            self.case.rewrite(keep)

    def close(self) -> None:
        """Let go of the scene and of the keys."""
        self._scroll_soon.stop()
        self.stop_editing(keep=False)
        for shortcut in self._shortcuts.values():
            shortcut.enabled = False
        self.case = self.level = None

    # -- what is shown

    def _list_levels(self, level: str | None) -> None:
        combo = self.ui.levelComboBox
        blocked = combo.blockSignals(True)  # else what another level needs is shown for a moment
        combo.clear()
        for name in possible_levels(self.case.result, level) if level else ():
            combo.addItem(name)
        if level:
            combo.setCurrentIndex(combo.findText(level))
        combo.blockSignals(blocked)

    def _show_changes(self) -> None:
        discs = self.case.result.discs if self.case is not None else ()
        lines = [f"{disc.level}: {'; '.join(disc.changes)}" for disc in discs if disc.changes]
        self.ui.changesLabel.text = "\n".join([_("Changed by a reader:"), *lines]) if lines else ""
        self.ui.changesLabel.visible = bool(lines)
        changed = self.case is not None and bool(self.case.corrections)
        self.ui.undoButton.enabled = changed or self._sketch is not None

    def _make_shortcuts(self) -> dict[str, Any]:
        actions: dict[str, Callable[[], None]] = {str(grade): self._grade_setter(grade) for grade in GRADES}
        actions |= {"0": self._mark_not_assessable, "Del": self._take_out, "F": self._find_missing, "Ctrl+Z": self.undo}
        actions["M"] = self._draw_key
        return {key: bind(self.ui.gradingPage, key, action) for key, action in actions.items()}

    def _enable_shortcuts(self) -> None:
        """Keys 1 to 5 are the Segment Editor's while a mask is edited, and ours otherwise, never both."""
        for shortcut in self._shortcuts.values():
            shortcut.enabled = self.case is not None and self._allowed and not self.editing

    # -- what the user does

    def _grade_setter(self, grade: int) -> Callable[[], None]:
        return lambda: self.set_grade(grade)

    def _mark_not_assessable(self) -> None:
        if self.level is not None:
            self.correct(NotAssessable(self.level))

    def _set_level(self) -> None:
        new = self.ui.levelComboBox.currentText
        if self.level is not None and new and new != self.level:
            self.correct(LevelSet(self.level, new, bool(self.ui.keepBelowCheckBox.checked)))

    def _edit_toggled(self, edit: bool) -> None:
        if not edit:
            self.stop_editing()
        elif self.case is None or self.level is None or not self._allowed:
            self.ui.editMaskButton.checked = False
        else:
            self._start_editing()

    def _take_out(self) -> None:
        if self.level is not None:
            self.correct(DiscRemoved(self.level))

    def _find_missing(self) -> None:
        if self.missing_level is not None and not self.finish_first():
            self.stop_editing()
            self._find(self.missing_level)

    def _use_viewed_slice(self) -> None:
        if self.level is not None and not self.finish_first():
            self.stop_editing()
            self._use_slice(self.level)

    def _draw_toggled(self, draw: bool) -> None:
        if not draw:
            self.stop_editing()
        elif self.missing_level is None or not self._allowed or self.finish_first():
            self.ui.drawDiscButton.checked = False
        elif not self.editing:
            self._edited, self._sketch = self.missing_level, self.case.begin_sketch(self.missing_level)
            self.ui.undoButton.enabled = True
            self._enable_shortcuts()
            self._editor.start(self.case.segmentationNode, self.case.volumeNode, self._sketch, "Draw")
            self._scroll_soon.start()

    def _draw_key(self) -> None:
        (self.ui.editMaskButton if self.missing_level is None else self.ui.drawDiscButton).checked = True

    def _show_renaming(self) -> None:
        """Offer to name the disc otherwise where another level is chosen."""
        other = self.level is not None and self.ui.levelComboBox.currentText not in ("", self.level)
        self.ui.setLevelButton.visible = self.ui.keepBelowCheckBox.visible = other

    def _start_editing(self) -> None:
        self._edited = self.level
        self._enable_shortcuts()
        self.ui.regradeButton.visible = True
        self._editor.start(self.case.segmentationNode, self.case.volumeNode, self.case.segment_id(self.level))
        self._scroll_soon.start()

    def _regrade_clicked(self) -> None:
        drawn = self.drawn_levels
        if not drawn:
            self.ui.statusLabel.text = _("No mask has been changed on the graded slice.")
        elif self.editing:
            self.stop_editing()
        else:
            self._regrade(self.case, drawn)
