"""The scripted module: its panel, its logic for scripts, its parameter node and its self-test, all thin.

What grades and what writes into the scene is in `LumbarDiscGradingLib`; torch is imported only when discs are graded.
"""

from __future__ import annotations

import sys
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from LumbarDiscGradingLib import HOMEPAGE
from LumbarDiscGradingLib.panel.parameters import Parameters
from LumbarDiscGradingLib.panel.self_test import SelfTest
from LumbarDiscGradingLib.panel.shared.graders import Graders
from LumbarDiscGradingLib.research_use import RESEARCH_USE
from LumbarDiscGradingLib.resources import resource_path


class LumbarDiscGrading(ScriptedLoadableModule):
    """What Slicer's module finder shows of the module."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Lumbar Disc Grading")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["LumbarDiscGrading contributors"]
        self.parent.helpText = _(
            "Segments the lumbar discs on a sagittal T2-weighted MRI and grades the degeneration of each as mild, "
            "moderate or serious (Pfirrmann I-II, III, IV-V): load the series, select it and click "
            '<b>Grade Discs</b>. See <a href="{homepage}">{homepage}</a>.<p>{research_use}'
        ).format(homepage=HOMEPAGE, research_use=RESEARCH_USE)
        self.parent.acknowledgementText = _(
            "Grades after Pfirrmann et al., Spine 26(17):1873-1878 (2001). Built on 3D Slicer, SimpleITK and PyTorch."
        )
        slicer.app.connect("startupCompleted()", loadTerminology)
        slicer.app.connect("startupCompleted()", registerSample)


def loadTerminology() -> None:
    """Make the disc levels' terminology known to Slicer's terminology selectors."""
    terminologies = getattr(slicer.modules, "terminologies", None)
    if terminologies is not None:
        path = resource_path("Terminology", "LumbarDiscGrading.term.json")
        terminologies.logic().LoadTerminologyFromFile(str(path))


def registerSample() -> None:
    """List the sample in the Sample Data module where Slicer has it."""
    if getattr(slicer.modules, "sampledata", None) is not None:
        from LumbarDiscGradingLib.panel.grading.sample_data import register_sample

        register_sample()


class LumbarDiscGradingParameterNode(Parameters):
    """Typed view of the module's parameters, which are kept in the scene."""


class LumbarDiscGradingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: grade the discs of a volume, or read an annotation study."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: LumbarDiscGradingLogic | None = None
        self.modes: Any = None
        self.panel: Any = None

    def setup(self) -> None:
        """Build the panel when it is opened for the first time."""
        from LumbarDiscGradingLib.panel.modes import Modes

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/LumbarDiscGrading.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui.researchUseLabel.text = RESEARCH_USE
        self.logic = LumbarDiscGradingLogic()
        self.modes = Modes(uiWidget, self.ui, self.logic)
        self.panel = self.modes.grading
        self._aboutToQuit = self.modes.close
        slicer.app.connect("aboutToQuit()", self._aboutToQuit)
        if getattr(self.parent, "isEntered", False):  # reloaded while it is open: Slicer does not enter it again
            self.modes.enter()

    def cleanup(self) -> None:
        """Stop what runs and let go of the scene when the panel is destroyed."""
        if self.modes is not None:
            slicer.app.disconnect("aboutToQuit()", self._aboutToQuit)
            self.modes.close()
            self.modes = self.panel = None
        self.removeObservers()

    def enter(self) -> None:
        """Take up the parameters when the user opens the module."""
        if self.modes is not None:
            self.modes.enter()

    def exit(self) -> None:
        """Leave the views alone while another module is open."""
        if self.modes is not None:
            self.modes.exit()

    def onReload(self) -> None:
        """Reload the library too: Slicer itself reloads this file only."""
        self.cleanup()
        for name in [name for name in sys.modules if name.split(".")[0] == "LumbarDiscGradingLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class LumbarDiscGradingLogic(ScriptedLoadableModuleLogic):
    """Grades discs for the panel and for scripts; needs no window.

    Examples
    --------
    >>> from LumbarDiscGrading import LumbarDiscGradingLogic  # doctest: +SKIP
    >>> results = LumbarDiscGradingLogic().process(volumeNode)  # doctest: +SKIP
    >>> [(disc.level, disc.group.value) for disc in results.result.discs]  # doctest: +SKIP
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.graders = Graders()

    def getParameterNode(self) -> LumbarDiscGradingParameterNode:
        """Return the scene's parameters of this module."""
        return LumbarDiscGradingParameterNode(ScriptedLoadableModuleLogic.getParameterNode(self))

    def ensureDependencies(self) -> None:
        """Install what the networks need and Slicer does not bring, if the user agrees; raises `DependencyError`."""
        from LumbarDiscGradingLib.panel.shared.dependencies import ensure_installed

        ensure_installed()

    def process(
        self,
        volumeNode: Any,
        sliceIndex: int | None = None,
        device: str = "auto",
        segmentationModel: str = "",
        gradingModel: str = "",
        showResult: bool = True,
    ) -> Any:
        """Segment and grade the lumbar discs of a volume; write segments and a table into its scene.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
            Sagittal T2-weighted MRI.
        sliceIndex : int, optional
            0-based index of the slice along the volume's sagittal axis as stored; chosen by content when left out.
        device : str
            ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        segmentationModel, gradingModel : str
            Name or folder of a model; empty for the built-in default.
        showResult : bool
            Show the graded slice in the slice views.

        Returns
        -------
        LumbarDiscGradingResults
            With the `GradingResult` as ``result`` and the nodes written as ``segmentationNode`` and ``tableNode``.

        Raises
        ------
        ImagingError
            If the volume cannot be graded; nothing is written then.
        DependencyError
            If PyTorch is missing and was not installed.
        """
        from LumbarDiscGradingLib.scene.graded_case import GradedCase
        from LumbarDiscGradingLib.scene.show import showGradedSlice
        from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

        volume = sagittal_volume_from_node(volumeNode)
        index = None if sliceIndex is None else volume.canonical_slice_index(sliceIndex)
        self.ensureDependencies()
        result = self.graders.run(
            lambda grader: grader.grade(volume, index), device, str(segmentationModel), str(gradingModel)
        )
        case = GradedCase.write_new(volumeNode, result)
        if showResult:
            showGradedSlice(result, volumeNode)
        return case

    def gradeAllLoaded(
        self,
        device: str = "auto",
        segmentationModel: str = "",
        gradingModel: str = "",
        showTable: bool = True,
    ) -> Any:
        """Grade all loaded volumes that are taken for sagittal T2; write one table of all beside those of each.

        A volume that the same models have graded, or whose result a reader has worked on, is left as it is; one that
        fails does not stop the others. The discs of each are hidden until the panel shows its volume.

        Parameters
        ----------
        device : str
            ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        segmentationModel, gradingModel : str
            Name or folder of a model; empty for the built-in default.
        showTable : bool
            Show the table of all in the table views that there are.

        Returns
        -------
        LoadedVolumes
            With the table of all as ``tableNode``, and ``volumes``: each with ``became``, ``note``, ``doubts``,
            ``segmentationNode`` and ``rows``.

        Raises
        ------
        ModelError
            If a model cannot be used; nothing is written then.
        DependencyError
            If PyTorch is missing and was not installed.
        """
        from LumbarDiscGradingLib.scene.loaded_volumes import LoadedVolumes
        from LumbarDiscGradingLib.scene.table_of_all import show_table
        from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

        models = str(segmentationModel), str(gradingModel)
        loaded = LoadedVolumes(slicer.mrmlScene, *models)
        if loaded.waiting:
            self.ensureDependencies()
        for volume in loaded.waiting:
            loaded.grade(
                volume,
                lambda node: self.graders.run(
                    lambda grader: grader.grade(sagittal_volume_from_node(node)), device, *models
                ),
            )
        table = loaded.write_table()
        if showTable and table is not None:
            show_table(table)
        return loaded


class LumbarDiscGradingTest(SelfTest, ScriptedLoadableModuleTest):
    """Self-test inside Slicer, from the first volume to the signed consensus; it clears the scene."""

    logicClass = LumbarDiscGradingLogic
