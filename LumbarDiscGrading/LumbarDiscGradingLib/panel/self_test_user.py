"""What a user does to the panel in Slicer, and what a user sees there, in words; with a main window and without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from ..scene.nodes import nodes_of_class

MODULE = "LumbarDiscGrading"
VIEWS = ("Red", "Yellow", "Green")
RUN_S = 300.0
"""Longest time that a run may take; with loading torch on a slow disk it is about a minute."""
REACTION_S = 20.0
"""Longest time that the panel may take to show what follows from something."""
PAUSE_S = 0.005


class PanelUser:
    """Uses the panel of the module that is loaded now, even after it was reloaded."""

    # -- Slicer

    @property
    def widget(self) -> Any:
        """The module's widget object."""
        return slicer.modules.lumbardiscgrading.widgetRepresentation().self()

    @property
    def panel(self) -> Any:
        """The mode *Grade Discs*."""
        return self.widget.panel

    @property
    def ui(self) -> Any:
        """The widgets by name."""
        return self.widget.ui

    def open(self) -> None:
        """Open the module in its first mode."""
        go_to(MODULE)
        from .modes import GRADING  # brings Qt, which the self-test does without where there is no panel

        self.widget.modes.show(GRADING)
        self.look()

    def open_review(self) -> Any:
        """Open the mode *Annotation Review* and return it."""
        from .modes import REVIEW

        self.widget.modes.show(REVIEW)
        self.look()
        return self.widget.modes.review

    def reload(self) -> None:
        """Reload the module, as the button of the developer mode does."""
        self.widget.onReload()
        self.look()

    def look(self, seconds: float = 0.0) -> None:
        """Let Slicer handle what happened, for a while."""
        end = time.monotonic() + seconds
        slicer.app.processEvents()
        while time.monotonic() < end:
            time.sleep(PAUSE_S)
            slicer.app.processEvents()

    def wait_for(self, condition: Callable[[], Any], seconds: float = REACTION_S) -> bool:
        """Let Slicer handle events until a condition holds; return whether it does."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            self.look(PAUSE_S)
        return bool(condition())

    # -- acts

    def load(self, volume: Any, name: str) -> Any:
        """Load a volume; as Slicer does, it is shown in all slice views."""
        from ..scene.volumes import volume_node_from

        node = volume_node_from(volume, name, slicer.mrmlScene)
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveVolumeID(node.GetID())
        logic.PropagateVolumeSelection(1)
        self.look()
        return node

    def choose(self, volumeNode: Any) -> None:
        """Select a volume."""
        self.ui.inputSelector.setCurrentNode(volumeNode)
        self.look()

    def click(self, button: Any) -> None:
        """Click a button, given itself or by its name; one that cannot be clicked is an error."""
        button = getattr(self.ui, button) if isinstance(button, str) else button
        if not button.enabled:
            raise AssertionError(f"The button {button.objectName} ({button.text}) cannot be clicked.")
        button.click()
        self.look()

    def grade(self) -> None:
        """Click *Grade Discs* and wait for the end."""
        self.click("gradeDiscsButton")
        self.finish()

    def finish(self) -> None:
        """Wait for the end of what runs."""
        if not self.wait_for(lambda: not self.panel.run.running, RUN_S):
            raise AssertionError(f"It did not end within {RUN_S:.0f} s: {self.ui.statusLabel.text}")
        self.look()

    def open_sections(self) -> None:
        """Unfold what is folded."""
        self.ui.saveCollapsibleButton.collapsed = False
        self.look()

    def select(self, level: str) -> None:
        """Select the row of a disc."""
        self.ui.resultTable.selectRow(self.levels().index(level))
        self.look()

    def set_level(self, level: str) -> None:
        """Give the selected disc another level, the others keep theirs."""
        self.ui.keepBelowCheckBox.checked = True
        self.ui.levelComboBox.setCurrentIndex(self.ui.levelComboBox.findText(level))
        self.click("setLevelButton")

    def draw(self, segment: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Change a segment, given by its name, as a script or an effect does."""
        node = self.segmentation()
        name, volumeNode = node.GetSegmentation().GetSegmentIdBySegmentName(segment), self.volume()
        changed = change(self.mask(segment)).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(changed, node, name, volumeNode)
        self.look()

    def add_segment(self, name: str, mask: np.ndarray) -> None:
        """Add a segment of one's own to the discs."""
        self.segmentation().GetSegmentation().AddEmptySegment("", name)
        self.draw(name, lambda _empty: mask)

    # -- what is seen

    def volume(self) -> Any:
        """Return the volume that is selected."""
        return self.ui.inputSelector.currentNode()

    def table(self) -> list[list[str]]:
        """Return the texts of the table, row by row."""
        table = self.ui.resultTable
        items = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
        return [[item.text() if item is not None else "" for item in row] for row in items]

    def levels(self) -> list[str]:
        """Return the level of each row."""
        return [row[0].split()[0] for row in self.table()]

    def row(self, level: str) -> list[str]:
        """Return the texts of a disc's row."""
        return self.table()[self.levels().index(level)]

    def report(self) -> str:
        """Return the report text that the panel copies; the clipboard is left as it was."""
        clipboard = slicer.app.clipboard()
        former = clipboard.text()
        self.click("copyReportButton")
        text = clipboard.text()
        clipboard.setText(former)
        return text

    def images(self) -> set[str]:
        """Return the names of the volumes in the slice views; none where there are no views."""
        views = (slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}") for name in VIEWS)
        nodes = [slicer.mrmlScene.GetNodeByID(view.GetBackgroundVolumeID() or "") for view in views if view is not None]
        return {node.GetName() if node is not None else "nothing" for node in nodes}

    def discs_drawn(self) -> set[str]:
        """Return the names of the volumes whose segments are drawn in slice views, or in none where there is none."""
        nodes = nodes_of_class(slicer.mrmlScene, "vtkMRMLSegmentationNode")
        return {_volume_of(node).GetName() for node in nodes if _is_drawn(node)}

    def segmentation(self) -> Any:
        """Return the segmentation of the discs in the table."""
        return self.panel.case.segmentationNode

    def segments(self) -> dict[str, tuple[bool, tuple[int, ...]]]:
        """Return of each segment by name whether it is shown, and its color (RGB 0-255)."""
        segmentation, display = self.segmentation().GetSegmentation(), self.segmentation().GetDisplayNode()
        names = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        return {
            segmentation.GetSegment(name).GetName(): (
                bool(display.GetVisibility() and display.GetSegmentVisibility(name)),
                tuple(round(255 * channel) for channel in segmentation.GetSegment(name).GetColor()),
            )
            for name in names
        }

    def mask(self, segment: str) -> np.ndarray:
        """Return the voxels of a segment, shape (k, j, i) as those of the volume."""
        node = self.segmentation()
        name = node.GetSegmentation().GetSegmentIdBySegmentName(segment)
        return np.array(slicer.util.arrayFromSegmentBinaryLabelmap(node, name, self.volume()))

    def complaints(self, name: str, graded: bool) -> list[str]:
        """Return what does not belong together where a volume is to be chosen and shown, with its discs if graded."""
        chosen = self.volume()
        found = []
        if chosen is None or chosen.GetName() != name:
            found.append(f"{chosen.GetName() if chosen is not None else 'nothing'} is chosen, not {name}")
        found += [f"{image} is in a view" for image in self.images() - {name}]
        found += [f"the discs of {other} are drawn" for other in self.discs_drawn() - ({name} if graded else set())]
        if graded and name not in self.discs_drawn():
            found.append("no discs are drawn")
        if graded != bool(self.table()):
            found.append(f"the table has {len(self.table())} rows")
        if graded and not self.ui.summaryLabel.text.startswith(name):
            found.append(f"the summary is {self.ui.summaryLabel.text!r}")
        return found


