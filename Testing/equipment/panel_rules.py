"""Rules of the panel *Grade Discs* that hold at any moment, looked at from outside: in the scene and on the widgets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from panel_acts import drawn_over, table

VIEWS = ("Red", "Yellow", "Green")
SAGITTAL = "Yellow"
REPORT_LINE = re.compile(r"^([TL]\d+-[LS]\d+): (.*)\.$")
GRADE = re.compile(r"Pfirrmann ([IV]+)")
NAME = re.compile(r"[TL]\d+-[LTS]\d+\b")
TAG = "LumbarDiscGrading."


@dataclass(frozen=True)
class ForeignSegment:
    """Somebody's segment as it was when it was last touched by the one who made it.

    Attributes
    ----------
    node, segment_id : str
        Name of the segmentation, and ID in it.
    name : str
    color : tuple of float
    voxels : ndarray of bool
        The segment's box.
    """

    node: str
    segment_id: str
    name: str
    color: tuple[float, ...]
    voxels: np.ndarray

    @classmethod
    def of(cls, node: Any, segment_id: str) -> ForeignSegment:
        segment = node.GetSegmentation().GetSegment(segment_id)
        return cls(node.GetName(), segment_id, segment.GetName(), segment.GetColor(), boxed(node, segment_id))

    def equals(self, other: ForeignSegment) -> bool:
        alike = (self.name, self.voxels.shape) == (other.name, other.voxels.shape)
        return alike and np.allclose(self.color, other.color) and np.array_equal(self.voxels, other.voxels)


@dataclass
class Mine:
    """What belongs to the user: what he made, chose and showed, so that nobody else may change it.

    Attributes
    ----------
    segments : list of ForeignSegment
    visible : dict
        Whether he shows his own segmentations, by name.
    hidden : set
        Discs that he hid: name of the segmentation, and ID in it.
    chosen : str
        ID of the volume that he chose last in the panel; empty where he left the choice to the panel.
    elsewhere : dict or None
        `what_is_shown` when he did the last thing in another module; None while the panel is open.
    """

    segments: list[ForeignSegment] = field(default_factory=list)
    visible: dict[str, bool] = field(default_factory=dict)
    hidden: set[tuple[str, str]] = field(default_factory=set)
    chosen: str = ""
    elsewhere: dict[str, Any] | None = None


def broken_rules(host: Any, mine: Mine | None = None) -> list[str]:
    """Return a sentence for each rule that does not hold now."""
    mine = mine or Mine()
    found = [*_foreign_segments_are_untouched(host, mine), *_the_table_of_all_is_that_of_the_results(host)]
    if not host.representation.isEntered:
        return [*found, *_another_module_is_left_alone(host, mine)]
    found += [*_the_button_tells_what_it_does(host), *_keys_belong_to_one(host)]
    if mine.chosen and _selected(host) is not host.scene.GetNodeByID(mine.chosen):
        found.append("The volume that the user chose is not selected any more.")
    case = host.widget.panel.case
    if case is None:
        return [*found, *_nothing_is_shown_of_no_case(host), *_one_volume_is_shown(host, None)]
    if not case.is_alive():
        return [*found, "A case is shown whose nodes are gone."]
    stale = is_stale(case)
    found += [*_one_volume_is_shown(host, None if stale else case), *_the_table_is_that_of_the_case(host, case)]
    found += [*_segments_are_those_of_the_table(host, case, mine), *_what_became_of_it_is_said(host, case, stale)]
    if not stale:
        found += [*_the_scene_keeps_what_is_shown(host, case), *_doubts_lie_over_the_views(host, case)]
        found += _names_are_those_of_the_table(host)
    return found


def what_is_shown(host: Any) -> dict[str, Any]:
    """Return what the slice views show and which segmentations are visible."""
    shown: dict[str, Any] = {}
    for view in VIEWS:
        composite, node = _composite(host, view), host.scene.GetNodeByID(f"vtkMRMLSliceNode{view}")
        layers = [composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetLabelVolumeID()]
        shown[view] = [layer or "" for layer in layers], composite.GetForegroundOpacity()
        matrix = node.GetSliceToRAS()
        shown[f"plane of {view}"] = [round(matrix.GetElement(r, c), 3) for r in range(3) for c in range(4)]
    for node in segmentations(host):
        display = node.GetDisplayNode()
        shown[node.GetName()] = bool(display is not None and display.GetVisibility())
    return shown


def segmentations(host: Any) -> list[Any]:
    count = host.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    return [host.scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode") for n in range(count)]


def boxed(node: Any, segment_id: str) -> np.ndarray:
    """Return a segment's voxels within its box, wherever that lies."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    image = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segment_id, image) or image.IsEmpty():
        return np.zeros((0, 0, 0), dtype=bool)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]) > 0
    places = np.argwhere(array)
    if not len(places):
        return np.zeros((0, 0, 0), dtype=bool)
    low, high = places.min(0), places.max(0) + 1
    return array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]


