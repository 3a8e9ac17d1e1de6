"""Who reads which case in which order: seeded, the same on every machine, and stable when cases are added."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from ..protocol import READING_ROLE, Protocol, Task

REPEAT_GAP = 0.3
"""A repeat comes after at least this part of what remained in the order behind the first reading."""


def draw(*parts: object) -> float:
    """Return a number from 0 to 1 that depends on nothing but `parts`."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def assigned_readers(protocol: Protocol, task: Task, case: str, begun: Collection[str] = ()) -> tuple[str, ...]:
    """Return the readers of a case, in the order of the protocol.

    Parameters
    ----------
    begun : collection of str
        Readers who have begun to read the case; they keep it when the protocol gets more readers.
    """
    candidates = [reader.id for reader in protocol.with_role(READING_ROLE[task])]
    ranked = sorted(
        candidates, key=lambda reader: (reader not in begun, draw(protocol.order_seed, task.value, case, reader))
    )
    chosen = set(ranked[: protocol.readings_of(task)])
    return tuple(reader for reader in candidates if reader in chosen)


def is_repeated(protocol: Protocol, task: Task, case: str, reader: str) -> bool:
    """Whether a reader gets a case a second time."""
    return draw(protocol.order_seed, "repeat", task.value, case, reader) < protocol.repeat_share


def place_in_order(protocol: Protocol, reader: str, case: str, round_number: int) -> float:
    """Return where a case stands in a reader's own order, 0 to 1; a repeat stands well behind the first reading."""
    first = draw(protocol.order_seed, "order", reader, case)
    if round_number == 1:
        return first
    behind = REPEAT_GAP + (1 - REPEAT_GAP) * draw(protocol.order_seed, "repeat order", reader, case)
    return first + (1 - first) * behind
