"""Studies whose cases come from a graded cohort, and a cohort's grades against a study's consensus."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohort_inputs import rows_of, spine, write_list, write_scan, write_study
from curved_phantoms import PaintedSpine
from example_cohorts import graded_cohort, write_phantom, write_rows, write_volume
from example_studies import read_grades, read_masks
from PIL import Image

from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.storage.segmentation_files import parse_segmentation
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.evaluation.scores import read_scores
from LumbarDiscGradingLib.file_hash import file_sha256
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.pfirrmann import LUMBAR_LEVELS

NAMES = tuple(f"meier{number}" for number in range(6))
READERS = ["--reader", "anna:annotator:3", "--reader", "carl:grader:5", "--single-grades", "--no-peer-review"]


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A folder with the scans of six patients, and the cohort that was made of them."""
    folder = tmp_path_factory.mktemp("graded")
    scans = [write_phantom(folder / "scans" / f"{name}.nrrd", seed) for seed, name in enumerate(NAMES)]
    graded_cohort(folder / "cohort", scans)
    return folder


@pytest.fixture
def cohort(graded, tmp_path) -> Path:
    """The cohort in a folder of its own, to be spoilt; its inputs are copies too."""
    shutil.copytree(graded, tmp_path / "graded")
    rows = rows_of(tmp_path / "graded" / "cohort" / "cohort_scans.csv")
    for row in rows:
        row["input"] = row["input"].replace(str(graded), str(tmp_path / "graded"))
    write_rows(tmp_path / "graded" / "cohort" / "cohort_scans.csv", rows[0], rows)
    return tmp_path / "graded" / "cohort"


def create(study: Path, cohort: Path, *options: str) -> int:
    return main(["study", "create", str(study), *READERS, "--from-cohort", str(cohort), *options])


def sources(study: Path) -> dict[str, str]:
    """Name of the scan by case, from the mapping file."""
    rows = rows_of(study.with_name(f"{study.name}-mapping.csv"))
    return {row["case"]: Path(row["source"]).stem for row in rows}


def change(path: Path, name: str, **cells: str) -> None:
    rows = rows_of(path)
    for row in rows:
        if row["identifier"] == name:
            row.update(cells)
    write_rows(path, rows[0], rows)


def error_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error, error
    return error


# -- a study is made


def test_cases_drawn_at_random_are_those_of_the_seed_and_the_study_says_so(graded, tmp_path, capsys):
    assert create(tmp_path / "one", graded / "cohort", "--cases", "3", "--choice-seed", "7") == 0
    assert "3 cases of a cohort of 6 graded scans: drawn at random (seed 7)." in capsys.readouterr().out
    assert create(tmp_path / "two", graded / "cohort", "--cases", "3", "--choice-seed", "7") == 0
    assert create(tmp_path / "other", graded / "cohort", "--cases", "3", "--choice-seed", "8") == 0
    one, two, other = (set(sources(tmp_path / name).values()) for name in ("one", "two", "other"))
    assert one == two and len(one) == 3 and other != one
    selection = json.loads((tmp_path / "one" / "selection.json").read_text())
    assert (selection["rule"], selection["seed"], selection["graded"]) == ("random", 7, 6)
    stored = json.loads((graded / "cohort" / "meier0_result.json").read_text())
    expected = [{key: model[key] for key in ("task", "name", "sha256")} for model in stored["models"]]
    assert selection["models"] == expected
    hashes = {entry["case"]: entry["input_sha256"] for entry in selection["cases"]}
    assert hashes == {c: file_sha256(graded / "scans" / f"{n}.nrrd") for c, n in sources(tmp_path / "one").items()}


def test_without_a_number_all_graded_scans_are_taken(graded, tmp_path, capsys):
    assert create(tmp_path / "study", graded / "cohort") == 0
    assert "6 cases of a cohort of 6 graded scans: all of them." in capsys.readouterr().out
    assert sorted(sources(tmp_path / "study").values()) == list(NAMES)


