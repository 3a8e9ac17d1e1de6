"""How work on a study runs on the command line: what goes wrong in one line, how far it is on a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..annotation.errors import StudyError
from .complaint import complain


def guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn what goes wrong in a study into a line on standard error."""

    def run_guarded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except (StudyError, OSError) as error:
            return complain(str(error))

    return run_guarded


def with_progress(what: str) -> Callable[[Sequence[Any]], Iterable[Any]]:
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
