"""Stand-in for `slicer.app.coreIOManager()`, by which `slicer.util` saves and loads scenes."""

from __future__ import annotations

from typing import Any

from LumbarDiscGradingLib.headless.core import HeadlessError, SlicerCore


class CoreIOManager:
    """Saves and loads scenes, and nothing else.

    Parameters
    ----------
    core : SlicerCore
    """

    def __init__(self, core: SlicerCore) -> None:
        self._core = core

    def saveNodes(self, filetype: str, properties: dict[str, Any], messages: Any = None) -> bool:
        return self._attempt(self._core.save_scene, filetype, properties, messages)

    def loadNodes(self, filetype: str, properties: dict[str, Any], nodes: Any = None, messages: Any = None) -> bool:
        return self._attempt(self._core.load_scene, filetype, properties, messages)

    def _attempt(self, act: Any, filetype: str, properties: dict[str, Any], messages: Any) -> bool:
        assert filetype == "SceneFile", f"there is no stand-in for {filetype}"
        try:
            act(properties["fileName"])
        except HeadlessError:
            return False
        return True
