"""The section Input: volume, slice, models and device, and what is doubtful about them before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ...grading.device import ALWAYS_THERE
from ...imaging.volume import ImagingError, SagittalVolume
from ...models.store import available_models, default_model_names, install_model, unusable_models
from ...pfirrmann import TASKS
from ...scene.input_choice import evidence_ids, input_doubts, is_offered, likely_volume
from ...scene.viewed_slice import follow_slice, show_slice, viewed_slice
from ...scene.volumes import sagittal_geometry_of_node
from ..parameters import Parameters, prefer_device, preferred_device
from ..shared.refusals import refusals_told


class InputSection(VTKObservationMixin):
    """Shows and changes the parameters of the next run.

    Parameters
    ----------
    ui : object
        The panel's widgets by name.
    changed : callable
        Called after the user has changed something.
    installed : callable
        Called after a model was installed.

    Attributes
    ----------
    refusal : str
        Why the selected volume cannot be graded, empty where it can.
    doubts : tuple of str
        What is doubtful about it before it is graded, a sentence each, the worst first.
    let_go : str
        Why the slice that the user had chosen is not chosen any more, empty where he has decided since.
    """

    def __init__(self, ui: Any, changed: Callable[[], None], installed: Callable[[], None]) -> None:
        super().__init__()
        self.ui, self._changed, self._installed = ui, changed, installed
        self._parameters: Parameters | None = None
        self.refusal = self.let_go = ""
        self.doubts: tuple[str, ...] = ()
        self._volume: SagittalVolume | None = None
        self._last: tuple[str, SagittalVolume] | None = None  # ID of the shown volume, and where it lay
        self._picked = ""
        self._showing = False
        self._models = {"segmentation": ui.segmentationModelComboBox, "grading": ui.gradingModelComboBox}
        self.show_devices(ALWAYS_THERE)
        self.list_models()
        ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._volume_selected)
        ui.automaticSliceCheckBox.connect("toggled(bool)", self._automatic_toggled)
        ui.sliceSlider.connect("valueChanged(double)", self._slice_slid)
        ui.useViewedSliceButton.connect("clicked()", self._use_viewed_slice)
        ui.segmentationModelComboBox.connect("currentIndexChanged(int)", self._model_selected)
        ui.gradingModelComboBox.connect("currentIndexChanged(int)", self._model_selected)
        ui.deviceComboBox.connect("activated(int)", self._device_selected)
        ui.modelCardButton.connect("toggled(bool)", self._card_toggled)
        ui.installModelButton.connect("clicked()", self._install)
        ui.inputSummaryButton.connect("clicked()", self.unfold)

    @property
    def parameters(self) -> Parameters | None:
        """The parameters of the scene, None while there is no scene to follow; nothing of a scene is observed then."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Parameters | None) -> None:
        self.removeObservers()
        self._parameters = parameters
        if parameters is not None:
            scene = parameters.node.GetScene()
            self.addObserver(scene, scene.NodeAddedEvent, self._offer_images)

    def follow(self, parameters: Parameters | None) -> None:
        """Show the parameters of a scene; where no volume is selected the likely one is."""
        self.parameters = parameters
        if parameters is None:
            self._picked, self._last = "", None
        elif parameters.inputVolume is None:
            self._pick()
        self.update()

    @property
    def may_pick(self) -> bool:
        """Whether the user has not selected a volume: none is selected, or the one that was picked."""
        return self.volumeNode is None or self.volumeNode.GetID() == self._picked

    def pick(self, among: list[Any] | None = None) -> bool:
        """Select the volume that is the likely one by now, and return whether another one or other doubts are shown.

        The one that was picked before may have got its voxels or its header since.

        Parameters
        ----------
        among : list of vtkMRMLScalarVolumeNode, optional
            Volumes that were just loaded: the likeliest of them takes the place of the selected one, whoever selected
            it, unless that is likelier. Without it the user's own choice stays.
        """
        if self.parameters is None or (among is None and not self.may_pick):
            return False
        former = self.refusal, self.doubts
        other = self._pick(among)
        if other:
            self.parameters.sliceIndex = None
        self.update()
        return other or (self.refusal, self.doubts) != former

    def _pick(self, among: list[Any] | None = None) -> bool:
        former = self.volumeNode
        node = likely_volume(self.parameters.node.GetScene(), former, among)
        if node is former:
            return False
        self.parameters.inputVolume, self._picked = node, node.GetID()
        return True

    def choose(self, volumeNode: Any) -> bool:
        """Select a volume as the user does; returns False for one that the selector does not offer."""
        if self.parameters is None or not is_offered(volumeNode):
            return False
        self.parameters.inputVolume, self._picked = volumeNode, ""
        self.parameters.sliceIndex = None
        self.update()
        return True

    def follow_volume(self) -> bool:
        """Follow a selected volume that was moved or changed, and return whether it was."""
        if self.volumeNode is None:
            return False
        before, said = self._volume, (self.refusal, self.doubts)
        self._judge(self.volumeNode)
        if (self.refusal, self.doubts) == said and _lie_alike(before, self._volume):
            return False
        self.update()
        return True

    def accept_automatic(self) -> None:
        """Say no longer that a chosen slice was let go: the user goes on without it."""
        self.let_go = ""
        self._show_doubts()

    def update(self) -> None:
        """Show what the parameters say."""
        volumeNode = self.parameters.inputVolume if self.parameters is not None else None
        self._showing = True
        self._offer_images()
        self.ui.inputSelector.setCurrentNode(volumeNode)
        self._judge(volumeNode)
        self._keep_slice(volumeNode)
        self._show_doubts()
        self._show_slice()
        for task, name in self._model_names().items():
            self._models[task].setCurrentIndex(max(self._models[task].findData(name), 0))
        self._showing = False

    @property
    def volumeNode(self) -> Any:
        """The selected volume, None if there is none."""
        return self.parameters.inputVolume if self.parameters is not None else None

    @property
    def device(self) -> str:
        """The selected device."""
        return self.ui.deviceComboBox.itemData(self.ui.deviceComboBox.currentIndex) or "auto"

    @property
    def slice_index(self) -> int | None:
        """Canonical index of the slice that the user chose, None for the automatic choice."""
        stored = self.parameters.sliceIndex if self.parameters is not None else None
        return None if stored is None or self._volume is None else self._volume.canonical_slice_index(stored)

    @property
    def models(self) -> tuple[str, str]:
        """Names of the selected models, for segmentation and for grading; empty for the built-in defaults."""
        names = self._model_names()
        return names["segmentation"], names["grading"]

    def show_devices(self, devices: tuple[tuple[str, str], ...]) -> None:
        """List devices, the preferred one selected if it is there."""
        combo = self.ui.deviceComboBox
        combo.clear()
        for name, text in devices:
            combo.addItem(text, name)
        combo.setCurrentIndex(max(combo.findData(preferred_device()), 0))

    def show_graded_slice(self, stored_index: int) -> None:
        """Show on the slider which slice was graded, where it is chosen automatically."""
        if self._volume is not None and self.parameters is not None and self.parameters.sliceIndex is None:
            self._showing = True
            self.ui.sliceSlider.value = stored_index
            self._showing = False

    def list_models(self) -> None:
        """List the models that are installed and built in."""
        self._showing = True
        defaults = default_model_names()
        for task in TASKS:
            combo = self._models[task]
            combo.clear()
            combo.addItem(_("Built-in ({name})").format(name=defaults.get(task, _("none"))), "")
        for model in available_models():
            if not (model.origin == "built-in" and model.name == defaults.get(model.task)):
                self._models[model.task].addItem(f"{model.name} {model.version}", model.name)
        self._showing = False
        self._show_cards()

    def set_enabled(self, enabled: bool) -> None:
        """Keep the input as it is while it is graded."""
        self.ui.inputCollapsibleButton.enabled = self.ui.inputSummaryButton.enabled = enabled

    def fold(self, summary: str) -> None:
        """Show one line in place of the input, which a click on it brings back; doubts stay where they are."""
        self.ui.inputSummaryButton.text = summary
        hint = _("Show the input again: volume, slice, models and device.")
        self.ui.inputSummaryButton.toolTip = f"{summary}\n{hint}"
        self._show_folded(True)

    def unfold(self) -> None:
        """Show the input."""
        self._show_folded(False)

    def _show_folded(self, folded: bool) -> None:
        self.ui.inputCollapsibleButton.visible = not folded
        self.ui.inputSummaryButton.visible = folded

    # -- what is shown

    def _offer_images(self, caller: Any = None, event: Any = None) -> None:
        """Leave the evidence of gradings out of the volumes that can be selected."""
        if self.parameters is not None:
            filtering = self.ui.inputSelector.sortFilterProxyModel()
            filtering.hiddenNodeIDs = evidence_ids(self.parameters.node.GetScene())

    def _judge(self, volumeNode: Any) -> None:
        """Look where a volume lies, and what is doubtful about it."""
        self.refusal, self._volume, self.doubts = "", None, ()
        if volumeNode is None:
            return
        try:
            self._volume = sagittal_geometry_of_node(volumeNode)
            self.doubts = input_doubts(volumeNode)
        except ImagingError as error:
            self.refusal = str(error)

    def _keep_slice(self, volumeNode: Any) -> None:
        """Keep the chosen slice of a volume that was moved, in the view too; let it go where there is no such slice.

        While a volume has no sagittal slices, as on the way from one place to another, the choice waits.
        """
        if volumeNode is None or self._last is None or self._last[0] != volumeNode.GetID():
            self.let_go = ""
        stored = self.parameters.sliceIndex if self.parameters is not None else None
        if stored is None or (volumeNode is not None and self._volume is None):
            return
        if volumeNode is None:
            self.parameters.sliceIndex = None
            return
        volume, stack = self._volume, _stack_of(self._volume)
        if self.parameters.sliceStack not in (None, stack) or not 0 <= stored < volume.slice_count:
            self.parameters.sliceIndex = self._last = None  # its number says nothing of the new slices
            text = _(
                "Slice {slice} is not chosen any more, since {name} has other sagittal slices now: choose one again, "
                "or it is chosen automatically."
            )
            self.let_go = text.format(slice=stored, name=volumeNode.GetName())
            return
        self.parameters.sliceStack = stack
        if self._last is not None and self._last[0] == volumeNode.GetID() and not _lie_alike(self._last[1], volume):
            follow_slice(volumeNode, self._last[1], volume, stored)

    def _show_doubts(self) -> None:
        said = tuple(sentence for sentence in (self.let_go, self.refusal) if sentence) + self.doubts
        if self.volumeNode is None:
            said = (_("No volume is selected: load a sagittal T2 series, or the sample at the end of this panel."),)
        self.ui.inputDoubtsLabel.text = "\n".join(said)
        self.ui.inputDoubtsLabel.visible = bool(said)

    def _show_slice(self) -> None:
        volume = self._volume
        stored = self.parameters.sliceIndex if self.parameters is not None else None
        self.ui.automaticSliceCheckBox.checked = stored is None
        self.ui.sliceSlider.enabled = stored is not None
        self.ui.useViewedSliceButton.enabled = volume is not None
        self.ui.automaticSliceCheckBox.enabled = volume is not None
        if volume is not None:
            self.ui.sliceSlider.maximum = volume.slice_count - 1
            middle = volume.stored_slice_index(volume.middle_slice_index)
            if stored is not None:
                self.ui.sliceSlider.value = stored
            elif self._last is None or self._last[0] != self.volumeNode.GetID():
                self.ui.sliceSlider.value = middle
            self._last = self.volumeNode.GetID(), volume

    def _model_names(self) -> dict[str, str]:
        if self.parameters is None:
            return dict.fromkeys(TASKS, "")
        return {"segmentation": self.parameters.segmentationModel, "grading": self.parameters.gradingModel}

    def _show_cards(self) -> None:
        chosen = self._model_names()
        names = {task: chosen[task] or default_model_names().get(task, "") for task in TASKS}
        cards = [model.card for task in TASKS for model in available_models() if model.name == names[task]]
        problems = [f"- {problem}" for problem in unusable_models()]
        self.ui.modelCardBrowser.setMarkdown("\n\n---\n\n".join(cards + (["\n".join(problems)] if problems else [])))

    # -- what the user does

    def _volume_selected(self, volumeNode: Any) -> None:
        if self._showing or self.parameters is None:
            return
        if volumeNode is not self.parameters.inputVolume:
            self.parameters.inputVolume, self._picked = volumeNode, ""
            self.parameters.sliceIndex = None
        self.update()
        self._changed()

    def _automatic_toggled(self, automatic: bool) -> None:
        if self._showing or self._volume is None:
            return
        self._choose_slice(None if automatic else int(self.ui.sliceSlider.value))

    def _slice_slid(self, value: float) -> None:
        if self._showing or self._volume is None or self.ui.automaticSliceCheckBox.checked:
            return
        self._choose_slice(round(value))
        if self.slice_index is not None:
            show_slice(self.volumeNode, self._volume, self.slice_index)

    def _use_viewed_slice(self) -> None:
        if self.follow_volume():
            self._changed()
        if self._volume is None:
            return
        index = viewed_slice(self.volumeNode)
        if index is None:
            self._say(_("The sagittal view shows no slice of this volume; scroll to one."))
            return
        self._choose_slice(self._volume.stored_slice_index(index))

    def _choose_slice(self, stored: int | None) -> None:
        self.parameters.sliceIndex = stored
        self.parameters.sliceStack = None if self._volume is None else _stack_of(self._volume)
        self.let_go = ""
        self.update()
        self._changed()

    def _model_selected(self) -> None:
        if self._showing or self.parameters is None:
            return
        chosen = {task: combo.itemData(combo.currentIndex) or "" for task, combo in self._models.items()}
        self.parameters.segmentationModel = chosen["segmentation"]
        self.parameters.gradingModel = chosen["grading"]
        self._show_cards()
        self._changed()

    def _device_selected(self) -> None:
        prefer_device(self.device)
        self._changed()

    def _card_toggled(self, shown: bool) -> None:
        self.ui.modelCardBrowser.visible = shown

    def _install(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self.ui.installModelButton, _("Install model"), "", _("Model (*.zip manifest.json)")
        )
        if not path:
            return
        source = Path(path)
        with refusals_told(self._say):
            model = install_model(source.parent if source.name == "manifest.json" else source)
            self._installed()
            self.list_models()
            if model.task == "segmentation":
                self.parameters.segmentationModel = model.name
            else:
                self.parameters.gradingModel = model.name
            self.update()
            self._show_cards()
            self._say(_("The model {name} is installed and selected.").format(name=model.name))
            self._changed()

    def _say(self, text: str) -> None:
        self.ui.statusLabel.text = text


def _stack_of(volume: SagittalVolume) -> tuple[int, int]:
    """Return along which axis of the stored voxels a volume has its sagittal slices, and how many."""
    return volume.stored_axes[0], volume.slice_count


def _lie_alike(one: SagittalVolume | None, other: SagittalVolume | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.voxels.shape == other.voxels.shape and np.array_equal(one.stored_index_to_lps, other.stored_index_to_lps)
