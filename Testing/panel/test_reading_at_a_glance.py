"""Reading at a glance: one click to all grades on a large image, two acts to a corrected one, one more to the report.

With real mouse and key events, at the heights that Slicer leaves the panel on screens of 1366 x 768 and 1600 x 1000.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_acts import click_row, draw_segment, finish, grade, load, row_of, table

from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    *(
        pytest.mark.needs_library(name)
        for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
    ),
    pytest.mark.skipif(
        set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
    ),
]
LAPTOP_HEIGHT, DESK_HEIGHT = 430, 600
"""Of the panel, in pixels, with a window of 1366 x 768 and of 1600 x 1000 (measured in Slicer 5.12)."""
WIDTH = 400
VIEW = (900, 650)


@pytest.fixture
def view(host: Any) -> Any:
    widget = host.app.layoutManager().sliceWidget("Yellow")
    widget.picture(*VIEW)
    return widget


@pytest.fixture
def own_settings(host: Any) -> Iterator[Any]:
    """What the user chose in another test is forgotten."""
    host.qt.QSettings().clear()
    yield host.qt.QSettings()
    host.qt.QSettings().clear()


@pytest.fixture
def graded(host: Any, own_settings: Any, view: Any, sample: Any) -> Any:
    grade(host, sample, "3: t2_tse_sag")
    look(host)
    return host.widget.panel.case


def look(host: Any) -> None:
    """Let the panel see what happened, and the views get their new sizes."""
    panel = host.widget.panel
    host.wait_until(lambda: not panel._fit_soon.active)
    panel.look()
    host.process_events()


def bottom(host: Any, widget: Any) -> int:
    return widget.mapTo(host.representation, host.qt.QPoint(0, 0)).y() + widget.height


def arrangement(host: Any) -> int:
    return host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()


def seen_at(view: Any, lps_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return where a point is seen in a view: column, row, distance to the slice."""
    to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.mrmlSliceNode().GetXYToRAS()))
    x, y, z = lps_mm
    return tuple((to_xy @ (-x, -y, z, 1.0))[:3])


def shown_names(view: Any) -> list[str]:
    props = view.renderer.GetViewProps()
    actors = [props.GetItemAsObject(n) for n in range(props.GetNumberOfItems())]
    return sorted(actor.GetInput() for actor in actors if actor.IsA("vtkTextActor") and actor.GetVisibility())


def test_one_click_two_acts_and_one_more(host: Any, own_settings: Any, view: Any, sample: Any) -> None:
    load(host, sample, "3: t2_tse_sag")
    acts = []

    def act(what: str, do: Any) -> None:
        acts.append(what)
        do()
        look(host)

    act("click Grade Discs", lambda: (host.click(host.ui.gradeDiscsButton), finish(host)))
    assert arrangement(host) == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
    result = host.widget.panel.case.result
    for disc in result.discs:
        column, row, depth = seen_at(view, disc.center_lps_mm)
        assert 0 < column < VIEW[0] and 0 < row < VIEW[1] and abs(depth) < 0.5
        assert any(name.startswith(disc.level) for name in shown_names(view))
    act("click a row", lambda: click_row(host, row_of(host, "L4-L5")))
    act("press 4", lambda: host.qt.QTest.keyClick(host.ui.resultTable, "4"))
    assert host.widget.panel.case.result.disc("L4-L5").pfirrmann == 4
    act("press C", lambda: host.qt.QTest.keyClick(host.ui.resultTable, "C"))
    assert "L4-L5: serious, Pfirrmann IV set by reader" in host.app.clipboard().text()
    assert len(acts) == 4


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_needs_scrolling(host: Any, graded: Any, dark: bool) -> None:
    palette = host.qt_application.palette()
    if dark:
        black = host.qt.QPalette(host.qt.QColor(40, 40, 40))
        host.qt_application.setPalette(black)
    try:
        host.representation.resize(WIDTH, LAPTOP_HEIGHT)
        for row in range(host.ui.resultTable.rowCount):
            click_row(host, row)
            on_laptop = (host.ui.statusLabel, host.ui.noticesWidget, host.ui.resultTable, host.ui.correctWidget)
            assert max(bottom(host, widget) for widget in on_laptop) <= LAPTOP_HEIGHT
            assert bottom(host, host.ui.saveCollapsibleButton) <= DESK_HEIGHT
        table_widget = host.ui.resultTable
        heights = sum(table_widget.rowHeight(row) for row in range(table_widget.rowCount))
        assert heights + table_widget.horizontalHeader().height <= table_widget.height
    finally:
        host.qt_application.setPalette(palette)


