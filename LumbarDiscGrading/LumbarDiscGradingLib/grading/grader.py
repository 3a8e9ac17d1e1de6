"""`DiscGrader`: a sagittal T2-weighted volume in, graded, named and measured discs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..imaging.stated_geometry import TYPICAL_FIELD_OF_VIEW_MM
from ..imaging.volume import ImagingError, SagittalVolume
from ..measures.prediction_sets import prediction_set
from ..pfirrmann import DISC_LABELS, GRADES, GROUPS, LUMBAR_LEVELS, Group, Tissue, group_probabilities
from .disc_search import DiscSearch, FoundDisc, Look, found_disc, slices_to_search
from .discs import DiscRegion, SpineRegions, find_regions, region_of_mask
from .input_checks import contrast_warnings, quality_warnings
from .likely_cause import orientation_cause, refusal, scale_cause
from .measurements import fluid_signal, measure_disc
from .naming.levels import NamedDiscs, name_levels, shown_bottom_mm
from .plausibility import NoDiscsError, Verdict, judged, odd_disc_warning
from .result import DiscGrade, GradingResult, ModelUse, missing_lumbar_levels
from .slice_choice import choose_slice

if TYPE_CHECKING:
    from ..models.folder import TrainedModel
    from .evidence import EvidenceMap
    from .naming.sight import LevelSight
    from .segmenter import Segmenter, SliceSegmentation

CONFIDENT_PROBABILITY = 0.6
"""A group that is less probable than this is marked as not confident."""
LOW_CONFIDENCE = "low confidence"
FAINT_DISC_PROBABILITY = 0.5
"""A disc whose pixels are discs with less than this mean probability is said to be hardly seen."""
UPRIGHT_DEGREES = 15.0
"""A spine tilted further than this on its canvas is segmented again on a canvas turned with it."""
USUAL_TILT_DEGREES = -7.0
"""In the scanner the line through the discs leans back towards the head by this much in the median patient."""
LUMBAR_STEP_MM = 35.5
"""Mean distance of the centres of neighbouring lumbar discs in adults, for pictures whose scale is not known.

