"""Loads a scripted module without Slicer's application: the parts of Slicer that are Qt code are stood in for.

MRML, logics and ``slicer.util`` are the real ones of the ``slicer-core`` wheel. Panels need Qt and are not built here.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class EmptyLog:
    """Stands in for ``slicer.app.errorLogModel()``: nothing is logged."""

    def logEntryCount(self) -> int:
        return 0


class Application:
    """Stands in for ``slicer.app``: remembers what was connected, runs as a test."""

    def __init__(self) -> None:
        self.connected: dict[str, list[Any]] = {}

    def connect(self, signal: str, slot: Any) -> bool:
        self.connected.setdefault(signal, []).append(slot)
        return True

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self) -> None:
        """There is nothing that waits."""

    def topLevelWidgets(self) -> list[Any]:
        return []

    def errorLogModel(self) -> EmptyLog:
        return EmptyLog()

    def emit(self, signal: str) -> None:
        for slot in self.connected.get(signal, []):
            slot()


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    """Only there to be inherited from."""


class ScriptedLoadableModuleLogic:
    """Keeps one parameter node a scene, as Slicer's class of that name does."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    pass


@contextmanager
def loaded(path: Path, scene: Any) -> Iterator[Any]:
    """Give a scripted module's Python module, with ``slicer.mrmlScene`` and ``slicer.app`` set while it is in use."""
    import slicer

    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    for standin in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(scripted, standin.__name__, standin)
    modules = {"slicer.i18n": i18n, "slicer.ScriptedLoadableModule": scripted}
    attributes = {"mrmlScene": scene, "app": Application(), "modules": types.SimpleNamespace()}
    former_modules = {name: sys.modules.get(name) for name in [*modules, path.stem]}
    former_attributes = {name: getattr(slicer, name, None) for name in attributes}
    sys.modules.update(modules)
    vars(slicer).update(attributes)
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        vars(slicer).update(former_attributes)
        for name, former in former_modules.items():
            if former is None:
                del sys.modules[name]
            else:
                sys.modules[name] = former
