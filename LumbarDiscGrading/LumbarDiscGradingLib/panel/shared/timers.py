"""Timers that call back; they are made stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


def once_after(ms: int, call: Callable[[], Any]) -> Any:
    """Return a QTimer that calls once, so long after it was started last."""
    timer = every(ms, call)
    timer.setSingleShot(True)
    return timer


def every(ms: int, call: Callable[[], Any]) -> Any:
    """Return a QTimer that calls at this interval while it runs."""
    timer = qt.QTimer()
    timer.setInterval(ms)
    timer.connect("timeout()", call)
    return timer
