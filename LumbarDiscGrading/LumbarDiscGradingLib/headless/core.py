"""`SlicerCore`: a MRML scene with Slicer's application and module logics, without Qt and without a window.

What Slicer's own start-up does for the scene is repeated here on the ``slicer-core`` wheel: default colour nodes, slice
orientations, the subject hierarchy, remote data handling (which scene bundles need) and the logics that register their
node classes.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import UserError
from .subject_hierarchy import HierarchyKeeper

MODULE_LOGICS = {
    "Colors": None,  # the application logic's own
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
}
"""Module logics that register the node classes of what is shown; key is the module's name in Slicer."""

SLICE_VIEWS = ("Red", "Yellow", "Green")
"""Slicer's three slice views: axial, sagittal, coronal."""

SLICE_VIEW_SIZE_PX = 1000
"""Size of a slice view as stored in a scene; Slicer fits the field of view to the real size when it shows the scene."""


SCENE_VERSION = "Slicer 5.12.0 1"
"""Written into scenes in place of the wheel's own name and number, at which Slicer warns when it opens one. The oldest
release that is supported; a revision above zero says that it is no scene of old (vtkMRMLModelStorageNode)."""


class HeadlessError(UserError):
    """The Slicer core cannot do what was asked; the message is one sentence for the user."""


