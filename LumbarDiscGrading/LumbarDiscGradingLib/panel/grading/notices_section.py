"""What must be read before the table: what is wrong or doubtful with a result, each with what can be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from ...grading.result import DiscGrade
from ...report.doubts import warnings_of
from ...report.text import possible_grades
from ...scene.graded_case import GradedCase


@dataclass(frozen=True)
class CaseState:
    """What became of a case since it was graded.

    Attributes
    ----------
    is_stale : bool
        The volume was changed: the result is that of another image.
    drawn : tuple of str
        Levels whose masks were drawn since they were graded, by whatever tool.
    offered : tuple of str
        Missing levels by which somebody's segment is named.
    """

    is_stale: bool = False
    drawn: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()


class NoticesSection:
    """Shows the notices of a case between the button *Grade Discs* and the table.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    grade, regrade, take_back, take_disc : callable
        Called when the user clicks the button of that name.
    """

    def __init__(
        self,
        ui: Any,
        grade: Callable[[], None],
        regrade: Callable[[], None],
        take_back: Callable[[], None],
        take_disc: Callable[[], None],
    ) -> None:
        self.ui = ui
        ui.gradeAgainButton.connect("clicked()", grade)
        ui.regradeDrawnButton.connect("clicked()", regrade)
        ui.takeBackButton.connect("clicked()", take_back)
        ui.takeDiscButton.connect("clicked()", take_disc)

    def show(self, case: GradedCase | None, state: CaseState, problem: str = "") -> None:
        """Show what is to be said of a case, worst first, or of none.

        Parameters
        ----------
        problem : str
            Why there is no case, where the scene keeps one that cannot be shown.
        """
        lines = [problem] if problem else []
        if case is not None:
            lines += [*self._changes(case, state), *result_notices(case)]
        self.ui.resultWarningsLabel.text = "\n".join(lines)
        self.ui.noticesWidget.visible = bool(lines)
        self.ui.gradeAgainButton.visible = state.is_stale
        self.ui.regradeDrawnButton.visible = self.ui.takeBackButton.visible = bool(state.drawn) and not state.is_stale
        self.ui.takeDiscButton.visible = bool(state.offered) and not state.is_stale

    @staticmethod
    def _changes(case: GradedCase, state: CaseState) -> list[str]:
        if state.is_stale:
            text = _(
                "{name} was changed since it was graded: the grades below are those of the image before. Grade again."
            )
            return [text.format(name=case.volumeNode.GetName())]
        lines = []
        if state.drawn:
            text = _(
                "The mask of {levels} was changed: its row still shows the mask before. Re-grade it or take it back."
            )
            lines.append(text.format(levels=unbroken(", ".join(state.drawn))))
        if state.offered:
            text = _("A segment is named {levels}, which was not found: take it as that disc if it is one.")
            lines.append(text.format(levels=unbroken(", ".join(state.offered))))
        return lines


def result_notices(case: GradedCase) -> list[str]:
    """Return the warnings of a result, those that doubt the whole first, and the discs that are hardly sure."""
    result = case.result
    unsure = [_with_possible_grades(disc) for disc in result.discs if not disc.confident and disc.assessable]
    lines = [*result.doubts, *(text for text in warnings_of(result) if text not in result.doubts)]
    if unsure:
        lines.append(_("Low confidence, read these yourself: {levels}.").format(levels=unbroken(", ".join(unsure))))
    return lines


def _with_possible_grades(disc: DiscGrade) -> str:
    possible = possible_grades(disc)
    return f"{disc.level} ({possible})" if possible else disc.level


def unbroken(levels: str) -> str:
    """Return level names that a line break does not part at their hyphen."""
    return levels.replace("-", "\N{NON-BREAKING HYPHEN}")
