"""`BackgroundRun`: one piece of work on a thread of its own, followed and cancelled from the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

LEND_S = 0.02
"""How long a look from a timer lends Python to the work; the window's own events wait no longer than that."""

Progress = Callable[[str], None]
"""Called by the work with the name of each stage as it begins; raises `Canceled` when the user has cancelled."""


class Canceled(Exception):  # noqa: N818 - it is no error
    """The user cancelled; raised inside the work at its next stage or batch."""


class BackgroundRun:
    """Runs work that touches neither the scene nor Qt, while the window stays alive.

    The main thread looks at `finished`, `at`, `value` and `error` from a timer; nothing is called back. Slicer's
    main thread keeps Python's lock while it waits for events, so that a thread computes in Python only during such
    looks: each of them is to `lend` it some time.

    Parameters
    ----------
    work : callable
        Is given a `Progress` and returns the value.
    done : callable, optional
        What whoever looks at the run is to call when it has ended; the run itself does not call it.

    Attributes
    ----------
    value : Any
        What the work returned.
    error : BaseException or None
        What the work raised, except `Canceled`.
    """

    def __init__(self, work: Callable[[Progress], Any], done: Callable[[BackgroundRun], None] | None = None) -> None:
        self._at = (0, "")
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = done
        self._work = work
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="LumbarDiscGrading", daemon=True)

    def start(self) -> BackgroundRun:
        """Start the work."""
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask the work to stop at its next stage or batch; what it returns after that is not to be used."""
        self._cancel.set()

    def lend(self) -> None:
        """Let the work have Python for a moment; returns at once when it has ended."""
        self.wait(LEND_S)

    def wait(self, seconds: float) -> bool:
        """Wait until the work has ended, at most so long, and return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def at(self) -> tuple[int, str]:
        """How many stages and batches have begun, and the name of the one that runs.

        Both are of one moment. The work goes on meanwhile: who looks twice may see two stages.
        """
        return self._at

    @property
    def stage(self) -> str:
        """Name of the stage that runs at this moment; empty before the first."""
        return self._at[1]

    @property
    def canceled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancel.is_set()

    @property
    def finished(self) -> bool:
        """Whether the work has ended, in whatever way."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.value = self._work(self._progress)
        except Canceled:
            pass
        except BaseException as error:
            self.error = error

    def _progress(self, stage: str) -> None:
        if self._cancel.is_set():
            raise Canceled
        self._at = self._at[0] + 1, stage