def test_the_panel_asks_for_no_more_width_and_nothing_jumps_when_another_row_is_chosen(host: Any, graded: Any) -> None:
    panel = host.representation
    seen = set()
    for row in range(host.ui.resultTable.rowCount):
        click_row(host, row)
        seen.add((panel.minimumSizeHint().width(), bottom(host, host.ui.saveCollapsibleButton)))
    host.click(host.ui.noDiscButton)
    seen.add((panel.minimumSizeHint().width(), seen.copy().pop()[1]))
    assert len(seen) == 1
    assert seen.pop()[0] <= WIDTH


def test_choosing_a_row_neither_pans_nor_zooms_what_shows_the_disc_already(host: Any, graded: Any, view: Any) -> None:
    node = view.mrmlSliceNode()
    before = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()).copy()
    for row in range(host.ui.resultTable.rowCount):
        click_row(host, row)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()), before, atol=1e-3)
    axial = host.scene.GetNodeByID("vtkMRMLSliceNodeRed")
    place = graded.result.discs[-1].center_lps_mm
    assert axial.GetSliceToRAS().GetElement(2, 3) == pytest.approx(place[2], abs=0.1)


def test_a_disc_outside_the_view_is_brought_into_it(host: Any, graded: Any, view: Any) -> None:
    node = view.mrmlSliceNode()
    node.SetFieldOfView(*(np.array(node.GetFieldOfView()) * (0.2, 0.2, 1)))
    node.JumpSliceByCentering(0, 0, 500)
    click_row(host, row_of(host, "L4-L5"))
    column, row, _ = seen_at(view, graded.result.disc("L4-L5").center_lps_mm)
    assert 0 < column < VIEW[0]
    assert 0 < row < VIEW[1]


