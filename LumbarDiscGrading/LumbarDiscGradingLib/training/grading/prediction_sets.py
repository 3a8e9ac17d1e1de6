"""Prediction sets of a grading model: their threshold, fitted on tuning patients, in its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dataset.labelled import person_of
from ...grading.classifier import Classifier, disc_input
from ...grading.device import choose_device
from ...measures.prediction_sets import METHOD, fit_threshold, set_scores
from ...models.folder import TrainedModel, rewrite_manifest
from .disc_samples import DiscSample

COVERAGE = 0.8
"""Of the sets that a trained model states; a larger one needs more than two of the five grades in most sets."""
FEWEST_PATIENTS = 10
"""In all, and of a data set for which the coverage is to hold by itself; of fewer, the hardest one might decide."""


def fitted_sets(
    probabilities: NDArray[np.float64], samples: Sequence[DiscSample], coverage: float = COVERAGE
) -> dict[str, Any] | None:
    """Return what a manifest says of prediction sets, None where there are too few patients for the coverage.

    The coverage is to hold for each data set that has patients enough, not only for all together: a small set of many
    scanners would else be paid for by a large one of a single scanner.

    Parameters
    ----------
    probabilities : ndarray, shape (discs, 5)
        Calibrated, of grades I to V.
    samples : sequence of DiscSample
        The discs; of tuning patients.
    coverage : float
    """
    if not samples:
        return None
    patients = [person_of(sample) for sample in samples]
    sources = [sample.source for sample in samples]
    scores = set_scores(probabilities, [sample.grade - 1 for sample in samples])
    if len(set(patients)) < FEWEST_PATIENTS:
        return None
    parts = [np.flatnonzero([source == other for other in sources]) for source in sorted(set(sources))]
    large = [part for part in parts if len({patients[i] for i in part}) >= FEWEST_PATIENTS]
    fits = [
        fit_threshold(scores[part], [patients[i] for i in part], coverage) for part in (range(len(samples)), *large)
    ]
    if fits[0] is None:
        return None
    threshold = max(fit for fit in fits if fit is not None)
    return {
        "coverage": coverage,
        "threshold": min(1.0, float(np.ceil(threshold * 1e4) / 1e4)),
        "method": METHOD,
        "patients": len(set(patients)),
        "discs": len(samples),
    }


def with_prediction_sets(model: TrainedModel, tuning: Sequence[DiscSample], coverage: float = COVERAGE) -> TrainedModel:
    """Give a grading model prediction sets of its own; one with too few tuning patients stays without.

    Parameters
    ----------
    model : TrainedModel
        In a folder that can be written.
    tuning : sequence of DiscSample
        Of patients that did not train it.
    coverage : float
    """
    classifier = Classifier(model, choose_device("cpu")[0])
    entry = None
    if tuning:
        inputs = np.stack(
            [disc_input(s.slice_2d, s.mask, s.axis, s.fluid, s.spacing_mm, classifier.mask_use) for s in tuning]
        )
        entry = fitted_sets(classifier.grade_probabilities(inputs), tuning, coverage)
    calibration = {key: value for key, value in model.manifest["calibration"].items() if key != "prediction_set"}
    if entry is not None:
        calibration["prediction_set"] = entry
    return rewrite_manifest(model, {**model.manifest, "calibration": calibration}, model.card)
