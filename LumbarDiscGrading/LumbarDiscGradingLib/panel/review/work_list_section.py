"""The section Work list: what there is to do, how far it has got, and the case to be opened next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ...annotation.active_learning.informativeness import most_informative_first
from ...annotation.errors import StudyError
from ...annotation.protocol import AdjudicationRule, Role, Task
from ...annotation.study.states import CaseState
from ...annotation.work.session import CasePriority, ReaderSession
from ...annotation.work.work_item import Duty, WorkItem
from ..shared.disc_table import set_up_columns
from ..shared.refusals import refusals_told

TITLE, STATE, TIME = range(3)
DONE, BEGUN, TO_DO = "\N{CHECK MARK}", "\N{BLACK CIRCLE}", "\N{WHITE CIRCLE}"
DONE_WORDS = {Duty.READ: "{done} of {total} signed", Duty.REVIEW: "{done} of {total} reviewed"}


class WorkSection:
    """Shows a reader's work list.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    open_item : callable
        Called with the `WorkItem` that the user wants to open.
    """

    def __init__(self, ui: Any, open_item: Callable[[WorkItem], None]) -> None:
        self.ui, self._open_item = ui, open_item
        self.session: ReaderSession | None = None
        self._kinds: list[tuple[Task, Duty]] = []
        self._items: list[WorkItem] = []
        self._showing = False
        self._set_up_table()
        ui.workCollapsibleButton.enabled = False
        ui.workComboBox.connect("currentIndexChanged(int)", self._kind_selected)
        ui.stateComboBox.connect("currentIndexChanged(int)", self._filtered)
        ui.searchEdit.connect("textChanged(QString)", self._filtered)
        ui.informativeCheckBox.connect("toggled(bool)", self._filtered)
        ui.workTable.connect("cellActivated(int,int)", self._activated)
        ui.openCaseButton.connect("clicked()", self.open_selected)
        ui.workCollapsibleButton.connect("contentsCollapsed(bool)", self._folded)

    @property
    def kind(self) -> tuple[Task, Duty] | None:
        """Task and duty of the list that is shown."""
        index = self.ui.workComboBox.currentIndex
        return self._kinds[index] if 0 <= index < len(self._kinds) else None

    def show(self, session: ReaderSession | None) -> None:
        """Show the work of a reader, or of none."""
        self.session = session
        self.say("")
        self._showing = True
        combo = self.ui.workComboBox
        combo.clear()
        self._kinds = kinds_of_work(session) if session is not None else []
        for task, duty in self._kinds:
            combo.addItem(_kind_text(task, duty))
        self._list_states()
        self.ui.searchEdit.text = ""
        self._showing = False
        self.ui.workCollapsibleButton.enabled = session is not None
        self.refresh()
        first = self.next_item()
        if first is not None:
            self.select(first)

    def refresh(self) -> None:
        """Show the list as it is now, what others did included."""
        items: list[WorkItem] = []
        with refusals_told(self.say):
            if self.session is not None and self.kind is not None:
                self.session.refresh()
                text, states = self.ui.searchEdit.text, self._wanted_states()
                items = self.session.work_list(*self.kind, text=text, states=states, priority=self._priority())
            self._fill(items)
            self._show_progress()

    def select(self, item: WorkItem) -> None:
        """Select an item, if the list shows it."""
        row = self._row_of(item)
        if row is not None:
            self.ui.workTable.selectRow(row)

    def next_item(self, after: WorkItem | None = None) -> WorkItem | None:
        """Return the next item that is not done, None if there is none but `after`."""
        if self.session is None or self.kind is None:
            return None
        item = self.session.next_item(*self.kind, after=after, priority=self._priority())
        return None if after is not None and item is not None and item.about == after.about else item

    def previous_item(self, before: WorkItem) -> WorkItem | None:
        """Return the item before another in the list that is shown, done or not."""
        row = self._row_of(before)
        return self._items[row - 1] if row else None

    def now(self, item: WorkItem) -> WorkItem:
        """Return an item as it is in the list now."""
        row = self._row_of(item)
        return item if row is None else self._items[row]

    def open_selected(self) -> None:
        """Open the selected item."""
        self._activated(self.ui.workTable.currentRow())

    def say(self, text: str) -> None:
        """Tell the reader a sentence about the list."""
        self.ui.workMessageLabel.text = text
        if text:
            self.ui.workCollapsibleButton.collapsed = False
        self.ui.workMessageLabel.visible = bool(text)

    # -- what is shown

    def _wanted_states(self) -> set[CaseState] | None:
        combo = self.ui.stateComboBox
        state = combo.itemData(combo.currentIndex) if combo.currentIndex > 0 else None
        return {CaseState(state)} if state else None

    def _priority(self) -> CasePriority | None:
        """Return what orders the unread cases, where the protocol allows it and the reader wants it."""
        offered = self.session.study.protocol.active_learning and self.kind[1] is Duty.READ
        self.ui.informativeCheckBox.visible = offered
        if not offered or not self.ui.informativeCheckBox.checked:
            return None
        try:
            return most_informative_first(self.session, self.kind[0])
        except StudyError:
            self._showing = True
            self.ui.informativeCheckBox.checked = False
            self._showing = False
            raise

    def _set_up_table(self) -> None:
        table = self.ui.workTable
        set_up_columns(table, (_("Case"), _("State"), _("Time")), STATE, table.fontMetrics().height() + 8, fitted=False)
        table.horizontalHeader().resizeSection(TITLE, 110)
        table.horizontalHeader().resizeSection(TIME, 60)

    def _list_states(self) -> None:
        combo = self.ui.stateComboBox
        combo.clear()
        combo.addItem(_("All states"), "")
        for state in _states_of(self.kind[1]) if self.kind is not None else ():
            combo.addItem(_(state.value).capitalize(), state.value)

    def _fill(self, items: list[WorkItem]) -> None:
        """Fill the table; rows that are as they were stay untouched, so that a long list costs little."""
        table = self.ui.workTable
        before, self._items = self._items, items
        if table.rowCount != len(items):
            table.rowCount = len(items)
        for row, item in enumerate(items):
            if row >= len(before) or before[row] != item:
                self._fill_row(row, item)

    def _fill_row(self, row: int, item: WorkItem) -> None:
        symbol = DONE if item.is_done else BEGUN if item.state in (CaseState.DRAFT, CaseState.IN_REVIEW) else TO_DO
        state = f"{symbol} {_(item.state.value)}"
        if item.being_read_by:
            state = _("{state}, open elsewhere").format(state=state)
        time = f"{int(item.seconds) // 60}:{int(item.seconds) % 60:02d}" if item.seconds else ""
        for column, text in ((TITLE, item.title), (STATE, state), (TIME, time)):
            cell = qt.QTableWidgetItem(text)
            if column == TIME:
                cell.setTextAlignment(qt.Qt.AlignCenter)
            self.ui.workTable.setItem(row, column, cell)

    def _show_progress(self) -> None:
        if self.session is None or self.kind is None:
            self.ui.progressLabel.text = ""
            self.ui.workProgressBar.visible = False
            return
        progress = self.session.progress(*self.kind)
        text = _(DONE_WORDS.get(self.kind[1], "{done} of {total} settled"))
        self.ui.progressLabel.text = text.format(done=progress.done, total=progress.total)
        minutes = progress.seconds / 60
        self.ui.progressLabel.toolTip = _("{minutes:.0f} minutes for those.").format(minutes=minutes)
        self.ui.workProgressBar.visible = progress.total > 0
        self.ui.workProgressBar.maximum = max(progress.total, 1)
        self.ui.workProgressBar.value = progress.done

    def _row_of(self, item: WorkItem) -> int | None:
        return next((row for row, other in enumerate(self._items) if other.about == item.about), None)

    # -- what the user does

    def _folded(self, folded: bool) -> None:
        """Show the list as it is now: what is shown or hidden while a section is folded does not last."""
        if not folded and self.session is not None:
            self.ui.workMessageLabel.visible = bool(self.ui.workMessageLabel.text)
            self.refresh()

    def _kind_selected(self, index: int) -> None:
        if not self._showing:
            self.say("")
            self._showing = True
            self._list_states()
            self._showing = False
            self.refresh()

    def _filtered(self, value: Any) -> None:
        if not self._showing:
            self.refresh()

    def _activated(self, row: int, column: int = 0) -> None:
        if 0 <= row < len(self._items):
            self._open_item(self._items[row])


def kinds_of_work(session: ReaderSession) -> list[tuple[Task, Duty]]:
    """Return what a reader's roles and the protocol give to do."""
    protocol, roles = session.study.protocol, session.reader.roles
    kinds = [(task, Duty.READ) for task in session.tasks()]
    if Role.PEER_REVIEWER in roles and protocol.peer_review and Task.MASKS in protocol.tasks:
        kinds.append((Task.MASKS, Duty.REVIEW))
    if Role.ADJUDICATOR in roles and protocol.adjudication is AdjudicationRule.ADJUDICATOR:
        kinds += [(task, Duty.ADJUDICATE) for task in protocol.tasks if protocol.readings_of(task) == 2]
    return kinds


def _kind_text(task: Task, duty: Duty) -> str:
    texts = {
        (Task.MASKS, Duty.READ): _("Draw masks"),
        (Task.GRADES, Duty.READ): _("Grade discs"),
        (Task.MASKS, Duty.REVIEW): _("Review masks"),
        (Task.MASKS, Duty.ADJUDICATE): _("Adjudicate masks"),
        (Task.GRADES, Duty.ADJUDICATE): _("Adjudicate grades"),
    }
    return texts[task, duty]


def _states_of(duty: Duty) -> tuple[CaseState, ...]:
    """Return the states that items of a duty may have."""
    if duty is Duty.READ:
        return CaseState.UNREAD, CaseState.DRAFT, CaseState.SIGNED
    if duty is Duty.REVIEW:
        return CaseState.SIGNED, CaseState.IN_REVIEW, CaseState.ACCEPTED, CaseState.CORRECTED
    return CaseState.DISCORDANT, CaseState.ADJUDICATED