class SlicerCore:
    """Slicer's MRML scene and logics in this process, without Qt.

    Nothing is printed: messages of VTK and MRML are collected in `errors` and `warnings`.

    Attributes
    ----------
    scene : vtkMRMLScene
    application_logic : vtkMRMLApplicationLogic
    module_logics : dict
        Logic of each module in `MODULE_LOGICS` by module name.
    errors, warnings : list of str
        What VTK and MRML had to say since the start.

    Examples
    --------
    >>> with SlicerCore() as core:  # doctest: +SKIP
    ...     volume = core.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2")
    ...     core.save_scene("case.mrb")
    """

    def __init__(self) -> None:
        try:
            import slicer
            import vtk
        except ImportError as error:
            raise HeadlessError(
                "Writing segmentations and scenes outside Slicer needs the package slicer-core; install it with "
                "pip install slicer-core."
            ) from error
        self._slicer, self._vtk = slicer, vtk
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self._silence()
        self._folder = tempfile.TemporaryDirectory(prefix="lumbar-disc-grading-")
        self.scene = slicer.vtkMRMLScene()
        self.scene.SetVersion(SCENE_VERSION)
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.module_logics: dict[str, Any] = {}
        self._wire_application()
        self._wire_modules()
        self._hierarchy_keeper = HierarchyKeeper(self.scene)
        self._wire_remote_data()
        self._layout_logic = slicer.vtkMRMLLayoutLogic()
        self._layout_logic.SetMRMLScene(self.scene)
        self._layout_logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.add_views()
        atexit.register(self.close)  # a scene that lives until the interpreter is torn down crashes there

    def __enter__(self) -> SlicerCore:
        """Return the started core."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the core."""
        self.close()

    def save_scene(self, path: str | os.PathLike[str]) -> None:
        """Write the scene as one bundle (``.mrb``) or as ``.mrml`` with its data files beside it.

        Raises
        ------
        HeadlessError
            If Slicer could not write it, or the name has neither ending.
        """
        target = Path(path).absolute()
        self.scene.SetURL(str(target))
        self.scene.SetRootDirectory(str(target.parent))
        messages = self._slicer.vtkMRMLMessageCollection()
        if target.suffix == ".mrb":
            written = self.scene.WriteToMRB(str(target), None, messages)
        elif target.suffix == ".mrml":
            written = self._save_mrml(target, messages)
        else:
            raise HeadlessError(f"A scene is written as .mrb or .mrml, not as {target.name}.")
        if not written or not target.is_file():
            reason = " ".join(messages.GetAllMessagesAsString().split())
            raise HeadlessError(f"The scene {target.name} could not be written; check free space and rights. {reason}")

    def load_scene(self, path: str | os.PathLike[str]) -> None:
        """Replace the scene by that of a ``.mrb`` or ``.mrml`` file.

        Raises
        ------
        HeadlessError
            If Slicer could not read it.
        """
        source = Path(path).absolute()
        messages = self._slicer.vtkMRMLMessageCollection()
        if source.suffix == ".mrb":
            working_folder = os.getcwd()
            read = self.scene.ReadFromMRB(str(source), True, messages)
            os.chdir(working_folder)  # of a broken bundle MRML stays in the folder that it unpacked into and removed
        else:
            self.scene.SetURL(str(source))
            read = self.scene.Connect(messages)
        if not read:
            raise HeadlessError(f"The scene {source.name} could not be read; is it a whole Slicer scene?")

    def clear(self) -> None:
        """Remove all data from the scene; views stay."""
        self.scene.GetSubjectHierarchyNode().RemoveAllItems(False)
        self.scene.Clear(False)
        self.add_views()

    def add_views(self) -> None:
        """Complete the views that Slicer's layout manager would make: a slice view needs its composite node."""
        for view in (self.scene.GetNodeByID(f"vtkMRMLSliceNode{name}") for name in SLICE_VIEWS):
            view.SetDimensions(SLICE_VIEW_SIZE_PX, SLICE_VIEW_SIZE_PX, 1)
            if self.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view.GetName()}") is None:
                composite = self._slicer.vtkMRMLSliceCompositeNode()
                composite.SetName(view.GetName())
                composite.SetLayoutName(view.GetLayoutName())
                composite.SetSingletonTag(view.GetSingletonTag())
                self.scene.AddNode(composite)

    def close(self) -> None:
        """Take the scene and the logics apart and give VTK's message window back; calling it twice is harmless."""
        if self.scene is None:
            return
        atexit.unregister(self.close)
        self._output.RemoveAllObservers()  # logics complain about the scene that is taken from them
        self._hierarchy_keeper.close()
        self._layout_logic.SetMRMLScene(None)
        self.scene.Clear(True)
        for logic in self.module_logics.values():
            logic.SetMRMLScene(None)
        self._remote.RemoveDataIOFromScene()
        self._data_io.SetMRMLScene(None)
        self._remote.SetMRMLScene(None)
        self.application_logic.SetMRMLScene(None)
        self.module_logics.clear()
        self.scene = self.application_logic = None
        self._vtk.vtkOutputWindow.SetInstance(self._former_output)
        self._vtk.vtkLogger.SetStderrVerbosity(self._former_verbosity)
        self._folder.cleanup()

    def _silence(self) -> None:
        vtk = self._vtk
        self._former_verbosity = vtk.vtkLogger.GetCurrentVerbosityCutoff()
        self._former_output = vtk.vtkOutputWindow.GetInstance()
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
        self._output = vtk.vtkOutputWindow()
        self._output.SetDisplayModeToNever()
        vtk.vtkOutputWindow.SetInstance(self._output)

        def collector(messages: list[str]) -> Any:
            @vtk.calldata_type(vtk.VTK_STRING)
            def collect(_caller: Any, _event: str, message: str) -> None:
                messages.append(message)

            return collect

        self._output.AddObserver("ErrorEvent", collector(self.errors))
        self._output.AddObserver("WarningEvent", collector(self.warnings))

    def _wire_application(self) -> None:
        slicer, logic = self._slicer, self.application_logic
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        logic.SetMRMLScene(self.scene)
        logic.SetTemporaryPath(self._folder.name)
        logic.SetSliceLogics(self._vtk.vtkCollection())
        logic.SetViewLogics(self._vtk.vtkCollection())
        logic.GetColorLogic().SetMRMLScene(self.scene)
        logic.GetColorLogic().AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)

    def _wire_modules(self) -> None:
        for name, class_name in MODULE_LOGICS.items():
            if class_name is None:
                logic = self.application_logic.GetColorLogic()
            else:
                logic = getattr(self._slicer, class_name)()
                logic.SetMRMLScene(self.scene)
                if hasattr(logic, "SetMRMLApplicationLogic"):
                    logic.SetMRMLApplicationLogic(self.application_logic)
            self.application_logic.SetModuleLogic(name, logic)
            self.module_logics[name] = logic

    def _wire_remote_data(self) -> None:
        slicer = self._slicer
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(self.scene)
        self._remote.SetMRMLApplicationLogic(self.application_logic)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(self._folder.name)
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLScene(self.scene)
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def _save_mrml(self, target: Path, messages: Any) -> bool:
        """Save through an empty folder beside the target, as Slicer's own directory writer wants it, and move up."""
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.stem) as folder:
            written = self.application_logic.SaveSceneToSlicerDataBundleDirectory(folder, None, messages)
            scene_files = sorted(Path(folder).glob("*.mrml"))
            if not written or len(scene_files) != 1:
                return False
            data = Path(folder, "Data")
            if data.is_dir():
                (target.parent / "Data").mkdir(exist_ok=True)
                for file in data.iterdir():
                    os.replace(file, target.parent / "Data" / file.name)
            os.replace(scene_files[0], target)
        return True
