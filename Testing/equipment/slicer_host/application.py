"""`SlicerHost`: Slicer's scene, application object and one scripted module with its panel, in a test."""

from __future__ import annotations

import gc
import importlib.util
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import scripted_module
import slicer

from LumbarDiscGradingLib.headless.core import SLICE_VIEWS, SlicerCore

from . import dicom_lib, pythonqt
from .dicom_database import DicomDatabase
from .error_log import ErrorLogModel
from .pythonqt import VIOLATIONS, stray_attributes
from .scene_files import CoreIOManager
from .slice_controllers import SliceControllers
from .ui_loader import loader_of

TURN_SECONDS = 0.005
LEAST_WORK_SECONDS = 0.0005
"""What other threads use of the processor in a turn of waiting; less is what idle threads use."""
MOST_WORK_SECONDS = 3600.0
"""Of the processor's time; what works longer does not come to an end."""


def _work_of_other_threads() -> float:
    """Return the seconds that the processor has worked for this process outside the calling thread."""
    return time.process_time() - time.thread_time()


class ScriptedLoadableModuleWidget:
    """As Slicer's class of that name, without the developer section."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)


class LayoutManager:
    """Gives the slice widgets by name."""

    def __init__(self, core: SlicerCore) -> None:
        from .slice_views import SliceWidget

        self._widgets = {name: SliceWidget(core, name) for name in SLICE_VIEWS}

    def sliceViewNames(self) -> list[str]:
        return list(self._widgets)

    def sliceWidget(self, name: str) -> Any:
        return self._widgets.get(name)

    def close(self) -> None:
        for widget in self._widgets.values():
            widget.close()


class Application:
    """Stands for ``slicer.app``."""

    applicationName = "Slicer"

    def __init__(self, core: SlicerCore, qt_application: Any, temporary_path: str) -> None:
        self._core, self._qt = core, qt_application
        self.temporaryPath = temporary_path
        self._slots: dict[str, list[Any]] = {}
        self._layout_manager = LayoutManager(core)
        self._module_manager = types.SimpleNamespace(connect=lambda *_: True, disconnect=lambda *_: True)
        self.hasMainWindow = True
        self._log, self._io = ErrorLogModel(), CoreIOManager(core)

    def errorLogModel(self) -> Any:
        return self._log

    def coreIOManager(self) -> Any:
        return self._io

    def connect(self, signal: str, slot: Any) -> bool:
        self._slots.setdefault(signal, []).append(slot)
        return True

    def disconnect(self, signal: str, slot: Any) -> bool:
        self._slots[signal].remove(slot)
        return True

    def emit(self, signal: str) -> None:
        for slot in list(self._slots.get(signal, [])):
            slot()

    def slots(self, signal: str) -> list[Any]:
        return list(self._slots.get(signal, []))

    def testingEnabled(self) -> bool:
        return True

    def layoutManager(self) -> Any:
        return self._layout_manager if self.hasMainWindow else None

    def moduleManager(self) -> Any:
        return self._module_manager

    def applicationLogic(self) -> Any:
        return self._core.application_logic

    def processEvents(self) -> None:
        self._qt.processEvents()

    def topLevelWidgets(self) -> list[Any]:
        return self._qt.topLevelWidgets()

    def clipboard(self) -> Any:
        return self._qt.clipboard()

    def setOverrideCursor(self, cursor: Any) -> None:
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qt.restoreOverrideCursor()


class SlicerHost:
    """A started Slicer without its window, and the module that is loaded in it.

    Parameters
    ----------
    path : Path
        Main file of the scripted module.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.qt, self.qt_application = pythonqt.install()
        from . import widgets

        self._folder = tempfile.TemporaryDirectory()
        self._route_settings()
        self._install_modules(widgets)
        self.core = SlicerCore()
        self.scene = self.core.scene
        self.sliceControllers = SliceControllers(self.scene)
        self.app = Application(self.core, self.qt_application, self._folder.name)
        self._former = {name: getattr(slicer, name, None) for name in ("app", "mrmlScene", "modules", "dicomDatabase")}
        self.database = DicomDatabase()
        vars(slicer).update(app=self.app, mrmlScene=self.scene, modules=self._modules_with_logics())
        slicer.dicomDatabase = self.database
        self.widgetClass, self.sceneWidgetClass = widgets.qMRMLWidget, widgets.SceneWidget
        self.representation: Any = None
        self._load()
        self._loaded = self._modules_of_python()
        self._former_util = {name: getattr(slicer.util, name) for name in ("selectModule", "selectedModule")}
        vars(slicer.util).update(selectModule=self._select_module, selectedModule=self._selected_module)
        VIOLATIONS.clear()

    # -- the module

    def _modules_with_logics(self) -> types.SimpleNamespace:
        """Return Slicer's modules whose logics `slicer.util` uses."""
        logics = {name.lower(): logic for name, logic in self.core.module_logics.items()}
        entries = {name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
        return types.SimpleNamespace(**entries)

    def _modules_of_python(self) -> dict[str, Any]:
        """Return what Python has loaded of the module and its library, which a reload replaces."""
        return {name: module for name, module in sys.modules.items() if name.startswith(self.path.stem)}

    def _select_module(self, name: str) -> None:
        """Stand for `slicer.util.selectModule`: every other module is somewhere else."""
        if not self.app.hasMainWindow:
            raise RuntimeError("Could not find main window")
        entered = self._selected_module() == self.path.stem
        if name == self.path.stem and not entered:
            self.open()
        elif name != self.path.stem and entered:
            self.leave()

    def _selected_module(self) -> str:
        entered = self.representation is not None and self.representation.isEntered
        return self.path.stem if entered else "Welcome"

    def _load(self) -> None:
        spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
        self.module = sys.modules[self.path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        entry = types.SimpleNamespace(path=str(self.path), widgetRepresentation=lambda: self.representation)
        setattr(slicer.modules, self.path.stem.lower(), entry)
        self.instance = getattr(self.module, self.path.stem)(types.SimpleNamespace(path=str(self.path)))

    @property
    def widget(self) -> Any:
        """The module's widget object, as `slicer.modules.<Name>Widget` gives it."""
        return getattr(slicer.modules, f"{self.path.stem}Widget")

    @property
    def ui(self) -> Any:
        return self.widget.ui

    def open(self, width: int = 400, height: int = 900) -> Any:
        """Open the module's panel and return it."""
        if self.representation is None:
            parent = self.widgetClass()
            parent.setLayout(self.qt.QVBoxLayout())
            parent.setMRMLScene(self.scene)
            parent.reload = self._make_widget
            parent.enter, parent.exit = self.open, self.leave
            self.representation = parent
            self._make_widget()
        self.representation.isEntered = True
        self.widget.enter()
        self.representation.resize(width, height)
        self.representation.show()
        self.process_events()
        return self.representation

    def _make_widget(self) -> None:
        module = sys.modules[self.path.stem]
        widget = getattr(module, f"{self.path.stem}Widget")(self.representation)
        self.representation.self = lambda: widget
        setattr(slicer.modules, f"{self.path.stem}Widget", widget)
        widget.setup()

    def leave(self) -> None:
        """Go to another module."""
        self.representation.isEntered = False
        self.widget.exit()
        self.representation.hide()

    def close_panel(self) -> None:
        """Destroy the panel, as Slicer does when it quits."""
        if self.representation is None:
            return
        if self.representation.isEntered:
            self.leave()
        self.widget.cleanup()
        for widget in [self.representation, *self.representation.findChildren(self.sceneWidgetClass)]:
            widget.setMRMLScene(None)  # as the C++ widgets do when they are destroyed
        self.representation.close()
        self.representation.deleteLater()
        self.representation = None
        self.process_events()
        for name in self._modules_of_python().keys() - self._loaded.keys():
            self._loaded[name] = sys.modules[name]
        sys.modules.update(self._loaded)  # a reload lasts as long as the panel: the next test has its own classes

    # -- data

    def load_volume(self, volume: Any, name: str = "T2 sagittal") -> Any:
        """Load a volume and return its node; Slicer shows what was loaded last in all slice views."""
        from LumbarDiscGradingLib.scene.volumes import volume_node_from

        node = volume_node_from(volume, name, self.scene)
        self.show_volume(node)
        self.process_events()
        return node

    def show_volume(self, node: Any) -> None:
        """Show a volume in all slice views, as loading one does and *Show* in the module Data."""
        self.scene.GetNodeByID("vtkMRMLSelectionNodeSingleton").SetActiveVolumeID(node.GetID())
        self.core.application_logic.PropagateVolumeSelection(1)

    # -- events

    def process_events(self) -> None:
        self.qt_application.processEvents()

    def wait_until(self, condition: Any, quiet_seconds: float = 60.0) -> None:
        """Let events be handled until a condition holds.

        How long that takes depends on what else the machine does. So this gives up only when no other thread of this
        process has worked for a while, in turns of this loop, which get as rare as the machine is busy.
        """
        start = last = _work_of_other_threads()
        quiet = 0.0
        while not condition():
            if quiet > quiet_seconds:
                raise TimeoutError("The condition did not come true, and nothing goes on that could make it so.")
            self.qt_application.processEvents()
            time.sleep(TURN_SECONDS)
            now = _work_of_other_threads()
            if now - start > MOST_WORK_SECONDS:
                raise TimeoutError("The condition did not come true in all that other threads have done.")
            quiet, last = (0.0 if now - last > LEAST_WORK_SECONDS else quiet + TURN_SECONDS), now

    def click(self, widget: Any) -> None:
        """Click the middle of a widget that can be seen, of a check box its box."""
        assert widget.isVisible(), f"{widget.objectName} is not visible"
        place = widget.rect.center()
        if isinstance(widget, self.qt.QCheckBox):
            place.setX(8)
        self.qt.QTest.mouseClick(widget, self.qt.Qt.LeftButton, self.qt.Qt.NoModifier, place)
        self.process_events()

    def press(self, widget: Any, key: str) -> None:
        """Type a key into a widget that has the focus."""
        widget.setFocus()
        self.process_events()
        self.qt.QTest.keyClick(widget, key)
        self.process_events()

    def answer_file_dialogs(self, path: str | Path) -> None:
        """Let the user choose this path in every file dialog; an empty one cancels."""

        def choose(*_: Any) -> str:
            return str(path)

        functions = ("getOpenFileName", "getSaveFileName", "getExistingDirectory")
        self.qt.QFileDialog = type("QFileDialog", (), {name: staticmethod(choose) for name in functions})

    def answer_dialog(self, text: str = "", accept: bool = True) -> list[str]:
        """Let the user type a text into the next dialog that opens, if any, and click OK, or Cancel.

        Returns
        -------
        list of str
            What stands in the dialog, once it has been answered.
        """
        said: list[str] = []

        timer = self.qt.QTimer()

        def answer() -> None:
            dialog = self.qt_application.activeModalWidget()
            if dialog is None:
                return
            timer.stop()
            said.extend(label.text for label in dialog.findChildren(self.qt.QLabel))
            if text:
                self.qt.QTest.keyClicks(dialog.findChild(self.qt.QLineEdit), text)
            buttons = dialog.findChild(self.qt.QDialogButtonBox)
            which = buttons.StandardButton.Ok if accept else buttons.StandardButton.Cancel
            self.qt.QTest.mouseClick(buttons.button(which), self.qt.Qt.LeftButton)

        timer.connect("timeout()", answer)
        timer.start(10)
        return said

    # -- end

    def violations(self) -> list[str]:
        """Return what Slicer would have refused, printed or logged since the start."""
        return [
            *(f"connect: {text}" for text in VIOLATIONS.connects),
            *(f"exception: {error!r}" for error in VIOLATIONS.exceptions),
            *(f"attribute: {found}" for found in stray_attributes()),
            *(f"VTK: {text}" for text in self.core.errors),
        ]

    def forget_violations(self) -> None:
        VIOLATIONS.clear()
        self.core.errors.clear()

    def close(self) -> None:
        self.close_panel()
        self.sliceControllers.close()
        self.app._layout_manager.close()
        self.app._log.close()
        self.core.close()
        vars(slicer).update(self._former)
        vars(slicer.util).update(self._former_util)
        self._folder.cleanup()
        gc.collect()

    # -- modules that Slicer has and the wheel has not

    def _route_settings(self) -> None:
        qt = self.qt
        qt.QCoreApplication.setOrganizationName("test")
        qt.QCoreApplication.setApplicationName("Slicer")
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, self._folder.name)

    def _install_modules(self, widgets: Any) -> None:
        self.qt.QUiLoader = loader_of((*widgets.CTK, *widgets.MRML))
        ctk = types.ModuleType("ctk")
        for cls in widgets.CTK:
            setattr(ctk, cls.__name__, cls)
        for cls in widgets.MRML:
            setattr(slicer, cls.__name__, cls)
        i18n = types.ModuleType("slicer.i18n")
        i18n.tr = lambda text: text
        i18n.translate = lambda context, text: text
        scripted = types.ModuleType("slicer.ScriptedLoadableModule")
        for cls in (
            scripted_module.ScriptedLoadableModule,
            ScriptedLoadableModuleWidget,
            scripted_module.ScriptedLoadableModuleLogic,
            scripted_module.ScriptedLoadableModuleTest,
        ):
            setattr(scripted, cls.__name__, cls)
        dicom_lib.install()
        sys.modules.update({"ctk": ctk, "slicer.i18n": i18n, "slicer.ScriptedLoadableModule": scripted})
