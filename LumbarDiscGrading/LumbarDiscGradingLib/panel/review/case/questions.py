"""Small questions to the reader: for a reason, and before masks are signed in which a level has no contour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

WIDTH_PX = 320


def ask_reason(parent: Any, title: str, question: str) -> str | None:
    """Ask for a reason; returns None if the user thinks better of it or gives none."""
    edit = qt.QLineEdit()
    edit.setObjectName("reasonEdit")
    edit.setMinimumWidth(WIDTH_PX)
    dialog, _buttons = _question(parent, "askReasonDialog", title, qt.QLabel(question), edit)
    accepted = dialog.exec_()
    reason = str(edit.text).strip()
    dialog.deleteLater()
    return reason if accepted and reason else None


def confirm_empty(parent: Any, levels: Sequence[str]) -> bool:
    """Ask whether masks are to be signed though these levels have no contour; who just presses a key says no.

    Parameters
    ----------
    parent : QWidget
        The dialog belongs to its window.
    """
    text = _(
        "{levels}: nothing is drawn, though the protocol asks for it. Signed like this, the case says that there is "
        "no such disc to be drawn."
    )
    label = qt.QLabel(text.format(levels=", ".join(levels)))
    label.wordWrap = True
    label.setMinimumWidth(WIDTH_PX)
    dialog, buttons = _question(parent, "confirmEmptyDialog", _("Sign with empty levels?"), label)
    buttons.button(qt.QDialogButtonBox.Ok).text = _("Sign without them")
    buttons.button(qt.QDialogButtonBox.Cancel).text = _("Go on drawing")
    buttons.button(qt.QDialogButtonBox.Cancel).setDefault(True)
    buttons.button(qt.QDialogButtonBox.Cancel).setFocus()
    accepted = dialog.exec_()
    dialog.deleteLater()
    return bool(accepted)


def _question(parent: Any, name: str, title: str, *widgets: Any) -> tuple[Any, Any]:
    """Return a dialog in the window of `parent`, and its buttons."""
    dialog = qt.QDialog(parent.window())
    dialog.setObjectName(name)
    dialog.windowTitle = title
    layout, buttons = qt.QVBoxLayout(dialog), qt.QDialogButtonBox()
    buttons.setStandardButtons(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
    for widget in (*widgets, buttons):
        layout.addWidget(widget)
    buttons.connect("accepted()", dialog.accept)
    buttons.connect("rejected()", dialog.reject)
    return dialog, buttons