def go_to(module: str) -> None:
    """Open a module; without a main window only this one can be opened."""
    try:
        slicer.util.selectModule(module)
    except RuntimeError:  # there is no main window
        representation = slicer.modules.lumbardiscgrading.widgetRepresentation()
        if module == MODULE and not representation.isEntered:
            representation.enter()
        elif module != MODULE and representation.isEntered:
            representation.exit()
    slicer.app.processEvents()


def selected_module() -> str:
    """Return the module that is open; empty without a main window."""
    try:
        return slicer.util.selectedModule() or ""
    except RuntimeError:
        return ""


def grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask of one slice that is one voxel larger all around in that slice."""
    extents = [np.ptp(places) for places in np.nonzero(mask)]
    result = mask.copy()
    for axis in sorted(range(3), key=lambda axis: extents[axis])[1:]:
        result |= np.roll(result, 1, axis) | np.roll(result, -1, axis)
    return result


def _volume_of(segmentationNode: Any) -> Any:
    volumeNode = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    return volumeNode if volumeNode is not None else segmentationNode


def _is_drawn(segmentationNode: Any) -> bool:
    """Whether a slice view draws a segment of a segmentation."""
    display, segmentation = segmentationNode.GetDisplayNode(), segmentationNode.GetSegmentation()
    if display is None or not any(display.GetVisibility(f"vtkMRMLSliceNode{view}") for view in VIEWS):
        return False
    names = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return any(display.GetSegmentVisibility(name) for name in names)
