"""`AgreementSection`: how far readers agree, worked out in the background; tables, a plot, and files to save."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ....annotation.agreement.agreement import Pair, StudyAgreement, require_agreement_sight, study_agreement
from ....annotation.agreement.tables import write_agreement_tables
from ....annotation.errors import StudyError
from ....annotation.study.study import Study
from ....annotation.work.session import ReaderSession
from ....report.agreement_picture import save_agreement_picture
from ....resources import resource_path
from ....scene.study.agreement_chart import AgreementChart
from ...shared.background_run import BackgroundRun, Progress
from .tables import pair_text, show_pair

POLL_MS, LEND_S = 20, 0.03
"""Slicer's main thread keeps Python's lock while it waits for events: each look lends the work so much time."""
END_WAIT_S = 10.0
"""How long the panel's end waits for a run; it stops at its next case."""


class AgreementSection:
    """Shows the agreement of a study to whoever may see it.

    It is worked out when the section is opened for the first time and when *Work out again* is clicked, on a thread and
    a study object of its own.

    Parameters
    ----------
    container : QWidget
        The section is put into its layout; it is hidden while there is no study.

    Attributes
    ----------
    agreement : StudyAgreement or None
        What is shown.

    Examples
    --------
    >>> section = AgreementSection(container)  # doctest: +SKIP
    >>> section.show(session)  # doctest: +SKIP
    """

    def __init__(self, container: Any) -> None:
        self.widget = slicer.util.loadUI(str(resource_path("UI", "Agreement.ui")))
        layout = container.layout()
        (layout if layout is not None else qt.QVBoxLayout(container)).addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        self.agreement: StudyAgreement | None = None
        self._session: ReaderSession | None = None
        self._study: Study | None = None
        self._run: BackgroundRun | None = None
        self._chart = AgreementChart(slicer.mrmlScene)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.agreementCollapsibleButton.connect("contentsCollapsed(bool)", self._opened)
        ui.agreementRunButton.connect("clicked()", self._run_clicked)
        ui.agreementPairComboBox.connect("currentIndexChanged(int)", self._pair_selected)
        ui.agreementPlotButton.connect("toggled(bool)", self._plot_toggled)
        ui.saveAgreementTablesButton.connect("clicked()", self._save_tables)
        ui.saveAgreementPictureButton.connect("clicked()", self._save_picture)
        self.widget.visible = False

    @property
    def running(self) -> bool:
        """Whether agreement is being worked out."""
        return self._run is not None

    def show(self, session_or_study: ReaderSession | Study) -> None:
        """Offer the agreement of a study.

        Parameters
        ----------
        session_or_study : ReaderSession or Study
            With a session the reader sees it only as `require_agreement_sight` allows; a study alone is for those who
            read nothing.
        """
        self.clear()
        self._session = session_or_study if isinstance(session_or_study, ReaderSession) else None
        self._study = session_or_study.study if isinstance(session_or_study, ReaderSession) else session_or_study
        self.widget.visible = True
        if not self.ui.agreementCollapsibleButton.collapsed:
            self.work_out()

    def clear(self) -> None:
        """Forget the study and take the plot out of the scene."""
        self._cancel()
        self._forget()
        self._session = self._study = None
        self.say("")
        self.widget.visible = False

    def work_out(self) -> None:
        """Work out the agreement of what is signed now, in the background; a reader who may not see it hears why."""
        if self._study is None or self.running:
            return
        self._forget()
        try:
            if self._session is not None:
                self._session.refresh()
                require_agreement_sight(self._session)
        except StudyError as error:
            self.say(str(error))
            return
        self.say("")
        folder = self._study.folder
        self._run = BackgroundRun(lambda progress: _agreement_of(folder, progress)).start()
        self._timer.start()
        self._show_run()

    def dispose(self) -> None:
        """End with the panel: nothing is computed and nothing is left in the scene."""
        run = self._run
        self.clear()
        if run is not None:
            run.wait(END_WAIT_S)

    def say(self, text: str) -> None:
        """Tell the user a sentence."""
        self.ui.agreementMessageLabel.text = text
        self.ui.agreementMessageLabel.visible = bool(text)

    # -- what happens

    def _opened(self, collapsed: bool) -> None:
        if not collapsed and self.agreement is None:
            self.work_out()

    def _run_clicked(self) -> None:
        if self.running:
            self._cancel()
            self.say(_("Canceled."))
        else:
            self.work_out()

    def _cancel(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
        self._timer.stop()
        self._show_run()

    def _poll(self) -> None:
        run = self._run
        if run is None or not run.wait(LEND_S):
            self._show_run()
            return
        self._run = None
        self._timer.stop()
        self._show_run()
        self._show_outcome(run)

    def _show_outcome(self, run: BackgroundRun) -> None:
        if run.error is not None:
            reason = (str(run.error).splitlines() or [type(run.error).__name__])[0]
            known = isinstance(run.error, StudyError)
            self.say(reason if known else _("Agreement could not be worked out ({reason}).").format(reason=reason))
            return
        self.agreement = run.value
        pairs = self.agreement.pairs()
        if not pairs:
            self.say(_("No case has two signed readings yet."))
        combo = self.ui.agreementPairComboBox
        combo.clear()
        for pair in pairs:
            combo.addItem(pair_text(pair))
        self.ui.agreementResultWidget.visible = bool(pairs)
        self._show_pair()

    def _show_run(self) -> None:
        bar = self.ui.agreementProgressBar
        bar.visible = self.running
        self.ui.agreementRunButton.text = _("Cancel") if self.running else _("Work out again")
        if self.running and self._run.stage:
            done, _of, total = self._run.stage.partition("/")
            bar.maximum, bar.value = int(total), int(done)

    def _forget(self) -> None:
        """Forget what was worked out."""
        self.agreement = None
        self.ui.agreementPlotButton.checked = False
        self._chart.remove()
        self.ui.agreementPairComboBox.clear()
        self.ui.agreementResultWidget.visible = False

    def _pair(self) -> Pair | None:
        index = self.ui.agreementPairComboBox.currentIndex
        pairs = self.agreement.pairs() if self.agreement is not None else []
        return pairs[index] if 0 <= index < len(pairs) else None

    def _pair_selected(self, index: int) -> None:
        if self.agreement is not None:
            self._show_pair()

    def _show_pair(self) -> None:
        pair = self._pair()
        if pair is None:
            return
        show_pair(self.ui, pair, self.agreement)
        if self.ui.agreementPlotButton.checked:
            self._plot(pair)

    # -- plot and files

    def _plot_toggled(self, shown: bool) -> None:
        pair = self._pair()
        if shown and pair is not None:
            self._plot(pair)
        else:
            self._chart.hide()

    def _plot(self, pair: Pair) -> None:
        self._chart.write(pair, pair_text(pair))
        self._chart.show()

    def _save_tables(self) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(self.widget, _("Save tables"), "")
        if chosen:
            self._save(lambda: write_agreement_tables(self.agreement, Path(chosen)), chosen)

    def _save_picture(self) -> None:
        chosen = qt.QFileDialog.getSaveFileName(self.widget, _("Save picture"), "agreement.png", _("Picture (*.png)"))
        if chosen:
            path = chosen if chosen.lower().endswith(".png") else f"{chosen}.png"
            self._save(lambda: save_agreement_picture(self.agreement, path), path)

    def _save(self, write: Callable[[], Any], where: str) -> None:
        try:
            write()
        except (OSError, StudyError) as error:
            reason = getattr(error, "strerror", None) or error
            self.say(_("It could not be saved ({reason}); choose another place.").format(reason=reason))
            return
        self.say(_("Saved: {path}").format(path=where))


def _agreement_of(folder: Path, progress: Progress) -> StudyAgreement:
    """Work out the agreement of a study, opened anew: the one of the panel belongs to the main thread."""

    def told(cases: Sequence[str]) -> Iterator[str]:
        for number, case in enumerate(cases, start=1):
            progress(f"{number}/{len(cases)}")
            yield case

    return study_agreement(Study.open(folder), progress=told)
