"""The field for the reason of a decision; reasons given before can be chosen again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....annotation.work.adjudication import Adjudication

REMEMBERED_REASONS = 8


class ReasonField:
    """Takes the reason of the disc that is selected.

    Parameters
    ----------
    combo : QComboBox
        Editable.
    given : callable
        Called after a reason was typed or chosen.

    Attributes
    ----------
    level : str or None
        Level of the disc whose reason it holds.
    """

    def __init__(self, combo: Any, given: Callable[[], None]) -> None:
        self._combo = combo
        self.level: str | None = None
        self._known: list[str] = []
        combo.lineEdit().connect("editingFinished()", given)
        combo.connect("activated(int)", lambda index: given())

    @property
    def text(self) -> str:
        """What stands in the field, without surrounding blanks."""
        return str(self._combo.currentText).strip()

    def text_for(self, level: str) -> str:
        """Return what stands in the field if it belongs to this disc, nothing else."""
        return self.text if level == self.level else ""

    def show(self, level: str, reason: str) -> None:
        """Show the reason of a disc; what was typed for it stays while it has none."""
        combo, typed = self._combo, self.text_for(level)
        combo.clear()
        for known in self._known:
            combo.addItem(known)
        combo.setCurrentIndex(-1)
        combo.setEditText(reason or typed)
        self.level = level

    def clear(self) -> None:
        """Hold no reason of any disc."""
        self.level = None
        self._combo.setEditText("")

    def ask(self) -> None:
        """Let the user type."""
        self._combo.setFocus()
        self._combo.lineEdit().selectAll()

    def remember(self, reason: str) -> None:
        """Offer a reason for the next discs."""
        self._known = [reason, *(other for other in self._known if other != reason)][:REMEMBERED_REASONS]

    def is_pending(self, work: Adjudication | None) -> bool:
        """Whether a reason was typed for a decision and is not part of it yet."""
        if work is None or self.level is None or not work.can_decide or not work.decision(self.level).choice:
            return False
        return bool(self.text) and self.text != work.decision(self.level).reason
