"""Prediction sets of a trained grading model: fitted by patient and data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from distributed_worker import sample

from LumbarDiscGradingLib.training.grading.prediction_sets import fitted_sets

UNSURE = np.array([0.05, 0.1, 0.5, 0.3, 0.05])


@pytest.fixture(scope="module")
def disc():
    return sample(0)


def of_source(disc, source, grades):
    return [
        replace(disc, source=source, patient=f"{source}-{n}", subject="", grade=grade) for n, grade in enumerate(grades)
    ]


def test_the_coverage_is_to_hold_for_each_data_set_that_has_patients_enough(disc):
    easy, hard = of_source(disc, "easy", [3] * 100), of_source(disc, "hard", [4] * 10)
    few = of_source(disc, "few", [1] * 9)

    def threshold(discs):
        return fitted_sets(np.tile(UNSURE, (len(discs), 1)), discs)["threshold"]

    assert threshold(easy) == 0.0
    assert threshold([*easy, *hard]) == pytest.approx(0.7)
    assert threshold([*easy, *few]) == 0.0
