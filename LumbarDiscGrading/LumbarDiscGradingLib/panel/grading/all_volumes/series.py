"""`AllVolumes`: grades the loaded T2 volumes one after the other in the background and says what became of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from slicer.i18n import tr as _

from ....errors import UserError
from ....grading.result import GradingResult
from ....scene.graded_case import GradedCase, result_nodes
from ....scene.loaded_volumes import Became, LoadedVolume, LoadedVolumes
from ....scene.table_of_all import table_of_all
from ...shared.run_section import RunSection
from ..input_section import InputSection
from ..jobs import GradingJobs
from .volume_list import VolumeList

NAMED = 4
"""So many volumes are named in a sentence; the list has them all."""


class AllVolumes:
    """A series of gradings (see `run_section.Series`), and the list of its volumes.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    run : RunSection
    jobs : GradingJobs
    choices : InputSection
        Tells the models.
    graded : callable
        Called with each case that was graded.
    choose : callable
        Called with the volume node that the user chose in the list.
    ended : callable
        Called with the table of all when the last volume was graded.
    """

    def __init__(
        self,
        ui: Any,
        run: RunSection,
        jobs: GradingJobs,
        choices: InputSection,
        graded: Callable[[GradedCase], None],
        choose: Callable[[Any], None],
        ended: Callable[[Any], None],
    ) -> None:
        self._run, self._jobs, self._choices = run, jobs, choices
        self._graded, self._ended = graded, ended
        self._list = VolumeList(ui, choose)
        self._scene: Any = None
        self._loaded: LoadedVolumes | None = None
        self._listed: list[LoadedVolume] = []
        self._waiting: list[LoadedVolume] = []
        self._begun = 0

    def begin(self, scene: Any) -> None:
        """Begin to grade all volumes of a scene that are taken for sagittal T2, first the one that is looked at.

        Raises
        ------
        ModelError
            If a selected model cannot be used; nothing is begun then.
        """
        loaded = LoadedVolumes(scene, *self._choices.models)
        if loaded.waiting and not self._jobs.can_begin():
            return
        self._loaded, self._scene, self._begun = loaded, scene, 0
        chosen = self._choices.volumeNode
        self._waiting = sorted(self._loaded.waiting, key=lambda volume: volume.volumeNode is not chosen)
        self._listed = list(self._loaded.volumes)
        if self._waiting:
            self._run.run_series(self)
            self.go_on()
        else:
            self._end()

    def forget(self) -> None:
        """Let go of the volumes of a scene that goes."""
        self._loaded, self._waiting, self._listed, self._scene = None, [], [], None
        self._list.clear()

    # -- the series

    @property
    def place(self) -> tuple[int, int]:
        """Which volume is graded, counted from 1, and how many are."""
        return max(self._begun, 1), len(self._waiting)

    def go_on(self) -> None:
        """Grade the next volume, or end with the last."""
        if self._scene.IsBatchProcessing():
            return
        if self._begun and self._current.became is Became.WAITING:
            self._current.lose(_("The program failed; the error log says how."))
        if self._begun == len(self._waiting):
            self._end()
            return
        self._begun += 1
        self._loaded.look_at(self._current)
        if self._current.became is Became.WAITING:
            place, count = self.place
            text = _("Grading {place} of {count}: {name}.").format(place=place, count=count, name=self._current.name)
            try:
                self._jobs.grade(self._current.volumeNode, partial(self._done, self._current), text)
            except UserError as error:
                self._current.lose(str(error))
        self.show()

    def failed(self, why: str) -> None:
        """Take note of why a volume was not graded."""
        self._current.lose(why)
        self.show()

    def canceled(self) -> str:
        """Take note that the others are not graded, and return how many were."""
        if self._scene.IsClosing():
            return ""
        left = [volume for volume in self._waiting if volume.became is Became.WAITING]
        for volume in left:
            volume.lose(_("It was canceled."))
        self._list_urgent_first()
        text = _("{count} of {all} volumes were graded and stay so; grade all again to go on with the others.")
        graded = sum(volume.became is Became.GRADED for volume in self._waiting)
        return text.format(count=graded, all=len(self._waiting))

    @property
    def _current(self) -> LoadedVolume:
        return self._waiting[self._begun - 1]

    def _done(self, volume: LoadedVolume, result: GradingResult) -> None:
        self._graded(self._loaded.write(volume, result))

    def _end(self) -> None:
        self._run.end_series()
        table = self._loaded.write_table()
        self._run.say(self._summary())
        self._list_urgent_first()
        if table is not None:
            self._ended(table)

    # -- what is shown

    def show(self) -> None:
        """Show what became of the volumes, and which of them is chosen."""
        if self._loaded is not None:
            current = self._current if self._run.in_series and self._begun else None
            self._list.show(self._listed, current, self._choices.volumeNode)

    def _list_urgent_first(self) -> None:
        """List what is to be read first on top; that order stays while it is read and corrected."""
        self._listed.sort(key=_urgency)
        self.show()

    def look_again(self) -> None:
        """Follow what was deleted, renamed or corrected since."""
        if self._loaded is not None and not self._run.in_series:
            self._loaded.look_again()
            self.show()

    def follow(self, case: GradedCase | None) -> None:
        """Follow the case that is shown, with its corrections; one that was made since counts for its volume."""
        volume = self._loaded.of(case.volumeNode) if self._loaded is not None and case is not None else None
        if volume is not None and not self._run.in_series:
            if volume.segmentationNode is case.segmentationNode:
                volume.follow(case)
            elif result_nodes(case.volumeNode)[-1] is case.segmentationNode:
                volume.became, volume.note = Became.GRADED, ""
                volume.follow(case)
                if table_of_all(self._scene) is not None:
                    self._loaded.write_table()
        self.show()

    def _summary(self) -> str:
        """Return what is to be known when all are graded, doubts first."""
        volumes = self._loaded.volumes
        by_fate = {became: [volume for volume in volumes if volume.became is became] for became in Became}
        if not volumes:
            return _("No volume is loaded: load sagittal T2 series first.")
        if len(by_fate[Became.LEFT_OUT]) == len(volumes):
            return _("No loaded volume is taken for a sagittal T2; the list says why.")
        lines = (
            (_("Volumes graded: {count}."), by_fate[Became.GRADED]),
            (_("Graded before and left as they were: {count}."), by_fate[Became.AS_BEFORE]),
            (_("Not graded: {names}."), by_fate[Became.FAILED]),
            (_("With warnings: {names}."), [volume for volume in volumes if volume.doubts]),
            (
                _("Discs of low confidence, without a warning: {names}."),
                [volume for volume in volumes if volume.unsure and not volume.doubts],
            ),
            (_("Left out: {count}, the list says why."), by_fate[Became.LEFT_OUT]),
        )
        said = [text.format(count=len(found), names=_some_of(found)) for text, found in lines if found]
        return " ".join(said)


def _urgency(volume: LoadedVolume) -> int:
    """Return how soon a volume is to be looked at; the smaller, the sooner."""
    ranks = (
        volume.became is Became.FAILED,
        volume.questioned,
        bool(volume.doubts),
        bool(volume.unsure),
        volume.became is not Became.LEFT_OUT,
    )
    return ranks.index(True) if True in ranks else len(ranks)


def _some_of(volumes: list[LoadedVolume]) -> str:
    names = [volume.name for volume in volumes]
    text = ", ".join(names[:NAMED])
    return text if len(names) <= NAMED else _("{names} and {count} more").format(names=text, count=len(names) - NAMED)
