"""Evaluation through the whole pipeline on phantoms, its report, stored rows, and the gate between two models."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import example_studies
import numpy as np
import pytest
from example_models import model_with_sets
from PIL import Image

from LumbarDiscGradingLib.annotation.exchange.export import export_study
from LumbarDiscGradingLib.annotation.protocol import Role, Task
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, write_dataset
from LumbarDiscGradingLib.evaluation.comparison import Verdict, compare_scores
from LumbarDiscGradingLib.evaluation.contact_sheets import ALARM, ALARM_FIELD, patient_cell, write_contact_sheets
from LumbarDiscGradingLib.evaluation.failures import Error, failures_of
from LumbarDiscGradingLib.evaluation.files import Evaluation
from LumbarDiscGradingLib.evaluation.measures import SET_COVERAGE, SET_SIZE
from LumbarDiscGradingLib.evaluation.metrics import ALL_SOURCES, confusion, figures_of, metrics_of
from LumbarDiscGradingLib.evaluation.pictures import PictureStore, SlicePicture
from LumbarDiscGradingLib.evaluation.report import write_report
from LumbarDiscGradingLib.evaluation.scores import (
    DiscScore,
    discs_at_points,
    read_scores,
    reference_mid_slice,
    score_case,
    surface_distances_mm,
    write_scores,
)
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.models import store
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS, Tissue, group_probabilities
from LumbarDiscGradingLib.training import recipes
from LumbarDiscGradingLib.training.grading.disc_samples import samples_of_case

SPACING_MM = (0.7, 0.7)
"""Pixels of the phantom."""
VOID_TAGS = {"meta", "img", "br", "link", "hr", "input"}


@pytest.fixture(scope="module")
def phantom():
    return lumbar_phantom(slice_count=3)


@pytest.fixture(scope="module")
def found(grader, phantom):
    """What the program makes of the phantom: the middle slice of three is the only one with a whole canal."""
    return grader.grade(phantom.volume)


def case_with(folder: Path, phantom, mask, grades=None):
    """A data set of one patient with a given reference."""
    case = CaseToWrite("p1", phantom.volume, mask, phantom.grades if grades is None else grades)
    splits = {"train": [], "tune": [], "test": ["p1"]}
    return write_dataset(folder, name="known", cases=[case], splits=splits).cases[0]


def mask_on(slice_index: int, labels: np.ndarray, phantom) -> np.ndarray:
    mask = np.zeros(phantom.mask.shape, np.uint8)
    mask[slice_index] = labels
    return mask


# -- one case against references of which the answer is known


def test_a_reference_that_is_what_the_program_draws_gives_full_marks(grader, phantom, found, tmp_path):
    mask = mask_on(found.slice_index, found.label_slice, phantom)
    scores = score_case(grader, case_with(tmp_path / "d", phantom, mask)).scores
    assert {score.level for score in scores} >= set(LUMBAR_LEVELS)
    for score in scores:
        if score.dice is not None:
            assert (score.dice, score.iou, score.surface_mm, score.surface_95_mm) == (1, 1, 0, 0)
            assert score.named_level == score.level
            assert score.grade == phantom.grades[score.level]
            assert score.predicted_grade == found.disc(score.level).pfirrmann
            assert group_probabilities([getattr(score, f"p_{g}") for g in range(1, 6)]) == pytest.approx(
                score.group_probabilities
            )


def case_with_points(folder: Path, phantom, found, shift: int = 0, levels=LUMBAR_LEVELS):
    """A picture with a point at the back of each disc that was found, named `shift` levels higher than it was found."""
    order = [level for level in DISC_LABELS if (found.label_slice == DISC_LABELS[level]).any()]
    points = {}
    for level in levels:
        pixels = np.argwhere(found.label_slice == DISC_LABELS[order[order.index(level) + shift]])
        points[level] = tuple(float(value) for value in pixels[pixels[:, 1].argmax()])
    one = replace(phantom.volume, voxels=phantom.volume.voxels[found.slice_index : found.slice_index + 1])
    case = CaseToWrite("p1", one, None, {"L4-L5": 3}, kind="picture", level_points=points)
    splits = {"train": [], "tune": [], "test": ["p1"]}
    return write_dataset(folder, name="known", cases=[case], splits=splits).cases[0]


def test_discs_at_points_are_found_and_named_by_the_disc_that_lies_there(grader, phantom, found, tmp_path):
    scores = score_case(grader, case_with_points(tmp_path / "d", phantom, found)).scores
    assert [(score.level, score.named_level) for score in scores] == [(level, level) for level in LUMBAR_LEVELS]
    assert all(score.by_point and score.located and score.all_named for score in scores)
    graded = next(score for score in scores if score.level == "L4-L5")
    assert (graded.grade, graded.predicted_grade) == (3, found.disc("L4-L5").pfirrmann)


def test_a_patient_named_one_level_off_is_wrong_and_silent_where_nothing_is_said(grader, phantom, found, tmp_path):
    lower = LUMBAR_LEVELS[1:]
    scores = score_case(grader, case_with_points(tmp_path / "d", phantom, found, shift=-1, levels=lower)).scores
    assert [score.named_level for score in scores] == list(LUMBAR_LEVELS[:-1])
    assert not any(score.all_named for score in scores)
    figures = {figure.name: figure for figure in figures_of(scores) if figure.part == ""}
    assert figures["lumbar discs found and rightly named"].value == 0
    assert figures["patients with all lumbar discs found and rightly named"].value == 0
    silent = figures["patients with a lumbar disc not found or wrongly named, and no word of it"]
    assert (silent.value, silent.discs) == (float(not scores[0].levels_doubted), 1)
    said = figures_of([replace(score, levels_doubted=True) for score in scores])
    assert next(f for f in said if f.name == silent.name and f.part == "").value == 0


def test_a_point_far_from_every_disc_is_a_disc_that_was_missed():
    labels = np.zeros((200, 100), np.uint8)
    labels[90:100, 30:60] = DISC_LABELS["L4-L5"]
    labels[130:140, 30:60] = DISC_LABELS["L5-S1"]
    points = {"L3-L4": (55.0, 62.0), "L4-L5": (95.0, 62.0), "L5-S1": (135.0, 62.0)}
    assert discs_at_points(labels, points) == {"L4-L5": "L4-L5", "L5-S1": "L5-S1"}
    assert discs_at_points(labels * 0, points) == {}
    assert discs_at_points(labels, {"L4-L5": (95.0, 62.0)}) == {}  # one point tells no distance


def test_dice_iou_and_surface_distance_of_a_shifted_reference(grader, phantom, found, tmp_path):
    shifted = np.roll(found.label_slice, 2, axis=0)
    scores = score_case(grader, case_with(tmp_path / "d", phantom, mask_on(found.slice_index, shifted, phantom))).scores
    scores = {score.level: score for score in scores if score.dice is not None}
    for level in LUMBAR_LEVELS:
        ours, theirs = (labels == DISC_LABELS[level] for labels in (found.label_slice, shifted))
        shared = np.logical_and(ours, theirs).sum()
        assert scores[level].dice == pytest.approx(2 * shared / (ours.sum() + theirs.sum()))
        assert scores[level].iou == pytest.approx(shared / np.logical_or(ours, theirs).sum())
        assert 0 < scores[level].surface_mm <= scores[level].surface_95_mm <= 2 * SPACING_MM[0] + 1e-6


def test_surface_distance_counts_the_spacing_of_rows_and_columns():
    first = np.zeros((40, 60), bool)
    first[10:20, 10:50] = True
    second = np.zeros_like(first)
    second[13:23, 10:50] = True
    mean_mm, robust_mm = surface_distances_mm(first, second, (0.5, 0.25))
    assert robust_mm == pytest.approx(1.5)
    assert 0.5 < mean_mm < 1.5
    assert surface_distances_mm(first, second, (1.0, 0.5)) == pytest.approx((2 * mean_mm, 3.0))
    assert surface_distances_mm(first, first, (1.0, 1.0)) == (0, 0)


def test_a_missed_disc_counts_as_nothing_and_a_wrong_name_as_wrong(grader, phantom, found, tmp_path):
    labels = np.zeros_like(found.label_slice)
    for ours, theirs in (("L5-S1", "L6-S1"), ("L4-L5", "L5-L6"), ("L3-L4", "L3-L4")):
        labels[found.label_slice == DISC_LABELS[ours]] = DISC_LABELS[theirs]
    labels[-20:-10, -30:-10] = DISC_LABELS["L4-L5"]  # in the fat
    grades = {"L6-S1": 5, "L5-L6": 4, "L4-L5": 2}
    case = case_with(tmp_path / "d", phantom, mask_on(found.slice_index, labels, phantom), grades)
    scores = {score.level: score for score in score_case(grader, case).scores}
    missed, wrong, right = scores["L4-L5"], scores["L6-S1"], scores["L3-L4"]
    assert (missed.dice, missed.named_level, missed.predicted_grade, missed.surface_mm) == (0, "", None, None)
    assert (wrong.dice, wrong.named_level, wrong.grade) == (1, "L5-S1", 5)
    assert wrong.predicted_grade == found.disc("L5-S1").pfirrmann
    assert (right.dice, right.named_level, right.grade) == (1, "L3-L4", None)
    failures = failures_of(list(scores.values()))
    assert (failures[0].score.level, failures[0].errors) == ("L4-L5", (Error.MISSED,))
    assert {failure.score.level for failure in failures[1:3]} == {"L6-S1", "L5-L6"}
    assert all(failure.errors[0] is Error.WRONG_LEVEL for failure in failures[1:3])


def test_a_reference_drawn_on_one_slice_is_compared_there_and_the_slice_error_is_in_mm(
    grader, phantom, found, tmp_path
):
    drawn = found.slice_index + 1
    mask = mask_on(drawn, np.where(phantom.mask[drawn] >= min(DISC_LABELS.values()), phantom.mask[drawn], 0), phantom)
    scored = score_case(grader, case_with(tmp_path / "d", phantom, mask))
    assert scored.slice_index == drawn
    lumbar = [score for score in scored.scores if score.level in LUMBAR_LEVELS]
    assert min(score.dice for score in lumbar) > 0.3
    assert {round(score.slice_error_mm, 3) for score in scored.scores} == {4.0}


def test_the_mid_slice_of_a_mask_is_the_middle_of_its_canal():
    mask = np.zeros((7, 4, 4), np.uint8)
    mask[1:6, 1, 1] = Tissue.CANAL
    mask[0, 2, 2] = DISC_LABELS["L4-L5"]
    assert reference_mid_slice(mask) == 3
    mask[mask == Tissue.CANAL] = 0
    assert reference_mid_slice(mask) == 0
    assert reference_mid_slice(np.zeros_like(mask)) is None


# -- figures and failures of hand-made tables


def table(patients: int, seed: int = 0, accuracy: float = 0.6, source: str = "one", dice: float | None = 0.9):
    """Scores of five discs of each patient; the grades of a share of them are right."""
    random = np.random.default_rng(seed)
    scores = []
    for patient in range(patients):
        for level in LUMBAR_LEVELS:
            grade = int(random.integers(1, 6))
            predicted = grade if random.random() < accuracy else int(random.integers(1, 6))
            by_grade = 0.45 * random.dirichlet(np.ones(5)) + 0.55 * np.eye(5)[predicted - 1]
            by_group = group_probabilities(by_grade)
            predicted = int(np.argmax(by_grade)) + 1
            value = None if dice is None else float(np.clip(dice + 0.04 * random.normal(), 0, 1))
            scores.append(
                DiscScore(
                    f"{patient:03d}",
                    source,
                    level,
                    split="tune",
                    dice=value,
                    iou=None if value is None else value / (2 - value),
                    surface_mm=None if value is None else 5 * (1 - value),
                    surface_95_mm=None if value is None else 15 * (1 - value),
                    named_level=level,
                    grade=grade,
                    predicted_grade=predicted,
                    **{f"p_{g}": float(p) for g, p in zip(range(1, 6), by_grade, strict=True)},
                    **dict(zip(("p_mild", "p_moderate", "p_serious"), map(float, by_group), strict=True)),
                    confident=max(by_group) > 0.6,
                )
            )
    return scores


def by_name(figures, source, part=""):
    return {figure.name: figure for figure in figures if (figure.source, figure.part) == (source, part)}


def test_intervals_are_of_patients_and_do_not_shrink_when_discs_are_repeated():
    scores = [score for score in table(20) if score.level == "L4-L5"]
    repeated = [score for score in scores for _ in range(10)]
    once, often = (by_name(figures_of(part), "one")["accuracy of the groups"] for part in (scores, repeated))
    assert (once.low, once.high) == (often.low, often.high)
    assert once.high - once.low > 0.2
    assert (once.discs, often.discs, once.patients, often.patients) == (20, 200, 20, 20)


def of_pairs(scores):
    """Give every two patients the same subject, as two cases of one person have."""
    return [replace(score, subject=f"person-{int(score.patient) // 2:03d}") for score in scores]


def test_intervals_are_of_people_not_of_their_cases():
    twice = [replace(score, patient=f"{2 * int(score.patient) + case:03d}") for score in table(20) for case in (0, 1)]
    once, cases, people = (by_name(figures_of(part), "one") for part in (table(20), twice, of_pairs(twice)))
    accuracy, as_cases, as_people = (part["accuracy of the groups"] for part in (once, cases, people))
    assert (as_people.low, as_people.high) == (accuracy.low, accuracy.high)
    assert as_people.high - as_people.low > 1.2 * (as_cases.high - as_cases.low)
    assert (as_people.patients, as_people.discs, as_cases.patients) == (20, 200, 40)
    (metric,) = (m for m in metrics_of(figures_of(of_pairs(twice)), "d") if m["name"] == "accuracy of the groups")
    assert metric["interval"] == [round(accuracy.low, 4), round(accuracy.high, 4)]
    evaluation = Evaluation.of(of_pairs(twice), split="tune")
    assert evaluation.metrics[0]["data"] == "one, 20 tune patients"
    assert by_name(figures_of(of_pairs([replace(s, slice_error_mm=float(s.patient)) for s in table(4)])), "one")[
        "slice found: median distance from the mid-sagittal one in mm"
    ].value == pytest.approx(1.5)  # each case has a slice of its own


def test_several_sources_are_measured_apart_and_together():
    scores = table(6) + table(8, seed=1, source="two", dice=None)
    figures = figures_of(scores)
    assert {figure.source for figure in figures} == {"one", "two", ALL_SOURCES}
    assert by_name(figures, ALL_SOURCES)["accuracy of the groups"].discs == 14 * 5
    assert "median disc Dice" not in by_name(figures, "two")
    assert by_name(figures, ALL_SOURCES)["median disc Dice"].patients == 6
    assert by_name(figures, "one")["lumbar discs found and rightly named"].value == 1
    assert by_name(figures, "two")["graded discs found"].discs == 40
    right = [score.group_pair[0] == score.group_pair[1] for score in scores if score.level == "L4-L5"]
    assert by_name(figures, ALL_SOURCES, "L4-L5")["accuracy of the groups"].value == pytest.approx(np.mean(right))
    unsure = [score for score in scores if not score.confident]
    right = np.mean([score.group_pair[0] == score.group_pair[1] for score in unsure])
    assert by_name(figures, ALL_SOURCES, "uncertain")["accuracy of the groups"].value == pytest.approx(right)
    assert confusion(scores).sum() == confusion(scores, of_grades=True).sum() == 70
    assert confusion(scores, of_grades=True)[1].sum() == sum(score.grade == 2 for score in scores)


def test_a_figure_of_few_patients_that_is_often_undefined_has_no_interval():
    scores = [replace(score, grade=1 + 4 * (n == 0), predicted_grade=1) for n, score in enumerate(table(3))]
    figure = by_name(figures_of(scores), "one")["AUC mild-serious"]
    assert np.isfinite(figure.value)
    assert np.isnan([figure.low, figure.high]).all()
    assert figure.row()["low"] is None


def test_metrics_for_cards_are_finite_and_named_as_the_cards_expect():
    metrics = {metric["name"]: metric for metric in metrics_of(figures_of(table(5)), "five")}
    assert metrics["median disc Dice"]["n"] == 25
    assert metrics["quadratic kappa of the groups"]["interval"][0] < metrics["quadratic kappa of the groups"]["value"]
    assert all(np.isfinite(metric["value"]) and metric["data"] == "five" for metric in metrics.values())
    one = [replace(score, grade=1, predicted_grade=1) for score in table(1)]
    assert "quadratic kappa of the groups" not in {metric["name"] for metric in metrics_of(figures_of(one), "one")}


def test_failures_come_worst_first():
    good = table(1, accuracy=1.0)[0]
    good = replace(good, grade=1, predicted_grade=1, p_mild=0.95, p_moderate=0.05, p_serious=0.0, dice=0.95)
    low = replace(good, patient="low", dice=0.5)
    sure = replace(good, patient="sure", grade=3)
    two_away = replace(good, patient="two", grade=5, p_mild=0.6)
    shifted = replace(good, patient="shifted", named_level="T12-L1")
    missed = replace(good, patient="missed", named_level="", predicted_grade=None)
    thoracic = replace(missed, patient="thoracic", level="T11-T12")
    slightly_wrong = replace(good, patient="unsure", grade=3, p_mild=0.5)
    everything = [good, low, sure, thoracic, two_away, slightly_wrong, shifted, missed]
    failures = failures_of(everything)
    assert [failure.score.patient for failure in failures] == ["missed", "shifted", "two", "sure", "low"]
    assert failures[2].errors == (Error.TWO_GROUPS_AWAY,)
    assert "reference V serious, automatic I mild (p 0.60)" in failures[2].sentence


# -- the command


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """A data set of three phantom patients; a fourth has grades alone."""
    cases = []
    for seed, patient in enumerate("abc"):
        made = lumbar_phantom(seed, slice_count=3)
        cases.append(CaseToWrite(patient, made.volume, made.mask, made.grades))
    cases.append(replace(cases[0], patient="no-mask", mask=None))
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    splits = {"train": [], "tune": ["a", "b", "c"], "test": ["no-mask"]}
    write_dataset(folder, name="phantoms", cases=cases, splits=splits, licence="none", attribution="made by code")
    return folder


@pytest.fixture(scope="module")
def evaluated(phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "all"
    arguments = ["evaluate", "--data", str(phantoms), "--split", "all", "--output", str(folder), "--device", "cpu"]
    assert main(arguments) == 0
    return folder


class Page(HTMLParser):
    """Collects what a page asks for and whether its tags are closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.addresses, self.tags, self.ids, self.wrong = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID_TAGS:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID_TAGS:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_report_is_one_file_that_needs_nothing_from_elsewhere(evaluated):
    text = (evaluated / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert (page.open, page.wrong) == ([], [])
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    linked = [address for address in page.addresses if address.startswith("contact_sheets/")]
    assert linked
    assert all((evaluated / address).is_file() for address in linked)
    pictures = [address for address in page.addresses if not address.startswith("#") and address not in linked]
    assert len(pictures) >= 3
    for address in pictures:
        kind, data = address.split(",", 1)
        assert kind == "data:image/jpeg;base64"
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert all(name.startswith("#") for name in re.findall(r"url\(\s*['\"]?([^)'\"]*)", text))
    assert "@import" not in text
    assert text.count("Research software, not a medical device") == 1
    assert "svg" in page.tags
    assert str(evaluated) not in text


def test_the_report_shows_the_studys_figures_beside_ours(evaluated):
    text = (evaluated / "report.html").read_text(encoding="utf-8")
    for number in ("0.920 (0.796, 0.935)", "0.853 (0.661, 0.877)", "0.913", "0.916", "0.912", "0.759", "0.89", "0.95"):
        assert number in text, number
    facts = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8"))
    dice = next(f for f in facts["figures"] if (f["name"], f["part"]) == ("median disc Dice", ""))
    assert f"{dice['value']:.3f}" in text
    assert dice["patients"] == 3
    assert dice["value"] > 0.7


def test_tables_hold_each_reference_disc_and_every_figure(evaluated):
    scores = read_scores(evaluated / "discs.csv")
    assert {score.patient for score in scores} == {"a", "b", "c", "no-mask"}
    assert {score.split for score in scores} == {"tune", "test"}
    assert {score.dice is None for score in scores if score.patient == "no-mask"} == {True}
    facts = json.loads((evaluated / "metrics.json").read_text(encoding="utf-8"))
    with (evaluated / "figures.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(facts["figures"])
    assert {model["task"] for model in facts["models"]} == {"segmentation", "grading"}
    assert facts["figures"] == [figure.row() for figure in figures_of(scores)]
    for name in ("contours_best", "contours_worst", "roc", "reliability", "dice_by_level"):
        with Image.open(evaluated / "pictures" / f"{name}.png") as picture:
            assert min(picture.size) > 200


def pixels_of(picture: Image.Image, color) -> int:
    return int((np.asarray(picture) == color).all(axis=-1).sum())


def shown(found, scores, **changes):
    """What a contact sheet shows of the phantom."""
    picture = SlicePicture(
        np.full(found.label_slice.shape, 60, np.uint8),
        None,
        found.label_slice,
        SPACING_MM,
        {},
        {disc.level: disc.pfirrmann for disc in found.discs},
        **changes,
    )
    return patient_cell(picture, scores, "p1")


def test_a_contact_sheet_says_where_name_group_or_disc_is_wrong(found):
    def score(level, grade, named=None, **changes):
        named = level if named is None else named
        return DiscScore("p1", "s", level, named_level=named, grade=grade, by_point=True, **changes)

    disc = found.disc("L3-L4")
    known = {"all_named": True, "levels_doubted": False}
    right = shown(found, [score("L3-L4", disc.pfirrmann, **known)])
    assert pixels_of(right, ALARM) == pixels_of(right, ALARM_FIELD) == 0
    one_away, two_away = (shown(found, [score("L3-L4", grade, **known)]) for grade in (3, 5))
    assert disc.group.value == "mild"
    assert pixels_of(one_away, ALARM_FIELD) > 1000
    assert pixels_of(two_away, ALARM) > pixels_of(one_away, ALARM) == 0
    renamed = shown(found, [score("L2-L3", 2, "L3-L4", all_named=False, levels_doubted=False)])
    missed = shown(
        found, [score("L5-S1", 2, "", all_named=False, levels_doubted=True)], points={"L5-S1": (300.0, 200.0)}
    )
    assert pixels_of(renamed, ALARM) > 20
    assert pixels_of(missed, ALARM) > 20


def test_twelve_patients_stand_on_a_contact_sheet_and_those_of_earlier_runs_go(phantoms, grader, tmp_path):
    case = LabelledDataset.open(phantoms).cases[0]
    (tmp_path / "sheet_007.jpg").write_bytes(b"of an earlier evaluation")
    with PictureStore() as pictures:
        scored = score_case(grader, case)
        scores = []
        for n in range(13):
            name = f"p{n:02d}"
            renamed = tuple(replace(score, patient=name) for score in scored.scores)
            pictures.keep(replace(scored, case=replace(case, patient=name), scores=renamed))
            scores += renamed
        sheets = write_contact_sheets(scores, pictures, tmp_path)
    assert [len(sheet.patients) for sheet in sheets] == [12, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [sheet.name for sheet in sheets]
    with Image.open(tmp_path / sheets[0].name) as full, Image.open(tmp_path / sheets[1].name) as single:
        assert full.width > 2 * single.width


def test_the_report_counts_and_names_patients_whose_names_are_silently_wrong(tmp_path):
    scores = [
        DiscScore(
            f"p{n}",
            "one",
            level,
            named_level="L4-L5" if n == 2 else level,
            dice=0.9,
            all_named=n != 2,
            levels_doubted=False,
        )
        for n in range(4)
        for level in ("L4-L5", "L5-S1")
    ]
    text = write_report(Evaluation.of(scores, split="tune"), tmp_path).read_text(encoding="utf-8")
    assert "Silently wrong: one p2." in text
    row = text[text.index("Table 3") :].split("</tr>")[1]
    assert [cell in row for cell in ("7 of 8", "3 of 4", "1 of 4", "0 of 3")] == [True] * 4


def test_coverage_and_size_of_prediction_sets_are_figures_of_their_own(phantoms, tmp_path, capsys):
    model = model_with_sets(tmp_path / "model")
    arguments = ["evaluate", "--data", str(phantoms), "--split", "tune", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--device", "cpu", "--model", str(model)]) == 0
    scores = [score for score in read_scores(tmp_path / "out" / "discs.csv") if score.level in LUMBAR_LEVELS]
    sizes = [len(score.set_grades) for score in scores]
    held = [score.grade in score.set_grades for score in scores]
    figures = by_name(figures_of(scores), "phantoms")
    assert max(sizes) > 1
    assert figures[SET_SIZE].value == pytest.approx(np.mean(sizes))
    assert figures[SET_COVERAGE].value == pytest.approx(np.mean(held))
    assert (figures[SET_COVERAGE].patients, figures[SET_COVERAGE].discs) == (3, 15)
    assert f"{SET_COVERAGE} {np.mean(held):.3f}" in capsys.readouterr().out
    assert "<h2>Prediction sets</h2>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_model_that_states_no_prediction_sets_has_no_figures_of_them(evaluated, tmp_path):
    scores = [replace(score, pfirrmann_set="") for score in read_scores(evaluated / "discs.csv")]
    page = write_report(Evaluation.of(scores, split="tune"), tmp_path)
    assert "Prediction sets</h2>" not in page.read_text(encoding="utf-8")
    assert not {SET_COVERAGE, SET_SIZE} & {f.name for f in figures_of(scores)}


def test_stored_rows_of_several_runs_give_the_same_tables_again(evaluated, tmp_path, capsys):
    scores = read_scores(evaluated / "discs.csv")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        part = [score for score in scores if (score.patient == "a") == (name == "first")]
        write_scores(part, tmp_path / name / "discs.csv")
    shutil.copy(evaluated / "metrics.json", tmp_path / "first")
    stored = [str(tmp_path / name / "discs.csv") for name in ("first", "second")]
    assert main(["evaluate", "--predictions", *stored, "--output", str(tmp_path / "pooled")]) == 0
    before, after = (json.loads((f / "metrics.json").read_text()) for f in (evaluated, tmp_path / "pooled"))
    assert after["figures"] == before["figures"]
    assert after["failures"] == before["failures"]
    assert after["models"] == before["models"]
    text = (tmp_path / "pooled" / "report.html").read_text(encoding="utf-8")
    assert Page(text).wrong == []
    assert "data:image/jpeg" not in text
    capsys.readouterr()
    assert main(["evaluate", "--predictions", stored[0], stored[0], "--output", str(tmp_path / "twice")]) == 1
    assert "give each patient once" in capsys.readouterr().err


def test_rows_of_earlier_versions_without_some_columns_are_read(tmp_path):
    path = tmp_path / "discs.csv"
    path.write_text(
        "patient,source,level,dice,iou,named_level,grade,predicted_grade,p_mild,p_moderate,p_serious\n"
        "1,s,L4-L5,0.9,0.8,L4-L5,2,3,0.3,0.6,0.1\n2,s,,,,,,,,,\n"
    )
    first, second = read_scores(path)
    assert (first.dice, first.predicted_grade, first.confident, first.p_1) == (0.9, 3, None, None)
    assert (second.level, second.dice) == ("", None)
    assert (first.subject, second.subject) == ("1", "2")


def test_stored_rows_know_the_people(tmp_path):
    scores = of_pairs(table(4))
    write_scores(scores, tmp_path / "discs.csv")
    assert read_scores(tmp_path / "discs.csv") == scores
    assert figures_of(read_scores(tmp_path / "discs.csv"))[0].patients == 2


@pytest.mark.parametrize("row", ["1,s,L9,0.9", "1,s,L4-L5,high", ",s,L4-L5,0.9", "1,s,L4-L5,nan"])
def test_a_row_that_is_no_disc_is_named(tmp_path, capsys, row):
    path = tmp_path / "discs.csv"
    path.write_text(f"patient,source,level,dice\n{row}\n")
    assert main(["evaluate", "--predictions", str(path), "--output", str(tmp_path / "out")]) == 1
    assert "line 2: this is no row of a disc" in capsys.readouterr().err


def test_volumes_are_changed_with_their_masks_before_grading(phantoms, grader, tmp_path, capsys):
    arguments = ["evaluate", "--data", str(phantoms), "--split", "tune", "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path), "--degrade", "1mm"]) == 0
    assert "3 tune patients, resampled to 1 mm: median disc Dice" in capsys.readouterr().out
    scores = [score for score in read_scores(tmp_path / "discs.csv") if score.level in LUMBAR_LEVELS]
    assert np.median([score.dice for score in scores]) > 0.6
    assert "resampled to 1 mm" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as refused:
        main([*arguments, "--output", str(tmp_path), "--degrade", "3"])
    assert refused.value.code == 2


def test_an_export_of_a_study_can_be_evaluated(tmp_path, capsys):
    reader = replace(example_studies.READERS[0], roles=(Role.ANNOTATOR, Role.GRADER))
    changes = {"readers": (reader,), "double_grades": False, "peer_review": False}
    study = example_studies.make_study(tmp_path / "study", 2, **changes)
    study.add_case(example_studies.image(2), patient="C0001")
    for case in study.case_ids:
        example_studies.read_masks(study.folder, "anna", case, example_studies.truth_masks())
        example_studies.read_grades(study.folder, "anna", case, [1, 2, 3, 4, 5])
    export_study(Study.open(study.folder), tmp_path / "export")
    arguments = ["evaluate", "--data", str(tmp_path / "export"), "--split", "all", "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    facts = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert facts["figures"]
    scores = read_scores(tmp_path / "out" / "discs.csv")
    assert len(scores) == 15
    assert {(score.patient, score.subject) for score in scores} == {
        ("C0001", "C0001"), ("C0002", "C0002"), ("C0003", "C0001")
    }  # fmt: skip
    assert {metric["data"] for metric in facts["metrics"]} == {"Example, 2 all patients"}
    assert "Example: 2 patients, 15 reference discs" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_export_of_a_study_of_grades_alone_can_be_evaluated(tmp_path, capsys):
    changes = {"readers": (example_studies.READERS[2],), "double_grades": False, "tasks": (Task.GRADES,)}
    study = example_studies.make_study(tmp_path / "study", 1, **changes)
    example_studies.read_grades(study.folder, "carl", "C0001", [1, 2, 3, 4, 5])
    export_study(Study.open(study.folder), tmp_path / "export")
    arguments = ["evaluate", "--data", str(tmp_path / "export"), "--split", "all", "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    scores = read_scores(tmp_path / "out" / "discs.csv")
    assert [(score.level, score.grade) for score in scores] == list(zip(LUMBAR_LEVELS, range(1, 6), strict=True))


# -- the gate


def worsened(scores, share: float, seed: int = 0):
    """Scores of which the grades of a share of the discs are wrong by a group or two, with full confidence."""
    random = np.random.default_rng(seed)
    wrong = {1: 4, 2: 4, 3: 5, 4: 2, 5: 1}
    return [
        replace(score, predicted_grade=wrong[score.grade], p_mild=0.02, p_moderate=0.02, p_serious=0.96)
        if random.random() < share
        else score
        for score in scores
    ]


def verdicts(comparison, source="one", part=""):
    return {d.name: d.verdict for d in comparison.differences if (d.source, d.part) == (source, part)}


def test_a_planted_deterioration_and_its_reverse_are_found_and_the_same_model_is_not():
    old = table(40, accuracy=0.9)
    bad = worsened(old, 0.3)
    assert compare_scores(old, bad).verdict is Verdict.WORSE
    assert verdicts(compare_scores(old, bad))["quadratic kappa of the groups"] is Verdict.WORSE
    assert verdicts(compare_scores(old, bad))["median disc Dice"] is Verdict.NOT_SHOWN
    assert compare_scores(bad, old).verdict is Verdict.BETTER
    assert verdicts(compare_scores(bad, old))["expected calibration error of the groups"] is Verdict.BETTER
    same = compare_scores(old, list(old))
    assert {difference.verdict for difference in same.differences} == {Verdict.NOT_SHOWN}
    assert {difference.difference for difference in same.gate} == {0.0}


def test_pairing_shows_a_small_difference_that_two_intervals_apart_would_hide():
    old = table(30)
    new = [replace(score, dice=score.dice + 0.005) for score in old]
    gained = next(d for d in compare_scores(old, new).gate if d.name == "median disc Dice")
    figure = by_name(figures_of(old), "one")["median disc Dice"]
    assert gained.verdict is Verdict.BETTER
    assert gained.difference < figure.high - figure.low


def test_the_level_and_group_where_a_model_is_worse_are_named():
    old = table(60, accuracy=0.9)
    new = [w if s.level == "L5-S1" else s for s, w in zip(old, worsened(old, 0.6), strict=True)]
    comparison = compare_scores(old, new)
    assert verdicts(comparison, part="L5-S1")["accuracy of the groups"] is Verdict.WORSE
    assert verdicts(comparison, part="L4-L5")["accuracy of the groups"] is Verdict.NOT_SHOWN
    assert verdicts(comparison, part="mild")["SEN"] is Verdict.WORSE


def stored(folder: Path, scores) -> str:
    folder.mkdir()
    write_scores(scores, folder / "discs.csv")
    return str(folder)


def test_the_command_compares_folders_of_evaluations(tmp_path, capsys):
    scores = table(40, accuracy=0.9)
    old, bad = stored(tmp_path / "old", scores), stored(tmp_path / "bad", worsened(scores, 0.3))
    assert main(["compare", old, old]) == 0
    assert ": not shown to differ." in capsys.readouterr().out
    assert main(["compare", bad, old]) == 0
    assert ": better." in capsys.readouterr().out
    assert main(["compare", old, bad, "--output", str(tmp_path / "out")]) == 1
    text = capsys.readouterr().out
    assert ": worse." in text
    assert (tmp_path / "out" / "comparison.txt").read_text(encoding="utf-8") == text
    facts = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert facts["verdict"] == "worse"
    assert {row["patients"] for row in facts["gate"]} == {40}
    elsewhere = [replace(score, source="another") for score in scores]
    assert main(["compare", old, stored(tmp_path / "other", elsewhere)]) == 2
    assert "No patient was measured with both" in capsys.readouterr().err


def test_only_patients_measured_with_both_models_count():
    scores = table(10)
    comparison = compare_scores(scores, [score for score in scores if score.patient < "006"])
    assert (comparison.patients, comparison.left_out) == (6, 4)
    assert {difference.verdict for difference in comparison.differences} == {Verdict.NOT_SHOWN}


def test_people_are_compared_with_all_cases_that_both_models_know():
    scores = of_pairs(table(10))
    comparison = compare_scores(scores, [score for score in scores if score.patient < "007"])
    assert (comparison.patients, comparison.left_out) == (4, 2)  # of one of the four a case was left out
    assert {difference.patients for difference in comparison.gate} == {4}
    stored_before = [replace(score, subject=score.patient) for score in scores]
    for pair in ((stored_before, scores), (scores, stored_before)):
        assert compare_scores(*pair) == compare_scores(scores, scores)
    better = of_pairs(table(40, accuracy=0.9))
    by_case = [replace(score, subject="") for score in better]
    wide, narrow = (
        next(d for d in compare_scores(part, worsened(part, 0.3)).gate if d.name == "quadratic kappa of the groups")
        for part in (better, by_case)
    )
    assert wide.difference == narrow.difference
    assert (wide.low, wide.high) != (narrow.low, narrow.high)


def test_discs_to_train_on_know_the_person(phantoms):
    case = replace(LabelledDataset.open(phantoms).cases[0], subject="x")
    samples = samples_of_case(case, None)  # the mask tells all: no network is asked
    assert len(samples) >= 5
    assert {(sample.patient, sample.subject) for sample in samples} == {("a", "x")}


def test_people_are_segmented_by_a_network_that_saw_none_of_their_cases(phantoms, tmp_path, monkeypatch):
    from LumbarDiscGradingLib.training.run_record import RunOptions
    from LumbarDiscGradingLib.training.segmentation import folds as segmentation_folds
    from LumbarDiscGradingLib.training.segmentation.module import SegmentationModule

    dataset = LabelledDataset.open(phantoms)
    a, b, c, no_mask = dataset.cases
    people = (replace(a, subject="x"), replace(b, subject="x"), c, replace(no_mask, subject="x", split="train"))
    recipe = replace(recipes.SEGMENTATION_PRESETS["default"], base_width=4)
    folds = []

    def watched(datasets, *rest):
        folds.append([{case.patient for case in datasets[0].cases_in("train")}])
        return SegmentationModule(recipe)

    def tested(grader, cases):
        folds[-1].append({case.patient for case in cases})
        return []

    monkeypatch.setattr(segmentation_folds, "train_segmentation", watched)
    monkeypatch.setattr(segmentation_folds, "scored_cases", tested)
    datasets = [replace(dataset, cases=people)]
    segmentation_folds.cross_validate_segmentation(
        datasets, recipe, tmp_path / "folds", RunOptions(device="cpu"), folds=2
    )
    by_tested = sorted((sorted(seen), sorted(trained)) for trained, seen in folds)
    assert by_tested == [(["a", "b"], ["c"]), (["c"], ["a", "b", "no-mask"])]
    with pytest.raises(ValueError, match="2 patients with masks, too few for 3 folds"):
        segmentation_folds.cross_validate_segmentation(
            datasets, recipe, tmp_path / "more", RunOptions(device="cpu"), folds=3
        )


def test_wrong_usage_of_compare_is_said_in_one_sentence(phantoms, tmp_path, capsys):
    names = store.default_model_names()
    for arguments, message in (
        ([names["segmentation"], names["grading"], "--data", str(phantoms)], "Models of one task can be compared"),
        ([names["grading"], names["grading"]], "--data"),
        ([names["grading"], "no-such-model", "--data", str(phantoms)], "There is no model 'no-such-model'"),
        ([names["grading"], names["grading"], "--data", str(tmp_path)], "not a labelled data set"),
    ):
        assert main(["compare", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_an_untrained_network_is_caught_and_a_measured_model_is_installed_with_its_card(
    phantoms, evaluated, tmp_path, monkeypatch, capsys
):
    """The gate on real networks: an untrained U-Net against the built-in one; then its way into the list of models."""
    from LumbarDiscGradingLib.training.segmentation.export import save_segmentation_model
    from LumbarDiscGradingLib.training.segmentation.module import SegmentationModule

    recipe = replace(recipes.SEGMENTATION_PRESETS["default"], base_width=4)
    datasets = [LabelledDataset.open(phantoms)]
    save_segmentation_model(SegmentationModule(recipe), tmp_path / "new", "retrained-unet", "2.0", datasets)
    data = ["--data", str(phantoms), "--split", "tune", "--device", "cpu"]
    out = tmp_path / "compared"
    assert main(["compare", str(evaluated), str(tmp_path / "new"), *data, "--output", str(out)]) == 1
    assert "lumbar discs found and rightly named" in capsys.readouterr().out
    assert main(["compare", str(out / "new"), str(evaluated)]) == 0

    monkeypatch.setenv(store.MODELS_VARIABLE, str(tmp_path / "installed"))
    arguments = ["--output", str(tmp_path / "measured"), "--model", str(tmp_path / "new"), "--write-cards"]
    assert main(["evaluate", *data, *arguments]) == 0
    assert main(["models", "install", str(tmp_path / "new")]) == 0
    listed = next(model for model in store.available_models() if model.name == "retrained-unet")
    assert listed.origin == "user"
    assert "median disc Dice" in listed.card
    assert "phantoms, 3 tune patients" in listed.card