def is_stale(case: Any) -> bool:
    """Tell whether the case's volume holds other voxels than those that were graded."""
    from LumbarDiscGradingLib.imaging.volume import ImagingError
    from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

    try:
        return not np.array_equal(sagittal_volume_from_node(case.volumeNode).voxels, case.result.volume.voxels)
    except ImagingError:
        return True


# -- the rules


def _foreign_segments_are_untouched(host: Any, mine: Mine) -> Iterator[str]:
    by_name = {node.GetName(): node for node in segmentations(host)}
    for known in mine.segments:
        node = by_name.get(known.node)
        if node is None or node.GetSegmentation().GetSegment(known.segment_id) is None:
            yield f"Somebody's segment {known.name} of {known.node} is gone."
        elif not known.equals(ForeignSegment.of(node, known.segment_id)):
            yield f"Somebody's segment {known.name} of {known.node} was changed."


def _the_table_of_all_is_that_of_the_results(host: Any) -> Iterator[str]:
    from LumbarDiscGradingLib.cohort.rows import disc_rows
    from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS
    from LumbarDiscGradingLib.imaging.volume import ImagingError
    from LumbarDiscGradingLib.scene.graded_case import GradedCase
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all
    from LumbarDiscGradingLib.scene.text_table import read_text_table

    table_node = table_of_all(host.scene)
    rows = read_text_table(table_node, COHORT_COLUMNS) if table_node is not None else []
    for node in segmentations(host):
        identifier = node.GetAttribute(TAG + "Identifier")
        if table_node is None or node.GetNodeReference(TAG + "tableOfAll") is not table_node:
            continue
        try:
            case = GradedCase.from_segmentation(node)
        except ImagingError:  # its volume was changed: the rows tell of the image before
            continue
        told = [row for row in rows if row["identifier"] == identifier]
        if case is not None and told != list(disc_rows(identifier, case.result)):
            yield f"The table of all does not tell of {node.GetName()} what its result does."


def _another_module_is_left_alone(host: Any, mine: Mine) -> Iterator[str]:
    shown = what_is_shown(host)
    for what, before in (mine.elsewhere or {}).items():
        if shown.get(what) != before:
            yield f"In another module {what} became {shown.get(what)}, which was {before}."
    for name, visible in mine.visible.items():
        if shown.get(name) != visible:
            yield f"The user's segmentation {name} is not {'visible' if visible else 'hidden'} as he left it."


def _the_button_tells_what_it_does(host: Any) -> Iterator[str]:
    running = host.widget.panel.run.running
    if (host.ui.gradeDiscsButton.text == "Cancel") != running or host.ui.progressBar.visible != running:
        yield "Button and progress bar do not tell whether something runs."
    if _selected(host) is None and host.ui.gradeDiscsButton.enabled and not running:
        yield "Without a volume Grade Discs can be clicked."
    if host.ui.inputCollapsibleButton.enabled == running:
        yield "The input can be changed during a run, or cannot without one."


def _keys_belong_to_one(host: Any) -> Iterator[str]:
    if host.ui.segmentEditorWidget.shortcutsInstalled != host.widget.panel.correct.editing:
        yield "The Segment Editor's keys are there without it, or it without them."
    if (host.ui.editMaskButton.checked or host.ui.drawDiscButton.checked) != host.widget.panel.correct.editing:
        yield "The button Edit mask does not tell whether a mask is edited."


def _nothing_is_shown_of_no_case(host: Any) -> Iterator[str]:
    ui = host.ui
    if ui.resultTable.rowCount or ui.summaryLabel.text:
        yield "There is a table without a case."
    if ui.saveCollapsibleButton.enabled or ui.correctWidget.enabled:
        yield "Something can be corrected or saved without a case."
    if ui.gradeAgainButton.visible or ui.regradeDrawnButton.visible or ui.takeDiscButton.visible:
        yield "A button for a case is there without one."


