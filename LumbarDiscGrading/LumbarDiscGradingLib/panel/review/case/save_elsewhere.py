"""The last resort: Slicer ends while the study cannot be written, so the work goes to the user's home folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ....annotation.errors import StudyError
from ....annotation.work.case_at_hand import CaseAtHand

RESCUE_FOLDER = "LumbarDiscGrading-unsaved"
RESCUED_SETTING = "LumbarDiscGrading/Unsaved"


def rescue(work: CaseAtHand) -> None:
    """Write what is not saved into the home folder and remember that."""
    folder = Path.home() / RESCUE_FOLDER
    with contextlib.suppress(StudyError):  # nowhere to write: there is nobody to be told any more
        work.save_elsewhere(folder)
        qt.QSettings().setValue(RESCUED_SETTING, str(folder))


def rescued_note() -> str:
    """Return a sentence on what was rescued last time, once; empty where nothing was."""
    settings = qt.QSettings()
    folder = str(settings.value(RESCUED_SETTING, "") or "")
    if not folder:
        return ""
    settings.remove(RESCUED_SETTING)
    return _(
        "When Slicer was closed last time, the study could not be written; what was not saved is in {folder}."
    ).format(folder=folder)
