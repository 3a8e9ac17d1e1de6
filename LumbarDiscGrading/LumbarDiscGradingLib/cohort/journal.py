"""`Journal`: what became of the scans of an output folder, kept so that a kill costs the scans in flight at most.

The tables are appended to as results come: first the rows, then a line in the journal that makes them count. Rows
without that line, and whatever a kill tore, are taken out when the next run begins. Tables and journal are replaced as
whole files otherwise.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .run_lock import only_run
from .scan import Outcome
from .tables import COHORT_COLUMNS, COHORT_FILE, SCAN_COLUMNS, SCANS_FILE

JOURNAL_FOLDER = ".cohort"
JOURNAL_FILE = "journal.jsonl"
WORK_FOLDER = "work"
GRADES_ENDING = "_grades.csv"


@dataclass(frozen=True)
class Record:
    """A scan that was graded or failed.

    Attributes
    ----------
    row : dict
        Its row of ``cohort_scans.csv``.
    settings : dict
        What the user set for it, and hashes of the models.
    stamp : str
        `fingerprint.stamp` of its input before it was read.
    """

    row: dict[str, str]
    settings: dict[str, str]
    stamp: str

    @property
    def identifier(self) -> str:
        """Identifier of the scan."""
        return self.row["identifier"]


class Journal:
    """The tables of an output folder and what is known of their scans; `open` gives one.

    Attributes
    ----------
    records : dict of str to Record
        By identifier.
    """

    def __init__(self, output: Path) -> None:
        self.output, self.folder = output, output / JOURNAL_FOLDER
        self.records: dict[str, Record] = {}
        self._others: list[dict[str, str]] = []
        for line in _lines(self.folder / JOURNAL_FILE):
            with suppress(ValueError, TypeError, KeyError):  # torn
                record = Record(**json.loads(line))
                if record.row.keys() == set(SCAN_COLUMNS):  # of this version
                    self.records[record.identifier] = record

    @classmethod
    @contextmanager
    def open(cls, output: Path) -> Iterator[Journal]:
        """Open the journal of a folder for this run alone.

        Raises
        ------
        RunningError
            If another run has it open.
        OSError
            If the folder cannot be written.
        """
        folder = output / JOURNAL_FOLDER
        folder.mkdir(exist_ok=True)
        with only_run(folder, output):
            journal = cls(output)
            shutil.rmtree(journal.work_folder, ignore_errors=True)
            journal.work_folder.mkdir(exist_ok=True)  # what a killed run left may still write there
            try:
                yield journal
            finally:
                shutil.rmtree(journal.work_folder, ignore_errors=True)

    @property
    def work_folder(self) -> Path:
        """Where files are made before they are moved into place; what a kill left there, the next run takes away."""
        return self.folder / WORK_FOLDER

    @contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """Give a path in the work folder to write to; it takes the place of `path` when the block ends well."""
        temporary = self.work_folder / path.name
        yield temporary
        os.replace(temporary, path)

    def begin(self, records: Iterable[Record], skipped: Sequence[Outcome]) -> None:
        """Let the tables hold these records and the scans that are skipped, and nothing else.

        A record whose rows are lost is forgotten; `records` tells.
        """
        self.records = {record.identifier: record for record in records}
        self._others = [outcome.scan_row for outcome in skipped]
        rows = self._disc_rows()
        self.records = {name: record for name, record in self.records.items() if name in rows}
        with self.replacing(self.folder / JOURNAL_FILE) as path, path.open("w", encoding="utf-8") as file:
            file.writelines(map(_journal_line, self.records.values()))
        self._write_tables(rows)

    def add(self, outcome: Outcome, settings: dict[str, str], stamp: str) -> None:
        """Append what became of a scan to the tables."""
        record = Record(outcome.scan_row, settings, stamp)
        if outcome.disc_rows:
            _append(self.output / COHORT_FILE, _csv_text(COHORT_COLUMNS, outcome.disc_rows))
        _append(self.output / SCANS_FILE, _csv_text(SCAN_COLUMNS, [outcome.scan_row]))
        _append(self.folder / JOURNAL_FILE, _journal_line(record))
        self.records[record.identifier] = record

    def settle(self) -> None:
        """Write the tables anew, in the order of the identifiers."""
        self._write_tables(self._disc_rows())

    def _write_tables(self, rows: Mapping[str, str]) -> None:
        names = sorted(self.records.keys() & rows.keys())
        scans = sorted([*(self.records[name].row for name in names), *self._others], key=lambda row: row["identifier"])
        for name, columns, lines in (
            (COHORT_FILE, COHORT_COLUMNS, (rows[name] for name in names)),
            (SCANS_FILE, SCAN_COLUMNS, (_csv_text(SCAN_COLUMNS, [row]) for row in scans)),
        ):
            with self.replacing(self.output / name) as path, path.open("w", encoding="utf-8", newline="") as file:
                file.write(_header(columns))
                file.writelines(lines)

    def _disc_rows(self) -> dict[str, str]:
        """Return the text of the rows of each scan in the records, as far as they are whole somewhere."""
        there: dict[str, list[str]] = {}
        lines = _lines(self.output / COHORT_FILE)
        if next(lines, "") == _header(COHORT_COLUMNS):
            for line in lines:
                there.setdefault(next(csv.reader([line]), [""])[0], []).append(line)
        found = {}
        for name, record in self.records.items():
            count = int(record.row["discs"] or 0)
            rows = there.get(name, [])
            text = "".join(rows) if len(rows) == count else self._from_grades(record, count)
            if text is not None:
                found[name] = text
        return found

    def _from_grades(self, record: Record, count: int) -> str | None:
        """Make the rows of a scan from its own table, None where that is not whole."""
        try:
            with (self.output / f"{record.identifier}{GRADES_ENDING}").open(encoding="utf-8", newline="") as file:
                rows = [{**record.row, **row} for row in csv.DictReader(file)]
            return _csv_text(COHORT_COLUMNS, rows) if len(rows) == count else None
        except (OSError, UnicodeError, KeyError, ValueError):
            return None


def _lines(path: Path) -> Iterator[str]:
    """Yield the whole lines of a file, with their ends; none where it is not there."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            if line.endswith("\n"):
                yield line


def _header(columns: Sequence[str]) -> str:
    return ",".join(columns) + "\n"


def _csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows as lines, one each: no cell has a line break."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([" ".join(row[column].splitlines()) for column in columns] for row in rows)
    return text.getvalue()


def _journal_line(record: Record) -> str:
    return json.dumps(vars(record), ensure_ascii=False) + "\n"


def _append(path: Path, text: str) -> None:
    content = memoryview(text.encode("utf-8"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)