def _one_volume_is_shown(host: Any, case: Any) -> Iterator[str]:
    """One volume is selected, shown in the sagittal view, and only its discs are drawn, where it is shown."""
    volume = _selected(host)
    if volume is None:
        if case is not None:
            yield "A case is shown without a selected volume."
        return
    if _composite(host, SAGITTAL).GetBackgroundVolumeID() != volume.GetID():
        yield f"{volume.GetName()} is selected, and the sagittal view shows something else."
    if case is not None and case.volumeNode is not volume:
        yield f"{volume.GetName()} is selected, and the table is that of {case.volumeNode.GetName()}."
    shown = case is not None and case.segmentationNode.GetDisplayNode().GetVisibility()
    if case is not None and host.ui.showDiscsCheckBox.checked != bool(shown):
        yield "The box Show discs does not tell whether they are shown."
    for view in VIEWS:
        composite = _composite(host, view)
        here = shown and composite.GetBackgroundVolumeID() == case.volumeNode.GetID()
        visible = here and bool(case.segmentationNode.GetDisplayNode().GetVisibleSegmentIDs())
        if drawn_over(host, view) != ([case.segmentationNode.GetName()] if visible else []):
            yield f"The view {view} draws {drawn_over(host, view)}."
        over = host.scene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if over is not None and over.GetAttribute(TAG + "EvidenceKey"):
            segmentation = over.GetNodeReference(TAG + "segmentation")
            if not (case is not None and segmentation is case.segmentationNode):
                yield f"The view {view} shows the evidence of discs that are not shown."
            elif composite.GetBackgroundVolumeID() != case.volumeNode.GetID():
                yield f"The view {view} shows evidence over another volume."


def _the_table_is_that_of_the_case(host: Any, case: Any) -> Iterator[str]:
    from LumbarDiscGradingLib.report.tables import grade_rows
    from LumbarDiscGradingLib.report.text import report_text

    rows = {cells[0].split()[0]: cells for cells in table(host)}
    result = case.result
    if sorted(rows) != sorted([disc.level for disc in result.discs] + list(result.missing_levels)):
        yield f"The table lists {list(rows)}."
        return
    for level in result.missing_levels:
        if not rows[level][1].startswith("not found"):
            yield f"The table does not say that {level} is missing."
        if any(rows[level][2:]):
            yield f"The table has grade or measurements of {level}, which is missing."
    if not host.ui.summaryLabel.text.startswith(f"{case.volumeNode.GetName()}, slice {result.stored_slice_index}:"):
        yield "The line below the table names another volume or slice."
    lines = dict(found.groups() for found in map(REPORT_LINE.match, report_text(result).splitlines()) if found)
    for level, facts in lines.items():
        grade, doubt = GRADE.search(facts.split(";")[0]), "low confidence" in facts
        possible = re.search(r"possible: ([IV]+ (?:or|to) [IV]+)", facts) or grade
        reported = facts.split(";")[0].split(",")[0], possible.group(1) if possible else "-", doubt
        group = rows[level][1].replace("\n", " ")
        if reported != (group.removesuffix(" ?"), rows[level][2], group.endswith(" ?")):
            yield f"Of {level} the table says {rows[level]} and the report {facts}."
        for name, cell, unit in (("height", rows[level][4], " mm"), ("signal to canal", rows[level][5], "")):
            stated = re.search(rf"{name} ([\d.]+){unit}", facts)
            if (stated.group(1) if stated else "-") != cell:
                yield f"Of {level} the table says {name} {cell} and the report {facts}."
    node = case.tableNode
    if node is not None and node.GetScene() is not None:
        stored = node.GetTable()
        columns = [stored.GetColumnName(n) for n in range(stored.GetNumberOfColumns())]
        kept = [
            {name: stored.GetValue(row, n).ToString() for n, name in enumerate(columns)}
            for row in range(stored.GetNumberOfRows())
        ]
        if kept != grade_rows(result):
            pairs = zip(kept, grade_rows(result), strict=False)
            yield f"The table in the scene differs: {[set(a.items()) ^ set(b.items()) for a, b in pairs]}"


def _segments_are_those_of_the_table(host: Any, case: Any, mine: Mine) -> Iterator[str]:
    from LumbarDiscGradingLib.report.text import several_grades
    from LumbarDiscGradingLib.scene.segments import own_segments, segment_tag

    node, rows = case.segmentationNode, {cells[0].split()[0]: cells for cells in table(host)}
    own, display, romans = own_segments(node), node.GetDisplayNode(), ("-", "I", "II", "III", "IV", "V")
    if sorted(own) != sorted(disc.level for disc in case.result.discs):
        yield f"The segments are {sorted(own)}."
    for level, segment_id in own.items():
        segment, cells = node.GetSegmentation().GetSegment(segment_id), rows.get(level)
        if segment.GetName() != level:
            yield f"The segment of {level} is called {segment.GetName()}."
        if cells is None:
            continue
        possible = several_grades(tuple(map(int, segment_tag(segment, TAG + "PfirrmannSet").split())))
        grades = possible or romans[int(segment_tag(segment, TAG + "Pfirrmann") or 0)]
        told = segment_tag(segment, TAG + "Group"), grades
        if told != (cells[1].replace("\n", " ").removesuffix(" ?"), cells[2]):
            yield f"Of {level} the table says {cells} and its segment {told}."
        if not np.allclose(segment.GetColor(), np.array(case.result.disc(level).color) / 255, atol=0.01):
            yield f"The segment of {level} has not the color of its group."
        hidden = (node.GetName(), segment_id) in mine.hidden
        if not display.GetSegmentVisibility(segment_id) and not hidden:
            yield f"The segment of {level} is hidden, and the user has not hidden it."


