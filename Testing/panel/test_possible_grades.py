"""Prediction sets in the panel: possible grades stand in the row and on the image until a reader decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_models import model_with_sets
from panel_acts import click_row, grade, open_all, row_of, table, tag
from panel_rules import broken_rules

from LumbarDiscGradingLib.models import store
from LumbarDiscGradingLib.report.text import possible_grades

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    *(
        pytest.mark.needs_library(name)
        for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
    ),
    pytest.mark.skipif(
        set(store.default_model_names()) != {"segmentation", "grading"},
        reason="no trained models are in Resources/Models",
    ),
]


NAME = "spinenet-with-sets"


@pytest.fixture
def installed(monkeypatch: Any, tmp_path: Path) -> None:
    """A model that states large prediction sets, in the user's folder before the panel opens."""
    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path / "models"))
    model_with_sets(tmp_path / "models" / NAME)


@pytest.fixture
def disc(installed: None, host: Any, sample: Any) -> Any:
    """A disc of the sample, graded by that model, of which several grades are possible."""
    host.close_panel()
    host.open()  # lists the models anew
    box = host.ui.gradingModelComboBox
    box.setCurrentIndex(next(n for n in range(box.count) if NAME in box.itemText(n)))
    grade(host, sample)
    return next(disc for disc in host.widget.panel.case.result.discs if len(disc.grade_set) > 1)


def on_image(host: Any, level: str) -> str:
    texts = host.app.layoutManager().sliceWidget("Yellow").texts()
    return next(text for text in texts if text.startswith(level))


def cells_of(host: Any, level: str) -> list[str]:
    return table(host)[row_of(host, level)]


def test_possible_grades_take_the_place_of_the_question_mark(host: Any, disc: Any) -> None:
    words = possible_grades(disc)
    assert " or " in words or " to " in words
    unsure = [each for each in host.widget.panel.case.result.discs if not each.confident]
    assert all(len(each.grade_set) > 1 for each in unsure)
    assert cells_of(host, disc.level)[2] == words
    assert "?" not in "".join(cells[1] for cells in table(host))
    assert words in on_image(host, disc.level)
    assert "?" not in on_image(host, disc.level)
    assert tag(host, disc.level, "PfirrmannSet") == " ".join(map(str, disc.grade_set))
    tip = host.ui.resultTable.item(row_of(host, disc.level), 2).toolTip()
    assert words in tip
    assert broken_rules(host) == []


def test_a_readers_grade_clears_the_possible_ones_and_undo_brings_them_back(host: Any, disc: Any) -> None:
    from LumbarDiscGradingLib.scene.segments import own_segments

    open_all(host)
    click_row(host, row_of(host, disc.level))
    host.press(host.ui.resultTable, "4")
    assert cells_of(host, disc.level)[2] == "IV"
    own = host.widget.panel.case
    segment = own.segmentationNode.GetSegmentation().GetSegment(own_segments(own.segmentationNode)[disc.level])
    assert not segment.HasTag("LumbarDiscGrading.PfirrmannSet")
    assert tag(host, disc.level, "Pfirrmann") == "4"
    assert on_image(host, disc.level).split()[1] == "IV"
    host.click(host.ui.undoButton)
    assert cells_of(host, disc.level)[2] == possible_grades(disc)


def test_possible_grades_come_back_with_a_saved_scene(host: Any, disc: Any, tmp_path: Path) -> None:
    before = table(host)
    host.core.save_scene(tmp_path / "case.mrb")
    host.core.clear()
    host.process_events()
    host.core.load_scene(tmp_path / "case.mrb")
    host.process_events()
    assert table(host) == before
    assert cells_of(host, disc.level)[2] == possible_grades(disc)
    assert tag(host, disc.level, "PfirrmannSet") == " ".join(map(str, disc.grade_set))


def test_rows_with_possible_grades_fit_the_panel_on_a_laptop(host: Any, disc: Any) -> None:
    host.representation.resize(441, 900)  # as wide as on a screen of 1366 x 768
    host.process_events()
    widget = host.ui.resultTable
    assert widget.horizontalHeader().length() <= widget.viewport().width
