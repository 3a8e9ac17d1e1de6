"""Names beside the discs in the slice views: where they stand, what they say, and that they are never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from panel_acts import grade

from LumbarDiscGradingLib.grading.corrections import GradeSet, NotAssessable, corrected
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
SIZE = (700, 800)


@pytest.fixture
def view(host: Any) -> Any:
    """The sagittal view, as large as in a window."""
    widget = host.app.layoutManager().sliceWidget("Yellow")
    widget.picture(*SIZE)
    return widget


@pytest.fixture
def case(host: Any, view: Any, sample: Any) -> Any:
    from LumbarDiscGradingLib.scene.show import showGradedSlice

    node = grade(host, sample)
    case = host.widget.panel.case
    showGradedSlice(case.result, node)
    return case


@pytest.fixture
def names(host: Any) -> Iterator[Any]:
    from LumbarDiscGradingLib.panel.shared.disc_names import DiscNames

    names = DiscNames()
    yield names
    names.clear()


def shown_slice(case: Any) -> Any:
    from LumbarDiscGradingLib.panel.shared.disc_names import ShownSlice

    return ShownSlice.of(case.volumeNode, case.result.volume)


def marks_of(result: Any, *drawn: str) -> list[Any]:
    from LumbarDiscGradingLib.panel.grading.name_marks import name_marks

    return name_marks(result, drawn)


def actors(view: Any, ending: str = "") -> list[Any]:
    props = view.renderer.GetViewProps()
    found = [props.GetItemAsObject(n) for n in range(props.GetNumberOfItems())]
    return [actor for actor in found if actor.IsA("vtkTextActor") and actor.GetInput().startswith(ending)]


def place(actor: Any) -> tuple[int, int]:
    return tuple(round(value) for value in actor.GetPositionCoordinate().GetValue()[:2])


def test_each_disc_has_its_level_and_grade_in_its_color(case: Any) -> None:
    marks = {mark.level: mark for mark in marks_of(case.result)}
    for disc in case.result.discs:
        assert marks[disc.level].text.startswith(disc.level)
        assert marks[disc.level].color == tuple(value / 255 for value in disc.color)
    changed = corrected(case.result, [GradeSet("L4-L5", 5), NotAssessable("L3-L4")])
    texts = {mark.level: mark.text for mark in marks_of(changed, "L2-L3")}
    assert texts["L4-L5"] == "L4-L5  V *"
    assert texts["L3-L4"] == "L3-L4  - *"
    assert texts["L2-L3"] == "L2-L3  II !"


def test_a_missing_level_is_marked_where_it_should_be(case: Any, names: Any, view: Any) -> None:
    whole = case.result
    result = replace(whole, discs=tuple(d for d in whole.discs if d.level != "L3-L4"), missing_levels=("L3-L4",))
    mark = next(mark for mark in marks_of(result) if mark.missing)
    assert mark.text == "L3-L4?"
    assert np.linalg.norm(np.subtract(mark.place_lps_mm, whole.disc("L3-L4").center_lps_mm)) < 10
    names.show([mark], shown_slice(case))
    assert actors(view, "L3-L4?")[0].GetTextProperty().GetFrame()


def test_names_stand_in_front_of_their_discs_and_follow_the_view(case: Any, names: Any, view: Any) -> None:
    names.show(marks_of(case.result), shown_slice(case))
    before = {actor.GetInput(): place(actor) for actor in actors(view)}
    heights = [before[mark.text][1] for mark in marks_of(case.result)]
    assert heights == sorted(heights, reverse=True)
    node = view.mrmlSliceNode()
    node.SetFieldOfView(*(np.array(node.GetFieldOfView()) * (0.5, 0.5, 1)))
    after = {actor.GetInput(): place(actor) for actor in actors(view)}
    first, other = (mark.text for mark in marks_of(case.result) if mark.level in ("L1-L2", "L3-L4"))
    spread = [abs(places[first][1] - places[other][1]) for places in (before, after)]
    assert spread[1] == pytest.approx(2 * spread[0], abs=3)


def test_on_another_slice_and_in_other_planes_there_are_no_names(host: Any, case: Any, names: Any, view: Any) -> None:
    names.show(marks_of(case.result), shown_slice(case))
    assert all(actor.GetVisibility() for actor in actors(view, "L"))
    node = view.mrmlSliceNode()
    node.SetSliceOffset(node.GetSliceOffset() + case.result.volume.spacing_mm[0])
    assert not any(actor.GetVisibility() for actor in actors(view, "L"))
    axial = host.app.layoutManager().sliceWidget("Red")
    assert not any(actor.GetVisibility() for actor in actors(axial, "L"))


def test_the_chosen_discs_name_is_marked(case: Any, names: Any, view: Any) -> None:
    for level in ("L4-L5", "L2-L3"):
        names.show(marks_of(case.result), shown_slice(case), level)
        framed = [actor.GetInput()[:5] for actor in actors(view, "L") if actor.GetTextProperty().GetFrame()]
        assert framed == [level]


def test_a_name_stays_inside_a_narrow_view(case: Any, names: Any, view: Any) -> None:
    node = view.mrmlSliceNode()
    names.show(marks_of(case.result), shown_slice(case))
    x, y, z = case.result.disc("L4-L5").center_lps_mm
    node.SetFieldOfView(*(np.array(node.GetFieldOfView()) * (0.1, 0.1, 1)))
    node.JumpSliceByCentering(-x, -y, z)
    from LumbarDiscGradingLib.panel.shared.text_size import text_box

    actor = actors(view, "L4-L5")[0]
    left, _, _, _ = text_box(actor, view.renderer)
    assert place(actor)[0] + left >= 0


def test_names_are_gone_when_they_are_cleared(case: Any, names: Any, view: Any) -> None:
    before = len(actors(view))
    names.show(marks_of(case.result), shown_slice(case))
    assert len(actors(view)) > before
    names.clear()
    assert len(actors(view)) == before
    view.mrmlSliceNode().SetSliceOffset(3.0)  # nothing listens any more


def test_a_click_on_a_note_is_told_and_goes_no_further(host: Any, case: Any, view: Any) -> None:
    from LumbarDiscGradingLib.panel.shared.view_note import ViewNote

    told, heard = [], []
    interactor = view.GetInteractor()
    tag = interactor.AddObserver("LeftButtonPressEvent", lambda *_: heard.append("view"))
    note = ViewNote(at_bottom=True, clicked=lambda: told.append("note"))
    note.show("Graded on slice 5: click here to go back.", case.volumeNode, "Yellow")
    view.picture(*SIZE)
    try:
        for x, y in ((SIZE[0] // 2, 22), (SIZE[0] // 2, SIZE[1] // 2)):
            interactor.SetEventInformation(x, y)
            interactor.InvokeEvent("LeftButtonPressEvent")
        assert (told, heard) == (["note"], ["view"])
    finally:
        interactor.RemoveObserver(tag)
        note.clear()
    interactor.SetEventInformation(SIZE[0] // 2, 22)
    interactor.InvokeEvent("LeftButtonPressEvent")
    assert told == ["note"]


def test_the_page_is_one_pdf_page(host: Any, case: Any, tmp_path: Any) -> None:
    from LumbarDiscGradingLib.panel.grading.report_page import save_report_page

    long = replace(case.result, warnings=tuple(f"Doubt number {n}: {'word ' * 20}" for n in range(40)))
    for name, result in (("short", case.result), ("long", long)):
        path = tmp_path / f"{name}.pdf"
        save_report_page(result, "3: t2_tse_sag", path)
        data = path.read_bytes()
        assert data.startswith(b"%PDF-")
        assert data.count(b"/Type /Page\n") == 1
    with pytest.raises(OSError):
        save_report_page(case.result, "T2", tmp_path / "missing" / "page.pdf")
