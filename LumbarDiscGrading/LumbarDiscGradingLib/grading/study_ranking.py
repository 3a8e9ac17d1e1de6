"""A study's cases as trained models see them, so that the unread ones can be ordered by what is learnt from them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..annotation.active_learning.ranking import CaseRanking, CaseScores, RankingModel
from ..annotation.errors import StudyError, WorkflowError
from ..annotation.study.cases import StudyCase
from ..annotation.study.study import Study
from ..imaging.volume import ImagingError
from ..pfirrmann import Tissue
from ..progress import ListProgress, unwatched

if TYPE_CHECKING:
    from .grader import DiscGrader
    from .segmenter import SliceSegmentation

SAVE_EVERY_S = 10.0
"""What is lost when ranking is broken off: the cases of so many seconds."""


@dataclass(frozen=True)
class RankingReport:
    """What ranking a study came to.

    Attributes
    ----------
    ranking : CaseRanking
    ranked : int
        Cases that were ranked now.
    known : int
        Cases that these models had ranked before.
    failed : tuple of (str, str)
        Cases that could not be read, with the reason.
    """

    ranking: CaseRanking
    ranked: int
    known: int
    failed: tuple[tuple[str, str], ...]


def rank_study(study: Study, grader: DiscGrader, progress: ListProgress = unwatched) -> RankingReport:
    """Let models look at the cases of a study that they have not seen yet; broken off, it goes on where it was.

    Parameters
    ----------
    study : Study
    grader : DiscGrader
    progress : callable, optional
        Wraps the list of cases.

    Raises
    ------
    WorkflowError
        If the protocol does not allow a model to order the cases.
    StudyError
        If the ranking is damaged or, as `NotSavedError`, cannot be saved.
    """
    if not study.protocol.active_learning:
        raise WorkflowError("The protocol does not allow a model to order the unread cases.")
    models = [RankingModel(model.task, model.name, model.version, model.sha256) for model in grader.models]
    ranking = CaseRanking.of_models(study, models)
    todo, failed = _to_rank(study, ranking)
    known = len(study.case_ids) - len(todo) - len(failed)
    ranked = unsaved = 0
    saved_at = time.monotonic()
    try:
        for case in progress(todo):
            try:
                ranking.cases[case.id] = score_case(case, grader)
            except StudyError as error:
                failed.append((case.id, str(error)))
                continue
            ranked, unsaved = ranked + 1, unsaved + 1
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                ranking.save()
                unsaved, saved_at = 0, time.monotonic()
    finally:
        if unsaved:
            ranking.save()
    return RankingReport(ranking, ranked, known, tuple(failed))


def _to_rank(study: Study, ranking: CaseRanking) -> tuple[list[StudyCase], list[tuple[str, str]]]:
    """Return the cases that were not ranked yet, or with another image, and those that cannot be opened."""
    todo, failed = [], []
    for case_id in study.case_ids:
        try:
            case = study.case(case_id)
        except StudyError as error:
            failed.append((case_id, str(error)))
            continue
        known = ranking.cases.get(case_id)
        if known is None or known.image_sha256 != case.image_sha256:
            todo.append(case)
    return todo, failed


def score_case(case: StudyCase, grader: DiscGrader) -> CaseScores:
    """Return what the models say of a case; on an image without discs for them they are as unsure as can be.

    Raises
    ------
    StudyError
        If the image is missing or damaged.
    """
    volume = case.volume()
    try:
        result = grader.grade(volume)
        segmentation = grader.segmenter.segment(volume, [result.slice_index])[0]
    except ImagingError:
        return CaseScores(case.image_sha256, {}, 1.0)
    groups = {disc.level: disc.group_probabilities for disc in result.discs}
    return CaseScores(case.image_sha256, groups, mask_uncertainty(segmentation))


def mask_uncertainty(segmentation: SliceSegmentation) -> float:
    """Return the area of which it is not sure whether it is disc over the expected disc area, at most 1.

    The uncertain area is the sum of the binary entropies, in bits, of the pixels' disc probability.
    """
    p = np.clip(segmentation.probabilities[Tissue.DISC].astype(np.float64), 1e-12, 1 - 1e-12)
    uncertain = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum()
    return float(min(uncertain / max(p.sum(), 1e-9), 1.0))
