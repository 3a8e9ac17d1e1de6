"""What measured features alone reach: gradient boosting on a disc's size and signal, to hold the network against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from ...grading.discs import pixels_of
from ...grading.measurements import extent_mm
from ...pfirrmann import DISC_LABELS, GROUPS, group_of_grade
from .disc_samples import DiscSample

FEATURES = (
    "level",
    "area_mm2",
    "diameter_mm",
    "height_mm",
    "signal_dark",
    "signal_median",
    "signal_bright",
    "signal_spread",
    "signal_front",
    "signal_back",
)
"""Signals are relative to the canal's fluid; dark, median, bright: percentiles 10, 50 and 90 of the central half."""


def features_of(sample: DiscSample) -> NDArray[np.float64]:
    """Return the features of a disc, shape (10,), in the order of `FEATURES`; NaN where a part has no pixels."""
    pixels = pixels_of(sample.mask)
    along = (pixels * sample.spacing_mm - np.array(sample.axis.center_mm)) @ sample.axis.along
    diameter = extent_mm(sample.mask, sample.axis.along, sample.spacing_mm)
    area = len(pixels) * sample.spacing_mm[0] * sample.spacing_mm[1]
    signal = sample.slice_2d[pixels[:, 0], pixels[:, 1]] / max(sample.fluid, 1e-6)
    central = signal[np.abs(along) <= diameter / 4]

    def median(values: NDArray) -> float:
        return float(np.median(values)) if len(values) else float("nan")

    dark, middle, bright = np.percentile(central, (10, 50, 90)) if len(central) else (np.nan,) * 3
    return np.array(
        [
            list(DISC_LABELS).index(sample.level),
            area,
            diameter,
            area / diameter,
            dark,
            middle,
            bright,
            float(central.std()) if len(central) else np.nan,
            median(signal[along < -diameter / 4]),
            median(signal[along > diameter / 4]),
        ]
    )


def group_probabilities_by_features(
    training: Sequence[DiscSample], tested: Sequence[DiscSample], seed: int = 0
) -> NDArray[np.float64]:
    """Return the probabilities of mild, moderate and serious, shape (discs, 3), by boosting on the features."""
    groups = [GROUPS.index(group_of_grade(sample.grade)) for sample in training]
    model = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        random_state=seed,
    )
    model.fit(np.stack([features_of(sample) for sample in training]), groups)
    found = model.predict_proba(np.stack([features_of(sample) for sample in tested]))
    probabilities = np.zeros((len(tested), len(GROUPS)))
    probabilities[:, model.classes_] = found
    return probabilities
