"""What stands beside each disc of a result on the image."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ...grading.missing_places import is_in_image, missing_places, slice_at
from ...grading.result import DiscGrade, GradingResult
from ...pfirrmann import ROMAN_GRADES
from ...report.text import is_barely_doubtful, possible_grades
from ..shared.disc_names import WHITE, Line, NameMark


def name_marks(result: GradingResult, drawn: tuple[str, ...] = (), drawing: str | None = None) -> list[NameMark]:
    """Return the names of a result's discs, and of the missing levels whose place is in the image.

    Parameters
    ----------
    result : GradingResult
    drawn : tuple of str
        Levels whose masks were drawn since they were graded: their grade is marked by an exclamation mark.
    drawing : str or None
        Missing level that is being drawn: nothing stands where the disc is drawn.
    """
    marks = [_mark(result, disc, disc.level in drawn) for disc in result.discs]
    return marks + [
        NameMark(level, f"{level}?", WHITE, _missing_place(result, place), missing=True)
        for level, place in missing_places(result).items()
        if level != drawing and is_in_image(result, place)
    ]


def _missing_place(result: GradingResult, place: tuple[float, float]) -> tuple[float, float, float]:
    return result.volume.lps_mm(slice_at(result, place), *place)


def _mark(result: GradingResult, disc: DiscGrade, is_drawn: bool) -> NameMark:
    rows, columns = np.nonzero(result.label_slice == disc.label_value)
    if columns.size:
        column = float(columns.min())
        row = float(rows[columns == columns.min()].mean())
    else:
        row, column = disc.center_row_column
    grade = (possible_grades(disc) or ROMAN_GRADES[disc.pfirrmann]) if disc.assessable else "-"
    doubt = ("?" if is_barely_doubtful(disc) else "") + ("!" if is_drawn else "")
    text = f"{disc.level}  {grade}{f' {doubt}' if doubt else ''}{' *' if disc.changes else ''}"
    red, green, blue = disc.color
    color = red / 255, green / 255, blue / 255
    outline = _outline(result, disc) if result.is_curved else ()
    place = result.volume.lps_mm(result.slice_of(disc), row, column)
    return NameMark(disc.level, text, color, place, outline_lps_mm=outline)


def _outline(result: GradingResult, disc: DiscGrade) -> tuple[Line, ...]:
    """Return the contour of a disc's mask as short lines."""
    mask = result.label_slice == disc.label_value
    rows, columns = mask.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.float32).ravel(), deep=True))
    contour = vtk.vtkMarchingSquares()
    contour.SetInputData(image)
    contour.SetValue(0, 0.5)
    contour.Update()
    found, ends = contour.GetOutput(), vtk.vtkIdList()
    index, lines = result.slice_of(disc), []
    for cell in range(found.GetNumberOfCells()):
        found.GetCellPoints(cell, ends)
        (x0, y0, _), (x1, y1, _) = (found.GetPoint(ends.GetId(n)) for n in (0, 1))
        lines.append((result.volume.lps_mm(index, y0, x0), result.volume.lps_mm(index, y1, x1)))
    return tuple(lines)
