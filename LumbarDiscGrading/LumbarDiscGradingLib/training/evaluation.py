"""What the whole pipeline reaches on labelled patients: segmentation, levels and grades, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score

from ..dataset.labelled import LabelledCase
from ..grading.grader import DiscGrader, NoDiscsError
from ..grading.result import GradingResult
from ..pfirrmann import DISC_LABELS, GROUPS, LUMBAR_LEVELS, Tissue, group_of_grade

BOOTSTRAP_ROUNDS = 2000
FOUND_OVERLAP = 0.25
"""A reference disc counts as found where a segmented disc covers at least this share of it."""


@dataclass(frozen=True)
class DiscScore:
    """One reference disc and what was made of it.

    Attributes
    ----------
    patient, source, level : str
        Level is empty where the reference does not name it.
    dice, iou : float or None
        None without a reference mask.
    named_level : str
        Level that the disc found there was given; empty when none was found.
    grade : int or None
        Reference Pfirrmann grade.
    predicted_grade : int or None
    p_mild, p_moderate, p_serious : float or None
    """

    patient: str
    source: str
    level: str
    dice: float | None = None
    iou: float | None = None
    named_level: str = ""
    grade: int | None = None
    predicted_grade: int | None = None
    p_mild: float | None = None
    p_moderate: float | None = None
    p_serious: float | None = None

    @property
    def group_pair(self) -> tuple[int, int] | None:
        """Reference and predicted group index, None where one is missing."""
        if self.grade is None or self.predicted_grade is None:
            return None
        reference, predicted = group_of_grade(self.grade), group_of_grade(self.predicted_grade)
        return GROUPS.index(reference), GROUPS.index(predicted)


def score_cases(
    grader: DiscGrader, cases: Iterable[LabelledCase], failed: Callable[[LabelledCase, str], None] | None = None
) -> list[DiscScore]:
    """Grade each case and compare it with its reference, disc by disc.

    Parameters
    ----------
    grader : DiscGrader
    cases : iterable of LabelledCase
    failed : callable, optional
        Called with a case in which no disc was found and the reason.
    """
    scores: list[DiscScore] = []
    for case in cases:
        volume = case.volume()
        mask = case.mask()
        try:
            result = grader.grade(volume)
        except NoDiscsError as error:
            result = None
            if failed is not None:
                failed(case, str(error))
        if mask is None:
            scores += _scores_by_level(case, result)
        else:
            slice_index = volume.middle_slice_index if result is None else result.slice_index
            scores += _scores_by_mask(case, mask[slice_index], result)
    return scores


def _scores_by_level(case: LabelledCase, result: GradingResult | None) -> list[DiscScore]:
    scores = []
    for level, grade in case.grades.items():
        disc = result.disc(level) if result is not None else None
        if disc is None:
            scores.append(DiscScore(case.patient, case.source, level, grade=grade))
        else:
            scores.append(
                DiscScore(
                    case.patient,
                    case.source,
                    level,
                    named_level=level,
                    grade=grade,
                    predicted_grade=disc.pfirrmann,
                    p_mild=disc.group_probabilities[0],
                    p_moderate=disc.group_probabilities[1],
                    p_serious=disc.group_probabilities[2],
                )
            )
    return scores


def _scores_by_mask(case: LabelledCase, reference: NDArray[np.uint8], result: GradingResult | None) -> list[DiscScore]:
    from ..grading.discs import components

    if case.levels_trusted:
        parts = [(level, reference == value) for level, value in DISC_LABELS.items() if (reference == value).any()]
    else:
        is_disc = (reference == Tissue.DISC) | np.isin(reference, list(DISC_LABELS.values()))
        parts = [("", part) for part in components(is_disc) if part.sum() > 30]
    scores = []
    for level, part in parts:
        dice, iou, named = 0.0, 0.0, ""
        if result is not None:
            values, counts = np.unique(result.label_slice[part], return_counts=True)
            found = {int(v): int(c) for v, c in zip(values, counts, strict=True) if v}
            best = max(found, key=lambda value: found[value], default=0)
            if best and found[best] >= FOUND_OVERLAP * part.sum():
                predicted = result.label_slice == best
                shared = int((predicted & part).sum())
                dice = 2 * shared / int(predicted.sum() + part.sum())
                iou = shared / int((predicted | part).sum())
                named = next(name for name, value in DISC_LABELS.items() if value == best)
        disc = result.disc(named) if result is not None and named else None
        p = disc.group_probabilities if disc else (None, None, None)
        grade = case.grades.get(level) if level else None
        scores.append(
            DiscScore(case.patient, case.source, level, dice, iou, named, grade, disc.pfirrmann if disc else None, *p)
        )
    return scores


def metrics_of(scores: Sequence[DiscScore], data: str, seed: int = 0) -> list[dict[str, Any]]:
    """Return what the scores of one data set amount to, each with a 95 % bootstrap interval by patient.

    Parameters
    ----------
    scores : sequence of DiscScore
    data : str
        What they were measured on, for the report.
    seed : int

    Returns
    -------
    list of dict
        ``name``, ``value``, ``interval``, ``n`` (discs), ``data``; as in a model's manifest.
    """
    with_mask = [s for s in scores if s.dice is not None]
    lumbar = [s for s in scores if s.level in LUMBAR_LEVELS]
    graded = [s for s in lumbar if s.group_pair is not None]
    entries: list[tuple[str, list[DiscScore], Callable[[Sequence[DiscScore]], float]]] = []
    if with_mask:
        lumbar_masks = [s for s in with_mask if s.level in LUMBAR_LEVELS or not s.level]
        entries += [
            ("median disc Dice", lumbar_masks, lambda part: float(np.median([s.dice for s in part]))),
            ("median disc IoU", lumbar_masks, lambda part: float(np.median([s.iou for s in part]))),
            ("mean disc Dice", lumbar_masks, lambda part: float(np.mean([s.dice for s in part]))),
        ]
    entries.append(
        (
            "lumbar discs found and rightly named",
            lumbar,
            lambda part: float(np.mean([s.named_level == s.level for s in part])),
        )
        if with_mask
        else ("graded discs found", lumbar, lambda part: float(np.mean([bool(s.named_level) for s in part])))
    )
    entries += [
        ("quadratic kappa of the groups", graded, lambda part: _kappa(part)),
        ("accuracy of the groups", graded, lambda part: float(accuracy_score(*_groups(part)))),
        ("balanced accuracy of the groups", graded, lambda part: float(balanced_accuracy_score(*_groups(part)))),
        ("expected calibration error of the groups", graded, calibration_error),
    ]
    return [
        {
            "name": name,
            "value": round(function(part), 4),
            "interval": _bootstrap_interval(part, function, seed),
            "n": len(part),
            "data": data,
        }
        for name, part, function in entries
        if part
    ]


def _groups(scores: Sequence[DiscScore]) -> tuple[list[int], list[int]]:
    pairs = [pair for pair in (s.group_pair for s in scores) if pair is not None]
    return [reference for reference, _ in pairs], [predicted for _, predicted in pairs]


def _kappa(scores: Sequence[DiscScore]) -> float:
    reference, predicted = _groups(scores)
    if len(set(reference) | set(predicted)) < 2:
        return 1.0
    return float(cohen_kappa_score(reference, predicted, weights="quadratic", labels=[0, 1, 2]))


CALIBRATION_BINS = 10


def calibration_error(scores: Sequence[DiscScore]) -> float:
    """Return the expected calibration error of the most probable group (ten bins of equal width)."""
    reference, predicted = map(np.array, _groups(scores))
    graded = [s for s in scores if s.group_pair is not None]
    top = np.array([max(s.p_mild or 0.0, s.p_moderate or 0.0, s.p_serious or 0.0) for s in graded])
    bins = np.minimum((top * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    error = 0.0
    for index in range(CALIBRATION_BINS):
        chosen = bins == index
        if chosen.any():
            error += abs((reference == predicted)[chosen].mean() - top[chosen].mean()) * chosen.mean()
    return float(error)


def _bootstrap_interval(
    scores: Sequence[DiscScore], function: Callable[[Sequence[DiscScore]], float], seed: int
) -> list[float] | None:
    by_patient: dict[tuple[str, str], list[DiscScore]] = {}
    for score in scores:
        by_patient.setdefault((score.source, score.patient), []).append(score)
    patients = list(by_patient.values())
    if len(patients) < 2:
        return None
    random = np.random.default_rng(seed)
    values = []
    for _ in range(BOOTSTRAP_ROUNDS):
        drawn = random.integers(len(patients), size=len(patients))
        values.append(function([score for index in drawn for score in patients[index]]))
    low, high = np.percentile(values, (2.5, 97.5))
    return [round(float(low), 4), round(float(high), 4)]


def score_rows(scores: Sequence[DiscScore]) -> list[dict[str, Any]]:
    """Return the scores as rows of a table."""
    return [asdict(score) for score in scores]
