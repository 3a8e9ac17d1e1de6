"""What goes in: which loaded series is picked, what is doubted before anything runs, and what has no millimetres."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import AXIAL, T1_TIMES, T2_TIMES, Series, slice_dataset, write_enhanced, write_series

from LumbarDiscGradingLib.imaging.acquisition import Acquisition, contrast_of, is_fat_suppressed
from LumbarDiscGradingLib.imaging.dicom import open_dicom
from LumbarDiscGradingLib.imaging.reading import read_volume
from LumbarDiscGradingLib.imaging.volume import ImagingError
from LumbarDiscGradingLib.models.store import default_model_names

slicer = pytest.importorskip("slicer")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)

STIR_TIMES = {"RepetitionTime": 4000.0, "EchoTime": 80.0, "InversionTime": 160.0}
NAMELESS = {"SeriesDescription": ""}


@pytest.fixture
def host(started: Any) -> Iterator[Any]:
    """An empty scene, an empty DICOM database and an open panel; nothing that Slicer would refuse may have happened."""
    from slicer_host.dicom_database import DicomDatabase

    started.core.clear()
    started.forget_violations()
    slicer.dicomDatabase = DicomDatabase()
    started.open()
    yield started
    started.close_panel()
    started.core.clear()
    slicer.dicomDatabase = started.database
    assert started.violations() == []


def voxels(count: int = 9, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 1000, (count, 300, 256), dtype=np.uint16)


def series(attributes: dict[str, Any], count: int = 9, **more: Any) -> Series:
    """Make a series without a description."""
    return Series(voxels(count), attributes={**NAMELESS, **attributes}, **more)


def load_study(folder: Path, *parts: Series, **attributes: Any) -> list[Any]:
    """Import series into the database and load them as the DICOM module does, in the order of the arguments."""
    from slicer_host.dicom_database import load_series

    for part in parts:
        write_series(folder / str(part.number), part, StudyInstanceUID="1.2.3", **attributes)
    slicer.dicomDatabase.insert(folder)
    return [load_series(part.uid) for part in parts]


def add_data(folder: Path, part: Series, without: tuple[str, ...]) -> Any:
    """Write a series whose header lacks something and load it by Add Data."""
    from slicer_host.dicom_database import add_files

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(len(part.voxels)):
        dataset = slice_dataset(part, index)
        for keyword in without:
            delattr(dataset, keyword)
        paths.append(folder / f"{index:03d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return add_files(paths)


def load(host: Any, volume: Any, name: str) -> Any:
    from LumbarDiscGradingLib.scene.volumes import volume_node_from

    node = volume_node_from(volume, name, host.scene)
    host.process_events()
    return node


def picked(host: Any) -> Any:
    """Open the panel anew and return what it picked."""
    host.leave()
    host.open()
    return host.ui.inputSelector.currentNode()


def doubts_of(node: Any) -> tuple[str, ...]:
    from LumbarDiscGradingLib.scene.input_choice import input_doubts

    return input_doubts(node)


# -- which series is picked


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_the_t2_of_a_study_without_descriptions_is_picked(host: Any, tmp_path: Path, order: tuple[int, ...]) -> None:
    parts = [series(T2_TIMES, number=4), series(T1_TIMES, number=5), series(STIR_TIMES, number=6)]
    nodes = load_study(tmp_path, *(parts[place] for place in order))
    assert {node.GetName() for node in nodes} == {f"{number}: Unnamed Series" for number in (4, 5, 6)}
    assert picked(host).GetName() == "4: Unnamed Series"
    assert host.widget.panel.input.doubts == ()
    assert not host.ui.inputDoubtsLabel.visible


def test_series_that_are_loaded_while_the_panel_is_open_are_picked_by_their_headers(host: Any, tmp_path: Path) -> None:
    (t1,) = load_study(tmp_path / "a", series(T1_TIMES, number=5))
    host.wait_until(lambda: host.ui.inputSelector.currentNode() is t1)
    (t2,) = load_study(tmp_path / "b", series(T2_TIMES, number=4))
    host.wait_until(lambda: host.ui.inputSelector.currentNode() is t2)


def test_the_header_counts_more_than_the_name(host: Any, tmp_path: Path) -> None:
    t1, t2 = load_study(tmp_path, series(T1_TIMES, number=5), series(T2_TIMES, number=4))
    t1.SetName("T2 sagittal")
    t2.SetName("T1 sagittal")
    assert picked(host) is t2
    assert doubts_of(t2) == ()


@pytest.mark.parametrize("step", [1, -1])
def test_panel_and_command_line_choose_the_same_series(host: Any, tmp_path: Path, step: int) -> None:
    parts = [
        series(T2_TIMES, number=9, spacing_mm=(4.0, 0.9, 0.9)),
        series(T2_TIMES, number=7),
        series({**T2_TIMES, "EchoTime": 400.0}, number=2, spacing_mm=(4.0, 0.5, 0.5)),
        series(T2_TIMES, count=3, number=1, spacing_mm=(7.0, 0.5, 0.5)),
        series({**T2_TIMES, "BodyPartExamined": "CSPINE"}, number=3, spacing_mm=(4.0, 0.5, 0.5)),
    ]
    load_study(tmp_path, *parts[::step])
    assert picked(host).GetName() == "7: Unnamed Series"
    assert "series 7: sagittal, T2, 9 images" in read_volume(tmp_path).notes[0]


def test_of_equals_without_a_header_the_one_loaded_last_is_picked(host: Any, sample: Any) -> None:
    host.leave()
    load(host, sample, "sag 1")
    last = load(host, sample, "sag 2")
    assert picked(host) is last


# -- what is doubted before it is graded


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ({"EchoTime": 10.0, "RepetitionTime": 550.0}, "The echo time (10 ms) and the repetition time (550 ms)"),
        ({"EchoTime": 10.0}, "The echo time (10 ms) is too short"),
        ({"EchoTime": 100.0, "RepetitionTime": 600.0}, "The repetition time (600 ms) is too short"),
        (STIR_TIMES, "The inversion time (160 ms) is that of fat suppression (STIR)"),
        ({**STIR_TIMES, "EchoTime": 45.0}, "The inversion time (160 ms) is that of fat suppression (STIR)"),
        ({**T2_TIMES, "ScanOptions": "FS"}, "states fat suppression"),
        ({**T2_TIMES, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({**T2_TIMES, "ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "computed (MPR)"),
        ({**T2_TIMES, "ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "phases"),
        ({**T2_TIMES, "ScanningSequence": "EP"}, "diffusion-weighted"),
        ({**T2_TIMES, "DiffusionBValue": 800.0}, "diffusion-weighted"),
        ({**T2_TIMES, "EchoTime": 700.0}, "myelographic"),
        ({**T2_TIMES, "BodyPartExamined": "CSPINE"}, "another region than the lumbar spine"),
        ({**T2_TIMES, "ProtocolName": "C-spine routine"}, "another region than the lumbar spine"),
        ({}, "does not state the contrast"),
    ],
)
def test_what_the_header_tells_is_doubted_with_its_cause(
    host: Any, tmp_path: Path, attributes: dict[str, Any], cause: str
) -> None:
    (node,) = load_study(tmp_path, series(attributes))
    host.ui.inputSelector.setCurrentNode(node)
    section = host.widget.panel.input
    assert [cause in doubt for doubt in section.doubts] == [True], section.doubts
    assert cause in host.ui.inputDoubtsLabel.text
    assert host.ui.gradeDiscsButton.enabled
    notes = read_volume(tmp_path, series=slicer.dicomDatabase.instanceValue(first_uid(node), "0020,000E")).notes
    assert notes[1:] == section.doubts  # the command line says the same


def first_uid(node: Any) -> str:
    return node.GetAttribute("DICOM.instanceUIDs").split()[0]


def test_a_t1_that_is_graded_carries_its_doubt(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

    (node,) = load_study(tmp_path, series(T1_TIMES))
    (note,) = sagittal_volume_from_node(node).notes
    assert "of a T1-weighted one" in note and doubts_of(node) == (note,)


def test_few_slices_far_apart_are_doubted_as_a_localizer(host: Any, tmp_path: Path) -> None:
    (node,) = load_study(tmp_path, series(T2_TIMES, count=3, spacing_mm=(7.0, 0.7, 0.7)))
    assert "3 slices, 7 mm apart, as in a localizer" in doubts_of(node)[0]
    node.SetAttribute("DICOM.instanceUIDs", None)  # without a header too
    assert "3 slices, 7 mm apart, as in a localizer" in doubts_of(node)[0]


def test_contrast_is_doubted_before_geometry(host: Any, tmp_path: Path) -> None:
    part = Series(voxels(1), attributes={**NAMELESS, **T1_TIMES}, spacing_mm=(4.0, 0.4, 0.4))
    (node,) = load_study(tmp_path, part)
    first, *others = doubts_of(node)
    assert "T1-weighted" in first
    assert any("single slice" in doubt for doubt in others) and any("mm high" in doubt for doubt in others)


def test_ct_is_refused(host: Any, tmp_path: Path) -> None:
    (node,) = load_study(tmp_path, series({}), Modality="CT")
    host.ui.inputSelector.setCurrentNode(node)
    assert host.widget.panel.input.refusal == "The images are CT; load a sagittal T2-weighted MR series."
    assert not host.ui.gradeDiscsButton.enabled
    node.SetAttribute("DICOM.instanceUIDs", None)  # the subject hierarchy has the modality too
    with pytest.raises(ImagingError, match="The images are CT"):
        doubts_of(node)


@pytest.mark.parametrize(("repetition_ms", "cause"), [(3000.0, ""), (600.0, "The repetition time (600 ms)")])
def test_an_enhanced_image_is_judged_by_what_its_sequences_tell(
    host: Any, tmp_path: Path, repetition_ms: float, cause: str
) -> None:
    from slicer_host.dicom_database import load_series

    part = series({"RepetitionTime": repetition_ms, "EchoTime": 10.0})  # written as 100 ms into a sequence
    write_enhanced(tmp_path / "enhanced.dcm", part, list(range(9)))
    slicer.dicomDatabase.insert(tmp_path)
    node = load_series(part.uid)
    matrix = read_volume(tmp_path / "enhanced.dcm").stored_index_to_lps  # Slicer's readers know where they lie
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix))
    found = doubts_of(node)
    assert [cause in doubt for doubt in found] == ([True] if cause else []), found


@pytest.mark.parametrize("gone", ["missing", "closed", "other"])
def test_without_the_database_names_and_geometry_decide(host: Any, tmp_path: Path, gone: str) -> None:
    t2, t1 = load_study(tmp_path, series(T2_TIMES, number=4), series(T1_TIMES, number=5))
    t1.SetName("T2 tse sag")
    t2.SetName("T1 tse sag")
    for node in (t1, t2):  # images that nobody has asked about yet
        node.SetAttribute("DICOM.instanceUIDs", f"{first_uid(node)}.1")
    if gone == "missing":
        del slicer.dicomDatabase
    elif gone == "closed":
        slicer.dicomDatabase.closeDatabase()
    assert picked(host) is t1
    assert "another contrast than T2" in doubts_of(t2)[0]


def test_a_header_that_comes_after_the_voxels_is_heeded(host: Any, tmp_path: Path) -> None:
    (node,) = load_study(tmp_path, series(T1_TIMES))
    uids = node.GetAttribute("DICOM.instanceUIDs")
    node.SetAttribute("DICOM.instanceUIDs", None)
    host.process_events()
    assert host.ui.inputSelector.currentNode() is node and host.widget.panel.input.doubts == ()
    node.SetAttribute("DICOM.instanceUIDs", uids)
    host.wait_until(lambda: "T1-weighted" in " ".join(host.widget.panel.input.doubts))
    assert "T1-weighted" in host.ui.inputDoubtsLabel.text


def test_headers_are_read_once(host: Any, tmp_path: Path) -> None:
    t1, _ = load_study(tmp_path, series(T1_TIMES, number=4), series(T2_TIMES, number=5))
    before = doubts_of(t1)
    shutil.rmtree(tmp_path)
    assert "T1-weighted" in before[0] and doubts_of(t1) == before


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]},
        {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]},
        {"SpectrallySelectedSuppression": "FAT"},
        {"InversionRecovery": "YES"},
        {"AcquisitionContrast": "DIFFUSION"},
        {"EchoTime": 0.0, "SeriesDescription": "t2 sag"},
        {"EchoNumbers": 2},
        {"ScanOptions": ["SP", "FS"]},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_panel_and_command_line_know_the_same_of_an_image(
    host: Any, tmp_path: Path, attributes: dict[str, Any], enhanced: bool
) -> None:
    from LumbarDiscGradingLib.scene.dicom_headers import header_of_node

    made = Series(voxels()[:, :48, :40], attributes={**T2_TIMES, **attributes})
    if enhanced:
        write_enhanced(tmp_path / "enhanced.dcm", made, list(range(9)))
    else:
        write_series(tmp_path, made)
    slicer.dicomDatabase.insert(tmp_path)
    node = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "loaded")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(frame.instance_uid for frame in open_dicom(tmp_path).frames))
    stack = open_dicom(tmp_path).choice(made.uid).taken
    in_panel = header_of_node(node).acquisition
    same = {field.name: getattr(stack.first, field.name) for field in fields(Acquisition)}
    assert {name: getattr(in_panel, name) for name in same} == same
    assert contrast_of(in_panel) is contrast_of(stack.first)
    assert is_fat_suppressed(in_panel) == is_fat_suppressed(stack.first)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t2_fse_sag", ()),
        ("SAG T2 FRFSE", ()),
        ("Subject1", ()),
        ("T12-L1 sag", ()),
        ("t2_tse_sag lumbar, head first", ()),
        ("SAGT2", ()),
        ("t2_tse_fs_sag", ("fat suppression",)),
        ("t2_stir", ("fat suppression",)),
        ("STIR", ("fat suppression",)),
        ("T1 sag", ("another contrast",)),
        ("sag_t1_tse", ("another contrast",)),
        ("pd_sag", ("another contrast",)),
        ("t2_flair", ("another contrast",)),
        ("ep2d_diff ADC", ("diffusion",)),
        ("t2_loc", ("localizer",)),
        ("t2_sag_cspine", ("another region",)),
        ("MR Knee T2", ("another region",)),
    ],
)
def test_names_are_doubted_by_whole_words(host: Any, sample: Any, name: str, words: tuple[str, ...]) -> None:
    found = doubts_of(load(host, sample, name))
    assert len(found) == len(words)
    assert all(word in doubt for word, doubt in zip(words, found, strict=True))


@pytest.mark.parametrize("attributes", [{"SeriesDescription": "SAG T2_FSE"}, {"ScanOptions": ["SP", "PFP"]}])
def test_a_plain_t2_is_not_taken_for_fat_suppressed_by_the_command_line(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    """FSE is no FS, and the signal that is saturated in front of the spine is not that of fat."""
    write_series(tmp_path, Series(voxels(), attributes={**T2_TIMES, **attributes}))
    notes = read_volume(tmp_path).notes
    assert len(notes) == 1 and "sagittal, T2," in notes[0]


def test_opening_a_panel_on_a_study_loads_no_library_for_dicom(checkout: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from slicer_host.application import SlicerHost\n"
        f"host = SlicerHost(Path({str(checkout / 'LumbarDiscGrading' / 'LumbarDiscGrading.py')!r}))\n"
        "import slicer, numpy as np\n"
        "from LumbarDiscGradingLib.scene.input_choice import likely_volume, input_doubts\n"
        "node = host.scene.AddNewNodeByClass('vtkMRMLScalarVolumeNode', 'sag')\n"
        "slicer.util.updateVolumeFromArray(node, np.ones((64, 64, 64), np.int16)); node.SetOrigin(5.0, 9.0, 7.0)\n"
        "assert likely_volume(host.scene) is node; input_doubts(node)\n"
        "print([name for name in ('torch', 'SimpleITK', 'scipy', 'pydicom') if name in sys.modules]); host.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


@pytest.mark.parametrize(
    ("name", "count", "distance_mm", "causes"),
    [
        ("t2_tse_sag", 9, 4.0, []),
        ("t1_tse_sag", 9, 4.0, ["another contrast than T2"]),
        ("t2_fs", 3, 7.0, ["fat suppression", "as in a localizer"]),
        ("anything", 3, 7.0, ["as in a localizer"]),
    ],
)
def test_a_file_without_a_header_is_doubted_alike_by_panel_and_command_line(
    host: Any, tmp_path: Path, name: str, count: int, distance_mm: float, causes: list[str]
) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.random.default_rng(3).integers(1, 900, (300, 256, count)).astype(np.int16))
    image.SetSpacing((distance_mm, 0.8, 0.8))
    image.SetOrigin((-16.0, -100.0, -110.0))
    path = tmp_path / f"{name}.nrrd"
    sitk.WriteImage(image, str(path))
    notes = read_volume(path).notes
    assert all(cause in note for cause, note in zip(causes, notes, strict=True))
    assert doubts_of(loaded_file(path)) == notes


# -- series without geometry


def test_without_a_pixel_size_there_are_no_millimetres(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_geometry_of_node, sagittal_volume_from_node

    node = add_data(tmp_path, series(T2_TIMES), without=("PixelSpacing",))
    assert node.GetSpacing()[:2] == (1.0, 1.0)
    for volume in (sagittal_geometry_of_node(node), sagittal_volume_from_node(node)):
        assert not volume.scale_known
    assert [("no pixel size" in doubt) for doubt in doubts_of(node)] == [True]
    from_files = read_volume(tmp_path)
    assert not from_files.scale_known and any("no pixel size" in note for note in from_files.notes)
    node.SetSpacing(0.7, 0.7, 4.0)  # the user has set it
    assert sagittal_geometry_of_node(node).scale_known and doubts_of(node) == ()


NOTHING = ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")


def test_slices_without_any_geometry_are_refused_with_the_cause(host: Any, tmp_path: Path) -> None:
    node = add_data(tmp_path, series(T2_TIMES), without=NOTHING)
    assert node.GetSpacing() == (1.0, 1.0, 1.0)
    host.ui.inputSelector.setCurrentNode(node)
    assert "no pixel size or orientation in its header" in host.widget.panel.input.refusal
    assert not host.ui.gradeDiscsButton.enabled


def unstated_nrrd(
    path: Path, shape: tuple[int, int, int], origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Path:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.random.default_rng(3).integers(1, 900, shape).astype(np.int16))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def loaded_file(path: Path) -> Any:
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.stem)
    assert storage.ReadData(node)
    return node


def test_a_file_that_states_nothing_is_read_alike_by_panel_and_command_line(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

    path = unstated_nrrd(tmp_path / "nothing.nrrd", (120, 100, 40))
    node = loaded_file(path)
    in_panel, from_file = sagittal_volume_from_node(node), read_volume(path)
    assert not in_panel.scale_known and not from_file.scale_known
    assert "no pixel size or orientation" in " ".join(in_panel.notes)
    assert "no pixel size or orientation" in " ".join(from_file.notes)
    assert "no pixel size or orientation" in " ".join(doubts_of(node))
    stack = unstated_nrrd(tmp_path / "stack.nrrd", (15, 300, 256))
    for read in (lambda: read_volume(stack), lambda: sagittal_volume_from_node(loaded_file(stack))):
        with pytest.raises(ImagingError, match="no pixel size or orientation in its header"):
            read()


def test_a_volume_centered_by_slicer_states_no_more_than_before(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_geometry_of_node

    node = loaded_file(unstated_nrrd(tmp_path / "nothing.nrrd", (120, 100, 40)))
    node.SetOrigin(19.5, 49.5, -59.5)
    assert not sagittal_geometry_of_node(node).scale_known


def test_a_true_volume_of_one_millimetre_keeps_its_scale(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_geometry_of_node

    path = unstated_nrrd(tmp_path / "true.nrrd", (300, 200, 60), origin=(-31.5, -80.25, 112.0))
    node = loaded_file(path)
    assert sagittal_geometry_of_node(node).scale_known and read_volume(path).scale_known
    assert not any("pixel size" in doubt for doubt in doubts_of(node))


def test_a_series_with_geometry_of_one_millimetre_keeps_its_scale(host: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import sagittal_geometry_of_node

    (node,) = load_study(tmp_path, series(T2_TIMES, spacing_mm=(4.0, 1.0, 1.0)))
    assert sagittal_geometry_of_node(node).scale_known and doubts_of(node) == ()


@needs_models
def test_a_phantom_without_a_pixel_size_is_graded_without_millimetres(host: Any, sample: Any, tmp_path: Path) -> None:
    part = Series(
        sample.voxels[::-1].astype(np.uint16), attributes={**NAMELESS, **T2_TIMES}, spacing_mm=(4.0, 0.6, 0.6)
    )
    node = add_data(tmp_path, part, without=("PixelSpacing",))
    result = host.module.LumbarDiscGradingLogic().process(node, device="cpu").result
    assert [disc.level for disc in result.discs][-5:] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    assert all(disc.measurements.height_mm is None for disc in result.discs)
    (said,) = [warning for warning in result.warnings if "pixel size is an estimate" in warning]
    estimate = float(said.split("(")[1].split(" mm")[0])
    assert estimate == pytest.approx(sample.spacing_mm[1], rel=0.15)


@needs_models
def test_an_unknown_scale_is_found_from_whatever_size_stands_in_for_it(sample: Any) -> None:
    """A picture gets that of the usual field of view, a volume node 1 mm: far too large for fine pixels."""
    from LumbarDiscGradingLib.grading.grader import DiscGrader

    finer = sample.voxels[6:9].repeat(2, axis=1).repeat(2, axis=2)
    results = []
    for pixel_mm in (1.0, 280.0 / finer.shape[1]):
        matrix = sample.index_to_lps.copy()
        matrix[:3, 1:3] *= pixel_mm / sample.spacing_mm[1]
        volume = replace(sample, voxels=finer, index_to_lps=matrix, scale_known=False)
        results.append(DiscGrader("cpu").grade(volume, slice_index=1))
    assert np.array_equal(results[0].label_slice, results[1].label_slice)
    assert results[0].warnings == results[1].warnings


# -- what is offered


def test_the_evidence_of_a_grading_is_not_offered_as_an_image(host: Any, sample: Any) -> None:
    from LumbarDiscGradingLib.scene.volumes import EVIDENCE_ATTRIBUTE, volume_node_from

    image = load(host, sample, "T2 sagittal")

    def add_evidence() -> Any:
        node = host.scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        node.UnRegister(None)
        node.SetName("T2 sagittal evidence")
        node.SetAttribute(EVIDENCE_ATTRIBUTE, "made of something")
        host.scene.AddNode(node)
        slicer.util.updateVolumeFromArray(node, sample.to_stored(sample.voxels))
        return node

    offered = host.ui.inputSelector
    add_evidence()
    host.process_events()
    assert [offered.combo.itemData(row) for row in range(1, offered.combo.count)] == [image.GetID()]
    host.leave()
    add_evidence()
    other = volume_node_from(sample, "T2 sagittal, another", host.scene)
    host.open()
    ids = [offered.combo.itemData(row) for row in range(1, offered.combo.count)]
    assert ids == [image.GetID(), other.GetID()]


def test_a_scene_that_comes_with_evidence_does_not_offer_it(host: Any, sample: Any, tmp_path: Path) -> None:
    from LumbarDiscGradingLib.scene.volumes import EVIDENCE_ATTRIBUTE

    image, evidence = load(host, sample, "T2 sagittal"), load(host, sample, "evidence")
    evidence.SetAttribute(EVIDENCE_ATTRIBUTE, "made of something")
    host.leave()
    host.open()
    offered = host.ui.inputSelector
    assert [offered.combo.itemText(row) for row in range(1, offered.combo.count)] == [image.GetName()]


# -- the sample


def test_the_sample_comes_by_its_button_and_by_a_script_without_network(
    host: Any, sample: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicer_host.sample_data import SampleData

    data = SampleData(tmp_path)
    monkeypatch.setitem(sys.modules, "SampleData", data)
    slicer.modules.sampledata = object()
    host.module.registerSample()
    assert Path(data.sources["LumbarPhantom"].thumbnailFileName).is_file()
    data.click("LumbarPhantom")
    node = data.downloadSample("LumbarPhantom")
    assert data.downloadSamples("LumbarPhantom")[0] is not node  # from the cache
    from LumbarDiscGradingLib.scene.volumes import sagittal_volume_from_node

    for number in range(3):
        loaded = host.scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
        assert loaded.GetName().startswith("Lumbar phantom T2 sagittal")
        volume = sagittal_volume_from_node(loaded)
        assert np.array_equal(volume.voxels, sample.voxels)
        assert np.allclose(volume.index_to_lps, sample.index_to_lps)
    assert data.rules[0]("https://example.org/file.nrrd") == "https://example.org/file.nrrd"


def test_the_plane_of_an_axial_series_is_refused_as_before(host: Any, tmp_path: Path) -> None:
    axial = Series(voxels(), AXIAL, attributes={**NAMELESS, **T2_TIMES})
    (node,) = load_study(tmp_path, axial)
    with pytest.raises(ImagingError, match="No sagittal slices"):
        doubts_of(node)
