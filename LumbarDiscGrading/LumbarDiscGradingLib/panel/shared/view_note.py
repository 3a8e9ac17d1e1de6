"""A sentence over the slice views that show a volume: what has to be known is said where the eyes are."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import slicer
import vtk

from .text_size import text_box

LINE_CHARACTERS = 60
FONT_SIZE_PX = 14
TOP, BOTTOM = 0.98, 0.02
"""Heights of a text's outer edge, as a share of the view; Slicer's own annotation leaves the middle free."""
AMBER = (0.902, 0.624, 0.0)
BEFORE_SLICER = 10.0
"""Priority of an observer that is called before those of the view."""


class ViewNote:
    """Shows a text in slice views.

    Parameters
    ----------
    at_bottom : bool
        Below the image instead of above it.
    clicked : callable, optional
        Called when the text is clicked; that click does nothing else in the view.
    """

    def __init__(self, at_bottom: bool = False, clicked: Callable[[], None] | None = None) -> None:
        self._at_bottom, self._clicked = at_bottom, clicked
        self._shown: list[_Note] = []
        self.text = ""

    def show(self, text: str, volumeNode: Any, only: str | None = None) -> None:
        """Show a text in the views that show a volume, or in `only` that one of them; none with an empty text."""
        views = _views_of(volumeNode, only) if text and volumeNode is not None else []
        if text == self.text and views == [note.view for note in self._shown]:
            return
        self.clear()
        self.text = text
        self._shown = [_Note(view, text, self._at_bottom, self._clicked) for view in views]

    def clear(self) -> None:
        """Take the text out of the views."""
        for note in self._shown:
            note.close()
        self._shown, self.text = [], ""


class _Note:
    """A text in one view."""

    def __init__(self, view: Any, text: str, at_bottom: bool, clicked: Callable[[], None] | None) -> None:
        self.view, self._clicked = view, clicked
        self._renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        self._actor = _text_actor(text, at_bottom)
        self._renderer.AddViewProp(self._actor)
        self._interactor, self._tag = view.renderWindow().GetInteractor(), None
        if clicked is not None:
            self._tag = self._interactor.AddObserver("LeftButtonPressEvent", self._pressed, BEFORE_SLICER)
        view.scheduleRender()

    def close(self) -> None:
        self._renderer.RemoveViewProp(self._actor)
        if self._tag is not None:
            self._interactor.RemoveObserver(self._tag)
        self.view.scheduleRender()

    def _pressed(self, interactor: Any, event: str) -> None:
        box = text_box(self._actor, self._renderer)
        left, bottom = self._actor.GetPositionCoordinate().GetComputedDisplayValue(self._renderer)
        x, y = interactor.GetEventPosition()
        if box[0] <= x - left <= box[1] and box[2] <= y - bottom <= box[3]:
            self._stop(interactor)
            self._clicked()

    def _stop(self, interactor: Any) -> None:
        """Let nothing else in the view hear of this click."""
        command = interactor.GetCommand(self._tag) if self._tag is not None else None
        if command is not None:
            command.AbortFlagOn()


def _text_actor(text: str, at_bottom: bool) -> Any:
    actor = vtk.vtkTextActor()
    actor.SetInput(textwrap.fill(text, LINE_CHARACTERS))
    style = actor.GetTextProperty()
    style.SetFontSize(FONT_SIZE_PX)
    style.SetColor(*AMBER)
    style.SetBackgroundColor(0, 0, 0)
    style.SetBackgroundOpacity(0.6)
    style.SetJustificationToCentered()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    if at_bottom:
        style.SetVerticalJustificationToBottom()
        actor.SetPosition(0.5, BOTTOM)
    else:
        style.SetVerticalJustificationToTop()
        actor.SetPosition(0.5, TOP)
    return actor


def _views_of(volumeNode: Any, only: str | None) -> list[Any]:
    """Return the slice views that show a volume and have something to draw on, or the one of a name."""
    manager = slicer.app.layoutManager()
    names = [name for name in manager.sliceViewNames() if only in (None, name)] if manager is not None else []
    views = [
        widget.sliceView() for widget in map(manager.sliceWidget, names) if _background(widget) == volumeNode.GetID()
    ]
    return [view for view in views if view.renderWindow().GetRenderers().GetFirstRenderer() is not None]


def _background(widget: Any) -> str | None:
    composite = widget.mrmlSliceCompositeNode()
    return composite.GetBackgroundVolumeID() if composite is not None else None