Vertebral body about 27 mm and disc about 9 mm high (Zhou et al., Eur Spine J 9:242-248, 2000).
"""
SCALE_TOLERANCE = 0.06


SURE_DISCS = 4
"""A turned image shows a lumbar spine if it has this many sound discs above a lumbosacral junction that is seen."""

__all__ = ["DiscGrader", "NoDiscsError", "regions_of", "segmented", "spine_tilt_degrees"]


class DiscGrader:
    """Segments and grades the discs of sagittal T2-weighted lumbar volumes.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    segmentation_model, grading_model : str or Path or None
        Name or folder of a model; None for the built-in default.

    Raises
    ------
    DeviceError, ModelError
        If the device cannot be used, or a model is missing, damaged or of another task.

    Examples
    --------
    >>> from LumbarDiscGradingLib.imaging.reading import read_volume
    >>> result = DiscGrader().grade(read_volume("lumbar_t2.nrrd"))
    >>> [(disc.level, disc.group.value) for disc in result.discs]
    """

    def __init__(
        self,
        device: str = "auto",
        segmentation_model: str | Path | None = None,
        grading_model: str | Path | None = None,
    ) -> None:
        from ..models.store import find_model
        from .classifier import Classifier
        from .device import choose_device
        from .segmenter import Segmenter

        self.device, self.device_name = choose_device(device)
        models = find_model(segmentation_model, "segmentation"), find_model(grading_model, "grading")
        self.segmenter = Segmenter(models[0], self.device)
        self.classifier = Classifier(models[1], self.device)
        self.models = tuple(_model_use(model) for model in models)

    def grade(
        self,
        volume: SagittalVolume,
        slice_index: int | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> GradingResult:
        """Grade the discs of a volume on its mid-sagittal slice.

        Parameters
        ----------
        volume : SagittalVolume
        slice_index : int, optional
            Canonical index of the slice to grade; chosen by content when left out.
        progress : callable, optional
            Called with the name of each stage as it begins, and again before each batch of a stage; an exception raised
            in it stops the grading.

        Raises
        ------
        NoDiscsError
            If no disc is found.
        ImplausibleResultError
            If what was found cannot be a row of lumbar discs; the message names the likely cause.
        """
        watch = _Stopwatch(progress)
        watch.start("segment")
        segmentation, (regions, tissues), reason, scale = segmented(self.segmenter, volume, slice_index, watch.tell)
        watch.start("find discs")
        slice_2d = volume.thick_slice(segmentation.slice_index)
        spacing = segmentation.spacing_mm
        named = _named(regions, slice_2d, segmentation.sight)
        verdict = self._judged(named, regions, tissues, volume, slice_given=slice_index is not None)
        contrast = contrast_warnings(slice_2d, tissues)
        self._refuse_other_than_spine(volume, segmentation.slice_index, named, verdict, contrast, watch.tell)
        watch.start("grade")
        fluids = [fluid_signal(slice_2d, regions.canal, disc.axis, spacing) for disc in named.discs]
        probabilities = self._grade_probabilities(slice_2d, named, fluids, spacing)
        watch.start("measure")
        discs = [
            _disc_grade(
                volume,
                segmentation,
                regions,
                slice_2d,
                *parts,
                contrast_doubted=bool(contrast),
                set_threshold=self.classifier.set_threshold,
            )
            for parts in zip(named.levels, named.discs, fluids, probabilities, strict=True)
        ]
        discs = [_not_graded(disc) if disc.level in verdict.odd_levels else disc for disc in reversed(discs)]
        labels = np.zeros(slice_2d.shape, dtype=np.uint8)
        for level, disc in zip(named.levels, named.discs, strict=True):
            labels[disc.mask] = DISC_LABELS[level]
        missing = missing_lumbar_levels(named.levels)
        warnings = (
            *contrast,
            *verdict.doubts,
            *quality_warnings(slice_2d, tissues, spacing),
            *named.warnings,
            *_count_warnings(missing, named, volume, scale),
        )
        watch.stop()
        return GradingResult(
            volume=volume,
            slice_index=segmentation.slice_index,
            slice_reason=reason,
            discs=tuple(discs),
            label_slice=labels,
            tissue_slice=tissues,
            missing_levels=missing,
            warnings=warnings,
            models=self.models,
            device=self.device_name,
            timings_s=watch.seconds,
            versions=_versions(),
            naming_confidence=named.confidence,
        )

    def regrade(
        self,
        volume: SagittalVolume,
        slice_index: int,
        masks: Mapping[str, NDArray[np.bool_]],
        progress: Callable[[str], None] | None = None,
    ) -> tuple[DiscGrade, ...]:
        """Grade and measure discs whose masks and levels are given, such as masks that a reader has corrected.

        Parameters
        ----------
        volume : SagittalVolume
        slice_index : int
            Canonical index of the slice on which the masks lie.
        masks : mapping of str to ndarray of bool, shape (rows, columns)
            Mask of each disc by its level.
        progress : callable, optional
            As for `grade`.

        Returns
        -------
        tuple of DiscGrade
            In the order of `masks`.

        Raises
        ------
        ImagingError
            If there is no such slice or a mask is empty.
        """
        empty = [level for level, mask in masks.items() if not mask.any()]
        if empty:
            raise ImagingError(f"The mask of {', '.join(empty)} is empty on the graded slice; draw it there.")
        watch = _Stopwatch(progress)
        watch.start("segment")
        segmentation, (regions, tissues), _, _ = segmented(self.segmenter, volume, slice_index, watch.tell)
        watch.start("grade")
        discs = tuple(region_of_mask(np.asarray(mask, dtype=bool), segmentation.spacing_mm) for mask in masks.values())
        named = NamedDiscs(tuple(masks), discs, (), (), True)
        return self._graded(volume, segmentation, regions, tissues, named)

    def find_disc(
        self, result: GradingResult, level: str, progress: Callable[[str], None] | None = None
    ) -> FoundDisc | None:
        """Look again for the disc of a missing level, on the graded slice and on those within 10 mm of it.

        Parameters
        ----------
        result : GradingResult
            Corrected or not.
        level : str
            One of its missing levels.
        progress : callable, optional
            As for `grade`.

        Returns
        -------
        FoundDisc or None
            The best candidate (`disc_search.DiscSearch`), graded and measured on the slice on which it was seen, to be
            taken by `corrections.DiscAdded`; None where nothing can be that disc, or the level is not in the image.

        Raises
        ------
        ImagingError
            If the level is not missing.
        """
        slices, volume = slices_to_search(result, level), result.volume
        if not slices:
            return None
        watch = _Stopwatch(progress)
        watch.start("segment")
        graded = segmented(self.segmenter, volume, result.slice_index, watch.tell)[0]
        nominal = _at_nominal_scale(volume)[0]
        scale, rotation = graded.spacing_mm[0] / nominal.spacing_mm[1], graded.grid.rotation_degrees

        def look(index: int) -> Look:
            if index == result.slice_index:
                return Look.at(graded, result.label_slice.shape)
            watch.tell()
            return Look.at(
                self.segmenter.segment(nominal, [index], scale, rotation)[0],
                result.label_slice.shape,
            )

        search = DiscSearch(result, level, graded.spacing_mm, Tissue.VERTEBRA.name.lower() in self.segmenter.outputs)
        best = search.best(slices, look)
        if best is None:
            return None
        watch.start("grade")
        (seen, region) = best
        named = NamedDiscs((level,), (region,), (), (), True)
        (disc,) = self._graded(volume, seen.segmentation, seen.regions, seen.tissues, named)
        return found_disc(result, seen.segmentation.slice_index, region.mask, disc)

    def _graded(
        self,
        volume: SagittalVolume,
        segmentation: SliceSegmentation,
        regions: SpineRegions,
        tissues: NDArray[np.uint8],
        named: NamedDiscs,
    ) -> tuple[DiscGrade, ...]:
        """Grade and measure given discs of a segmented slice."""
        slice_2d = volume.thick_slice(segmentation.slice_index)
        spacing = segmentation.spacing_mm
        fluids = [fluid_signal(slice_2d, regions.canal, disc.axis, spacing) for disc in named.discs]
        probabilities = self._grade_probabilities(slice_2d, named, fluids, spacing)
        doubted = bool(contrast_warnings(slice_2d, tissues))
        return tuple(
            _disc_grade(
                volume,
                segmentation,
                regions,
                slice_2d,
                *parts,
                contrast_doubted=doubted,
                set_threshold=self.classifier.set_threshold,
            )
            for parts in zip(named.levels, named.discs, fluids, probabilities, strict=True)
        )

    def evidence(
        self,
        result: GradingResult,
        groups: Mapping[str, Group] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> EvidenceMap:
        """Return where the network looked on each disc of a result: see `grading.evidence`.

        Parameters
        ----------
        result : GradingResult
            Of this grader's grading model; corrected or not.
        groups : mapping of str to Group, optional
            Group to explain by level; the network's own group where it is not given.
        progress : callable, optional
            As for `grade`.

        Raises
        ------
        EvidenceError
            If another model graded the discs.
        """
        from .evidence import evidence_of

        watch = _Stopwatch(progress)
        watch.start("evidence")
        spacing = result.volume.spacing_mm[1:]
        if not result.volume.scale_known:  # the scale by which the picture was graded is found again
            spacing = segmented(self.segmenter, result.volume, result.slice_index, watch.tell)[0].spacing_mm
        return evidence_of(result, spacing, self.classifier, groups, watch.tell)

    def _judged(
        self,
        named: NamedDiscs,
        regions: SpineRegions,
        tissues: NDArray[np.uint8],
        volume: SagittalVolume,
        slice_given: bool = False,
    ) -> Verdict:
        sees_all = Tissue.CANAL.name.lower() in self.segmenter.outputs
        return judged(named, regions, tissues, volume.scale_known, sees_all, slice_given)

    def _refuse_other_than_spine(
        self,
        volume: SagittalVolume,
        slice_index: int,
        named: NamedDiscs,
        verdict: Verdict,
        contrast: tuple[str, ...],
        before_batch: Callable[[], None],
    ) -> None:
        """Raise where the masks cannot be a lumbar spine, or with doubted levels where the turned image shows one."""

        def is_spine(turned: SagittalVolume) -> bool:
            segmentation, (regions, tissues), _, _ = segmented(self.segmenter, turned, 0, before_batch)
            found = _named(regions, turned.voxels[0], segmentation.sight)
            again = self._judged(found, regions, tissues, turned)
            sure = len(found.discs) - len(again.odd_levels) >= SURE_DISCS and found.levels[0] == LUMBAR_LEVELS[-1]
            return sure and found.trusted and not again.fault

        if not verdict.fault and named.trusted and named.levels[0] == LUMBAR_LEVELS[-1]:
            return
        scaled = bool(verdict.fault) and scale_cause(volume, slice_index, is_spine)
        lies = "" if scaled else orientation_cause(volume, slice_index, is_spine, quarters=bool(verdict.fault))
        if verdict.fault or lies:
            raise refusal(len(named.discs), verdict, lies, scaled, contrast)

    def _grade_probabilities(
        self, slice_2d: NDArray, named: NamedDiscs, fluids: list[float | None], spacing: tuple[float, float]
    ) -> NDArray[np.float64]:
        from .classifier import disc_inputs

        inputs = disc_inputs(slice_2d, named.discs, fluids, spacing, self.classifier.mask_use)
        return self.classifier.grade_probabilities(inputs)


def segmented(
    segmenter: Segmenter,
    volume: SagittalVolume,
    slice_index: int | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> tuple[SliceSegmentation, tuple[SpineRegions, NDArray[np.uint8]], str, float]:
    """Choose the slice and segment it, upright and, for a picture without scale, at the scale of its anatomy.

    Parameters
    ----------
    segmenter : Segmenter
    volume : SagittalVolume
    slice_index : int, optional
        Canonical index of the slice; chosen by content when left out.
    before_batch : callable
        Called before each batch; an exception raised in it stops the work.

    Returns
    -------
    tuple
        The segmentation, its regions and tissues (`regions_of`), the reason for the slice, and the scale.

    Raises
    ------
    ImagingError
        If there is no such slice.
    """
    scale, (nominal, nominal_scale) = 1.0, _at_nominal_scale(volume)
    if slice_index is not None:
        if not 0 <= slice_index < volume.slice_count:
            raise ImagingError(f"There is no slice {slice_index}; the volume has {volume.slice_count} slices.")
        segmentation, reason = segmenter.segment(nominal, [slice_index])[0], "given by the user"
    else:
        segmentation, reason, _ = choose_slice(nominal, segmenter, before_batch=before_batch)
    shape = volume.voxels.shape[1:]
    if not volume.scale_known:
        for _ in range(2):
            estimate = scale * _scale_by_anatomy(regions_of(segmentation, shape)[0])
            if abs(estimate / scale - 1.0) < SCALE_TOLERANCE:
                break
            scale = estimate
            before_batch()
            segmentation = segmenter.segment(nominal, [segmentation.slice_index], scale)[0]
    found = regions_of(segmentation, shape)
    tilt = spine_tilt_degrees(found[0])
    if abs(tilt - USUAL_TILT_DEGREES) > UPRIGHT_DEGREES:
        rotation = USUAL_TILT_DEGREES - tilt  # a grid turned so far has its rows along the leaning spine
        before_batch()
        segmentation = segmenter.segment(nominal, [segmentation.slice_index], scale, rotation)[0]
        found = regions_of(segmentation, shape)
    return segmentation, found, reason, scale * nominal_scale


def _at_nominal_scale(volume: SagittalVolume) -> tuple[SagittalVolume, float]:
    """Return a volume of unknown scale as if it showed the usual field of view, and the factor on its own spacing.

    At twice the size the network finds hardly anything, and without three discs the anatomy tells no scale. A picture
    is read at that scale, but a volume whose header lacks the pixel size has the default of 1 mm.
    """
    if volume.scale_known:
        return volume, 1.0
    factor = TYPICAL_FIELD_OF_VIEW_MM / (volume.voxels.shape[1] * volume.spacing_mm[1])
    matrix = volume.index_to_lps.copy()
    matrix[:3, 1:3] *= factor
    return replace(volume, index_to_lps=matrix), factor


def regions_of(segmentation: SliceSegmentation, slice_shape: tuple[int, int]) -> tuple[SpineRegions, NDArray[np.uint8]]:
    """Return the discs and bodies of a segmented slice, and its tissue classes, on the slice's own pixels."""
    tissues, disc_probability, landmark = segmentation.on_slice(slice_shape)
    inside = np.ones(slice_shape, dtype=bool)
    return find_regions(tissues, disc_probability, landmark, inside, segmentation.spacing_mm), tissues


