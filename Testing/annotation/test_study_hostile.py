"""Study folders from anyone: what is damaged or made to harm is refused or neutralised, with a sentence."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from example_studies import make_study, read_grades, read_masks, truth_masks

from LumbarDiscGradingLib.annotation.active_learning.ranking import CaseRanking, CaseScores, RankingModel
from LumbarDiscGradingLib.annotation.errors import StudyError
from LumbarDiscGradingLib.annotation.exchange.deidentification import IdentifierMapping, MappingRow
from LumbarDiscGradingLib.annotation.exchange.export import export_study
from LumbarDiscGradingLib.annotation.exchange.export_check import verify_export
from LumbarDiscGradingLib.annotation.exchange.reimport import import_export
from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.storage import documents
from LumbarDiscGradingLib.annotation.storage.documents import migrated, parse_document, schema_of
from LumbarDiscGradingLib.annotation.study.selection import SELECTION_NAME, Rule, Selection
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.json_schema import first_violation

links = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_study(tmp_path / "study", 2)
    read_grades(tmp_path / "study", "carl", "C0001", [1, 2, 3, 4, 5])
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    return tmp_path / "study"


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "newer than this program"),
        ({"schema_version": -1}, "no schema version"),
        ({"schema_version": 0}, "cannot be read any more"),
        ({"schema": "something/else"}, "is not a"),
        ({"levels": ["L4-L5", "../../etc"]}, "not valid"),
        ({"readers": [{"id": "../../evil", "roles": ["grader"], "years_of_experience": 1}]}, "does not match"),
        ({"readers": [{"id": "CON..", "roles": ["grader"], "years_of_experience": 1}]}, "does not match"),
        ({"repeat_share": 7}, "out of range"),
        ({"surprise": True}, "unknown entry"),
    ],
)
def test_a_protocol_that_breaks_the_schema_is_refused(folder, changes, message):
    change_json(folder / "study.json", **changes)
    with pytest.raises(StudyError, match=message):
        Study.open(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b'"text"', b"9" * 10_000]
)
def test_what_is_no_json_is_refused(folder, content):
    (folder / "study.json").write_bytes(content)
    with pytest.raises(StudyError, match=r"readable|is not a"):
        Study.open(folder)


@pytest.mark.parametrize("name", ["study.json", "cases/C0001/case.json", "readers/carl/events.jsonl"])
def test_ten_gigabytes_of_json_are_refused_unread(folder, name):
    with (folder / name).open("r+b") as stream:
        stream.truncate(10_000_000_000)  # takes no room on the disk
    with pytest.raises(StudyError, match="10000 MB"):
        Study.open(folder).case("C0001")


@links
@pytest.mark.parametrize("name", ["study.json", "cases/C0001/case.json", "readers/carl/events.jsonl"])
def test_links_in_place_of_files_are_refused(folder, tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    with pytest.raises(StudyError, match="is a link"):
        Study.open(folder).case("C0001")


@links
def test_a_reading_that_is_a_link_is_neither_shown_nor_exported(folder, tmp_path):
    read_grades(folder, "dora", "C0001", [1, 2, 3, 4, 5])
    path = folder / "readers" / "dora" / "cases" / "C0001" / "grades.json"
    secret = tmp_path / "secret"
    path.rename(secret)
    path.symlink_to(secret)
    with pytest.raises(StudyError, match="is a link"):
        ReaderSession.open(folder, "dora").open_case("C0001")
    with pytest.raises(StudyError, match="is a link"):
        export_study(Study.open(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@links
def test_a_pipe_in_place_of_a_file_does_not_hang_the_reader(folder):
    (folder / "cases" / "C0001" / "case.json").unlink()
    os.mkfifo(folder / "cases" / "C0001" / "case.json")
    with pytest.raises(StudyError, match="not a plain file"):
        Study.open(folder).case("C0001")


@links
def test_folders_that_lead_out_of_the_study_are_refused(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "readers" / "dora").symlink_to(outside)
    with pytest.raises(StudyError, match="leads out of the study"):
        Study.open(folder)
    (folder / "readers" / "dora").unlink()
    (folder / "readers" / "dora").mkdir()
    (folder / "readers" / "dora" / "cases").symlink_to(outside)
    session = ReaderSession.open(folder, "dora")
    with pytest.raises(StudyError, match="leads out of the study"):
        session.open_case("C0001")
    (folder / "cases" / "C0003").symlink_to(outside)
    assert "C0003" not in Study.open(folder).case_ids
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "C0001/../C0002", "", ".hidden", "a" * 65, "C\n1"])
def test_names_that_lead_elsewhere_are_refused(folder, name):
    study = Study.open(folder)
    for ask in (study.case, lambda n: study.reading_path("carl", n, Task.GRADES), study.protocol.reader):
        with pytest.raises(StudyError):
            ask(name)


def test_a_case_under_another_cases_name_is_refused(folder):
    change_json(folder / "cases" / "C0001" / "case.json", case="C0002")
    with pytest.raises(StudyError, match="holds the case C0002"):
        Study.open(folder).case("C0001")


def test_an_image_that_was_exchanged_is_refused(folder):
    (folder / "cases" / "C0001" / "image.nrrd").write_bytes((folder / "cases" / "C0002" / "image.nrrd").read_bytes())
    with pytest.raises(StudyError, match="has been changed"):
        Study.open(folder).case("C0001").volume()


def test_signed_readings_that_were_exchanged_are_refused(folder):
    study = Study.open(folder)
    path = study.reading_path("anna", "C0001", Task.MASKS)
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    with pytest.raises(StudyError, match="not what was signed"):
        ReaderSession.open(folder, "anna").open_case("C0001")
    with pytest.raises(StudyError, match="not what its reader saved"):
        ReaderSession.open(folder, "ben").open_review("C0001", "anna")


def test_events_of_the_wrong_shape_are_passed_over(folder):
    log = folder / "readers" / "carl" / "events.jsonl"
    good = {"kind": "saved", "at": "2030-01-01T00:00:00.000Z", "case": "C0002", "task": "grades"}
    wrong = [
        {**good, "kind": "hacked"},
        {**good, "task": []},
        {**good, "seconds": "long"},
        {**good, "grades": [1, 2]},
        {**good, "round": 17},
        {**good, "case": 5},
        ["saved"],
    ]
    with log.open("a") as stream:
        stream.writelines(json.dumps(event) + "\n" for event in wrong)
        stream.write("x" * 70_000 + "\n")
        stream.write(json.dumps({**good, "grades": {"L4-L5": 9, "L9-L9": 2, "L1-L2": "5", "L2-L3": 4}}) + "\n")
    history = Study.open(folder).histories["carl"]
    assert history.log.unreadable_lines == len(wrong) + 1
    assert history.reading("C0002", Task.GRADES).grades == {"L2-L3": 4}


def test_formulas_in_a_mapping_are_neutralised(tmp_path):
    (tmp_path / "study").mkdir()
    mapping = IdentifierMapping(tmp_path / "mapping.csv", tmp_path / "study")
    mapping.add(MappingRow("C0001", "C0001", "=HYPERLINK(1)", '@x,"y"\nz'))
    with (tmp_path / "mapping.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["source_patient"], row["source"]) == ("'=HYPERLINK(1)", '\'@x,"y" z')
    assert IdentifierMapping(tmp_path / "mapping.csv", tmp_path / "study").patient_of("=HYPERLINK(1)") == "C0001"


def exported(folder: Path, out: Path) -> Path:
    study = Study.open(folder)
    read_grades(folder, "dora", "C0001", [1, 2, 3, 4, 5])
    export_study(Study.open(folder), out)
    assert study.protocol.name == "Example"
    return out


def test_an_export_manifest_that_names_files_elsewhere_is_refused(folder, tmp_path):
    out = exported(folder, tmp_path / "out")
    manifest = json.loads((out / "manifest.json").read_text())
    for path in ("../secret", "/etc/passwd", "images/../../secret"):
        change_json(out / "manifest.json", files=[{**manifest["files"][0], "path": path}])
        with pytest.raises(StudyError, match="does not match"):
            verify_export(out)


def test_an_import_takes_no_file_that_is_not_part_of_a_reading(folder, tmp_path):
    out = exported(folder, tmp_path / "out")
    bad = out / "readings" / "readers" / "carl" / "C0001" / "run-me.sh"
    bad.write_text("x")
    from LumbarDiscGradingLib.annotation.exchange.export_check import list_files

    change_json(out / "manifest.json", files=list_files(out))  # the attacker keeps the manifest true
    study = Study.create(tmp_path / "again", Study.open(folder).protocol)
    with pytest.raises(StudyError, match="no file of a reading"):
        import_export(study, out)


def test_documents_are_migrated_step_by_step_and_a_missing_step_is_an_error():
    steps = {0: lambda d: {**d, "a": 1}, 1: lambda d: {**d, "b": d["a"] + 1}}
    assert migrated({"schema_version": 0}, 2, steps, "x") == {"schema_version": 2, "a": 1, "b": 2}
    assert migrated({"schema_version": 2}, 2, steps, "x") == {"schema_version": 2}
    with pytest.raises(StudyError, match="cannot be read any more"):
        migrated({"schema_version": 0}, 2, {1: steps[1]}, "x")


def test_an_older_study_is_migrated_when_it_is_opened(folder, monkeypatch):
    monkeypatch.setitem(documents.MIGRATIONS, "study", {0: lambda d: {**d, "active_learning": False}})
    content = json.loads((folder / "study.json").read_text())
    del content["active_learning"]
    (folder / "study.json").write_text(json.dumps({**content, "schema_version": 0}))
    assert Study.open(folder).protocol.active_learning is False


@pytest.mark.parametrize("kind", sorted(documents.VERSIONS))
def test_schemas_are_valid_and_mean_the_same_to_an_independent_checker(kind, folder):
    jsonschema = pytest.importorskip("jsonschema")
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    files = {
        "study": [folder / "study.json"],
        "case": list(folder.rglob("case.json")),
        "grades": list(folder.rglob("grades.json")),
    }
    found = [json.loads(path.read_text()) for path in files.get(kind, [])]
    if kind == "event":
        found = [json.loads(line) for path in folder.rglob("events.jsonl") for line in path.read_text().splitlines()]
    if kind == "export":
        sha256 = "0" * 64
        entry = {"path": "a/b.nrrd", "bytes": 1, "sha256": sha256}
        found = [{**documents.heading("export"), "layout": "monai", "study": "x", "files": [entry]}]
    if kind == "ranking":
        models = (RankingModel("segmentation", "unet", "", "a" * 64), RankingModel("grading", "net", "1", "b" * 64))
        ranking = CaseRanking.of_models(Study.open(folder), models)
        ranking.cases["C0001"] = CaseScores("c" * 64, {"L4-L5": (0.1, 0.2, 0.7)}, 0.5)
        ranking.save()
        found = [json.loads(ranking.path.read_text())]
    if kind == "selection":
        models = ({"task": "segmentation", "name": "unet", "sha256": "a" * 64},)
        Selection(Rule.DOUBT, 7, 30, 1, True, models, {"C0001": "c" * 64}).write(folder)
        found = [json.loads((folder / SELECTION_NAME).read_text())]
    assert found
    for document in found:
        jsonschema.validate(document, schema)
        assert first_violation(document, schema) is None
        if kind != "event":
            parse_document(json.dumps(document).encode(), kind, "x")
