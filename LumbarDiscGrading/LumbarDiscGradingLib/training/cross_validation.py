"""Out-of-fold gradings: each patient graded by a network that never saw that patient, to choose recipes, find slips.

Readers disagree, and tables have slips: a reference that the network finds all but impossible, out of fold, is left out
of a training (confident learning: Northcutt et al., J Artif Intell Res 70:1373-1411, 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import GroupKFold

from ..grading.grader import CONFIDENT_PROBABILITY
from ..pfirrmann import GRADES, GROUPS, group_of_grade
from .disc_samples import DiscSample
from .evaluation import DiscScore
from .feature_baseline import group_probabilities_by_features
from .grading import by_group, predict, train_grading
from .recipes import GradingRecipe

IMPROBABLE = 0.05
"""A reference group with less probability than this, out of fold, is doubtful."""


def cross_validate(
    samples: Sequence[DiscSample],
    recipe: GradingRecipe,
    folder: Path,
    folds: int = 5,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    share: float = 1.0,
    earlier: Sequence[DiscScore] = (),
    baseline: bool = False,
    all_views: bool = False,
) -> list[DiscScore]:
    """Train a grading network for each fold of patients on the others, and grade the fold's discs by it.

    Parameters
    ----------
    samples : sequence of DiscSample
        Of training and tuning patients.
    recipe : GradingRecipe
    folder : Path
        Each fold's run is a folder in it.
    folds : int
    seed : int
    resume : bool
        Go on from the last finished epoch of each fold.
    device : str
        Lightning accelerator.
    share : float
        Of the patients of the other folds, how many train: less than 1 for a learning curve.
    earlier : sequence of DiscScore
        Of an earlier cross-validation: its doubtful discs train no network (`without_doubtful`) but are graded too.
    baseline : bool
        Gradient boosting on measured features in the place of the network (`training.feature_baseline`).
    all_views : bool
        Grade the slices beside the middle one too, where a volume has them, and take the mean of the probabilities.

    Returns
    -------
    list of DiscScore
        One for each disc; of its views the middle one counts, unless `all_views`.

    Raises
    ------
    ValueError
        If there are fewer patients than folds.
    """
    patients = np.array([f"{sample.source}/{sample.patient}" for sample in samples])
    if len(np.unique(patients)) < folds:
        raise ValueError(f"There are {len(np.unique(patients))} patients with grades, too few for {folds} folds.")
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    scores: list[DiscScore] = []
    for number, (others, held) in enumerate(splitter.split(patients, groups=patients), start=1):
        known = _part_of(patients[others], share, seed)
        training = [samples[index] for index in others if patients[index] in known]
        training = without_doubtful(training, earlier) if earlier else training
        views = _views(samples[index] for index in held)
        tested = [of_disc[len(of_disc) // 2] for of_disc in views]
        if baseline:
            groups = group_probabilities_by_features(training, tested, seed)
            scores += [_score(sample, group, group) for sample, group in zip(tested, groups, strict=True)]
            continue
        module = train_grading(training, tested, recipe, folder / f"fold-{number}", seed + number, resume, device)
        probabilities = predict(module, tested).softmax(1)
        if all_views:
            each = predict(module, list(chain.from_iterable(views))).softmax(1)
            probabilities = torch.stack([part.mean(0) for part in each.split([len(of_disc) for of_disc in views])])
        groups = by_group(probabilities).numpy()
        scores += [
            _score(sample, grades, group)
            for sample, grades, group in zip(tested, probabilities.numpy(), groups, strict=True)
        ]
    return scores


def without_doubtful(samples: Sequence[DiscSample], scores: Iterable[DiscScore]) -> list[DiscSample]:
    """Return the discs less those whose reference group is improbable by an out-of-fold grading.

    Parameters
    ----------
    samples : sequence of DiscSample
    scores : iterable of DiscScore
        From `cross_validate`.

    Raises
    ------
    ValueError
        If none of the scores is of one of the discs.
    """
    keys = {(sample.source, sample.patient, sample.level) for sample in samples}
    known = [s for s in scores if (s.source, s.patient, s.level) in keys and s.grade is not None]
    if not known:
        raise ValueError("None of the out-of-fold gradings is of these data sets; run cross-validate on them.")
    doubtful = {
        (s.source, s.patient, s.level)
        for s in known
        if s.group_probabilities[GROUPS.index(group_of_grade(s.grade))] < IMPROBABLE
    }
    return [sample for sample in samples if (sample.source, sample.patient, sample.level) not in doubtful]


def _part_of(patients: np.ndarray, share: float, seed: int) -> set[str]:
    shuffled = np.random.default_rng(seed).permutation(np.unique(patients))
    return set(shuffled[: max(1, round(share * len(shuffled)))])


def _views(samples: Iterable[DiscSample]) -> list[list[DiscSample]]:
    """Return the samples disc by disc: a disc of a volume of thin slices has several."""
    views: dict[tuple[str, str, str], list[DiscSample]] = {}
    for sample in samples:
        views.setdefault((sample.source, sample.patient, sample.level), []).append(sample)
    return list(views.values())


def _score(sample: DiscSample, by_grade: np.ndarray, groups: np.ndarray) -> DiscScore:
    group = GROUPS[int(groups.argmax())]
    ordinal = len(by_grade) == len(GRADES)
    grade = max(group.grades, key=lambda g: by_grade[g - 1]) if ordinal else group.grades[-1]
    grades = [float(p) for p in by_grade] if ordinal else [None] * len(GRADES)
    return DiscScore(
        patient=sample.patient,
        source=sample.source,
        level=sample.level,
        split=sample.split,
        named_level=sample.level,
        grade=sample.grade,
        predicted_grade=grade,
        **{f"p_{g}": p for g, p in zip(GRADES, grades, strict=True)},
        **{f"p_{g.value}": float(p) for g, p in zip(GROUPS, groups, strict=True)},
        confident=bool(groups.max() >= CONFIDENT_PROBABILITY),
    )