def test_off_the_graded_slice_the_view_says_so_and_a_click_brings_back(host: Any, graded: Any, view: Any) -> None:
    node = view.mrmlSliceNode()
    assert not any("Graded on slice" in text for text in shown_names(view))
    node.SetSliceOffset(node.GetSliceOffset() + 2 * graded.result.volume.spacing_mm[0])
    look(host)
    stored = graded.result.stored_slice_index
    assert shown_names(view) == [f"Graded on slice {stored}: click here to go back."]
    interactor = view.GetInteractor()
    interactor.SetEventInformation(VIEW[0] // 2, 22)
    interactor.InvokeEvent("LeftButtonPressEvent")
    look(host)
    assert abs(seen_at(view, graded.result.discs[0].center_lps_mm)[2]) < 0.5
    assert not any("Graded on slice" in text for text in shown_names(view))


def test_g_hides_discs_and_names_and_leaving_takes_them_away(host: Any, graded: Any, view: Any) -> None:
    assert len(shown_names(view)) >= 5
    host.press(host.ui.resultTable, "G")
    look(host)
    assert shown_names(view) == []
    host.press(host.ui.resultTable, "G")
    look(host)
    assert len(shown_names(view)) >= 5
    host.leave()
    assert shown_names(view) == []


def test_the_users_own_layout_comes_back_and_his_choice_is_remembered(
    host: Any, graded: Any, own_settings: Any
) -> None:
    large, own = (
        slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView,
        slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView,
    )
    for expected in (own, large):
        host.press(host.ui.resultTable, "L")
        assert arrangement(host) == expected
    host.leave()
    assert arrangement(host) == own
    host.open()
    assert arrangement(host) == large
    host.click(host.ui.largeImageButton)
    assert arrangement(host) == own
    host.leave()
    host.open()
    assert arrangement(host) == own
    host.click(host.ui.largeImageButton)
    assert arrangement(host) == large


def test_three_planes_through_the_chosen_disc_and_back(host: Any, graded: Any) -> None:
    large = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
    click_row(host, row_of(host, "L3-L4"))
    host.press(host.ui.resultTable, "T")
    look(host)
    assert arrangement(host) == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    place = graded.result.disc("L3-L4").center_lps_mm
    for name in ("Red", "Yellow", "Green"):
        assert abs(seen_at(host.app.layoutManager().sliceWidget(name), place)[2]) < 0.5
    host.press(host.ui.resultTable, "T")
    assert arrangement(host) == large


def test_a_long_name_makes_the_panel_no_wider(host: Any, own_settings: Any, view: Any, sample: Any) -> None:
    grade(host, sample, "501: t2_tse_sag lumbar spine, 4 mm, second attempt after the patient had moved " * 3)
    assert host.representation.minimumSizeHint().width() <= WIDTH


def test_the_input_is_one_line_once_there_is_a_result(host: Any, graded: Any) -> None:
    assert not host.ui.inputCollapsibleButton.visible
    assert host.ui.inputSummaryButton.text == f"3: t2_tse_sag, slice {graded.result.stored_slice_index}"
    host.click(host.ui.inputSummaryButton)
    assert host.ui.inputCollapsibleButton.visible
    assert not host.ui.inputSummaryButton.visible


def test_n_and_p_go_through_the_rows(host: Any, graded: Any) -> None:
    rows = table(host)
    host.press(host.ui.resultTable, "N")
    assert host.ui.resultTable.currentRow() == 0
    for _ in rows:
        host.press(host.ui.resultTable, "N")
    assert host.ui.resultTable.currentRow() == len(rows) - 1
    host.press(host.ui.resultTable, "P")
    assert host.ui.resultTable.currentRow() == len(rows) - 2


def test_the_list_of_keys_names_each_one_that_is_bound(host: Any, graded: Any) -> None:
    host.click(host.ui.keysButton)
    assert host.ui.keysLabel.visible
    listed = " ".join(line.split("\t")[0] for line in host.ui.keysLabel.text.splitlines())
    shortcuts = host.ui.gradingPage.findChildren(host.qt.QShortcut)
    keys = [shortcut.key.toString() for shortcut in shortcuts if shortcut.enabled]
    assert {"Ctrl+Return", "N", "P", "1", "5", "0", "M", "F", "Del", "Ctrl+Z", "G", "L", "T", "C", "S"} <= set(keys)
    for key in set(keys) - set("234"):
        assert key in listed.replace(",", " ").split(), key


# -- missing discs


def test_a_disc_that_is_none_is_taken_out_found_again_and_undone(host: Any, graded: Any, view: Any) -> None:
    case, levels = graded, [disc.level for disc in graded.result.discs]
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.noDiscButton)
    look(host)
    assert table(host)[row_of(host, "L3-L4")][1].startswith("not found")
    assert "L3-L4?" in shown_names(view)
    assert "Taken out by reader: L3-L4" in host.ui.resultWarningsLabel.text
    assert case.segment_id("L3-L4") == ""
    host.click(host.ui.findDiscButton)
    finish(host)
    assert [disc.level for disc in case.result.discs] == levels
    assert f"found on slice {case.result.stored_slice_index}" in host.ui.statusLabel.text
    assert "added by reader" in case.result.disc("L3-L4").changes[0]
    for _ in range(2):
        host.click(host.ui.undoButton)
    assert case.corrections == ()
    assert [disc.level for disc in case.result.discs] == levels


def test_a_missing_disc_is_drawn_graded_and_marked_as_the_readers(host: Any, graded: Any) -> None:
    case, mask = graded, graded.drawn_mask("L3-L4")
    click_row(host, row_of(host, "L2-L3"))
    host.press(host.ui.resultTable, "5")
    click_row(host, row_of(host, "L3-L4"))
    host.qt.QTest.keyClick(host.ui.resultTable, host.qt.Qt.Key_Delete)
    host.press(host.ui.resultTable, "M")
    sketch = next(iter(case.foreign_segments()))
    draw_segment(host, case, sketch, mask)
    host.click(host.ui.drawDiscButton)
    finish(host)
    disc = case.result.disc("L3-L4")
    assert disc.changes == ("added by reader, mask drawn by reader",)
    np.testing.assert_array_equal(case.drawn_mask("L3-L4"), mask)
    assert case.foreign_segments() == {}
    assert case.result.disc("L2-L3").pfirrmann == 5
    host.click(host.ui.undoButton)
    assert case.result.disc("L3-L4") is None


def test_nothing_drawn_leaves_the_level_missing(host: Any, graded: Any) -> None:
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.noDiscButton)
    host.click(host.ui.drawDiscButton)
    assert host.ui.segmentEditorWidget.visible
    host.click(host.ui.drawDiscButton)
    assert "still missing" in host.ui.statusLabel.text
    assert not host.ui.segmentEditorWidget.visible
    assert graded.foreign_segments() == {}
    assert graded.result.disc("L3-L4") is None


