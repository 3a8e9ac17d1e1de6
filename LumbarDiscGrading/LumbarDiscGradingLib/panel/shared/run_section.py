"""The section Run: *Grade Discs* becomes *Cancel*, progress by stage, the window alive throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from slicer.i18n import tr as _

from ...errors import UserError
from .background_run import BackgroundRun, Progress
from .refusals import refusals_told
from .timers import every

POLL_MS = 5
"""Between two looks at the work the window handles its own events."""
END_WAIT_S = 10.0
"""How long the panel's end waits for a cancelled run; it stops at its next batch, about a second on two cores."""

STAGE_PERCENT = {"prepare": 2, "load the networks": 8, "segment": 20, "find discs": 70, "grade": 80, "measure": 95}
BATCH_PERCENT = 12
"""A stage that goes on in batches moves the bar by so much for each."""


class Series(Protocol):
    """Pieces of work that run one after the other."""

    @property
    def place(self) -> tuple[int, int]:
        """The piece that runs, counted from 1, and how many there are."""

    def go_on(self) -> None:
        """Run the next piece, or end the series; called when none runs."""

    def failed(self, why: str) -> None:
        """Take note of the piece that failed; the series goes on."""

    def canceled(self) -> str:
        """Take note that no more pieces run, and return what is to be told of those that did."""


