"""The question before masks are signed in which a level of the protocol has no contour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
from slicer.i18n import tr as _


def confirm_empty(parent: Any, levels: Sequence[str]) -> bool:
    """Ask whether masks are to be signed though these levels have no contour; who just presses a key says no.

    Parameters
    ----------
    parent : QWidget
        The dialog belongs to its window.
    """
    question = _(
        "{levels}: nothing is drawn, though the protocol asks for it. Signed like this, the case says that there is "
        "no such disc to be drawn."
    )
    dialog = qt.QDialog(parent.window())
    dialog.setObjectName("confirmEmptyDialog")
    dialog.windowTitle = _("Sign with empty levels?")
    layout, label = qt.QVBoxLayout(dialog), qt.QLabel(question.format(levels=", ".join(levels)))
    label.wordWrap = True
    label.setMinimumWidth(320)
    buttons = qt.QDialogButtonBox()
    buttons.setStandardButtons(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
    buttons.button(qt.QDialogButtonBox.Ok).text = _("Sign without them")
    buttons.button(qt.QDialogButtonBox.Cancel).text = _("Go on drawing")
    buttons.button(qt.QDialogButtonBox.Cancel).setDefault(True)
    buttons.button(qt.QDialogButtonBox.Cancel).setFocus()
    layout.addWidget(label)
    layout.addWidget(buttons)
    buttons.connect("accepted()", dialog.accept)
    buttons.connect("rejected()", dialog.reject)
    accepted = dialog.exec_()
    dialog.deleteLater()
    return bool(accepted)
