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
from ..imaging.volume import ImagingError, SagittalVolume
from ..measures.prediction_sets import prediction_set
from ..pfirrmann import DISC_LABELS, GRADES, GROUPS, LUMBAR_LEVELS, Group, Tissue, group_probabilities
from .disc_search import DiscSearch, FoundDisc, Look, disc_at, slices_to_search
from .discs import DiscRegion, SpineRegions, region_of_mask
from .input_checks import contrast_warnings, quality_warnings
from .likely_cause import orientation_cause, refusal, scale_cause
from .measurements import fluid_signal, measure_disc
from .naming.levels import NamedDiscs, name_levels, shown_bottom_mm
from .plausibility import NoDiscsError, Verdict, judged, odd_disc_warning
from .result import DiscGrade, GradingResult, ModelUse, missing_lumbar_levels
from .spine.course import course_of, slice_reason
from .spine.segmented import at_nominal_scale, segmented
from .spine.zones import DiscZones

if TYPE_CHECKING:
    from ..models.folder import TrainedModel
    from .evidence import EvidenceMap
    from .naming.sight import LevelSight

CONFIDENT_PROBABILITY = 0.6
"""A group that is less probable than this is marked as not confident."""
LOW_CONFIDENCE = "low confidence"
FAINT_DISC_PROBABILITY = 0.5
"""A disc whose pixels are discs with less than this mean probability is said to be hardly seen."""
SURE_DISCS = 4
"""A turned image shows a lumbar spine if it has this many sound discs above a lumbosacral junction that is seen."""

