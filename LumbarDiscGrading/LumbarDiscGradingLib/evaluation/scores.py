"""Labelled patients through the whole pipeline: what was made of each reference disc, as rows of a table."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotation.log.comparison import dice, mean_surface_distance_mm
from ..dataset.labelled import LabelledCase, is_disc, slices_with_discs
from ..dataset.level_points import median_step
from ..errors import UserError
from ..grading.discs import components
from ..grading.grader import DiscGrader, NoDiscsError
from ..grading.result import DiscGrade, GradingResult
from ..grading.spine.of_result import zones_of
from ..imaging.volume import SagittalVolume
from ..pfirrmann import DISC_LABELS, GRADES, GROUPS, LEVELS_BY_LABEL, LUMBAR_LEVELS, Tissue, group_of_grade
from .contour_sides import SIDES, outward_distances_mm

FOUND_OVERLAP = 0.25
"""A reference disc counts as found where a segmented disc covers at least this share of it."""
AT_POINT_STEPS = 0.45
"""A disc lies at a reference point if it is nearer to it than this share of the distance of neighbouring points."""
LEAST_DISC_PX = 30
"""Smaller parts of a mask without levels are no disc."""
SURFACE_PERCENTILE = 95

Degradation = Callable[[SagittalVolume, NDArray[np.uint8] | None], "tuple[SagittalVolume, NDArray[np.uint8] | None]"]


class EvaluationError(UserError):
    """An evaluation cannot be made; the message is one sentence for the user: what is wrong and what to do."""


@dataclass(frozen=True)
class DiscScore:
    """One reference disc and what was made of it.

    Attributes
    ----------
    patient, source, split, level : str
        Level is empty where the reference does not name it.
    subject : str
        Pseudonym of the person, where there are several cases of one; empty for `patient`.
    dice, iou : float or None
        On the graded slice; 0 where the disc was missed, None without a reference mask.
    surface_mm, surface_95_mm : float or None
        Mean symmetric distance of the contours, and the larger of the two directed 95th percentiles; None where the
        disc was missed, has no reference mask, or the pixel size is not known.
    above_mm, below_mm, front_mm, rear_mm : float or None
        Mean distance by which the contour lies outside the reference's on each side, negative inside
        (`contour_sides`); None as for `surface_mm`.
    named_level : str
        Level that the disc found there was given; empty when none was found.
    slice_error_mm : float or None
        Of the patient: mean distance of the discs' slices from the reference canal's middle at each one's height.
    grade : int or None
        Reference Pfirrmann grade.
    predicted_grade : int or None
    p_1 … p_5, p_mild, p_moderate, p_serious : float or None
        Probabilities of the grades and the groups.
    confident : bool or None
        False for a disc that the program marks for a second look.
    pfirrmann_set : str
        Grades of the prediction set, such as ``3 4``; empty where the model states none.
    by_point : bool or None
        True where a point, no mask, says where the disc lies.
    all_named : bool or None
        Of the patient: whether all lumbar discs with a reference mask or point were found and rightly named.
    levels_doubted : bool or None
        Of the patient: whether the program questioned the names, said that a lumbar disc is missing, or refused.
    """

    patient: str
    source: str
    level: str
    split: str = ""
    subject: str = ""
    dice: float | None = None
    iou: float | None = None
    surface_mm: float | None = None
    surface_95_mm: float | None = None
    above_mm: float | None = None
    below_mm: float | None = None
    front_mm: float | None = None
    rear_mm: float | None = None
    named_level: str = ""
    slice_error_mm: float | None = None
    grade: int | None = None
    predicted_grade: int | None = None
    p_1: float | None = None
    p_2: float | None = None
    p_3: float | None = None
    p_4: float | None = None
    p_5: float | None = None
    p_mild: float | None = None
    p_moderate: float | None = None
    p_serious: float | None = None
    confident: bool | None = None
    pfirrmann_set: str = ""
    by_point: bool | None = None
    all_named: bool | None = None
    levels_doubted: bool | None = None

    @property
    def located(self) -> bool:
        """Whether the reference says where the disc lies."""
        return self.dice is not None or bool(self.by_point)

    @property
    def set_grades(self) -> tuple[int, ...]:
        """Grades of the prediction set."""
        return tuple(int(grade) for grade in self.pfirrmann_set.split())

    @property
    def group_pair(self) -> tuple[int, int] | None:
        """Reference and predicted group index, None where one is missing."""
        if self.grade is None or self.predicted_grade is None:
            return None
        reference, predicted = group_of_grade(self.grade), group_of_grade(self.predicted_grade)
        return GROUPS.index(reference), GROUPS.index(predicted)

    @property
    def group_probabilities(self) -> tuple[float, float, float]:
        """Probabilities of mild, moderate and serious; 0 where not known."""
        return self.p_mild or 0.0, self.p_moderate or 0.0, self.p_serious or 0.0


@dataclass(frozen=True)
class ScoredCase:
    """One patient, graded and compared with the reference.

    Attributes
    ----------
    case : LabelledCase
    volume : SagittalVolume
        As it was graded.
    slice_index : int
        Slice of `volume` on which masks were compared.
    reference : ndarray of uint8, shape (rows, columns), or None
        Reference mask on that slice.
    result : GradingResult or None
        None when no disc was found.
    scores : tuple of DiscScore
    problem : str
        Why there is no result.
    """

    case: LabelledCase
    volume: SagittalVolume
    slice_index: int
    reference: NDArray[np.uint8] | None
    result: GradingResult | None
    scores: tuple[DiscScore, ...]
    problem: str = ""


def scored_cases(
    grader: DiscGrader, cases: Iterable[LabelledCase], degrade: Degradation | None = None
) -> Iterator[ScoredCase]:
    """Grade each case and compare it with its reference, one case in memory at a time.

    Parameters
    ----------
    grader : DiscGrader
    cases : iterable of LabelledCase
    degrade : callable, optional
        Applied to a volume and its mask before anything else (`imaging.resampling`).
    """
    for case in cases:
        yield score_case(grader, case, degrade)


def score_case(grader: DiscGrader, case: LabelledCase, degrade: Degradation | None = None) -> ScoredCase:
    """Grade a case and compare it with its reference; parameters as in `scored_cases`.

    The mask of each disc is compared on the slice that the program chose for it. Where the reference has discs on one
    slice only, as a reader draws them, and another was chosen, the discs of that slice are segmented and graded too, so
    that there is something to compare; the slice's error is that of the choice.
    """
    volume, mask = case.volume(), case.mask()
    if degrade is not None:
        volume, mask = degrade(volume, mask)
    result, problem = _graded(grader, volume, None)
    error_mm = _slice_error_mm(result, mask, volume)
    drawn = np.zeros(0) if mask is None else slices_with_discs(mask)
    if drawn.size == 1 and volume.slice_count > 1 and (result is None or result.slices != (drawn[0],)):
        result, problem = _graded(grader, volume, int(drawn[0]))
    return _compared(case, volume, mask, result, error_mm, problem, points_lie=degrade is None)


def score_stored(
    case: LabelledCase, volume: SagittalVolume, mask: NDArray[np.uint8] | None, result: GradingResult | None
) -> ScoredCase:
    """Compare a result that was made before with the reference of its case, without running a network.

    Masks are compared on the graded slice alone; discs that the reference has on other slices only are compared by
    their level.

    Parameters
    ----------
    case : LabelledCase
        Its files are not read.
    volume : SagittalVolume
    mask : ndarray of uint8, shape (slices, rows, columns), or None
        Reference mask.
    result : GradingResult or None
        Of `volume`; None where no disc was found.
    """
    return _compared(case, volume, mask, result, _slice_error_mm(result, mask, volume))


AT_HEIGHT_MM = 4.0
"""So far above and below a disc the canal is that at its height."""


def _slice_error_mm(
    result: GradingResult | None, mask: NDArray[np.uint8] | None, volume: SagittalVolume
) -> float | None:
    """Return the mean distance of the discs' slices from the reference canal's middle at each one's height, in mm.

    Where no canal is labelled at a disc's height, the middle slice of the whole reference stands in. None without a
    reference, a result, or a second slice.
    """
    middle = None if mask is None else reference_mid_slice(mask)
    if result is None or mask is None or middle is None or volume.slice_count == 1:
        return None
    spacing, errors = volume.spacing_mm, []
    reach = max(1, round(AT_HEIGHT_MM / spacing[1]))
    for disc in result.discs:
        row = round(disc.center_row_column[0])
        by_slice = np.count_nonzero(mask[:, max(0, row - reach) : row + reach + 1] == Tissue.CANAL, axis=(1, 2))
        here = by_slice @ np.arange(len(by_slice)) / by_slice.sum() if by_slice.any() else middle
        errors.append(abs(result.slice_of(disc) - here) * spacing[0])
    return float(np.mean(errors))


def _compared(
    case: LabelledCase,
    volume: SagittalVolume,
    mask: NDArray[np.uint8] | None,
    result: GradingResult | None,
    slice_error_mm: float | None,
    problem: str = "",
    points_lie: bool = True,
) -> ScoredCase:
    middle = None if mask is None else reference_mid_slice(mask)
    if result is not None:
        slice_index = result.slice_index
    else:
        slice_index = volume.middle_slice_index if middle is None else round(middle)
    reference = None if mask is None else _reference_picture(mask, result, volume, slice_index)
    scores = _scores_by_mask(case, reference, result, volume) if reference is not None else []
    if reference is None and case.level_points and points_lie:
        scores = _scores_by_point(case, result)
    scores += _scores_by_level(case, result, {score.level for score in scores})
    of_patient: dict[str, Any] = {"split": case.split, "subject": case.subject, "slice_error_mm": slice_error_mm}
    scores = [replace(score, **of_patient, **_naming(scores, result)) for score in scores]
    return ScoredCase(case, volume, slice_index, reference, result, tuple(scores), problem)


def reference_mid_slice(mask: NDArray[np.uint8]) -> float | None:
    """Return the mid-sagittal slice of a reference mask as a canonical slice index, which may lie between two slices.

    It is the middle of the canal: the mean slice of all its voxels. Where no canal is labelled it is that of the discs,
    which for a reader's masks is the slice drawn on. None where neither is there.

    Parameters
    ----------
    mask : ndarray of uint8, shape (slices, rows, columns)
    """
    for structure in (mask == Tissue.CANAL, is_disc(mask)):
        by_slice = np.count_nonzero(structure, axis=(1, 2))
        if by_slice.any():
            return float((by_slice * np.arange(len(by_slice))).sum() / by_slice.sum())
    return None


def _reference_picture(
    mask: NDArray[np.uint8], result: GradingResult | None, volume: SagittalVolume, slice_index: int
) -> NDArray[np.uint8]:
    """Return the reference mask on the picture that was graded: of each part of the spine the slice chosen for it."""
    if result is None or not result.is_curved:
        return mask[slice_index]
    rows, columns = np.indices(mask.shape[1:])
    slices = zones_of(result).slice_map(mask.shape[1:], (volume.spacing_mm[1], volume.spacing_mm[2]))
    return mask[slices, rows, columns]


def surface_distances_mm(
    first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> tuple[float, float]:
    """Return the mean symmetric distance of two contours and the larger directed 95th percentile, in mm.

    The percentile is MONAI's robust Hausdorff distance.

    Parameters
    ----------
    first, second : ndarray of bool, shape (rows, columns)
        Neither may be empty.
    spacing_mm : tuple of float
        Of rows and columns.
    """
    import torch
    from monai.metrics import compute_hausdorff_distance

    pixels = np.nonzero(first | second)
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in pixels)
    pair = [torch.from_numpy(np.pad(mask[box], 1))[None, None] for mask in (first, second)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI, about a call of its own
        robust = compute_hausdorff_distance(*pair, percentile=SURFACE_PERCENTILE, spacing=list(spacing_mm))
    return mean_surface_distance_mm(first, second, spacing_mm), float(robust)


def _graded(grader: DiscGrader, volume: SagittalVolume, slice_index: int | None) -> tuple[GradingResult | None, str]:
    try:
        return grader.grade(volume, slice_index), ""
    except NoDiscsError as error:
        return None, str(error)


def _scores_by_level(case: LabelledCase, result: GradingResult | None, known: set[str]) -> list[DiscScore]:
    """Score graded levels that have no mask on the slice by the name of the disc alone."""
    if not case.levels_trusted:
        return []
    scores = []
    for level, grade in case.grades.items():
        if level in known:
            continue
        disc = result.disc(level) if result is not None else None
        score = DiscScore(case.patient, case.source, level, grade=grade)
        scores.append(score if disc is None else replace(score, named_level=level, **_reading(disc)))
    return scores


def _scores_by_mask(
    case: LabelledCase, reference: NDArray[np.uint8], result: GradingResult | None, volume: SagittalVolume
) -> list[DiscScore]:
    if case.levels_trusted:
        parts = [(level, reference == value) for level, value in DISC_LABELS.items() if (reference == value).any()]
    else:
        parts = [("", part) for part in components(is_disc(reference)) if part.sum() > LEAST_DISC_PX]
    scores = []
    for level, part in parts:
        score = DiscScore(
            case.patient, case.source, level, dice=0.0, iou=0.0, grade=case.grades.get(level) if level else None
        )
        found = None if result is None else _disc_on(result.label_slice, part)
        if result is not None and found is not None:
            score = replace(score, **_overlap(result.label_slice == DISC_LABELS[found], part, volume))
            disc = result.disc(found)
            score = replace(score, named_level=found, **(_reading(disc) if disc else {}))
        scores.append(score)
    return scores


def _scores_by_point(case: LabelledCase, result: GradingResult | None) -> list[DiscScore]:
    """Score the discs whose posterior margin has a reference point by the segmented disc that lies there."""
    scores = []
    found = {} if result is None else discs_at_points(result.label_slice, case.level_points)
    for level in case.level_points:
        score = DiscScore(case.patient, case.source, level, grade=case.grades.get(level), by_point=True)
        name = found.get(level)
        disc = result.disc(name) if result is not None and name else None
        scores.append(replace(score, named_level=name, **_reading(disc)) if name and disc is not None else score)
    return scores


def discs_at_points(labels: NDArray[np.uint8], points: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Return the name of the segmented disc that lies nearest to each point, where one lies near enough.

    Distances are measured in the distance of neighbouring points, since the pixel size of pictures may be unknown.

    Parameters
    ----------
    labels : ndarray of uint8, shape (rows, columns)
        `pfirrmann.DISC_LABELS` values.
    points : mapping of str to tuple of float
        Row and column of the posterior margin of the disc of each level.
    """
    step = median_step(points.values())
    if step is None:
        return {}
    discs = {value: np.argwhere(labels == value) for value in np.unique(labels) if value in LEVELS_BY_LABEL}
    found = {}
    for level, place in points.items():
        apart = {value: float(np.linalg.norm(pixels - place, axis=1).min()) for value, pixels in discs.items()}
        nearest = min(apart, key=lambda value: apart[value], default=None)
        if nearest is not None and apart[nearest] < AT_POINT_STEPS * step:
            found[level] = LEVELS_BY_LABEL[int(nearest)]
    return found


