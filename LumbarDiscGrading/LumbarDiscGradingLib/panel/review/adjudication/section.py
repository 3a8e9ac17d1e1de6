"""`AdjudicationSection`: two readings that disagree, side by side, and what the adjudicator decides disc by disc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ....annotation.disc_grading import NOT_ASSESSABLE
from ....annotation.errors import StudyError
from ....annotation.protocol import Task
from ....annotation.work.session import ReaderSession, WorkItem
from ....pfirrmann import GRADES
from ....resources import resource_path
from ....scene.study.adjudication import AdjudicationScene, SideBySideLayout
from ..case.ask_reason import ask_reason
from ..case.confirm_empty import confirm_empty
from ..case.save_state import SaveState
from ..case.work import elsewhere_sentence
from ..key_bindings import KeyBindings
from .drawing import OwnContour
from .reason import ReasonField
from .table import DisagreementTable
from .work import AdjudicationWork

KEEP_ALIVE_MS = 60_000
FIT_DELAY_MS = 100
"""Views have taken their new sizes so long after the layout changed."""
ALWAYS, DECIDING = "always", "deciding"
"""Groups of keys: while a case is open; while discs may be decided and none is drawn."""


class AdjudicationSection:
    """Shows the disagreements of a case and takes the decisions; each is saved at once.

    The readings are A and B, never names: which of them is A is drawn anew for each case.

    Parameters
    ----------
    container : QWidget
        The section is put into its layout and hidden while nothing is open.
    on_done : callable
        Called after an adjudication was signed: the next one is to be opened.

    Examples
    --------
    >>> section = AdjudicationSection(container, open_next)  # doctest: +SKIP
    >>> section.open(session, session.next_item(Task.MASKS, Duty.ADJUDICATE))  # doctest: +SKIP
    >>> section.enter()  # doctest: +SKIP
    """

    def __init__(self, container: Any, on_done: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "Adjudication.ui")))
        layout = container.layout()
        (layout if layout is not None else qt.QVBoxLayout(container)).addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        self._on_done = on_done
        self.work: AdjudicationWork | None = None
        self.scene: AdjudicationScene | None = None
        self._entered = False
        self._layout = SideBySideLayout(slicer.mrmlScene)
        self.save = SaveState(ui, self._flush_parts, self._show_all, lambda: self.drawing.pending)
        self.table = DisagreementTable(ui, self._disc_selected)
        self.reason = ReasonField(ui.reasonComboBox, self._reason_given)
        self.drawing = OwnContour(ui, self.save, self._show_all, self._show_keys, self.say)
        self._alive_timer, self._fit_timer = qt.QTimer(), qt.QTimer()
        self._alive_timer.setInterval(KEEP_ALIVE_MS)
        self._alive_timer.connect("timeout()", self._keep_alive)
        self._fit_timer.setSingleShot(True)
        self._fit_timer.setInterval(FIT_DELAY_MS)
        self._fit_timer.connect("timeout()", self._fit)
        self.keys = KeyBindings(container, self._key_actions())
        ui.chooseAButton.connect("clicked()", lambda: self.choose("A"))
        ui.chooseBButton.connect("clicked()", lambda: self.choose("B"))
        for grade in GRADES:
            getattr(ui, f"ownGrade{grade}Button").connect("clicked()", self._grade_setter(grade))
        ui.ownNotAssessableButton.connect("clicked()", self._grade_setter(NOT_ASSESSABLE))
        ui.overlayCheckBox.connect("toggled(bool)", self._overlay_toggled)
        ui.signAdjudicationButton.connect("clicked()", self.sign)
        ui.reopenAdjudicationButton.connect("clicked()", self._reopen)
        self.widget.visible = False

    # -- the work's life

    @property
    def has_unsaved(self) -> bool:
        """Whether something is not on the disk: a decision that could not be saved, or a stroke or reason just made."""
        if self.work is None:
            return False
        return self.work.unsaved or self.drawing.pending or self.reason.is_pending(self.work)

    def open(self, session: ReaderSession, item: WorkItem) -> None:
        """Show the disagreements of a case; what is open is closed first.

        Parameters
        ----------
        session : ReaderSession
            Of an adjudicator.
        item : WorkItem
            Of the duty ``adjudicate``.

        Raises
        ------
        StudyError
            If this reader may not, there is nothing to settle, files are damaged, or what is open cannot be saved.
        """
        if not self.close():
            raise StudyError(_("The case that is open is not saved; save it, here or elsewhere, first."))
        work = AdjudicationWork(session, item)
        try:
            work.volume  # noqa: B018 - reading the image may fail
        except StudyError:
            work.close()
            raise
        self.work = work
        self.say("")
        self._show_in_scene()
        self.save.show(work)
        self._alive_timer.start()
        self.widget.visible = True
        self.ui.adjudicationCollapsibleButton.collapsed = False
        self._show_all()
        self.table.select(next(iter(work.open_levels), work.levels[0]))
        if work.open_elsewhere is not None:
            self.say(elsewhere_sentence(work.open_elsewhere))

    def enter(self) -> None:
        """Take keys and layout."""
        self._entered = True
        if self.work is not None:
            self._take_layout()
        self._show_keys()

    def exit(self) -> None:
        """Save what is not saved, and leave keys and layout to others; the case stays open."""
        self._entered = False
        self.drawing.stop()
        self.flush()
        self._layout.give_back()
        self._show_keys()

    def flush(self) -> bool:
        """Save what was drawn or typed; returns whether all is on the disk."""
        if self.work is None:
            return True
        self._flush_parts()
        return not self.work.unsaved

    def close(self, force: bool = False) -> bool:
        """Save and close the case and take it out of the scene.

        Parameters
        ----------
        force : bool
            Close even if something could be saved neither in the study nor elsewhere.

        Returns
        -------
        bool
            False if something is not saved; the case stays open then.
        """
        work = self.work
        if work is None:
            return True
        self.drawing.stop()
        if not self.flush() and not work.kept_elsewhere and not self.save.try_again() and not force:
            self.say(_("This case is not saved; save it, here or elsewhere, before going on."))
            return False
        try:
            work.close(discard=True)  # what is not in the study is elsewhere, or nothing can be done about it
        except StudyError as error:
            self.say(work.plain(str(error)))
            return False
        self._forget_scene()
        return True

    def leave_scene(self) -> None:
        """Save what the scene has of the case before its nodes go."""
        if self.work is not None and self.scene is not None:
            self.drawing.stop()
            self.flush()
            self.drawing.show(self.work, None)

    def restore_scene(self) -> None:
        """Show the case in the scene anew after its nodes were lost."""
        if self.work is not None and self.scene is not None and not self.scene.is_alive():
            self.scene.remove()
            self._show_in_scene()
            self._show_selected()

    def dispose(self) -> None:
        """End with the panel: everything is saved, keys and scene are given back."""
        self.exit()
        self.close(force=True)
        self.drawing.show(None, None)
        self.keys.close()

    # -- what the adjudicator does

    def choose(self, choice: str, grade: int | None = None) -> None:
        """Settle the selected disc by A, B or an own grade, and save."""
        work, level = self.work, self.table.level
        if work is None or level is None or not work.can_decide:
            return
        self.drawing.stop()
        self._attempt(lambda: work.decide(level, choice, self.reason.text_for(level), grade))
        self.drawing.rewrite()
        self._after_decision(level)

    def sign(self) -> None:
        """Sign the adjudication and go on, or say what is missing."""
        work = self.work
        if work is None or work.is_signed:
            return
        self.drawing.stop()
        if not self.flush() and not self.save.try_again():
            return
        empty = work.empty_levels
        if empty and not confirm_empty(self.ui.signAdjudicationButton, empty):
            self.table.select(empty[0])
            return
        if self._attempt(work.sign):
            self._on_done()
        elif work.open_levels:
            self.table.select(work.open_levels[0])

    def say(self, text: str) -> None:
        """Tell the adjudicator a sentence."""
        self.ui.adjudicationMessageLabel.text = text
        self.ui.adjudicationMessageLabel.visible = bool(text)

    def _attempt(self, action: Callable[[], None]) -> bool:
        try:
            done = self.save.attempt(action)
        except StudyError as error:
            self.say(self.work.plain(str(error)))
            return False
        if done:
            self.say("")
        return done

    def _after_decision(self, level: str) -> None:
        self._show_all()
        if not self.work.decision(level)[1]:
            self.reason.ask()

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
        if self._attempt(lambda: work.give_reason(level, reason)):
            self.reason.remember(reason)
        self._show_all()
        if not work.open_levels:
            self.say(_("Everything is settled: Ctrl+Return signs and opens the next case."))

    def _reopen(self) -> None:
        work = self.work
        if work is None or not work.is_signed:
            return
        reason = ask_reason(self.ui.signAdjudicationButton, _("Reopen"), _("Why is the signature taken back?"))
        if reason is not None:
            self._attempt(lambda: work.reopen(reason))
            self.drawing.show(work, self.scene)
            self._show_all()

    def _overlay_toggled(self, both: bool) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.show_overlay(bool(both))

    def _toggle_shown(self) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.toggle_shown()

    def _keep_alive(self) -> None:
        if self.work is not None:
            self.work.keep_alive()

    # -- what is shown

    def _flush_parts(self) -> bool:
        self._reason_given()
        return self.drawing.flush()

    def _show_in_scene(self) -> None:
        work, adjudication = self.work, self.work.adjudication
        title = work.item.title
        readings = (adjudication.masks_a, adjudication.masks_b)
        self.scene = AdjudicationScene(
            slicer.mrmlScene, work.volume, title, work.levels, work.masks, work.slice_index, *readings
        )
        self.scene.show_overlay(bool(self.ui.overlayCheckBox.checked))
        if self._entered:
            self._take_layout()
        self.drawing.show(work, self.scene)

    def _take_layout(self) -> None:
        if self._layout.take(side_by_side=self.work.item.task is Task.MASKS):
            self._fit_timer.start()

    def _fit(self) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.fit()

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
        choice, reason, _grade = work.decision(level)
        self.reason.show(level, reason)
        for letter, button in (("A", self.ui.chooseAButton), ("B", self.ui.chooseBButton)):
            button.text = self.table.accept_text(level, letter, choice == letter)
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

    def _forget_scene(self) -> None:
        """Forget the case and take it out of the scene."""
        self._alive_timer.stop()
        self._fit_timer.stop()
        scene, self.scene, self.work = self.scene, None, None
        self.drawing.show(None, None)
        self.table.show(None)
        self.save.show(None)
        self.say("")
        self.reason.clear()
        if scene is not None:
            scene.remove()
        self._layout.give_back()
        self.widget.visible = False
        self._show_keys()