def spine_tilt_degrees(regions: SpineRegions) -> float:
    """Return how far the line through the discs leans, positive where the feet lie further back than the head."""
    centers = np.array([disc.center_mm for disc in regions.discs])
    if len(centers) < 3:
        return USUAL_TILT_DEGREES
    _, _, directions = np.linalg.svd(centers - centers.mean(axis=0))
    down = directions[0] if directions[0][0] > 0 else -directions[0]
    return float(np.degrees(np.arctan2(down[1], down[0])))


def _named(regions: SpineRegions, slice_2d: NDArray, sight: LevelSight | None) -> NamedDiscs:
    return _without_cut_thoracic(name_levels(regions, shown_bottom_mm(slice_2d, regions.spacing_mm[0]), sight))


def _not_graded(disc: DiscGrade) -> DiscGrade:
    """Keep a disc whose mask cannot be right as a row without a grade."""
    warnings = tuple(warning for warning in disc.warnings if LOW_CONFIDENCE not in warning)
    return replace(
        disc, assessable=False, confident=False, grade_set=(), warnings=(odd_disc_warning(disc.level), *warnings)
    )


def _without_cut_thoracic(named: NamedDiscs) -> NamedDiscs:
    """Leave out discs above L1-L2 that the edge of the image cuts; they cannot be graded and are not asked for."""
    kept = [
        (level, disc)
        for level, disc in zip(named.levels, named.discs, strict=True)
        if level in LUMBAR_LEVELS or not disc.touches_border
    ]
    return replace(named, levels=tuple(level for level, _ in kept), discs=tuple(disc for _, disc in kept))


