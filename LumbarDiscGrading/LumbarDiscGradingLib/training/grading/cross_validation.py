"""Out-of-fold gradings: each patient graded by a network that never saw that patient, to choose recipes, and to train.

Readers disagree, and tables have slips. So a training has a first round that grades its own discs out of fold: a
reference that these gradings find all but impossible is left out (confident learning: Northcutt et al., J Artif Intell
Res 70:1373-1411, 2021), and the others' targets are the mean of reading and grading (self-distillation: Furlanello et
al., Born again neural networks, ICML 2018; under noise: Li et al., Learning from noisy labels with distillation, ICCV
2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupKFold

from ...dataset.labelled import person_count, person_of
from ...evaluation.scores import DiscScore
from ...grading.grader import CONFIDENT_PROBABILITY
from ...pfirrmann import GRADES, GROUPS, group_of_grade
from ..errors import TrainingError
from ..recipes import GradingRecipe
from ..run_record import RunOptions
from .disc_samples import DiscSample, disc_of
from .feature_baseline import group_probabilities_by_features
from .train import by_group, predict, train_grading

IMPROBABLE = 0.05
"""A reference group with less probability than this, out of fold, is doubtful."""


def cross_validate(
    samples: Sequence[DiscSample],
    recipe: GradingRecipe,
    folder: Path,
    options: RunOptions,
    folds: int = 5,
    share: float = 1.0,
    baseline: bool = False,
    all_views: bool = False,
) -> list[DiscScore]:
    """Train a grading network for each fold of patients on the others, and grade the fold's discs by it.

    A first round, where the recipe has one, is made within each fold: nothing of the fold's patients gets into it.

    Parameters
    ----------
    samples : sequence of DiscSample
        Of training and tuning patients.
    recipe : GradingRecipe
    folder : Path
        Each fold's run is a folder in it.
    options : RunOptions
    folds : int
    share : float
        Of the patients of the other folds, how many train: less than 1 for a learning curve.
    baseline : bool
        Gradient boosting on measured features in the place of the network (`feature_baseline`).
    all_views : bool
        Grade the slices beside the middle one too, where a volume has them, and take the mean of the probabilities.

    Returns
    -------
    list of DiscScore
        One for each disc; of its views the first counts, that on the middle slice, unless `all_views`.

    Raises
    ------
    TrainingError
        If there are fewer patients than folds.
    """
    patients = np.array(["/".join(person_of(sample)) for sample in samples])
    if len(np.unique(patients)) < folds:
        raise TrainingError(f"There are {len(np.unique(patients))} patients with grades, too few for {folds} folds.")
    splitter = GroupKFold(folds, shuffle=True, random_state=options.seed)
    scores: list[DiscScore] = []
    for number, (others, held) in enumerate(splitter.split(patients, groups=patients), start=1):
        known = _part_of(patients[others], share, options.seed)
        training = [samples[index] for index in others if patients[index] in known]
        views = _views(samples[index] for index in held)
        tested = [of_disc[0] for of_disc in views]
        if baseline:
            groups = group_probabilities_by_features(training, tested, options.seed)
            scores += [_score(sample, group, group) for sample, group in zip(tested, groups, strict=True)]
            continue
        run = folder / f"fold-{number}"
        training = first_round(training, recipe, run / "first-round", options.of_fold(number))
        module = train_grading(training, tested, recipe, run, options.of_fold(number))
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


def first_round(
    samples: Sequence[DiscSample], recipe: GradingRecipe, folder: Path, options: RunOptions
) -> list[DiscSample]:
    """Return the discs that are to train, with what a first round believes of them; parameters as in `cross_validate`.

    Without a first round in the recipe, or with a single patient, these are all discs as they are.
    """
    folds = min(recipe.first_round_folds, person_count(samples))
    if folds < 2:
        return list(samples)
    plain = replace(recipe, first_round_folds=0, members=1)
    return informed(samples, cross_validate(samples, plain, folder, options, folds))


def informed(samples: Sequence[DiscSample], scores: Iterable[DiscScore]) -> list[DiscSample]:
    """Return the discs with what out-of-fold gradings believe of them, less those with an improbable reference.

    Parameters
    ----------
    samples : sequence of DiscSample
    scores : iterable of DiscScore
        From `cross_validate`.

    Raises
    ------
    TrainingError
        If none of the scores is of one of the discs.
    """
    by_disc = {disc_of(score): score for score in scores if score.grade is not None}
    known = [(sample, by_disc.get(disc_of(sample))) for sample in samples]
    if not any(score for _, score in known):
        raise TrainingError("None of the out-of-fold gradings is of these data sets; run cross-validate on them.")
    return [
        sample if score is None else replace(sample, believed=_by_grade(score))
        for sample, score in known
        if score is None or not _is_doubtful(sample, score)
    ]


def _is_doubtful(sample: DiscSample, score: DiscScore) -> bool:
    return score.group_probabilities[GROUPS.index(group_of_grade(sample.grade))] < IMPROBABLE


def _by_grade(score: DiscScore) -> tuple[float, ...] | None:
    by_grade = [getattr(score, f"p_{grade}") for grade in GRADES]
    return None if None in by_grade else tuple(by_grade)


def _part_of(patients: np.ndarray, share: float, seed: int) -> set[str]:
    shuffled = np.random.default_rng(seed).permutation(np.unique(patients))
    return set(shuffled[: max(1, round(share * len(shuffled)))])


def _views(samples: Iterable[DiscSample]) -> list[list[DiscSample]]:
    """Return the samples disc by disc: a disc of a volume of thin slices has several."""
    views: dict[tuple[str, str, str], list[DiscSample]] = {}
    for sample in samples:
        views.setdefault(disc_of(sample), []).append(sample)
    return list(views.values())


def _score(sample: DiscSample, by_grade: np.ndarray, groups: np.ndarray) -> DiscScore:
    group = GROUPS[int(groups.argmax())]
    ordinal = len(by_grade) == len(GRADES)
    grade = max(group.grades, key=lambda g: by_grade[g - 1]) if ordinal else group.grades[-1]
    grades = [float(p) for p in by_grade] if ordinal else [None] * len(GRADES)
    probabilities: dict[str, Any] = {
        **{f"p_{g}": p for g, p in zip(GRADES, grades, strict=True)},
        **{f"p_{g.value}": float(p) for g, p in zip(GROUPS, groups, strict=True)},
    }
    return DiscScore(
        patient=sample.patient,
        source=sample.source,
        level=sample.level,
        split=sample.split,
        subject=sample.subject,
        named_level=sample.level,
        grade=sample.grade,
        predicted_grade=grade,
        **probabilities,
        confident=bool(groups.max() >= CONFIDENT_PROBABILITY),
    )
