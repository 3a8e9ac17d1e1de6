"""What is found in folders, hostile ones among them, and what it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cohort_inputs import write_scan, write_study
from dicom_files import Series, slice_dataset, write_series

from LumbarDiscGradingLib.cohort import finding
from LumbarDiscGradingLib.cohort.finding import Candidate, find_candidates
from LumbarDiscGradingLib.cohort.fingerprint import study_of
from LumbarDiscGradingLib.cohort.naming import identifiers
from LumbarDiscGradingLib.cohort.scan import Scan
from LumbarDiscGradingLib.imaging.reading import read_volume


def found_in(*folders: Path, **options):
    return find_candidates([str(folder) for folder in folders], **options)


def reasons(found) -> dict[str, str]:
    return {os.path.basename(candidate.path): why for candidate, why in found.skipped}


def test_volumes_are_found_at_any_depth_and_what_is_skipped_has_its_reason(tmp_path):
    for name in ("a.nrrd", "deep/er/b.nii.gz", "001_labels.nrrd", "x_discs.seg.nrrd", "x_evidence.nrrd", "film.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name in ("notes.txt", "._a.nrrd"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "broken.dcm").write_text("no image either")
    found = found_in(tmp_path)
    paths = [Path(candidate.path).relative_to(tmp_path).as_posix() for candidate in found.candidates]
    assert paths == ["a.nrrd", "deep/er/b.nii.gz"]
    assert reasons(found) == {
        "001_labels.nrrd": finding.LABEL_MAP,
        "x_discs.seg.nrrd": finding.OWN_OUTPUT,
        "x_evidence.nrrd": finding.OWN_OUTPUT,
        "film.png": finding.PICTURE,
        "broken.dcm": finding.NO_DICOM_IMAGE,
    }
    assert found.others == 2


def test_what_is_named_itself_is_taken_whatever_it_is(tmp_path):
    names = ("film.png", "001_labels.nrrd", "missing.nrrd")
    found = found_in(*(tmp_path / name for name in names))
    assert [candidate.stem for candidate in found.candidates] == ["film", "001_labels", "missing"]
    assert not found.skipped


def test_the_output_folder_is_left_out(tmp_path):
    write_scan(tmp_path / "in.nrrd")
    write_scan(tmp_path / "out" / "copy.nrrd")
    found = found_in(tmp_path, output=tmp_path / "out")
    assert [candidate.stem for candidate in found.candidates] == ["in"] and not found.skipped


def test_results_that_lie_beside_their_images_are_no_images(tmp_path):
    names = "a_discs.seg.nrrd", "a_overview.png", "a_seg.dcm", "a_grades.csv"
    for name in ("a.nrrd", "b.nrrd", *names, ".cohort/work/x.nrrd", "cohort_thumbnails/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = found_in(tmp_path, output=tmp_path)
    assert [candidate.stem for candidate in found.candidates] == ["a", "b"]
    assert (found.skipped, found.others) == ([], len(names))
    found = found_in(tmp_path, output=tmp_path / "out")
    assert sorted(reasons(found)) == ["a_discs.seg.nrrd", "a_overview.png", "a_seg.dcm"]
    assert set(reasons(found).values()) == {finding.OWN_OUTPUT}


def test_two_studies_of_one_patient_on_one_day_are_two(tmp_path):
    for seed in (1, 2):
        write_study(tmp_path, seed, PatientID="4711", StudyDate="20200101")
    found = found_in(tmp_path)
    assert len(found.candidates) == 2
    for seed, candidate in zip((1, 2), found.candidates, strict=True):
        assert [os.path.basename(file) for file in candidate.files] == [f"IM{seed:04d}"]
    one, two = identifiers(found.candidates)
    assert one != two


def test_studies_are_told_apart_across_folders_and_named_without_their_patient(tmp_path):
    jane = {"PatientName": "Doe^Jane", "PatientID": "0815"}
    first = write_study(tmp_path / "DOE_JANE" / "exam", 1, **jane)
    write_study(tmp_path / "DOE_JANE" / "exam" / "more", 2, StudyInstanceUID=first, **jane)
    write_study(tmp_path / "DOE_JANE" / "later", 3, **jane)
    found = found_in(tmp_path)
    assert [os.path.relpath(one.path, tmp_path / "DOE_JANE") for one in found.candidates] == ["exam", "later"]
    assert not any(candidate.files for candidate in found.candidates)  # each folder is the study's own
    named = identifiers(found.candidates)
    assert not any(part in name.upper() for name in named for part in ("DOE", "JANE", "0815"))
    earlier = {name: candidate.path for name, candidate in zip(named, found.candidates, strict=True)}
    write_study(tmp_path / "AAA", 4)
    write_study(tmp_path / "DOE_JANE" / "yet more", 5, StudyInstanceUID=first, **jane)  # lies elsewhere now
    assert set(named) < set(identifiers(found_in(tmp_path).candidates, earlier))  # others that come do not rename them


def test_two_people_under_one_study_instance_are_two(tmp_path):
    uid = write_study(tmp_path, 1, PatientID="1", PatientName="One^A")
    write_study(tmp_path, 2, PatientID="2", PatientName="Two^B", StudyInstanceUID=uid)
    named = identifiers(found_in(tmp_path).candidates)
    assert len(set(named)) == 2


def test_a_study_among_others_is_read_alone_and_again_by_its_series(tmp_path):
    for seed in (1, 2):
        write_study(tmp_path, seed)
    for candidate in found_in(tmp_path).candidates:
        scan = Scan("x", candidate.path, files=candidate.files)
        volume = read_volume(scan.input, study=study_of(scan))
        assert [str(file) for file in volume.source.dicom_files] == list(candidate.files)
        again = read_volume(scan.input, series=volume.source.series_uid)
        assert again.source.sha256 == volume.source.sha256
        assert any("2 studies of one person" in note for note in again.notes)
        assert not any("studies" in note for note in volume.notes)


def test_a_folder_of_one_study_stands_for_itself(tmp_path):
    write_study(tmp_path / "case 7" / "series", 1)
    (candidate,) = found_in(tmp_path / "case 7").candidates
    assert (candidate.path, candidate.stem) == (str(tmp_path / "case 7"), "case 7")


def test_a_folder_without_images_stands_for_itself_so_that_reading_says_why(tmp_path):
    (candidate,) = found_in(tmp_path).candidates
    assert candidate.path == str(tmp_path)


def test_images_without_preamble_are_found_and_segmentations_are_not(tmp_path):
    spine = Series(np.zeros((1, 64, 64)))
    dataset = slice_dataset(spine, 0, StudyInstanceUID="1.2.3")
    del dataset.preamble
    del dataset.file_meta
    dataset.save_as(tmp_path / "1.2.840.1", implicit_vr=True, little_endian=True)
    assert (tmp_path / "1.2.840.1").read_bytes()[:2] == b"\x08\x00"
    write_series(tmp_path / "seg", spine, ["labels.dcm"], Modality="SEG")
    write_study(tmp_path / "other", 2)
    found = found_in(tmp_path)
    assert len(found.candidates) == 2
    assert reasons(found) == {"labels.dcm": finding.DICOM_LABELS}


def test_links_in_circles_end(tmp_path):
    write_scan(tmp_path / "a" / "x.nrrd")
    write_scan(tmp_path / "a" / "y.nrrd")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert len(found_in(tmp_path).candidates) == 2


def test_names_that_are_not_utf8_are_found_and_written_with_escapes(tmp_path):
    for name in (b"M\xfcller", b"M\xf6ller"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        try:
            os.mkdir(folder)
        except (OSError, UnicodeDecodeError):
            pytest.skip("this file system holds UTF-8 names only")
        write_scan(tmp_path / "x.nrrd").rename(os.fsdecode(os.path.join(folder, b"x\xff.nrrd")))
    assert identifiers(found_in(tmp_path).candidates) == ["M%F6ller_x%FF", "M%FCller_x%FF"]


@pytest.mark.skipif(sys.platform != "linux", reason="permissions of files are given up as on Linux")
def test_what_may_not_be_read_is_skipped_and_the_rest_is_found(tmp_path):
    write_scan(tmp_path / "open" / "x.nrrd")
    for name in ("closed", "open"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "open" / "IM0001").write_bytes(b"secret")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "open" / "IM0001").chmod(0)
    program = """
