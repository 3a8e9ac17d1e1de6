"""The module's own test finds what Slicer only prints: faults in slots, signals that do not exist, Qt's warnings."""

from __future__ import annotations

import logging
import sys
import unittest
from typing import Any

import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]


def outcome_of(host: Any, name: str) -> unittest.TestResult:
    """Run one of the module's own tests."""
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(host.module.LumbarDiscGradingTest)
    outcome = unittest.TestResult()
    unittest.TestSuite(test for test in tests if test.id().endswith(name)).run(outcome)
    assert outcome.testsRun == 1
    return outcome


def raise_error(host: Any) -> None:
    raise ValueError("a fault in a slot")


def connect_misspelt(host: Any) -> None:
    host.ui.gradeDiscsButton.connect("cliked()", print)


def warn(host: Any) -> None:
    host.qt.qWarning("QLayout: Attempting to add QLayout to QWidget, which already has a layout")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (raise_error, "ValueError: a fault in a slot"),
        (connect_misspelt, "PythonQt: QObject::connect() signal 'cliked()' does not exist on QPushButton"),
        (warn, "Qt: QLayout: Attempting to add QLayout"),
    ],
)
def test_a_fault_that_is_only_printed_fails_the_modules_own_test(host: Any, fault: Any, said: str) -> None:
    host.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: fault(host))
    outcome = outcome_of(host, "the_series_is_chosen_by_name")
    host.forget_violations()
    ((_test, text),) = outcome.failures
    assert said in text
    assert outcome.errors == []


def test_what_reads_well_passes_and_each_step_is_printed(host: Any, capsys: Any) -> None:
    assert outcome_of(host, "a_disagreement_is_adjudicated").wasSuccessful()
    steps = capsys.readouterr().out.splitlines()
    assert "LumbarDiscGradingTest: open the study as emil" in steps


def test_the_button_test_runs_all_and_names_what_failed(host: Any, monkeypatch: Any, capsys: Any) -> None:
    cls = host.module.LumbarDiscGradingTest
    for name in unittest.defaultTestLoader.getTestCaseNames(cls):
        monkeypatch.setattr(cls, name, lambda self: None)
    cls().runTest()
    monkeypatch.setattr(cls, "test_12_a_study_is_read", lambda self: self.fail("it is not"))
    with pytest.raises(AssertionError, match="1 of 15 tests failed: test_12_a_study_is_read"):
        cls().runTest()
    assert "it is not" in capsys.readouterr().out


def test_settings_layout_and_module_are_as_before_at_the_end(host: Any) -> None:
    settings = host.qt.QSettings()
    settings.setValue("LumbarDiscGrading/Reader", "me")
    settings.remove("LumbarDiscGrading/Study")
    host.leave()
    layout = host.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    assert outcome_of(host, "a_study_is_read").wasSuccessful()
    assert settings.value("LumbarDiscGrading/Reader") == "me"
    assert not settings.contains("LumbarDiscGrading/Study")
    assert not host.representation.isEntered
    assert layout.GetViewArrangement() == before
    settings.remove("LumbarDiscGrading/Reader")
    host.open()


def test_without_a_main_window_the_panel_is_used_all_the_same(host: Any) -> None:
    host.leave()
    host.app.hasMainWindow = False
    try:
        assert outcome_of(host, "a_study_is_read").wasSuccessful()
    finally:
        host.app.hasMainWindow = True
        host.open()


def test_without_pytorch_the_tests_that_need_it_say_so(host: Any, monkeypatch: Any, capsys: Any) -> None:
    from LumbarDiscGradingLib.panel.shared import dependencies

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    outcome = outcome_of(host, "a_grade_is_corrected_and_taken_back")
    assert [reason for _test, reason in outcome.skipped] == ["PyTorch is not installed"]
    assert "LumbarDiscGradingTest: skipped: PyTorch is not installed" in capsys.readouterr().out
    assert outcome_of(host, "a_study_is_read").wasSuccessful()


def test_only_what_was_logged_since_is_a_fault(host: Any) -> None:
    from LumbarDiscGradingLib.panel.self_test_log import LogWatch

    log = host.app.errorLogModel()
    host.qt.qWarning("of before")
    watch = LogWatch(log)
    logging.getLogger("elsewhere").warning("no fault: Python warns")
    assert watch.faults() == []
    host.qt.qWarning("QObject::startTimer: Timers cannot be started from another thread")
    assert [text[:8] for text in watch.faults()] == ["Qt: QObj"]


def test_what_the_log_appends_to_an_entry_of_before_is_found(host: Any) -> None:
    from LumbarDiscGradingLib.panel.self_test_log import LogWatch

    log = host.app.errorLogModel()
    host.qt.qWarning("of before")
    watch = LogWatch(log)
    count = log.logEntryCount()
    host.qt.qWarning("QWidget: now")
    assert log.logEntryCount() == count
    assert watch.faults() == ["Qt: QWidget: now"]
    try:
        raise ValueError("in a slot")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    host.forget_violations()
    assert any("ValueError: in a slot" in text for text in watch.faults())


def test_that_the_segment_editor_finds_no_window_for_its_keys_is_no_fault_without_one(host: Any) -> None:
    from LumbarDiscGradingLib.panel.self_test_log import LogWatch

    watch = LogWatch(host.app.errorLogModel())
    host.qt.qWarning("QShortcut: No widget parent defined")
    assert watch.faults() == ["Qt: QShortcut: No widget parent defined"]
    host.app.hasMainWindow = False
    try:
        assert watch.faults() == []
    finally:
        host.app.hasMainWindow = True