def _scale_by_anatomy(regions: SpineRegions) -> float:
    centers = np.array([disc.center_mm for disc in regions.discs])
    if len(centers) < 3:
        return 1.0
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    return float(np.clip(LUMBAR_STEP_MM / np.median(steps[:5]), 0.5, 2.0))


def _disc_grade(
    volume: SagittalVolume,
    segmentation: SliceSegmentation,
    regions: SpineRegions,
    slice_2d: NDArray,
    level: str,
    disc: DiscRegion,
    fluid: float | None,
    probabilities: NDArray[np.float64],
    contrast_doubted: bool = False,
    set_threshold: float | None = None,
) -> DiscGrade:
    by_grade = tuple(float(value) for value in probabilities)
    by_group = group_probabilities(by_grade)
    group = GROUPS[int(np.argmax(by_group))]
    row, column = disc.center_mm / np.array(segmentation.spacing_mm)
    confident = max(by_group) >= CONFIDENT_PROBABILITY and fluid is not None and not contrast_doubted
    warnings = []
    if not confident:
        warnings.append(f"{level}: {LOW_CONFIDENCE}, read it yourself.")
    if disc.touches_border:
        warnings.append(f"{level}: cut by the edge of the image.")
    if disc.probability < FAINT_DISC_PROBABILITY:
        warnings.append(f"{level}: hardly seen, as a collapsed or fused disc may be; check its contour.")
    spacing = segmentation.spacing_mm
    return DiscGrade(
        level=level,
        group=group,
        group_probabilities=by_group,
        pfirrmann=max(group.grades, key=lambda grade: by_grade[grade - 1]),
        grade_probabilities=by_grade,  # type: ignore[arg-type]
        confident=confident,
        center_lps_mm=volume.lps_mm(segmentation.slice_index, float(row), float(column)),
        center_row_column=(float(row), float(column)),
        measurements=measure_disc(disc, regions.bodies, slice_2d, fluid, spacing, volume.scale_known),
        warnings=tuple(warnings),
        grade_set=grade_set_of(by_grade, set_threshold) if fluid is not None and not contrast_doubted else (),
    )