__all__ = ["DiscGrader", "NoDiscsError"]


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
        self.models = _model_use(models[0]), _model_use(models[1], self.classifier.set_coverage)

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
        spine = segmented(self.segmenter, volume, slice_index, watch.tell)
        watch.start("find discs")
        regions, tissues, spacing = spine.regions, spine.tissues, spine.spacing_mm
        slice_2d = spine.zones.picture(volume, spacing)
        named = _named(regions, slice_2d, spine.segmentation.sight)
        verdict = self._judged(named, regions, tissues, volume, slice_given=slice_index is not None)
        contrast = contrast_warnings(slice_2d, tissues)
        self._refuse_other_than_spine(volume, spine.segmentation.slice_index, named, verdict, contrast, watch.tell)
        slices = [spine.slice_of(disc) for disc in named.discs]
        zones = DiscZones.of_discs([(disc.axis, index) for disc, index in zip(named.discs, slices, strict=True)])
        slice_2d = zones.picture(volume, spacing)
        watch.start("grade")
        fluids = [fluid_signal(slice_2d, regions.canal, disc.axis, spacing) for disc in named.discs]
        probabilities = self._grade_probabilities(slice_2d, named, fluids, spacing)
        watch.start("measure")
        discs = [
            _disc_grade(
                volume,
                *parts,
                contrast_doubted=bool(contrast),
                set_threshold=self.classifier.set_threshold,
            )
            for parts in (
                (index, regions, slice_2d, level, disc, fluid, p)
                for index, level, disc, fluid, p in zip(
                    slices, named.levels, named.discs, fluids, probabilities, strict=True
                )
            )
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
            *_count_warnings(missing, named, volume, spine.scale),
        )
        watch.stop()
        return GradingResult(
            volume=volume,
            slice_index=zones.main_slice,
            slice_reason=slice_reason(volume, spine.reason, tuple(discs), zones.main_slice),
            discs=tuple(disc.within(zones.main_slice) for disc in discs),
            label_slice=labels,
            tissue_slice=tissues,
            missing_levels=missing,
            warnings=warnings,
            models=self.models,
            device=self.device_name,
            timings_s=watch.seconds,
            versions=_versions(),
            naming_confidence=named.confidence,
            course=None if spine.curve is None else course_of(volume, spine.curve, tuple(discs)),
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
        spine = segmented(self.segmenter, volume, slice_index, watch.tell)
        watch.start("grade")
        discs = tuple(region_of_mask(np.asarray(mask, dtype=bool), spine.spacing_mm) for mask in masks.values())
        named = NamedDiscs(tuple(masks), discs, (), (), True)
        return self._graded(volume, slice_index, spine.regions, spine.tissues, named)

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
        start = slices[0]
        graded = segmented(self.segmenter, volume, start, watch.tell).segmentation
        nominal = at_nominal_scale(volume)[0]
        scale, rotation = graded.spacing_mm[0] / nominal.spacing_mm[1], graded.grid.rotation_degrees

        def look(index: int) -> Look:
            if index == start:
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
        index = seen.segmentation.slice_index
        (disc,) = self._graded(volume, index, seen.regions, seen.tissues, named)
        return FoundDisc(level, index, region.mask, disc)

    def disc_on_slice(
        self, result: GradingResult, level: str, slice_index: int, progress: Callable[[str], None] | None = None
    ) -> FoundDisc | None:
        """Segment, grade and measure a disc of a result on another slice, which a reader prefers for it.

        Parameters
        ----------
        result : GradingResult
            Corrected or not.
        level : str
            Of one of its discs.
        slice_index : int
            Canonical index.
        progress : callable, optional
            As for `grade`.

        Returns
        -------
        FoundDisc or None
            To be taken by `corrections.MaskEdited`; None where that slice shows no disc at the place.

        Raises
        ------
        ImagingError
            If there is no such slice.
        """
        watch = _Stopwatch(progress)
        watch.start("segment")
        spine = segmented(self.segmenter, result.volume, slice_index, watch.tell)
        region = disc_at(result, level, spine.regions)
        if region is None:
            return None
        watch.start("grade")
        named = NamedDiscs((level,), (region,), (), (), True)
        (disc,) = self._graded(result.volume, slice_index, spine.regions, spine.tissues, named)
        return FoundDisc(level, slice_index, region.mask, disc)

    def _graded(
        self,
        volume: SagittalVolume,
        slice_index: int,
        regions: SpineRegions,
        tissues: NDArray[np.uint8],
        named: NamedDiscs,
    ) -> tuple[DiscGrade, ...]:
        """Grade and measure given discs of a segmented slice."""
        slice_2d, spacing = volume.thick_slice(slice_index), regions.spacing_mm
        fluids = [fluid_signal(slice_2d, regions.canal, disc.axis, spacing) for disc in named.discs]
        probabilities = self._grade_probabilities(slice_2d, named, fluids, spacing)
        doubted = bool(contrast_warnings(slice_2d, tissues))
        return tuple(
            _disc_grade(
                volume,
                slice_index,
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
            spacing = segmented(self.segmenter, result.volume, result.slice_index, watch.tell).spacing_mm
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
            spine = segmented(self.segmenter, turned, 0, before_batch)
            found = _named(spine.regions, turned.voxels[0], spine.segmentation.sight)
            again = self._judged(found, spine.regions, spine.tissues, turned)
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


def _disc_grade(
    volume: SagittalVolume,
    slice_index: int,
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
    row, column = disc.center_mm / np.array(regions.spacing_mm)
    confident = max(by_group) >= CONFIDENT_PROBABILITY and fluid is not None and not contrast_doubted
    warnings = []
    if not confident:
        warnings.append(f"{level}: {LOW_CONFIDENCE}, read it yourself.")
    if disc.touches_border:
        warnings.append(f"{level}: cut by the edge of the image.")
    if disc.probability < FAINT_DISC_PROBABILITY:
        warnings.append(f"{level}: hardly seen, as a collapsed or fused disc may be; check its contour.")
    return DiscGrade(
        level=level,
        group=group,
        group_probabilities=by_group,
        pfirrmann=max(group.grades, key=lambda grade: by_grade[grade - 1]),
        grade_probabilities=by_grade,  # type: ignore[arg-type]
        confident=confident,
        center_lps_mm=volume.lps_mm(slice_index, float(row), float(column)),
        center_row_column=(float(row), float(column)),
        measurements=measure_disc(disc, regions.bodies, slice_2d, fluid, regions.spacing_mm, volume.scale_known),
        warnings=tuple(warnings),
        grade_set=grade_set_of(by_grade, set_threshold) if fluid is not None and not contrast_doubted else (),
        slice_index=slice_index,
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


def _model_use(model: TrainedModel, set_coverage: float | None = None) -> ModelUse:
    return ModelUse(
        name=model.name,
        task=model.task,
        location=model.origin,
        sha256=model.sha256,
        version=str(model.manifest.get("version", "")),
        set_coverage=set_coverage,
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
