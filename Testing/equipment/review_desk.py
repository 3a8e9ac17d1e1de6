"""`Desk`: the mode Annotation Review as a reader uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from LumbarDiscGradingLib.pfirrmann import DISC_LABELS


class Desk:
    """The review panel of an open host, used as a reader uses it: by keys and clicks."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.keys = 0
        self.clicks = 0
        host.widget.modes.show(1)
        host.representation.resize(420, 1500)
        host.process_events()

    @property
    def panel(self) -> Any:
        return self.host.widget.modes.review

    @property
    def ui(self) -> Any:
        return self.panel.ui

    @property
    def work(self) -> Any:
        return self.panel.reading.work

    def key(self, *keys: str) -> None:
        """Type keys wherever the focus is."""
        qt = self.host.qt
        self.host.representation.activateWindow()  # as window managers do when a dialog has closed
        self.host.process_events()
        for key in keys:
            self.keys += 1
            window = self.host.representation
            target = qt.QApplication.focusWidget() or window
            combination = qt.QKeySequence(key)[0]
            qt.QTest.keyClick(target, combination.key(), combination.keyboardModifiers())
            self.host.process_events()

    def click(self, widget: Any) -> None:
        self.clicks += 1
        self.host.click(widget)

    def choose(self, folder: Path) -> None:
        """Choose a study folder."""
        self.host.answer_file_dialogs(folder)
        self.click(self.ui.chooseStudyButton)

    def open(self, folder: Path, reader: str) -> Desk:
        """Choose a study folder and a reader, and open it."""
        if self.ui.studyCollapsibleButton.collapsed:
            self.ui.studyCollapsibleButton.collapsed = False
            self.host.process_events()
        self.choose(folder)
        combo = self.ui.readerComboBox
        combo.setCurrentIndex(combo.findData(reader))
        self.click(self.ui.openStudyButton)
        return self

    def kind(self, text: str) -> None:
        combo = self.ui.workComboBox
        combo.setCurrentIndex(combo.findText(text))
        self.host.process_events()

    def rows(self, table: Any) -> list[list[str]]:
        columns = [column for column in range(table.columnCount) if not table.isColumnHidden(column)]
        return [[table.item(row, column).text() for column in columns] for row in range(table.rowCount)]

    @property
    def title(self) -> str:
        return self.work.item.title

    @property
    def message(self) -> str:
        return self.ui.caseMessageLabel.text

    @property
    def saved(self) -> str:
        return self.ui.saveStateLabel.text

    @property
    def segmentation(self) -> Any:
        return self.panel.reading.scene.segmentationNode

    def color(self, level: str) -> tuple[int, ...]:
        segment = self.segmentation.GetSegmentation().GetSegment(level)
        return tuple(round(255 * channel) for channel in segment.GetColor())

    def select(self, level: str) -> None:
        self.panel.reading.discs.select(level)
        self.host.process_events()

    def draw(self, level: str, disc: np.ndarray, wait: bool = True) -> None:
        """Set a segment as an effect of the Segment Editor does at the end of a stroke (canonical order)."""
        import slicer

        from LumbarDiscGradingLib.scene.segments import oriented_image

        scene = self.panel.reading.scene
        stored = scene.volume.to_stored(disc.astype(np.uint8))
        stroke = oriented_image(stored, scene.volumeNode)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.SetBinaryLabelmapToSegment(stroke, self.segmentation, level, logic.MODE_REPLACE, stroke.GetExtent())
        if wait:
            self.host.wait_until(lambda: self.saved.startswith("\N{CHECK MARK}"))
        self.host.process_events()

    def drawn(self, segment: str) -> np.ndarray:
        """Return the mask of a segment in canonical order."""
        from LumbarDiscGradingLib.scene.segments import segment_array

        scene = self.panel.reading.scene
        stored = segment_array(self.segmentation, segment, scene.volumeNode)
        axes, flipped = scene.volume.stored_axes, scene.volume.stored_flipped
        flips = tuple(slice(None, None, -1) if flip else slice(None) for flip in flipped)
        return np.transpose(stored, axes)[flips]

    def visible(self) -> dict[str, bool]:
        """Return whether each segment is shown, by its ID."""
        segmentation, display = self.segmentation.GetSegmentation(), self.segmentation.GetDisplayNode()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        return {name: bool(display.GetSegmentVisibility(name)) for name in ids}

    def rename(self, level: str) -> None:
        """Give the selected disc another level."""
        combo = self.ui.renameComboBox
        combo.setCurrentIndex(combo.findText(level))
        self.click(self.ui.renameButton)

    def click_disc(self, level: str, masks: np.ndarray) -> None:
        """Click a disc in the sagittal view."""
        scene = self.panel.reading.scene
        index, row, column = (int(n) for n in np.argwhere(masks == DISC_LABELS[level]).mean(axis=0).round())
        x, y, z = scene.volume.lps_mm(index, row, column)
        self.host.app.layoutManager().sliceWidget("Yellow").click((-x, -y, z))
        self.host.process_events()