def test_cases_chosen_by_doubt_are_the_least_sure_and_every_figure_of_them_says_so(cohort, tmp_path, capsys):
    scans = cohort / "cohort_scans.csv"
    for name, lowest in zip(NAMES, (0.9, 0.5, 0.8, 0.4, 0.7, 0.6), strict=True):
        change(scans, name, lowest_probability=f"{lowest}", naming_confidence="0.95", doubts="")
    change(scans, "meier0", doubts="The levels are an assumption.")
    change(scans, "meier4", naming_confidence="0.45")
    study = tmp_path / "study"
    assert create(study, cohort, "--cases", "3", "--choose", "doubt") == 0
    assert set(sources(study).values()) == {"meier0", "meier3", "meier4"}
    caution = "Agreement and accuracy in such cases do not estimate those of the whole cohort."
    assert caution in capsys.readouterr().out
    for command in (["status", str(study)], ["agreement", str(study), "--output", str(tmp_path / "agreement")]):
        assert main(["study", *command]) == 0
        assert caution in capsys.readouterr().out
    assert caution in (tmp_path / "agreement" / "remarks.csv").read_text()
    for case in Study.open(study).case_ids:
        read_grades(study, "carl", case, [1, 2, 3, 4, 5])
    assert main(["study", "export", str(study), str(tmp_path / "export")]) == 0
    assert caution in (tmp_path / "export" / "README.md").read_text()
    assert main(["study", "create", str(tmp_path / "again"), "--like", str(tmp_path / "export")]) == 0
    assert main(["study", "import", str(tmp_path / "again"), str(tmp_path / "export")]) == 0
    capsys.readouterr()
    assert main(["study", "status", str(tmp_path / "again")]) == 0
    assert caution in capsys.readouterr().out


def test_cases_balanced_by_grade_hold_the_rare_grades(cohort, tmp_path, capsys):
    rows = rows_of(cohort / "cohort.csv")
    common = {"group": "mild", "pfirrmann": "2", "p_mild": "0.9", "p_moderate": "0.1", "p_serious": "0"}
    rare = {"group": "serious", "pfirrmann": "5", "p_mild": "0", "p_moderate": "0.1", "p_serious": "0.9"}
    for row in rows:
        row.update(rare if row["identifier"] in ("meier2", "meier5") and row["level"] == "L5-S1" else common)
    write_rows(cohort / "cohort.csv", rows[0], rows)
    for name in NAMES:  # the tables are by hand here, so the results beside them would contradict them
        (cohort / f"{name}_result.json").unlink()
    for seed in range(3):
        study = tmp_path / f"study{seed}"
        assert create(study, cohort, "--cases", "3", "--choose", "grade", "--choice-seed", str(seed)) == 0
        assert {"meier2", "meier5"} < set(sources(study).values())
    assert "do not estimate" in capsys.readouterr().out


def test_nothing_of_the_source_or_of_the_models_grades_gets_into_the_study(graded, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, graded / "cohort", "--allow-prefill", "--cases", "4", "--choose", "doubt") == 0
    content = b"".join(path.read_bytes() for path in study.rglob("*") if path.is_file())
    names = " ".join(str(path) for path in study.rglob("*"))
    assert b"meier" not in content and "meier" not in names and str(graded).encode() not in content
    assert b"serious" not in content and b'"grades":{' not in content
    mapping = study.with_name("study-mapping.csv")
    assert mapping.stat().st_mode & 0o77 == 0 and mapping.read_text().count("meier") == 2 * 4


def test_the_number_of_a_case_does_not_tell_how_doubtful_it_is(cohort, tmp_path):
    for number, name in enumerate(NAMES):
        change(cohort / "cohort_scans.csv", name, lowest_probability=f"0.{number + 2}", doubts="", naming_confidence="")
    orders = set()
    for attempt in range(6):  # each in order with a chance of 1 in 720
        study = tmp_path / f"study{attempt}"
        assert create(study, cohort, "--cases", "6", "--choose", "doubt") == 0
        orders.add(tuple(name for _, name in sorted(sources(study).items())))
    assert len(orders) > 1


# -- pre-filled masks


def test_the_models_masks_are_drafts_of_the_annotator_where_the_protocol_allows_it(graded, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, graded / "cohort", "--allow-prefill", "--cases", "2") == 0
    assert "Masks began as the model's" in capsys.readouterr().out
    for case, name in sources(study).items():
        with ReaderSession.open(study, "anna").open_case(case) as opened:
            masks, index = opened.masks, opened.slice_index
            assert opened.recovered == () and opened.seconds(opened.tasks[0]) < 1
            volume = opened.volume
        stored = volume.to_stored(volume.voxels).shape
        path = graded / "cohort" / f"{name}_discs.seg.nrrd"
        expected = parse_segmentation(path.read_bytes(), "", stored, volume.stored_index_to_lps)
        assert np.array_equal(volume.to_stored(masks), expected) and masks[int(index)].any()
    record = Study.open(study).histories["anna"].reading(case, Study.open(study).protocol.tasks[0])
    assert record.model_sha256 == json.loads((study / "selection.json").read_text())["models"][0]["sha256"]
    assert not record.signed


