"""How far a command has got, shown on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ..progress import ListProgress
from .complaint import complain

SECONDS_AN_HOUR = 3600


def with_progress(what: str) -> ListProgress:
    """Return a wrapper that shows how far a list has got, on a terminal only: in a log it would be noise."""

    def shown(items: Sequence[Any]) -> Iterable[Any]:
        if not sys.stderr.isatty():
            yield from items
            return
        for number, item in enumerate(items, start=1):
            print(f"\r{what} {number}/{len(items)}", end="", file=sys.stderr, flush=True)
            yield item
        print(file=sys.stderr)

    return shown


@contextmanager
def scan_progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show on a terminal how many of a number of scans are done, how many an hour, and the time that is left.

    Yields
    ------
    callable
        To be called when a scan is done; a text that is given is printed as a line, on a terminal or not.
    """
    if not sys.stderr.isatty():
        yield _say
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield _Counter(what, total).advance
        print(file=sys.stderr)
        return
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
    with Progress(TextColumn(what), *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, rate="")

        def advance(line: str) -> None:
            if line:
                bar.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
            bar.advance(task)
            if speed := bar.tasks[0].speed:
                bar.update(task, rate=f"{speed * SECONDS_AN_HOUR:.0f} an hour")

        yield advance


def _say(line: str) -> None:
    if line:
        complain(line)


class _Counter:
    """Counts scans on one line of a terminal, where rich is not installed."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.began = what, total, 0, time.monotonic()

    def advance(self, line: str) -> None:
        self.done += 1
        if line:
            print("\r", end="", file=sys.stderr)
            complain(line)
        seconds = (time.monotonic() - self.began) / self.done
        rate, left = SECONDS_AN_HOUR / max(seconds, 1e-3), timedelta(seconds=round(seconds * (self.total - self.done)))
        text = f"\r{self.what} {self.done}/{self.total}, {rate:.0f} an hour, {left} left "
        print(text, end="", file=sys.stderr, flush=True)


@contextmanager
def files_seen() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many files were looked at."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    yield lambda count: print(f"\rLooking for images: {count} files", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
