"""`Arrivals`: volumes that were just loaded, while it is not yet known which of them is the sagittal T2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..shared.timers import once_after

LOOKS, LOOK_AGAIN_MS = 10, 300
"""A node that is added gets its voxels, its name and its header later: it is looked at so often, at this interval."""


class Arrivals:
    """Lets the volumes that were loaded be looked at until all of a study should have come.

    Parameters
    ----------
    look : callable
        Called with the volumes to choose from, None for all of the scene.

    Attributes
    ----------
    nodes : list of vtkMRMLScalarVolumeNode
        Loaded since the end of the last looks.
    """

    def __init__(self, look: Callable[[list[Any] | None], None]) -> None:
        self._look = look
        self.nodes: list[Any] = []
        self._left, self._only = 0, False
        self._timer = once_after(0, self._look_once)

    @property
    def looking(self) -> bool:
        """Whether volumes are being looked at."""
        return self._left > 0

    def begin(self, only_these: bool) -> None:
        """Look at the volumes from now on, the last one included.

        Parameters
        ----------
        only_these : bool
            Choose among those that were just loaded; holds until the end of the looks.
        """
        if not self.looking:
            self._only = only_these
        self._left = LOOKS
        self._timer.start(0)

    def end(self) -> None:
        """Forget them: what comes now is the next study."""
        self._timer.stop()
        self.nodes, self._left = [], 0

    def _look_once(self) -> None:
        self._look([node for node in self.nodes if node.GetScene() is not None] if self._only else None)
        self._left -= 1
        if self.looking:
            self._timer.start(LOOK_AGAIN_MS)
        else:
            self.end()
