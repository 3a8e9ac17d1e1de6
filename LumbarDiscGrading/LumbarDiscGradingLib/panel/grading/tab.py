"""`GradingPanel`: the mode *Grade Discs* - what its sections have to do with each other and with the scene."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...grading.corrections import DiscAdded, MaskEdited
from ...grading.plausibility import mask_question
from ...grading.result import DiscGrade, GradingResult
from ...scene.evidence import remove_orphans
from ...scene.graded_case import Fit, GradedCase, graded_cases, result_nodes, unreadable_cases
from ...scene.sample import load_sample
from ...scene.show import fit_spine, fit_views, showGradedSlice
from ...scene.shown_volume import ShownVolume, hide_until_shown, keep_visible, show_foreign_again, visible_discs
from ...scene.viewed_slice import center_views, show_slice, viewed_slice
from ...scene.volumes import EVIDENCE_ATTRIBUTE
from ..parameters import Parameters
from ..shared.criteria_section import CriteriaSection
from ..shared.refusals import refusals_told
from ..shared.run_section import RunSection
from ..shared.timers import every, once_after
from ..shared.view_note import ViewNote
from ..shared.wrapped_labels import WrappedLabels
from .all_volumes.menu import AllVolumesMenu
from .all_volumes.series import AllVolumes
from .arrivals import Arrivals
from .correct_section import CorrectSection
from .evidence_section import EvidenceSection
from .input_section import InputSection
from .jobs import GradingJobs
from .keys import Keys
from .layout_section import LayoutSection
from .notices_section import CaseState, NoticesSection
from .on_image import OnImage
from .result_section import ResultSection
from .save_section import SaveSection

if TYPE_CHECKING:
    from ...grading.disc_search import FoundDisc
    from ...grading.evidence import EvidenceMap
    from ...imaging.volume import SagittalVolume

FIRST = 10.0
"""Priority of an observer that is to be called before Slicer's own."""
FIT_MS = 100
"""After the layout has changed, until the views have their new sizes."""
LOOK_MS = 250
"""What is shown and what became of it are compared at this interval: other modules tell nobody what they do."""


