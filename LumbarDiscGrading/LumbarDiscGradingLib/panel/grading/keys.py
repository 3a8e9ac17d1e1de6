"""The keys of the mode *Grade Discs*, and the list of them; they count while the panel has the focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ..shared.run_section import RunSection
from .result_section import ResultSection
from .save_section import SaveSection


class Keys:
    """Binds the keys that are no correction (those are `CorrectSection`'s) and shows the list of all.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    run : RunSection
    result : ResultSection
    save : SaveSection
    """

    def __init__(self, ui: Any, run: RunSection, result: ResultSection, save: SaveSection) -> None:
        actions: dict[str, Callable[[], None]] = {
            "Ctrl+Return": run.click,
            "N": lambda: result.step(1),
            "P": lambda: result.step(-1),
            "G": result.toggle_shown,
            "L": ui.largeImageButton.toggle,
            "T": ui.threePlanesButton.toggle,
            "C": save.copy_report,
            "S": save.save_all,
        }
        self._shortcuts = []
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), ui.gradingPage)
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)  # nothing is taken from the main window
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)
        ui.keysLabel.text = "\n".join(f"{key}\t{what}" for key, what in _list())
        ui.keysButton.connect("toggled(bool)", ui.keysLabel.setVisible)

    def close(self) -> None:
        """End with the panel."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False


def _list() -> tuple[tuple[str, str], ...]:
    return (
        (_("Ctrl+Return"), _("grade the discs, or cancel")),
        (_("N, P"), _("next, previous disc")),
        (_("1 to 5"), _("set its Pfirrmann grade")),
        (_("0"), _("not assessable")),
        (_("M"), _("edit its mask; draw a missing disc")),
        (_("F"), _("find a missing disc")),
        (_("Del"), _("this is no disc")),
        (_("Ctrl+Z"), _("undo the last change")),
        (_("G"), _("show or hide discs and names")),
        (_("L, T"), _("large image, three planes")),
        (_("C, S"), _("copy the report, save all")),
    )
