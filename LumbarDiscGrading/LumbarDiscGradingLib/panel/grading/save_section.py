"""The section Save: segmentation, table, picture and report text of what is shown, corrections included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...report import overview
from ...report.file_names import safe_file_name
from ...report.tables import write_grades_csv, write_result_json
from ...report.text import report_text
from ...scene.files import save_segmentation_node
from ...scene.graded_case import GradedCase


class SaveSection:
    """Saves and copies a case.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    finish_first : callable
        Tells the user what has to be finished first and returns whether there is something.
    """

    def __init__(self, ui: Any, finish_first: Callable[[], bool]) -> None:
        self.ui, self._finish_first = ui, finish_first
        self.case: GradedCase | None = None
        ui.saveSegmentationButton.connect("clicked()", self._save_segmentation)
        ui.saveTableButton.connect("clicked()", self._save_table)
        ui.savePictureButton.connect("clicked()", self._save_picture)
        ui.copyReportButton.connect("clicked()", self._copy_report)

    def show(self, case: GradedCase | None) -> None:
        """Offer a case, or nothing."""
        self.case = case
        self.ui.saveCollapsibleButton.enabled = case is not None

    def _save_segmentation(self) -> None:
        path = self._path("_discs.seg.nrrd", _("Segmentation (*.seg.nrrd)"), (".seg.nrrd",))
        self._save(path, lambda: save_segmentation_node(self.case.segmentationNode, path))

    def _save_table(self) -> None:
        path = self._path("_grades.csv", _("Table (*.csv);;Everything (*.json)"), (".csv", ".json"))
        write = write_result_json if path is not None and path.suffix == ".json" else write_grades_csv
        self._save(path, lambda: write(self.case.result, path))

    def _save_picture(self) -> None:
        path = self._path("_overview.png", _("Picture (*.png)"), (".png",))
        self._save(path, lambda: overview.save(self.case.result, path))

    def _copy_report(self) -> None:
        if self.case is not None and not self._finish_first():
            slicer.app.clipboard().setText(report_text(self.case.result))
            self.ui.statusLabel.text = _("The report text is on the clipboard.")

    def _path(self, ending: str, kinds: str, endings: tuple[str, ...]) -> Path | None:
        if self.case is None or self._finish_first():
            return None
        name = f"{safe_file_name(self.case.volumeNode.GetName() or '')}{ending}"
        chosen = qt.QFileDialog.getSaveFileName(self.ui.saveCollapsibleButton, _("Save"), name, kinds)
        if not chosen:
            return None
        return Path(chosen if chosen.lower().endswith(endings) else chosen + endings[0])

    def _save(self, path: Path | None, write: Any) -> None:
        if path is None:
            return
        try:
            with slicer.util.tryWithErrorDisplay(_("It could not be saved."), show=False, waitCursor=True):
                write()
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.ui.statusLabel.text = _("{name} could not be saved ({reason}); choose another place.").format(
                name=path.name, reason=reason
            )
            return
        self.ui.statusLabel.text = _("Saved: {path}").format(path=path)
