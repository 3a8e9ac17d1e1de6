"""Masks from the segmentation model to start from, where the protocol of a study allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
from numpy.typing import NDArray
from slicer.i18n import tr as _

from ....imaging.volume import SagittalVolume
from ...parameters import preferred_device
from ...shared.background_run import BackgroundRun, Progress
from ...shared.dependencies import DependencyError
from ...shared.run_section import END_WAIT_S, POLL_MS


class Prefill:
    """Runs the model in the background; grades that it gives are thrown away unseen.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
    done : callable
        Called with the masks (canonical order) and the hash of the model.
    say : callable
        Tells the reader a sentence.
    """

    def __init__(
        self, ui: Any, logic: Any, done: Callable[[NDArray[np.uint8], str], None], say: Callable[[str], None]
    ) -> None:
        self.ui, self._logic, self._done, self._say = ui, logic, done, say
        self._run: BackgroundRun | None = None
        self._old: list[BackgroundRun] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def running(self) -> bool:
        """Whether the model runs."""
        return self._run is not None

    def start(self, volume: SagittalVolume, slice_index: int) -> None:
        """Find the discs on a slice (canonical index)."""
        if self.running:
            return
        try:
            self._logic.ensureDependencies()
        except DependencyError as error:
            self._say(str(error))
            return
        graders, device = self._logic.graders, preferred_device()

        def work(progress: Progress) -> Any:
            progress("load the networks")
            return graders.run(lambda grader: grader.grade(volume, slice_index, progress), device)

        self._run = BackgroundRun(work).start()
        self._timer.start()
        self._say(_("The model draws the first masks; check each of them."))
        self._show()

    def cancel(self) -> None:
        """Give the run up; what it still computes is thrown away."""
        if self._run is not None:
            self._run.cancel()
            self._old.append(self._run)
            self._run = None
            self._timer.stop()
            self._show()

    def close(self) -> None:
        """Give the run up and wait until no thread works any more."""
        self.cancel()
        for run in self._old:
            run.wait(END_WAIT_S)
        self._old = []

    def _poll(self) -> None:
        run = self._run
        if run is None:
            return
        run.lend()
        if not run.finished:
            return
        self._run = None
        self._timer.stop()
        self._show()
        if run.error is not None or run.value is None:
            self._failed(run.error)
            return
        result = run.value
        masks = result.labels_in_volume()
        model = next((model.sha256 for model in result.models if model.task == "segmentation"), "")
        self._say("")
        self._done(masks, model)

    def _failed(self, error: BaseException | None) -> None:
        if isinstance(error, ValueError):
            self._say(str(error))
        else:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self._say(_("The masks could not be pre-filled ({reason}); draw them.").format(reason=reason))

    def _show(self) -> None:
        self.ui.prefillProgressBar.visible = self.running
        self.ui.prefillButton.enabled = not self.running
