"""The section Save: segmentation, table, picture, report and DICOM of what is shown, corrections included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...atomic import replacing
from ...report import overview
from ...report.file_names import safe_file_name
from ...report.tables import write_grades_csv, write_result_json
from ...report.text import report_text
from ...scene.files import save_segmentation_node
from ...scene.graded_case import GradedCase
from .dicom_saving import DicomSaving
from .report_page import save_report_page

FOLDER_SETTING = "LumbarDiscGrading/SaveFolder"
"""The folder that was saved into last."""


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
        self._dicom = DicomSaving(ui)
        ui.saveAllButton.connect("clicked()", self.save_all)
        ui.copyReportButton.connect("clicked()", self.copy_report)
        ui.saveReportButton.connect("clicked()", self._save_report)
        ui.savePictureButton.connect("clicked()", self._save_picture)
        ui.saveTableButton.connect("clicked()", self._save_table)
        ui.saveSegmentationButton.connect("clicked()", self._save_segmentation)
        ui.saveDicomButton.connect("clicked()", self._save_dicom)

    def show(self, case: GradedCase | None) -> None:
        """Offer a case, or nothing."""
        self.case = case
        self.ui.saveCollapsibleButton.enabled = case is not None

    def close(self) -> None:
        """End with the panel: afterwards no thread works."""
        self._dicom.close()

    def save_all(self) -> None:
        """Save everything that there is to save into the folder last used; nothing that lies there is overwritten."""
        if self.case is None or self._finish_first():
            return
        folder = self._folder()
        if folder is None:
            return
        stem = self._free_stem(folder)
        saved = all(self._write(folder / f"{stem}{ending}", ending) for ending in ENDINGS)
        if saved:
            text = _("Saved: {count} files {stem}_… in {folder}")
            self.ui.statusLabel.text = text.format(count=len(ENDINGS), stem=stem, folder=folder)

    def copy_report(self) -> None:
        """Put the report as text on the clipboard."""
        if self.case is not None and not self._finish_first():
            slicer.app.clipboard().setText(report_text(self.case.result))
            self.ui.statusLabel.text = _("The report text is on the clipboard.")

    # -- one file

    def _save_report(self) -> None:
        self._save(("_report.pdf", "_report.txt"), _("Page (*.pdf);;Text (*.txt)"))

    def _save_picture(self) -> None:
        self._save(("_overview.png",), _("Picture (*.png)"))

    def _save_table(self) -> None:
        self._save(("_grades.csv", "_result.json"), _("Table (*.csv);;Everything (*.json)"))

    def _save_segmentation(self) -> None:
        self._save(("_discs.seg.nrrd",), _("Segmentation (*.seg.nrrd)"))

    def _save_dicom(self) -> None:
        if self.case is not None and not self._finish_first():
            self._dicom.save(self.case)

    def _save(self, endings: tuple[str, ...], kinds: str) -> None:
        """Ask for a file of one of these kinds and write it."""
        if self.case is None or self._finish_first():
            return
        proposed = str(Path(_last_folder()) / f"{self._stem()}{endings[0]}")
        chosen = qt.QFileDialog.getSaveFileName(self.ui.saveCollapsibleButton, _("Save"), proposed, kinds)
        if not chosen:
            return
        kind = next((ending for ending in endings if chosen.lower().endswith(_suffix(ending))), None)
        path = Path(chosen if kind else chosen + _suffix(endings[0]))
        if not kind and path.exists():  # the dialog has asked about the name without the ending
            self.ui.statusLabel.text = _("{name} is there already; choose another name.").format(name=path.name)
            return
        if self._write(path, kind or endings[0]):
            qt.QSettings().setValue(FOLDER_SETTING, str(path.parent))
            self.ui.statusLabel.text = _("Saved: {path}").format(path=path)

    def _write(self, path: Path, ending: str) -> bool:
        """Write what files with an ending hold, and return whether that went well; if not the user is told why."""
        try:
            with slicer.util.tryWithErrorDisplay(_("It could not be saved."), show=False, waitCursor=True):
                ENDINGS[ending](self.case, path)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.ui.statusLabel.text = _("{name} could not be saved ({reason}); choose another place.").format(
                name=path.name, reason=reason
            )
            return False
        return True

    # -- where

    def _stem(self) -> str:
        return safe_file_name(self.case.volumeNode.GetName() or "")

    def _free_stem(self, folder: Path) -> str:
        """Return a name of which the folder has no file yet."""
        stem = name = self._stem()
        number = 1
        while any((folder / f"{name}{ending}").exists() for ending in ENDINGS):
            number += 1
            name = f"{stem}_{number}"
        return name

    def _folder(self) -> Path | None:
        """Return the folder last used, or the one that the user chooses where there is none."""
        last = _last_folder()
        if last and Path(last).is_dir():
            return Path(last)
        chosen = qt.QFileDialog.getExistingDirectory(self.ui.saveCollapsibleButton, _("Save all into this folder"))
        if not chosen:
            return None
        qt.QSettings().setValue(FOLDER_SETTING, chosen)
        return Path(chosen)


def _last_folder() -> str:
    return str(qt.QSettings().value(FOLDER_SETTING, "") or "")


def _suffix(ending: str) -> str:
    """Return the part of an ending that tells the kind of file: ``.seg.nrrd`` of ``_discs.seg.nrrd``."""
    return ending[ending.index(".") :]


def _write_text(case: GradedCase, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(report_text(case.result), encoding="utf-8")


ENDINGS: dict[str, Callable[[GradedCase, Path], None]] = {
    "_discs.seg.nrrd": lambda case, path: save_segmentation_node(case.segmentationNode, path),
    "_grades.csv": lambda case, path: write_grades_csv(case.result, path),
    "_result.json": lambda case, path: write_result_json(case.result, path),
    "_overview.png": lambda case, path: overview.save(case.result, path),
    "_report.pdf": lambda case, path: save_report_page(case.result, case.volumeNode.GetName() or "", path),
    "_report.txt": _write_text,
}
"""What is written into files with these endings."""
