"""Unread cases ordered by what is learnt from them: ranked once by a model, used without it, and telling no grade."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_studies import make_study, protocol, read_grades, read_masks, truth_masks

from LumbarDiscGradingLib.annotation.active_learning.informativeness import disagreement_rates, most_informative_first
from LumbarDiscGradingLib.annotation.active_learning.ranking import (
    CaseRanking,
    CaseScores,
    RankingModel,
    latest_ranking,
)
from LumbarDiscGradingLib.annotation.errors import StudyError, WorkflowError
from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.models.store import default_model_names
from LumbarDiscGradingLib.pfirrmann import LUMBAR_LEVELS

MODELS = (
    RankingModel("segmentation", "unet", "1.0", "a" * 64),
    RankingModel("grading", "spinenet", "1.0", "b" * 64),
)
SURE, HALF_SURE, UNSURE = (0.98, 0.01, 0.01), (0.7, 0.2, 0.1), (0.34, 0.33, 0.33)
needs_models = pytest.mark.skipif(
    set(default_model_names()) != {"segmentation", "grading"}, reason="no trained models are in Resources/Models"
)


def scores(groups: tuple[float, float, float], mask_uncertainty: float = 0.1) -> CaseScores:
    return CaseScores("c" * 64, dict.fromkeys(LUMBAR_LEVELS, groups), mask_uncertainty)


def rank(folder: Path, by_case: dict[str, CaseScores], models: tuple[RankingModel, ...] = MODELS) -> CaseRanking:
    ranking = CaseRanking.of_models(Study.open(folder), models)
    ranking.cases.update(by_case)
    ranking.save()
    return ranking


def order(folder: Path, reader: str, task: Task = Task.GRADES) -> list[str]:
    session = ReaderSession.open(folder, reader)
    return [item.case for item in session.work_list(task, priority=most_informative_first(session, task))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_study(tmp_path / "study", cases=5, active_learning=True)
    return tmp_path / "study"


# -- the order


def test_the_case_of_which_the_model_is_least_sure_comes_first(folder):
    rank(folder, {"C0001": scores(SURE), "C0002": scores(UNSURE), "C0003": scores(HALF_SURE), "C0004": scores(SURE)})
    found = order(folder, "carl")
    assert found[:2] == ["C0002", "C0003"]
    assert set(found[2:4]) == {"C0001", "C0004"}
    assert found[4] == "C0005"  # not ranked


def test_a_disc_that_the_model_does_not_find_counts_as_one_of_which_it_is_unsure(folder):
    four = CaseScores("c" * 64, dict.fromkeys(LUMBAR_LEVELS[:4], SURE), 0.1)
    rank(folder, {"C0001": scores(SURE), "C0002": four, "C0003": CaseScores("c" * 64, {}, 1.0)})
    assert order(folder, "carl")[:3] == ["C0003", "C0002", "C0001"]


@pytest.mark.parametrize("as_model", [0, 1])
def test_cases_like_those_on_which_this_reader_differed_from_the_model_come_first(folder, as_model):
    mild, serious = (0.9, 0.05, 0.05), (0.05, 0.05, 0.9)  # equally unsure
    rank(folder, {f"C000{n}": scores(mild if n % 2 else serious) for n in range(1, 5)})
    read_grades(folder, "carl", "C0001", [3, 3, 3, 3, 3] if as_model else [1, 2, 1, 2, 1])
    read_grades(folder, "carl", "C0002", [4, 5, 4, 5, 4] if as_model else [3, 3, 3, 3, 3])
    expected = ["C0003", "C0004"] if as_model else ["C0004", "C0003"]
    assert [case for case in order(folder, "carl") if case in expected] == expected
    session = ReaderSession.open(folder, "carl")
    mild_rate, _, serious_rate = disagreement_rates(session, latest_ranking(session.study))
    assert (mild_rate > 0.5 > serious_rate) if as_model else (mild_rate < 0.5 < serious_rate)


def test_another_readers_readings_do_not_move_the_order(folder):
    mild, serious = (0.9, 0.05, 0.05), (0.05, 0.05, 0.9)
    rank(folder, {f"C000{n}": scores(mild if n % 2 else serious) for n in range(1, 6)})
    before = order(folder, "carl")
    read_grades(folder, "dora", "C0002", [1, 1, 1, 1, 1])
    read_grades(folder, "dora", "C0004", [1, 1, 1, 1, 1])
    assert order(folder, "carl") == before
    assert order(folder, "dora") != before


def test_a_reading_that_is_being_repeated_does_not_count_meanwhile(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, cases=2, active_learning=True, repeat_share=1.0)
    ranking = rank(folder, {"C0001": scores((0.9, 0.05, 0.05)), "C0002": scores(SURE)})
    read_grades(folder, "carl", "C0001", [5, 5, 5, 5, 5])
    assert disagreement_rates(ReaderSession.open(folder, "carl"), ranking)[0] > 0.9
    again = ReaderSession.open(folder, "carl")
    repeated = again.open_case("C0001", 2)
    assert disagreement_rates(again, ranking) == (0.0, 0.0, 0.0)
    repeated.close()


def test_annotators_get_the_cases_first_whose_discs_the_model_outlines_least_surely(folder):
    rank(folder, {f"C000{n}": scores(SURE, u) for n, u in enumerate((0.2, 0.9, 0.1, 0.6, 0.4), start=1)})
    assert order(folder, "anna", Task.MASKS) == ["C0002", "C0004", "C0005", "C0001", "C0003"]


def test_what_was_begun_keeps_its_place_and_after_signing_the_next_is_the_most_informative(folder):
    rank(folder, {f"C000{n}": scores((p, 1 - p, 0.0)) for n, p in enumerate((0.99, 0.6, 0.9, 0.5, 0.8), start=1)})
    session = ReaderSession.open(folder, "carl")
    priority = most_informative_first(session, Task.GRADES)
    read = []
    item = session.next_item(Task.GRADES, priority=priority)
    skipped = session.next_item(Task.GRADES, after=item, priority=priority)
    assert (item.case, skipped.case) == ("C0004", "C0002")
    while item is not None:
        read.append(item.case)
        with session.open_case(item.case) as case:
            for level in LUMBAR_LEVELS:
                case.grade(level, 2)
            case.sign(Task.GRADES)
        item = session.next_item(Task.GRADES, after=item, priority=priority)
    assert read == ["C0004", "C0002", "C0005", "C0003", "C0001"]


def test_skipping_leads_through_all_cases(folder):
    rank(folder, {f"C000{n}": scores((p, 1 - p, 0.0)) for n, p in enumerate((0.99, 0.6, 0.9, 0.5, 0.8), start=1)})
    session = ReaderSession.open(folder, "carl")
    priority = most_informative_first(session, Task.GRADES)
    item, seen = None, []
    for _ in range(5):
        item = session.next_item(Task.GRADES, after=item, priority=priority)
        seen.append(item.case)
    assert seen == ["C0004", "C0002", "C0005", "C0003", "C0001"]


# -- what is kept


def test_the_ranking_is_kept_by_model_and_the_latest_one_counts(folder):
    first = rank(folder, {"C0001": scores(SURE), "C0002": scores(UNSURE)})
    other = (MODELS[0], RankingModel("grading", "spinenet", "2.0", "d" * 64))
    second = rank(folder, {"C0001": scores(UNSURE), "C0002": scores(SURE)}, other)
    assert first.path != second.path
    assert order(folder, "carl")[0] == "C0001"
    kept = CaseRanking.of_models(Study.open(folder), MODELS)
    assert kept.models == MODELS and set(kept.cases) == {"C0001", "C0002"}
    assert kept.cases["C0002"].groups["L4-L5"] == UNSURE


def test_two_programs_that_rank_at_once_lose_nothing(folder):
    one, two = (CaseRanking.of_models(Study.open(folder), MODELS) for _ in range(2))
    one.cases["C0001"], two.cases["C0002"] = scores(SURE), scores(UNSURE)
    one.save()
    two.save()
    assert set(CaseRanking.of_models(Study.open(folder), MODELS).cases) == {"C0001", "C0002"}


def test_a_ranking_is_no_reading_and_shows_in_no_state(folder):
    before = ReaderSession.open(folder, "carl").work_list(Task.GRADES)
    rank(folder, {"C0001": scores(UNSURE)})
    session = ReaderSession.open(folder, "carl")
    assert session.work_list(Task.GRADES) == before
    assert verify_study(session.study) == []
    ordered = session.work_list(Task.GRADES, priority=most_informative_first(session, Task.GRADES))
    assert sorted((i.case, i.state) for i in ordered) == sorted((i.case, i.state) for i in before)
    with pytest.raises(StudyError, match="stay hidden"):
        session.require_sight("C0001", Task.GRADES, "model")


def test_a_protocol_that_forbids_it_says_so(tmp_path):
    folder = tmp_path / "study"
    make_study(folder)
    with pytest.raises(WorkflowError, match="does not allow a model to order"):
        most_informative_first(ReaderSession.open(folder, "carl"), Task.GRADES)


def test_before_any_model_has_ranked_the_reader_is_told_what_to_do(folder):
    with pytest.raises(WorkflowError, match="study rank"):
        most_informative_first(ReaderSession.open(folder, "carl"), Task.GRADES)


# -- hostile content


def broken(ranking: CaseRanking, change: str) -> None:
    document = json.loads(ranking.path.read_text())
    if change == "no json":
        ranking.path.write_text("{")
        return
    if change == "another model":
        document["models"][0]["sha256"] = "e" * 64
    elif change == "one task twice":
        document["models"][1]["task"] = "segmentation"
    elif change == "case named twice":
        document["cases"] *= 2
    elif change == "level named twice":
        document["cases"][0]["discs"] *= 2
    elif change == "path in a name":
        document["cases"][0]["case"] = "../../C0001"
    elif change == "probability":
        document["cases"][0]["discs"][0]["groups"][0] = 1e9
    elif change == "newer":
        document["schema_version"] = 2
    elif change == "readings inside":
        document["cases"][0]["pfirrmann"] = 3
    ranking.path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "change",
    [
        *("no json", "another model", "one task twice", "case named twice", "level named twice", "path in a name"),
        *("probability", "newer", "readings inside"),
    ],
)
def test_a_ranking_that_was_tampered_with_is_refused_in_one_sentence(folder, change):
    ranking = rank(folder, {"C0001": scores(SURE)})
    broken(ranking, change)
    with pytest.raises(StudyError) as found:
        order(folder, "carl")
    assert "\n" not in str(found.value)
    with pytest.raises(StudyError):
        ranking.save()


def test_a_link_a_pipe_or_ten_gigabytes_in_place_of_a_ranking_are_refused(folder, tmp_path):
    ranking = rank(folder, {"C0001": scores(SURE)})
    elsewhere = tmp_path / "elsewhere.json"
    ranking.path.rename(elsewhere)
    ranking.path.symlink_to(elsewhere)
    with pytest.raises(StudyError, match="link"):
        order(folder, "carl")
    ranking.path.unlink()
    with ranking.path.open("wb") as stream:
        os.truncate(stream.fileno(), 10 << 30)
    with pytest.raises(StudyError, match="far more"):
        order(folder, "carl")
    ranking.path.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(ranking.path)
        with pytest.raises(StudyError, match="plain file"):
            order(folder, "carl")


def test_a_ranking_folder_that_leads_out_of_the_study_is_refused(folder, tmp_path):
    (tmp_path / "outside").mkdir()
    (folder / "ranking").symlink_to(tmp_path / "outside")
    with pytest.raises(StudyError, match="leads out"):
        most_informative_first(ReaderSession.open(folder, "carl"), Task.GRADES)


def test_cases_that_the_study_does_not_have_are_passed_over(folder):
    rank(folder, {"C9999": scores(UNSURE), "C0003": scores(SURE)})
    assert order(folder, "carl")[0] == "C0003"


# -- the command, with the networks


def test_the_command_refuses_before_it_loads_anything(tmp_path, capsys):
    make_study(tmp_path / "study")
    assert main(["study", "rank", str(tmp_path / "study"), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "protocol does not allow" in error and "nothing was computed" in error and error.count("\n") == 1
    assert not (tmp_path / "study" / "ranking").exists()


def test_once_ranked_the_order_needs_no_torch(folder):
    rank(folder, {"C0001": scores(SURE), "C0002": scores(UNSURE)})
    code = (
        "import sys\n"
        "for name in ('torch', 'safetensors', 'slicer'): sys.modules[name] = None\n"
        "from LumbarDiscGradingLib.annotation.active_learning.informativeness import most_informative_first\n"
        "from LumbarDiscGradingLib.annotation.protocol import Task\n"
        "from LumbarDiscGradingLib.annotation.work.session import ReaderSession\n"
        f"session = ReaderSession.open({str(folder)!r}, 'carl')\n"
        "print(session.next_item(Task.GRADES, priority=most_informative_first(session, Task.GRADES)).case)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "C0002", done.stderr


@needs_models
def test_ranking_that_is_broken_off_goes_on_where_it_was(tmp_path):
    from LumbarDiscGradingLib.grading.grader import DiscGrader
    from LumbarDiscGradingLib.grading.study_ranking import rank_study

    make_study(tmp_path / "study", cases=2, active_learning=True)
    study, grader, asked = Study.open(tmp_path / "study"), DiscGrader("cpu"), []

    def broken_off(cases):
        yield cases[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_study(study, grader, broken_off)
    assert set(latest_ranking(study).cases) == {"C0001"}
    report = rank_study(study, grader, lambda cases: asked.extend(cases) or cases)
    assert [case.id for case in asked] == ["C0002"]
    assert (report.ranked, report.known, report.failed) == (1, 1, ())
    assert set(latest_ranking(study).cases) == {"C0001", "C0002"}


@needs_models
def test_models_rank_each_case_once_and_tell_readers_no_grade(tmp_path, capsys):
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.imaging.volume import SagittalVolume

    folder = tmp_path / "study"
    study = Study.create(folder, protocol(active_learning=True))
    study.add_case(lumbar_phantom().volume)
    noise = np.random.default_rng(0).integers(0, 300, (3, 96, 96)).astype(np.int16)
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, -4.0], [-1.5, 0, 0], [0, -1.5, 0]]
    study.add_case(SagittalVolume.from_stored(noise, matrix))
    assert main(["study", "rank", str(folder), "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    assert "2 cases ranked by" in output and "0 were ranked before" in output
    ranking = latest_ranking(Study.open(folder))
    assert {m.task: len(m.sha256) for m in ranking.models} == {"segmentation": 64, "grading": 64}
    phantom, blank = ranking.cases["C0001"], ranking.cases["C0002"]
    assert set(LUMBAR_LEVELS) <= set(phantom.groups) and 0 < phantom.mask_uncertainty < blank.mask_uncertainty
    assert phantom.grade_uncertainty(LUMBAR_LEVELS) < blank.grade_uncertainty(LUMBAR_LEVELS)
    assert order(folder, "carl") == ["C0002", "C0001"]

    written = ranking.path.stat().st_mtime_ns
    assert main(["study", "rank", str(folder), "--device", "cpu"]) == 0
    assert "0 cases ranked" in (output := capsys.readouterr().out) and "2 were ranked before" in output
    assert ranking.path.stat().st_mtime_ns == written
    study.add_case(lumbar_phantom(seed=5).volume)
    image = folder / "cases" / "C0003" / "image.nrrd"
    image.write_bytes(image.read_bytes()[:-1])
    assert main(["study", "rank", str(folder), "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert "2 were ranked before" in captured.out and captured.err.startswith("C0003: ")
    assert not any(word in captured.out for word in ("mild", "moderate", "serious", "Pfirrmann"))


def test_masks_may_be_drawn_while_the_ranking_lies_beside_them(folder):
    rank(folder, {"C0001": scores(SURE)})
    read_masks(folder, "anna", "C0001", truth_masks())
    assert ReaderSession.open(folder, "anna").history.reading("C0001", Task.MASKS).signed
