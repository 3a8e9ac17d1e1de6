"""A whole study on the real data: imported, read by simulated readers with known error rates, reviewed, adjudicated,
measured, exported, trained on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from example_studies import READERS

from LumbarDiscGradingLib.annotation.agreement.agreement import ALL_LEVELS, study_agreement
from LumbarDiscGradingLib.annotation.exchange.export import export_study
from LumbarDiscGradingLib.annotation.exchange.export_check import verify_export
from LumbarDiscGradingLib.annotation.exchange.importing import import_sources
from LumbarDiscGradingLib.annotation.protocol import Protocol, Task
from LumbarDiscGradingLib.annotation.study.reference import consensus_grades
from LumbarDiscGradingLib.annotation.study.states import CaseState, StudyStates
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import Duty, ReaderSession
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

ERROR_RATES = {"carl": 0.15, "dora": 0.35}
"""How often a simulated reader is one grade off."""


@pytest.fixture(scope="module")
def rehearsed(shared_data: Path, tmp_path_factory) -> tuple[Study, dict[str, dict[str, int]]]:
    """The study when all has been read, and the truth by case."""
    folder = tmp_path_factory.mktemp("rehearsal") / "study"
    study = Study.create(folder, Protocol("Rehearsal", READERS, dice_limit=0.8))
    report = import_sources(study, [shared_data / "spider_space"], reader="anna")
    assert len(report.added) == 33 and not report.failed
    truth = true_grades(shared_data / "spider_space" / "grades.csv", folder.parent / "study-mapping.csv")
    for reader, rate in ERROR_RATES.items():
        simulate_grader(folder, reader, rate, truth)
    review_all(folder)
    adjudicate_all(folder, truth)
    return Study.open(folder), truth


def true_grades(grades: Path, mapping: Path) -> dict[str, dict[str, int]]:
    with mapping.open(newline="") as stream:
        case_of = {row["source_patient"].split("/")[1]: row["case"] for row in csv.DictReader(stream)}
    truth: dict[str, dict[str, int]] = {case: {} for case in case_of.values()}
    with grades.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["level"] in LUMBAR_LEVELS:
                truth[case_of[row["patient"]]][row["level"]] = int(row["pfirrmann"])
    return truth


def simulate_grader(folder: Path, reader: str, rate: float, truth: dict[str, dict[str, int]]) -> None:
    """Work through the whole list, as a reader does: next case, five grades, sign."""
    random = np.random.default_rng(len(reader) + round(100 * rate))
    session = ReaderSession.open(folder, reader)
    item = session.next_item(Task.GRADES)
    while item is not None:
        with session.open_case(item.case, item.round) as case:
            for level in LUMBAR_LEVELS:
                grade = truth[item.case].get(level)
                if grade is not None and random.random() < rate:
                    grade += -1 if grade == 5 else 1 if grade == 1 else int(random.choice([-1, 1]))
                case.grade(level, grade, assessable=grade is not None, seconds=4.0)
            case.sign(Task.GRADES)
        item = session.next_item(Task.GRADES, after=item)


def review_all(folder: Path) -> None:
    """Accept all discs; of every fifth case correct the lowest one."""
    session = ReaderSession.open(folder, "ben")
    for number, item in enumerate(session.work_list(Task.MASKS, Duty.REVIEW)):
        review = session.open_review(item.case, item.target)
        for level in review.undecided:
            disc = review.masks == DISC_LABELS[level]
            if number % 5 == 0 and level == "L5-S1":
                review.correct(level, disc & (np.cumsum(disc, axis=1) > 1), "upper edge")
            else:
                review.accept(level)
        review.sign()


def adjudicate_all(folder: Path, truth: dict[str, dict[str, int]]) -> None:
    """Choose whichever reading is right, else an own grade."""
    session = ReaderSession.open(folder, "emil")
    for item in session.work_list(Task.GRADES, Duty.ADJUDICATE):
        adjudication = session.open_adjudication(item.case, Task.GRADES)
        for found in adjudication.disagreements:
            right = truth[item.case][found.level]
            choice = "A" if found.first == right else "B" if found.second == right else "own"
            adjudication.decide(found.level, choice, "rehearsal", grade=right if choice == "own" else None)
        adjudication.sign()


def codes(study: Study, reader: str) -> dict[tuple[str, str], int]:
    histories = study.histories[reader]
    return {
        (case, level): code
        for case in study.case_ids
        for level, code in histories.reading(case, Task.GRADES).grades.items()
        if code
    }


def test_every_case_is_read_and_settled(rehearsed):
    study, truth = rehearsed
    states = StudyStates(study)
    assert {states.state(case, Task.GRADES) for case in study.case_ids} == {CaseState.AGREED, CaseState.ADJUDICATED}
    masks = [states.state(case, Task.MASKS) for case in study.case_ids]
    assert masks.count(CaseState.CORRECTED) >= 5 and masks.count(CaseState.ACCEPTED) >= 20
    assert set(masks) <= {CaseState.CORRECTED, CaseState.ACCEPTED, CaseState.UNREAD}  # unread: levels not certain
    carl, dora = codes(study, "carl"), codes(study, "dora")
    for case in study.case_ids:
        for level, grade in consensus_grades(states, case).items():
            both_wrong = carl[case, level] == dora[case, level] != truth[case][level]
            assert grade == (carl[case, level] if both_wrong else truth[case][level])
    assert verify_study(study) == []


def test_readers_err_as_often_as_they_were_made_to(rehearsed):
    study, truth = rehearsed
    for reader, rate in ERROR_RATES.items():
        found = codes(study, reader)
        share = np.mean([grade != truth[case][level] for (case, level), grade in found.items()])
        assert abs(share - rate) < 3 * np.sqrt(rate * (1 - rate) / len(found))


def test_agreement_is_that_of_scikit_learn(rehearsed):
    metrics = pytest.importorskip("sklearn.metrics")
    study, _ = rehearsed
    carl, dora = codes(study, "carl"), codes(study, "dora")
    agreement = study_agreement(study, resamples=500)
    assert len(agreement.grades) == 6
    for found in agreement.grades:
        keys = [key for key in carl if found.level in (ALL_LEVELS, key[1])]
        first, second = [carl[key] for key in keys], [dora[key] for key in keys]
        for name, kappa in (("linear", found.kappa_linear), ("quadratic", found.kappa_quadratic)):
            expected = metrics.cohen_kappa_score(first, second, labels=range(1, 6), weights=name)
            assert kappa.value == pytest.approx(expected) and kappa.low < expected < kappa.high
        assert found.agreed_share == pytest.approx(metrics.accuracy_score(first, second))
        assert np.array_equal(found.table, metrics.confusion_matrix(first, second, labels=range(1, 6)))


def test_training_starts_from_the_export(rehearsed, shared_data, tmp_path, monkeypatch):
    pytest.importorskip("lightning")
    from example_trainings import TINY

    from LumbarDiscGradingLib.training import recipes
    from LumbarDiscGradingLib.training.grading.disc_samples import collect_samples

    study, _ = rehearsed
    report = export_study(study, tmp_path / "out", seed=2)
    assert verify_export(tmp_path / "out") == [] and report.masks >= 25
    assert [len(report.splits[split]) for split in ("train", "tune", "test")] == [24, 4, 5]
    for path in (tmp_path / "out").rglob("*.json*"):
        assert "spider" not in path.read_text().casefold()
    monkeypatch.setitem(recipes.SEGMENTATION_PRESETS, "default", TINY)
    model = tmp_path / "unet"
    arguments = ["train", "segmentation", "--data", str(tmp_path / "out"), "--accelerator", "cpu"]
    assert main([*arguments, "--output", str(model)]) == 0
    assert json.loads((model / "model" / "manifest.json").read_text())["task"] == "segmentation"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    dataset = LabelledDataset.open(tmp_path / "out")
    few = [case for case in dataset.cases_in("train") if case.has_mask][:3]
    smaller = type(dataset)(dataset.name, dataset.folder, tuple(few), dataset.manifest)
    samples = collect_samples([smaller], str(model / "model"))
    assert {sample.patient for sample in samples} == {case.patient for case in few}
    assert all(sample.grade == dataset_grade(dataset, sample.patient, sample.level) for sample in samples)


def dataset_grade(dataset: LabelledDataset, patient: str, level: str) -> int:
    return next(case for case in dataset.cases if case.patient == patient).grades[level]
