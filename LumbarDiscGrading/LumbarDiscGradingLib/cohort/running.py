"""A cohort graded: only what is not graded yet, each result in the tables as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..imaging.file_names import printable
from ..progress import ListProgress, unwatched
from .fingerprint import content_sha256, stamp
from .journal import Journal, Record
from .parquet import PARQUET_FILE, write_parquet
from .scan import Outcome, Scan

RESULT_ENDING = "_result.json"

Outcomes = Callable[[Sequence[Scan]], Iterator[Outcome]]
"""Grades scans and yields what became of each, once, in any order."""


@dataclass(frozen=True)
class Recipe:
    """What a result depends on beside its scan.

    Attributes
    ----------
    models : dict of str to str
        A hash of each model by its task, ``segmentation`` and ``grading``.
    endings : tuple of str
        How the names of the files end that each graded scan has.
    """

    models: dict[str, str]
    endings: tuple[str, ...]


@dataclass
class Summary:
    """What a run did.

    Attributes
    ----------
    graded, failed : int
        Scans of this run.
    skipped : tuple of str
        Why each scan was skipped.
    unchanged : int
        Scans that an earlier run graded and that were left as they are.
    kept : int
        Scans in the tables that an earlier run graded and that are none of this one's.
    left : int
        Scans that were not come to: the run was stopped.
    parquet : bool
        Whether ``cohort.parquet`` was written.
    """

    graded: int = 0
    failed: int = 0
    skipped: tuple[str, ...] = ()
    unchanged: int = 0
    kept: int = 0
    left: int = 0
    parquet: bool = False


def run(
    journal: Journal,
    scans: Sequence[Scan],
    skipped: Sequence[Outcome],
    recipe: Recipe,
    outcomes: Outcomes,
    watch: ListProgress = unwatched,
) -> Summary:
    """Grade the scans of a cohort that are not graded yet, or no longer as they would be now.

    Ctrl+C ends the run between two results; what is in the tables stays.

    Parameters
    ----------
    journal : Journal
        Of the output folder.
    scans : sequence of Scan
    skipped : sequence of Outcome
        What was found and is not to be graded.
    recipe : Recipe
    outcomes : callable
        Is given the scans that are to be graded.
    watch : callable
        Sees the scans go by while they are compared with earlier runs.

    Raises
    ------
    OSError
        If the tables cannot be written.
    """
    stamps: dict[str, str] = {}
    unchanged: dict[str, Record] = {}
    for scan in watch(scans):
        stamps[scan.identifier] = stamp(scan)
        record = journal.records.get(scan.identifier)
        if record is not None and _is_done(journal.output, scan, record, stamps[scan.identifier], recipe):
            unchanged[scan.identifier] = _brought_up(record, scan, stamps[scan.identifier])
    kept = _of_other_runs(journal, scans)
    graded_before = {record.row["input"] for record in kept}
    skipped = [outcome for outcome in skipped if outcome.scan_row["input"] not in graded_before]
    (journal.output / PARQUET_FILE).unlink(missing_ok=True)  # it may lack what comes
    journal.begin([*unchanged.values(), *kept], skipped)
    todo = [scan for scan in scans if scan.identifier not in journal.records]
    reasons = tuple(outcome.reason for outcome in skipped)
    summary = Summary(skipped=reasons, unchanged=len(scans) - len(todo), kept=len(kept), left=len(todo))
    stream = outcomes(todo)
    try:
        for outcome in stream:
            identifier = outcome.scan.identifier
            journal.add(outcome, _settings(outcome.scan, recipe), stamps[identifier])
            summary.graded += outcome.state == "graded"
            summary.failed += outcome.state == "failed"
            summary.left -= 1
    except KeyboardInterrupt:
        if not summary.left:
            raise
    finally:
        if isinstance(stream, Generator):
            stream.close()
        journal.settle()
    if not summary.left:
        summary.parquet = write_parquet(journal)
    return summary


def _is_done(output: Path, scan: Scan, record: Record, stamped: str, recipe: Recipe) -> bool:
    """Whether a scan was graded as it would be now: from the same bytes, with the same settings and models."""
    row = record.row
    return (
        row["state"] == "graded"
        and record.settings == _settings(scan, recipe)
        and all((output / f"{scan.identifier}{ending}").is_file() for ending in recipe.endings)
        and ((bool(stamped) and stamped == record.stamp) or content_sha256(scan) == row["input_sha256"])
    )


def _settings(scan: Scan, recipe: Recipe) -> dict[str, str]:
    given = {"slice": scan.stored_slice, "pixel_size_mm": scan.pixel_size_mm, "series": scan.series}
    return {**{name: str(value) for name, value in given.items() if value is not None}, **recipe.models}


def _brought_up(record: Record, scan: Scan, stamped: str) -> Record:
    """Take over what the user may say anew without a result changing."""
    row = {**record.row, "input": printable(scan.input), "age": scan.age, "sex": scan.sex}
    return replace(record, row=row, stamp=stamped)


def _of_other_runs(journal: Journal, scans: Sequence[Scan]) -> list[Record]:
    """Return the graded scans that are none of this run's, by their name or their file, and whose result is there."""
    names = {scan.identifier for scan in scans}
    inputs = {printable(scan.input) for scan in scans if not scan.files}
    return [
        record
        for name, record in journal.records.items()
        if name not in names
        and record.row["state"] == "graded"
        and record.row["input"] not in inputs
        and (journal.output / f"{name}{RESULT_ENDING}").is_file()
    ]
