"""A curved spine in the panel: a row leads to its disc's slice, and a disc can be given another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from equipment.curved_phantoms import PaintedSpine
from panel_acts import click_row, finish, grade, open_all, row_of
from scipy.ndimage import binary_erosion

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


@pytest.fixture(scope="module")
def bowed() -> Any:
    return PaintedSpine().curved(0.0, 10.0, 4.0).volume


@pytest.fixture
def case(host: Any, bowed: Any) -> Any:
    host.app.layoutManager().sliceWidget("Yellow").picture(600, 600)
    open_all(host)
    grade(host, bowed, "curved")
    return host.widget.panel.case


def viewed(case: Any) -> int:
    from LumbarDiscGradingLib.scene.viewed_slice import viewed_slice

    return viewed_slice(case.volumeNode)


def test_a_row_leads_to_the_slice_of_its_disc(host: Any, case: Any) -> None:
    assert viewed(case) == case.result.slice_index
    assert len(case.result.slices) > 2
    for level in ("L1-L2", "L5-S1", "L3-L4"):
        click_row(host, row_of(host, level))
        disc = case.result.disc(level)
        assert viewed(case) == case.result.slice_of(disc)
        index, mask = case.drawn_slice(level), case.drawn_mask(level)
        assert index == case.result.slice_of(disc)
        np.testing.assert_array_equal(mask, case.result.label_slice == disc.label_value)
    assert case.drawn_levels() == ()


def test_the_slice_of_a_disc_stays_where_the_layout_is_fitted_anew(host: Any, case: Any) -> None:
    panel = host.widget.panel
    host.wait_until(lambda: not panel._fit_soon.active)
    click_row(host, row_of(host, "L5-S1"))
    own = case.result.slice_of(case.result.disc("L5-S1"))
    assert viewed(case) == own != case.result.slice_index
    host.click(host.ui.largeImageButton)
    host.wait_until(lambda: not panel._fit_soon.active)
    assert viewed(case) == own


def test_discs_of_other_slices_are_outlined_on_the_slice_that_is_shown(host: Any, case: Any) -> None:
    def drawn(level: str) -> int:
        """Count the pixels around a disc's contour on which something is drawn that belongs to no node."""
        mask = case.result.label_slice == case.result.disc(level).label_value
        rows, columns = np.nonzero(mask & ~binary_erosion(mask, iterations=2))
        to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(yellow.mrmlSliceNode().GetXYToRAS()))
        shown = case.result.slice_index if viewed(case) is None else viewed(case)
        lps = np.array([case.result.volume.lps_mm(shown, r, c) for r, c in zip(rows, columns, strict=True)])
        x, y, *_ = np.round(to_xy @ np.column_stack([lps * (-1, -1, 1), np.ones(len(lps))]).T).astype(int)
        changed = (with_outlines != without).any(axis=2)
        return int(changed[with_outlines.shape[0] - 1 - y, x].sum())

    yellow = host.app.layoutManager().sliceWidget("Yellow")
    panel = host.widget.panel
    host.wait_until(lambda: not panel._fit_soon.active)
    assert viewed(case) == case.result.slice_index
    with_outlines = yellow.picture(600, 600)
    panel.on_image.clear()
    without = yellow.picture(600, 600)
    levels = {level: case.result.slice_of(case.result.disc(level)) for level in ("L1-L2", "L5-S1", "L4-L5")}
    apart = {level: index for level, index in levels.items() if index != viewed(case)}
    assert apart
    for level, index in levels.items():
        assert (drawn(level) > 20) == (index != viewed(case)), level


def test_the_viewed_slice_is_used_for_one_disc_and_undone(host: Any, case: Any) -> None:
    from LumbarDiscGradingLib.scene.viewed_slice import show_slice

    click_row(host, row_of(host, "L3-L4"))
    own = case.result.slice_of(case.result.disc("L3-L4"))
    host.click(host.ui.useSliceButton)
    assert "Go to the slice" in host.ui.statusLabel.text
    show_slice(case.volumeNode, case.result.volume, own + 1)
    host.click(host.ui.useSliceButton)
    finish(host)
    disc = case.result.disc("L3-L4")
    assert case.result.slice_of(disc) == own + 1
    assert "chosen by reader" in disc.changes[0]
    assert case.drawn_levels() == ()
    assert {d.level: case.result.slice_of(d) for d in case.result.discs}["L5-S1"] != own + 1
    host.click(host.ui.undoButton)
    assert case.result.slice_of(case.result.disc("L3-L4")) == own
    assert case.corrections == ()