def test_no_masks_are_pre_filled_against_the_protocol(graded, tmp_path, capsys):
    assert create(tmp_path / "study", graded / "cohort", "--cases", "2") == 0
    assert "Masks began" not in capsys.readouterr().out
    assert not list((tmp_path / "study").rglob("*.seg.nrrd")) and not list((tmp_path / "study").rglob("events.jsonl"))
    assert create(tmp_path / "grades", graded / "cohort", "--cases", "2", "--allow-prefill", "--tasks", "grades") == 0
    assert not list((tmp_path / "grades").rglob("*.seg.nrrd"))


# -- what is not as it was when it was graded


def move(cohort: Path) -> None:
    (cohort.parent / "scans" / "meier1.nrrd").unlink()


def replace_input(cohort: Path) -> None:
    write_phantom(cohort.parent / "scans" / "meier1.nrrd", 99)


def spoil(cohort: Path) -> None:
    (cohort.parent / "scans" / "meier1.nrrd").write_bytes(b"NRRD0004\nno image")


def remove_masks(cohort: Path) -> None:
    (cohort / "meier1_discs.seg.nrrd").unlink()


def name_wrongly(cohort: Path) -> None:
    """A file name that is not UTF-8, as the table writes it; another scan fails."""
    scans = cohort.parent / "scans"
    os.rename(scans / "meier2.nrrd", os.fsencode(scans) + b"/m\xfcller.nrrd")
    change(cohort / "cohort_scans.csv", "meier2", input=f"{scans}/m%FCller.nrrd")
    move(cohort)


def exchange_masks(cohort: Path) -> None:
    shutil.copy(cohort / "meier3_discs.seg.nrrd", cohort / "meier1_discs.seg.nrrd")


def copy_input(cohort: Path) -> None:
    """Two scans of the cohort are the same image."""
    for table in ("cohort.csv", "cohort_scans.csv"):
        facts = next(row for row in rows_of(cohort / table) if row["identifier"] == "meier2")
        change(cohort / table, "meier1", input_sha256=facts["input_sha256"])
    shutil.copy(cohort.parent / "scans" / "meier2.nrrd", cohort.parent / "scans" / "meier1.nrrd")
    for ending in ("_result.json", "_discs.seg.nrrd"):
        shutil.copy(cohort / f"meier2{ending}", cohort / f"meier1{ending}")
    rows = rows_of(cohort / "cohort.csv")
    other = [row for row in rows if row["identifier"] == "meier2"]
    rows = [row for row in rows if row["identifier"] != "meier1"] + [{**row, "identifier": "meier1"} for row in other]
    write_rows(cohort / "cohort.csv", rows[0], rows)
    change(cohort / "cohort_scans.csv", "meier1", discs=str(len(other)))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (move, "not where it was"),
        (replace_input, "changed since it was graded"),
        (name_wrongly, "not where it was"),
        (spoil, "not an image that can be read"),
        (remove_masks, "meier1_discs.seg.nrrd is not there"),
        (exchange_masks, "meier1_discs.seg.nrrd has been changed"),
        (copy_input, "is that of another chosen scan"),
    ],
)
def test_a_scan_that_is_not_as_it_was_graded_is_named_and_another_taken(harm, reason, cohort, tmp_path, capsys):
    harm(cohort)
    study = tmp_path / "study"
    assert create(study, cohort, "--allow-prefill", "--cases", "5") == 0
    error = error_line(capsys)
    assert error.startswith(("meier1: left out: ", "meier2: left out: ")) and reason in error
    assert len(sources(study)) == 5 and json.loads((study / "selection.json").read_text())["left_out"] == 1
    assert len(list((study / "readers" / "anna" / "cases").iterdir())) == 5
    assert create(tmp_path / "all", cohort, "--allow-prefill") == 1  # one less than asked for
    assert len(sources(tmp_path / "all")) == 5


