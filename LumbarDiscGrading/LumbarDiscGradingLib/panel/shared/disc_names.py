"""Names on the image: level and grade beside each disc in the slice views, and the outline of one on another slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.util import arrayFromVTKMatrix

from ...imaging.volume import SagittalVolume
from .text_size import text_box

FONT_SIZE_PX = 17
GAP_PX = 8
"""Between a name and its disc."""
EDGE_PX = 4
"""A name that would leave the view at the front stays so far inside, over the disc's front edge at worst."""
WHITE = (0.92, 0.92, 0.92)
LEAST_ALIGNMENT = 0.9
"""Cosine of the angle between a view's plane and the slice's up to which both show the same."""


Point = tuple[float, float, float]
Line = tuple[Point, Point]


@dataclass(frozen=True)
class NameMark:
    """What stands beside a disc, or where one is missing.

    Attributes
    ----------
    level : str
    text : str
    color : tuple of float
        RGB, 0 to 1.
    place_lps_mm : tuple of float
        Front end of the disc, or the middle of the place where it is missing.
    missing : bool
        The level was not found: its name is framed and stands in its place.
    outline_lps_mm : tuple of pairs of points
        Lines around a disc, drawn thin where the view shows another slice than the disc's.
    """

    level: str
    text: str
    color: tuple[float, float, float]
    place_lps_mm: tuple[float, float, float]
    missing: bool = False
    outline_lps_mm: tuple[Line, ...] = ()


@dataclass(frozen=True)
class ShownSlice:
    """The slices on which the discs lie.

    Attributes
    ----------
    volumeNode : vtkMRMLScalarVolumeNode
    normal_lps : tuple of float
        Unit vector.
    thickness_mm : float
        Of all slices together.
    slice_mm : float
        Distance to the next slice.
    """

    volumeNode: Any
    normal_lps: tuple[float, float, float]
    thickness_mm: float
    slice_mm: float

    @classmethod
    def of(cls, volumeNode: Any, volume: SagittalVolume, slices: int = 1) -> ShownSlice:
        """Return a sagittal slice of a volume, as thick as so many of its slices."""
        step = volume.index_to_lps[:3, 0]
        thickness = float(np.linalg.norm(step))
        x, y, z = (step / thickness).tolist()
        return cls(volumeNode, (x, y, z), slices * thickness, thickness)


class DiscNames:
    """Draws names, and outlines, over the slice views and keeps them where their discs are seen.

    They are no nodes and take no clicks: they cannot be moved, saved or picked by accident.
    """

    def __init__(self) -> None:
        self._marks: tuple[NameMark, ...] = ()
        self._slice: ShownSlice | None = None
        self._chosen: str | None = None
        self._views: list[_NamesOfView] = []

    def show(self, marks: Sequence[NameMark], shown: ShownSlice | None, chosen: str | None = None) -> None:
        """Show names in the views of a volume, that of the chosen level marked; without marks none."""
        wanted = tuple(marks) if shown is not None else ()
        views = _views_of(shown.volumeNode) if wanted else []
        same = views == [names.widget for names in self._views]
        if (wanted, shown, chosen) == (self._marks, self._slice, self._chosen) and same:
            return
        if not same or wanted != self._marks or shown != self._slice:
            self.clear()
            self._views = [_NamesOfView(widget, wanted, shown) for widget in views]
        self._marks, self._slice, self._chosen = wanted, shown, chosen
        for names in self._views:
            names.choose(chosen)

    def clear(self) -> None:
        """Take all names out of the views."""
        for names in self._views:
            names.close()
        self._views, self._marks, self._slice, self._chosen = [], (), None, None