def draw_in(host: Any, case: Any, segment: str, mask: np.ndarray) -> None:
    """Draw a stroke, and let the panel look at it."""
    draw_segment(host, case, segment, mask)
    host.widget.panel.look()
    host.process_events()


def begin_to_draw(host: Any, case: Any, level: str = "L3-L4") -> tuple[str, np.ndarray]:
    """Take a disc out and begin to draw it; returns the segment and the mask that it had."""
    mask = case.drawn_mask(level)
    click_row(host, row_of(host, level))
    host.click(host.ui.noDiscButton)
    host.click(host.ui.drawDiscButton)
    return host.widget.panel.correct.sketch, mask


def test_drawing_a_missing_disc_goes_on_after_the_first_stroke(host: Any, graded: Any, view: Any) -> None:
    sketch, mask = begin_to_draw(host, graded)
    look(host)
    assert "L3-L4?" not in shown_names(view)  # it would stand where the disc is to be drawn
    for rows in (2, 4):
        part = mask.copy()
        part[np.nonzero(mask.any(axis=1))[0][rows] :] = False
        draw_in(host, graded, sketch, part)
        assert host.widget.panel.correct.sketch == sketch
        assert not host.widget.panel.run.running
    assert host.widget.panel.result.missing_level == "L3-L4"


def test_undo_throws_away_what_is_being_drawn_and_nothing_else(host: Any, graded: Any) -> None:
    sketch, mask = begin_to_draw(host, graded)
    draw_in(host, graded, sketch, mask)
    before = graded.corrections
    host.click(host.ui.undoButton)
    assert graded.corrections == before
    assert graded.foreign_segments() == {}
    assert not host.widget.panel.correct.editing
    assert not host.widget.panel.run.running


def test_nothing_is_saved_while_a_disc_is_being_drawn(host: Any, graded: Any, tmp_path: Path) -> None:
    sketch, mask = begin_to_draw(host, graded)
    draw_in(host, graded, sketch, mask)
    host.answer_file_dialogs(tmp_path)
    host.click(host.ui.saveAllButton)
    assert list(tmp_path.iterdir()) == []
    assert "is being drawn" in host.ui.statusLabel.text