def test_where_no_scan_can_be_used_nothing_is_made(cohort, tmp_path, capsys):
    shutil.rmtree(cohort.parent / "scans")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert create(tmp_path / "study", cohort, "--cases", "2") == 1
    assert "None of the 6 graded scans can be used" in error_line(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_mapping_that_cannot_be_written_leaves_no_study(graded, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert create(tmp_path / "study", graded / "cohort", "--mapping", str(tmp_path / "file" / "m.csv")) == 1
    error_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "study-mapping.csv").write_text("of another study")
    assert create(tmp_path / "study", graded / "cohort") == 1
    assert "exists already" in error_line(capsys)
    assert not (tmp_path / "study").exists() and (tmp_path / "study-mapping.csv").read_text() == "of another study"


@pytest.mark.parametrize(
    "options", [["--cases", "2"], ["--mapping", "m.csv"], ["--choose", "doubt", "--from-cohort", "c"]]
)
def test_options_of_a_choice_without_one_are_wrong_usage(options, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["study", "create", str(tmp_path / "study"), *READERS, *options])
    assert refused.value.code == 2 and not (tmp_path / "study").exists()


@pytest.mark.parametrize("cases", ["0", "7"])
def test_a_number_of_cases_that_the_cohort_has_not_is_refused(cases, graded, tmp_path, capsys):
    assert create(tmp_path / "study", graded / "cohort", "--cases", cases) == 1
    assert "6 graded scans" in error_line(capsys) and not (tmp_path / "study").exists()


def test_a_cohort_without_a_graded_scan_makes_no_study(cohort, tmp_path, capsys):
    empty_the_tables(cohort, "")
    assert create(tmp_path / "study", cohort) == 1
    assert "has no graded scan" in error_line(capsys) and not (tmp_path / "study").exists()


# -- tables that a person edited


def rename_level(cohort: Path) -> None:
    text = (cohort / "cohort.csv").read_text()
    (cohort / "cohort.csv").write_text(text.replace("meier2,L4-L5", "meier2,L4/L5"))


def double_level(cohort: Path) -> None:
    text = (cohort / "cohort.csv").read_text()
    (cohort / "cohort.csv").write_text(text.replace("meier2,L4-L5", "meier2,L3-L4"))


def lose_a_row(cohort: Path) -> None:
    rows = rows_of(cohort / "cohort.csv")
    write_rows(cohort / "cohort.csv", rows[0], rows[:-1])


def lose_a_scan(cohort: Path) -> None:
    rows = rows_of(cohort / "cohort_scans.csv")
    write_rows(cohort / "cohort_scans.csv", rows[0], rows[:-1])


def lose_a_column(cohort: Path) -> None:
    rows = rows_of(cohort / "cohort.csv")
    for row in rows:
        del row["level"]
    write_rows(cohort / "cohort.csv", rows[0], rows)


def raise_a_grade(cohort: Path) -> None:
    rows = rows_of(cohort / "cohort.csv")
    rows[0]["pfirrmann"] = "5"
    write_rows(cohort / "cohort.csv", rows[0], rows)


def spoil_a_number(cohort: Path) -> None:
    rows = rows_of(cohort / "cohort.csv")
    rows[0]["p_mild"] = "0,98"
    write_rows(cohort / "cohort.csv", rows[0], rows)


def save_by_spreadsheet(cohort: Path) -> None:
    text = (cohort / "cohort.csv").read_text()
    (cohort / "cohort.csv").write_text(text.replace(",", ";"))


def point_outside(cohort: Path) -> None:
    text = (cohort / "cohort.csv").read_text()
    for name in ("cohort.csv", "cohort_scans.csv"):
        text = (cohort / name).read_text()
        (cohort / name).write_text(text.replace("\nmeier2,", "\n../meier2,"))


def lose_the_table(cohort: Path) -> None:
    (cohort / "cohort_scans.csv").unlink()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (rename_level, "'L4/L5' is no disc level"),
        (double_level, "L3-L4 is there twice"),
        (lose_a_row, "discs of this scan, not"),
        (lose_a_scan, "discs of 'meier5', which cohort_scans.csv lacks"),
        (lose_a_column, "no column level"),
        (raise_a_grade, "do not go together"),
        (spoil_a_number, "'0,98' is no number"),
        (save_by_spreadsheet, "no column identifier"),
        (point_outside, "cannot be the identifier"),
        (lose_the_table, "has no cohort_scans.csv"),
    ],
)
def test_a_table_that_a_person_edited_is_refused_in_one_sentence(edit, message, cohort, tmp_path, capsys):
    edit(cohort)
    assert create(tmp_path / "study", cohort, "--cases", "2") == 1
    assert message in error_line(capsys)
    assert not (tmp_path / "study").exists()


