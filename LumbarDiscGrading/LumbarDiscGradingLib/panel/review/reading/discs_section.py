"""The discs of the case that is read: the table, what the reader says of each, and what was decided in a review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

from ....annotation.disc_grading import CONFIDENCES, DiscGrading
from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.peer_review import PeerReview
from ....annotation.work.reading_task import ReadingTask
from ....pfirrmann import GRADES, NOT_GRADED_COLOR, ROMAN_GRADES, group_of_grade
from ...shared.disc_table import color_chip, set_up_columns
from ..case.save_state import Outcome, SaveState

LEVEL, JUDGEMENT, SURE, MASK, COMMENT = range(5)


class DiscsSection:
    """Shows the discs of a work and takes what the reader says of them.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    save : SaveState
    selected : callable
        Called after another disc was selected; told whether the user did it.
    judged : callable
        Called with the level of a disc that was judged.
    say : callable
        Tells the reader a sentence.
    """

    def __init__(
        self,
        ui: Any,
        save: SaveState,
        selected: Callable[[bool], None],
        judged: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self.ui, self._save, self._selected, self._judged, self._say = ui, save, selected, judged, say
        self.work: CaseAtHand | None = None
        self._levels: tuple[str, ...] = ()
        self._commented: str | None = None
        self._showing = False
        self._set_up_table()
        ui.discTable.connect("itemSelectionChanged()", self._row_selected)
        for grade in GRADES:
            getattr(ui, f"readGrade{grade}Button").connect("clicked()", self.grade_setter(grade))
        ui.readNotAssessableButton.connect("clicked()", self.grade_setter(None))
        for confidence in CONFIDENCES:
            getattr(ui, f"confidence{confidence}Button").connect("clicked()", self.confidence_setter(confidence))
        ui.commentEdit.connect("textEdited(QString)", self._comment_typed)
        ui.commentEdit.connect("editingFinished()", self.commit_comment)
        ui.commentEdit.connect("returnPressed()", self._comment_entered)

    @property
    def level(self) -> str | None:
        """Level of the selected disc."""
        row = self.ui.discTable.currentRow()
        return self._levels[row] if 0 <= row < len(self._levels) and self.ui.discTable.selectedItems() else None

    def show(self, work: CaseAtHand | None) -> None:
        """Show a work with its first open disc selected, or nothing."""
        self.work = work
        self._levels = ()
        self.update()
        if work is not None:
            self.select(next(iter(work.open_levels), self._levels[0] if self._levels else None))

    def update(self) -> None:
        """Show what is said of the discs by now."""
        work, table = self.work, self.ui.discTable
        reading, review = isinstance(work, ReadingTask), isinstance(work, PeerReview)
        self.ui.readGradesWidget.visible = reading and work.can_grade
        self.ui.peerReviewWidget.visible = review and work.can_decide
        self.ui.commentWidget.visible = work is not None and (work.can_grade or work.can_decide)
        levels = work.levels if work is not None else ()
        level = self.level
        self._showing = True
        table.rowCount = len(levels)
        drawn = work.drawn_levels if work is not None else ()
        graded = isinstance(work, ReadingTask) and (work.can_grade or bool(work.case.discs))
        table.horizontalHeaderItem(JUDGEMENT).setText(_("Decision") if review else _("Grade"))
        table.setColumnHidden(JUDGEMENT, not (graded or review))
        table.setColumnHidden(SURE, not graded)
        table.setColumnHidden(MASK, work is None or work.masks is None)
        for row, name in enumerate(levels):
            self._fill_row(row, name, name in drawn)
        self._fit_height()
        self._levels = levels
        self._select_row(level)
        self._showing = False
        self._show_selected()

    def select(self, level: str | None) -> None:
        """Select the disc of a level."""
        if level != self.level:
            self.commit_comment()
            self._showing = True
            self._select_row(level)
            self._showing = False
            self._show_selected()
            self._selected(False)

    def step(self, offset: int) -> None:
        """Select the next disc, or the one before."""
        row = self._levels.index(self.level) + offset if self.level in self._levels else 0
        if 0 <= row < len(self._levels):
            self.select(self._levels[row])

    def grade_setter(self, grade: int | None) -> Callable[[], None]:
        """Return what sets a grade, None for a disc that is not assessable, and goes to the next open disc."""

        def set_grade() -> None:
            work, level = self.work, self.level
            if not isinstance(work, ReadingTask) or not work.can_grade or level is None:
                return
            disc = work.disc(level)
            comment = self._comment_text() if self._commented == level else disc.comment
            judged = DiscGrading(level, grade, grade is not None, disc.confidence, comment)
            self._was_kept(self._save.save_by(work.case.judge, judged))
            self._judged(level)
            self._go_on(level)

        return set_grade

    def confidence_setter(self, confidence: int) -> Callable[[], None]:
        """Return what sets or takes back how sure the reader is of the selected disc."""
        return lambda: self._set_confidence(confidence)

    def accept_undecided(self) -> None:
        """Accept the contour of the selected disc; a correction is never taken back by a key."""
        level = self.level
        if isinstance(self.work, PeerReview) and level is not None and self.work.decision(level).choice == "corrected":
            self._say(_("{level} was corrected; the button Accept takes the correction back.").format(level=level))
        else:
            self.accept()

    def accept(self) -> None:
        """Accept the contour of the selected disc, taking back a correction, and go to the next open one."""
        work, level = self.work, self.level
        if isinstance(work, PeerReview) and work.can_decide and level is not None:
            self.commit_comment()
            comment = work.decision(level).reason or self._comment_text()
            if self._was_kept(self._save.save_by(work.accept, level, comment)):
                self._judged(level)
                self._go_on(level)

    @property
    def comment_pending(self) -> bool:
        """Whether a comment was typed that is not saved yet."""
        level, work = self._commented, self.work
        if level is None or work is None or self._comment_text() == self._comment_of(level):
            return False
        return work.can_grade or (
            isinstance(work, PeerReview) and work.can_decide and bool(work.decision(level).choice)
        )

    def commit_comment(self) -> None:
        """Save the comment in the text field, if it is another than the one that is there."""
        work, level = self.work, self._commented
        text = self._comment_text()
        if not self.comment_pending:
            return
        if isinstance(work, ReadingTask) and work.can_grade:
            self._was_kept(self._save.save_by(work.case.judge, replace(work.disc(level), comment=text)))
        elif isinstance(work, PeerReview):
            self._was_kept(self._save.save_by(work.give_reason, level, text))
        self._update_row(level)

    # -- what is shown

    def _set_up_table(self) -> None:
        table = self.ui.discTable
        titles = (_("Level"), _("Grade"), _("Sure"), _("Mask"), _("Comment"))
        set_up_columns(table, titles, COMMENT, table.fontMetrics().height() + 10)
        table.horizontalHeader().setMinimumSectionSize(36)
        self._fit_height()

    def _fit_height(self) -> None:
        table = self.ui.discTable
        header = table.fontMetrics().height() + 10
        table.horizontalHeader().setFixedHeight(header)
        table.setFixedHeight(header + table.rowCount * header + 2 * table.frameWidth)

    def _fill_row(self, row: int, level: str, drawn: bool) -> None:
        judgement, color, sure = self._judgement(level)
        texts = {
            LEVEL: level,
            JUDGEMENT: judgement,
            SURE: sure,
            MASK: _("drawn") if drawn else "-",
            COMMENT: self._comment_of(level),
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            if column == JUDGEMENT and color is not None:
                item.setIcon(color_chip(color))
            self.ui.discTable.setItem(row, column, item)

    def _judgement(self, level: str) -> tuple[str, tuple[int, int, int] | None, str]:
        """Return what was said of a disc, its color, and how sure the reader is."""
        if isinstance(self.work, PeerReview):
            choice = self.work.decision(level).choice
            return (_(choice) if choice else _("to decide") if level in self.work.open_levels else "-"), None, ""
        if not isinstance(self.work, ReadingTask):
            return "", None, ""
        disc = self.work.disc(level)
        sure = _(CONFIDENCES[disc.confidence]) if disc.confidence else ""
        if disc.pfirrmann is not None:
            group = group_of_grade(disc.pfirrmann)
            return f"{ROMAN_GRADES[disc.pfirrmann]} {_(group.value)}", group.color, sure
        return ("-", NOT_GRADED_COLOR, sure) if disc.assessable else (_("not assessable"), NOT_GRADED_COLOR, sure)

    def _show_selected(self) -> None:
        level = self.level
        disc = self.work.disc(level) if isinstance(self.work, ReadingTask) and level else DiscGrading("L1-L2")
        for confidence in CONFIDENCES:
            getattr(self.ui, f"confidence{confidence}Button").checked = disc.confidence == confidence
        self._commented = level
        self.ui.commentEdit.text = self._comment_of(level) if level else ""

    def _comment_of(self, level: str) -> str:
        if isinstance(self.work, ReadingTask):
            return self.work.disc(level).comment
        return self.work.decision(level).reason if isinstance(self.work, PeerReview) else ""

    def _comment_text(self) -> str:
        return str(self.ui.commentEdit.text).strip()

    def _update_row(self, level: str) -> None:
        self._showing = True
        row = self._levels.index(level)
        cell = self.ui.discTable.item(row, MASK)
        self._fill_row(row, level, cell is not None and cell.text() == _("drawn"))
        self._showing = False

    def _select_row(self, level: str | None) -> None:
        if level in self._levels:
            self.ui.discTable.selectRow(self._levels.index(level))
        else:
            self.ui.discTable.clearSelection()

    # -- what the user does

    def _row_selected(self) -> None:
        if not self._showing:
            self.commit_comment()
            self._show_selected()
            self._selected(True)

    def _set_confidence(self, confidence: int) -> None:
        work, level = self.work, self.level
        if not isinstance(work, ReadingTask) or not work.can_grade or level is None:
            return
        disc = work.disc(level)
        wanted = None if disc.confidence == confidence else confidence
        self._was_kept(self._save.save_by(work.case.judge, replace(disc, confidence=wanted)))
        self._update_row(level)
        self._show_selected()

    def go_on(self) -> None:
        """Leave a disc on which everything is said for the next open one."""
        level = self.level
        if self.work is not None and level is not None and level not in self.work.open_levels:
            self._go_on(level)

    def _go_on(self, level: str) -> None:
        """Select the next disc that is open, below first; stay where none is left."""
        self._update_row(level)
        open_levels = self.work.open_levels
        if isinstance(self.work, ReadingTask):
            open_levels = tuple(name for name in self._levels if self.work.disc(name).code is None)
        order = list(self._levels)
        below = [name for name in open_levels if name in order and order.index(name) > order.index(level)]
        following = next(iter(below or [name for name in open_levels if name in order]), None)
        if following is not None:
            self.select(following)
        else:
            self._show_selected()

    def _comment_typed(self, text: str) -> None:
        if self.comment_pending:
            self._save.changing()
        else:
            self._save.refresh()

    def _comment_entered(self) -> None:
        self.commit_comment()
        self.ui.discTable.setFocus()

    def _was_kept(self, outcome: Outcome) -> bool:
        """Return whether a change was not refused; what could not be written is kept and shown as such."""
        if outcome is not Outcome.REFUSED:
            self._say("")
        return outcome is not Outcome.REFUSED
