"""The keys of the mode *Grade Discs*, and the list of them; they count while the panel has the focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..shared.run_section import RunSection
from ..shared.shortcuts import bind
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
    editing : callable
        Tells whether a mask is edited: the keys that would end that, or that change the views, wait until then.
    """

    def __init__(
        self, ui: Any, run: RunSection, result: ResultSection, save: SaveSection, editing: Callable[[], bool]
    ) -> None:
        self._editing = editing
        always: dict[str, Callable[[], None]] = {"Ctrl+Return": run.click, "G": result.toggle_shown}
        reading: dict[str, Callable[[], None]] = {
            "N": lambda: result.step(1),
            "P": lambda: result.step(-1),
            "L": lambda: _toggle(ui.largeImageButton),
            "T": lambda: _toggle(ui.threePlanesButton),
            "C": save.copy_report,
            "S": save.save_all,
        }
        actions = always | {key: self._unless_editing(action) for key, action in reading.items()}
        self._shortcuts = [bind(ui.gradingPage, key, action) for key, action in actions.items()]
        ui.keysLabel.text = "\n".join(f"{key}\t{what}" for key, what in _list())
        ui.keysButton.connect("toggled(bool)", ui.keysLabel.setVisible)

    def _unless_editing(self, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self._editing() else action()

    def close(self) -> None:
        """End with the panel."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False


def _toggle(button: Any) -> None:
    if button.isVisible():
        button.toggle()


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
