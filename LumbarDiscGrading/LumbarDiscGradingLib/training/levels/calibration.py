"""How sure a naming is: the temperature by which the scores of namings become probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...evaluation.scores import AT_POINT_STEPS
from ...grading.naming.levels import chain_of, shown_bottom_mm
from ...grading.spine.segmented import segmented
from ...imaging.volume import SagittalVolume
from ...progress import ListProgress, unwatched
from ..errors import TrainingError
from .pictures import LEVELS
from .views import PlacedPicture, view_of

if TYPE_CHECKING:
    from ...grading.segmenter import Segmenter

TEMPERATURES = np.round(np.geomspace(1.0, 20.0, 61), 2)
CALIBRATION_VIEWS = 2
"""Variations of each tuning picture besides itself: most pictures as they are leave no doubt."""


@dataclass(frozen=True)
class NamingTrial:
    """The scores of the positions that a disc could have (`chain.Chain.scores`), and the right position."""

    scores: NDArray[np.float64]
    right: int


def naming_trials(
    pictures: Sequence[PlacedPicture],
    segmenter: Segmenter,
    seed: int = 0,
    views: int = CALIBRATION_VIEWS,
    progress: ListProgress = unwatched,
) -> list[NamingTrial]:
    """Name the discs of pictures, as they are and varied; those whose middle disc has no known level are left out.

    Parameters
    ----------
    pictures : sequence of PlacedPicture
        Of patients that did not train.
    segmenter : Segmenter
        With the locator.
    seed : int
    views : int
        Variations of each picture.
    progress : callable
        Wraps what is iterated over.
    """
    trials = []
    for number, picture in enumerate(progress(pictures)):
        for variation in range(views + 1):
            random = None if variation == 0 else np.random.default_rng((seed, number, variation))
            trial = _trial(picture, segmenter, random)
            if trial is not None:
                trials.append(trial)
    return trials


def _trial(picture: PlacedPicture, segmenter: Segmenter, random: np.random.Generator | None) -> NamingTrial | None:
    view = view_of(picture, LEVELS, segmenter.pixel_size_mm, random)
    matrix = np.diag([1.0, segmenter.pixel_size_mm, segmenter.pixel_size_mm, 1.0])
    spine = segmented(segmenter, SagittalVolume(view.image[None] ** 2, matrix))
    sight = spine.segmentation.sight
    if not spine.regions.discs or sight is None:
        return None
    chain = chain_of(spine.regions, shown_bottom_mm(view.image, segmenter.pixel_size_mm), sight)
    right = _level_at(chain.middle.posterior_mm, view.places * segmenter.pixel_size_mm)
    return None if right is None else NamingTrial(chain.scores, right)


def _level_at(point_mm: NDArray[np.float64], places_mm: NDArray[np.float64]) -> int | None:
    steps = [float(np.linalg.norm(below - above)) for below, above in pairwise(places_mm)]
    apart = np.linalg.norm(places_mm - point_mm, axis=1)
    nearest = int(np.nanargmin(apart))
    return nearest if apart[nearest] < AT_POINT_STEPS * float(np.nanmedian(steps)) else None


def fit_temperature(trials: Sequence[NamingTrial]) -> float:
    """Return the temperature at which the right positions are most probable together.

    Raises
    ------
    TrainingError
        If there are no trials.
    """
    if not trials:
        raise TrainingError("No tuning patient has discs of known levels: the naming cannot be calibrated.")
    scores = np.array([trial.scores for trial in trials])
    right = np.array([trial.right for trial in trials])

    def surprise(temperature: float) -> float:
        scaled = scores / temperature
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(right)), right]).sum())

    return float(min(TEMPERATURES, key=surprise))
