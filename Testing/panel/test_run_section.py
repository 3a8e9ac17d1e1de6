"""The section Run: what the progress bar says while work goes on beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from LumbarDiscGradingLib.models.store import default_model_names

pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)
LIMIT_S = 60


@pytest.fixture
def host(started: Any) -> Iterator[Any]:
    started.core.clear()
    started.forget_violations()
    started.open()
    yield started
    started.close_panel()
    assert started.violations() == []


class StageThatPasses(str):
    """The name of a stage that is over as soon as someone has read a part of it."""

    def __new__(cls, name: str, go_on: threading.Event, gone_on: threading.Event) -> StageThatPasses:
        stage = super().__new__(cls, name)
        stage.go_on, stage.gone_on = go_on, gone_on
        return stage

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.go_on.set()
        assert self.gone_on.wait(LIMIT_S)
        return part


def words_of(text: str) -> str:
    """Return what the bar says before the percentage."""
    return text.rpartition("(")[0].strip()


def shown_for(host: Any, stages: list[str]) -> list[str]:
    """Return what the bar says during each stage of a piece of work."""
    section, shown = host.widget.panel.run, []
    told, looked = threading.Event(), threading.Event()

    def work(progress: Any) -> None:
        for stage in stages:
            progress(stage)
            looked.clear()
            told.set()
            looked.wait(LIMIT_S)

    section.run(work, lambda run: None)
    for _ in stages:
        assert told.wait(LIMIT_S)
        told.clear()
        section.poll()
        shown.append(host.ui.progressBar.text)
        looked.set()
    host.wait_until(lambda: section.idle)
    return shown


def test_the_bar_never_mixes_the_names_of_two_stages(host: Any) -> None:
    begun, go_on, gone_on, end = (threading.Event() for _ in range(4))
    section, shown = host.widget.panel.run, []

    def work(progress: Any) -> None:
        progress(StageThatPasses("prepare", go_on, gone_on))
        begun.set()
        go_on.wait(LIMIT_S)
        progress("segment")
        gone_on.set()
        end.wait(LIMIT_S)

    section.run(work, lambda run: None)
    shown.append(host.ui.progressBar.text)
    assert begun.wait(LIMIT_S)
    section.poll()
    shown.append(host.ui.progressBar.text)
    go_on.set()
    assert gone_on.wait(LIMIT_S)
    section.poll()
    shown.append(host.ui.progressBar.text)
    end.set()
    host.wait_until(lambda: section.idle)
    alone = [words_of(text) for text in shown_for(host, ["prepare", "segment"])]
    seen = [words_of(text) for text in shown]
    assert seen[-1] == alone[1]
    assert set(seen) <= {"", *alone}


class Pieces:
    """A series of pieces of work, each with what is done with its value."""

    def __init__(self, section: Any, *done: Any) -> None:
        self.section, self.left, self.count = section, list(done), len(done)
        self.failures: list[str] = []

    @property
    def place(self) -> tuple[int, int]:
        return max(self.count - len(self.left), 1), self.count

    def go_on(self) -> None:
        if self.left:
            self.section.run(lambda progress: progress("segment"), self.left.pop(0))
        else:
            self.section.end_series()

    def failed(self, why: str) -> None:
        self.failures.append(why)

    def canceled(self) -> str:
        return f"{len(self.left)} are left."


def test_what_goes_wrong_in_one_piece_does_not_hold_up_the_series(host: Any) -> None:
    from LumbarDiscGradingLib.imaging.volume import ImagingError

    section, done = host.widget.panel.run, []

    def refuse(value: Any) -> None:
        raise ImagingError("The volume was changed.")

    def fail(value: Any) -> None:
        raise RuntimeError("a fault of the program")

    pieces = Pieces(section, refuse, fail, lambda value: done.append(value))
    section.run_series(pieces)
    host.wait_until(lambda: not section.running)
    assert pieces.failures == ["The volume was changed."]
    assert done == [None]
    assert any("a fault of the program" in text for text in host.violations())
    host.forget_violations()
    assert host.ui.gradeDiscsButton.text == "Grade Discs"
    assert not host.ui.progressBar.visible


def test_a_series_that_is_canceled_ends_with_what_it_has_to_tell(host: Any) -> None:
    section, going = host.widget.panel.run, threading.Event()
    pieces = Pieces(section, lambda value: going.set(), lambda value: None, lambda value: None)
    section.run_series(pieces)
    host.wait_until(going.is_set)
    host.click(host.ui.gradeDiscsButton)
    assert not section.running
    host.wait_until(lambda: section.idle)
    assert host.ui.statusLabel.text == f"Canceled. {len(pieces.left)} are left."
    assert pieces.left


@needs_models
def test_every_stage_of_a_grading_is_told_in_words_of_its_own(host: Any) -> None:
    from LumbarDiscGradingLib.grading.grader import DiscGrader
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

    told: list[str] = []
    grader = DiscGrader("cpu")
    result = grader.grade(lumbar_phantom().volume, progress=told.append)
    grader.evidence(result, progress=told.append)
    stages = ["make the sample", "prepare", "load the networks", *dict.fromkeys(told)]
    shown = shown_for(host, stages)
    words = [words_of(text) for text in shown]
    assert len(set(words)) == len(stages)
    assert not {word.lower() for word in words} & set(stages)  # no inner names
    assert all(text.endswith("%)") and "%p" not in text for text in shown)
