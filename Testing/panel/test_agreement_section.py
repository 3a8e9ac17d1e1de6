"""Agreement in the panel: who may see it, the numbers of the library, the plot in MRML, and files to save."""

from __future__ import annotations

import csv
import math
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from example_studies import READERS, eroded, make_study, read_grades, read_masks, truth_masks
from PIL import Image

from LumbarDiscGradingLib.annotation.agreement.agreement import ALL_LEVELS, require_agreement_sight, study_agreement
from LumbarDiscGradingLib.annotation.errors import BlindedError
from LumbarDiscGradingLib.annotation.protocol import Reader, Role
from LumbarDiscGradingLib.annotation.study.selection import Rule, Selection
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.pfirrmann import LUMBAR_LEVELS

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
CASES = 4


class Desk:
    """The section in a window of its own."""

    def __init__(self, host: Any) -> None:
        from LumbarDiscGradingLib.panel.review.agreement.section import AgreementSection

        self.host = host
        self.container = host.widgetClass()
        self.container.setLayout(host.qt.QVBoxLayout())
        self.section = AgreementSection(self.container)
        self.container.resize(400, 900)
        self.container.show()

    def show(self, session_or_study: Any) -> Any:
        """Show a study and unfold the section, as a click on its title does."""
        self.section.show(session_or_study)
        self.section.ui.agreementCollapsibleButton.collapsed = False
        self.finish()
        return self.section

    def finish(self) -> None:
        self.host.wait_until(lambda: not self.section.running)
        self.host.process_events()

    def close(self) -> None:
        self.section.dispose()
        self.section.widget.setMRMLScene(None)
        self.container.close()
        self.container.deleteLater()
        self.host.process_events()


@pytest.fixture
def desk(started: Any) -> Iterator[Desk]:
    started.core.clear()
    started.forget_violations()
    desk = Desk(started)
    yield desk
    desk.close()
    started.core.clear()
    assert started.violations() == []


@pytest.fixture(scope="module")
def study(tmp_path_factory: Any) -> Study:
    """Cases read by two graders and two annotators; carl has graded one of them again."""
    folder = tmp_path_factory.mktemp("agreement") / "study"
    readers = (*READERS[2:], Reader("anna", (Role.ANNOTATOR,), 3), Reader("bert", (Role.ANNOTATOR,), 5))
    make_study(folder, CASES, readers=readers, double_masks=True, peer_review=False, repeat_share=1.0)
    chance = random.Random(3)
    for number in range(1, CASES + 1):
        case, grades = f"C{number:04d}", [chance.randint(1, 5) for _ in LUMBAR_LEVELS]
        read_grades(folder, "carl", case, grades)
        read_grades(folder, "dora", case, [min(grade + (chance.random() < 0.4), 5) for grade in grades])
        read_masks(folder, "anna", case, truth_masks())
        read_masks(folder, "bert", case, eroded(truth_masks(), LUMBAR_LEVELS[number % 5], 2))
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 5], 2)
    return Study.open(folder)


def cells(table: Any) -> list[list[str]]:
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def choose(desk: Desk, text: str) -> None:
    combo = desk.section.ui.agreementPairComboBox
    combo.setCurrentIndex(combo.findText(text))
    desk.host.process_events()


# -- who may see it


def test_a_reader_with_unsigned_readings_is_told_why_nothing_is_shown(desk, tmp_path):
    make_study(tmp_path / "study", cases=2)
    read_grades(tmp_path / "study", "carl", "C0001", [1, 2, 3, 4, 5])
    for case in ("C0001", "C0002"):
        read_grades(tmp_path / "study", "dora", case, [1, 2, 3, 4, 4])
    section = desk.show(ReaderSession.open(tmp_path / "study", "carl"))
    assert "1 are left" in section.ui.agreementMessageLabel.text
    assert section.agreement is None and not section.ui.agreementResultWidget.visible
    with pytest.raises(BlindedError):
        require_agreement_sight(ReaderSession.open(tmp_path / "study", "carl"))
    read_grades(tmp_path / "study", "carl", "C0002", [1, 2, 3, 4, 5])
    desk.host.click(section.ui.agreementRunButton)
    desk.finish()
    assert section.agreement is not None and section.ui.agreementResultWidget.visible