class _NamesOfView:
    """The names in one slice view."""

    def __init__(self, widget: Any, marks: Sequence[NameMark], shown: ShownSlice) -> None:
        self.widget, self.view = widget, widget.sliceView()
        self._node, self._shown = widget.mrmlSliceNode(), shown
        self._renderer = self.view.renderWindow().GetRenderers().GetFirstRenderer()
        self._actors = [(mark, _text_actor(mark)) for mark in marks]
        self._outlines = [(mark, _outline_actor(mark)) for mark in marks if mark.outline_lps_mm]
        for _, actor in (*self._actors, *self._outlines):
            self._renderer.AddViewProp(actor)
        self._tag = self._node.AddObserver("ModifiedEvent", self._place)
        self._place()

    def choose(self, level: str | None) -> None:
        for mark, actor in self._actors:
            style, is_chosen = actor.GetTextProperty(), mark.level == level
            style.SetBold(is_chosen)
            style.SetFrame(is_chosen or mark.missing)
            style.SetFrameWidth(2 if is_chosen else 1)
        self.view.scheduleRender()

    def close(self) -> None:
        self._node.RemoveObserver(self._tag)
        for _, actor in (*self._actors, *self._outlines):
            self._renderer.RemoveViewProp(actor)
        self.view.scheduleRender()

    def _place(self, *_: Any) -> None:
        """Put each name where its disc is seen now; where the view shows a slice far from all discs there are none."""
        to_ras = arrayFromVTKMatrix(self._node.GetXYToRAS())
        try:
            to_xy = np.linalg.inv(to_ras)
        except np.linalg.LinAlgError:  # a view that has no size yet
            return
        normal = to_ras[:3, 2] / np.linalg.norm(to_ras[:3, 2])
        aligned = abs(float(normal @ (np.array(self._shown.normal_lps) * (-1, -1, 1)))) >= LEAST_ALIGNMENT
        for mark, actor in self._actors:
            x, y, z = mark.place_lps_mm
            ras = np.array([-x, -y, z, 1.0])
            column, row, _, _ = to_xy @ ras
            beside_mm = abs(float(normal @ (ras[:3] - to_ras[:3, 3])))
            actor.SetVisibility(aligned and beside_mm <= self._shown.thickness_mm / 2 + 0.01)
            actor.SetDisplayPosition(*self._kept_inside(actor, mark, column, row))

        for mark, actor in self._outlines:
            points = np.array(mark.outline_lps_mm).reshape(-1, 3) * (-1, -1, 1)
            beside_mm = abs(float(normal @ (points[0] - to_ras[:3, 3])))
            reach_mm = self._shown.thickness_mm / 2 + 0.01
            actor.SetVisibility(aligned and self._shown.slice_mm / 2 < beside_mm <= reach_mm)
            on_view = np.column_stack([points, np.ones(len(points))]) @ to_xy.T
            line_ends = actor.GetMapper().GetInput().GetPoints()
            for n, (column, row) in enumerate(on_view[:, :2]):
                line_ends.SetPoint(n, column, row, 0.0)
            line_ends.Modified()

    def _kept_inside(self, actor: Any, mark: NameMark, column: float, row: float) -> tuple[int, int]:
        if mark.missing:
            return round(column), round(row)
        left, right, _, _ = text_box(actor, self._renderer)
        return round(max(column - GAP_PX, right - left + EDGE_PX)), round(row)


def _text_actor(mark: NameMark) -> Any:
    actor = vtk.vtkTextActor()
    actor.SetInput(mark.text)
    actor.PickableOff()
    style = actor.GetTextProperty()
    style.SetFontSize(FONT_SIZE_PX)
    style.SetColor(*mark.color)
    style.SetFrameColor(*mark.color)
    style.SetBackgroundColor(0, 0, 0)
    style.SetBackgroundOpacity(0.8)
    style.SetVerticalJustificationToCentered()
    if mark.missing:
        style.SetJustificationToCentered()
        style.ItalicOn()
    else:
        style.SetJustificationToRight()
    return actor


def _outline_actor(mark: NameMark) -> Any:
    lines, points = vtk.vtkCellArray(), vtk.vtkPoints()
    points.SetNumberOfPoints(2 * len(mark.outline_lps_mm))
    for n in range(len(mark.outline_lps_mm)):
        lines.InsertNextCell(2)
        lines.InsertCellPoint(2 * n)
        lines.InsertCellPoint(2 * n + 1)
    drawing = vtk.vtkPolyData()
    drawing.SetPoints(points)
    drawing.SetLines(lines)
    mapper = vtk.vtkPolyDataMapper2D()
    mapper.SetInputData(drawing)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.PickableOff()
    actor.GetProperty().SetColor(*mark.color)
    actor.GetProperty().SetLineWidth(1.0)
    return actor


def _views_of(volumeNode: Any) -> list[Any]:
    """Return the widgets of the slice views that show a volume and have something to draw on."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()] if manager is not None else []
    return [widget for widget in widgets if _shows(widget, volumeNode)]


def _shows(widget: Any, volumeNode: Any) -> bool:
    composite = widget.mrmlSliceCompositeNode()
    if composite is None or composite.GetBackgroundVolumeID() != volumeNode.GetID():
        return False
    return widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer() is not None
