"""Prediction sets: neighbouring grades, a threshold by patient, and the coverage that they promise."""

from __future__ import annotations

import numpy as np
import pytest

from LumbarDiscGradingLib.measures.prediction_sets import fit_threshold, prediction_set, set_scores


def test_a_set_holds_what_is_probable_enough_and_has_no_gap():
    p = [0.05, 0.30, 0.05, 0.55, 0.05]
    assert prediction_set(p, 0.0) == (3,)
    assert prediction_set(p, 0.69) == (3,)
    assert prediction_set(p, 0.70) == (1, 2, 3)
    assert prediction_set(p, 0.95) == (0, 1, 2, 3, 4)


def test_the_score_of_a_disc_is_the_least_threshold_whose_set_holds_its_grade():
    p = np.array([[0.05, 0.30, 0.05, 0.55, 0.05]] * 5)
    for right, score in enumerate(set_scores(p, range(5))):
        assert right in prediction_set(p[0], score)
        if score > 0:
            assert right not in prediction_set(p[0], score - 1e-6)


def test_many_discs_of_a_patient_do_not_make_the_calibration_larger():
    scores, patients = [0.9] * 50 + [0.5] * 19, ["a"] * 50 + [f"p{n}" for n in range(19)]
    assert fit_threshold(scores, patients, 0.9) == 0.5
    assert fit_threshold(scores, range(69), 0.9) == 0.9
    assert fit_threshold([0.5] * 40, ["a", "b", "c", "d", "e", "f", "g", "h"] * 5, 0.9) is None


@pytest.mark.parametrize("discs", [1, 5])
def test_coverage_holds_for_new_patients_whose_discs_are_alike(discs):
    random = np.random.default_rng(3)
    covered = []
    for _ in range(300):
        hard = random.uniform(0.2, 0.95, size=41)  # a patient's discs are equally hard
        p = np.stack([(1 - hard) / 2, hard, (1 - hard) / 2], axis=1).repeat(discs, axis=0)
        truth = np.array([random.choice(3, p=row * [0.5, 1, 0.5] / (row @ [0.5, 1, 0.5])) for row in p])
        scores, patients = set_scores(p, truth), np.arange(41).repeat(discs)
        threshold = fit_threshold(scores[:-discs], list(patients[:-discs]), 0.9)
        covered += [t in prediction_set(row, threshold) for row, t in zip(p[-discs:], truth[-discs:], strict=True)]
    assert np.mean(covered) >= 0.87
