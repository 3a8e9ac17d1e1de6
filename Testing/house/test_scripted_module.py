"""The scripted module on the real MRML of slicer-core; its panel needs Slicer's Qt and is not built here."""

from __future__ import annotations

import json
import types
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_module import loaded

from LumbarDiscGradingLib import HOMEPAGE
from LumbarDiscGradingLib.imaging.volume import ImagingError
from LumbarDiscGradingLib.report.tables import table_discs
from LumbarDiscGradingLib.research_use import RESEARCH_USE
from LumbarDiscGradingLib.resources import resource_path

slicer = pytest.importorskip("slicer")


@pytest.fixture
def scene() -> Iterator[Any]:
    from LumbarDiscGradingLib.headless.core import SlicerCore

    with SlicerCore() as core:
        yield core.scene


@pytest.fixture
def module(checkout: Path, scene: Any) -> Iterator[Any]:
    with loaded(checkout / "LumbarDiscGrading" / "LumbarDiscGrading.py", scene) as loaded_module:
        yield loaded_module


VOXELS = np.random.default_rng(7).integers(0, 900, (12, 64, 64), dtype=np.int16)


def axial_volume(scene: Any) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "axial")
    slicer.util.updateVolumeFromArray(node, VOXELS)
    node.SetSpacing(0.5, 0.5, 5.0)
    return node


def test_module_finder_says_what_it_is_and_that_it_is_for_research(module: Any) -> None:
    parent = types.SimpleNamespace()
    module.LumbarDiscGrading(parent)
    assert parent.title == "Lumbar Disc Grading"
    assert parent.categories == ["Segmentation"]
    assert parent.contributors == ["LumbarDiscGrading contributors"]
    assert HOMEPAGE in parent.helpText
    assert RESEARCH_USE in parent.helpText
    assert "Pfirrmann" in parent.acknowledgementText


def test_terminology_is_loaded_when_slicer_has_started(module: Any) -> None:
    loaded_files = []
    logic = types.SimpleNamespace(LoadTerminologyFromFile=loaded_files.append)
    module.LumbarDiscGrading(types.SimpleNamespace())
    slicer.app.emit("startupCompleted()")  # without the Terminologies module: nothing to do
    slicer.modules.terminologies = types.SimpleNamespace(logic=lambda: logic)
    slicer.app.emit("startupCompleted()")
    assert [json.loads(Path(file).read_text(encoding="utf-8")) for file in loaded_files] != []
    assert Path(loaded_files[0]) == resource_path("Terminology", "LumbarDiscGrading.term.json")


def test_the_selected_volume_is_kept_in_the_scene_until_it_is_closed(module: Any, scene: Any) -> None:
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2")
    module.LumbarDiscGradingLogic().getParameterNode().inputVolume = volume
    again = module.LumbarDiscGradingLogic().getParameterNode()
    assert again.inputVolume.GetName() == "T2"
    again.inputVolume = None
    assert again.inputVolume is None
    again.inputVolume = volume
    scene.Clear(False)
    assert module.LumbarDiscGradingLogic().getParameterNode().inputVolume is None


def test_what_cannot_be_graded_is_refused_before_anything_is_installed_or_written(module: Any, scene: Any) -> None:
    before = scene.GetNumberOfNodes()
    with pytest.raises(ImagingError, match="No volume is selected"):
        module.LumbarDiscGradingLogic().process(None)
    assert scene.GetNumberOfNodes() == before
    volume = axial_volume(scene)
    before = scene.GetNumberOfNodes()
    with pytest.raises(ImagingError, match="No sagittal slices"):
        module.LumbarDiscGradingLogic().process(volume)
    assert scene.GetNumberOfNodes() == before


def test_without_torch_and_its_extension_the_user_hears_what_to_install(module: Any, monkeypatch) -> None:
    from LumbarDiscGradingLib.panel.shared import dependencies

    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    with pytest.raises(dependencies.DependencyError, match="install the PyTorch extension"):
        module.LumbarDiscGradingLogic().ensureDependencies()


@pytest.mark.parametrize(
    ("install", "sentence"),
    [
        (lambda: None, "needs PyTorch, which was not installed"),
        (lambda: 1 / 0, r"could not be installed \(division by zero\)"),
    ],
)
def test_a_declined_or_failed_installation_is_said(module: Any, monkeypatch, install: Any, sentence: str) -> None:
    import sys

    from LumbarDiscGradingLib.panel.shared import dependencies

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation: bool, torchVersionRequirement: str) -> Any:
            assert askConfirmation
            return install()

    extension = types.SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    with pytest.raises(dependencies.DependencyError, match=sentence):
        module.LumbarDiscGradingLogic().ensureDependencies()


def test_the_modules_own_test_passes(module: Any) -> None:
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(module.LumbarDiscGradingTest)
    outcome = unittest.TestResult()
    suite.run(outcome)
    assert outcome.testsRun >= 15
    assert [text for _, text in outcome.failures + outcome.errors] == []
    assert [reason for _, reason in outcome.skipped].count("the module has no panel here") >= 3


def test_a_real_volume_becomes_named_colored_segments(module: Any, scene: Any, shared_data: Path) -> None:
    pytest.importorskip("torch")
    if not any(resource_path("Models").glob("*/manifest.json")):
        pytest.skip("no trained models are in Resources/Models")
    from LumbarDiscGradingLib.imaging.reading import read_volume
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    path = sorted((shared_data / "spider_space").rglob("*_t2*.*"))
    if not path:
        pytest.skip("the real data holds no volume of that name")
    node = volume_node_from(read_volume(path[0]), "T2", scene)
    logic = module.LumbarDiscGradingLogic()
    results = logic.process(node, device="cpu")
    segmentation = results.segmentationNode.GetSegmentation()
    levels = {segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())}
    assert {"L3-L4", "L4-L5", "L5-S1"} <= levels
    for disc in results.result.discs:
        color = np.round(np.array(segmentation.GetSegment(disc.level).GetColor()) * 255)
        assert tuple(color) == disc.group.color
    assert results.tableNode.GetNumberOfRows() == len(table_discs(results.result))
