"""The line that always tells whether everything is on the disk, and the ways out where it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import qt
from slicer.i18n import tr as _

from ....annotation.errors import ChangedElsewhereError, NotSavedError, StudyError
from .work import ReadingWork, Work

SAVED, UNSAVED, FAILED = "\N{CHECK MARK}", "\N{BLACK CIRCLE}", "\N{WARNING SIGN}"


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
    """

    def __init__(
        self, ui: Any, flush: Callable[[], bool], reloaded: Callable[[], None], pending: Callable[[], bool]
    ) -> None:
        self.ui, self._flush, self._reloaded, self._pending = ui, flush, reloaded, pending
        self.work: Work | None = None
        ui.trySaveButton.connect("clicked()", self.try_again)
        ui.saveElsewhereButton.connect("clicked()", self._save_elsewhere)
        ui.takeSavedButton.connect("clicked()", self._take_saved)
        ui.saveOverButton.connect("clicked()", self._save_over)

    def show(self, work: Work | None) -> None:
        """Show the state of a work just opened, or of none."""
        self.work = work
        self.ui.saveStateWidget.visible = work is not None
        self._offer()
        if work is None:
            self.ui.saveStateLabel.text = ""
        elif work.problem:
            self._failed(work.plain(work.problem))
        elif work.is_signed:
            self._say(SAVED, _("Signed and saved."))
        else:
            self._say(SAVED, _("Everything is saved."))

    def changing(self) -> None:
        """Say that something is about to be saved."""
        self._say(UNSAVED, _("Not saved yet."))

    def attempt(self, action: Callable[[], None]) -> bool:
        """Do something that saves and show what came of it; returns whether the library confirmed it.

        A refusal that has nothing to do with saving is raised.

        Raises
        ------
        StudyError
        """
        if self.work is None:
            return False
        try:
            action()
        except ChangedElsewhereError as error:
            self._failed(self.work.plain(str(error)))
            self._offer(conflict=isinstance(self.work, ReadingWork))
            return False
        except NotSavedError as error:
            self._failed(self.work.plain(str(error)))
            return False
        except StudyError:
            self.refresh()
            raise
        self._confirm()
        return True

    def refresh(self) -> None:
        """Show the state anew where nothing was saved just now."""
        if self.work is not None and self.work.unsaved:
            self._failed(_("Something is not saved."))
        elif self.work is not None and self.ui.saveStateLabel.text.startswith(UNSAVED) and not self._pending():
            self._say(SAVED, _("Everything is saved."))

    def try_again(self) -> bool:
        """Save what could not be saved; returns whether everything is on the disk."""
        self._flush()
        if self.work is None:
            return True
        if self.work.unsaved:
            return self.attempt(self.work.save)
        self._offer()
        self._say(SAVED, _("Everything is saved."))
        return True

    # -- what is shown

    def _confirm(self) -> None:
        if self.work.unsaved:  # another task of the same case
            self._failed(_("Something is not saved."))
            return
        self._offer()
        if self._pending():
            self.changing()
            return
        self._say(SAVED, _("Saved {time}").format(time=datetime.now().strftime("%H:%M:%S")))

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
        try:
            self.work.save_elsewhere(folder)
        except StudyError as error:
            self._failed(self.work.plain(str(error)))
            return
        text = _("Not in the study, but kept in {folder}. Try again when the study can be written.")
        self._say(FAILED, text.format(folder=folder))

    def _take_saved(self) -> None:
        if isinstance(self.work, ReadingWork):
            self.work.take_saved()
            self._offer()
            self.show(self.work)
            self._reloaded()

    def _save_over(self) -> None:
        if isinstance(self.work, ReadingWork):
            self.attempt(self.work.save_over)


def _sentence(text: str) -> str:
    """Return text that ends with a full stop."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
