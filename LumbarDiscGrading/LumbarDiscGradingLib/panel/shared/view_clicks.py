"""Clicks in the slice views, told as positions of the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer


class ViewClicks:
    """Watches all slice views while it is asked to.

    Parameters
    ----------
    clicked : callable
        Called with the LPS position in mm of each press of the left button; returns nothing.
    """

    def __init__(self, clicked: Callable[[tuple[float, float, float]], None]) -> None:
        self._clicked = clicked
        self._observations: list[tuple[Any, int]] = []

    def watch(self) -> None:
        """Watch the slice views that there are now."""
        self.leave()
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames() if manager is not None else ():
            widget = manager.sliceWidget(name)
            interactor = widget.sliceView().renderWindow().GetInteractor()
            tag = interactor.AddObserver("LeftButtonPressEvent", self._handler(widget.mrmlSliceNode()))
            self._observations.append((interactor, tag))

    def leave(self) -> None:
        """Stop watching."""
        for interactor, tag in self._observations:
            interactor.RemoveObserver(tag)
        self._observations = []

    def _handler(self, sliceNode: Any) -> Callable[..., None]:
        def pressed(interactor: Any, event: str) -> None:
            x, y = interactor.GetEventPosition()
            ras = sliceNode.GetXYToRAS().MultiplyPoint((float(x), float(y), 0.0, 1.0))
            self._clicked((-ras[0], -ras[1], ras[2]))

        return pressed
