"""`ReadingClock`: how long a reader looked at a case before each thing that was said of it."""

from __future__ import annotations

import time

AWAY_SECONDS = 120.0
"""A pause longer than this is no reading time; no more than this is counted of it."""


class ReadingClock:
    """Measures reading time between a reader's actions, from the moment it is made."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Return the seconds of reading since the last call."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return min(seconds, AWAY_SECONDS)