def test_a_repeat_that_is_not_signed_hides_it_too(study):
    with pytest.raises(BlindedError, match="3 are left"):
        require_agreement_sight(ReaderSession.open(study.folder, "carl"))
    with pytest.raises(BlindedError, match="4 are left"):
        require_agreement_sight(ReaderSession.open(study.folder, "dora"))


def test_adjudicators_see_it_whatever_they_still_have_to_read(tmp_path):
    readers = (*READERS[:3], Reader("dora", (Role.GRADER, Role.ADJUDICATOR), 15))
    make_study(tmp_path / "study", cases=1, readers=readers)
    require_agreement_sight(ReaderSession.open(tmp_path / "study", "dora"))
    with pytest.raises(BlindedError):
        require_agreement_sight(ReaderSession.open(tmp_path / "study", "carl"))


# -- what is shown


def test_the_tables_hold_the_numbers_of_the_library(desk, study):
    section = desk.show(ReaderSession.open(study.folder, "emil"))
    expected = study_agreement(study)
    grades = {found.level: found for found in expected.grades}
    every = grades[ALL_LEVELS]
    assert f"{every.discs} discs of {CASES} patients" in section.ui.agreementSummaryLabel.text
    rows = cells(section.ui.agreementTable)
    assert [row[0] for row in rows] == ["all", *LUMBAR_LEVELS]
    for row, found in zip(rows, grades.values(), strict=True):
        assert row[1] == str(found.discs) and row[3] == f"{100 * found.agreed_share:.0f}%"
        kappa = found.kappa_quadratic
        if math.isfinite(kappa.low):
            assert row[2] == f"{kappa.value:.2f} ({kappa.low:.2f}, {kappa.high:.2f})"
    confusion = [[int(text) for text in row[1:]] for row in cells(section.ui.confusionTable)]
    assert tuple(map(tuple, confusion)) == every.table
    times = {(row[0], row[1]): row[2:] for row in cells(section.ui.timesTable)}
    assert times["anna", "masks"] == [str(CASES), "30 s (30 s, 30 s)"]
    assert times["carl", "grades"][0] == str(CASES + 1)


def test_cases_that_do_not_stand_for_their_cohort_are_told_beside_each_pair(desk, study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study.folder, folder)
    Selection(Rule.DOUBT, 0, 90, 0, False, (), {case: "a" * 64 for case in study.case_ids}).write(folder)
    section = desk.show(Study.open(folder))
    for text in ("Grades: carl and dora", "Masks: anna and bert"):
        choose(desk, text)
        assert section.ui.agreementPairComboBox.currentText == text
        assert "do not estimate those of the whole cohort" in section.ui.agreementSummaryLabel.text


def test_masks_and_repeats_are_chosen_from_the_list(desk, study):
    section = desk.show(study)
    combo = section.ui.agreementPairComboBox
    texts = [combo.itemText(n) for n in range(combo.count)]
    assert texts == ["Grades: carl and dora", "Masks: anna and bert", "Grades: carl, repeated"]
    choose(desk, "Masks: anna and bert")
    dice = study_agreement(study).masks[0].dice
    row = cells(section.ui.agreementTable)[0]
    assert row[1:3] == [str(5 * CASES), f"{dice.median:.2f} ({dice.lower_quartile:.2f}, {dice.upper_quartile:.2f})"]
    assert not section.ui.confusionTable.visible
    choose(desk, "Grades: carl, repeated")
    assert section.ui.confusionTable.visible and "second reading" in section.ui.confusionLabel.text
    assert sum(int(text) for row in cells(section.ui.confusionTable) for text in row[1:]) == 5


def test_nothing_is_worked_out_before_the_section_is_opened(desk, study):
    desk.section.show(study)
    assert not desk.section.running and desk.section.agreement is None
    desk.section.ui.agreementCollapsibleButton.collapsed = False
    assert desk.section.running
    desk.finish()
    assert desk.section.agreement is not None


