"""The section Study: which study folder, and who reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ...annotation.protocol import Reader
from ...annotation.study.study import Study
from ...annotation.work.session import ReaderSession
from ..shared.refusals import refusals_told
from .case.save_elsewhere import rescued_note

STUDY_SETTING, READER_SETTING = "LumbarDiscGrading/Study", "LumbarDiscGrading/Reader"


class StudySection:
    """Opens a study as a reader; folder and reader are remembered for this person.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    may_leave : callable
        Called before another study or reader is taken; returns whether the case in progress could be closed.
    opened : callable
        Called with the `ReaderSession`.
    """

    def __init__(self, ui: Any, may_leave: Callable[[], bool], opened: Callable[[ReaderSession], None]) -> None:
        self.ui, self._may_leave, self._opened = ui, may_leave, opened
        self._study: Study | None = None
        ui.chooseStudyButton.connect("clicked()", self._choose)
        ui.readerComboBox.connect("currentIndexChanged(int)", self._show_button)
        ui.openStudyButton.connect("clicked()", self.open_study)
        ui.studyMessageLabel.visible = False
        self._show_button()
        remembered = str(qt.QSettings().value(STUDY_SETTING, "") or "")
        if remembered:
            self.list_readers(remembered)
        note = rescued_note()
        if note:
            self._say(note)

    def list_readers(self, folder: str) -> None:
        """Show a study folder and the readers of its protocol; the one of last time is selected."""
        combo = self.ui.readerComboBox
        combo.clear()
        self.ui.studyFolderEdit.text = folder
        self._study = None
        with refusals_told(self._say):
            study = self._study = Study.open(folder)
            self._say("")
            combo.addItem(_("Who reads?"), "")
            for reader in study.protocol.readers:
                combo.addItem(describe_reader(reader), reader.id)
            combo.setCurrentIndex(max(combo.findData(str(qt.QSettings().value(READER_SETTING, "") or "")), 0))
        self._show_button()

    def open_study(self) -> None:
        """Open the study as the selected reader."""
        reader = self._reader()
        if self._study is None or not reader or not self._may_leave():
            return
        with refusals_told(self._say):
            self._study.refresh()
            session = ReaderSession(self._study, reader)
            settings = qt.QSettings()
            settings.setValue(STUDY_SETTING, self.ui.studyFolderEdit.text)
            settings.setValue(READER_SETTING, reader)
            self._say("")
            self.ui.studyCollapsibleButton.text = _("Study {name}, reader {reader}").format(
                name=self._study.protocol.name, reader=reader
            )
            self.ui.studyCollapsibleButton.collapsed = True
            self._opened(session)

    def _choose(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.studyFolderEdit, _("Choose a study folder"), self.ui.studyFolderEdit.text
        )
        if folder:
            self.list_readers(str(folder))

    def _reader(self) -> str:
        combo = self.ui.readerComboBox
        return str(combo.itemData(combo.currentIndex) or "") if combo.currentIndex >= 0 else ""

    def _show_button(self, index: int = 0) -> None:
        reader = self._reader()
        self.ui.openStudyButton.enabled = bool(reader)
        self.ui.openStudyButton.text = _("Open as {reader}").format(reader=reader) if reader else _("Open study")

    def _say(self, text: str) -> None:
        self.ui.studyMessageLabel.text = text
        self.ui.studyMessageLabel.visible = bool(text)


def describe_reader(reader: Reader) -> str:
    """Return a reader with roles and experience in words."""
    roles = ", ".join(_(role.value) for role in reader.roles)
    return _("{reader} ({roles}; {years:g} years)").format(
        reader=reader.id, roles=roles, years=reader.years_of_experience
    )
