"""`ReviewPanel`: the mode *Annotation Review* - a reader, a study, a work list, and the case that is open."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...annotation.work.session import ReaderSession
from ...annotation.work.work_item import Duty, WorkItem
from ..shared.criteria_section import CriteriaSection
from ..shared.refusals import refusals_told
from ..shared.scroll_to_top import scroll_to_top
from ..shared.timers import once_after
from .adjudication.section import AdjudicationSection
from .agreement.section import AgreementSection
from .case.case_section import CaseSection
from .case.words import plain
from .key_bindings import KeyBindings
from .reading.section import ReadingSection
from .study_section import StudySection
from .work_list_section import WorkSection

GOING = "going"
"""Group of keys that change the case; the Segment Editor uses neither of them."""


class ReviewPanel(VTKObservationMixin):
    """Controls the widgets of the mode; needs neither torch nor a graphics card.

    Parameters
    ----------
    ui : object
        The widgets of ``AnnotationReview.ui`` by name.
    logic : LumbarDiscGradingLogic
        Its graders pre-fill masks where the protocol of a study allows it; nothing else is asked of it.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        super().__init__()
        self.ui = ui
        self.session: ReaderSession | None = None
        self.entered = False
        self._resumed: WorkItem | None = None
        self._left = False
        widget = ui.caseCollapsibleButton.parent()
        self.work = WorkSection(ui, self.open_item)
        self.reading = ReadingSection(ui, logic, widget, self.open_next, self.go)
        self.adjudication = AdjudicationSection(ui.adjudicationContainer, self.open_next)
        self._sections = (self.reading, self.adjudication)
        self.agreement = AgreementSection(ui.agreementContainer)
        self.criteria = CriteriaSection(ui)
        self.study = StudySection(ui, self.close_case, self._study_opened)
        self.keys = KeyBindings(widget, {GOING: {"N": self.open_next, "P": lambda: self.go(-1)}})
        self._scene_timer = once_after(0, self._case_nodes_removed)
        self._top_timer = once_after(0, self._show_top)  # when the layout of what has just been shown is done
        ui.nextToDoButton.connect("clicked()", self.open_next)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_closed)
        self.addObserver(scene, scene.StartImportEvent, self._scene_opens)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._node_removed)

    # -- the panel's life

    def enter(self) -> None:
        """Resume where the reader left."""
        self.entered = True
        for section in self._sections:
            section.enter()
        self._show_keys()
        if self._left and self.session is not None:
            self.agreement.show(self.session)
        self._left = False
        item, self._resumed = self._resumed, None
        if item is not None:
            self.open_item(item)
        elif self.session is not None and self.item is None:
            self.work.refresh()

    def exit(self) -> None:
        """Leave views and keys to another module; everything is saved, the case stays open."""
        self.entered = False
        for section in self._sections:
            section.exit()
        self._show_keys()

    def leave(self) -> bool:
        """Close the case for another mode of this module; returns whether that was possible."""
        item = self.item
        if not self.close_case():
            return False
        self._resumed = item
        self.exit()
        self.agreement.clear()
        self._left = True
        return True

    def close(self) -> None:
        """End with the panel (reload, quit): everything is saved and nothing is observed."""
        self.exit()
        self.removeObservers()
        self._scene_timer.stop()
        self._top_timer.stop()
        for section in (*self._sections, self.agreement):
            section.dispose()
        self.keys.close()
        self.session = None

    # -- cases

    @property
    def item(self) -> WorkItem | None:
        """What is open."""
        section = self._open_section
        return section.work.item if section is not None else None

    @property
    def _open_section(self) -> CaseSection | None:
        return next((section for section in self._sections if section.work is not None), None)

    def open_item(self, item: WorkItem) -> None:
        """Open a case; the one that is open is saved and closed first."""
        if self.session is None or not self.close_case():
            return
        item = self.work.now(item)
        self.work.say("")
        section = self.adjudication if item.duty is Duty.ADJUDICATE else self.reading
        with refusals_told(lambda sentence: self.work.say(plain(item, sentence))):
            total = self.session.progress(item.task, item.duty).total
            section.open(self.session, item, _("{number} of {total}").format(number=item.number, total=total))
            self.ui.workCollapsibleButton.collapsed = True
            self.work.select(item)
            self._top_timer.start()

    def _show_top(self) -> None:
        """Show a case that was opened from its top, wherever the panel was scrolled to in the one before."""
        if self.item is not None:
            scroll_to_top(self.ui.saveStateWidget if self.reading.work is not None else self.adjudication.widget)

    def open_next(self) -> None:
        """Open the next case that is not done."""
        if self.session is None:
            return
        item = self.item
        self.work.refresh()
        with refusals_told(self._say):
            following, section = self.work.next_item(after=item), self._open_section
            if following is not None:
                self.open_item(following)
            elif section is not None and not section.work.is_signed:
                self._say(_("There is no other case to do in this list."))
            elif self.close_case():
                self.reading.restore_layout()
                self.work.say(_("Nothing is left to do in this list."))

    def go(self, step: int) -> None:
        """Open the next case that is not done, or the previous one of the list."""
        if step > 0 or self.item is None:
            self.open_next()
            return
        previous = self.work.previous_item(self.item)
        if previous is None:
            self._say(_("This is the first case of the list."))
        else:
            self.open_item(previous)

    def close_case(self) -> bool:
        """Save and close what is open; returns whether that was possible."""
        return all(section.close() for section in self._sections)

    # -- what happens

    def _study_opened(self, session: ReaderSession) -> None:
        self.session = session
        self._resumed = None
        self._show_keys()
        self.work.show(session)
        self.agreement.show(session)
        self.ui.workCollapsibleButton.collapsed = False
        self.ui.workTable.setFocus()

    def _say(self, text: str) -> None:
        """Tell the reader a sentence where the eyes are."""
        (self._open_section or self.work).say(text)

    def _show_keys(self) -> None:
        if self.entered and self.session is not None:
            self.keys.enable(GOING)
        else:
            self.keys.enable()

    # -- what happens to the scene

    def _scene_closes(self, caller: Any, event: Any) -> None:
        for section in self._sections:
            section.leave_scene()

    def _scene_opens(self, caller: Any, event: Any) -> None:
        for section in self._sections:
            section.flush()

    def _scene_closed(self, caller: Any, event: Any) -> None:
        if self.item is not None:
            self._scene_timer.start()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_removed(self, caller: Any, event: Any, node: Any) -> None:
        if slicer.mrmlScene.IsClosing():
            return
        for part in self._sections:
            if part.scene is not None and part.scene.has(node):
                part.leave_scene()
                self._scene_timer.start()

    def _case_nodes_removed(self) -> None:
        """Close a case whose nodes are gone; where it could not be saved it is shown again."""
        without = [part for part in self._sections if part.scene is not None and not part.scene.is_alive()]
        if not without:
            return
        if self.close_case():
            self.reading.restore_layout()
            self.work.refresh()
            self.work.say(_("The case was closed with the scene; everything is saved."))
        else:
            for part in without:
                part.restore_scene()