import os, sys
from plain_user import give_up_reading_everywhere
from LumbarDiscGradingLib.cohort.finding import find_candidates
give_up_reading_everywhere()
found = find_candidates(sys.argv[1:])
skipped = [os.path.basename(candidate.path) for candidate, why in found.skipped if "may not be read" in why]
print([candidate.stem for candidate in found.candidates], sorted(skipped))
"""
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert ran.stdout.strip() == "['x'] ['IM0001', 'closed']", ran.stderr


def test_a_file_that_is_no_image_by_its_name_is_not_opened(tmp_path, monkeypatch):
    names = [f"{number}{suffix}" for number in range(20) for suffix in (".txt", ".json", ".py", ".zip", ".log")]
    for name in names:
        (tmp_path / name).touch()
    opened = []
    sys.addaudithook(lambda event, arguments: opened.append(arguments[0]) if event == "open" else None)
    found = found_in(tmp_path)
    assert found.others == len(names)
    assert not [path for path in opened if str(path).startswith(str(tmp_path) + os.sep)]


def test_names_that_clash_take_the_names_of_their_folders(tmp_path):
    paths = ["p1/s1/t2", "p1/s2/t2", "p2/s1/t2", "P2/S2/T2", "other"]
    candidates = [Candidate(f"/{path}", path.split("/")[-1], tuple(reversed(path.split("/")[:-1]))) for path in paths]
    assert identifiers(candidates) == ["p1_s1_t2", "p1_s2_t2", "p2_s1_t2", "P2_S2_T2", "other"]
    same = [Candidate("/a/x.nrrd", "x", ("a",)), Candidate("/a/x.nii", "X", ("a",))]
    assert identifiers(same) == ["a_x", "a_X_2"]


def test_names_stay_when_others_come(tmp_path):
    old, new = write_scan(tmp_path / "b" / "x.nrrd"), write_scan(tmp_path / "a" / "x.nrrd")
    candidates = [Candidate(str(new), "x", ("a",)), Candidate(str(old), "x", ("b",))]
    assert identifiers(candidates) == ["a_x", "b_x"]
    assert identifiers(candidates, {"x": str(old)}) == ["a_x", "x"]
    assert identifiers(candidates, {"b_x": str(old)}) == ["a_x", "b_x"]  # broken off before the other
    assert identifiers(candidates[:1], {"x": str(old)}) == ["a_x"]  # another run's, still there
    assert identifiers(candidates[:1], {"x": str(tmp_path / "gone.nrrd")}) == ["x"]
