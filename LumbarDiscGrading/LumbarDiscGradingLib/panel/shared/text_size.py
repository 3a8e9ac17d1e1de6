"""How large a text is in a view, asked of the fonts: the actor itself cannot tell before the view is drawn."""

from __future__ import annotations

from typing import Any

import vtk

USUAL_DPI = 72
"""Of a view that has no window yet."""


def text_box(actor: Any, renderer: Any) -> tuple[int, int, int, int]:
    """Return the box of a text around its anchor, in pixels.

    Parameters
    ----------
    actor : vtkTextActor
    renderer : vtkRenderer
        In which it is shown.

    Returns
    -------
    tuple of int
        Left, right, bottom, top.
    """
    window = renderer.GetVTKWindow()
    dpi = window.GetDPI() if window is not None else USUAL_DPI
    box = [0, 0, 0, 0]
    vtk.vtkTextRenderer.GetInstance().GetBoundingBox(actor.GetTextProperty(), actor.GetInput(), box, dpi)
    return box[0], box[1], box[2], box[3]