# -- the cohort against the consensus


def evaluate(cohort: Path, study: Path, output: Path, *options: str) -> int:
    return main(["evaluate", "--cohort", str(cohort), "--study", str(study), "--output", str(output), *options])


def read_all(study: Path, grades: list[int], cases: list[str] | None = None) -> None:
    """Sign the drafts of the masks as they are, and the same grades for each case."""
    for case in cases or Study.open(study).case_ids:
        with ReaderSession.open(study, "anna").open_case(case) as opened:
            opened.sign(Task.MASKS, without=opened.missing_levels(Task.MASKS))
        read_grades(study, "carl", case, grades)


def facts_of(output: Path) -> dict:
    return json.loads((output / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture
def study(graded, tmp_path) -> Path:
    """A study of three cases that began with the model's masks."""
    assert create(tmp_path / "study", graded / "cohort", "--allow-prefill", "--cases", "3", "--choose", "doubt") == 0
    return tmp_path / "study"


def test_the_grades_of_the_cohort_are_compared_with_the_consensus_by_case_and_level(graded, study, tmp_path, capsys):
    cases = list(Study.open(study).case_ids)
    read_all(study, [1, 2, 3, 4, 5], cases[:2])
    capsys.readouterr()
    assert evaluate(graded / "cohort", study, tmp_path / "out") == 0
    said = capsys.readouterr().out
    rows = {(row["identifier"], row["level"]): row for row in rows_of(graded / "cohort" / "cohort.csv")}
    scores = read_scores(tmp_path / "out" / "discs.csv")
    names = sources(study)
    assert {score.patient for score in scores} == set(cases[:2])
    lumbar = [score for score in scores if score.level in LUMBAR_LEVELS]
    assert len(lumbar) == 2 * 5
    for score in lumbar:
        row = rows[names[score.patient], score.level]
        assert score.grade == LUMBAR_LEVELS.index(score.level) + 1
        assert str(score.predicted_grade) == row["pfirrmann"]
        assert f"{score.p_mild:.4f} {score.p_serious:.4f}" == f"{row['p_mild']} {row['p_serious']}"
        assert (score.dice, score.named_level, score.all_named) == (1.0, score.level, True)
    facts = facts_of(tmp_path / "out")
    assert {metric["data"] for metric in facts["metrics"]} == {"study, 2 doubt-chosen patients"}
    assert all(model["version"] for model in facts["models"])
    first = next(iter(rows.values()))
    assert [(model["name"], model["sha256"]) for model in facts["models"]] == [
        (first[f"{task}_model"], first[f"{task}_sha256"]) for task in ("segmentation", "grading")
    ]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for remark in (
        "do not estimate those of the whole cohort",
        f"In 2 cases, annotators began with the masks that are measured here, so Dice is higher than of drawn masks: "
        f"{cases[0]}, {cases[1]}.",
        f"Left out, not finished: {cases[2]}.",
    ):
        assert remark in said and remark in page
    assert len(list((tmp_path / "out" / "contact_sheets").iterdir())) == 1
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"meier" not in written


def test_no_network_runs_and_the_rows_are_those_of_an_evaluation_that_runs_them(graded, study, tmp_path, capsys):
    read_all(study, [2, 2, 3, 3, 4])
    assert main(["study", "export", str(study), str(tmp_path / "export")]) == 0
    data = ["evaluate", "--data", str(tmp_path / "export"), "--split", "all", "--output", str(tmp_path / "again")]
    assert main([*data, "--device", "cpu"]) == 0
    program = "import sys; from LumbarDiscGradingLib.cli.main import main; assert main(sys.argv[1:]) == 0; "
    program += "assert not [name for name in sys.modules if name.startswith('LumbarDiscGradingLib.networks.')]"
    arguments = ["evaluate", "--cohort", graded / "cohort", "--study", study, "--output", tmp_path / "out"]
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True, capture_output=True)
    one, two = (
        {(score.patient, score.level): score for score in read_scores(tmp_path / name / "discs.csv")}
        for name in ("out", "again")
    )
    assert set(one) == set(two)
    for key, score in one.items():
        for name, value in vars(score).items():
            other = getattr(two[key], name)
            if name in ("split", "p_1", "p_2", "p_3", "p_4", "p_5") or key[1] == "T11-T12":
                continue
            assert value == (pytest.approx(other, abs=1e-4) if isinstance(value, float) else other), (key, name)
    figures = [
        {figure["name"]: figure["value"] for figure in facts_of(tmp_path / folder)["figures"]}
        for folder in ("out", "again")
    ]
    for name in ("quadratic kappa of the groups", "median disc Dice", "accuracy of the grades"):
        assert figures[0][name] == pytest.approx(figures[1][name], abs=1e-3)


def models_masks(cohort: Path, study: Path, case: str) -> np.ndarray:
    """What the model drew, in canonical order."""
    volume = Study.open(study).case(case).volume()
    content = (cohort / f"{sources(study)[case]}_discs.seg.nrrd").read_bytes()
    shape, matrix = volume.to_stored(volume.voxels).shape, volume.stored_index_to_lps
    return SagittalVolume.from_stored(parse_segmentation(content, "", shape, matrix), matrix).voxels


def test_drawn_masks_are_compared_on_the_graded_slice_and_it_is_told_where_they_lie_on_another(
    graded, tmp_path, capsys
):
    study = tmp_path / "study"
    assert create(study, graded / "cohort", "--cases", "2", "--tasks", "masks") == 0
    here, elsewhere = Study.open(study).case_ids
    read_masks(study, "anna", here, np.roll(models_masks(graded / "cohort", study, here), 2, axis=1))
    read_masks(study, "anna", elsewhere, np.roll(models_masks(graded / "cohort", study, elsewhere), 1, axis=0))
    capsys.readouterr()
    assert evaluate(graded / "cohort", study, tmp_path / "out") == 0
    said = capsys.readouterr().out
    told = "In 1 case, the reader drew on another slice than was graded, so nothing is said of masks and names: "
    assert f"{told}{elsewhere}." in said
    assert "began with the masks" not in said and "do not estimate" not in said
    scores = read_scores(tmp_path / "out" / "discs.csv")
    assert {score.patient for score in scores} == {here}
    for score in scores:
        assert 0.6 < score.dice < 0.95 and score.above_mm > 0.8 and score.below_mm < -0.8, (
            score
        )  # 2 rows of 0.7 mm lower


def test_discs_that_were_graded_on_slices_of_their_own_are_compared_there(tmp_path, capsys):
    path = write_volume(tmp_path / "scans" / "bowed.nrrd", PaintedSpine().curved(-12.0, 0.0, 4.0).volume)
    cohort, study = tmp_path / "cohort", tmp_path / "study"
    graded_cohort(cohort, [path, write_phantom(tmp_path / "scans" / "straight.nrrd", 1)])
    rows = [row for row in rows_of(cohort / "cohort.csv") if row["identifier"] == "bowed"]
    slices = Counter(int(row["slice"]) for row in rows)
    assert len(slices) > 1
    assert create(study, cohort, "--allow-prefill") == 0
    case = next(case for case, name in sources(study).items() if name == "bowed")
    with ReaderSession.open(study, "anna").open_case(case) as opened:
        assert opened.volume.stored_slice_index(opened.slice_index) == slices.most_common(1)[0][0]
    read_all(study, [1, 2, 3, 4, 5])
    assert evaluate(cohort, study, tmp_path / "out") == 0
    assert "another slice" not in capsys.readouterr().out
    scores = [score for score in read_scores(tmp_path / "out" / "discs.csv") if score.patient == case]
    assert {score.level for score in scores} >= set(LUMBAR_LEVELS)
    for score in scores:
        assert (score.dice, score.named_level, score.all_named) == (1.0, score.level, True)
    assert main(["study", "export", str(study), str(tmp_path / "export")]) == 0
    data = ["evaluate", "--data", str(tmp_path / "export"), "--split", "all", "--output", str(tmp_path / "again")]
    assert main([*data, "--device", "cpu"]) == 0  # discs above those that tables list count for the distance too
    again = read_scores(tmp_path / "again" / "discs.csv")
    apart = next(score.slice_error_mm for score in again if score.patient == case)
    assert apart > 0 and all(score.slice_error_mm == pytest.approx(apart) for score in scores)


def test_a_study_whose_masks_all_lie_on_other_slices_is_told_so(graded, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, graded / "cohort", "--cases", "1", "--tasks", "masks") == 0
    read_masks(study, "anna", "C0001", np.roll(models_masks(graded / "cohort", study, "C0001"), 1, axis=0))
    capsys.readouterr()
    assert evaluate(graded / "cohort", study, tmp_path / "out") == 1
    assert "Nothing can be compared" in (error := error_line(capsys)) and "another slice than was graded" in error
    assert not (tmp_path / "out").exists()


def test_without_the_masks_of_the_cohort_grades_are_compared_by_level(cohort, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, cohort, "--allow-prefill", "--cases", "2") == 0
    read_all(study, [1, 2, 3, 4, 5])
    for path in (*cohort.glob("*_discs.seg.nrrd"), *cohort.glob("*_result.json")):
        path.unlink()
    shutil.rmtree(cohort.parent / "scans")  # nothing but the tables is left
    capsys.readouterr()
    assert evaluate(cohort, study, tmp_path / "out") == 0
    assert "In 2 cases, the cohort's masks are not there" in capsys.readouterr().out
    scores = read_scores(tmp_path / "out" / "discs.csv")
    assert len(scores) == 10 and all(score.dice is None and score.predicted_grade for score in scores)


def test_a_disc_that_is_not_assessable_to_the_program_has_no_grade(cohort, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, cohort, "--cases", "1", "--tasks", "grades") == 0
    ((case, name),) = sources(study).items()
    read_grades(study, "carl", case, [1, 2, 3, 4, 5])
    rows = rows_of(cohort / "cohort.csv")
    for row in rows:
        if (row["identifier"], row["level"]) == (name, "L4-L5"):
            row.update(group="not assessable", pfirrmann="")
    write_rows(cohort / "cohort.csv", rows[0], rows)
    (cohort / f"{name}_result.json").unlink()
    assert evaluate(cohort, study, tmp_path / "out") == 0
    assert "without a grade here: 1 discs." in capsys.readouterr().out
    by_level = {score.level: score for score in read_scores(tmp_path / "out" / "discs.csv")}
    assert (by_level["L4-L5"].grade, by_level["L4-L5"].predicted_grade, by_level["L4-L5"].p_serious) == (4, None, None)
    assert by_level["L5-S1"].predicted_grade


def test_a_study_that_was_imported_is_joined_by_the_voxels(cohort, tmp_path, capsys):
    study, scans = tmp_path / "study", cohort.parent / "scans"
    assert main(["study", "create", str(study), *READERS, "--tasks", "grades"]) == 0
    write_phantom(scans / "stranger.nrrd", 50)
    copies = tmp_path / "elsewhere"
    copies.mkdir()
    for name in ("meier1", "meier4", "stranger"):
        shutil.copy(scans / f"{name}.nrrd", copies / f"{name}.nrrd")
    assert main(["study", "import", str(study), str(copies)]) == 0
    for case in Study.open(study).case_ids:
        read_grades(study, "carl", case, [1, 2, 3, 4, 5])
    (scans / "meier0.nrrd").unlink()  # one that is not asked for
    names = sources(study)
    (tmp_path / "study-mapping.csv").unlink()
    capsys.readouterr()
    assert evaluate(cohort, study, tmp_path / "out") == 0
    stranger = next(case for case, name in names.items() if name == "stranger")
    said = capsys.readouterr().out
    known = (
        "not among the graded scans of the cohort (1 of which cannot be read any more, so their images are not known)"
    )
    assert f"Left out, finished, but {known}: {stranger}." in said
    rows = {(row["identifier"], row["level"]): row for row in rows_of(cohort / "cohort.csv")}
    scores = read_scores(tmp_path / "out" / "discs.csv")
    assert {names[score.patient] for score in scores} == {"meier1", "meier4"}
    for score in scores:
        assert str(score.predicted_grade) == rows[names[score.patient], score.level]["pfirrmann"]
    assert {metric["data"] for metric in facts_of(tmp_path / "out")["metrics"]} == {"study, 2 study patients"}


def use_two_models(cohort: Path, name: str) -> None:
    for table in ("cohort.csv", "cohort_scans.csv"):
        change(cohort / table, name, grading_model="another", grading_sha256="c" * 64)
    stored = json.loads((cohort / f"{name}_result.json").read_text())
    stored["models"][1].update(name="another", sha256="c" * 64)
    (cohort / f"{name}_result.json").write_text(json.dumps(stored))


def raise_grades(cohort: Path, name: str) -> None:
    change(cohort / "cohort.csv", name, pfirrmann="5", group="serious")


def rename_to_another_level(cohort: Path, name: str) -> None:
    text = (cohort / "cohort.csv").read_text()
    (cohort / "cohort.csv").write_text(text.replace(f"{name},L4-L5", f"{name},L5-L6"))


def edit_masks(cohort: Path, name: str) -> None:
    image = sitk.ReadImage(str(cohort / f"{name}_discs.seg.nrrd"))
    array = sitk.GetArrayFromImage(image)
    array[array == array.max()] = 0
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    for key in image.GetMetaDataKeys():
        changed.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(changed, str(cohort / f"{name}_discs.seg.nrrd"))


def empty_the_tables(cohort: Path, name: str) -> None:
    for table in ("cohort.csv", "cohort_scans.csv"):
        rows = rows_of(cohort / table)
        write_rows(cohort / table, rows[0], [])


def correct_by_hand(cohort: Path, name: str) -> None:
    change(cohort / "cohort.csv", name, manual_changes="grade set to 5 by a reader")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (use_two_models, "several models (unet-lumbar-t2"),
        (raise_grades, "do not say the same"),
        (rename_to_another_level, "do not say the same"),
        (edit_masks, "has been changed since it was graded"),
        (empty_the_tables, "None of the 1 finished cases"),
        (correct_by_hand, "a reader has changed this disc"),
        (lambda cohort, name: rename_level(cohort), "'L4/L5' is no disc level"),
        (lambda cohort, name: lose_a_row(cohort), "discs of this scan, not"),
    ],
)
def test_a_cohort_that_does_not_say_what_one_model_found_is_not_evaluated(edit, message, cohort, tmp_path, capsys):
    study = tmp_path / "study"
    assert create(study, cohort, "--cases", "1") == 0
    ((case, name),) = sources(study).items()
    read_masks(study, "anna", case, models_masks(cohort, study, case))
    edit(cohort, name)
    capsys.readouterr()
    assert evaluate(cohort, study, tmp_path / "out") == 1
    assert message in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_study_without_a_finished_case_is_not_evaluated(graded, study, tmp_path, capsys):
    capsys.readouterr()
    assert evaluate(graded / "cohort", study, tmp_path / "out") == 1
    assert "None of the 0 finished cases" in error_line(capsys)


