"""`AgreementChart`: agreement by disc level as a Slicer plot, kappa or Dice with its interval."""

from __future__ import annotations

from typing import Any

from ...annotation.agreement.agreement import COLOR, Pair, axis_start
from ..nodes import nodes_of_class

PLACE, LEVEL, VALUE, INTERVAL = "Place", "Level", "Value", "Interval"
"""Columns of the table. Each level has three rows: its value, both ends of its interval, and a gap."""


class AgreementChart:
    """Table, series and chart of one pair of readers in the MRML scene; nothing of it is saved with the scene.

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

    def write(self, pair: Pair, readers: str) -> None:
        """Write the agreement of a pair of readers; what was written before is replaced.

        Parameters
        ----------
        pair : sequence of GradeAgreement or MaskAgreement
            Drawn as their ``interval``.
        readers : str
            Who, for the title.
        """
        if not self.is_alive():
            self._add_nodes()
        self._write_table(pair)
        what = pair[0].MEASURE
        chart, modified = self.chartNode, self.chartNode.StartModify()
        chart.SetTitle(f"{what}: {readers}")
        chart.SetXAxisTitle(", ".join(f"{n} {found.level}" for n, found in enumerate(pair)))
        chart.SetYAxisTitle(what.split(",")[0])
        chart.SetXAxisRangeAuto(False)
        chart.SetXAxisRange(-0.5, len(pair) - 0.5)
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(axis_start(pair), 1.05)
        chart.EndModify(modified)

    def show(self) -> None:
        """Show the chart in a layout with a plot view."""
        import slicer

        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None and self._former_layout is None:
            self._former_layout = layout.GetViewArrangement()
            layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView)
            self._taken_layout = layout.GetViewArrangement()
        for selection in nodes_of_class(self.scene, "vtkMRMLSelectionNode"):
            selection.SetActivePlotChartID(self.chartNode.GetID())
        for view in nodes_of_class(self.scene, "vtkMRMLPlotViewNode"):
            view.SetPlotChartNodeID(self.chartNode.GetID())

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

    def _write_table(self, pair: Pair) -> None:
        import vtk

        table, nan = vtk.vtkTable(), float("nan")
        levels = vtk.vtkStringArray()
        levels.SetName(LEVEL)
        columns = {}
        for name in (PLACE, VALUE, INTERVAL):
            columns[name] = vtk.vtkDoubleArray()
            columns[name].SetName(name)
        for place, found in enumerate(pair):
            value, low, high = found.interval
            for shown, end in ((value, low), (nan, high), (nan, nan)):
                levels.InsertNextValue(found.level)
                for name, number in ((PLACE, float(place)), (VALUE, shown), (INTERVAL, end)):
                    columns[name].InsertNextValue(number)
        for column in (columns[PLACE], levels, columns[VALUE], columns[INTERVAL]):
            table.AddColumn(column)
        self.tableNode.SetAndObserveTable(table)
