"""All loaded volumes: which are taken for sagittal T2, what is left as it is, and the one table of all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the package slicer-core is not installed")

import slicer
from example_results import analytic_result
from slicer.util import arrayFromVolume, arrayFromVolumeModified, updateVolumeFromArray

from LumbarDiscGradingLib.cohort.tables import COHORT_COLUMNS
from LumbarDiscGradingLib.grading.corrections import GradeSet
from LumbarDiscGradingLib.grading.result import GradingResult, ModelUse
from LumbarDiscGradingLib.headless.core import SlicerCore
from LumbarDiscGradingLib.imaging.volume import ImagingError
from LumbarDiscGradingLib.models.store import default_model_names, find_model
from LumbarDiscGradingLib.report.tables import GRADE_COLUMNS, grade_rows
from LumbarDiscGradingLib.scene.graded_case import GradedCase, graded_cases
from LumbarDiscGradingLib.scene.loaded_volumes import Became, LoadedVolume, LoadedVolumes
from LumbarDiscGradingLib.scene.table_of_all import table_of_all
from LumbarDiscGradingLib.scene.text_table import read_text_table
from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node, volume_node_from

pytestmark = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)


@pytest.fixture(scope="module")
def running_core():
    with SlicerCore() as core:
        yield core


@pytest.fixture
def scene(running_core):
    running_core.clear()
    yield running_core.scene
    complaints = running_core.errors[:]
    running_core.errors.clear()
    running_core.warnings.clear()
    assert complaints == []


def built_in() -> tuple[ModelUse, ...]:
    models = [find_model(None, task) for task in ("segmentation", "grading")]
    return tuple(ModelUse(model.name, model.task, "built-in", model.sha256, "1.0") for model in models)


def result_of_built_in(**more: Any) -> GradingResult:
    """Return a result that says it is of the built-in models."""
    return replace(analytic_result(**more), models=built_in())


def add(scene: Any, name: str, result: GradingResult | None = None) -> Any:
    return volume_node_from((result or analytic_result()).volume, name, scene)


def fates(loaded: LoadedVolumes) -> list[tuple[str, Became]]:
    return [(volume.name, volume.became) for volume in loaded.volumes]


def grade_waiting(loaded: LoadedVolumes) -> None:
    for volume in loaded.waiting:
        on_node = sagittal_volume_from_node(volume.volumeNode)
        loaded.write(volume, replace(result_of_built_in(), volume=on_node))


def rows_in(table: Any) -> list[dict[str, str]]:
    return read_text_table(table, COHORT_COLUMNS)


def the_volume(loaded: LoadedVolumes, name: str) -> LoadedVolume:
    return next(volume for volume in loaded.volumes if volume.name == name)


def test_only_what_nothing_speaks_against_is_taken_and_the_rest_has_its_reason(scene: Any) -> None:
    names = ("A T2 sag", "patient 7", "T1 sag", "STIR sag", "T2 sag cervical", "localizer", "T2 sag dwi")
    nodes = {name: add(scene, name) for name in names}
    axial = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 tra")
    updateVolumeFromArray(axial, np.random.default_rng(1).integers(0, 900, (12, 64, 64), dtype=np.int16))
    axial.SetSpacing(0.5, 0.5, 5.0)
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2 sag empty")
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "T2 sag labels")
    evidence = add(scene, "T2 sag evidence")
    evidence.SetAttribute("LumbarDiscGrading.EvidenceKey", "x")
    loaded = LoadedVolumes(scene)
    assert [volume.name for volume in loaded.waiting] == ["A T2 sag", "patient 7"]
    reasons = {volume.name: volume.note for volume in loaded.volumes if volume.became is Became.LEFT_OUT}
    assert set(reasons) == {*list(nodes)[2:], "T2 tra", "T2 sag empty"}
    for name, words in (
        ("T1 sag", "another contrast than T2"),
        ("STIR sag", "fat suppression"),
        ("T2 sag cervical", "another region"),
        ("localizer", "localizer"),
        ("T2 sag dwi", "diffusion"),
        ("T2 tra", "sagittal"),
        ("T2 sag empty", "no voxels"),
    ):
        assert words in reasons[name], reasons[name]
    assert loaded.of(labels) is None
    assert loaded.of(evidence) is None


def test_each_volume_has_its_own_nodes_and_the_table_of_all_has_their_rows(scene: Any) -> None:
    nodes = [add(scene, name) for name in ("A T2 sag", "B T2 sag")]
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    table = loaded.write_table()
    rows = rows_in(table)
    expected = grade_rows(result_of_built_in())
    assert [row["identifier"] for row in rows] == len(expected) * ["A T2 sag"] + len(expected) * ["B T2 sag"]
    assert [{name: row[name] for name in GRADE_COLUMNS} for row in rows] == 2 * expected
    assert {row["grading_sha256"] for row in rows} == {built_in()[1].sha256}
    assert {row["segmentation_model"] for row in rows} == {built_in()[0].name}
    for node in nodes:
        (case,) = graded_cases(node)
        assert case.tableNode is not table
        assert read_text_table(case.tableNode, GRADE_COLUMNS) == expected
        assert not case.segmentationNode.GetDisplayNode().GetVisibility()  # until a panel shows the volume


def test_volumes_of_one_name_are_told_apart(scene: Any) -> None:
    for name in ("3: t2_tse_sag", "3: t2_tse_sag", "3: T2_TSE_SAG"):
        add(scene, name)
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    names = list(dict.fromkeys(row["identifier"] for row in rows_in(loaded.write_table())))
    assert names == ["3: t2_tse_sag", "3: t2_tse_sag (2)", "3: T2_TSE_SAG (3)"]


def test_what_the_same_models_graded_is_left_as_it_is_and_is_in_the_table(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    case = GradedCase.write_new(node, result_of_built_in())
    case.correct(GradeSet("L4-L5", 1))
    text = case.segmentationNode.GetAttribute("LumbarDiscGrading.Result")
    add(scene, "B T2 sag")
    loaded = LoadedVolumes(scene)
    assert fates(loaded) == [("A T2 sag", Became.AS_BEFORE), ("B T2 sag", Became.WAITING)]
    grade_waiting(loaded)
    rows = rows_in(loaded.write_table())
    assert case.segmentationNode.GetAttribute("LumbarDiscGrading.Result") == text
    (corrected,) = [row for row in rows if row["manual_changes"]]
    assert (corrected["identifier"], corrected["level"], corrected["pfirrmann"]) == ("A T2 sag", "L4-L5", "1")


def test_what_other_models_graded_is_graded_again_in_the_same_nodes(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    case = GradedCase.write_new(node, analytic_result())
    case.segmentationNode.GetDisplayNode().SetVisibility(False)
    loaded = LoadedVolumes(scene)
    assert fates(loaded) == [("A T2 sag", Became.WAITING)]
    grade_waiting(loaded)
    (again,) = graded_cases(node)
    assert again.segmentationNode is case.segmentationNode
    assert again.result.models == built_in()
    assert loaded.volumes[0].note == ""


def test_what_a_reader_has_worked_on_is_left_as_it_is_whatever_graded_it(scene: Any) -> None:
    corrected = GradedCase.write_new(add(scene, "A T2 sag"), analytic_result())
    corrected.correct(GradeSet("L4-L5", 1))
    drawn = GradedCase.write_new(add(scene, "B T2 sag"), analytic_result())
    draw_over(drawn, "L3-L4")
    loaded = LoadedVolumes(scene)
    assert fates(loaded) == [("A T2 sag", Became.AS_BEFORE), ("B T2 sag", Became.AS_BEFORE)]
    assert all("reader" in volume.note for volume in loaded.volumes)
    assert loaded.volumes[1].doubts[0].startswith("The mask of L3-L4 was changed")
    assert not any("mask" in doubt for doubt in loaded.volumes[0].doubts)
    loaded.write_table()
    assert drawn.mask_was_drawn("L3-L4")


def test_a_volume_that_was_only_moved_counts_as_graded_and_its_discs_follow(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    case = GradedCase.write_new(node, result_of_built_in())
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = slicer.util.vtkMatrixFromArray(np.diag([1.0, 1.0, 1.0, 1.0]) + np.eye(4, k=3) * 25)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    loaded = LoadedVolumes(scene)
    assert fates(loaded) == [("A T2 sag", Became.AS_BEFORE)]
    (moved,) = graded_cases(node)
    assert moved.fit().name == "FITS"
    (center,) = {row["slice_center_lps_mm"] for row in rows_in(loaded.write_table())}
    assert (
        center
        == grade_rows(moved.result)[0]["slice_center_lps_mm"]
        != grade_rows(case.result)[0]["slice_center_lps_mm"]
    )


def test_a_volume_that_was_changed_since_is_graded_anew_beside_its_former_result(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    former = GradedCase.write_new(node, result_of_built_in())
    former.correct(GradeSet("L4-L5", 1))
    text = former.segmentationNode.GetAttribute("LumbarDiscGrading.Result")
    arrayFromVolume(node)[0, 0, 0] += 7
    arrayFromVolumeModified(node)
    loaded = LoadedVolumes(scene)
    (volume,) = loaded.waiting
    result = result_of_built_in()
    voxels = result.volume.voxels.copy()
    voxels[0, 0, 0] += 7
    loaded.write(volume, replace(result, volume=replace(result.volume, voxels=voxels)))
    assert former.segmentationNode.GetAttribute("LumbarDiscGrading.Result") == text
    assert volume.segmentationNode is not former.segmentationNode
    assert former.segmentationNode.GetName() in volume.note


def test_a_volume_that_changes_while_it_is_graded_is_refused_and_nothing_is_written(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    loaded = LoadedVolumes(scene)
    arrayFromVolume(node)[0, 0, 0] += 7
    arrayFromVolumeModified(node)
    with pytest.raises(ImagingError, match="changed while it was graded"):
        loaded.write(loaded.volumes[0], result_of_built_in())
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_a_result_that_is_corrected_while_the_volume_is_graded_again_is_kept_beside_the_new_one(scene: Any) -> None:
    node = add(scene, "A T2 sag")
    former = GradedCase.write_new(node, analytic_result())
    loaded = LoadedVolumes(scene)
    (volume,) = loaded.waiting
    former.correct(GradeSet("L4-L5", 1))
    loaded.write(volume, result_of_built_in())
    kept, new = graded_cases(node)
    assert kept.corrections == (GradeSet("L4-L5", 1),)
    assert new.segmentationNode is volume.segmentationNode
    assert former.segmentationNode.GetName() in volume.note


def test_one_that_fails_is_noted_and_the_others_are_graded(scene: Any) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        add(scene, name)
    loaded = LoadedVolumes(scene)

    def make(node: Any) -> GradingResult:
        if node.GetName() == "A T2 sag":
            raise ImagingError("No intervertebral discs were found.")
        return result_of_built_in()

    for volume in loaded.waiting:
        loaded.grade(volume, make)
    assert fates(loaded) == [("A T2 sag", Became.FAILED), ("B T2 sag", Became.GRADED)]
    assert loaded.volumes[0].note == "No intervertebral discs were found."
    assert {row["identifier"] for row in rows_in(loaded.write_table())} == {"B T2 sag"}


def test_without_any_result_there_is_no_table(scene: Any) -> None:
    add(scene, "T1 sag")
    assert LoadedVolumes(scene).write_table() is None
    assert table_of_all(scene) is None


def test_the_table_of_all_follows_every_correction_and_undo(scene: Any) -> None:
    for name in ("A T2 sag", "B T2 sag", "C T2 sag"):
        add(scene, name)
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    table = loaded.write_table()
    before = rows_in(table)
    (case,) = graded_cases(the_volume(loaded, "B T2 sag").volumeNode)
    case.correct(GradeSet("L4-L5", 1))
    changed = [row for row, old in zip(rows_in(table), before, strict=True) if row != old]
    assert [(row["identifier"], row["level"], row["pfirrmann"]) for row in changed] == [("B T2 sag", "L4-L5", "1")]
    case.undo()
    assert rows_in(table) == before


def test_the_table_of_all_follows_corrections_in_a_scene_that_was_saved_and_loaded(
    scene: Any, running_core: Any, tmp_path: Any
) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        add(scene, name)
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    before = rows_in(loaded.write_table())
    running_core.save_scene(tmp_path / "all.mrb")
    running_core.clear()
    running_core.load_scene(tmp_path / "all.mrb")
    table = table_of_all(scene)
    assert rows_in(table) == before
    node = scene.GetFirstNodeByName("B T2 sag")
    (case,) = graded_cases(node)
    case.correct(GradeSet("L1-L2", 5))
    changed = [row for row, old in zip(rows_in(table), before, strict=True) if row != old]
    assert [(row["identifier"], row["level"], row["pfirrmann"]) for row in changed] == [("B T2 sag", "L1-L2", "5")]
    assert fates(LoadedVolumes(scene)) == [("A T2 sag", Became.AS_BEFORE), ("B T2 sag", Became.AS_BEFORE)]


def test_what_was_deleted_renamed_or_corrected_meanwhile_is_so_in_the_table(scene: Any) -> None:
    nodes = [add(scene, name) for name in ("A T2 sag", "B T2 sag", "C T2 sag", "D T2 sag")]
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    scene.RemoveNode(nodes[0])
    nodes[1].SetName("B renamed")
    graded_cases(nodes[2])[0].correct(GradeSet("L4-L5", 1))
    scene.RemoveNode(graded_cases(nodes[3])[0].segmentationNode)
    rows = rows_in(loaded.write_table())
    assert list(dict.fromkeys(row["identifier"] for row in rows)) == ["B renamed", "C T2 sag"]
    assert [row["level"] for row in rows if row["manual_changes"]] == ["L4-L5"]
    assert "deleted" in loaded.volumes[0].note
    assert "deleted" in loaded.volumes[3].note


def test_the_scene_has_one_table_of_all_which_is_written_anew(scene: Any) -> None:
    add(scene, "A T2 sag")
    loaded = LoadedVolumes(scene)
    grade_waiting(loaded)
    table = loaded.write_table()
    first = loaded.volumes[0]
    scene.RemoveNode(first.volumeNode)
    add(scene, "B T2 sag")
    again = LoadedVolumes(scene)
    grade_waiting(again)
    assert again.write_table() is table
    before = rows_in(table)
    assert {row["identifier"] for row in before} == {"B T2 sag"}
    assert first.segmentationNode.GetNodeReference("LumbarDiscGrading.tableOfAll") is None


def test_what_is_doubtful_about_each_is_known(scene: Any) -> None:
    for name in ("A T2 sag", "B T2 sag"):
        add(scene, name)
    loaded = LoadedVolumes(scene)
    whole = "The image does not look T2-weighted; check the series."
    sure, doubted = result_of_built_in(), result_of_built_in(warnings=("The canal is narrow.", whole))
    discs = tuple(replace(disc, confident=True, warnings=()) for disc in sure.discs)
    loaded.write(loaded.volumes[0], replace(sure, discs=discs))
    discs = tuple(replace(disc, confident=disc.level != "L4-L5") for disc in discs)
    loaded.write(loaded.volumes[1], replace(doubted, discs=discs))
    plain, questioned = loaded.volumes
    assert (plain.doubts, plain.questioned, plain.unsure) == ((), False, ())
    assert questioned.doubts[0] == whole
    assert questioned.questioned
    assert questioned.unsure == ("L4-L5",)
    assert questioned.grades == {"L1-L2": "II", "L2-L3": "II", "L3-L4": "III", "L4-L5": "IV", "L5-S1": "V"}
    told = {row["identifier"]: row["doubts"] for row in rows_in(loaded.write_table())}
    assert told["A T2 sag"] == ""
    assert whole in told["B T2 sag"]


def draw_over(case: GradedCase, level: str) -> None:
    """Change the mask of a disc as the Segment Editor does."""
    from panel_acts import paint

    labels = np.zeros(case.result.volume.voxels.shape, dtype=np.uint8)
    labels[case.result.slice_index] = np.roll(case.drawn_mask(level), 3, axis=1)
    paint(case.segmentationNode, case.segment_id(level), case.volumeNode, case.result.volume.to_stored(labels))
