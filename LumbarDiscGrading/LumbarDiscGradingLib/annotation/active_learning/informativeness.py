"""Which unread cases teach most: those of which a model is unsure, and those on which this reader and it may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...pfirrmann import GROUPS, group_of_grade
from ..disc_grading import NOT_ASSESSABLE
from ..errors import WorkflowError
from ..protocol import Task
from .ranking import CaseRanking, CaseScores, latest_ranking

if TYPE_CHECKING:
    from ..work.session import CasePriority, ReaderSession

PRIOR_DISCS = 5.0
"""So many discs' worth of this reader's average goes into the share of each group: a single disc decides nothing."""


def most_informative_first(session: ReaderSession, task: Task) -> CasePriority:
    """Return what orders a reader's unread cases by how much is learnt from them, for `ReaderSession.work_list`.

    For grades it is the mean entropy of the model's groups over the levels (0 to 1) plus the share of discs on which
    this reader is likely to differ from the model, estimated from this reader's own signed readings and nobody else's.
    For masks it is how much of the disc area the model is unsure of. Nothing is computed by a model: `study rank` has
    asked it before, so neither torch nor a model is needed here.

    Returns
    -------
    callable
        Gives each case that was ranked its value; other cases come last. It tells no grade.

    Raises
    ------
    WorkflowError
        If the protocol does not allow it or no model has ranked the cases yet.
    StudyError
        If the ranking is damaged.

    Examples
    --------
    >>> priority = most_informative_first(session, Task.GRADES)  # doctest: +SKIP
    >>> session.work_list(Task.GRADES, priority=priority)  # doctest: +SKIP
    >>> session.next_item(Task.GRADES, after=item, priority=priority)  # doctest: +SKIP
    """
    if not session.study.protocol.active_learning:
        raise WorkflowError("The protocol does not allow a model to order the unread cases.")
    ranking = latest_ranking(session.study)
    if ranking is None or not ranking.cases:
        raise WorkflowError("No model has ranked the cases yet; run 'lumbar-disc-grading study rank' on the study.")
    if task is Task.MASKS:
        return lambda cases: {c: ranking.cases[c].mask_uncertainty for c in cases if c in ranking.cases}
    levels = session.study.protocol.levels

    def gain(cases: Sequence[str]) -> Mapping[str, float]:
        rates = disagreement_rates(session, ranking)
        return {
            case: scores.grade_uncertainty(levels) + _expected_disagreement(scores, levels, rates)
            for case in cases
            if (scores := ranking.cases.get(case)) is not None
        }

    return gain


def disagreement_rates(session: ReaderSession, ranking: CaseRanking) -> tuple[float, ...]:
    """Return how often this reader's own signed group differs from the model's, by the model's group.

    Readings that the reader may not see now, since the case is being read again, do not count.
    """
    differing, counted = [0] * len(GROUPS), [0] * len(GROUPS)
    for case, scores in ranking.cases.items():
        record = session.history.reading(case, Task.GRADES)
        if not record.signed or not session.may_see(case, Task.GRADES, session.reader.id):
            continue
        for level, grade in record.grades.items():
            if grade != NOT_ASSESSABLE and level in scores.groups:
                place = max(range(len(GROUPS)), key=scores.groups[level].__getitem__)
                counted[place] += 1
                differing[place] += group_of_grade(grade) is not GROUPS[place]
    overall = sum(differing) / sum(counted) if sum(counted) else 0.0
    return tuple((d + PRIOR_DISCS * overall) / (n + PRIOR_DISCS) for d, n in zip(differing, counted, strict=True))


def _expected_disagreement(scores: CaseScores, levels: Sequence[str], rates: Sequence[float]) -> float:
    """Return the mean over the levels; a disc that the model has not found counts as the average of the groups."""
    unknown = (1 / len(rates),) * len(rates)
    shares = [sum(p * r for p, r in zip(scores.groups.get(level, unknown), rates, strict=True)) for level in levels]
    return sum(shares) / len(shares)
