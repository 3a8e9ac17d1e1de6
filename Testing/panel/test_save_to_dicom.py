"""*Save to DICOM*: segmentation and report go into Slicer's DICOM database, or a sentence says why they do not."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_acts import click_row, finish, grade, open_all, row_of

from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.panel.self_test_dicom import write_study

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("highdicom", reason="highdicom is not installed")

pytestmark = [
    *(
        pytest.mark.needs_library(name)
        for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
    ),
    pytest.mark.skipif(
        set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
    ),
]


@pytest.fixture
def study(host: Any, sample: Any, tmp_path: Path) -> Iterator[Any]:
    """Grade the T2 series of a study that is in Slicer's DICOM database, and return its volume node."""
    from slicer_host.dicom_database import DicomDatabase, load_series

    former, slicer.dicomDatabase = slicer.dicomDatabase, DicomDatabase()
    folder = tmp_path / "study"
    folder.mkdir()
    uids = write_study(folder, sample)
    slicer.dicomDatabase.insert(folder)
    node = load_series(slicer.dicomDatabase.instanceValue(uids["T2"][0], "0020,000E"))
    host.ui.inputSelector.setCurrentNode(node)
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    open_all(host)
    yield node
    slicer.dicomDatabase.closeDatabase()
    slicer.dicomDatabase = former


def save(host: Any) -> str:
    host.click(host.ui.saveDicomButton)
    host.wait_until(lambda: host.ui.saveDicomButton.enabled)
    return host.ui.statusLabel.text


def objects(modality: str) -> list[Any]:
    """Return what the database has of a modality."""
    import pydicom

    files = list(slicer.dicomDatabase._files.values())
    return [each for each in (pydicom.dcmread(file) for file in files) if each.Modality == modality]


def test_segmentation_and_report_are_in_the_study_as_the_reader_left_them(host: Any, study: Any) -> None:
    click_row(host, row_of(host, "L4-L5"))
    host.press(host.ui.resultTable, "1")
    assert save(host).startswith("Saved to the DICOM database")
    (segmentation,), (report,), images = objects("SEG"), objects("SR"), objects("MR")
    assert {each.StudyInstanceUID for each in (segmentation, report)} == {images[0].StudyInstanceUID}
    assert {segment.SegmentLabel for segment in segmentation.SegmentSequence} >= {"L4-L5", "L5-S1"}
    assert "L4-L5: mild, Pfirrmann I set by reader" in report.ContentSequence[-1].TextValue
    assert save(host).startswith("Saved to the DICOM database")
    assert len(objects("SEG")) == 2  # what was saved before stays


def test_a_volume_that_is_not_of_the_database_is_told(host: Any, sample: Any) -> None:
    grade(host, sample)
    open_all(host)
    assert "was not loaded from Slicer's DICOM database" in save(host)


@pytest.mark.parametrize("gone", ["closed", "deleted"])
def test_a_database_without_the_images_is_told(host: Any, study: Any, gone: str) -> None:
    if gone == "closed":
        slicer.dicomDatabase.closeDatabase()
    else:
        for file in slicer.dicomDatabase._files.values():
            Path(file).unlink()
    assert ("is not open" if gone == "closed" else "has not all images") in save(host)


def test_highdicom_is_installed_only_when_the_user_agrees(host: Any, study: Any, monkeypatch: Any) -> None:
    asked = []

    def decline(requirement: str, requester: str) -> None:
        asked.append((requirement.split(">")[0], requester))
        raise RuntimeError("User declined package installation")

    monkeypatch.setitem(sys.modules, "slicer.packaging", types.SimpleNamespace(pip_ensure=decline))
    monkeypatch.setitem(sys.modules, "highdicom", None)
    assert "highdicom was not installed, but saving to DICOM needs it" in save(host)
    assert asked == [("highdicom", "LumbarDiscGrading")]
    assert not objects("SEG")


def test_a_volume_that_lies_elsewhere_than_its_images_is_told(host: Any, study: Any) -> None:
    study.SetSpacing(*(1.2 * value for value in study.GetSpacing()))
    host.click(host.ui.gradeDiscsButton)
    finish(host)
    assert "does not lie where its DICOM images do" in save(host)
    assert not objects("SEG")


def test_closing_the_panel_while_it_saves_leaves_nothing_behind(host: Any, study: Any) -> None:
    host.click(host.ui.saveDicomButton)
    folder = Path(host.widget.panel.save._dicom._folder.name)
    host.close_panel()
    assert not folder.exists()
    host.open()
