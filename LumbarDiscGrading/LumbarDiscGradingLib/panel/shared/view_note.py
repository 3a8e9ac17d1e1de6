"""A sentence on top of the slice views that show a volume: what is in doubt is said where the eyes are."""

from __future__ import annotations

import textwrap
from typing import Any

import slicer
import vtk

LINE_CHARACTERS = 60
FONT_SIZE_PX = 14
TOP = 0.98
"""Height of the text's upper edge, as a share of the view; Slicer's own annotation leaves the middle free."""
AMBER = (0.902, 0.624, 0.0)


class ViewNote:
    """Shows a text in slice views."""

    def __init__(self) -> None:
        self._shown: list[tuple[Any, Any, Any]] = []
        self.text = ""

    def show(self, text: str, volumeNode: Any) -> None:
        """Show a text in the views that show a volume, or none with an empty text."""
        views = _views_of(volumeNode) if text and volumeNode is not None else []
        if text == self.text and views == [view for view, _, _ in self._shown]:
            return
        self.clear()
        self.text = text
        for view in views:
            self._add(view, text)

    def clear(self) -> None:
        """Take the text out of the views."""
        for view, renderer, actor in self._shown:
            renderer.RemoveViewProp(actor)
            view.scheduleRender()
        self._shown, self.text = [], ""

    def _add(self, view: Any, text: str) -> None:
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if renderer is None:
            return
        actor = vtk.vtkTextActor()
        actor.SetInput(textwrap.fill(text, LINE_CHARACTERS))
        style = actor.GetTextProperty()
        style.SetFontSize(FONT_SIZE_PX)
        style.SetColor(*AMBER)
        style.SetBackgroundColor(0, 0, 0)
        style.SetBackgroundOpacity(0.6)
        style.SetJustificationToCentered()
        style.SetVerticalJustificationToTop()
        actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
        actor.SetPosition(0.5, TOP)
        renderer.AddViewProp(actor)
        self._shown.append((view, renderer, actor))
        view.scheduleRender()


def _views_of(volumeNode: Any) -> list[Any]:
    """Return the slice views that show a volume."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()] if manager is not None else []
    return [widget.sliceView() for widget in widgets if _background(widget) == volumeNode.GetID()]


def _background(widget: Any) -> str | None:
    composite = widget.mrmlSliceCompositeNode()
    return composite.GetBackgroundVolumeID() if composite is not None else None
