"""The table of all: one row for each disc of all volumes that were graded together, with its volume's name first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..cohort.rows import disc_rows
from ..cohort.tables import COHORT_COLUMNS
from ..grading.result import GradingResult
from ..research_use import RESEARCH_USE
from .nodes import TAG_PREFIX, nodes_of_class
from .text_table import read_text_table, write_text_table

NAME = "Grades of all volumes"
TABLE_ATTRIBUTE = TAG_PREFIX + "TableOfAll"
"""Attribute of the table node, by which it is known."""
TABLE_OF_ALL_ROLE = TAG_PREFIX + "tableOfAll"
"""Node reference from the segmentation of a result to the table of all in which its rows are."""
IDENTIFIER_ATTRIBUTE = TAG_PREFIX + "Identifier"
"""Attribute of that segmentation: what its rows are called there."""


def table_of_all(scene: Any) -> Any:
    """Return the scene's table of all, None if there is none."""
    return next(
        (node for node in nodes_of_class(scene, "vtkMRMLTableNode") if node.GetAttribute(TABLE_ATTRIBUTE)), None
    )


def write_table_of_all(scene: Any, results: Iterable[tuple[Any, str, Sequence[dict[str, str]]]]) -> Any:
    """Write the table of all anew, into the node that the scene has or a new one; its rows follow their results.

    Parameters
    ----------
    scene : vtkMRMLScene
    results : iterable of (vtkMRMLSegmentationNode, str, sequence of dict)
        The segmentation of each result, the name of its volume, and its rows as `cohort.rows.disc_rows` gives them.
        Where volumes have the same name, numbers tell them apart.

    Returns
    -------
    vtkMRMLTableNode
    """
    table = table_of_all(scene)
    if table is None:
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(NAME))
        table.SetAttribute(TABLE_ATTRIBUTE, "true")
        table.SetDescription(RESEARCH_USE)
    for node in nodes_of_class(scene, "vtkMRMLSegmentationNode"):
        if node.GetNodeReference(TABLE_OF_ALL_ROLE) is table:
            node.RemoveNodeReferenceIDs(TABLE_OF_ALL_ROLE)
            node.RemoveAttribute(IDENTIFIER_ATTRIBUTE)
    taken: set[str] = set()
    written: list[dict[str, str]] = []
    for segmentation, name, rows in results:
        identifier = _free(name, taken)
        taken.add(identifier.casefold())
        segmentation.SetNodeReferenceID(TABLE_OF_ALL_ROLE, table.GetID())
        segmentation.SetAttribute(IDENTIFIER_ATTRIBUTE, identifier)
        written += [row | {"identifier": identifier} for row in rows]
    write_text_table(table, COHORT_COLUMNS, written)
    return table


def follow_in_table_of_all(segmentationNode: Any, result: GradingResult) -> None:
    """Write the rows of a result anew where a table of all has it: a correction counts there too."""
    table = segmentationNode.GetNodeReference(TABLE_OF_ALL_ROLE)
    identifier = segmentationNode.GetAttribute(IDENTIFIER_ATTRIBUTE)
    if table is None or not identifier:
        return
    rows = read_text_table(table, COHORT_COLUMNS)
    places = [place for place, row in enumerate(rows) if row["identifier"] == identifier]
    first = places[0] if places else len(rows)
    others = [row for row in rows if row["identifier"] != identifier]
    rows = [*others[:first], *disc_rows(identifier, result), *others[first:]]
    write_text_table(table, COHORT_COLUMNS, rows)


def show_table(table: Any) -> None:
    """Show a table in the table views that there are."""
    scene = table.GetScene()
    for selection in nodes_of_class(scene, "vtkMRMLSelectionNode"):
        selection.SetActiveTableID(table.GetID())
    for view in nodes_of_class(scene, "vtkMRMLTableViewNode"):
        view.SetTableNodeID(table.GetID())


def _free(name: str, taken: set[str]) -> str:
    identifier, number = name, 1
    while identifier.casefold() in taken:
        number += 1
        identifier = f"{name} ({number})"
    return identifier
