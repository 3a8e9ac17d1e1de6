"""A result as DICOM: the masks come back on their slice, the tools of others accept what is written."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import Series, write_series
from example_results import analytic_result

from LumbarDiscGradingLib.grading.result import GradingResult
from LumbarDiscGradingLib.imaging.reading import read_volume
from LumbarDiscGradingLib.report.dicom.source_images import DicomOutputError
from LumbarDiscGradingLib.report.dicom.writing import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")

STUDY = {"StudyInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5", "ScanningSequence": "SE"}
STUDY |= {"SequenceVariant": "SK", "ScanOptions": "", "MRAcquisitionType": "2D", "EchoTrainLength": 1}


def result_on_series(folder: Path, **attributes: object) -> GradingResult:
    """Return the analytic result on a series of its voxels that was written and read."""
    made = analytic_result()
    volume = made.volume
    voxels = np.clip(volume.voxels, 0, 60000).astype(np.uint16)
    spacing, origin = volume.spacing_mm, tuple(volume.index_to_lps[:3, 3])
    normal = np.cross((0, 1, 0), (0, 0, -1))  # to the patient's right: slices are written from the left
    assert normal[0] == -1
    origin = tuple(np.array(origin) + volume.index_to_lps[:3, 0] * (len(voxels) - 1))
    series = Series(voxels[::-1], origin_lps=origin, spacing_mm=spacing)
    write_series(folder, series, **{**STUDY, **attributes})
    return replace(made, volume=read_volume(folder))


def written(result: GradingResult, folder: Path) -> tuple[Path, Path]:
    paths = folder / "seg.dcm", folder / "report.dcm"
    write_dicom(result, *paths)
    return paths


def test_each_disc_comes_back_on_its_slice_with_patient_and_study(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series")
    seg = pydicom.dcmread(written(result, tmp_path)[0])
    assert (seg.PatientID, seg.StudyInstanceUID, seg.FrameOfReferenceUID) == ("SECRET-4711", "1.2.3.4", "1.2.3.5")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [disc.level for disc in result.discs]
    frames = seg.pixel_array
    assert len(frames) == len(result.discs)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        disc = result.discs[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert np.rint(result.volume.index_of_lps(position)[0]) == result.slice_index
        np.testing.assert_array_equal(frame > 0, result.label_slice == disc.label_value)


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


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    for path in written(result_on_series(tmp_path / "series"), tmp_path):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
def test_dsrdump_reads_the_report(tmp_path: Path) -> None:
    report = written(result_on_series(tmp_path / "series"), tmp_path)[1]
    done = subprocess.run(["dsrdump", str(report)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "L4/L5 disc" in done.stdout and "Pfirrmann grade IV" in done.stdout
