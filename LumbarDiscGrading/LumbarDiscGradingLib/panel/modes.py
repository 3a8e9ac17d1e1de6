"""The two modes of the module, *Grade Discs* and *Annotation Review*, as tabs on top of its panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..resources import resource_path
from .grading.tab import GradingPanel

if TYPE_CHECKING:
    from .review.tab import ReviewPanel

GRADING, REVIEW = range(2)


class Modes:
    """Switches between the modes; the review is built when its tab is shown for the first time.

    Parameters
    ----------
    widget : QWidget
        Of the module.
    ui : object
        Its widgets by name.
    logic : LumbarDiscGradingLogic
    """

    def __init__(self, widget: Any, ui: Any, logic: Any) -> None:
        self.ui, self._logic = ui, logic
        self.grading = GradingPanel(ui, logic)
        self.review: ReviewPanel | None = None
        self._entered, self._mode = False, GRADING
        self.tabs = qt.QTabBar()
        self.tabs.setObjectName("modeTabs")
        self.tabs.addTab(_("Grade Discs"))
        self.tabs.addTab(_("Annotation Review"))
        self.tabs.setTabToolTip(GRADING, _("Segment and grade the discs of a volume with the trained networks."))
        self.tabs.setTabToolTip(REVIEW, _("Read a study: draw masks, grade, review and adjudicate. Needs no networks."))
        widget.layout().insertWidget(0, self.tabs)
        self.tabs.connect("currentChanged(int)", self._tab_changed)

    def show(self, mode: int) -> None:
        """Show a mode, as a click on its tab does."""
        self.tabs.currentIndex = mode

    def enter(self) -> None:
        """Go on in the mode that is shown."""
        self._entered = True
        self._panel().enter()

    def exit(self) -> None:
        """Leave the scene to another module."""
        self._entered = False
        self._panel().exit()

    def close(self) -> None:
        """End with the panel."""
        self._entered = False
        self.grading.close()
        if self.review is not None:
            self.review.close()

    def _panel(self) -> Any:
        return self.review if self._mode == REVIEW else self.grading

    def _tab_changed(self, mode: int) -> None:
        if mode == self._mode:
            return
        if self._mode == REVIEW and not self.review.leave():
            self.tabs.currentIndex = REVIEW  # what is not saved is not left behind
            return
        if self._mode == GRADING:
            self.grading.exit()
        if mode == REVIEW and self.review is None:
            self._build_review()
        self._mode = mode
        self.ui.gradingPage.visible = mode == GRADING
        self.ui.reviewPage.visible = mode == REVIEW
        if self._entered:
            self._panel().enter()

    def _build_review(self) -> None:
        from .review.tab import ReviewPanel  # brings SimpleITK and scipy, which Grade Discs opens without

        widget = slicer.util.loadUI(str(resource_path("UI", "AnnotationReview.ui")))
        self.ui.reviewPage.layout().addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.review = ReviewPanel(slicer.util.childWidgetVariables(widget), self._logic)
