"""The command ``study``, as somebody without the panel uses it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from example_studies import labelled_folder, make_study, read_grades, read_masks, truth_masks

from LumbarDiscGradingLib.cli.main import main

READERS = [
    part
    for reader in ("anna:annotator:3", "ben:reviewer:8", "carl:grader:5", "dora:grader:15", "emil:adjudicator:20")
    for part in ("--reader", reader)
]


@pytest.fixture
def study(tmp_path: Path) -> str:
    folder = str(tmp_path / "spine")
    assert main(["study", "create", folder, *READERS, "--no-peer-review", "--repeats", "0.5", "--seed", "7"]) == 0
    return folder


def test_a_study_is_created_with_the_protocol_asked_for(study, tmp_path, capsys):
    content = json.loads((tmp_path / "spine" / "study.json").read_text())
    assert (content["name"], content["repeat_share"], content["order_seed"]) == ("spine", 0.5, 7)
    assert content["double_reading"] == {"masks": False, "grades": True} and content["peer_review"] is False
    assert content["readers"][1] == {"id": "ben", "roles": ["peer reviewer"], "years_of_experience": 8.0}
    assert main(["study", "create", str(tmp_path / "copy"), "--like", study]) == 0
    assert json.loads((tmp_path / "copy" / "study.json").read_text()) == content
    capsys.readouterr()
    assert main(["study", "create", study, *READERS]) == 1
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reader", "anna:wizard"], "no reader"),
        (["--reader", "Anna B.:annotator,grader", "--single-grades", "--no-peer-review"], "does not match"),
        (["--reader", "anna:annotator"], "needs 2 graders"),
        ([*READERS, "--levels", "L4-L6"], "no disc level"),
        ([*READERS, "--tasks", "colours"], "tasks are masks and grades"),
    ],
)
def test_a_protocol_that_cannot_work_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    assert main(["study", "create", str(tmp_path / "study"), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "study" / "study.json").exists()


def test_import_status_agreement_export_and_verify_lead_from_scans_to_a_data_set(study, tmp_path, capsys):
    source = labelled_folder(tmp_path / "in", patients=4)
    assert main(["study", "import", study, str(source)]) == 0
    assert "4 cases and 0 readings imported" in capsys.readouterr().out
    assert main(["study", "import", study, str(source)]) == 0
    assert "4 duplicates left out" in capsys.readouterr().out
    folder = Path(study)
    for number in range(1, 5):
        read_masks(folder, "anna", f"C{number:04d}", truth_masks())
        read_grades(folder, "carl", f"C{number:04d}", [1, 2, 3, 4, 5])
        read_grades(folder, "dora", f"C{number:04d}", [1, 2, 3, 4, 5 if number < 4 else 4])
    assert main(["study", "status", study, "--cases"]) == 0
    output = capsys.readouterr().out
    assert "grades: 3 agreed, 1 discordant" in output and "C0004  masks signed, grades discordant" in output
    assert "emil: adjudicate grades 0/1" in output
    assert main(["study", "agreement", study, "--resamples", "50", "--output", str(tmp_path / "tables")]) == 0
    output = capsys.readouterr().out
    assert "carl and dora: 20 discs of 4 patients, 95.0% same grade" in output
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        *("agreement.png", "grade_agreement.csv", "grade_confusion.csv", "mask_agreement.csv", "reading_times.csv")
    }
    out = tmp_path / "out"
    assert main(["study", "export", study, str(out), "--split", "2/1/1", "--licence", "CC0"]) == 0
    assert "1 train, 1 tune, 2 test cases, 4 with masks, 15 graded discs" in capsys.readouterr().out
    assert main(["study", "verify", str(out)]) == 0 and main(["study", "verify", study]) == 0
    assert main(["dataset", "verify", str(out)]) == 0
    again = str(tmp_path / "again")
    assert main(["study", "create", again, "--like", str(out)]) == 0
    assert main(["study", "import", again, str(out)]) == 0
    assert "4 cases and 12 readings imported" in capsys.readouterr().out
    (out / "masks" / "C0002.nrrd").write_bytes(b"")
    assert main(["study", "verify", str(out)]) == 1
    assert "masks/C0002.nrrd has been changed" in capsys.readouterr().err


def test_verify_finds_a_reading_that_was_changed_behind_the_readers_back(tmp_path, capsys):
    make_study(tmp_path / "study")
    read_grades(tmp_path / "study", "carl", "C0001", [1, 2, 3, 4, 5])
    assert main(["study", "verify", str(tmp_path / "study")]) == 0
    path = tmp_path / "study" / "readers" / "carl" / "cases" / "C0001" / "grades.json"
    path.write_text(path.read_text().replace('"pfirrmann": 5', '"pfirrmann": 1'))
    assert main(["study", "verify", str(tmp_path / "study")]) == 1
    assert "carl, case C0001, grades: the file is not what was signed" in capsys.readouterr().err


def test_what_cannot_be_done_is_said_in_one_line(study, tmp_path, capsys):
    for arguments, message in (
        (["status", str(tmp_path)], "no study"),
        (["export", study, str(tmp_path / "out")], "nothing to export"),
        (["export", study, str(tmp_path / "out"), "--split", "1/2"], "three numbers"),
        (["import", study, str(tmp_path / "nowhere")], "does not exist"),
        (["verify", str(tmp_path)], "no export"),
    ):
        assert main(["study", *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert main(["study", "agreement", study]) == 0
    assert "No case has two signed readings" in capsys.readouterr().out


def test_real_label_maps_are_imported_read_agreed_and_exported(shared_data, tmp_path, capsys):
    """Three patients of the real data: masks and grades are one reader's, a second reader errs at a known rate."""
    source = tmp_path / "spider"
    source.mkdir()
    patients = sorted(path.name[:3] for path in (shared_data / "spider_space").glob("*_labels.nrrd"))[:3]
    for patient in patients:
        for ending in ("t2", "labels"):
            shutil.copy(shared_data / "spider_space" / f"{patient}_{ending}.nrrd", source)
    lines = (shared_data / "spider_space" / "grades.csv").read_text().splitlines()
    kept = [line for line in lines[1:] if line.split(",")[0] in patients]
    (source / "grades.csv").write_text("\n".join([lines[0], *kept]) + "\n")
    study = str(tmp_path / "study")
    readers = ["--reader", "first:annotator,grader:10", "--reader", "second:grader:2"]
    assert main(["study", "create", study, *readers, "--no-peer-review", "--leave-out-disagreements"]) == 0
    assert main(["study", "import", study, str(source), "--reader", "first"]) == 0
    from LumbarDiscGradingLib.annotation.protocol import Task
    from LumbarDiscGradingLib.annotation.study.study import Study

    opened, random, wrong = Study.open(study), np.random.default_rng(0), 0
    for case in opened.case_ids:
        first = opened.histories["first"].reading(case, Task.GRADES).grades
        noisy = [int(np.clip(grade + (random.random() < 0.3), 1, 5)) for grade in first.values()]
        wrong += sum(a != b for a, b in zip(first.values(), noisy, strict=True))
        read_grades(Path(study), "second", case, noisy)
    capsys.readouterr()
    assert main(["study", "agreement", study, "--resamples", "100"]) == 0
    assert f"{100 * (1 - wrong / 15):.1f}% same grade" in capsys.readouterr().out
    assert main(["study", "export", study, str(tmp_path / "out")]) == 0
    assert f"3 with masks, {15 - wrong} graded discs" in capsys.readouterr().out
    assert main(["dataset", "verify", str(tmp_path / "out")]) == 0


def test_finished_cases_are_locked_and_unlocked_with_a_reason(tmp_path, capsys):
    folder = tmp_path / "study"
    make_study(folder, 2)
    for reader in ("carl", "dora"):
        read_grades(folder, reader, "C0001", [1, 2, 3, 4, 5])
    arguments = [str(folder), "--task", "grades", "--reader"]
    assert main(["study", "lock", *arguments, "carl"]) == 1
    assert "cannot lock" in capsys.readouterr().err
    assert main(["study", "lock", *arguments, "emil", "--case", "C0002"]) == 1
    assert "not finished" in capsys.readouterr().err
    assert main(["study", "lock", *arguments, "emil"]) == 0
    assert "1 case locked" in capsys.readouterr().out
    assert main(["study", "status", str(folder), "--cases"]) == 0
    assert "C0001  masks unread, grades locked" in capsys.readouterr().out
    assert main(["study", "unlock", *arguments, "emil", "--reason", "typo reported"]) == 0
    assert main(["study", "status", str(folder)]) == 0
    assert "locked" not in capsys.readouterr().out.partition("readers\n")[2].partition("emil")[0]
