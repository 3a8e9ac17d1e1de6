"""The command ``study rank``: models look at a study, so that unread cases can be ordered. The one that needs torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..annotation.errors import StudyError
from .complaint import why_not_run
from .grading.graders import add_model_option, make_grader
from .progress import with_progress


def add_rank(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rank",
        help="let a model order the unread cases by what is learnt from them",
        description="Grade each case once with a model and keep in the study how unsure it is, where the protocol "
        "allows it (create --allow-active-learning). Readers can then take the most informative cases first: those of "
        "which the model is unsure, and those on which it and the reader's own signed readings are likely to differ. "
        "They are shown the order, never the model's grades. What a model has ranked already is not computed again, so "
        "the command may be broken off and run again, also after more cases were imported.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add_model_option(parser)
    parser.set_defaults(func=_rank, explain=_explained)


def _rank(arguments: argparse.Namespace) -> int:
    from ..annotation.study.study import Study

    study = Study.open(arguments.study)
    if not study.protocol.active_learning:
        raise StudyError("The protocol does not allow a model to order the unread cases; nothing was computed.")
    from ..grading.study_ranking import rank_study

    report = rank_study(study, make_grader(arguments.device, arguments.model), with_progress("Ranking"))
    for case, reason in report.failed:
        print(f"{case}: {' '.join(reason.split())}", file=sys.stderr)
    names = " and ".join(model.name for model in report.ranking.models)
    print(f"{study.protocol.name}: {report.ranked} cases ranked by {names}, {report.known} were ranked before.")
    return 1 if report.failed else 0


def _explained(error: Exception) -> str | None:
    reason = why_not_run(error)
    return f"The cases could not be ranked ({reason}); what was ranked so far is kept." if reason else None