def _naming(scores: Sequence[DiscScore], result: GradingResult | None) -> dict[str, Any]:
    """Return what is the same in all scores of a patient about the names."""
    lumbar = [score for score in scores if score.located and score.level in LUMBAR_LEVELS]
    right = all(score.named_level == score.level for score in lumbar) if lumbar else None
    return {"all_named": right, "levels_doubted": result is None or result.levels_doubted}


def _disc_on(labels: NDArray[np.uint8], part: NDArray[np.bool_]) -> str | None:
    """Return the level of the segmented disc that covers most of a reference disc, None where none covers enough."""
    counts = np.bincount(labels[part], minlength=256)
    counts[0] = 0
    best = int(np.argmax(counts))
    return LEVELS_BY_LABEL[best] if counts[best] >= FOUND_OVERLAP * part.sum() else None


def _overlap(predicted: NDArray[np.bool_], part: NDArray[np.bool_], volume: SagittalVolume) -> dict[str, Any]:
    shared = int(np.count_nonzero(predicted & part)) / int(np.count_nonzero(predicted | part))
    overlap: dict[str, Any] = {"dice": dice(predicted, part), "iou": shared}
    if volume.scale_known:
        mean_mm, robust_mm = surface_distances_mm(predicted, part, volume.spacing_mm[1:])
        overlap |= {"surface_mm": mean_mm, "surface_95_mm": robust_mm}
        outward = outward_distances_mm(predicted, part, volume.spacing_mm[1:])
        overlap |= {f"{side}_mm": distance for side, distance in asdict(outward).items() if np.isfinite(distance)}
    return overlap


