"""The check box *Evidence* of the section Result: where the grading network looked, laid over the slice views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...scene.evidence import evidence_node, fits, hide_evidence, is_shown, show_evidence_of, write_evidence
from ...scene.graded_case import GradedCase

if TYPE_CHECKING:
    from ...grading.evidence import EvidenceMap


class EvidenceSection:
    """Shows and hides the evidence of a graded case; asks for it the first time.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    compute : callable
        Is given a case, begins to compute its evidence, and returns whether it has begun; `computed` takes it.
    """

    def __init__(self, ui: Any, compute: Callable[[GradedCase], bool]) -> None:
        self.ui, self._compute = ui, compute
        self.case: GradedCase | None = None
        self._showing = False
        ui.evidenceCheckBox.connect("toggled(bool)", self._toggled)

    def show(self, case: GradedCase | None, allowed: bool) -> None:
        """Follow a case, or none; while something runs the box stays as it is and cannot be clicked."""
        self.case = case if case is not None and case.is_alive() else None
        self.ui.evidenceCheckBox.enabled = allowed and self.case is not None
        if allowed:
            self._check(self.case is not None and is_shown(self._node()))

    def computed(self, case: GradedCase, evidence: EvidenceMap) -> None:
        """Write the evidence of a case into the scene and show it.

        Raises
        ------
        ImagingError
            If the volume was changed or moved since.
        """
        show_evidence_of(case.result, write_evidence(evidence, case.segmentationNode, case.volumeNode))

    def _toggled(self, on: bool) -> None:
        if self._showing or self.case is None or not self.case.is_alive():
            return
        node = self._node()
        if not on:
            if node is not None:
                hide_evidence(node)
        elif fits(node, self.case.result):
            show_evidence_of(self.case.result, node)
        elif not self._compute(self.case):
            self._check(False)
        self._show_opacity()

    def _node(self) -> Any:
        return evidence_node(self.case.segmentationNode)

    def _check(self, checked: bool) -> None:
        self._showing = True
        self.ui.evidenceCheckBox.checked = checked
        self._showing = False
        self._show_opacity()

    def _show_opacity(self) -> None:
        """Under evidence the discs have outlines alone: there is no fill whose opacity could be chosen."""
        self.ui.opacitySlider.enabled = not self.ui.evidenceCheckBox.checked
