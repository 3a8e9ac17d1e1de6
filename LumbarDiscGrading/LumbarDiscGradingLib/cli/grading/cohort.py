"""Many scans graded into one folder: only what is not graded yet, with progress, and a word on how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...cohort.journal import Journal
from ...cohort.page import PAGE_FILE, write_page
from ...cohort.parquet import PARQUET_FILE
from ...cohort.running import Outcomes, Recipe, Summary, run
from ...cohort.scan import Outcome, Scan
from ...cohort.tables import COHORT_FILE, SCANS_FILE
from ...imaging.file_names import printable
from ..complaint import complain
from ..progress import scan_progress, with_progress
from .files import endings
from .graders import model_hashes
from .task import GradeTask

NameScans = Callable[[dict[str, str]], tuple[list[Scan], list[Outcome]]]
"""Gives the scans of a cohort and those that are skipped, from the path by identifier of the scans of earlier runs."""


def grade_cohort(task: GradeTask, name_scans: NameScans, outcomes: Outcomes) -> int:
    """Grade the scans of a cohort into the task's folder, as far as that was not done before; return the exit status.

    Parameters
    ----------
    task : GradeTask
    name_scans : callable
    outcomes : callable
        Runs the task on scans.
    """
    output = Path(task.output)
    recipe = Recipe(model_hashes(task.models), endings(task.scene, task.evidence, task.dicom))
    with Journal.open(output) as journal:
        scans, skipped = name_scans({name: record.row["input"] for name, record in journal.records.items()})
        summary = run(journal, scans, skipped, recipe, _shown(outcomes), with_progress("Comparing"))
        write_page(output, journal.work_folder)
    _print(summary, output)
    if summary.left:
        return complain(f"Stopped; {summary.left} scans are left: run the same command again to go on with them.", 130)
    return 1 if summary.failed else 0


def _shown(outcomes: Outcomes) -> Outcomes:
    """Show on standard error how far it has got, and a line for each scan that failed."""

    def stream(scans: Sequence[Scan]) -> Iterator[Outcome]:
        with scan_progress("Grading", len(scans)) as advance:
            for outcome in outcomes(scans):
                advance(_complaint(outcome) if outcome.state == "failed" else "")
                yield outcome

    return stream


def _complaint(outcome: Outcome) -> str:
    scan = outcome.scan
    which = f" ({scan.identifier})" if scan.files else ""  # of a folder with several studies
    return f"{printable(scan.input)}{which}: {outcome.reason}"


def _print(summary: Summary, output: Path) -> None:
    print(f"{summary.graded} graded, {summary.failed} failed, {len(summary.skipped)} skipped, ", end="")
    print(f"{summary.unchanged} graded before and unchanged.")
    print_reasons(summary.skipped)
    if summary.kept:
        print(f"  {summary.kept} scans of earlier runs stay in the tables.")
    print(f"All in {output}: {COHORT_FILE} (a row a disc), {SCANS_FILE} (a row a scan); {PAGE_FILE} shows them.")
    if not (summary.parquet or summary.left):
        print(f"  {PARQUET_FILE} is left out: it needs pyarrow; install the extra 'cohort'.")


def print_reasons(reasons: Sequence[str]) -> None:
    """Print why files were skipped, each reason once with their count."""
    for reason, count in Counter(reasons).most_common():
        print(f"  Skipped {count}: {reason}")
