"""Import into a study and export out of it: de-identified, whole or refused, readable by other tools' own loaders."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import SAGITTAL, T1_TIMES, T2_TIMES, Series, write_enhanced, write_series
from example_studies import (
    eroded,
    labelled_folder,
    make_study,
    protocol,
    read_grades,
    read_masks,
    truth_masks,
    write_volume,
)
from graded_series import result_on_series, write_foreign_segmentation

from LumbarDiscGradingLib.annotation.agreement.agreement import study_agreement
from LumbarDiscGradingLib.annotation.errors import StudyError
from LumbarDiscGradingLib.annotation.exchange.export import export_study, split_cases
from LumbarDiscGradingLib.annotation.exchange.export_check import verify_export
from LumbarDiscGradingLib.annotation.exchange.importing import import_sources
from LumbarDiscGradingLib.annotation.exchange.layouts import Layout
from LumbarDiscGradingLib.annotation.exchange.reimport import import_export
from LumbarDiscGradingLib.annotation.protocol import Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.reference import consensus_grades, consensus_masks
from LumbarDiscGradingLib.annotation.study.states import CaseState, StudyStates
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset, person_of
from LumbarDiscGradingLib.dataset.splits import STUDY_PROPORTIONS
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue
from LumbarDiscGradingLib.report.dicom.writing import write_dicom

SECRETS = (b"doe", b"jane", b"secret-4711", b"19700101", b"study of")


def voxels(seed: int, shape: tuple[int, int, int] = (5, 64, 48)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 800, shape).astype(np.uint16)


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def empty(tmp_path: Path) -> Study:
    return Study.create(tmp_path / "study", protocol())


def test_a_dicom_folder_is_imported_without_anything_that_names_the_patient(empty, tmp_path):
    attributes = {
        **T2_TIMES,
        "PatientBirthDate": "19700101",
        "StudyDescription": "study of Doe",
        "StudyDate": "19700101",
    }
    attributes |= {"Manufacturer": "SIEMENS Doe", "MagneticFieldStrength": 1.5, "MRAcquisitionType": "2D"}
    write_series(tmp_path / "in" / "jane", Series(voxels(0), SAGITTAL, attributes=attributes))
    report = import_sources(empty, [tmp_path / "in"])
    assert report.added == ["C0001"] and not report.failed
    case = Study.open(empty.folder).case("C0001")
    assert np.array_equal(np.sort(case.volume().voxels, axis=None), np.sort(voxels(0), axis=None))
    assert case.acquisition == {
        "manufacturer": "siemens",
        "magnetic_field_strength_t": 1.5,
        "repetition_time_ms": 3500.0,
        "echo_time_ms": 105.0,
        "slice_thickness_mm": 4.0,
        "modality": "MR",
        "acquisition_type": "2D",
    }
    for name, content in all_bytes(empty.folder).items():
        assert not any(secret in content.lower() or secret.decode() in name.lower() for secret in SECRETS), name
    mapping = tmp_path / "study-mapping.csv"
    assert "SECRET-4711" in mapping.read_text()
    assert os.name == "nt" or mapping.stat().st_mode & 0o077 == 0


def test_the_series_of_each_study_can_be_named_and_the_report_says_what_was_read(empty, tmp_path):
    for number, attributes in ((3, T2_TIMES), (4, T1_TIMES)):
        write_series(tmp_path / "in", Series(voxels(number), SAGITTAL, number=number, attributes=attributes))
    report = import_sources(empty, [tmp_path / "in"], series="4")
    assert not report.failed
    assert np.array_equal(empty.case("C0001").volume().voxels, voxels(4)[::-1])
    assert empty.case("C0001").acquisition["echo_time_ms"] == T1_TIMES["EchoTime"]
    assert any("C0001: Read from DICOM series 4" in note and "not taken: series 3" in note for note in report.notes)
    failed = import_sources(empty, [tmp_path / "in"], series="nothing").failed
    assert len(failed) == 1 and "no series with that" in failed[0][1]


def test_each_header_of_a_study_is_read_once(empty, tmp_path, monkeypatch):
    for number, attributes in ((3, T2_TIMES), (4, T1_TIMES)):
        write_series(tmp_path / "in", Series(voxels(number), SAGITTAL, number=number, attributes=attributes))
    read = []
    dcmread = pydicom.dcmread

    def counted(path, *arguments, **options):
        if options.get("stop_before_pixels"):
            read.append(Path(path if isinstance(path, (str, Path)) else path.name))
        return dcmread(path, *arguments, **options)

    monkeypatch.setattr(pydicom, "dcmread", counted)
    assert import_sources(empty, [tmp_path / "in"]).added
    assert sorted(read) == sorted((tmp_path / "in").iterdir())


def test_a_study_whose_headers_spell_the_name_in_two_ways_is_one_case(empty, tmp_path):
    for number, name in ((3, "Doe^Jane"), (4, "DOE^JANE")):
        attributes = {**T2_TIMES, "StudyInstanceUID": "1.2", "PatientName": name}
        write_series(tmp_path / "in", Series(voxels(number), SAGITTAL, number=number, attributes=attributes))
    assert import_sources(empty, [tmp_path / "in"]).added == ["C0001"]


def test_an_image_that_describes_too_few_frames_is_left_out_and_said(empty, tmp_path):
    broken = write_enhanced(tmp_path / "in" / "enhanced.dcm", Series(voxels(1)), list(range(5)))
    dataset = pydicom.dcmread(broken)
    dataset.NumberOfFrames = 7
    dataset.save_as(broken)
    write_series(tmp_path / "in", Series(voxels(3), number=3))
    report = import_sources(empty, [tmp_path / "in"])
    assert report.added == ["C0001"]
    assert [Path(path).name for path, _ in report.failed] == ["enhanced.dcm"]
    assert "has 7 frames but describes 5" in report.failed[0][1]


def test_studies_of_two_patients_in_one_folder_become_two_cases_and_one_patient_stays_one(empty, tmp_path):
    for number, (patient, study_uid) in enumerate((("P-AAAA", "1.2"), ("P-BBBB", "1.3"), ("P-AAAA", "1.4"))):
        attributes = {**T2_TIMES, "PatientID": patient, "StudyInstanceUID": study_uid}
        names = [f"{number}_{i}.dcm" for i in range(5)]
        write_series(tmp_path / "in", Series(voxels(number), SAGITTAL, attributes=attributes), names)
    report = import_sources(empty, [tmp_path / "in"])
    assert len(report.added) == 3 and not report.failed, report.failed
    patients = [empty.case(case).patient for case in report.added]
    assert len(set(patients)) == 2
    with (tmp_path / "study-mapping.csv").open(newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    same = [case for case in rows if rows[case]["source_patient"] == "P-AAAA"]
    assert len(same) == 2 and empty.case(same[0]).patient == empty.case(same[1]).patient


def test_the_same_voxels_are_imported_once_whatever_the_format(empty, tmp_path):
    write_volume(tmp_path / "doe.nrrd", voxels(1), "Doe Jane 19700101")
    write_volume(tmp_path / "copy.mha", voxels(1).astype(np.int16))
    write_volume(tmp_path / "other.nii.gz", voxels(2).astype(np.float32))
    first = import_sources(empty, [tmp_path / "doe.nrrd"])
    second = import_sources(Study.open(empty.folder), [tmp_path / "copy.mha", tmp_path / "other.nii.gz"])
    assert first.added == ["C0001"] and second.added == ["C0002"]
    assert second.duplicates == [(str(tmp_path / "copy.mha"), "C0001")]
    for content in all_bytes(empty.folder).values():
        assert b"doe" not in content.lower()


def one_reader(**changes: object):
    readers = (Reader("spider", (Role.ANNOTATOR, Role.GRADER), 7),)
    return protocol(**{"readers": readers, "double_grades": False, "peer_review": False, **changes})


def test_label_maps_and_grades_become_a_readers_signed_readings(tmp_path):
    study = Study.create(tmp_path / "study", one_reader())
    report = import_sources(study, [labelled_folder(tmp_path / "in")], reader="spider")
    assert (len(report.added), report.readings, report.failed) == (2, 4, [])
    states = StudyStates(Study.open(study.folder))
    assert states.state("C0001", Task.MASKS) is CaseState.SIGNED
    assert np.array_equal(consensus_masks(states, "C0001"), truth_masks())
    export_study(states.study, tmp_path / "out")
    exported = LabelledDataset.open(tmp_path / "out").cases[0].mask()  # the canal comes back out: training needs it
    expected = truth_masks()
    expected[:, :, 40:44] = Tissue.CANAL
    assert np.array_equal(exported, expected)
    again = Study.create(tmp_path / "again", study.protocol)
    import_export(again, tmp_path / "out")
    assert again.case("C0001").surroundings_sha256 == study.case("C0001").surroundings_sha256 is not None
    assert consensus_grades(states, "C0001") == {level: 1 + i for i, level in enumerate(LUMBAR_LEVELS)}
    assert verify_study(states.study) == []
    log = (study.folder / "readers" / "spider" / "events.jsonl").read_text()
    assert log.count('"imported":true') == 4


def test_grades_of_levels_outside_the_study_are_left_out_and_said(tmp_path):
    study = Study.create(tmp_path / "study", one_reader())
    folder = labelled_folder(tmp_path / "in", patients=1)
    with (folder / "grades.csv").open("a") as table:
        table.write("p0,L6-S1,3,x\n")
    notes = " ".join(import_sources(study, [folder], reader="spider").notes)
    assert "L6-S1 are no levels of this study" in notes and "six lumbar vertebrae" in notes


def test_patients_whose_names_are_no_utf8_are_kept_apart(empty, tmp_path):
    (tmp_path / "in").mkdir()
    write_volume(tmp_path / "volume.nrrd", voxels(1))
    for name, seed in ((b"m\xe4.nrrd", 1), (b"m\xf6.nrrd", 2)):
        write_volume(tmp_path / "volume.nrrd", voxels(seed))
        try:
            os.rename(tmp_path / "volume.nrrd", os.path.join(os.fsencode(tmp_path / "in"), name))
        except (OSError, UnicodeDecodeError):
            pytest.skip("this file system holds UTF-8 names only")
    report = import_sources(empty, [tmp_path / "in"])
    assert not report.failed and len({empty.case(case).patient for case in report.added}) == 2
    assert "m%E4" in (tmp_path / "study-mapping.csv").read_text(encoding="utf-8")


def test_a_label_map_whose_values_are_in_another_order_is_refused_and_nothing_of_it_kept(empty, tmp_path):
    folder = labelled_folder(tmp_path / "in")
    mask = sitk.ReadImage(str(folder / "p0_labels.nrrd"))
    exchanged = np.array([0, int(Tissue.DISC), int(Tissue.VERTEBRA)], np.uint8)
    write_volume(folder / "p0_labels.nrrd", exchanged[np.where(sitk.GetArrayFromImage(mask) == Tissue.DISC, 2, 0)])
    report = import_sources(empty, [folder])
    assert [Path(path).name for path, _ in report.failed] == ["p0_t2.nrrd"]
    assert "another order" in report.failed[0][1]
    assert len(Study.open(empty.folder).case_ids) == len(report.added) == 1


def test_the_segmentation_in_a_dicom_study_becomes_a_readers_masks(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    result = result_on_series(tmp_path / "in" / "t2")
    write_dicom(result, tmp_path / "in" / "seg.dcm", tmp_path / "in" / "report.dcm")
    study = Study.create(tmp_path / "study", one_reader())
    report = import_sources(study, [tmp_path / "in"], reader="spider")
    assert (len(report.added), report.readings, report.failed) == (1, 1, [])
    assert [note for note in report.notes if "Read from DICOM series" not in note] == []
    masks = consensus_masks(StudyStates(Study.open(study.folder)), "C0001")
    lumbar = np.isin(result.label_slice, [DISC_LABELS[level] for level in LUMBAR_LEVELS])
    assert np.array_equal(masks[result.slice_index], np.where(lumbar, result.label_slice, 0))
    assert np.count_nonzero(masks) == np.count_nonzero(lumbar)


def test_segmentations_that_cannot_be_a_readers_masks_leave_the_image_alone(tmp_path):
    pytest.importorskip("highdicom", reason="highdicom is not installed")
    result = result_on_series(tmp_path / "in" / "t2")
    files, masks = result.volume.source.dicom_files, np.ones((*result.volume.voxels.shape, 1), np.uint8)
    tumour = [("Mass", ("SCT", "4147007", "Mass"))]
    write_foreign_segmentation(tmp_path / "in" / "mass.dcm", files, tumour, masks)
    several = "2 segmentations of its discs, of which none was taken"
    for name, told, readings in (("mass", "no segment of a disc", 0), ("one", "", 1), ("two", several, 0)):
        study = Study.create(tmp_path / name, one_reader())
        report = import_sources(study, [tmp_path / "in"], reader="spider")
        assert (len(report.added), report.readings, report.failed) == (1, readings, [])
        assert told in " ".join(report.notes)
        write_dicom(result, tmp_path / "in" / f"after_{name}.dcm", tmp_path / "in" / "report.dcm")


def test_grades_of_several_readers_in_one_table_become_each_readers_own(empty, tmp_path):
    folder = labelled_folder(tmp_path / "in", patients=1)
    rows = ["patient,level,pfirrmann,reader"]
    for reader, lowest in (("carl", 5), ("dora", 4), ("zoe", 1)):
        rows += [
            f"p0,{level},{i + 1 if level != 'L5-S1' else lowest},{reader}" for i, level in enumerate(LUMBAR_LEVELS)
        ]
    (folder / "grades.csv").write_text("\n".join(rows) + "\n")
    report = import_sources(empty, [folder], reader="anna")
    assert report.readings == 3  # anna's masks, carl's and dora's grades
    assert len(report.notes) == 1 and "'zoe' were left out" in report.notes[0]
    found = StudyStates(Study.open(empty.folder)).disagreements("C0001", Task.GRADES)
    assert [(d.level, d.first, d.second) for d in found] == [("L5-S1", 5, 4)]


def test_readings_may_come_after_the_images(tmp_path):
    study = Study.create(tmp_path / "study", one_reader())
    folder = labelled_folder(tmp_path / "in")
    assert import_sources(study, [folder]).readings == 0
    report = import_sources(Study.open(study.folder), [folder], reader="spider")
    assert (report.added, report.readings, len(report.duplicates)) == ([], 4, 2)
    assert import_sources(Study.open(study.folder), [folder], reader="spider").readings == 0


def test_an_import_that_was_broken_off_is_completed_by_the_next_one(empty, tmp_path):
    write_volume(tmp_path / "a.nrrd", voxels(3))
    import_sources(empty, [tmp_path / "a.nrrd"])
    (tmp_path / "study-mapping.csv").unlink()  # killed before the mapping was written
    report = import_sources(Study.open(empty.folder), [tmp_path / "a.nrrd"])
    assert report.duplicates == [(str(tmp_path / "a.nrrd"), "C0001")]
    assert "C0001,C0001" in (tmp_path / "study-mapping.csv").read_text()


def test_labels_without_a_named_reader_are_left_out_and_said_so(empty, tmp_path):
    report = import_sources(empty, [labelled_folder(tmp_path / "in")])
    assert report.readings == 0 and "name their reader" in report.notes[0]


def test_one_bad_file_does_not_stop_an_import(empty, tmp_path):
    (tmp_path / "broken.nrrd").write_bytes(b"NRRD0004\nnonsense")
    write_volume(tmp_path / "good.nrrd", voxels(3))
    report = import_sources(empty, [tmp_path / "broken.nrrd", tmp_path / "good.nrrd"])
    assert report.added == ["C0001"] and report.failed[0][0].endswith("broken.nrrd")


def test_the_mapping_may_not_lie_inside_the_study(empty, tmp_path):
    write_volume(tmp_path / "good.nrrd", voxels(3))
    with pytest.raises(StudyError, match="inside the study"):
        import_sources(empty, [tmp_path / "good.nrrd"], mapping=empty.folder / "mapping.csv")


@pytest.fixture
def finished(tmp_path: Path) -> Study:
    """Eight cases read, reviewed and adjudicated; a ninth is only begun."""
    folder = tmp_path / "finished"
    make_study(folder, cases=9)
    for number in range(1, 9):
        case = f"C{number:04d}"
        read_masks(folder, "anna", case, truth_masks())
        review = ReaderSession.open(folder, "ben").open_review(case, "anna")
        for level in LUMBAR_LEVELS[:4]:
            review.accept(level)
        corrected = eroded(truth_masks(), "L5-S1", number % 3) == truth_masks().max()
        review.correct("L5-S1", corrected)
        review.sign()
        read_grades(folder, "carl", case, [1, 2, 3, 4, 5])
        read_grades(folder, "dora", case, [1, 2, 3, 4, 5 - number % 2])
    for number in range(1, 9, 2):
        adjudication = ReaderSession.open(folder, "emil").open_adjudication(f"C{number:04d}", Task.GRADES)
        adjudication.decide("L5-S1", "own", "bone on bone", grade=5)
        adjudication.sign()
    read_grades(folder, "carl", "C0009", [1, 1, 1, 1, 1])
    return Study.open(folder)


def test_an_export_is_a_data_set_with_reference_readings_and_splits(finished, tmp_path):
    report = export_study(finished, tmp_path / "out", seed=3, licence="CC BY 4.0", attribution="Us")
    assert report.unfinished == ("C0009",) and (report.masks, report.grades) == (8, 40)
    dataset = LabelledDataset.open(tmp_path / "out")
    assert [len(dataset.cases_in(split)) for split in ("train", "tune", "test")] == [6, 1, 1]
    assert report.splits == {split: [c.patient for c in dataset.cases_in(split)] for split in report.splits}
    case = next(case for case in dataset.cases if case.patient == "C0001")
    assert case.grades == {"L1-L2": 1, "L2-L3": 2, "L3-L4": 3, "L4-L5": 4, "L5-S1": 5}
    assert np.array_equal(case.mask(), eroded(truth_masks(), "L5-S1", 1))
    assert np.array_equal(case.volume().voxels, finished.case("C0001").volume().voxels)
    rows = list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))
    assert {row["pfirrmann"] for row in rows if (row["patient"], row["level"]) == ("C0001", "L5-S1")} == {"4", "5"}
    assert {row["reader"] for row in rows} == {"", "carl", "dora"}
    assert "CC BY 4.0" in (tmp_path / "out" / "README.md").read_text()
    assert verify_export(tmp_path / "out") == []
    again = export_study(finished, tmp_path / "again", seed=3)
    assert again.splits == report.splits
    other = export_study(finished, tmp_path / "other", proportions={"train": 1, "tune": 0, "test": 1})
    assert [len(other.splits[split]) for split in ("train", "tune", "test")] == [6, 0, 2]


def test_a_test_patient_of_one_export_is_a_test_patient_of_the_next(tmp_path):
    study = make_study(tmp_path / "study", cases=40, shape=(1, 24, 12))
    random = np.random.default_rng(0)
    for seed in range(5):
        finished = random.permutation(study.case_ids).tolist()
        tests: list[set[str]] = []
        for count in (3, 10, 20, 40):  # cases are finished in any order
            splits = split_cases(study, sorted(finished[:count]), STUDY_PROPORTIONS, seed)
            tests.append(set(splits["test"]))
            assert splits["train"] and (splits["tune"] or count == 3)
        assert tests[0] <= tests[1] <= tests[2] <= tests[3]
        assert len(tests[3]) >= 3


def test_an_export_knows_which_cases_are_of_one_patient_but_not_who_it_is(tmp_path):
    study = Study.create(tmp_path / "study", one_reader(tasks=(Task.GRADES,)))
    for number, patient in enumerate(("SECRET-4711", "P-BBBB", "SECRET-4711", "SECRET-4711", "P-CCCC")):
        attributes = {**T2_TIMES, "PatientID": patient, "StudyInstanceUID": f"1.{number}"}
        write_series(tmp_path / "in" / str(number), Series(voxels(number), SAGITTAL, attributes=attributes))
    cases = import_sources(study, [tmp_path / "in"]).added
    for case in cases:
        read_grades(study.folder, "spider", case, [1, 2, 3, 4, 5])
    export_study(Study.open(study.folder), tmp_path / "out")
    exported = {case.patient: case for case in LabelledDataset.open(tmp_path / "out").cases}
    assert {case: exported[case].subject for case in cases} == {case: study.case(case).patient for case in cases}
    assert sorted(Counter(person_of(case) for case in exported.values()).values()) == [1, 1, 3]
    assert len({case.split for case in exported.values() if case.subject == cases[0]}) == 1
    for name, content in all_bytes(tmp_path / "out").items():
        assert not any(secret in content.lower() for secret in (b"secret", b"p-bbbb", b"p-cccc")), name
    assert verify_export(tmp_path / "out", ["SECRET-4711"]) == []
    again = Study.create(tmp_path / "again", study.protocol)
    import_export(again, tmp_path / "out")
    assert [again.case(case).patient for case in cases] == [study.case(case).patient for case in cases]


def test_verify_tells_a_broken_export_from_a_whole_one(finished, tmp_path):
    export_study(finished, tmp_path / "whole")
    breaks = {
        "missing": lambda f: (f / "masks" / "C0001.nrrd").unlink(),
        "changed": lambda f: (f / "grades.csv").write_text((f / "grades.csv").read_text().replace(",5,", ",4,")),
        "not part": lambda f: (f / "images" / "extra.nrrd").write_bytes(b"x"),
        "has been changed": lambda f: (f / "README.md").write_text("other"),
    }
    for number, (message, break_it) in enumerate(breaks.items()):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / f"broken{number}")
        break_it(folder)
        assert any(message in problem for problem in verify_export(folder)), message
    with pytest.raises(StudyError, match="no export"):
        verify_export(tmp_path)


def test_nothing_is_exported_that_holds_an_original_identifier(finished, tmp_path):
    (tmp_path / "finished-mapping.csv").write_text("case,patient,source_patient,source\nC0001,C0001,Bone on,x\n")
    with pytest.raises(StudyError, match="identifier"):
        export_study(finished, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_imported_again_gives_the_same_study(finished, tmp_path):
    export_study(finished, tmp_path / "out")
    again = Study.create(tmp_path / "again", finished.protocol)
    report = import_export(again, tmp_path / "out")
    assert (len(report.added), report.readings) == (8, 24)
    one, two = StudyStates(finished), StudyStates(again)
    for case in report.added:
        for task in Task:
            assert one.state(case, task) is two.state(case, task)
            assert [(r.reader, r.sha256) for r in one.signed_readings(case, task)] == [
                (r.reader, r.sha256) for r in two.signed_readings(case, task)
            ]
        assert consensus_grades(one, case) == consensus_grades(two, case)
        assert np.array_equal(consensus_masks(one, case), consensus_masks(two, case))
    assert repr(study_agreement(again, 50).grades) == repr(study_agreement(finished, 50).grades)
    assert verify_study(again) == []
    repeated = import_export(again, tmp_path / "out")
    assert (repeated.added, repeated.readings, len(repeated.duplicates)) == ([], 0, 8)
    (tmp_path / "out" / "grades.csv").unlink()
    with pytest.raises(StudyError, match="not whole"):
        import_export(Study.create(tmp_path / "third", finished.protocol), tmp_path / "out")


def nnunet_problems(folder: Path) -> list[str]:
    """Each rule of ``nnunetv2.experiment_planning.verify_dataset_integrity`` (2.8.1), its warnings included."""
    content = json.loads((folder / "dataset.json").read_text())
    problems = [f"no {key}" for key in ("labels", "channel_names", "numTraining", "file_ending") if key not in content]
    ending, channels = content["file_ending"], list(content["channel_names"])
    images = sorted(path.name for path in (folder / "imagesTr").iterdir() if path.name.endswith(ending))
    cases = sorted({name[: -len(ending) - 5] for name in images})
    if images != sorted(f"{case}_{int(channel):04d}{ending}" for case in cases for channel in channels):
        problems.append("images are not one file for each case and channel")
    if len(cases) != content["numTraining"]:
        problems.append("another number of training cases")
    values = list(content["labels"].values())
    if content["labels"].get("background") != 0 or sorted(values) != list(range(len(values))):
        problems.append("labels are not consecutive from the background's 0")
    for case in cases:
        label = sitk.ReadImage(str(folder / "labelsTr" / f"{case}{ending}"))
        for name in (name for name in images if name.startswith(f"{case}_")):
            image = sitk.ReadImage(str(folder / "imagesTr" / name))
            for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
                if not np.allclose(getattr(image, get)(), getattr(label, get)()):
                    problems.append(f"{name}: {get} differs from its label's")
            if np.isnan(sitk.GetArrayFromImage(image)).any():
                problems.append(f"{name}: not a number")
        if not set(np.unique(sitk.GetArrayFromImage(label))) <= set(values):
            problems.append(f"{case}: unexpected label")
    return problems


def test_an_nnunet_export_follows_each_rule_of_nnunets_own_checker(finished, tmp_path):
    report = export_study(finished, tmp_path / "Dataset001_Discs", Layout.NNUNET)
    folder = tmp_path / "Dataset001_Discs"
    assert nnunet_problems(folder) == []
    content = json.loads((folder / "dataset.json").read_text())
    assert sorted(content["labels"].values()) == list(range(6))
    training = sorted(path.name for path in (folder / "imagesTr").iterdir())
    assert training == sorted(f"{case}_0000.nii.gz" for split in ("train", "tune") for case in report.splits[split])
    assert sorted(p.name for p in (folder / "labelsTr").iterdir()) == [n.replace("_0000", "") for n in training]
    for name in training:
        label = sitk.ReadImage(str(folder / "labelsTr" / name.replace("_0000", "")))
        assert set(np.unique(sitk.GetArrayFromImage(label))) == set(range(6))
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    assert (fold["train"], fold["val"]) == (report.splits["train"], report.splits["tune"])
    assert verify_export(folder) == []


def test_an_nnunet_export_passes_nnunets_own_checker(finished, tmp_path):
    """In a process of its own: the checker starts worker processes."""
    pytest.importorskip("nnunetv2", reason="nnU-Net (nnunetv2) is not installed")
    folder = tmp_path / "Dataset001_Discs"
    export_study(finished, folder, Layout.NNUNET)
    code = (
        "from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity as verify\n"
        f"if __name__ == '__main__': verify({str(folder)!r}, 1)\n"
    )
    script = tmp_path / "check.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Done" in done.stdout and "Error" not in done.stdout and "mismatch" not in done.stdout


def test_a_monai_export_is_read_by_monais_own_loader(finished, tmp_path):
    monai_data = pytest.importorskip("monai.data")
    report = export_study(finished, tmp_path / "monai", Layout.MONAI)
    path = str(tmp_path / "monai" / "datalist.json")
    for split, section in (("train", "training"), ("tune", "validation"), ("test", "test")):
        items = monai_data.load_decathlon_datalist(path, True, section)
        assert [Path(item["image"]).name for item in items] == [f"{case}.nii.gz" for case in report.splits[split]]
        for item in items:
            image, label = (sitk.ReadImage(str(item[key])) for key in ("image", "label"))
            assert image.GetSize() == label.GetSize() and np.allclose(image.GetDirection(), label.GetDirection())
            assert set(np.unique(sitk.GetArrayFromImage(label))) == set(range(6))
            assert item["pfirrmann"]["L4-L5"] == 4
    properties = monai_data.load_decathlon_properties(path, ["labels", "modality", "numTraining"])
    assert properties["labels"]["5"] == "L5-S1"
    assert verify_export(tmp_path / "monai") == []
