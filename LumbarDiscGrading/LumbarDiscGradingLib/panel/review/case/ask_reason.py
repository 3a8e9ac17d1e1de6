"""A small dialog that asks for a reason."""

from __future__ import annotations

from typing import Any

import qt


def ask_reason(parent: Any, title: str, question: str) -> str | None:
    """Ask for a reason; returns None if the user thinks better of it or gives none."""
    dialog = qt.QDialog(parent.window())
    dialog.setObjectName("askReasonDialog")
    dialog.windowTitle = title
    layout = qt.QVBoxLayout(dialog)
    label, edit = qt.QLabel(question), qt.QLineEdit()
    edit.setObjectName("reasonEdit")
    edit.setMinimumWidth(320)
    buttons = qt.QDialogButtonBox()
    buttons.setStandardButtons(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
    for widget in (label, edit, buttons):
        layout.addWidget(widget)
    buttons.connect("accepted()", dialog.accept)
    buttons.connect("rejected()", dialog.reject)
    accepted = dialog.exec_()
    reason = str(edit.text).strip()
    dialog.deleteLater()
    return reason if accepted and reason else None
