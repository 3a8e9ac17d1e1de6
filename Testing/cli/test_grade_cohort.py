"""The command ``grade`` on many scans: what it finds, one table of all, resumed, stopped and killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from cohort_inputs import rows_of, states_in, write_list, write_scan, write_study
from example_models import model_with_sets

from LumbarDiscGradingLib.cli.grading.graders import model_hashes
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.imaging.reading import read_volume
from LumbarDiscGradingLib.report import overview

WORDS = (b"Doe", b"Jane", b"SECRET", b"4711")


def grade(*arguments: object) -> int:
    return main(["grade", *map(str, arguments), "--device", "cpu"])


def test_the_studies_of_a_folder_are_graded_each_without_the_identity_of_their_patients(tmp_path, capfd):
    for seed in (1, 2):
        write_study(tmp_path / "DOE_JANE", seed, StudyDate="20200101")
    output = tmp_path / "out"
    assert grade(tmp_path / "DOE_JANE", "--output", output) == 0
    scans = rows_of(output / "cohort_scans.csv")
    assert [row["state"] for row in scans] == ["graded", "graded"]
    for row in scans:
        assert read_volume(row["input"], series=row["series"]).source.sha256 == row["input_sha256"]
        assert (output / f"{row['identifier']}_overview.png").is_file()
    assert len({row["input_sha256"] for row in scans}) == 2
    for path in (path for path in output.rglob("*") if path.is_file()):
        content = path.read_bytes().replace(bytes(tmp_path), b"")  # the path of the input is the user's own
        if path.suffix not in (".png", ".parquet"):
            assert not [word for word in WORDS if word in content], path
    said = capfd.readouterr()
    assert not [word for word in WORDS if word.decode() in said.out + said.err]


def test_a_folder_is_graded_as_far_as_it_can_be_and_then_only_what_is_missing(tmp_path, capfd):
    write_scan(tmp_path / "in" / "p1" / "t2.nrrd", 1)
    write_scan(tmp_path / "in" / "p2" / "t2.nrrd", 2)
    (tmp_path / "in" / "film.png").touch()
    (tmp_path / "in" / "bad.nii.gz").write_text("no image")
    output = tmp_path / "in" / "graded"
    assert grade(tmp_path / "in", "--output", output) == 1
    said = capfd.readouterr()
    assert said.err.count("\n") == 1 and said.err.startswith(f"{tmp_path / 'in' / 'bad.nii.gz'}: ")
    assert "2 graded, 1 failed, 1 skipped, 0 graded before" in said.out and "It is a picture" in said.out
    assert states_in(output) == {
        "bad": "failed",
        "film.png": "skipped",
        "p1_t2": "graded",
        "p2_t2": "graded",
    }
    assert "cohort.html shows them" in said.out
    assert "<b>1</b> failed" in (output / "cohort.html").read_text(encoding="utf-8")
    thumbnails = output / "cohort_thumbnails"
    assert sorted(path.name for path in thumbnails.iterdir()) == ["p1_t2.jpg", "p2_t2.jpg"]
    before = (output / "cohort.csv").read_bytes(), (output / "p1_t2_result.json").stat().st_mtime_ns
    (tmp_path / "in" / "bad.nii.gz").unlink()
    assert grade(tmp_path / "in", "--output", output) == 0
    assert "0 graded, 0 failed, 1 skipped, 2 graded before" in capfd.readouterr().out
    assert ((output / "cohort.csv").read_bytes(), (output / "p1_t2_result.json").stat().st_mtime_ns) == before
    assert "<b>0</b> failed" in (output / "cohort.html").read_text(encoding="utf-8")


def test_a_model_with_another_calibration_grades_again(tmp_path, capfd):
    for seed in (1, 2):
        write_scan(tmp_path / "in" / f"{seed}.nrrd", seed)
    model = model_with_sets(tmp_path / "model")  # the weights are those of the built-in one
    output = tmp_path / "out"
    assert grade(tmp_path / "in", "--output", output) == 0
    before = [len(row["pfirrmann_set"]) for row in rows_of(output / "cohort.csv")]
    assert grade(tmp_path / "in", "--output", output, "--model", model) == 0
    assert "2 graded," in capfd.readouterr().out.splitlines()[-2]
    after = [len(row["pfirrmann_set"]) for row in rows_of(output / "cohort.csv")]
    assert {size > 1 for size in after} == {True}
    assert sum(after) > sum(before)
    assert grade(tmp_path / "in", "--output", output, "--model", model) == 0
    assert "0 graded," in capfd.readouterr().out


def test_prediction_sets_that_are_not_made_change_nothing_of_what_a_model_grades(tmp_path):
    manifests = []
    for name in ("known", "unknown", "none"):
        path = model_with_sets(tmp_path / name) / "manifest.json"
        manifests.append(json.loads(path.read_text(encoding="utf-8")))
        if name == "unknown":
            manifests[-1]["calibration"]["prediction_set"]["method"] = "another one"
        if name == "none":
            del manifests[-1]["calibration"]["prediction_set"]
        path.write_text(json.dumps(manifests[-1]), encoding="utf-8")
    known, unknown, none = (model_hashes([str(tmp_path / name)]) for name in ("known", "unknown", "none"))
    assert unknown == none != known


def test_a_list_names_its_scans_and_a_bad_row_of_it_undoes_nothing(tmp_path, capfd):
    write_scan(tmp_path / "one.nrrd", 1)
    header = "input", "identifier", "slice", "age", "sex"
    table = write_list(tmp_path / "list.csv", header, ("one.nrrd", "case-1", "0", "63", "F"))
    assert grade("--list", table, "--output", tmp_path / "out") == 0
    (row,) = rows_of(tmp_path / "out" / "cohort_scans.csv")
    assert (row["identifier"], row["state"], row["age"], row["sex"]) == ("case-1", "graded", "63", "F")
    assert (tmp_path / "out" / "case-1_grades.csv").is_file()
    write_list(tmp_path / "list.csv", header, ("one.nrrd", "case-2"), ("two.nrrd", "case-3"))
    capfd.readouterr()
    assert grade("--list", table, "--output", tmp_path / "other") == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "row 3 names two.nrrd" in said
    assert not (tmp_path / "other").exists()
    assert grade("--list", table, tmp_path / "one.nrrd") == 2


def test_a_folder_with_one_scan_is_graded_as_that_scan_without_tables(tmp_path, capfd):
    write_scan(tmp_path / "in" / "t2.nrrd", 1)
    (tmp_path / "in" / "t2_labels.nrrd").touch()
    assert grade(tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "Skipped 1: By its name it is a label map" in capfd.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"t2_{name}" for name in ("discs.seg.nrrd", "grades.csv", "overview.png", "result.json")
    ]


def test_a_folder_of_skipped_files_alone_is_told_so(tmp_path, capfd):
    (tmp_path / "film.png").touch()
    assert grade(tmp_path, "--output", tmp_path / "out") == 1
    said = capfd.readouterr()
    assert said.err.count("\n") == 1 and "Skipped 1: It is a picture" in said.out
    write_scan(tmp_path.with_name("other.nrrd"), 1)
    assert grade(tmp_path, tmp_path.with_name("other.nrrd"), "--output", tmp_path / "out") == 1
    assert sorted(states_in(tmp_path / "out").values()) == ["failed", "graded", "skipped"]


def test_what_fails_by_a_fault_of_the_program_does_not_end_the_others(tmp_path, capfd, monkeypatch):
    for seed in (1, 2):
        write_scan(tmp_path / "in" / f"{seed}.nrrd", seed)
    save = overview.save

    def save_but_one(result, path):
        if result.volume.source.name == "1":
            raise KeyError("Doe^Jane")
        save(result, path)

    monkeypatch.setattr(overview, "save", save_but_one)
    assert grade(tmp_path / "in", "--output", tmp_path / "out") == 1
    assert states_in(tmp_path / "out") == {"1": "failed", "2": "graded"}
    said = capfd.readouterr().err
    assert "a fault of the program (KeyError in test_grade_cohort.py" in said and "Doe" not in said
    assert not list((tmp_path / "out").glob("1_*"))


def test_a_full_disk_ends_the_run_with_a_line_and_the_next_goes_on(tmp_path, capfd, monkeypatch):
    for seed in (1, 2, 3):
        write_scan(tmp_path / "in" / f"{seed}.nrrd", seed)
    save = overview.save

    def save_while_there_is_room(result, path):
        if result.volume.source.name == "2":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(result, path)

    with monkeypatch.context() as patch:
        patch.setattr(overview, "save", save_while_there_is_room)
        assert grade(tmp_path / "in", "--output", tmp_path / "out") == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "There is no room left" in said
    assert states_in(tmp_path / "out") == {"1": "graded"}
    assert grade(tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "2 graded, 0 failed, 0 skipped, 1 graded before" in capfd.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is sent otherwise there")
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path):
    for seed in range(12):
        write_scan(tmp_path / "in" / f"{seed}.nrrd", seed % 2)
    arguments = ["grade", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--device", "cpu"]
    program = [sys.executable, "-m", "LumbarDiscGradingLib.cli.main", *arguments]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    table = tmp_path / "out" / "cohort_scans.csv"
    while not (table.exists() and table.read_text().count(",graded,") > 1) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate()
    assert process.returncode == 130, said
    assert "run the same command again" in said[1] and "Traceback" not in said[1]
    states = states_in(tmp_path / "out")
    assert 0 < len(states) < 12 and set(states.values()) == {"graded"}
    assert {row["identifier"] for row in rows_of(tmp_path / "out" / "cohort.csv")} == set(states)
    assert f"<b>{len(states)}</b> graded" in (tmp_path / "out" / "cohort.html").read_text(encoding="utf-8")
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".grading")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork there")
def test_runs_that_are_killed_leave_no_half_file_and_no_doubled_row(checkout):
    script = checkout / "Testing" / "equipment" / "kill_cohorts.py"
    program = [sys.executable, str(script), "--kills", "2", "--seed", "5"]
    ran = subprocess.run(program, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
