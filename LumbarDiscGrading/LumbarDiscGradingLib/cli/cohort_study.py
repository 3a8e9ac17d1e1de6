"""What ``study create --from-cohort`` adds to ``study create``, and how a study says where its cases are from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import with_progress

if TYPE_CHECKING:
    from ..annotation.protocol import Protocol

CHOICES = ("random", "grade", "doubt")


def add_cohort_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that take cases from a cohort."""
    parser.add_argument(
        "--from-cohort", type=Path, metavar="FOLDER", help="take cases from this output folder of 'grade' for a cohort"
    )
    parser.add_argument("--cases", type=int, metavar="N", help="how many cases of it (default: all graded scans)")
    parser.add_argument(
        "--choose",
        choices=CHOICES,
        help="which: at random; balanced over the model's grades; those first that the model was least sure of "
        "(default: random)",
    )
    parser.add_argument("--choice-seed", type=int, metavar="N", help="of what is drawn (default: 0)")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="mapping file (default: STUDY-mapping.csv)")


def require_cohort_for_its_options(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with wrong usage where an option has nothing to work on."""
    if arguments.cases is None and (arguments.choose or arguments.choice_seed) is not None:
        parser.error("--choose and --choice-seed need --cases: without it all graded scans are taken")
    if arguments.from_cohort is None and (arguments.cases is not None or arguments.mapping is not None):
        parser.error("--cases and --mapping need --from-cohort")


def create_from_cohort(arguments: argparse.Namespace, protocol: Protocol) -> int:
    """Make the study; exit status 1 where it has fewer cases than asked for."""
    from ..annotation.study.selection import Rule
    from ..cohort.study.graded_scans import read_cohort
    from ..cohort.study.making import study_from_cohort

    cohort = read_cohort(arguments.from_cohort)
    report = study_from_cohort(
        arguments.study,
        protocol,
        cohort,
        Rule.ALL if arguments.cases is None else Rule(arguments.choose or "random"),
        arguments.cases,
        arguments.choice_seed or 0,
        arguments.mapping,
        with_progress("Taking"),
    )
    for identifier, reason in report.left_out:
        print(f"{identifier}: left out: {' '.join(reason.split())}", file=sys.stderr)
    print(f"{protocol.name}: made in {arguments.study} for {len(protocol.readers)} readers.")
    print_selection(arguments.study)
    for note in report.notes:
        print(note)
    wanted = len(cohort.scans) if arguments.cases is None else arguments.cases
    return 1 if len(report.selection.inputs) < wanted else 0


def print_selection(folder: Path) -> None:
    """Print how the cases of a study were chosen, where they are from a cohort."""
    from ..annotation.study.selection import selection_of

    selection = selection_of(folder)
    for sentence in selection.sentences() if selection else ():
        print(f"  {sentence}")
