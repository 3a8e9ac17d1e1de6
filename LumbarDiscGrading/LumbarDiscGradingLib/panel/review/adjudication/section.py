"""`AdjudicationSection`: two readings that disagree, side by side, and what the adjudicator decides disc by disc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ....annotation.disc_grading import NOT_ASSESSABLE
from ....annotation.protocol import Task
from ....annotation.work.adjudication import Adjudication
from ....pfirrmann import GRADES
from ....resources import resource_path
from ....scene.study.adjudication import AdjudicationScene
from ..case.case_section import CaseSection
from ..case.drawing import DiscDrawing
from ..case.save_state import Outcome
from ..key_bindings import KeyBindings
from .reason import ReasonField
from .table import DisagreementTable

ALWAYS, DECIDING = "always", "deciding"
"""Groups of keys: while a case is open; while discs may be decided and none is drawn."""


class AdjudicationSection(CaseSection):
    """Shows the disagreements of a case and takes the decisions.

    The readings are A and B, never names: which of them is A is drawn anew for each case.

    Parameters
    ----------
    container : QWidget
        The section is put into its layout and hidden while nothing is open.
    signed : callable
        Called after an adjudication was signed: the next one is to be opened.

    Examples
    --------
    >>> section = AdjudicationSection(container, open_next)  # doctest: +SKIP
    >>> section.open(session, session.next_item(Task.MASKS, Duty.ADJUDICATE))  # doctest: +SKIP
    >>> section.enter()  # doctest: +SKIP
    """

    work: Adjudication | None
    scene: AdjudicationScene | None

    def __init__(self, container: Any, signed: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "Adjudication.ui")))
        layout = container.layout()
        (layout if layout is not None else qt.QVBoxLayout(container)).addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        ui = slicer.util.childWidgetVariables(self.widget)
        buttons = ui.signAdjudicationButton, ui.reopenAdjudicationButton
        super().__init__(ui, ui.adjudicationMessageLabel, *buttons, signed)
        self.table = DisagreementTable(ui, self._disc_selected)
        self.reason = ReasonField(ui.reasonComboBox, self._reason_given)
        self.drawing = DiscDrawing(
            ui.adjudicationEditorWidget,
            ui.ownContourButton,
            ui.ownContourLabel,
            _("Drawing {level}: keys 1, 2, … choose effects, Z undoes; each stroke is saved. M ends drawing."),
            self.save,
            self._show_all,
            self._show_keys,
            self._select,
            self.say,
        )
        self.keys = KeyBindings(container, self._key_actions())
        ui.chooseAButton.connect("clicked()", lambda: self.choose("A"))
        ui.chooseBButton.connect("clicked()", lambda: self.choose("B"))
        for grade in GRADES:
            getattr(ui, f"ownGrade{grade}Button").connect("clicked()", self._grade_setter(grade))
        ui.ownNotAssessableButton.connect("clicked()", self._grade_setter(NOT_ASSESSABLE))
        ui.overlayCheckBox.connect("toggled(bool)", self._overlay_toggled)
        self.widget.visible = False

    @property
    def pending(self) -> bool:
        """Whether a stroke or a reason was just made that the case has not been given yet."""
        return self.drawing.pending or self.reason.is_pending(self.work)

    # -- what the adjudicator does

    def choose(self, choice: str, grade: int | None = None) -> None:
        """Settle the selected disc by A, B or an own grade, and save."""
        work, level = self.work, self.table.level
        if work is None or level is None or not work.can_decide:
            return
        self.drawing.stop()
        self._save_by(work.settle, level, choice, self.reason.text_for(level), grade)
        self.drawing.rewrite()
        self._show_all()
        if not work.decision(level).reason:
            self.reason.ask()

    def sign(self) -> None:
        """Sign the adjudication and go on, or say what is missing and select it."""
        work = self.work
        super().sign()
        if work is not None and work is self.work and not work.is_signed and work.open_levels:
            self.table.select(work.open_levels[0])

    def _save_by(self, change: Callable[..., None], *values: Any) -> bool:
        saved = self.save.save_by(change, *values) is Outcome.SAVED
        if saved:
            self.say("")
        return saved

    def _key_actions(self) -> dict[str, dict[str, Callable[[], Any]]]:
        grades = {str(grade): self._grade_setter(grade) for grade in GRADES}
        return {
            ALWAYS: {"Ctrl+Return": self.sign, "Ctrl+Enter": self.sign, "M": self.drawing.toggle},
            DECIDING: {
                **grades,
                "0": self._grade_setter(NOT_ASSESSABLE),
                "A": lambda: self.choose("A"),
                "B": lambda: self.choose("B"),
                "Q": lambda: self.table.step(-1),
                "W": lambda: self.table.step(1),
                "G": self._toggle_shown,
            },
        }

    def _grade_setter(self, grade: int) -> Callable[[], None]:
        def set_grade() -> None:
            if self.work is not None and self.work.item.task is Task.GRADES:
                self.choose("own", grade)

        return set_grade

    def _reason_given(self) -> None:
        work, level, reason = self.work, self.reason.level, self.reason.text
        if work is None or level is None or not self.reason.is_pending(work):
            return
        if self._save_by(work.give_reason, level, reason):
            self.reason.remember(reason)
        self._show_all()
        if not work.open_levels:
            self.say(_("Everything is settled: Ctrl+Return signs and opens the next case."))

    def _overlay_toggled(self, both: bool) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.show_overlay(bool(both))

    # -- what is shown

    def _flush_parts(self) -> None:
        self._reason_given()
        self.drawing.flush()

    def _show_section(self, place: str) -> None:
        self.widget.visible = True
        self.ui.adjudicationCollapsibleButton.collapsed = False

    def _hide_section(self) -> None:
        self.table.show(None)
        self.reason.clear()
        self.restore_layout()
        self.widget.visible = False

    def _make_scene(self) -> AdjudicationScene:
        work = self.work
        case = work.volume, work.item.title, work.levels, work.masks, work.slice_index
        scene = AdjudicationScene(slicer.mrmlScene, *case, work.masks_a, work.masks_b)
        scene.show_overlay(bool(self.ui.overlayCheckBox.checked))
        return scene

    @property
    def _side_by_side(self) -> bool:
        return self.work.task is Task.MASKS

    def _select(self, level: str) -> None:
        if level in self.work.levels:
            self.table.select(level)

    def _show_all(self) -> None:
        work = self.work
        if work is None:
            return
        masks = work.item.task is Task.MASKS
        settled = len(work.levels) - len(work.open_levels)
        self.ui.adjudicationTitleLabel.text = _("<b>{title}</b> - {task}<br>{settled} of {total} settled").format(
            title=work.item.title, task=_(work.item.task.value), settled=settled, total=len(work.levels)
        )
        self.ui.adjudicationViewsLabel.text = _(
            'Left: reading A, <span style="color:#56b4e9">&#9632;</span> blue. Right: reading B, '
            '<span style="color:#f0e442">&#9632;</span> yellow. What is settled is purple in both.'
        )
        self.ui.adjudicationViewsLabel.visible = self.ui.overlayCheckBox.visible = masks
        self.table.show(work)
        self.ui.ownGradeWidget.visible, self.ui.ownContourWidget.visible = not masks, masks
        self.ui.decisionWidget.enabled = work.can_decide
        self.ui.signAdjudicationButton.visible = not work.is_signed
        self.ui.reopenAdjudicationButton.visible = work.is_signed
        if work.is_signed:
            self.say(_("Signed. Reopen it with a reason to change something."))
        self.save.refresh()
        self._show_selected()
        self._show_keys()

    def _show_selected(self) -> None:
        """Show what was decided on the selected disc."""
        work, level = self.work, self.table.level
        if work is None or level is None:
            return
        self.ui.selectedDisagreementLabel.text = self.table.sentence(level)
        decision = work.decision(level)
        self.reason.show(level, decision.reason)
        for letter, button in (("A", self.ui.chooseAButton), ("B", self.ui.chooseBButton)):
            button.text = self.table.accept_text(level, letter, decision.choice == letter)
        self.drawing.select(level)

    def _disc_selected(self, by_user: bool) -> None:
        self._reason_given()
        self._show_selected()
        level, work, scene = self.table.level, self.work, self.scene
        if scene is None or work is None or level is None or not scene.is_alive():
            return
        scene.highlight(level)
        if work.item.task is Task.MASKS:
            overlap = work.disagreement(level).overlap
            scene.center_on_disagreement(level, close_up=overlap is None or not overlap.conflict)
        elif by_user and work.masks is not None:
            scene.center_on(level, work.masks, work.slice_index)

    def _show_keys(self) -> None:
        work = self.work
        if work is None or not self._entered:
            self.keys.enable()
        elif self.drawing.editing or not work.can_decide:
            self.keys.enable(ALWAYS)
        else:
            self.keys.enable(ALWAYS, DECIDING)
