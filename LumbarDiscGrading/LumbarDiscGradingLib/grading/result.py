"""What grading a volume yields: plain frozen data, free of torch and of the MRML scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import SagittalVolume
from ..pfirrmann import DISC_LABELS, LUMBAR_LEVELS, NOT_GRADED_COLOR, Group

NOT_ASSESSABLE = "not assessable"
"""Stands where the group would be of a disc that a reader marked so, or whose mask cannot be a disc."""

LEVEL_DOUBT_MARKS = ("check the levels", "levels are an assumption")
"""A warning with one of these questions the names of the levels."""
DOUBT_MARKS = (
    "does not look T2-weighted",
    "looks fat-suppressed",
    "contrast could not be checked",
    "check the pixel size",
    "check that the slice is mid-sagittal",
    "too blurred",
    "so noisy",
    *LEVEL_DOUBT_MARKS,
)
"""A warning with one of these questions the whole result, not one disc or a length alone."""


@dataclass(frozen=True)
class DiscMeasurements:
    """Measurements of one disc on the graded slice; a length is None where the image scale is not known.

    Attributes
    ----------
    height_mm : float or None
        Mean height of the disc: area divided by its anteroposterior diameter.
    diameter_mm : float or None
        Anteroposterior diameter: extent along the disc's own long axis.
    area_mm2 : float or None
        Area of the disc on the slice.
    disc_height_index : float or None
        Disc height divided by the mean height of the adjacent vertebral bodies, without unit.
    signal_to_canal : float or None
        Median signal of the disc's central half divided by that of the spinal canal's fluid next to it, without unit.
    """

    height_mm: float | None = None
    diameter_mm: float | None = None
    area_mm2: float | None = None
    disc_height_index: float | None = None
    signal_to_canal: float | None = None


@dataclass(frozen=True)
class DiscGrade:
    """One disc: where it lies, how it is graded, what was measured.

    Attributes
    ----------
    level : str
        Level name, a key of `pfirrmann.DISC_LABELS`.
    group : Group
    group_probabilities : tuple of float
        Calibrated probabilities of mild, moderate and serious.
    pfirrmann : int
        Pfirrmann grade 1-5, always one of the group's grades.
    grade_probabilities : tuple of float
        Probabilities of grades I to V; sums over a group are `group_probabilities`.
    confident : bool
        False when the group's probability is too low to be read without a second look.
    center_lps_mm : tuple of float
        Centroid on the disc's slice.
    center_row_column : tuple of float
        Centroid in pixels of the canonical slice.
    measurements : DiscMeasurements
    warnings : tuple of str
    assessable : bool
        False where a reader marked the disc as not assessable (`changes` tells), or where the mask that was found has
        not the shape or the place of a disc (a warning tells); its group and grade are then not to be read.
    grade_set : tuple of int
        Neighbouring Pfirrmann grades, ascending, that hold the right one with the coverage that the model's manifest
        states; empty where the model states none, and where a reader set the grade.
    changes : tuple of str
        What a reader changed, one phrase each; empty where everything is as the networks gave it.
    slice_index : int or None
        Canonical index of the slice on which the disc lies; None where it is the result's own.
    """

    level: str
    group: Group
    group_probabilities: tuple[float, float, float]
    pfirrmann: int
    grade_probabilities: tuple[float, float, float, float, float]
    confident: bool
    center_lps_mm: tuple[float, float, float]
    center_row_column: tuple[float, float]
    measurements: DiscMeasurements = field(default_factory=DiscMeasurements)
    warnings: tuple[str, ...] = ()
    assessable: bool = True
    changes: tuple[str, ...] = ()
    grade_set: tuple[int, ...] = ()
    slice_index: int | None = None

    def within(self, slice_index: int) -> DiscGrade:
        """Return the disc as part of a result of a slice, which need not be told of a disc that lies on it."""
        return replace(self, slice_index=None) if self.slice_index == slice_index else self

    @property
    def label_value(self) -> int:
        """Value of the disc in `GradingResult.label_slice`."""
        return DISC_LABELS[self.level]

    @property
    def group_word(self) -> str:
        """The group as it is written everywhere."""
        return self.group.value if self.assessable else NOT_ASSESSABLE

    @property
    def color(self) -> tuple[int, int, int]:
        """RGB colour, 0-255, of the group; purple where there is none."""
        return self.group.color if self.assessable else NOT_GRADED_COLOR


@dataclass(frozen=True)
class ModelUse:
    """A model that took part.

    Attributes
    ----------
    name, task : str
    location : str
        Where it was found.
    sha256 : str
        Hash of its weights.
    version : str
    set_coverage : float or None
        Share of discs whose prediction set holds the right grade, as the model states it; None where it states no sets.
    """

    name: str
    task: str
    location: str
    sha256: str
    version: str = ""
    set_coverage: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class TakenOut:
    """A disc of the networks that a reader took out of the result: it is none.

    Attributes
    ----------
    network_level : str
        What the networks had named it.
    level : str or None
        What its place is called now, after a reader's changes of level; None where no disc can be.
    """

    network_level: str
    level: str | None


@dataclass(frozen=True)
class DiscOffset:
    """Where the canal's middle lies at the height of a disc.

    Attributes
    ----------
    level : str
    offset_mm : float
        Across the slices, from the straight line between the outermost discs; positive to the patient's left.
    tilt_degrees : float or None
        Of the line to the next disc below, against the rows' direction; positive where it runs to the left. None for
        the lowest disc.
    """

    level: str
    offset_mm: float
    tilt_degrees: float | None


@dataclass(frozen=True)
class SpineCourse:
    """How the spine runs across the slices, as the middle of the canal tells: a hint at scoliosis, no Cobb angle.

    Attributes
    ----------
    discs : tuple of DiscOffset
        Head to feet.
    """

    discs: tuple[DiscOffset, ...]

    @property
    def largest(self) -> DiscOffset:
        """The disc that lies furthest from the line."""
        return max(self.discs, key=lambda disc: abs(disc.offset_mm))


@dataclass(frozen=True)
class GradingResult:
    """The graded discs of one volume.

    Attributes
    ----------
    volume : SagittalVolume
    slice_index : int
        Slice that most discs share, canonical index.
    slice_reason : str
        Why this slice: chosen by content, the middle slice as fall-back, or given by the user; and how far the spine
        leaves it where some discs lie on others.
    discs : tuple of DiscGrade
        Head to feet.
    label_slice : ndarray of uint8, shape (rows, columns)
        Disc labels (`pfirrmann.DISC_LABELS`), pixels of the canonical volume; each disc's lie on its own slice.
    tissue_slice : ndarray of uint8, shape (rows, columns)
        Tissue labels (`pfirrmann.Tissue`) on the curved picture, which is the slice where all discs share it.
    missing_levels : tuple of str
        Lumbar levels L1-L2 to L5-S1 that were not found.
    warnings : tuple of str
        One sentence each, what questions most of the result first.
    models : tuple of ModelUse
    device : str
        Where the networks ran, with the reason if it is not where it was asked for.
    timings_s : dict
        Seconds per stage.
    taken_out : tuple of TakenOut
        What a reader took out, in that order; a warning tells it. Empty as graded.
    naming_confidence : float or None
        Calibrated probability that the names of the levels are right; None where the model does not tell, and where a
        reader has changed them.
    course : SpineCourse or None
        How far the spine leaves a straight line across the slices; None where one slice was used for all discs.
    """

    volume: SagittalVolume
    slice_index: int
    slice_reason: str
    discs: tuple[DiscGrade, ...]
    label_slice: NDArray[np.uint8]
    tissue_slice: NDArray[np.uint8]
    missing_levels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    models: tuple[ModelUse, ...] = ()
    device: str = "cpu"
    timings_s: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    taken_out: tuple[TakenOut, ...] = ()
    naming_confidence: float | None = None
    course: SpineCourse | None = None

    def disc(self, level: str) -> DiscGrade | None:
        """Return the disc of a level, None where it was not found."""
        return next((disc for disc in self.discs if disc.level == level), None)

    def slice_of(self, disc: DiscGrade) -> int:
        """Return the canonical index of the slice on which a disc lies."""
        return self.slice_index if disc.slice_index is None else disc.slice_index

    @property
    def slices(self) -> tuple[int, ...]:
        """Canonical indices of the slices on which discs lie, and of the main one, in order."""
        return tuple(sorted({self.slice_index, *map(self.slice_of, self.discs)}))

    @property
    def is_curved(self) -> bool:
        """Whether discs lie on several slices."""
        return len(self.slices) > 1

    def stored_slice_of(self, disc: DiscGrade) -> int:
        """Return the slice of a disc as 0-based index along the sagittal axis of the stored volume."""
        return self.volume.stored_slice_index(self.slice_of(disc))

    @property
    def doubts(self) -> tuple[str, ...]:
        """The warnings that question the whole result: contrast, scale, slice, quality, levels; worst first."""
        return tuple(warning for warning in self.warnings if any(mark in warning for mark in DOUBT_MARKS))

    @property
    def levels_doubted(self) -> bool:
        """Whether something was said against the names: a warning about them, or of a lumbar disc that is missing."""
        told = any(mark in warning for warning in self.warnings for mark in LEVEL_DOUBT_MARKS)
        return told or bool(self.missing_levels)

    @property
    def set_coverage(self) -> float | None:
        """What the grading model states of its prediction sets (`ModelUse.set_coverage`)."""
        return next((model.set_coverage for model in self.models if model.set_coverage is not None), None)

    @property
    def stored_slice_index(self) -> int:
        """Slice that most discs share, as 0-based index along the sagittal axis of the stored volume."""
        return self.volume.stored_slice_index(self.slice_index)

    @property
    def slice_center_lps_mm(self) -> tuple[float, float, float]:
        """Centre of the slice that most discs share, in LPS mm."""
        return self.volume.slice_center_lps_mm(self.slice_index)

    def labels_in_volume(self) -> NDArray[np.uint8]:
        """Return the disc labels as an array of canonical order, each disc on its own slice."""
        labels = np.zeros(self.volume.voxels.shape, dtype=np.uint8)
        for disc in self.discs:
            labels[self.slice_of(disc)][self.label_slice == disc.label_value] = disc.label_value
        return labels

    def label_volume(self) -> NDArray[np.uint8]:
        """Return the disc labels as an array in the stored order (k, j, i), each disc on its own slice."""
        return self.volume.to_stored(self.labels_in_volume())

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays as JSON-ready data."""
        source = self.volume.source
        return {
            "input": {
                "name": source.name,
                "sha256": source.sha256,
                "modality": source.modality,
                "slices": self.volume.slice_count,
                "spacing_mm": list(self.volume.spacing_mm),
                "scale_known": self.volume.scale_known,
                "notes": list(self.volume.notes),
            },
            "slice": self.stored_slice_index,
            "slice_center_lps_mm": list(self.slice_center_lps_mm),
            "slice_reason": self.slice_reason,
            "slices": [self.volume.stored_slice_index(index) for index in self.slices],
            "spine_course": None if self.course is None else _course_to_dict(self.course),
            "discs": [self._disc_to_dict(disc) for disc in self.discs],
            "missing_levels": list(self.missing_levels),
            "naming_confidence": self.naming_confidence,
            "taken_out": [vars(disc) for disc in self.taken_out],
            "warnings": list(self.warnings),
            "doubts": list(self.doubts),
            "models": [model.to_dict() for model in self.models],
            "device": self.device,
            "timings_s": {stage: round(seconds, 4) for stage, seconds in self.timings_s.items()},
            "versions": dict(self.versions),
        }

    def _disc_to_dict(self, disc: DiscGrade) -> dict[str, Any]:
        return {
            "level": disc.level,
            "group": disc.group.value,
            "p_mild": disc.group_probabilities[0],
            "p_moderate": disc.group_probabilities[1],
            "p_serious": disc.group_probabilities[2],
            "pfirrmann": disc.pfirrmann,
            "p_pfirrmann": list(disc.grade_probabilities),
            "confident": disc.confident,
            "slice": self.stored_slice_of(disc),
            "slice_center_lps_mm": list(self.volume.slice_center_lps_mm(self.slice_of(disc))),
            "center_lps_mm": list(disc.center_lps_mm),
            "label": disc.label_value,
            "measurements": vars(disc.measurements),
            "warnings": list(disc.warnings),
            "assessable": disc.assessable,
            "manual_changes": list(disc.changes),
            "pfirrmann_set": list(disc.grade_set),
        }


def _course_to_dict(course: SpineCourse) -> dict[str, Any]:
    return {
        "note": "Middle of the spinal canal across the slices; a hint at scoliosis, no Cobb angle.",
        "largest_offset_mm": abs(course.largest.offset_mm),
        "largest_offset_level": course.largest.level,
        "discs": [vars(disc) for disc in course.discs],
    }


def missing_lumbar_levels(found: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lumbar levels that are not among those found, head to feet."""
    return tuple(level for level in LUMBAR_LEVELS if level not in found)
