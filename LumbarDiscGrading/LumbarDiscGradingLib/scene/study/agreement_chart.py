"""`AgreementChart`: agreement by disc level as a Slicer plot, kappa or Dice with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...annotation.agreement.agreement import ALL_LEVELS, GradeAgreement, MaskAgreement

PLACE, LEVEL, VALUE, INTERVAL = "Place", "Level", "Value", "Interval"
"""Columns of the table. Each level has three rows: its value, both ends of its interval, and a gap."""
COLOR = (0, 114, 178)
"""RGB, 0-255: blue of Okabe and Ito's palette, which no group has."""


class AgreementChart:
    """Table, series and chart of one pair of readers in the MRML scene; nothing of it is saved with the scene.

    Parameters
    ----------
    scene : vtkMRMLScene

    Attributes
    ----------
    tableNode, chartNode
        vtkMRMLTableNode and vtkMRMLPlotChartNode; None before the first `write`.
    seriesNodes : tuple
        vtkMRMLPlotSeriesNode of the values and of their intervals.

    Examples
    --------
    >>> chart = AgreementChart(slicer.mrmlScene)  # doctest: +SKIP
    >>> chart.write(pair, "carl and dora")  # doctest: +SKIP
    >>> chart.show()  # doctest: +SKIP
    """

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.tableNode: Any = None
        self.chartNode: Any = None
        self.seriesNodes: tuple[Any, ...] = ()
        self._former_layout: int | None = None
        self._taken_layout: int | None = None

    def write(self, pair: Sequence[GradeAgreement] | Sequence[MaskAgreement], readers: str) -> None:
        """Write the agreement of a pair of readers; what was written before is replaced.

        Parameters
        ----------
        pair : sequence of GradeAgreement or MaskAgreement
            All levels together, then each level. Grades are drawn as quadratic weighted kappa with its 95% interval,
            masks as the median of Dice with its quartiles.
        readers : str
            Who, for the title.
        """
        if not self.is_alive():
            self._add_nodes()
        points = [_point(found) for found in pair]
        self._write_table(points)
        is_grades = isinstance(pair[0], GradeAgreement)
        what = "Quadratic weighted kappa, 95% interval" if is_grades else "Dice, median and quartiles"
        lows = [number for _, *numbers in points for number in numbers if math.isfinite(number)]
        bottom = math.floor(5 * min([0.0, *lows])) / 5
        chart, modified = self.chartNode, self.chartNode.StartModify()
        chart.SetTitle(f"{what}: {readers}")
        chart.SetXAxisTitle(", ".join(f"{n} {level}" for n, (level, *_) in enumerate(points)))
        chart.SetYAxisTitle(what.split(",")[0])
        chart.SetXAxisRangeAuto(False)
        chart.SetXAxisRange(-0.5, len(points) - 0.5)
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(bottom, 1.05)
        chart.EndModify(modified)

    def show(self) -> None:
        """Show the chart in a layout with a plot view."""
        import slicer

        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None and self._former_layout is None:
            self._former_layout = layout.GetViewArrangement()
            layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView)
            self._taken_layout = layout.GetViewArrangement()
        for n in range(self.scene.GetNumberOfNodesByClass("vtkMRMLSelectionNode")):
            self.scene.GetNthNodeByClass(n, "vtkMRMLSelectionNode").SetActivePlotChartID(self.chartNode.GetID())
        for n in range(self.scene.GetNumberOfNodesByClass("vtkMRMLPlotViewNode")):
            self.scene.GetNthNodeByClass(n, "vtkMRMLPlotViewNode").SetPlotChartNodeID(self.chartNode.GetID())

    def hide(self) -> None:
        """Show the layout of before, unless the user has chosen another meanwhile."""
        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        taken = layout is not None and layout.GetViewArrangement() == self._taken_layout
        if taken and self._former_layout is not None:
            layout.SetViewArrangement(self._former_layout)
        self._former_layout = None

    def is_alive(self) -> bool:
        """Whether all nodes are in the scene."""
        nodes = (self.tableNode, self.chartNode, *self.seriesNodes)
        return len(nodes) > 2 and all(node is not None and self.scene.IsNodePresent(node) for node in nodes)

    def remove(self) -> None:
        """Take the nodes out of the scene."""
        self.hide()
        for node in (self.chartNode, *self.seriesNodes, self.tableNode):
            if node is not None and self.scene.IsNodePresent(node):
                self.scene.RemoveNode(node)
        self.tableNode = self.chartNode = None
        self.seriesNodes = ()

    def _add_nodes(self) -> None:
        import slicer

        self.remove()
        kinds = slicer.vtkMRMLPlotSeriesNode
        self.tableNode = self._added("vtkMRMLTableNode", "Agreement")
        values = self._series("Value", VALUE)
        values.SetLineStyle(kinds.LineStyleNone)
        values.SetMarkerStyle(kinds.MarkerStyleCircle)
        values.SetMarkerSize(12)
        intervals = self._series("Interval", INTERVAL)
        intervals.SetLineStyle(kinds.LineStyleSolid)
        intervals.SetLineWidth(3)
        intervals.SetMarkerStyle(kinds.MarkerStyleNone)
        self.seriesNodes = (values, intervals)
        self.chartNode = self._added("vtkMRMLPlotChartNode", "Agreement")
        self.chartNode.SetLegendVisibility(False)
        for node in (intervals, values):  # values on top
            self.chartNode.AddAndObservePlotSeriesNodeID(node.GetID())

    def _series(self, name: str, column: str) -> Any:
        import slicer

        node = self._added("vtkMRMLPlotSeriesNode", f"Agreement {name.lower()}")
        node.SetAndObserveTableNodeID(self.tableNode.GetID())
        node.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        node.SetXColumnName(PLACE)
        node.SetYColumnName(column)
        node.SetLabelColumnName(LEVEL)
        node.SetColor(*(channel / 255 for channel in COLOR))
        return node

    def _added(self, class_name: str, name: str) -> Any:
        node = self.scene.AddNewNodeByClass(class_name, name)
        node.SetSaveWithScene(False)
        return node

    def _write_table(self, points: Sequence[tuple[str, float, float, float]]) -> None:
        import vtk

        table, nan = vtk.vtkTable(), float("nan")
        levels = vtk.vtkStringArray()
        levels.SetName(LEVEL)
        columns = {}
        for name in (PLACE, VALUE, INTERVAL):
            columns[name] = vtk.vtkDoubleArray()
            columns[name].SetName(name)
        for place, (level, value, low, high) in enumerate(points):
            for shown, end in ((value, low), (nan, high), (nan, nan)):
                levels.InsertNextValue(level)
                for name, number in ((PLACE, float(place)), (VALUE, shown), (INTERVAL, end)):
                    columns[name].InsertNextValue(number)
        for column in (columns[PLACE], levels, columns[VALUE], columns[INTERVAL]):
            table.AddColumn(column)
        self.tableNode.SetAndObserveTable(table)


def _point(found: GradeAgreement | MaskAgreement) -> tuple[str, float, float, float]:
    """Return level, value and both ends of the interval; NaN where they are not defined."""
    level = "all" if found.level == ALL_LEVELS else found.level
    if isinstance(found, GradeAgreement):
        kappa = found.kappa_quadratic
        return level, kappa.value, kappa.low, kappa.high
    return level, found.dice.median, found.dice.lower_quartile, found.dice.upper_quartile
