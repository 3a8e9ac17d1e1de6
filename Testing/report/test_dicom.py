"""A result as DICOM: the masks come back on their slice, the tools of others accept what is written."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from graded_series import result_on_enhanced, result_on_series

from LumbarDiscGradingLib.grading.corrections import (
    DiscAdded,
    DiscRemoved,
    GradeSet,
    MaskEdited,
    NotAssessable,
    corrected,
)
from LumbarDiscGradingLib.grading.result import GradingResult
from LumbarDiscGradingLib.report.dicom.coding import DicomOutputError
from LumbarDiscGradingLib.report.dicom.writing import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")


def planes_of(seg: pydicom.Dataset) -> dict[str, tuple[np.ndarray, list[float]]]:
    """Return the only frame of each segment and where it lies."""
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    levels = {segment.SegmentNumber: segment.SegmentLabel for segment in seg.SegmentSequence}
    numbers = [
        groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for groups in seg.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(numbers) == sorted(levels)
    positions = [
        groups.PlanePositionSequence[0].ImagePositionPatient for groups in seg.PerFrameFunctionalGroupsSequence
    ]
    return {levels[number]: (frames[i] > 0, positions[i]) for i, number in enumerate(numbers)}


def assert_on_its_slice(seg: pydicom.Dataset, result: GradingResult) -> None:
    planes = planes_of(seg)
    assert list(planes) == [disc.level for disc in result.discs]
    for disc in result.discs:
        mask, position = planes[disc.level]
        assert np.rint(result.volume.index_of_lps(position)[0]) == result.slice_index
        np.testing.assert_array_equal(mask, result.label_slice == disc.label_value)


def evaluations_of(report: pydicom.Dataset, level: str) -> list[tuple[str, str]]:
    """Return name and value of each coded evaluation in the measurement group of a disc."""
    found = []
    for group in report.ContentSequence[-2].ContentSequence:
        items = group.ContentSequence
        if any(item.get("TextValue") == f"{level} disc" for item in items):
            found += [
                (item.ConceptNameCodeSequence[0].CodeValue, item.ConceptCodeSequence[0].CodeValue)
                for item in items
                if item.ValueType == "CODE"
            ]
    return found


def written(result: GradingResult, folder: Path) -> tuple[Path, Path]:
    paths = folder / "seg.dcm", folder / "report.dcm"
    write_dicom(result, *paths)
    return paths


def test_each_disc_comes_back_on_its_slice_with_patient_and_study(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series")
    seg = pydicom.dcmread(written(result, tmp_path)[0])
    assert (seg.PatientID, seg.StudyInstanceUID, seg.FrameOfReferenceUID) == ("SECRET-4711", "1.2.3.4", "1.2.3.5")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [disc.level for disc in result.discs]
    assert_on_its_slice(seg, result)


def test_an_oblique_series_gets_its_masks_on_the_slice(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series", turned_degrees=12.0)
    assert_on_its_slice(pydicom.dcmread(written(result, tmp_path)[0]), result)


def test_an_enhanced_image_gets_its_masks_on_the_slice(tmp_path: Path) -> None:
    result = result_on_enhanced(tmp_path)
    assert_on_its_slice(pydicom.dcmread(written(result, tmp_path)[0]), result)


@pytest.mark.parametrize("ratio", [None, "10.5"])
def test_a_lossy_source_gets_its_objects(tmp_path: Path, ratio: str | None) -> None:
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"}
    lossy |= {"LossyImageCompressionRatio": ratio} if ratio else {}
    result = result_on_series(tmp_path / "series", **lossy)
    assert_on_its_slice(pydicom.dcmread(written(result, tmp_path)[0]), result)


def test_a_mask_says_whether_a_reader_had_a_part_in_it(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series")
    edited, drawn, found = (result.disc(level) for level in ("L4-L5", "L3-L4", "L2-L3"))
    assert edited and drawn and found
    masks = {disc.level: result.label_slice == disc.label_value for disc in (edited, drawn, found)}
    changes = [
        MaskEdited(edited, masks["L4-L5"]),
        DiscRemoved("L3-L4"),
        DiscAdded(drawn, masks["L3-L4"]),
        DiscRemoved("L2-L3"),
        DiscAdded(found, masks["L2-L3"], found_on_slice=1),
        GradeSet("L5-S1", 2),
    ]
    seg = pydicom.dcmread(written(corrected(result, changes), tmp_path)[0])
    kinds = {segment.SegmentLabel: segment.SegmentAlgorithmType for segment in seg.SegmentSequence}
    assert kinds.pop("L4-L5") == kinds.pop("L2-L3") == "SEMIAUTOMATIC"
    assert kinds.pop("L3-L4") == "MANUAL"
    assert set(kinds.values()) == {"AUTOMATIC"}


def test_a_report_codes_grade_prediction_set_and_author(tmp_path: Path) -> None:
    result = corrected(result_on_series(tmp_path / "series"), [GradeSet("L5-S1", 2), NotAssessable("L1-L2")])
    discs = [replace(disc, grade_set=(3, 4)) if disc.level == "L4-L5" else disc for disc in result.discs]
    report = pydicom.dcmread(written(replace(result, discs=tuple(discs)), tmp_path)[1])
    machine, reader = ("AUTHOR", "121007"), ("AUTHOR", "C28747")
    named = ("PFIRRMANN", "PFIRRMANN_SET", "GROUP", "AUTHOR")

    def told(level: str) -> list[tuple[str, str]]:
        return [pair for pair in evaluations_of(report, level) if pair[0] in named]

    sets = [("PFIRRMANN_SET", "GRADE3"), ("PFIRRMANN_SET", "GRADE4")]
    assert told("L4-L5") == [("PFIRRMANN", "GRADE4"), *sets, ("GROUP", "SERIOUS"), machine]
    assert told("L5-S1") == [("PFIRRMANN", "GRADE2"), ("GROUP", "MILD"), reader]
    assert told("L1-L2") == [("PFIRRMANN", "NOT_ASSESSABLE"), reader]


def test_the_procedure_is_that_of_the_images_and_the_device_stays_the_same(tmp_path: Path) -> None:
    plain = result_on_series(tmp_path / "plain")
    stated = pydicom.Dataset()
    stated.CodeValue, stated.CodingSchemeDesignator, stated.CodeMeaning = "MRLS", "99HOSPITAL", "MR lumbar spine"
    coded = result_on_series(tmp_path / "coded", ProcedureCodeSequence=[stated])
    told = []
    for result, name in ((plain, "a"), (coded, "b")):
        (tmp_path / name).mkdir()
        items = pydicom.dcmread(written(result, tmp_path / name)[1]).ContentSequence
        values = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in items}
        procedure = values["Procedure reported"].ConceptCodeSequence[0]
        told.append((procedure.CodeValue, values["Device Observer UID"].UID))
    assert [procedure for procedure, _ in told] == ["25056-3", "MRLS"]
    assert told[0][1] == told[1][1]


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_header_that_the_toolkit_does_not_take_is_refused_in_a_sentence_without_its_values(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series")
    for path in result.volume.source.dicom_files:
        image = pydicom.dcmread(path)
        image.PatientSex = "Jane"
        image.save_as(path)
    with pytest.raises(DicomOutputError) as refused:
        written(result, tmp_path)
    assert "Jane" not in str(refused.value)
    assert not list(tmp_path.glob("*.dcm"))


@pytest.mark.parametrize("missing", ["FrameOfReferenceUID", "SliceThickness", "PatientID", "StudyDate"])
def test_a_source_that_lacks_an_attribute_gets_its_objects(tmp_path: Path, missing: str) -> None:
    result = result_on_series(tmp_path / "series")
    for path in result.volume.source.dicom_files:
        image = pydicom.dcmread(path)
        if missing in image:
            delattr(image, missing)
            image.save_as(path)
    assert all(path.is_file() for path in written(result, tmp_path))


def test_a_source_that_nothing_can_refer_to_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DicomOutputError, match="StudyInstanceUID"):
        written(result_on_series(tmp_path / "series", StudyInstanceUID=""), tmp_path)


@pytest.mark.needs_program("dciodvfy", "dicom3tools")
@pytest.mark.parametrize("kind", ["plain", "oblique", "enhanced", "lossy"])
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    if kind == "enhanced":
        result = result_on_enhanced(tmp_path)
    else:
        lossy = {"LossyImageCompression": "01"} if kind == "lossy" else {}
        result = result_on_series(tmp_path / "series", 12.0 if kind == "oblique" else 0.0, **lossy)
    for path in written(result, tmp_path):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.needs_program("dsrdump", "dcmtk")
def test_dsrdump_reads_the_report(tmp_path: Path) -> None:
    report = written(result_on_series(tmp_path / "series"), tmp_path)[1]
    done = subprocess.run(["dsrdump", str(report)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "L4/L5 disc" in done.stdout and "Pfirrmann grade IV" in done.stdout
