"""The evaluation's statistics against scikit-learn and numpy, on random tables in which discs count several times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from LumbarDiscGradingLib.measures import classification as statistics
from LumbarDiscGradingLib.measures.classification import Average

SEEDS = st.integers(0, 10_000)
RANDOM_TABLES = st.tuples(SEEDS, st.integers(12, 60))


def random_table(seed: int, discs: int, classes: int = 3):
    """Reference, prediction, probabilities, and how often each disc counts; every class is there."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), discs)
    predicted = probabilities.argmax(axis=1)
    reference = np.where(random.random(discs) < 0.6, predicted, random.integers(0, classes, discs))
    reference[:classes], predicted[:classes] = range(classes), np.roll(range(classes), seed)
    times = random.integers(0, 4, discs)
    times[:classes] = random.integers(1, 4, classes)
    return reference, predicted, probabilities, times


def value(statistic: statistics.Statistic, times: np.ndarray) -> float:
    """The value of one set of weights, worked out beside another set."""
    both = np.stack([np.ones(len(times)), times.astype(float)])
    return float(statistic(both)[1])


@settings(max_examples=20)
@given(RANDOM_TABLES)
def test_figures_of_groups_are_those_of_scikit_learn(table):
    reference, predicted, _, times = random_table(*table)
    drawn = np.repeat(np.arange(len(times)), times)
    pair = reference[drawn], predicted[drawn]

    def ours(function):
        return value(statistics.of_table(reference, predicted, 3, function), times)

    expected = {
        statistics.accuracy: sklearn_metrics.accuracy_score(*pair),
        statistics.balanced_accuracy: sklearn_metrics.balanced_accuracy_score(*pair),
        statistics.unweighted_kappa: sklearn_metrics.cohen_kappa_score(*pair),
        statistics.linear_kappa: sklearn_metrics.cohen_kappa_score(*pair, weights="linear"),
        statistics.quadratic_kappa: sklearn_metrics.cohen_kappa_score(*pair, weights="quadratic"),
    }
    for function, theirs in expected.items():
        assert ours(function) == pytest.approx(theirs), function.__name__
    for average in Average:
        name = average.value
        sensitivity = sklearn_metrics.recall_score(*pair, average=name)
        assert ours(statistics.averaged(statistics.sensitivity, average)) == pytest.approx(sensitivity)
        f1 = sklearn_metrics.f1_score(*pair, average=name)
        assert ours(statistics.averaged(statistics.f1_score, average)) == pytest.approx(f1)


@settings(max_examples=20)
@given(RANDOM_TABLES)
def test_figures_of_one_group_are_those_of_scikit_learn_on_the_group_against_the_rest(table):
    reference, predicted, _, times = random_table(*table)
    drawn = np.repeat(np.arange(len(times)), times)
    for index in range(3):
        pair = reference[drawn] == index, predicted[drawn] == index
        expected = {
            statistics.sensitivity: sklearn_metrics.recall_score(*pair),
            statistics.specificity: sklearn_metrics.recall_score(*pair, pos_label=False),
            statistics.f1_score: sklearn_metrics.f1_score(*pair),
            statistics.rest_accuracy: sklearn_metrics.accuracy_score(*pair),
        }
        for figure, theirs in expected.items():
            ours = statistics.of_table(reference, predicted, 3, statistics.of_class(figure, index))
            assert value(ours, times) == pytest.approx(theirs), figure.__name__


@settings(max_examples=20)
@given(RANDOM_TABLES)
def test_pairwise_auc_is_scikit_learns_among_two_groups(table):
    reference, _, probabilities, times = random_table(*table)
    probabilities = probabilities.round(1)  # ties
    drawn = np.repeat(np.arange(len(times)), times)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        two = drawn[np.isin(reference[drawn], (first, second))]
        both = probabilities[two, first] + probabilities[two, second]
        score = np.where(both > 0, probabilities[two, second] / np.maximum(both, 1e-12), 0.5)
        expected = sklearn_metrics.roc_auc_score(reference[two] == second, score)
        ours = value(statistics.pairwise_auc(reference, probabilities, first, second), times)
        assert ours == pytest.approx(expected)


@settings(max_examples=20)
@given(RANDOM_TABLES)
def test_calibration_counts_each_bin_by_its_discs(table):
    reference, _, probabilities, times = random_table(*table)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == reference
    drawn = np.repeat(np.arange(len(times)), times)
    error = 0.0
    for low in np.arange(10) / 10:
        inside = drawn[(top[drawn] >= low) & (top[drawn] < low + 0.1)]
        if len(inside):
            error += len(inside) / len(drawn) * abs(right[inside].mean() - top[inside].mean())
    assert value(statistics.calibration_error(right, top), times) == pytest.approx(error, abs=1e-9)
    truth = np.eye(3)[reference[drawn]]
    brier = np.mean([np.sum((p - t) ** 2) for p, t in zip(probabilities[drawn], truth, strict=True)])
    assert value(statistics.brier_score(reference, probabilities), times) == pytest.approx(brier)


def test_right_probabilities_show_a_calibration_error_that_falls_with_the_number_of_discs():
    few, many = (statistics.calibration_error_by_chance(np.full(count, 0.75)) for count in (25, 2500))
    for count, (usual, low, high) in ((25, few), (2500, many)):
        deviation = np.sqrt(0.75 * 0.25 / count)  # of the share right, all discs being in one bin
        assert usual == pytest.approx(deviation * np.sqrt(2 / np.pi), rel=0.1)  # mean of a folded normal
        assert 0.0 <= low < usual < high < 3.0 * deviation
    random = np.random.default_rng(5)
    top = random.uniform(0.4, 1.0, 400)
    errors = [value(statistics.calibration_error(random.random(400) < top, top), np.ones(400)) for _ in range(100)]
    _, low, high = statistics.calibration_error_by_chance(top)
    assert 90 <= sum(low <= error <= high for error in errors) <= 100


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(1, 30))
def test_quantiles_of_repeated_values_are_numpys(seed, q, count):
    random = np.random.default_rng(seed)
    values, times = random.normal(size=count).round(1), random.integers(0, 4, count)
    times[0] = max(times[0], 1)
    ours = value(statistics.quantile(values, q), times)
    assert ours == pytest.approx(np.quantile(np.repeat(values, times), q))


def test_what_is_not_defined_is_not_a_number():
    one_class = statistics.of_table([1, 1], [1, 1], 3, statistics.quadratic_kappa)
    assert np.isnan(one_class(np.ones((1, 2)))).all()
    assert np.isnan(statistics.pairwise_auc([0, 0], [[1, 0, 0]] * 2, 0, 1)(np.ones((1, 2)))).all()
    assert np.isnan(statistics.mean([1.0])(np.zeros((1, 1)))).all()
    assert np.isnan(statistics.quantile([1.0], 0.5)(np.zeros((1, 1)))).all()