def _reading(disc: DiscGrade) -> dict[str, Any]:
    by_grade = {f"p_{grade}": p for grade, p in zip(GRADES, disc.grade_probabilities, strict=True)}
    by_group = {f"p_{group.value}": p for group, p in zip(GROUPS, disc.group_probabilities, strict=True)}
    grade_set = " ".join(map(str, disc.grade_set))
    grading = {"predicted_grade": disc.pfirrmann, "confident": disc.confident, "pfirrmann_set": grade_set}
    return {**grading, **by_grade, **by_group}


SCORE_FIELDS = tuple(field.name for field in fields(DiscScore))
_TEXTS = ("patient", "source", "level", "split", "subject", "named_level", "pfirrmann_set")
_GRADES = ("grade", "predicted_grade")
_SIGNED = tuple(f"{side}_mm" for side in SIDES)
_FLAGS = ("confident", "by_point", "all_named", "levels_doubted")


def score_rows(scores: Sequence[DiscScore]) -> list[dict[str, Any]]:
    """Return the scores as rows of a table."""
    return [asdict(score) for score in scores]


def write_scores(scores: Sequence[DiscScore], path: Path) -> None:
    """Write the scores as CSV; what is not known is left empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=SCORE_FIELDS)
        writer.writeheader()
        writer.writerows(score_rows(scores))


def read_scores(path: Path) -> list[DiscScore]:
    """Read scores that `write_scores` wrote; columns of later versions may be missing.

    Raises
    ------
    EvaluationError
        If the file cannot be read, or a row is not one of a disc.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise EvaluationError(f"{path} cannot be read as a table of discs; give a discs.csv of 'evaluate'.") from None
    scores = []
    for line, row in enumerate(rows, start=2):
        try:
            scores.append(_score_of(row))
        except (ValueError, KeyError, TypeError):
            raise EvaluationError(
                f"{path}, line {line}: this is no row of a disc; write it again with 'evaluate'."
            ) from None
    if not scores:
        raise EvaluationError(f"{path} has no discs; give a discs.csv of 'evaluate'.")
    return scores


def _score_of(row: dict[str, str | None]) -> DiscScore:
    values: dict[str, Any] = {}
    for name in SCORE_FIELDS:
        text = row.get(name) or ""
        if name in _TEXTS:
            values[name] = text
        elif text and name in _GRADES:
            values[name] = int(text)
            group_of_grade(values[name])  # raises ValueError where it is no grade
        elif text and name in _FLAGS:
            values[name] = {"True": True, "False": False}[text]
        elif text:
            values[name] = float(text)
            if not np.isfinite(values[name]) or (values[name] < 0 and name not in _SIGNED):
                raise ValueError(name)
    if not values["patient"] or any(values[name] not in ("", *DISC_LABELS) for name in ("level", "named_level")):
        raise ValueError("patient or level")
    values["subject"] = values["subject"] or values["patient"]
    score = DiscScore(**values)
    for grade in score.set_grades:
        group_of_grade(grade)
    return score
