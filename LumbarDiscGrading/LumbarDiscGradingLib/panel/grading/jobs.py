"""`GradingJobs`: what the mode *Grade Discs* computes in the background, and the installation before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ...grading.device import available_devices
from ...grading.result import DiscGrade, GradingResult
from ...scene.graded_case import GradedCase
from ...scene.sample import sample_volume
from ...scene.volumes import copy_of_node
from ..shared.background_run import Progress
from ..shared.dependencies import installed
from ..shared.refusals import refusals_told
from ..shared.run_section import RunSection
from ..shared.timers import once_after
from .input_section import InputSection

if TYPE_CHECKING:
    from ...grading.disc_search import FoundDisc
    from ...grading.evidence import EvidenceMap
    from ...grading.grader import DiscGrader
    from ...imaging.volume import SagittalVolume

WARM_UP_DELAY_MS = 600
"""The networks are loaded when the user has looked at a selected volume for so long."""


class GradingJobs:
    """Starts jobs on copies of what the scene holds; `done` is given what came of one, on the main thread.

    Parameters
    ----------
    run : RunSection
        Runs one at a time.
    choices : InputSection
        Tells slice, device and models.
    logic : LumbarDiscGradingLogic
        Gives the graders and the installation of what is missing.

    Attributes
    ----------
    warm : bool
        Whether the networks are loaded, or are being loaded.
    """

    def __init__(self, run: RunSection, choices: InputSection, logic: Any) -> None:
        self._run, self._choices, self._logic = run, choices, logic
        self.warm = self._installing = False
        self._warm_up_timer = once_after(WARM_UP_DELAY_MS, self._warm_up)

    def can_begin(self) -> bool:
        """Install what is missing and return whether a job can begin now.

        The window lives meanwhile: what is clicked waits for the end, and who asked looks again at what it is about.
        """
        self.stay_cold()
        if self._installing:
            self._run.say(_("Wait until the installation has ended."))
            return False
        self._installing = True
        try:
            with refusals_told(self._run.say):
                self._logic.ensureDependencies()
                return not self._run.running
        finally:
            self._installing = False
        return False

    def grade(self, volumeNode: Any, done: Callable[[GradingResult], None], text: str = "") -> None:
        """Grade a volume, the selected one on the slice that the user chose.

        Parameters
        ----------
        text : str
            What is told meanwhile, if not that it is graded.

        Raises
        ------
        ImagingError
            If the node holds nothing that can be graded; nothing is begun then.
        """
        voxels, is_selected = copy_of_node(volumeNode), volumeNode is self._choices.volumeNode
        slice_index = self._choices.slice_index if is_selected else None
        graders, device, models = self._logic.graders, self._choices.device, self._choices.models

        def work(progress: Progress) -> GradingResult:
            progress("prepare")
            volume = voxels.sagittal_volume()
            progress("load the networks")
            return graders.run(lambda grader: grader.grade(volume, slice_index, progress), device, *models)

        text = text or _("Grading {name}.").format(name=volumeNode.GetName())
        self._run.run(work, done, volumeNode, text)

    def grade_masks(
        self,
        case: GradedCase,
        masks: dict[str, Any],
        slices: dict[str, int],
        done: Callable[[tuple[DiscGrade, ...]], None],
    ) -> None:
        """Grade masks of a case by level, in their order, each on its slice."""
        result, graders, device, models = case.result, self._logic.graders, self._choices.device, self._choices.models

        def work(progress: Progress) -> tuple[DiscGrade, ...]:
            progress("load the networks")
            return graders.run(
                lambda grader: _regraded(grader, result.volume, masks, slices, progress), device, *models
            )

        text = _("Grading {levels} again with the mask as it is drawn.").format(levels=", ".join(masks))
        self._run.run(work, done, case.volumeNode, text)

    def find_disc(self, case: GradedCase, level: str, done: Callable[[FoundDisc | None], None]) -> None:
        """Look again for a level that was not found, on the neighbouring slices too."""
        result, graders, device, models = case.result, self._logic.graders, self._choices.device, self._choices.models

        def work(progress: Progress) -> FoundDisc | None:
            progress("load the networks")
            return graders.run(lambda grader: grader.find_disc(result, level, progress), device, *models)

        self._run.run(work, done, case.volumeNode, _("Looking for {level} again.").format(level=level))

    def use_slice(
        self, case: GradedCase, level: str, slice_index: int, done: Callable[[FoundDisc | None], None]
    ) -> None:
        """Grade a disc on the slice that the reader wants for it."""
        result, graders, device, models = case.result, self._logic.graders, self._choices.device, self._choices.models

        def work(progress: Progress) -> FoundDisc | None:
            progress("load the networks")
            return graders.run(
                lambda grader: grader.disc_on_slice(result, level, slice_index, progress), device, *models
            )

        text = _("Grading {level} on slice {slice}.")
        number = result.volume.stored_slice_index(slice_index)
        self._run.run(work, done, case.volumeNode, text.format(level=level, slice=number))

    def find_evidence(self, case: GradedCase, done: Callable[[EvidenceMap], None]) -> None:
        """Compute where the network looked on the discs of a case."""
        result, graders, device, models = case.result, self._logic.graders, self._choices.device, self._choices.models

        def work(progress: Progress) -> EvidenceMap:
            progress("load the networks")
            return graders.run(lambda grader: grader.evidence(result, progress=progress), device, *models)

        failure = _("The evidence could not be computed ({reason}); try the CPU.")
        self._run.run(work, done, case.volumeNode, _("Looking for the evidence."), failure)

    def make_sample(self, done: Callable[[SagittalVolume], None]) -> None:
        """Make the sample."""

        def work(progress: Progress) -> SagittalVolume:
            progress("make the sample")
            return sample_volume()

        self.stay_cold()
        self._run.run(work, done)

    # -- before the first job

    def warm_up_soon(self) -> None:
        """Load torch and the networks in the background while the user looks at the volume."""
        if not self.warm:
            self._warm_up_timer.start()

    def stay_cold(self) -> None:
        """Load nothing before it is asked for."""
        self._warm_up_timer.stop()

    def _warm_up(self) -> None:
        if self.warm or self._installing or self._run.running or self._choices.volumeNode is None or not installed():
            return
        self.warm = True
        device, models, graders = self._choices.device, self._choices.models, self._logic.graders

        def work(progress: Progress) -> tuple[tuple[str, str], ...]:
            progress("load the networks")
            graders.grader(device, *models)
            return available_devices()

        self._run.run_silently(work, self._choices.show_devices)


def _regraded(
    grader: DiscGrader, volume: SagittalVolume, masks: dict[str, Any], slices: dict[str, int], progress: Progress
) -> tuple[DiscGrade, ...]:
    """Grade masks slice by slice; the discs come in the order of the masks."""
    graded: dict[str, DiscGrade] = {}
    for index in dict.fromkeys(slices[level] for level in masks):
        of_slice = {level: mask for level, mask in masks.items() if slices[level] == index}
        graded |= zip(of_slice, grader.regrade(volume, index, of_slice, progress), strict=True)
    return tuple(graded[level] for level in masks)
