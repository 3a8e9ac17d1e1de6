"""What is written goes through a running archive and comes back as it was."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from graded_series import result_on_series
from orthanc import DICOM_WEB_PLUGIN, asked_by_web, dicom_call, fetched_by_web, running_orthanc

from LumbarDiscGradingLib.dataset.dicom_masks import read_labels
from LumbarDiscGradingLib.report.dicom.writing import write_dicom

pytest.importorskip("highdicom", reason="highdicom is not installed")


@pytest.mark.needs_program("Orthanc", "orthanc")
@pytest.mark.needs_program(DICOM_WEB_PLUGIN, "orthanc-dicomweb")
@pytest.mark.needs_program("storescu", "dcmtk")
def test_segmentation_and_report_come_back_from_an_archive_beside_their_images(tmp_path: Path) -> None:
    result = result_on_series(tmp_path / "series")
    written = [tmp_path / "seg.dcm", tmp_path / "report.dcm"]
    write_dicom(result, *written)
    sent = [*result.volume.source.dicom_files, *written]
    back, found = tmp_path / "back", tmp_path / "found"
    back.mkdir()
    found.mkdir()
    study_uid = pydicom.dcmread(sent[0]).StudyInstanceUID
    study = ("-S", "-k", f"StudyInstanceUID={study_uid}")
    with running_orthanc(tmp_path) as orthanc:
        port = orthanc.port
        dicom_call("storescu", port, ["-R"], sent)
        query = [*study, "-k", "QueryRetrieveLevel=SERIES", "-k", "Modality", "-X", "-od", str(found)]
        dicom_call("findscu", port, query)
        dicom_call("getscu", port, [*study, "-k", "QueryRetrieveLevel=STUDY", "-od", str(back)])
        series = asked_by_web(f"{orthanc.web}/series?StudyInstanceUID={study_uid}")
        by_web = [pydicom.dcmread(BytesIO(file)) for file in fetched_by_web(f"{orthanc.web}/studies/{study_uid}")]
    assert sorted(each["00080060"]["Value"][0] for each in series) == ["MR", "SEG", "SR"]
    assert sorted(pydicom.dcmread(path, force=True).Modality for path in found.iterdir()) == ["MR", "SEG", "SR"]
    for files in (map(pydicom.dcmread, back.iterdir()), by_web):
        returned = {each.SOPInstanceUID: each for each in files}
        assert len(returned) == len(sent)
        for path in sent:
            before = pydicom.dcmread(path)
            after = returned[before.SOPInstanceUID]
            assert before.get("PixelData") == after.get("PixelData")
            assert before == after
    (segmentation,) = [path for path in back.iterdir() if pydicom.dcmread(path).Modality == "SEG"]
    volume = result.volume
    labels = read_labels(segmentation, volume.to_stored(volume.voxels).shape, volume.stored_index_to_lps, "p")
    np.testing.assert_array_equal(volume.canonical(labels)[result.slice_index], result.label_slice)
