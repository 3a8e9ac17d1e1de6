"""`ReadingSection`: the case that is read or reviewed - its parts and what they have to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ....annotation.errors import StudyError
from ....annotation.protocol import Task
from ....annotation.work.session import Duty
from ....pfirrmann import GRADES
from ....scene.study.case_scene import CaseScene
from ....scene.study.layout import ReadingLayout
from ...shared.view_clicks import ViewClicks
from ..case.ask_reason import ask_reason
from ..case.confirm_empty import confirm_empty
from ..case.save_elsewhere import rescue
from ..case.save_state import SaveState
from ..case.work import ReadingWork, ReviewWork, Work, elsewhere_sentence
from ..key_bindings import KeyBindings
from .discs_section import DiscsSection
from .masks_section import MasksSection

SLICE_DELAY_MS = 300
"""A slice that is shown for so long is remembered."""
FIT_DELAY_MS = 100
"""Views have taken their new sizes so long after the layout changed."""
KEEP_ALIVE_MS = 60_000
ALWAYS, READING, EDITABLE = "always", "reading", "editable"
"""Groups of keys: while a case is open; while no mask is edited; what is off in a signed reading, too."""


class ReadingSection:
    """Shows a work and takes what the reader does to it; everything is saved at once.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
        For masks that a model pre-fills.
    widget : QWidget
        Of the panel.
    signed : callable
        Called after the work was signed: the next one is to be opened.
    go : callable
        Called with 1 or -1: the next or the previous case is to be opened.
    """

    def __init__(self, ui: Any, logic: Any, widget: Any, signed: Callable[[], None], go: Callable[[int], None]) -> None:
        self.ui, self._signed = ui, signed
        self.work: Work | None = None
        self.scene: CaseScene | None = None
        self._place, self._showing, self._entered = "", False, False
        self._criteria_shown = False
        self.save = SaveState(ui, self._flush_parts, self._reloaded, self._pending)
        self.discs = DiscsSection(ui, self.save, self._disc_selected, self._judged, self.say)
        self.masks = MasksSection(
            ui, logic, self.save, self._masks_changed, self._editing_changed, self.discs.select, self.say
        )
        self._clicks = ViewClicks(self._view_clicked)
        self._slice_timer = qt.QTimer()
        self._slice_timer.setSingleShot(True)
        self._slice_timer.setInterval(SLICE_DELAY_MS)
        self._slice_timer.connect("timeout()", self._remember_slice)
        self._layout = ReadingLayout(slicer.mrmlScene)
        self._fit_timer = qt.QTimer()
        self._fit_timer.setSingleShot(True)
        self._fit_timer.setInterval(FIT_DELAY_MS)
        self._fit_timer.connect("timeout()", self._fit)
        self._alive_timer = qt.QTimer()
        self._alive_timer.setInterval(KEEP_ALIVE_MS)
        self._alive_timer.connect("timeout()", self._keep_alive)
        self.keys = KeyBindings(widget, self._key_actions())
        ui.acceptButton.connect("clicked()", self._accept)
        ui.correctButton.connect("clicked()", self._correct)
        ui.signButton.connect("clicked()", self.sign)
        ui.reopenButton.connect("clicked()", self._reopen)
        ui.previousCaseButton.connect("clicked()", lambda: go(-1))
        ui.nextCaseButton.connect("clicked()", lambda: go(1))
        ui.caseSliceSlider.connect("valueChanged(double)", self._slice_slid)
        ui.takeViewedSliceButton.connect("clicked()", self._take_viewed_slice)
        ui.caseCollapsibleButton.connect("contentsCollapsed(bool)", self._folded)
        ui.caseMessageLabel.visible = False

    # -- the work's life

    def open(self, work: Work, place: str) -> None:
        """Show a work that has just been opened.

        Parameters
        ----------
        place : str
            Where it stands in the work list, in words.
        """
        self.work, self._place = work, place
        self.say("")
        self._show_in_scene(work.slice_index)
        if work.open_elsewhere is not None:
            self.say(elsewhere_sentence(work.open_elsewhere))
        elif work.recovered:
            self.say(_("Recovered: this is what was saved when the program ended without closing the case."))
        self.save.show(work)
        self._alive_timer.start()
        self.ui.caseCollapsibleButton.visible = True
        self.ui.caseCollapsibleButton.collapsed = False
        self.ui.criteriaCollapsibleButton.visible = work.item.task is Task.GRADES
        if work.item.task is Task.GRADES and not self._criteria_shown:
            self._criteria_shown = True
            self.ui.criteriaCollapsibleButton.collapsed = False

    def enter(self) -> None:
        """Take the keys and the clicks in the views."""
        self._entered = True
        if self.work is not None:
            self._layout.take()
        self._clicks.watch()
        self._show_keys()

    def exit(self) -> None:
        """Save what is not saved, and leave keys and views to others; the case stays open."""
        self._entered = False
        self.flush()
        self.masks.stop_editing()
        self._clicks.leave()
        self._layout.give_back()
        self._show_keys()

    def flush(self) -> bool:
        """Save everything that is still in the scene or a text field; returns whether all is on the disk."""
        if self.work is None:
            return True
        self._flush_parts()
        if self._slice_timer.isActive():
            self._slice_timer.stop()
            self._remember_slice()
        return not self.work.unsaved

    def close_case(self, force: bool = False) -> bool:
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
        self.masks.stop_editing()
        if not self.flush() and not work.kept_elsewhere and not force and not self.save.try_again():
            self.say(_("This case is not saved; save it, here or elsewhere, before going on."))
            return False
        try:
            work.close(discard=True)  # what is not in the study is elsewhere, or nothing can be done about it
        except StudyError as error:
            self.say(work.plain(str(error)))
            return False
        self.forget_case()
        return True

    def forget_case(self) -> None:
        """Forget the work and take it out of the scene."""
        self._alive_timer.stop()
        self._slice_timer.stop()
        self._fit_timer.stop()
        scene, self.scene, self.work = self.scene, None, None
        self.masks.show(None, None)
        self.discs.show(None)
        self.save.show(None)
        self.say("")
        if scene is not None:
            scene.remove()
        self.ui.caseCollapsibleButton.visible = self.ui.criteriaCollapsibleButton.visible = False
        self._show_keys()

    def leave_scene(self) -> None:
        """Save what the scene has of the case before its nodes go."""
        if self.work is not None and self.scene is not None:
            self.masks.stop_editing()
            self.flush()
            self.masks.show(self.work, None)

    def restore_scene(self) -> None:
        """Show the work in the scene anew after its nodes were lost."""
        if self.work is not None and self.scene is not None and not self.scene.is_alive():
            self.scene.remove()
            self._show_in_scene(self.work.slice_index)

    def rest(self) -> None:
        """Show the user's own layout while no case is open."""
        self._layout.give_back()

    def close(self) -> None:
        """End with the panel; what cannot be saved in the study is kept in the user's home folder."""
        self.exit()
        if self.work is not None and self.work.unsaved and not self.work.kept_elsewhere:
            rescue(self.work)
        self.close_case(force=True)
        self.masks.close()
        self.keys.close()

    # -- what the reader does

    def sign(self) -> None:
        """Sign the work and go on to the next, or say what is missing."""
        work = self.work
        if work is None or work.is_signed:
            return
        self.masks.stop_editing()
        if not self.flush() and not self.save.try_again():
            return
        empty = work.empty_levels
        if empty and not self._confirm_empty(empty):
            return
        try:
            if not self.save.attempt(lambda: work.sign(empty)):
                return
        except StudyError as error:
            self.say(work.plain(str(error)))
            return
        self._signed()

    def _confirm_empty(self, levels: tuple[str, ...]) -> bool:
        """Ask whether levels are to be signed without a contour; if not, the first of them is selected."""
        if confirm_empty(self.ui.signButton, levels):
            return True
        self.discs.select(levels[0])
        self.ui.discTable.setFocus()
        return False

    def say(self, text: str) -> None:
        """Tell the reader a sentence about the case."""
        self.ui.caseMessageLabel.text = text
        self.ui.caseMessageLabel.visible = bool(text)

    def _key_actions(self) -> dict[str, dict[str, Callable[[], Any]]]:
        grades = {str(grade): self.discs.grade_setter(grade) for grade in GRADES}
        confidences = {key: self.discs.confidence_setter(n) for n, key in enumerate(("U", "F", "S"), start=1)}
        return {
            ALWAYS: {"Ctrl+Return": self.sign, "Ctrl+Enter": self.sign, "M": self.masks.toggle_editing},
            READING: {
                "Q": lambda: self.discs.step(-1),
                "W": lambda: self.discs.step(1),
                "G": self._toggle_shown,
            },
            EDITABLE: {
                **grades,
                "0": self.discs.grade_setter(None),
                **confidences,
                "A": self._accept_key,
                "C": self._correct,
            },
        }

    def _accept(self) -> None:
        if isinstance(self.work, ReviewWork):
            self.masks.flush()
            self.discs.accept()

    def _accept_key(self) -> None:
        if isinstance(self.work, ReviewWork):
            self.masks.flush()
            self.discs.accept_undecided()

    def _correct(self) -> None:
        if isinstance(self.work, ReviewWork):
            self.masks.start_editing()

    def _reopen(self) -> None:
        work = self.work
        if work is None or not work.is_signed:
            return
        reason = ask_reason(self.ui.signButton, _("Reopen"), _("Why is the signature taken back?"))
        if reason is None:
            return
        try:
            if not self.save.attempt(lambda: work.reopen(reason)):
                return
        except StudyError as error:
            self.say(work.plain(str(error)))
            return
        self.say("")
        self._show_all()
        self.ui.discTable.setFocus()

    def _toggle_shown(self) -> None:
        if self.scene is not None:
            self.scene.toggle_shown()

    def _view_clicked(self, lps_mm: tuple[float, float, float]) -> None:
        work, scene = self.work, self.scene
        if work is None or scene is None or work.masks is None or not scene.is_alive() or self.masks.takes_clicks:
            return
        level = scene.level_at(lps_mm, work.masks)
        if level is not None:
            self.discs.select(level)

    def _slice_slid(self, stored: float) -> None:
        if self._showing or self.work is None or self.scene is None:
            return
        self.scene.show_slice(self.work.volume.canonical_slice_index(int(stored)))
        self._slice_timer.start()

    def _take_viewed_slice(self) -> None:
        viewed = self.scene.viewed_slice() if self.scene is not None else None
        if viewed is None:
            self.say(_("The sagittal view shows no slice of this image."))
            return
        self._show_slice(viewed)
        self._remember_slice()

    def _remember_slice(self) -> None:
        work = self.work
        if work is None:
            return
        index = work.volume.canonical_slice_index(int(self.ui.caseSliceSlider.value))
        if index == work.slice_index:
            return
        try:
            self.save.attempt(lambda: work.choose_slice(index))
        except StudyError as error:
            self.say(work.plain(str(error)))

    def _fit(self) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.fit()

    def _keep_alive(self) -> None:
        if self.work is not None:
            self.work.keep_alive()

    # -- what is shown

    def _show_in_scene(self, slice_index: int) -> None:
        work = self.work
        self.scene = CaseScene(slicer.mrmlScene, work.volume, work.item.title, work.levels, work.masks, slice_index)
        if self._layout.take():
            self._fit_timer.start()
        for level in self.scene.levels:
            self.scene.set_color(level, work.color(level))
        self.masks.show(work, self.scene)
        self._show_slice(slice_index)
        self._show_all()

    def _show_slice(self, slice_index: int) -> None:
        slider, volume = self.ui.caseSliceSlider, self.work.volume
        self._showing = True
        slider.maximum = volume.slice_count - 1
        slider.value = volume.stored_slice_index(slice_index)
        self._showing = False

    def _show_all(self) -> None:
        work = self.work
        names = {Duty.READ: _("masks") if work.item.task is Task.MASKS else _("grades"), Duty.REVIEW: _("peer review")}
        self.ui.caseTitleLabel.text = f"<b>{work.item.title}</b> - {names[work.item.duty]}<br>{self._place}"
        self.discs.show(work)
        self._show_parts()
        if work.is_signed:
            self.say(_("Signed. Reopen it with a reason to change something."))
        self.save.refresh()
        self._show_keys()

    def _editing_changed(self) -> None:
        self._show_keys()
        if not self.masks.editing and isinstance(self.work, ReviewWork):
            self.discs.go_on()

    def _show_parts(self) -> None:
        """Show what can be done with the work, hide the rest."""
        work = self.work
        self.discs.update()
        self.masks.update(self.discs.level)
        self.ui.caseMessageLabel.visible = bool(self.ui.caseMessageLabel.text)
        self.ui.signButton.visible = not work.is_signed
        self.ui.reopenButton.visible = work.is_signed
        self.ui.takeViewedSliceButton.visible = isinstance(work, ReadingWork) and not work.is_signed

    def _folded(self, folded: bool) -> None:
        """Show the parts anew: what is shown or hidden while a section is folded does not last."""
        if not folded and self.work is not None and self.scene is not None:
            self.discs.commit_comment()
            self._show_parts()

    def _show_keys(self) -> None:
        work = self.work
        if work is None or not self._entered:
            self.keys.enable()
        elif self.masks.editing:
            self.keys.enable(ALWAYS)
        elif work.can_grade or work.can_decide:
            self.keys.enable(ALWAYS, READING, EDITABLE)
        else:
            self.keys.enable(ALWAYS, READING)
        if work is not None:
            self.ui.readGradesWidget.enabled = self.ui.acceptButton.enabled = not self.masks.editing

    def _disc_selected(self, by_user: bool) -> None:
        level = self.discs.level
        self.masks.update(level)
        if self.scene is not None and self.scene.is_alive():
            self.scene.highlight(level)
            if by_user and level is not None and self.work.masks is not None:
                viewed = self.scene.viewed_slice()
                index = self.work.slice_index if viewed is None else viewed
                self.scene.center_on(level, self.work.masks, index)

    def _judged(self, level: str) -> None:
        work, scene = self.work, self.scene
        if work is None or scene is None or not scene.is_alive():
            return
        if isinstance(work, ReviewWork):
            self.masks.rewrite()  # accepting takes a correction back
        scene.set_color(level, work.color(level))
        if not work.open_levels:
            self.say(_("Every disc is judged: Ctrl+Return signs and opens the next case."))

    def _masks_changed(self) -> None:
        self.discs.commit_comment()
        self.discs.update()
        self.masks.update(self.discs.level)

    def _pending(self) -> bool:
        return self.masks.pending or self.discs.comment_pending

    def _flush_parts(self) -> bool:
        self.discs.commit_comment()
        return self.masks.flush()

    def _reloaded(self) -> None:
        self.masks.rewrite()
        self._show_all()
