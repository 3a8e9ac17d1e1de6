"""How far a list has got: what works through a list takes a wrapper that yields its items and shows them go by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

ListProgress = Callable[[Sequence[Any]], Iterable[Any]]
"""Wraps a sequence and yields it unchanged, showing how far it has got."""


def unwatched(items: Sequence[Any]) -> Iterable[Any]:
    """Show nothing."""
    return items