class GradingPanel(VTKObservationMixin):
    """Controls the widgets of the panel.

    While it is open one volume is chosen, that one is in the slice views, its result is in the table, and only its
    discs are drawn (`look` sees to it).

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    logic : LumbarDiscGradingLogic
        Gives the parameters, the graders and the installation of what is missing.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        super().__init__()
        self.ui, self.logic = ui, logic
        self.case: GradedCase | None = None
        self.state = CaseState()
        self.entered = False
        self._acted = False
        self._drawn: GradedCase | None = None
        self._asked: dict[str, bytes] = {}
        self._folded_for: GradedCase | None = None
        self._visible: dict[Any, tuple[str, ...]] = {}
        self.run = RunSection(ui, self.grade, self._run_changed)
        self.input = InputSection(ui, self._input_chosen, lambda: logic.graders.forget())
        self.jobs = GradingJobs(self.run, self.input, logic)
        self.all = AllVolumes(
            ui, self.run, self.jobs, self.input, self._graded_one_of_all, self._choose_volume, self._all_graded
        )
        self.result = ResultSection(ui, self._disc_selected, self._result_chosen)
        self.notices = NoticesSection(ui, self.grade, self._regrade_drawn, self._take_masks_back, self._take_disc)
        self.evidence = EvidenceSection(ui, self.compute_evidence)
        self.correct = CorrectSection(ui, self._corrected, self.regrade, self._add_drawn, self.find, self.use_slice)
        self.save = SaveSection(ui, self.correct.finish_first)
        self.criteria = CriteriaSection(ui, self.load_sample)
        self.views = ShownVolume(slicer.mrmlScene, self._views_changed)
        self.note = ViewNote()
        self.on_image = OnImage(self._back_to_slice)
        self.layout = LayoutSection(ui, slicer.mrmlScene, self._layout_changed)
        self.menu = AllVolumesMenu(ui, self.grade_all, self.layout)
        self._labels = WrappedLabels(
            *(ui.inputDoubtsLabel, ui.statusLabel, ui.resultWarningsLabel),
            *(ui.summaryLabel, ui.selectedDiscLabel, ui.changesLabel, ui.researchUseLabel),
        )
        self.keys = Keys(ui, self.run, self.result, self.save, lambda: self.correct.editing)
        self._look_soon = once_after(0, self.look)
        self._fit_soon = once_after(FIT_MS, self._fit)
        self._look_timer = every(LOOK_MS, self.look)
        self.arrivals = Arrivals(self._pick_volume)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.EndCloseEvent, self._scene_loaded)
        self.addObserver(scene, scene.StartImportEvent, self._scene_loads)
        self.addObserver(scene, scene.EndImportEvent, self._scene_loaded)
        self.addObserver(scene, scene.NodeAddedEvent, self._node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._node_goes, priority=FIRST)
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)

    # -- the panel's life

    def enter(self) -> None:
        """Take up the scene when the user opens the module."""
        self.entered = True
        self._acted = self.result.touched = False
        self.views.take()
        self._follow_scene()
        self.result.watch_views()
        self._look_timer.start()
        if self.arrivals.nodes:
            self._begin_to_pick()
        self._show_large()
        self.look()

    def exit(self) -> None:
        """Leave views and keys to the module that the user goes to, as he had them; a run goes on."""
        if not self.entered:
            return
        self.entered = False
        self._look_timer.stop()
        self._look_soon.stop()
        self.jobs.stay_cold()
        self.arrivals.end()
        self.correct.stop_editing()
        self.result.leave_views()
        self.note.clear()
        self.on_image.clear()
        self._fit_soon.stop()
        self.layout.leave()
        chosen_here = self._acted or self.result.touched or not self.input.may_pick
        self.views.give_back(keep_volume=chosen_here)

    def close(self) -> None:
        """End with the panel (reload, quit): afterwards no thread works and nothing is observed."""
        self.exit()
        self.removeObservers()
        self.views.forget()
        self._labels.release()
        self.run.close()
        self.save.close()
        self.correct.close()
        self.keys.close()
        self.case = None
        self.result.case = self.save.case = self.evidence.case = None
        self.input.parameters = None

    # -- runs

    def grade(self) -> None:
        """Grade the selected volume in the background."""
        volumeNode = self.input.volumeNode
        if self.run.running or volumeNode is None or self.correct.finish_first():
            return
        self.correct.stop_editing()
        self._acted = True
        if self.jobs.can_begin() and self.input.volumeNode is volumeNode and self._slice_is_still_chosen():
            self.input.accept_automatic()
            with refusals_told(self.run.say):
                self.jobs.grade(volumeNode, partial(self._graded, volumeNode))

    def _slice_is_still_chosen(self) -> bool:
        """Follow a volume that was moved, and say so where its chosen slice cannot be graded any more."""
        chosen = self.input.parameters.sliceIndex
        if self.input.follow_volume():
            self._input_changed()
        if self.input.parameters.sliceIndex == chosen:
            return True
        self.run.say(self.input.let_go)
        return False

    def grade_all(self) -> None:
        """Grade all volumes of the scene that are taken for sagittal T2, one after the other in the background."""
        if self.run.running or self.input.parameters is None or self.correct.finish_first():
            return
        self.correct.stop_editing()
        self._acted = True
        if self._slice_is_still_chosen():
            self.input.accept_automatic()
            with refusals_told(self.run.say):
                self.all.begin(slicer.mrmlScene)

    def _graded_one_of_all(self, case: GradedCase) -> None:
        if case.volumeNode is self.input.volumeNode:
            self._show_graded(case)
        self.jobs.warm = True

    def _all_graded(self, table: Any) -> None:
        if self.entered:
            self.menu.show_table(table)

    def _choose_volume(self, volumeNode: Any) -> None:
        """Choose a volume of the list, also while others are graded."""
        free = self.run.in_series or not self.run.running
        if free and not self.correct.finish_first() and self.input.choose(volumeNode):
            self._acted = True
            self._input_chosen()
            self.ui.resultTable.setFocus()  # the keys are those of its discs
        else:
            self.all.show()

    def regrade(self, case: GradedCase, levels: tuple[str, ...]) -> bool:
        """Grade some discs again with their masks as they are drawn in the scene; return whether that has begun."""
        if self.run.running or not case.is_alive():
            return False
        masks = {level: case.drawn_mask(level) for level in levels}
        return self._grade_masks(case, masks, {level: case.drawn_slice(level) for level in levels}, MaskEdited)

    def find(self, level: str) -> None:
        """Look again for a level that was not found, and take what is seen best for that disc."""
        case = self.case
        if self.run.running or case is None or not case.is_alive() or case.fit() is Fit.CHANGED:
            return
        if self.jobs.can_begin() and self.case is case and case.is_alive():
            self.jobs.find_disc(case, level, partial(self._found, case, level))

    def use_slice(self, level: str) -> None:
        """Grade the selected disc on the slice that is shown in the sagittal view."""
        case = self.case
        if self.run.running or case is None or not case.is_alive() or case.fit() is Fit.CHANGED:
            return
        index, disc = viewed_slice(case.volumeNode), case.result.disc(level)
        if index is None or disc is None or index == case.result.slice_of(disc):
            self.run.say(_("Go to the slice that is to be used for {level} first.").format(level=level))
            return
        if self.jobs.can_begin() and self.case is case and case.is_alive():
            self.jobs.use_slice(case, level, index, partial(self._seen_on_slice, case, level))

    def _seen_on_slice(self, case: GradedCase, level: str, found: FoundDisc | None) -> None:
        if not case.is_alive():
            return
        if found is None:
            self.run.say(_("That slice does not show {level}; nothing was changed.").format(level=level))
            return
        with refusals_told(self.run.say):
            case.correct(MaskEdited(found.disc, found.mask, found.slice_index))
            if self.case is case:
                self._show_case(case, level)
            number = case.result.volume.stored_slice_index(found.slice_index)
            text = _("{level} was graded on slice {slice}; Undo takes it back.")
            self.run.say(text.format(level=level, slice=number))

    def _found(self, case: GradedCase, level: str, found: FoundDisc | None) -> None:
        if not case.is_alive():
            return
        if found is None:
            text = _("{level} is not seen on the slices near the graded one either; draw it if you see it.")
            self.run.say(text.format(level=level))
            return
        with refusals_told(self.run.say):
            case.correct(DiscAdded(found.disc, found.mask, found.slice_index))
            case.end_sketch(level)
            if self.case is case:
                self._show_case(case, level)
            number = case.result.volume.stored_slice_index(found.slice_index)
            text = _("{level} was found on slice {slice}; Undo takes it out again.")
            self.run.say(text.format(level=level, slice=number))

    def _add_drawn(self, case: GradedCase, level: str, segment_id: str) -> bool:
        """Grade a missing disc that was drawn; what cannot be graded now stays drawn and is offered."""
        slices = {level: case.foreign_slice(segment_id)}
        return self._grade_masks(case, {level: case.foreign_mask(segment_id)}, slices, DiscAdded)

    def _grade_masks(self, case: GradedCase, masks: dict[str, Any], slices: dict[str, int], correction: Any) -> bool:
        """Grade masks and correct the case by them; return whether that has begun."""
        empty = [level for level, mask in masks.items() if not mask.any()]
        if empty:
            text = _("The mask of {levels} is empty on the graded slice: draw it there, or mark it not assessable.")
            self.run.say(text.format(levels=", ".join(empty)))
            return False
        again = _("Take it as that disc") if correction is DiscAdded else _("Re-grade it once more")
        if case.fit() is Fit.CHANGED or not self._is_sure_of(case, masks, again):
            return False
        if not self.jobs.can_begin() or self.case is not case or not case.is_alive():
            return False

        def done(discs: tuple[DiscGrade, ...]) -> None:
            if not case.is_alive():
                return
            with refusals_told(self.run.say):
                for disc, mask in zip(discs, masks.values(), strict=True):
                    case.correct(correction(disc, mask))
                case.end_sketch(*masks)
                self.run.say("")
            if self.case is case:
                self._show_case(case)

        self.jobs.grade_masks(case, masks, slices, done)
        self._drawn = case
        return True

    def _is_sure_of(self, case: GradedCase, masks: dict[str, Any], again: str) -> bool:
        """Ask once about a mask that is hardly that of a disc; what is asked for again is done."""
        spacing = case.result.volume.spacing_mm[1:]
        questions = []
        for level, mask in masks.items():
            question = mask_question(level, mask, spacing)
            if question and self._asked.get(level) != mask.tobytes():
                self._asked[level] = mask.tobytes()
                questions.append(question)
        if questions:
            self.run.say(" ".join([*questions, _("{again} to grade it as it is.").format(again=again)]))
        return not questions

    def _regrade_drawn(self) -> None:
        """Grade what was drawn, here or elsewhere."""
        if self.correct.editing:
            self.correct.stop_editing()
        elif self.state.drawn:
            self.regrade(self.case, self.state.drawn)

    def _take_masks_back(self) -> None:
        if self.case is not None and not self.run.running:
            self.correct.take_masks_back()

    def _take_disc(self) -> None:
        """Take somebody's segment that is named by a missing level for that disc."""
        case = self.case
        if case is None or not case.is_alive() or self.run.running or self.correct.finish_first():
            return
        offered = case.offered_discs()
        masks = {level: case.foreign_mask(name) for level, name in offered.items()}
        slices = {level: case.foreign_slice(name) for level, name in offered.items()}
        self._grade_masks(case, masks, slices, DiscAdded)

    def compute_evidence(self, case: GradedCase) -> bool:
        """Compute in the background where the network looked; return whether that has begun."""
        if self.run.running or not self.jobs.can_begin() or not case.is_alive():
            return False

        def done(evidence: EvidenceMap) -> None:
            if case.is_alive():
                self.evidence.computed(case, evidence)
                self.run.say("")
                self._show_selected()

        self.jobs.find_evidence(case, done)
        return True

    def load_sample(self) -> None:
        """Make the sample in the background and select it."""
        if not self.run.running:
            self.jobs.make_sample(self._sample_made)

    def _sample_made(self, volume: SagittalVolume) -> None:
        if self.input.parameters is None:
            return
        self.input.parameters.inputVolume = load_sample(slicer.mrmlScene, volume)
        self.input.parameters.sliceIndex = None
        self.input.update()
        self._input_changed()
        self.run.say(_("The sample is loaded."))

    def _run_changed(self) -> None:
        self.input.set_enabled(not self.run.running)
        self.menu.allow(not self.run.running)
        if not self.run.running:
            self._drawn = None
            self._look_soon.start()
        self._show_selected()

    def _graded(self, volumeNode: Any, result: GradingResult) -> None:
        if volumeNode.GetScene() is None:
            return
        former = self.case if self.case is not None and self.case.volumeNode is volumeNode else None
        if former is not None and former.fit() is Fit.CHANGED:  # its masks are of the image before, drawn ones as well
            kept = former if former.corrections or former.segments_were_touched() else None
        else:
            kept = former if former is not None and former.corrections else None  # a reader's work stays
        case = GradedCase.write_new(volumeNode, result, None if kept else former)
        if kept is not None:
            hide_until_shown(kept.segmentationNode)
        self._show_graded(case)
        self.run.say(
            _("The corrected result of before is kept as {name}.").format(name=kept.segmentationNode.GetName())
            if kept is not None
            else ""
        )

    def _show_graded(self, case: GradedCase) -> None:
        """Show a case that was just graded of the selected volume."""
        self.jobs.warm = True
        self.arrivals.end()  # what was loaded before is chosen from; what comes now is the next
        if self.input.parameters is not None:
            self.input.parameters.segmentation = case.segmentationNode
        if self.entered:
            self._show_discs(case)
            self._show_large()
            showGradedSlice(case.result, case.volumeNode)
        else:  # the views are those of another module
            hide_until_shown(case.segmentationNode)
        self._show_case(case)
        focus = qt.QApplication.focusWidget()
        if self.entered and focus is not None and self.ui.gradingPage.isAncestorOf(focus):
            self.ui.resultTable.setFocus()  # whose keys go on from here

    @staticmethod
    def _show_discs(case: GradedCase) -> None:
        """Show discs that were just graded, even if those of before were hidden."""
        case.segmentationNode.CreateDefaultDisplayNodes()
        case.segmentationNode.GetDisplayNode().SetVisibility(True)

    # -- what changes

    def _follow_scene(self) -> None:
        """Take up the scene's parameters and the result that it keeps of the selected volume."""
        self.input.follow(Parameters(self.logic.getParameterNode().node))
        self._input_changed()

    def _input_chosen(self) -> None:
        """Follow what the user chose: a volume that he selects is not exchanged for one that was just loaded."""
        if not self.input.may_pick:
            self.arrivals.end()
        self.correct.stop_editing()  # what was drawn belongs to the volume of before
        self._input_changed()

    def _input_changed(self) -> None:
        volumeNode = self.input.volumeNode
        if volumeNode is None:
            self.run.allow(False, _("Select a sagittal T2-weighted volume first."))
        elif self.input.refusal:
            self.run.allow(False, self.input.refusal)
        else:
            self.run.allow(True, _("Segment and grade the lumbar discs of the selected volume. Key: Ctrl+Return"))
            if self.entered:
                self.jobs.warm_up_soon()
        shown = self.case.volumeNode if self.case is not None and self.case.is_alive() else None
        if shown is None or shown is not volumeNode:
            self._show_case(self._case_of(volumeNode))
        self._show_in_views()

    def _case_of(self, volumeNode: Any) -> GradedCase | None:
        """Return the result that the scene keeps of a volume, the one shown last if there are several."""
        if volumeNode is None:
            return None
        cases = graded_cases(volumeNode)
        shown = self.input.parameters.segmentation if self.input.parameters is not None else None
        return next((case for case in cases if case.segmentationNode is shown), cases[-1] if cases else None)

    def _result_chosen(self, segmentationNode: Any) -> None:
        """Show another result of the volume."""
        if self.run.running or self.correct.finish_first() or self.case is None:
            self._show_case(self.case)
            return
        self.correct.stop_editing()
        self.input.parameters.segmentation = segmentationNode
        self._acted = True
        self._show_case(self._case_of(self.case.volumeNode))

    def _show_case(self, case: GradedCase | None, level: str | None = None) -> None:
        self.case = case
        self._follow_volume()
        if case is None:
            self._asked = {}
        self.state = self._state_of(case)
        self._show_state(level)
        if case is None:
            self.input.unfold()
        elif case is not self._folded_for:
            self.input.fold(self._input_summary(case))
            self._show_large()
        self._folded_for = case
        if case is not None:
            self.input.show_graded_slice(case.result.stored_slice_index)
        self.all.follow(case)
        self._show_in_views()

    @staticmethod
    def _input_summary(case: GradedCase) -> str:
        text = _("{name}, slice {slice}")
        return text.format(name=case.volumeNode.GetName(), slice=case.result.stored_slice_index)

    def _show_state(self, level: str | None = None) -> None:
        """Show the case and what became of it in all sections."""
        case, volumeNode = self.case, self.input.volumeNode
        others = result_nodes(case.volumeNode) if case is not None else ()
        problems = unreadable_cases(volumeNode) if case is None and volumeNode is not None else []
        self.result.show(case, level, self.state, others)
        self.notices.show(case, self.state, problems[-1] if problems else "")
        self.save.show(case if not self.state.is_stale else None)
        self.ui.saveCollapsibleButton.visible = case is not None
        self._show_selected()

    def _state_of(self, case: GradedCase | None) -> CaseState:
        if case is None or not case.is_alive():
            return CaseState()
        if case.fit() is Fit.CHANGED:
            return CaseState(is_stale=True)
        drawn = () if self.correct.editing or self._drawn is case else case.drawn_levels()
        offered = () if self.correct.editing else tuple(case.offered_discs())
        return CaseState(drawn=drawn, offered=offered)

    def _show_selected(self) -> None:
        allowed = not self.run.running and not self.state.is_stale
        self.correct.show(self.case, self.result.level, self.result.missing_level, allowed)
        self.evidence.show(self.case, allowed=allowed)
        self._labels.fit()
        self._show_on_image()

    def _disc_selected(self) -> None:
        if self.case is not None:
            self._show_selected()

    def _corrected(self, level: str | None) -> None:
        self._acted = True
        self._show_case(self.case, level)

    # -- what is shown belongs together

    def look(self) -> None:
        """Compare what is shown with what there is, and show what follows from it."""
        scene = slicer.mrmlScene
        if not self.entered or scene.IsBatchProcessing() or scene.IsClosing() or self.input.parameters is None:
            return
        self._labels.fit()
        self._look_at_views()
        if not self.run.running and not self.correct.editing and self.input.follow_volume():
            self._input_changed()
        case = self.case
        if case is None or not case.is_alive():
            return
        if self._follow_volume() or self._state_of(case) != self.state:
            self._show_case(case)
        self.result.update_display()

    def _follow_volume(self) -> bool:
        """Let the discs follow a volume that was moved, and return whether it was."""
        case = self.case
        if not self.entered or case is None or not case.is_alive() or self.run.running or self.correct.editing:
            return False
        if case.fit() is not Fit.MOVED:
            return False
        case.follow()
        return True

    def _look_at_views(self) -> None:
        """Choose the volume that the user put into the views; put the chosen one back after others were loaded."""
        chosen, viewed = self.input.volumeNode, self.views.viewed
        if viewed is chosen or chosen is None:
            self._show_in_views()
            return
        busy = self.run.running or self.correct.editing or bool(self.arrivals.nodes) or bool(self.correct.drawn_levels)
        if viewed is not None and not busy and self.input.choose(viewed):
            self._acted = True
            self._input_changed()
        else:
            self._show_in_views()

    def _show_in_views(self) -> None:
        """Show the chosen volume with its discs, those of a changed volume hidden."""
        if not self.entered or self.input.volumeNode is None:
            return
        case = self.case if self.case is not None and self.case.is_alive() else None
        fits = case is not None and not self.state.is_stale
        self.views.show(self.input.volumeNode, case.segmentationNode if fits else None, case.result if fits else None)
        doubts = case.result.doubts if fits else ()
        self.note.show("\n".join(doubts), self.input.volumeNode)
        self.result.update_display()
        self._show_on_image()

    def _show_on_image(self) -> None:
        """Show the names beside the discs, and beside the graded slice how to come back to it."""
        case = self.case if self.entered and self.case is not None and self.case.is_alive() else None
        if case is None or self.state.is_stale:
            self.on_image.clear()
        else:
            drawing = self.correct.edited_level if self.correct.sketch else None
            self.on_image.show(case, self.state.drawn, self.result.level or self.result.missing_level, drawing)

    def _back_to_slice(self) -> None:
        if self.case is not None and self.case.is_alive():
            show_slice(self.case.volumeNode, self.case.result.volume, self.case.result.slice_index)

    # -- the layout

    def _show_large(self) -> None:
        """Show the sagittal view large where there is a result, unless the user wants his own layout."""
        readable = self.case is not None and self.case.is_alive() and not self.state.is_stale
        if self.entered and readable and self.layout.take() and not self.layout.was_told:
            self.run.say(_("The image is shown large; Large (L) gives your own layout back."))

    def _layout_changed(self) -> None:
        """Fit the discs again when the views have their new sizes; the chosen disc into three planes."""
        self._fit_soon.start()

    def _fit(self) -> None:
        case = self.case
        if not self.entered or case is None or not case.is_alive():
            return
        looked_at = viewed_slice(case.volumeNode)
        fit_views(case.volumeNode)
        disc = case.result.disc(self.result.level) if self.result.level else None
        if self.layout.shows_planes and disc is not None:
            center_views(slicer.mrmlScene, disc.center_lps_mm)
            return
        fit_spine(case.result, slicer.mrmlScene)
        if looked_at is not None:
            show_slice(case.volumeNode, case.result.volume, looked_at)

    def _views_changed(self) -> None:
        self._look_soon.start()

    # -- what happens to the scene

    def _scene_closes(self, caller: Any, event: Any) -> None:
        self.run.say("")
        self.run.cancel(_("Canceled: the scene was closed."))
        self._forget_scene()
        self.views.forget()
        self.input.follow(None)
        self.run.allow(False, "")

    def _scene_loads(self, caller: Any, event: Any) -> None:
        self.run.cancel(_("Canceled: a scene is loaded."))
        self._forget_scene()

    def _forget_scene(self) -> None:
        """Forget the case before its nodes go; nothing is written into a scene that goes."""
        if self.case is not None:
            self.case.abandon()
        self.arrivals.end()
        self.all.forget()
        self._forget_case()

    def _forget_case(self) -> None:
        self.note.clear()
        self.on_image.clear()
        self.case, self.state = None, CaseState()
        self._folded_for = None
        self.input.unfold()
        self._show_state()

    def _scene_loaded(self, caller: Any, event: Any) -> None:
        if slicer.mrmlScene.IsClosing():
            return
        if self.entered:
            self.views.watch()
            self._follow_scene()
        else:
            show_foreign_again(slicer.mrmlScene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, caller: Any, event: Any, node: Any) -> None:
        if node.IsA("vtkMRMLSliceCompositeNode") and self.entered:
            self.views.watch()
        if node.IsA("vtkMRMLScalarVolumeNode") and not node.GetAttribute(EVIDENCE_ATTRIBUTE):
            self.arrivals.nodes.append(node)
            if self.entered:
                self._begin_to_pick()

    def _begin_to_pick(self) -> None:
        self.arrivals.begin(only_these=self.case is not None)  # what is graded is done with: the next study comes

    def _pick_volume(self, arrived: list[Any] | None) -> None:
        """Choose among the volumes that were loaded: of several series the sagittal T2 may come last."""
        if not self.entered or self.input.parameters is None:
            self.arrivals.end()
        elif not slicer.mrmlScene.IsBatchProcessing():
            busy = self.run.running or self.correct.editing or self.correct.drawn_levels
            if not busy and self.input.pick(arrived):
                self._input_changed()
            self.look()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_goes(self, caller: Any, event: Any, node: Any) -> None:
        if node.IsA("vtkMRMLSegmentationNode") and not caller.IsClosing():
            self._visible = visible_discs(caller)

    def _node_removed(self, caller: Any, event: Any) -> None:
        scene, visible = slicer.mrmlScene, self._visible
        self._visible = {}
        if scene.IsClosing():
            return
        keep_visible(visible)
        if self.run.about is not None and not scene.IsNodePresent(self.run.about):
            self.run.cancel_piece(_("Canceled: the volume was deleted."))
        if self.case is not None and not self.case.is_alive():
            self.case.abandon()
            self._forget_case()
        if not scene.IsBatchProcessing():
            remove_orphans(scene)
            self.all.look_again()
        self._show_selected()
        if self.entered and self.input.parameters is not None:
            self.input.update()
            self._input_changed()
