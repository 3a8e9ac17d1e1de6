"""`ReadingSection`: the case that is read or reviewed - its parts and what they have to do with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ....annotation.protocol import Task
from ....annotation.work.peer_review import PeerReview
from ....annotation.work.reading_task import ReadingTask
from ....annotation.work.work_item import Duty
from ....pfirrmann import GRADES
from ....scene.study.case_scene import CaseScene
from ...shared.disc_names import DiscNames
from ...shared.timers import once_after
from ...shared.view_clicks import ViewClicks
from ..case.case_section import CaseSection
from ..case.words import disc_color
from ..key_bindings import KeyBindings
from .discs_section import DiscsSection
from .masks_section import MasksSection
from .name_marks import name_marks, shown_volume

SLICE_DELAY_MS = 300
"""A slice that is shown for so long is remembered."""
ALWAYS, READING, EDITABLE = "always", "reading", "editable"
"""Groups of keys: while a case is open; while no mask is edited; what is off in a signed reading, too."""


class ReadingSection(CaseSection):
    """Shows a case to be read or reviewed.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
        For masks that a model pre-fills.
    widget : QWidget
        Of the panel.
    signed : callable
        Called after the case was signed: the next one is to be opened.
    go : callable
        Called with 1 or -1: the next or the previous case is to be opened.
    """

    def __init__(self, ui: Any, logic: Any, widget: Any, signed: Callable[[], None], go: Callable[[int], None]) -> None:
        super().__init__(ui, ui.caseMessageLabel, ui.signButton, ui.reopenButton, signed)
        self._place, self._showing = "", False
        self._criteria_shown = False
        self.discs = DiscsSection(ui, self.save, self._disc_selected, self._judged, self.say)
        self.drawing = self.masks = MasksSection(
            ui, logic, self.save, self._masks_changed, self._editing_changed, self.discs.select, self.say
        )
        self._clicks = ViewClicks(self._view_clicked)
        self._names = DiscNames()
        self._slice_timer = once_after(SLICE_DELAY_MS, self._remember_slice)
        self.keys = KeyBindings(widget, self._key_actions())
        ui.acceptButton.connect("clicked()", self._accept)
        ui.correctButton.connect("clicked()", self._correct)
        ui.previousCaseButton.connect("clicked()", lambda: go(-1))
        ui.nextCaseButton.connect("clicked()", lambda: go(1))
        ui.caseSliceSlider.connect("valueChanged(double)", self._slice_slid)
        ui.takeViewedSliceButton.connect("clicked()", self._take_viewed_slice)
        ui.caseCollapsibleButton.connect("contentsCollapsed(bool)", self._folded)
        ui.caseMessageLabel.visible = False

    def enter(self) -> None:
        """Take the keys, the layout and the clicks in the views."""
        super().enter()
        self._clicks.watch()
        self._show_names()

    def exit(self) -> None:
        """Save what is not saved, and leave keys and views to others; the case stays open."""
        super().exit()
        self._clicks.leave()
        self._names.clear()

    @property
    def pending(self) -> bool:
        """Whether something was drawn or typed that the case has not been given yet."""
        return self.masks.pending or self.discs.comment_pending

    def dispose(self) -> None:
        """End with the panel; what cannot be saved in the study is kept in the user's home folder."""
        super().dispose()
        self.masks.close()

    # -- what the reader does

    def _key_actions(self) -> dict[str, dict[str, Callable[[], Any]]]:
        grades = {str(grade): self.discs.grade_setter(grade) for grade in GRADES}
        confidences = {key: self.discs.confidence_setter(n) for n, key in enumerate(("U", "F", "S"), start=1)}
        return {
            ALWAYS: {"Ctrl+Return": self.sign, "Ctrl+Enter": self.sign, "M": self.masks.toggle},
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
        self.masks.flush()
        self.discs.accept()

    def _accept_key(self) -> None:
        if isinstance(self.work, PeerReview):
            self.masks.flush()
            self.discs.accept_undecided()

    def _correct(self) -> None:
        if isinstance(self.work, PeerReview):
            self.masks.start()

    def _toggle_shown(self) -> None:
        super()._toggle_shown()
        self._show_names()

    def _reopen(self) -> None:
        super()._reopen()
        self.ui.discTable.setFocus()

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
        self._slice_timer.stop()
        index = self.work.volume.canonical_slice_index(int(self.ui.caseSliceSlider.value))
        if isinstance(self.work, ReadingTask) and index != self.work.slice_index:
            self.save.save_by(self.work.choose_slice, index)

    # -- what is shown

    def _show_section(self, place: str) -> None:
        self._place = place
        grades = self.work.item.task is Task.GRADES
        self.ui.caseCollapsibleButton.visible = True
        self.ui.caseCollapsibleButton.collapsed = False
        self.ui.criteriaCollapsibleButton.visible = grades
        if grades and not self._criteria_shown:
            self._criteria_shown = True
            self.ui.criteriaCollapsibleButton.collapsed = False

    def _hide_section(self) -> None:
        self._slice_timer.stop()
        self._names.clear()
        self.discs.show(None)
        self.ui.caseCollapsibleButton.visible = self.ui.criteriaCollapsibleButton.visible = False

    def _make_scene(self) -> CaseScene:
        work = self.work
        scene = CaseScene(slicer.mrmlScene, work.volume, work.item.title, work.levels, work.masks, work.slice_index)
        for level in scene.levels:
            scene.set_color(level, disc_color(work, level))
        self._show_slice(work.slice_index)
        return scene

    def _select(self, level: str) -> None:
        self.discs.select(level)
        self.ui.discTable.setFocus()

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
        self._show_names()

    def _show_names(self) -> None:
        """Show the reader's own judgement beside each disc, and nothing of another reader."""
        work, scene = self.work, self.scene
        alive = self._entered and work is not None and scene is not None and scene.is_alive()
        if alive and scene.are_discs_shown:
            self._names.show(name_marks(work), shown_volume(scene), self.discs.level)
        else:
            self._names.clear()

    def _editing_changed(self) -> None:
        self._show_keys()
        if not self.masks.editing and isinstance(self.work, PeerReview):
            self.discs.go_on()

    def _show_parts(self) -> None:
        """Show what can be done with the work, hide the rest."""
        work = self.work
        self.discs.update()
        self.masks.update(self.discs.level)
        self.ui.caseMessageLabel.visible = bool(self.ui.caseMessageLabel.text)
        self.ui.signButton.visible = not work.is_signed
        self.ui.reopenButton.visible = work.is_signed
        self.ui.takeViewedSliceButton.visible = isinstance(work, ReadingTask) and not work.is_signed

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
        self._show_names()
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
        if isinstance(work, PeerReview):
            self.masks.rewrite()  # accepting takes a correction back
        scene.set_color(level, disc_color(work, level))
        self._show_names()
        if not work.open_levels:
            self.say(_("Every disc is judged: Ctrl+Return signs and opens the next case."))

    def _masks_changed(self) -> None:
        self.discs.commit_comment()
        self.discs.update()
        self.masks.update(self.discs.level)
        self._show_names()

    def _flush_parts(self) -> None:
        self.discs.commit_comment()
        self.masks.flush()
        if self._slice_timer.isActive():
            self._remember_slice()
