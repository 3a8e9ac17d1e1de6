"""The section that teaches: the Pfirrmann grades in words and drawings, and the sample to try them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ...pfirrmann import ROMAN_GRADES, group_of_grade
from ...report.criteria import CRITERIA, SIZE_PX
from ...resources import resource_path


class CriteriaSection:
    """Shows the criteria; they are put up when the section is opened for the first time.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    load_sample : callable, optional
        Called when the user wants the sample, where that is offered.
    """

    def __init__(self, ui: Any, load_sample: Callable[[], None] | None = None) -> None:
        self.ui, self._filled = ui, False
        ui.criteriaCollapsibleButton.connect("contentsCollapsed(bool)", self._opened)
        if load_sample is not None:
            ui.loadSampleButton.connect("clicked()", load_sample)

    def _opened(self, collapsed: bool) -> None:
        if collapsed or self._filled:
            return
        self._filled = True
        grid = qt.QGridLayout(self.ui.criteriaWidget)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, (grade, text) in enumerate(CRITERIA.items()):
            group = group_of_grade(grade)
            picture, words = qt.QLabel(), qt.QLabel()
            pixmap = qt.QPixmap(str(resource_path("Pfirrmann", f"grade{grade}.png")))
            pixmap.setDevicePixelRatio(2.0)
            picture.setPixmap(pixmap)
            picture.setFixedSize(SIZE_PX[0] // 2, SIZE_PX[1] // 2)
            red, green, blue = group.color
            words.textFormat = qt.Qt.RichText
            words.text = (
                f'<b>{ROMAN_GRADES[grade]}</b> <span style="color: rgb({red},{green},{blue})">&#9632;</span> '
                f"<i>{_(group.value)}</i><br>{_(text)}"
            )
            words.wordWrap = True
            grid.addWidget(picture, row, 0)
            grid.addWidget(words, row, 1)
        grid.setColumnStretch(1, 1)
