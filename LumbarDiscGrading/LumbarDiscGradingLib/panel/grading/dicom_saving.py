"""*Save to DICOM*: segmentation and report of a case go into Slicer's DICOM database, beside their images."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import UserError
from ...scene.dicom_headers import dicom_files_of
from ...scene.graded_case import GradedCase
from ..shared.background_run import BackgroundRun, Progress
from ..shared.dependencies import ensure_highdicom
from ..shared.refusals import refusals_told
from ..shared.run_section import END_WAIT_S, POLL_MS
from ..shared.timers import every


class DicomSaving:
    """Makes the DICOM objects of a case on a thread of its own; the main thread puts them into the database.

    From there Slicer's own *Send to PACS* takes them on.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._run: BackgroundRun | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._timer = every(POLL_MS, self._poll)

    def save(self, case: GradedCase) -> None:
        """Begin to save a case as it is now; why it cannot be is told."""
        with refusals_told(self._say):
            files = dicom_files_of(case.volumeNode)
            ensure_highdicom()
            volume = case.result.volume
            source = replace(volume.source, dicom_files=files)
            result = replace(case.result, volume=replace(volume, source=source))
            self._folder = tempfile.TemporaryDirectory(prefix="LumbarDiscGrading-", ignore_cleanup_errors=True)
            folder = Path(self._folder.name)

            def work(_progress: Progress) -> None:
                from ...report.dicom.writing import write_dicom

                write_dicom(result, folder / "segmentation.dcm", folder / "report.dcm")

            self.ui.saveDicomButton.enabled = False
            self._say(_("Segmentation and report are made for the DICOM database."))
            self._run = BackgroundRun(work).start()
            self._timer.start()

    def close(self) -> None:
        """Give up what is being made and wait until no thread works any more."""
        self._timer.stop()
        if self._run is not None:
            self._run.wait(END_WAIT_S)
            self._end()

    def _poll(self) -> None:
        run = self._run
        if run is None:
            return
        run.lend()
        if not run.finished:
            return
        self._run = None
        self._timer.stop()
        try:
            if run.error is None:
                self._put_in(Path(self._folder.name))
            else:
                self._failed(run.error)
        finally:
            self._end()

    def _end(self) -> None:
        self._run = None
        self._folder.cleanup()
        self.ui.saveDicomButton.enabled = True

    def _put_in(self, folder: Path) -> None:
        """Import the files of a folder, as copies, and tell whether the database has them then."""
        from DICOMLib import DICOMUtils

        database = slicer.dicomDatabase
        DICOMUtils.importDicom(str(folder), database, True)
        if all(database.fileForInstance(uid) for uid in _instances(folder)):
            self._say(_("Saved to the DICOM database: a segmentation and a report."))
        else:
            self._say(_("The DICOM database did not take segmentation and report; see whether its folder is full."))

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, UserError):
            self._say(str(error))
            return
        reason = getattr(error, "strerror", None) or type(error).__name__
        self._say(_("Segmentation and report could not be made as DICOM ({reason}).").format(reason=reason))

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text


def _instances(folder: Path) -> list[str]:
    import pydicom

    return [str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in folder.iterdir()]