@pytest.mark.parametrize(
    "options",
    [[], ["--study", "s", "--model", "m"], ["--study", "s", "--degrade", "1mm"], ["--study", "s", "--write-cards"]],
)
def test_what_does_not_go_with_a_cohort_is_wrong_usage(options, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["evaluate", "--cohort", "c", "--output", str(tmp_path / "out"), *options])
    assert refused.value.code == 2


# -- the whole way from a folder of studies


def test_a_folder_of_studies_becomes_a_cohort_a_study_and_an_evaluation(tmp_path, capsys):
    scans, cohort, study = tmp_path / "scans", tmp_path / "cohort", tmp_path / "study"
    for seed in (1, 2):
        write_study(scans / "dicom", seed)  # two studies of one person in one folder
    write_scan(scans / "miller.nrrd", 3)
    Image.fromarray((spine(4)[0] / spine(4).max() * 255).astype(np.uint8)).save(tmp_path / "shot.png")
    listed = write_list(tmp_path / "list.csv", ("input", "identifier", "pixel_size"), ("shot.png", "shot", "0.7"))
    assert main(["grade", str(scans), "--output", str(cohort), "--device", "cpu"]) == 0
    assert main(["grade", "--list", str(listed), "--output", str(cohort), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert create(study, cohort, "--allow-prefill") == 0
    assert "4 cases of a cohort of 4 graded scans: all of them." in capsys.readouterr().out
    patients = Counter(Study.open(study).case(case).patient for case in Study.open(study).case_ids)
    assert sorted(patients.values()) == [1, 1, 2]
    assert all(Study.open(study).case(case).scale_known for case in Study.open(study).case_ids)
    content = b"".join(path.read_bytes() for path in study.rglob("*") if path.is_file())
    assert not any(word in content for word in (b"SECRET-4711", b"Doe", b"miller", b"shot"))
    read_all(study, [1, 2, 3, 4, 5])
    assert evaluate(cohort, study, tmp_path / "out") == 0
    facts = facts_of(tmp_path / "out")
    assert {metric["data"] for metric in facts["metrics"]} == {"study, 3 cohort patients"}
    assert all(score.dice == 1.0 for score in read_scores(tmp_path / "out" / "discs.csv"))
