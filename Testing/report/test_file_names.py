"""File names that are proposed work on every system, whatever a volume is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from LumbarDiscGradingLib.report.file_names import safe_file_name

DEVICES = ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9")


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("3: t2_tse_sag", "3_t2_tse_sag"),
        ("T2 sagittal", "T2 sagittal"),
        ("5: Unnamed Series", "5_Unnamed Series"),
        ("Fall Ärzte/2 *Süd*?", "Fall Ärzte_2_Süd_"),
        ("Fall A\u0308rzte", "Fall Ärzte"),
        ("..\\..\\secret", "_.._secret"),
        ("ends with dots. . .", "ends with dots"),
        ("CON", "_CON"),
        ("nul.t2", "_nul.t2"),
        ("console", "console"),
        ("a\nb\tc\0d", "a b c_d"),
        ("  ", "volume"),
        ("", "volume"),
        ("矢状位 T2", "矢状位 T2"),
    ],
)
def test_a_name_becomes_a_file_name(name: str, file_name: str) -> None:
    assert safe_file_name(name) == file_name


@given(st.text(max_size=300))
@example("COM1" + "." * 200)
@example("CON " * 100)
@example("像" * 200)
@example("\u202etxt.exe")
@example("x\ud800")
def test_any_name_becomes_one_that_every_system_accepts(name: str) -> None:
    safe = safe_file_name(name)
    assert 0 < len(safe) <= 120
    assert len(f"{safe}_discs.seg.nrrd".encode()) <= 255
    assert not set(safe) & set('<>:"/\\|?*')
    assert safe.isprintable()
    assert safe[-1] not in " ." and safe[0] not in " ."
    assert safe.split(".")[0].strip().upper() not in DEVICES
    assert safe_file_name(safe) == safe


def test_a_file_of_such_a_name_can_be_written(tmp_path: Path) -> None:
    for name in ("3: t2_tse_sag", "像" * 200, "a/b", "CON"):
        path = tmp_path / f"{safe_file_name(name)}_discs.seg.nrrd"
        path.write_bytes(b"x")
        assert path in tmp_path.iterdir()


@pytest.fixture
def host(checkout: Path) -> Iterator[Any]:
    pytest.importorskip("slicer", reason="the package slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    from slicer_host.application import SlicerHost

    host = SlicerHost(checkout / "LumbarDiscGrading" / "LumbarDiscGrading.py")
    yield host
    violations = host.violations()
    host.close()
    assert violations == []


@pytest.mark.needs_library("libEGL.so.1")
@pytest.mark.needs_library("libGL.so.1")
@pytest.mark.needs_library("libxkbcommon.so.0")
@pytest.mark.needs_library("libdbus-1.so.3")
@pytest.mark.needs_library("libfontconfig.so.1")
def test_take_away_proposes_names_that_every_system_accepts(host: Any, tmp_path: Path) -> None:
    from example_results import analytic_result

    from LumbarDiscGradingLib.scene.graded_case import GradedCase
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    result = analytic_result()
    GradedCase.write_new(volume_node_from(result.volume, "3: T2/süd", host.scene), result)
    host.open()
    host.ui.saveCollapsibleButton.collapsed = False
    host.representation.resize(400, 1300)
    host.process_events()
    proposed = []

    def choose(_parent: Any, _title: str, name: str, _kinds: str) -> str:
        proposed.append(Path(name).name)  # the folder is the one last used
        return str(tmp_path / Path(name).name)

    host.qt.QFileDialog = type("QFileDialog", (), {"getSaveFileName": staticmethod(choose)})
    for button in (host.ui.saveSegmentationButton, host.ui.saveTableButton, host.ui.savePictureButton):
        host.click(button)
    assert proposed == ["3_T2_süd_discs.seg.nrrd", "3_T2_süd_grades.csv", "3_T2_süd_overview.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(proposed)
    assert "3_T2_süd_overview.png" in host.ui.statusLabel.text