def test_what_is_drawn_stays_with_its_volume_when_another_one_is_chosen(host: Any, graded: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    sketch, mask = begin_to_draw(host, graded)
    draw_in(host, graded, sketch, mask)
    other = volume_node_from(sample, "other T2 sag", host.scene)
    host.process_events()
    host.ui.inputSelector.setCurrentNode(other)
    finish(host)
    assert graded.result.disc("L3-L4").changes == ("added by reader, mask drawn by reader",)
    assert host.widget.panel.case is None
    assert not host.widget.panel.correct.editing


def test_a_sketch_that_was_not_graded_is_gone_on_with(host: Any, graded: Any) -> None:
    sketch, mask = begin_to_draw(host, graded)
    draw_in(host, graded, sketch, mask)
    host.click(host.ui.drawDiscButton)
    host.click(host.ui.gradeDiscsButton)  # cancel
    look(host)
    assert list(graded.foreign_segments()) == [sketch]
    click_row(host, row_of(host, "L3-L4"))
    host.click(host.ui.drawDiscButton)
    assert host.widget.panel.correct.sketch == sketch
    np.testing.assert_array_equal(graded.foreign_mask(sketch), mask)


def test_keys_choose_in_a_list_and_do_nothing_else(host: Any, graded: Any) -> None:
    click_row(host, row_of(host, "L4-L5"))
    before, large = graded.corrections, arrangement(host)
    host.ui.levelComboBox.setFocus()
    host.process_events()
    for key in ("L", "5", "0", "T"):
        host.qt.QTest.keyClick(host.ui.levelComboBox, key)
    host.qt.QTest.keyClick(host.ui.levelComboBox, host.qt.Qt.Key_Delete)
    host.process_events()
    assert (graded.corrections, arrangement(host)) == (before, large)


def test_the_own_layout_comes_back_from_three_planes_too(host: Any, graded: Any) -> None:
    node = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    host.leave()
    node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    host.open()
    host.click(host.ui.threePlanesButton)
    host.click(host.ui.largeImageButton)
    assert arrangement(host) == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView


def test_a_volume_that_cannot_be_read_any_more_is_told_of(host: Any, graded: Any, view: Any) -> None:
    graded.volumeNode.SetAndObserveImageData(None)
    look(host)
    assert not [text for text in shown_names(view) if text.startswith("L")]
    assert host.widget.panel.state.is_stale


def test_the_printed_text_is_black_whatever_the_palette(host: Any) -> None:
    from LumbarDiscGradingLib.panel.grading.report_page import _draw_text

    qt, former = host.qt, host.qt_application.palette()
    host.qt_application.setPalette(qt.QPalette(qt.QColor(40, 40, 40)))
    try:
        image = qt.QImage(900, 200, qt.QImage.Format_RGB32)
        image.fill(qt.QColor(255, 255, 255))
        painter = qt.QPainter(image)
        _draw_text(painter, "<h2>Title</h2><p>Text</p><table><tr><td>cell</td></tr></table>", qt.QRectF(0, 0, 900, 200))
        painter.end()
    finally:
        host.qt_application.setPalette(former)
    pixels = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(200, 900, 4)[..., :3]
    printed = np.flatnonzero((pixels < 250).any(axis=(1, 2)))
    lines = np.split(printed, np.flatnonzero(np.diff(printed) > 1) + 1)
    assert len(lines) == 3
    assert all(pixels[line].min() < 90 for line in lines)


# -- saving


def test_a_file_that_the_dialog_did_not_ask_about_is_not_overwritten(
    host: Any, graded: Any, own_settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine.pdf").write_text("kept")
    host.answer_file_dialogs(tmp_path / "mine")
    host.click(host.ui.saveReportButton)
    assert (tmp_path / "mine.pdf").read_text() == "kept"
    assert "there already" in host.ui.statusLabel.text


def test_save_all_writes_everything_by_one_click_and_overwrites_nothing(
    host: Any, graded: Any, own_settings: Any, tmp_path: Path
) -> None:
    host.answer_file_dialogs(tmp_path)
    host.click(host.ui.saveAllButton)
    endings = ("discs.seg.nrrd", "grades.csv", "overview.png", "report.pdf", "report.txt", "result.json")
    first = {f"3_t2_tse_sag_{ending}" for ending in endings}
    assert {path.name for path in tmp_path.iterdir()} == first
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    host.answer_file_dialogs("")  # it is not asked again
    host.press(host.ui.resultTable, "S")
    assert {path.name for path in tmp_path.iterdir()} == first | {f"3_t2_tse_sag_2_{ending}" for ending in endings}
    assert {name: (tmp_path / name).read_bytes() for name in first} == kept
    assert str(tmp_path) in host.ui.statusLabel.text


def test_a_report_is_saved_as_page_or_text_in_the_folder_last_used(
    host: Any, graded: Any, own_settings: Any, tmp_path: Path
) -> None:
    host.answer_file_dialogs(tmp_path / "mine.txt")
    host.click(host.ui.saveReportButton)
    assert (tmp_path / "mine.txt").read_text("utf-8").startswith("Lumbar disc degeneration")
    proposed = []

    def choose(parent: Any, title: str, path: str, kinds: str) -> str:
        proposed.append(path)
        return str(tmp_path / "page")

    host.qt.QFileDialog = type("QFileDialog", (), {"getSaveFileName": staticmethod(choose)})
    host.click(host.ui.saveReportButton)
    assert Path(proposed[0]) == tmp_path / "3_t2_tse_sag_report.pdf"
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_the_panel_tells_how_sure_the_names_are(host: Any, graded: Any) -> None:
    assert f"Names of the levels: right with p {graded.result.naming_confidence:.2f}." in host.ui.summaryLabel.text
    click_row(host, row_of(host, "L5-S1"))
    host.ui.levelComboBox.setCurrentIndex(host.ui.levelComboBox.findText("L6-S1"))
    host.click(host.ui.setLevelButton)
    assert "Names of the levels" not in host.ui.summaryLabel.text  # the names are the reader's now


def test_all_levels_that_are_drawn_are_in_the_table(host: Any, graded: Any) -> None:
    assert [row[0] for row in table(host)] == [disc.level for disc in graded.result.discs]
    assert set(LUMBAR_LEVELS) <= {row[0] for row in table(host)}
