"""The scripted module: its panel, its logic for scripts, its parameter node and its self-test, all thin.

What grades and what writes into the scene is in `LumbarDiscGradingLib`; torch is imported only when discs are graded.
"""

from __future__ import annotations

import sys
from typing import Any

import slicer
import vtk
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
from LumbarDiscGradingLib.report.research_use import RESEARCH_USE
from LumbarDiscGradingLib.report.tables import report_text
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


def loadTerminology() -> None:
    """Make the disc levels' terminology known to Slicer's terminology selectors."""
    terminologies = getattr(slicer.modules, "terminologies", None)
    if terminologies is not None:
        path = resource_path("Terminology", "LumbarDiscGrading.term.json")
        terminologies.logic().LoadTerminologyFromFile(str(path))


class LumbarDiscGradingParameterNode:
    """Typed view of the module's parameters, which are kept in the scene.

    Parameters
    ----------
    node : vtkMRMLScriptedModuleNode
    """

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def inputVolume(self) -> Any:
        """The volume to grade, None if none is selected."""
        return self.node.GetNodeReference("inputVolume")

    @inputVolume.setter
    def inputVolume(self, volumeNode: Any) -> None:
        self.node.SetNodeReferenceID("inputVolume", volumeNode.GetID() if volumeNode else None)


class LumbarDiscGradingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: select a volume, click **Grade Discs**."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: LumbarDiscGradingLogic | None = None
        self._parameterNode: LumbarDiscGradingParameterNode | None = None

    def setup(self) -> None:
        """Build the panel when it is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/LumbarDiscGrading.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui.researchUseLabel.text = RESEARCH_USE
        self.logic = LumbarDiscGradingLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onInputSelected)
        self.ui.gradeDiscsButton.connect("clicked(bool)", self.onGradeDiscsButton)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Let go of the scene when the panel is destroyed."""
        self.removeObservers()
        self._parameterNode = None

    def enter(self) -> None:
        """Take up the parameters when the user opens the module."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Do not follow the parameters while another module is open."""
        self.setParameterNode(None)

    def onReload(self) -> None:
        """Reload the library too: Slicer itself reloads this file only."""
        for name in [name for name in sys.modules if name.split(".")[0] == "LumbarDiscGradingLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of the parameter node just before the scene is closed."""
        self.setParameterNode(None)
        self.ui.resultLabel.text = ""

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Take up a new parameter node if the panel stays open."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node; where nothing is selected yet, select the first volume."""
        self.setParameterNode(self.logic.getParameterNode())
        if self._parameterNode.inputVolume is None:
            volumeNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volumeNode is not None:
                self._parameterNode.inputVolume = volumeNode

    def setParameterNode(self, parameterNode: LumbarDiscGradingParameterNode | None) -> None:
        """Follow another parameter node, or none."""
        if self._parameterNode is not None:
            self.removeObserver(self._parameterNode.node, vtk.vtkCommand.ModifiedEvent, self.updatePanel)
        self._parameterNode = parameterNode
        if self._parameterNode is not None:
            self.addObserver(self._parameterNode.node, vtk.vtkCommand.ModifiedEvent, self.updatePanel)
            self.updatePanel()

    def updatePanel(self, caller: Any = None, event: Any = None) -> None:
        """Show the parameters."""
        volumeNode = self._parameterNode.inputVolume
        self.ui.inputSelector.setCurrentNode(volumeNode)
        self.ui.gradeDiscsButton.enabled = volumeNode is not None
        self.ui.gradeDiscsButton.toolTip = (
            _("Segment and grade the lumbar discs of the selected volume.")
            if volumeNode is not None
            else _("Select a sagittal T2-weighted volume first.")
        )

    def onInputSelected(self, volumeNode: Any) -> None:
        """Keep the selected volume in the parameter node."""
        if self._parameterNode is not None:
            self._parameterNode.inputVolume = volumeNode

    def onGradeDiscsButton(self) -> None:
        """Grade the selected volume and say what was found."""
        message = _("The discs could not be graded.")
        with slicer.util.tryWithErrorDisplay(message):
            self.logic.ensureDependencies()
        with slicer.util.tryWithErrorDisplay(message, waitCursor=True):
            results = self.logic.process(self._parameterNode.inputVolume)
            self.ui.resultLabel.text = report_text(results.result)


class LumbarDiscGradingLogic(ScriptedLoadableModuleLogic):
    """Grades discs for the panel and for scripts.

    Examples
    --------
    >>> from LumbarDiscGrading import LumbarDiscGradingLogic  # doctest: +SKIP
    >>> results = LumbarDiscGradingLogic().process(volumeNode)  # doctest: +SKIP
    >>> [(disc.level, disc.group.value) for disc in results.result.discs]  # doctest: +SKIP
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._graders: dict[str, Any] = {}

    def getParameterNode(self) -> LumbarDiscGradingParameterNode:
        """Return the scene's parameters of this module."""
        return LumbarDiscGradingParameterNode(ScriptedLoadableModuleLogic.getParameterNode(self))

    def ensureDependencies(self) -> None:
        """Install what the networks need and Slicer does not bring, if the user agrees; raises `DependencyError`."""
        from LumbarDiscGradingLib.panel.dependencies import ensure_installed

        ensure_installed()

    def process(self, volumeNode: Any, device: str = "auto", showResult: bool = True) -> Any:
        """Segment and grade the lumbar discs of a volume; write segments and a table into its scene.

        Parameters
        ----------
        volumeNode : vtkMRMLScalarVolumeNode
            Sagittal T2-weighted MRI.
        device : str
            ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
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
        from LumbarDiscGradingLib.scene.results import LumbarDiscGradingResults
        from LumbarDiscGradingLib.scene.show import showGradedSlice
        from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

        volume = sagittal_volume_from_node(volumeNode)
        self.ensureDependencies()
        from LumbarDiscGradingLib.grading.grader import DiscGrader

        if device not in self._graders:
            self._graders[device] = DiscGrader(device=device)
        results = LumbarDiscGradingResults(self._graders[device].grade(volume))
        results.write(volumeNode)
        if showResult:
            showGradedSlice(results.result, volumeNode)
        return results


class LumbarDiscGradingTest(ScriptedLoadableModuleTest):
    """Self-test inside Slicer; what needs PyTorch is skipped where it is not installed."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        for test in (self.test_panel_follows_the_scene, self.test_a_volume_that_is_not_sagittal_is_refused):
            self.setUp()
            test()

    def test_panel_follows_the_scene(self) -> None:
        """The volume selected in the parameter node is that of the panel, and none is left after the scene closes."""
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2")
        logic = LumbarDiscGradingLogic()
        logic.getParameterNode().inputVolume = volumeNode
        self.assertEqual(logic.getParameterNode().inputVolume.GetID(), volumeNode.GetID())
        slicer.mrmlScene.Clear()
        self.assertIsNone(logic.getParameterNode().inputVolume)

    def test_a_volume_that_is_not_sagittal_is_refused(self) -> None:
        """An axial stack raises one sentence for the user and leaves the scene as it was."""
        import numpy as np

        voxels = np.random.default_rng(7).integers(0, 900, (20, 64, 64), dtype=np.int16)
        volumeNode = slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([0.5, 0.5, 5.0, 1.0]))
        with self.assertRaisesRegex(ValueError, "No sagittal slices"):
            LumbarDiscGradingLogic().process(volumeNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 0)
