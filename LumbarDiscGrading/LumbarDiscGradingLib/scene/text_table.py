"""Rows of text cells in a table node, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def write_text_table(tableNode: Any, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Let a table node hold these rows and nothing else, locked against typing.

    Parameters
    ----------
    tableNode : vtkMRMLTableNode
    columns : sequence of str
    rows : sequence of mapping
        Each has a cell for every column.
    """
    import vtk

    table = vtk.vtkTable()
    for name in columns:
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row[name])
        table.AddColumn(column)
    tableNode.SetAndObserveTable(table)
    tableNode.SetUseColumnTitleAsColumnHeader(True)
    tableNode.SetLocked(True)


def read_text_table(tableNode: Any, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table node; a cell of a column that it lacks is empty."""
    table = tableNode.GetTable()
    there = {name for name in columns if table.GetColumnByName(name) is not None}
    return [
        {name: table.GetValueByName(row, name).ToString() if name in there else "" for name in columns}
        for row in range(table.GetNumberOfRows())
    ]
