"""*Grade all loaded T2 volumes*: one after the other in the background, each with its result, one table of all."""

from __future__ import annotations

from typing import Any

import pytest
from panel_acts import finish, grade, load
from panel_rules import broken_rules

from LumbarDiscGradingLib.models.store import default_model_names

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


def grade_all(host: Any) -> None:
    """Choose *Grade all loaded T2 volumes* in the menu."""
    assert host.ui.gradeMenuButton.isVisible()
    host.ui.gradeMenuButton.menu().actions()[0].trigger()
    host.process_events()


def listed(host: Any) -> dict[str, tuple[str, str]]:
    """Return grades and note of each volume in the list, by name, from top to bottom."""
    widget = host.ui.allVolumesTable
    rows = [[widget.item(row, column).text() for column in range(3)] for row in range(widget.rowCount)]
    return {name: (grades, note) for name, grades, note in rows}


def table_of_all(host: Any) -> list[dict[str, str]]:
    """Return the rows of the table of all; none where there is no such table."""
    from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of
    from LumbarDiscGradingLib.scene.text_table import read_text_table

    node = node_of(host.scene)
    return read_text_table(node, COHORT_COLUMNS) if node is not None else []


def names_in(rows: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["identifier"] for row in rows))


def own_table(host: Any, case: Any) -> list[dict[str, str]]:
    from LumbarDiscGradingLib.report.tables import GRADE_COLUMNS
    from LumbarDiscGradingLib.scene.text_table import read_text_table

    return read_text_table(case.tableNode, GRADE_COLUMNS)


def cases_of(node: Any) -> list[Any]:
    from LumbarDiscGradingLib.scene.graded_case import graded_cases

    return graded_cases(node)


def wait_for_piece(host: Any, place: int) -> None:
    """Wait until so many volumes have been begun."""
    host.wait_until(lambda: not host.widget.panel.run.running or host.widget.panel.all.place[0] >= place)
    assert host.widget.panel.run.running


def click_volume(host: Any, name: str) -> None:
    widget = host.ui.allVolumesTable
    row = list(listed(host)).index(name)
    place = widget.visualItemRect(widget.item(row, 0)).center()
    host.qt.QTest.mouseClick(widget.viewport(), host.qt.Qt.LeftButton, host.qt.Qt.NoModifier, place)
    host.process_events()


def assert_nothing_half_done(host: Any) -> None:
    """Each segmentation has its table, each table its segmentation, and both tell the same discs."""
    from LumbarDiscGradingLib.report.tables import grade_rows
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of

    nodes = slicer.util.getNodesByClass
    found = [case for node in nodes("vtkMRMLScalarVolumeNode") for case in cases_of(node)]
    assert len(found) == len(nodes("vtkMRMLSegmentationNode"))
    assert len(nodes("vtkMRMLTableNode")) == len(found) + (node_of(host.scene) is not None)
    for case in found:
        assert own_table(host, case) == grade_rows(case.result)
    assert broken_rules(host) == []


def test_each_volume_gets_what_a_single_grading_gives_it_and_there_is_one_table_of_all(host: Any, sample: Any) -> None:
    single = grade(host, sample, "single T2")
    expected = own_table(host, cases_of(single)[0])
    slicer.mrmlScene.Clear(0)
    host.process_events()
    nodes = [load(host, sample, name) for name in ("A T2 sag", "B T2 sag", "C T2 sag")]
    grade_all(host)
    finish(host)
    for node in nodes:
        (case,) = cases_of(node)
        assert own_table(host, case) == expected
        assert case.segmentationNode.GetName() == f"{node.GetName()} discs"
    rows = table_of_all(host)
    assert names_in(rows) == ["A T2 sag", "B T2 sag", "C T2 sag"]
    assert [{name: row[name] for name in expected[0]} for row in rows] == 3 * expected
    assert all(row["grading_model"] and len(row["grading_sha256"]) == 64 for row in rows)
    assert host.ui.statusLabel.text.startswith("Graded: 3, before that: 0.")
    assert_nothing_half_done(host)


def test_the_table_of_all_is_shown_with_the_views_and_goes_with_the_module(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.scene.table_of_all import table_of_all as node_of

    layout = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    load(host, sample, "A T2 sag")
    grade_all(host)
    finish(host)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView
    selection = host.scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActiveTableID() == node_of(host.scene).GetID()
    host.leave()
    assert layout.GetViewArrangement() == before