class RunSection:
    """Runs one piece of work at a time in the background and shows how far it is.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    start : callable
        Called when the user clicks *Grade Discs*.
    changed : callable
        Called when work that the user sees has begun, ended or been canceled.

    Attributes
    ----------
    about : Any
        Node that the work is about which goes on, None where it is about none or none goes on.
    """

    def __init__(self, ui: Any, start: Callable[[], None], changed: Callable[[], None]) -> None:
        self.ui, self._start, self._changed = ui, start, changed
        self.about: Any = None
        self._failure = ""
        self._run: BackgroundRun | None = None
        self._series: Series | None = None
        self._silent: list[BackgroundRun] = []
        self._seen, self._percent = (0, ""), 0
        self._possible, self._hint = False, ""
        self._timer = every(POLL_MS, self.poll)
        ui.gradeDiscsButton.connect("clicked()", self.click)

    @property
    def running(self) -> bool:
        """Whether work goes on that the user sees."""
        return self._run is not None or self._series is not None

    @property
    def in_series(self) -> bool:
        """Whether pieces of a series run, one after the other."""
        return self._series is not None

    @property
    def idle(self) -> bool:
        """Whether no thread works any more, not even one that was cancelled or that the user does not see."""
        return not self.running and not self._silent

    def run(
        self,
        work: Callable[[Progress], Any],
        done: Callable[[Any], None],
        about: Any = None,
        text: str = "",
        failure: str = "",
    ) -> None:
        """Start work; `done` is given its value on the main thread when it has ended well and was not canceled.

        What else came of it, or `done` refuses, is told under the button.

        Parameters
        ----------
        about : Any
            Node that the work is about.
        text : str
            What is told now.
        failure : str
            What is told of a fault of the program, with a place for the ``reason``.
        """
        self._seen, self._percent = (0, ""), 0
        self._run = BackgroundRun(work, done).start()
        self.about = about
        self._failure = failure or _("The discs could not be graded ({reason}); try the CPU.")
        self._timer.start()
        self._show()
        self._changed()
        if text:
            self.say(text)

    def run_series(self, series: Series) -> None:
        """Run pieces of work one after the other; each is started by the series with `run`, until `end_series`."""
        self._series = series
        self._timer.start()
        self._show()
        self._changed()

    def end_series(self) -> None:
        """End the series whose last piece has run."""
        self._series = None
        self._end()

    def run_silently(self, work: Callable[[Progress], Any], done: Callable[[Any], None]) -> None:
        """Start work that the user need not see; of what goes wrong nothing is told."""
        self._silent.append(BackgroundRun(work, done).start())
        self._timer.start()

    def cancel(self, why: str) -> None:
        """Give the work up at once and say why; what it still computes is thrown away. A series ends with it."""
        if not self.running:
            return
        self._throw_away()
        series, self._series = self._series, None
        self._end()
        self.say(f"{why} {series.canceled()}".rstrip() if series is not None else why)

    def cancel_piece(self, why: str) -> None:
        """Give the work up as `cancel` does; a series goes on with its next piece."""
        if self._series is None:
            self.cancel(why)
        elif self._run is not None:
            self._throw_away()
            self._series.failed(why)

    def _throw_away(self) -> None:
        if self._run is not None:
            self._run.cancel()
            self._silent.append(self._run)
        self._run = self.about = None

    def close(self) -> None:
        """Cancel everything and wait until no thread works any more."""
        self._timer.stop()
        runs = [*self._silent, *([self._run] if self._run else [])]
        self._run = self._series = self.about = None
        self._silent = []
        for run in runs:
            run.cancel()
        for run in runs:
            run.wait(END_WAIT_S)

    def allow(self, possible: bool, hint: str) -> None:
        """Say whether *Grade Discs* can be clicked, and why or why not."""
        self._possible, self._hint = possible, hint
        self._show()

    def say(self, text: str) -> None:
        """Tell the user something under the button."""
        self.ui.statusLabel.text = text

    def poll(self) -> None:
        """Look at the work, lend it some time and tell whoever waits for it; called by a timer."""
        for run in [*([self._run] if self._run else []), *self._silent][:1]:
            run.lend()
        for run in [run for run in self._silent if run.finished]:
            self._silent.remove(run)
            if not run.canceled and run.error is None:
                run.done(run.value)
        run = self._run
        if run is not None and run.finished:
            self._run = self.about = None
            if self._series is None:
                self._end()
            tell = self._series.failed if self._series is not None else self.say
            if run.error is not None:
                tell(_in_one_sentence(run.error, self._failure))
            else:
                with refusals_told(tell):
                    run.done(run.value)
        elif run is not None:
            self._show_progress()
        elif self._series is not None:
            self._series.go_on()
        if self.idle:
            self._timer.stop()

    # -- what happens

    def click(self) -> None:
        """Do what the button does now: start, or cancel."""
        if self.running:
            self.cancel(_("Canceled.") if self._series is not None else _("Canceled; nothing was changed."))
        else:
            self._start()

    def _end(self) -> None:
        self._run = self.about = None
        self._show()
        self._changed()

    def _show(self) -> None:
        button = self.ui.gradeDiscsButton
        button.text = _("Cancel") if self.running else _("Grade Discs")
        button.enabled = self.running or self._possible
        stop = _("Stop; the scene stays as it was.")
        if self._series is not None:
            stop = _("Stop; volumes that are graded already stay so.")
        button.toolTip = stop if self.running else self._hint
        self.ui.progressBar.visible = self.running
        if self.running:
            self._show_progress()

    def _show_progress(self) -> None:
        steps, stage = (
            self._run.at if self._run is not None else (0, "")
        )  # looked at once: the work may go on to another stage at any moment
        if (steps, stage) != self._seen:
            again = stage == self._seen[1]
            start = STAGE_PERCENT.get(stage, 0)
            self._percent = min(self._percent + BATCH_PERCENT, 68) if again else max(start, self._percent)
            self._seen = steps, stage
        words = f"{_in_words(stage)} (%p%)" if stage else "%p%"
        if self._series is not None:
            place, count = self._series.place
            self.ui.progressBar.value = round((100 * (place - 1) + self._percent) / count)
            self.ui.progressBar.format = _("{place} of {count}: {stage}").format(place=place, count=count, stage=words)
        else:
            self.ui.progressBar.value = self._percent
            self.ui.progressBar.format = words


def _in_one_sentence(error: BaseException, failure: str) -> str:
    """Return what went wrong: known errors carry their sentence, others name themselves."""
    if isinstance(error, UserError):
        return str(error)
    return failure.format(reason=(str(error).splitlines() or [type(error).__name__])[0])


def _in_words(stage: str) -> str:
    """Return what a stage does, for the user; the name of a stage that is not known here stands for itself."""
    words = {
        "prepare": _("Preparing the image"),
        "make the sample": _("Making the sample"),
        "load the networks": _("Loading the networks"),
        "segment": _("Outlining the discs"),
        "find discs": _("Finding the levels"),
        "grade": _("Grading the discs"),
        "measure": _("Measuring the discs"),
        "evidence": _("Finding the evidence"),
    }
    return words.get(stage, stage)
