"""How far a command has got, shown on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..progress import ListProgress


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