def grade_set_of(grade_probabilities: Sequence[float], threshold: float | None) -> tuple[int, ...]:
    """Return the Pfirrmann grades of a prediction set, none where the model has no threshold."""
    if threshold is None:
        return ()
    return tuple(GRADES[index] for index in prediction_set(grade_probabilities, threshold))


def _count_warnings(
    missing: tuple[str, ...], named: NamedDiscs, volume: SagittalVolume, scale: float
) -> tuple[str, ...]:
    warnings = []
    unsaid = [level for level in missing if level not in named.missing]
    if unsaid:
        warnings.append(f"Not found or not in the image: {', '.join(unsaid)}.")
    if not volume.scale_known:
        warnings.append(
            f"The pixel size is an estimate from the anatomy ({volume.spacing_mm[1] * scale:.2f} mm); "
            "lengths and areas are left out."
        )
    return tuple(warnings)


def _model_use(model: TrainedModel) -> ModelUse:
    return ModelUse(
        name=model.name,
        task=model.task,
        location=model.origin,
        sha256=model.sha256,
        version=str(model.manifest.get("version", "")),
    )


def _versions() -> dict[str, str]:
    import torch

    return {"LumbarDiscGrading": __version__, "torch": torch.__version__, "numpy": np.__version__}


class _Stopwatch:
    """Seconds per stage; tells each stage's name as it begins."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress, self._stage, self._since = progress, "", 0.0

    def start(self, stage: str) -> None:
        self.stop()
        self._stage, self._since = stage, time.perf_counter()
        self.tell()

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(self._stage)

    def stop(self) -> None:
        if self._stage:
            self.seconds[self._stage] = time.perf_counter() - self._since
        self._stage = ""