def test_it_is_worked_out_on_another_thread_that_can_be_cancelled(desk, study, monkeypatch):
    from LumbarDiscGradingLib.panel.review.agreement import section as agreement_section

    reached, go_on, seen = threading.Event(), threading.Event(), []
    original = agreement_section._agreement_of

    def slow(folder: Path, progress: Any) -> Any:
        def told(stage: str) -> None:
            seen.append((stage, threading.current_thread() is threading.main_thread()))
            reached.set()
            assert go_on.wait(30)
            progress(stage)

        return original(folder, told)

    monkeypatch.setattr(agreement_section, "_agreement_of", slow)
    desk.section.show(study)
    desk.section.ui.agreementCollapsibleButton.collapsed = False
    assert reached.wait(30)
    desk.host.process_events()
    run = desk.section._run
    assert desk.section.ui.agreementRunButton.text == "Cancel"
    desk.host.click(desk.section.ui.agreementRunButton)
    assert not desk.section.running
    go_on.set()
    assert run.wait(30)
    assert seen == [(f"1/{CASES}", False)]
    assert desk.section.agreement is None and "Canceled" in desk.section.ui.agreementMessageLabel.text
    assert desk.section.ui.agreementRunButton.text == "Work out again"


def test_a_study_without_two_readings_of_a_case_says_so(desk, tmp_path):
    make_study(tmp_path / "study", cases=1)
    section = desk.show(Study.open(tmp_path / "study"))
    assert "No case has two signed readings" in section.ui.agreementMessageLabel.text
    assert not section.ui.agreementResultWidget.visible


def test_a_damaged_study_is_said_in_one_sentence(desk, tmp_path):
    make_study(tmp_path / "study", cases=1)
    study = Study.open(tmp_path / "study")
    (tmp_path / "study" / "study.json").write_text("{")
    section = desk.show(study)
    assert "not readable as JSON" in section.ui.agreementMessageLabel.text and section.agreement is None


# -- plot


def test_the_plot_shows_each_level_with_its_interval_and_leaves_nothing_behind(desk, study):
    scene = desk.host.scene
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    view = scene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    section = desk.show(study)
    desk.host.click(section.ui.agreementPlotButton)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView
    chart = scene.GetNodeByID(view.GetPlotChartNodeID())
    assert "carl and dora" in chart.GetTitle() and "kappa" in chart.GetYAxisTitle()
    assert chart.GetXAxisTitle().startswith("0 all, 1 L1-L2")
    low, high = chart.GetYAxisRange()
    assert low <= 0 and high > 1
    series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    assert len(series) == 2
    found = {f.level: f.kappa_quadratic for f in study_agreement(study).grades}
    for node in series:
        table = node.GetTableNode().GetTable()
        place, shown = (table.GetColumnByName(name) for name in (node.GetXColumnName(), node.GetYColumnName()))
        points = {(place.GetValue(n), shown.GetValue(n)) for n in range(place.GetNumberOfValues())}
        ends = {(x, y) for x, y in points if not math.isnan(y)}
        estimates = [found[ALL_LEVELS], *(found[level] for level in LUMBAR_LEVELS)]
        pairs = {(float(x), y) for x, e in enumerate(estimates) for y in (e.low, e.high)}
        values = {(float(x), e.value) for x, e in enumerate(estimates)}
        assert ends == {(x, y) for x, y in (values if node is series[1] else pairs) if not math.isnan(y)}
    choose(desk, "Masks: anna and bert")
    assert chart.GetYAxisTitle() == "Dice" and "anna and bert" in chart.GetTitle()
    desk.host.click(section.ui.agreementPlotButton)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    section.clear()
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0


def test_the_plot_comes_back_after_the_scene_was_closed(desk, study):
    section = desk.show(study)
    desk.host.click(section.ui.agreementPlotButton)
    desk.host.core.clear()
    choose(desk, "Masks: anna and bert")
    assert desk.host.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1


# -- files


def test_tables_and_picture_are_saved_where_the_user_says(desk, study, tmp_path):
    section = desk.show(study)
    desk.host.answer_file_dialogs(tmp_path / "tables")
    desk.host.click(section.ui.saveAgreementTablesButton)
    with (tmp_path / "tables" / "grade_agreement.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["first_reader"] == "carl" and rows[0]["discs"] == str(5 * CASES)
    assert {row["kind"] for row in rows} == {"two readers", "repeated"}
    desk.host.answer_file_dialogs(tmp_path / "agreement")
    desk.host.click(section.ui.saveAgreementPictureButton)
    with Image.open(tmp_path / "agreement.png") as picture:
        assert picture.width > 600
    desk.host.answer_file_dialogs(tmp_path / "missing" / "agreement.png")
    desk.host.click(section.ui.saveAgreementPictureButton)
    assert "could not be saved" in section.ui.agreementMessageLabel.text


def test_the_section_goes_with_its_study(desk, study):
    section = desk.show(study)
    section.clear()
    assert section.agreement is None and not section.widget.visible
