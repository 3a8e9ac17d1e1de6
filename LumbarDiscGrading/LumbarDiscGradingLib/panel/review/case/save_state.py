"""The line that always tells whether everything is on the disk, and the ways out where it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

import qt
from slicer.i18n import tr as _

from ....annotation.errors import ChangedElsewhereError, NotSavedError
from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.reading_task import ReadingTask
from ....errors import UserError
from ...shared.refusals import refusals_told
from .words import plain

SAVED, UNSAVED, FAILED = "\N{CHECK MARK}", "\N{BLACK CIRCLE}", "\N{WARNING SIGN}"


class Outcome(Enum):
    """What came of a change."""

    SAVED = "saved"
    KEPT = "kept"
    """It could not be written; the work keeps it, and the line says so."""
    REFUSED = "refused"


class SaveState:
    """Says *Saved* only when the library has confirmed it.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    flush : callable
        Hands what is still in the scene or in a text field to the work; called before everything is tried again.
    reloaded : callable
        Called after what was saved elsewhere has been taken.
    pending : callable
        Returns whether something was drawn or typed that the work has not been given yet.
    tell : callable
        Tells the user a sentence about the case.
    """

    def __init__(
        self,
        ui: Any,
        flush: Callable[[], None],
        reloaded: Callable[[], None],
        pending: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self.ui, self._flush, self._reloaded, self._pending, self._tell = ui, flush, reloaded, pending, tell
        self.work: CaseAtHand | None = None
        ui.trySaveButton.connect("clicked()", self.try_again)
        ui.saveElsewhereButton.connect("clicked()", self._save_elsewhere)
        ui.takeSavedButton.connect("clicked()", self._take_saved)
        ui.saveOverButton.connect("clicked()", self._save_over)

    def show(self, work: CaseAtHand | None) -> None:
        """Show the state of a work just opened, or of none."""
        self.work = work
        self.ui.saveStateWidget.visible = work is not None
        self._offer()
        if work is None:
            self.ui.saveStateLabel.text = ""
        elif work.problem:
            self._failed(plain(work.item, work.problem))
        elif work.is_signed:
            self._say(SAVED, _("Signed and saved."))
        else:
            self._say(SAVED, _("Everything is saved."))

    def changing(self) -> None:
        """Say that something is about to be saved."""
        self._say(UNSAVED, _("Not saved yet."))

    def save_by(self, change: Callable[..., None], *values: Any) -> Outcome:
        """Call what saves something, and show what came of it; the user is told what was refused."""
        try:
            change(*values)
        except NotSavedError as error:
            self._failed(self._plain(error))
            self._offer(failed=True, conflict=isinstance(error, ChangedElsewhereError))
            return Outcome.KEPT
        except UserError as error:
            self.refresh()
            self._tell(self._plain(error))
            return Outcome.REFUSED
        self._confirm()
        return Outcome.SAVED

    def refresh(self) -> None:
        """Show the state anew where nothing was saved just now."""
        if self.work is not None and self.work.has_unsaved:
            self._failed(_("Something is not saved."))
        elif self.work is not None and self.ui.saveStateLabel.text.startswith(UNSAVED) and not self._pending():
            self._say(SAVED, _("Everything is saved."))

    def try_again(self) -> bool:
        """Save what could not be saved; returns whether everything is on the disk."""
        self._flush()
        if self.work is None:
            return True
        if self.work.has_unsaved:
            return self.save_by(self.work.save) is Outcome.SAVED
        self._offer()
        self._say(SAVED, _("Everything is saved."))
        return True

    # -- what is shown

    def _confirm(self) -> None:
        if self.work.has_unsaved:  # another task of the same case
            self._failed(_("Something is not saved."))
            return
        self._offer()
        if self._pending():
            self.changing()
            return
        self._say(SAVED, _("Saved {time}").format(time=datetime.now().strftime("%H:%M:%S")))

    def _plain(self, error: UserError) -> str:
        return plain(self.work.item, str(error))

    def _failed(self, reason: str) -> None:
        self._say(FAILED, _("Not saved: {reason} Your work is kept here meanwhile.").format(reason=_sentence(reason)))
        self._offer(failed=True)

    def _say(self, symbol: str, text: str) -> None:
        self.ui.saveStateLabel.text = f"{symbol} {text}"

    def _offer(self, failed: bool = False, conflict: bool = False) -> None:
        self.ui.trySaveButton.visible = self.ui.saveElsewhereButton.visible = failed or conflict
        self.ui.takeSavedButton.visible = self.ui.saveOverButton.visible = conflict

    # -- what the user does

    def _save_elsewhere(self) -> None:
        if self.work is None:
            return
        self._flush()
        folder = qt.QFileDialog.getExistingDirectory(self.ui.saveStateWidget, _("Save elsewhere"), "")
        if not folder:
            return
        with refusals_told(lambda sentence: self._failed(plain(self.work.item, sentence))):
            self.work.save_elsewhere(folder)
            text = _("Not in the study, but kept in {folder}. Try again when the study can be written.")
            self._say(FAILED, text.format(folder=folder))

    def _take_saved(self) -> None:
        if isinstance(self.work, ReadingTask):
            self.work.take_saved()
            self._offer()
            self.show(self.work)
            self._reloaded()

    def _save_over(self) -> None:
        if isinstance(self.work, ReadingTask):
            self.save_by(self.work.save_over)


def _sentence(text: str) -> str:
    """Return text that ends with a full stop."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
