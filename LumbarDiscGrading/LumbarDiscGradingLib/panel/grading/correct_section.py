"""The section Correct: grade, level and mask of the selected disc, each change visible and undoable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ...grading.corrections import Correction, GradeSet, LevelSet, NotAssessable, possible_levels
from ...imaging.volume import ImagingError
from ...pfirrmann import GRADES
from ...scene.graded_case import GradedCase
from ..shared.mask_editor import MaskEditor
from ..shared.refusals import refusals_told

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
        Called with the levels whose masks are to be graded again; returns whether that has begun.
    """

    def __init__(
        self, ui: Any, corrected: Callable[[str | None], None], regrade: Callable[[tuple[str, ...]], bool]
    ) -> None:
        self.ui, self._corrected, self._regrade = ui, corrected, regrade
        self.case: GradedCase | None = None
        self.level: str | None = None
        self._edited: str | None = None
        self._allowed = True
        self._shortcuts = self._make_shortcuts()
        for grade in GRADES:
            getattr(ui, f"grade{grade}Button").connect("clicked()", self._grade_setter(grade))
        ui.notAssessableButton.connect("clicked()", self._mark_not_assessable)
        ui.setLevelButton.connect("clicked()", self._set_level)
        ui.editMaskButton.connect("toggled(bool)", self._edit_toggled)
        ui.regradeButton.connect("clicked()", self._regrade_clicked)
        ui.undoButton.connect("clicked()", self.undo)
        ui.correctCollapsibleButton.connect("contentsCollapsed(bool)", self._collapsed)
        self._editor = MaskEditor(ui.segmentEditorWidget, EFFECTS)

    @property
    def edited_level(self) -> str | None:
        """Level of the disc whose mask is being edited."""
        return self._edited

    @property
    def editing(self) -> bool:
        """Whether a mask is being edited."""
        return self._edited is not None

    def show(self, case: GradedCase | None, level: str | None, allowed: bool = True) -> None:
        """Show what can be changed of the selected disc; while something runs nothing can."""
        if self.editing and (case is not self.case or level != self._edited) and self.stop_editing():
            return  # what was drawn is graded now, and that has shown everything anew
        self.case, self.level, self._allowed = case, level, allowed
        disc = case.result.disc(level) if case is not None and level else None
        self.ui.correctCollapsibleButton.enabled = case is not None and allowed
        if disc is None:
            self.ui.selectedDiscLabel.text = _("Select a disc in the table or click it in a slice view.")
        else:
            self.ui.selectedDiscLabel.text = _("Selected: {level}. Keys 1 to 5 set its grade.").format(level=disc.level)
        widgets = [getattr(self.ui, f"grade{grade}Button") for grade in GRADES]
        widgets += [self.ui.notAssessableButton, self.ui.levelComboBox, self.ui.setLevelButton]
        widgets += [self.ui.keepBelowCheckBox, self.ui.editMaskButton]
        for widget in widgets:
            widget.enabled = disc is not None
        self.ui.regradeButton.enabled = case is not None
        self._list_levels(disc.level if disc is not None else None)
        self._show_changes()
        self._enable_shortcuts()

    def undo(self) -> None:
        """Take the last change back."""
        if self.case is None or not self._allowed:
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
        if levels:
            text = _("The mask of {levels} was changed: click Re-grade disc first, or undo.")
            self.ui.statusLabel.text = text.format(levels=", ".join(levels))
            self.ui.correctCollapsibleButton.collapsed = False
        return bool(levels)

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
        drawn = self.drawn_levels
        self._edited = None
        self._editor.stop()
        self.ui.editMaskButton.checked = False
        self._enable_shortcuts()
        if not drawn:
            return False
        if not keep:
            self._rewrite()
            return False
        empty = tuple(level for level in drawn if not self.case.drawn_mask(level).any())
        rest = tuple(level for level in drawn if level not in empty)
        if rest and self._regrade(rest):
            return True
        if empty:
            self._rewrite(keep=rest)
            text = _("The mask of {levels} is empty on the graded slice, so it is as it was graded again.")
            self.ui.statusLabel.text = text.format(levels=", ".join(empty))
        self._corrected(self.level)
        return False

    def _rewrite(self, keep: tuple[str, ...] = ()) -> None:
        with contextlib.suppress(ImagingError):  # of a changed volume, which is said where it is found
            self.case.rewrite(keep)

    def close(self) -> None:
        """Let go of the scene and of the keys."""
        self.stop_editing(keep=False)
        for shortcut in self._shortcuts.values():
            shortcut.enabled = False
        self.case = self.level = None

    # -- what is shown

    def _list_levels(self, level: str | None) -> None:
        combo = self.ui.levelComboBox
        combo.clear()
        for name in possible_levels(self.case.result, level) if level else ():
            combo.addItem(name)
        if level:
            combo.setCurrentIndex(combo.findText(level))

    def _show_changes(self) -> None:
        discs = self.case.result.discs if self.case is not None else ()
        lines = [f"{disc.level}: {'; '.join(disc.changes)}" for disc in discs if disc.changes]
        self.ui.changesLabel.text = "\n".join([_("Changed by a reader:"), *lines]) if lines else ""
        self.ui.changesLabel.visible = bool(lines)
        self.ui.undoButton.enabled = self.case is not None and bool(self.case.corrections)

    def _make_shortcuts(self) -> dict[str, Any]:
        shortcuts = {}
        actions: dict[str, Callable[[], None]] = {str(grade): self._grade_setter(grade) for grade in GRADES}
        actions["Ctrl+Z"] = self.undo
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), self.ui.resultCollapsibleButton)
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)  # nothing is taken from the main window
            shortcut.connect("activated()", action)
            shortcuts[key] = shortcut
        return shortcuts

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

    def _collapsed(self, collapsed: bool) -> None:
        if collapsed:  # the editor and its keys are only there while they can be seen
            self.stop_editing()

    def _start_editing(self) -> None:
        self._edited = self.level
        self._enable_shortcuts()
        self._editor.start(self.case.segmentationNode, self.case.volumeNode, self.case.segment_id(self.level))

    def _regrade_clicked(self) -> None:
        drawn = self.drawn_levels
        if not drawn:
            self.ui.statusLabel.text = _("No mask has been changed on the graded slice.")
        elif self.editing:
            self.stop_editing()
        else:
            self._regrade(drawn)
