"""`LoadedVolumes`: all volumes of a scene that are taken for sagittal T2, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..cohort.rows import disc_rows
from ..errors import UserError
from ..grading.result import GradingResult
from ..models.store import find_model
from ..pfirrmann import LISTED_LEVELS, ROMAN_GRADES, TASKS
from ..report.doubts import warnings_of
from ..report.tables import table_discs
from .graded_case import STORED_RESULT_ATTRIBUTE, Fit, GradedCase, graded_cases, result_nodes
from .input_choice import loaded_volumes
from .shown_volume import hide_until_shown
from .table_of_all import write_table_of_all


class Became(str, Enum):
    """What became of a volume."""

    WAITING = "waiting"
    GRADED = "graded"
    AS_BEFORE = "graded before"
    FAILED = "not graded"
    LEFT_OUT = "left out"


@dataclass
class LoadedVolume:
    """A volume of the scene, and what became of it.

    Attributes
    ----------
    volumeNode : vtkMRMLScalarVolumeNode or None
        None once it is known that it was deleted: nothing here keeps its voxels.
    name : str
        Of the node when it was looked at last.
    became : Became
    note : str
        One sentence: why it was left out, failed or left as it was, or what else must be known; empty where nothing.
    doubts : tuple of str
        Masks that were changed since, and warnings of its result, a sentence each, what questions the whole first.
    questioned : bool
        Whether one of them questions the whole result.
    unsure : tuple of str
        Levels whose grade has low confidence.
    grades : dict of str
        Pfirrmann grade in Roman figures by level, head to feet from L1-L2; empty where the disc has none.
    segmentationNode : vtkMRMLSegmentationNode or None
        Of its result.
    rows : tuple of dict
        Its rows in the table of all.
    """

    volumeNode: Any
    name: str
    became: Became = Became.WAITING
    note: str = ""
    doubts: tuple[str, ...] = ()
    questioned: bool = False
    unsure: tuple[str, ...] = ()
    grades: dict[str, str] = field(default_factory=dict)
    segmentationNode: Any = None
    rows: tuple[dict[str, str], ...] = ()
    _kept: str = ""

    @property
    def has_result(self) -> bool:
        """Whether it has a result, made now or before."""
        return self.became in (Became.GRADED, Became.AS_BEFORE)

    @property
    def is_there(self) -> bool:
        """Whether the volume is still in its scene."""
        scene = self.volumeNode.GetScene() if self.volumeNode is not None else None
        return scene is not None and bool(scene.IsNodePresent(self.volumeNode))

    def follow(self, case: GradedCase) -> None:
        """Take what is to be known of a result, corrections included."""
        result = case.result
        self.name, self.segmentationNode = self.volumeNode.GetName(), case.segmentationNode
        self.doubts = (
            *_drawn_since(case),
            *result.doubts,
            *(text for text in warnings_of(result) if text not in result.doubts),
        )
        self.questioned = bool(result.doubts)
        self.unsure = tuple(disc.level for disc in result.discs if not disc.confident and disc.assessable)
        self.grades = _grades(result)
        self.rows = disc_rows(self.name, result)
        self._kept = case.segmentationNode.GetAttribute(STORED_RESULT_ATTRIBUTE)

    def look_again(self) -> None:
        """Follow a result that was corrected, made anew or deleted since."""
        self.name = self.volumeNode.GetName()
        nodes = result_nodes(self.volumeNode)
        if (
            nodes
            and nodes[-1] is self.segmentationNode
            and nodes[-1].GetAttribute(STORED_RESULT_ATTRIBUTE) == self._kept
        ):
            return
        case = _newest_case(self.volumeNode)
        if case is None:
            self.lose("Its result was deleted.")
        else:
            self.follow(case)

    def let_go(self) -> None:
        """Let go of a volume that was deleted."""
        self.lose("The volume was deleted.")
        self.volumeNode = None

    def lose(self, why: str) -> None:
        """Say why it has no result."""
        self.became, self.note = Became.FAILED, why
        self.doubts, self.questioned, self.unsure, self.grades, self.rows = (), False, (), {}, ()
        self.segmentationNode = None


class LoadedVolumes:
    """Decides which of the loaded volumes are graded, writes their results, and the table of all.

    A volume that the same models have graded, or whose result a reader has worked on, is left as it is.

    Parameters
    ----------
    scene : vtkMRMLScene
    segmentation_model, grading_model : str
        Name or folder of the models that grade; empty for the built-in defaults.

    Attributes
    ----------
    volumes : list of LoadedVolume
        Each image of the scene, in its order.
    tableNode : vtkMRMLTableNode or None
        The table of all, once it was written.

    Raises
    ------
    ModelError
        If a model cannot be used.

    Examples
    --------
    >>> loaded = LoadedVolumes(slicer.mrmlScene)  # doctest: +SKIP
    >>> for volume in loaded.waiting:  # doctest: +SKIP
    ...     loaded.grade(volume, lambda node: grader.grade(sagittal_volume_from_node(node)))
    >>> loaded.write_table()  # doctest: +SKIP
    """

    def __init__(self, scene: Any, segmentation_model: str = "", grading_model: str = "") -> None:
        self._scene = scene
        self.tableNode: Any = None
        names = dict(zip(TASKS, (segmentation_model, grading_model), strict=True))
        self._models = {task: find_model(name or None, task).sha256 for task, name in names.items()}
        self.volumes = [self._looked_at(node, reason) for node, reason in loaded_volumes(scene)]

    @property
    def waiting(self) -> list[LoadedVolume]:
        """The volumes that are still to be graded."""
        return [volume for volume in self.volumes if volume.became is Became.WAITING]

    def of(self, volumeNode: Any) -> LoadedVolume | None:
        """Return what is known of a volume node, None of one that was loaded later."""
        there = (volume for volume in self.volumes if volume.volumeNode is not None)
        return next((volume for volume in there if volume.volumeNode is volumeNode), None)

    def grade(self, volume: LoadedVolume, make: Callable[[Any], GradingResult]) -> None:
        """Make the result of a volume node and write it into the scene; what is refused is noted, nothing written."""
        try:
            self.write(volume, make(volume.volumeNode))
        except UserError as error:
            volume.lose(str(error))

    def write(self, volume: LoadedVolume, result: GradingResult) -> GradedCase:
        """Write the result of a volume into the scene; what a reader has done meanwhile is kept beside it.

        Raises
        ------
        ImagingError
            If the volume was changed while it was graded; nothing is written then.
        """
        before, former = result_nodes(volume.volumeNode), _newest_case(volume.volumeNode)
        replaced = former is not None and not _is_of_reader(former)
        case = GradedCase.write_new(volume.volumeNode, result, former if replaced else None)
        volume.became = Became.GRADED
        volume.follow(case)
        case.segmentationNode.GetDisplayNode().SetVisibility(True)  # also where the discs of before were hidden
        for node in (*before, case.segmentationNode):
            hide_until_shown(node)
        if before and not replaced:
            volume.note = (
                f"The result of before is kept as {before[-1].GetName()}: it was corrected, or the image changed."
            )
        return case

    def look_again(self) -> None:
        """Follow what was deleted, renamed or corrected since."""
        for volume in self.volumes:
            if not volume.is_there:
                volume.let_go()
            elif volume.has_result:
                volume.look_again()

    def look_at(self, volume: LoadedVolume) -> None:
        """Look at a waiting volume before it is graded: it may be gone by now, or have a result."""
        if not volume.is_there:
            volume.let_go()
        else:
            self._look_for_result(volume)

    def write_table(self) -> Any:
        """Write the table of all results that are there, and return its node, None where there is no result."""
        self.look_again()
        found = [volume for volume in self.volumes if volume.has_result]
        rows = [(volume.segmentationNode, volume.name, volume.rows) for volume in found]
        self.tableNode = write_table_of_all(self._scene, rows) if rows else None
        return self.tableNode

    def _looked_at(self, volumeNode: Any, reason: str) -> LoadedVolume:
        volume = LoadedVolume(volumeNode, volumeNode.GetName() or "")
        if reason:
            volume.became, volume.note = Became.LEFT_OUT, reason
        else:
            self._look_for_result(volume)
        return volume

    def _look_for_result(self, volume: LoadedVolume) -> None:
        """Leave a volume as it is that these models have graded, or whose result a reader has worked on."""
        case = _newest_case(volume.volumeNode)
        if case is None:
            return
        by_same = {model.task: model.sha256 for model in case.result.models} == self._models
        if by_same or _is_of_reader(case):
            volume.became = Became.AS_BEFORE
            volume.follow(case)
            if not by_same:
                volume.note = "A reader has worked on its result, which other models gave; it was left as it is."


def _newest_case(volumeNode: Any) -> GradedCase | None:
    """Return the newest result that fits a volume, its discs where the volume lies now."""
    cases = graded_cases(volumeNode)
    if cases and cases[-1].fit() is Fit.MOVED:
        cases[-1].follow()
    return cases[-1] if cases else None


def _is_of_reader(case: GradedCase) -> bool:
    return bool(case.corrections or case.drawn_levels())


def _drawn_since(case: GradedCase) -> list[str]:
    levels = ", ".join(case.drawn_levels())
    return [f"The mask of {levels} was changed: its grade is that of the mask before."] if levels else []


def _grades(result: GradingResult) -> dict[str, str]:
    found = {disc.level: ROMAN_GRADES[disc.pfirrmann] if disc.assessable else "" for disc in table_discs(result)}
    found |= dict.fromkeys(result.missing_levels, "")
    return {level: found[level] for level in LISTED_LEVELS[1:] if level in found}