def _what_became_of_it_is_said(host: Any, case: Any, stale: bool) -> Iterator[str]:
    ui, panel = host.ui, host.widget.panel
    said = ui.resultWarningsLabel.text.replace("\N{NON-BREAKING HYPHEN}", "-")
    if said and not ui.noticesWidget.visible:
        yield "There are notices that are not shown."
    if stale != ("was changed since it was graded" in said) or stale != ui.gradeAgainButton.visible:
        yield "It is not said that the volume was changed, or said though it was not."
    if stale and (ui.saveCollapsibleButton.enabled or ui.correctWidget.enabled):
        yield "The result of a changed volume can be corrected or saved."
    if stale or panel.correct.editing or panel.run.running:
        return
    if not (ui.saveCollapsibleButton.enabled and ui.correctWidget.enabled):
        yield "A result cannot be corrected or saved."
    if case.segmentationNode.GetTransformNodeID() != case.volumeNode.GetTransformNodeID():
        yield "The discs are not below the transform of their volume."
    for disc in case.result.discs:
        drawn = not np.array_equal(case.drawn_mask(disc.level), case.result.label_slice == disc.label_value)
        line = next((text for text in said.splitlines() if text.startswith("The mask of")), "")
        mark = next((cells[0] for cells in table(host) if cells[0].split()[0] == disc.level), "")
        if drawn != (disc.level in line) or drawn != ("!" in mark):
            yield f"That the mask of {disc.level} {'was' if drawn else 'was not'} drawn is not what is said."
    for level in case.result.missing_levels:
        offered = [name for name in case.foreign_segments().values() if name == level]
        taken = [known for known in case.offered_discs() if known == level]
        if bool(taken) != (f"A segment is named {level}" in said) and offered:
            yield f"That a segment is named {level} is not what is said."


def _the_scene_keeps_what_is_shown(host: Any, case: Any) -> Iterator[str]:
    from LumbarDiscGradingLib.imaging.volume import ImagingError
    from LumbarDiscGradingLib.scene.graded_case import GradedCase

    try:
        kept = GradedCase.from_segmentation(case.segmentationNode)
    except ImagingError as error:
        yield f"What the scene keeps cannot be read back: {error}"
        return
    if kept is None or len(kept.corrections) != len(case.corrections):
        yield "The scene keeps other corrections than those that were made."
    elif kept.result.to_dict() | {"input": None} != case.result.to_dict() | {"input": None}:
        yield "The scene keeps another result than the one that is shown."
    elif not np.array_equal(kept.result.label_slice, case.result.label_slice):
        yield "The scene keeps other masks than those that were graded."
    if host.ui.undoButton.enabled != bool(case.corrections) and not host.widget.panel.run.running:
        yield "Undo can be clicked without a correction, or cannot with one."


def _doubts_lie_over_the_views(host: Any, case: Any) -> Iterator[str]:
    for view in VIEWS:
        shown = _composite(host, view).GetBackgroundVolumeID() == case.volumeNode.GetID()
        texts = " ".join(" ".join(_notes(host, view)).split())
        for doubt in case.result.doubts:
            if (doubt in texts) != shown:
                yield f"The view {view} does not show the doubt about its volume, or shows that about another one."
        if texts and not case.result.doubts:
            yield f"The view {view} shows a doubt that there is none of."


def _notes(host: Any, view: str) -> list[str]:
    """Return the texts over a view, without the names of the discs and the way back to their slice."""
    texts = host.app.layoutManager().sliceWidget(view).texts()
    return [text for text in texts if not NAME.match(text) and not text.startswith("Graded on slice")]


def _names_are_those_of_the_table(host: Any) -> Iterator[str]:
    listed = {cells[0].split()[0] for cells in table(host)}
    for view in VIEWS:
        named = {
            text.rstrip("?").split()[0]
            for text in host.app.layoutManager().sliceWidget(view).texts()
            if NAME.match(text)
        }
        if not named <= listed:
            yield f"The view {view} names {sorted(named - listed)}, which are not in the table."


def _selected(host: Any) -> Any:
    return host.ui.inputSelector.currentNode()


def _composite(host: Any, view: str) -> Any:
    return host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")
