"""Graded discs for the training of the grading network, found on labelled or segmented slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...dataset.labelled import LabelledCase, LabelledDataset
from ...grading.discs import find_regions
from ...grading.measurements import fluid_signal
from ...grading.naming.levels import name_levels, shown_bottom_mm
from ...grading.segmenter import Segmenter
from ...grading.spine.segmented import segmented
from ...imaging.crop import DiscAxis
from ...imaging.volume import SagittalVolume
from ...pfirrmann import DISC_LABELS, Tissue
from ..mask_targets import tissues_and_landmark
from ..recipes import GradingRecipe

if TYPE_CHECKING:
    from ...evaluation.scores import DiscScore

BESIDE_MM = 3.0
"""Distance from the middle slice of the further views of a disc in a volume of thin slices."""


@dataclass(frozen=True)
class DiscSample:
    """One graded disc.

    Attributes
    ----------
    patient, source, split, level : str
    grade : int
        Reference Pfirrmann grade.
    slice_2d : ndarray of float32, shape (rows, columns)
        Part of the slice around the disc.
    mask : ndarray of bool, shape (rows, columns)
    axis : DiscAxis
        In mm of that part.
    fluid : float
    spacing_mm : tuple of float
    believed : tuple of float or None
        Probabilities of grades I to V by a network that never saw the patient (`first_round`).
    subject : str
        Of the case.
    found_by : str
        SHA-256 of the segmentation model that found it; empty where the mask is the reference.
    """

    patient: str
    source: str
    split: str
    level: str
    grade: int
    slice_2d: NDArray[np.float32]
    mask: NDArray[np.bool_]
    axis: DiscAxis
    fluid: float
    spacing_mm: tuple[float, float]
    believed: tuple[float, ...] | None = None
    subject: str = ""
    found_by: str = ""


def disc_of(item: DiscSample | DiscScore) -> tuple[str, str, str]:
    """Return what names a disc, however many slices show it: data set, case and level."""
    return item.source, item.patient, item.level


def samples_of_case(case: LabelledCase, segmenter: Segmenter) -> list[DiscSample]:
    """Return the graded discs of a case, found by a mask with sure levels and a canal, else by the network."""
    volume = case.volume()
    labels = case.mask() if case.levels_trusted else None
    if labels is not None and (labels == Tissue.CANAL).any():  # signals are relative to the canal's fluid
        return _samples_by_mask(case, volume, labels)
    spine = segmented(segmenter, volume)
    regions, spacing = spine.regions, spine.spacing_mm
    slice_2d = spine.zones.picture(volume, spacing)
    named = name_levels(regions, shown_bottom_mm(slice_2d, spacing[0]), spine.segmentation.sight)
    samples = []
    for level, disc in zip(named.levels, named.discs, strict=True):
        fluid = fluid_signal(slice_2d, regions.canal, disc.axis, spacing)
        if level in case.grades and fluid:
            found_by = segmenter.model.sha256
            samples.append(_sample(case, level, slice_2d, disc.mask, disc.axis, fluid, spacing, found_by))
    return samples


def _samples_by_mask(case: LabelledCase, volume: SagittalVolume, labels: NDArray[np.uint8]) -> list[DiscSample]:
    """Cut the graded discs from thick slices at and beside the middle; the copies of a disc are further views of it.

    The middle slice comes first.
    """
    spacing = volume.spacing_mm[1:]
    beside = round(BESIDE_MM / volume.spacing_mm[0])
    samples = []
    for offset in sorted({0, -beside, beside}, key=abs) if case.split == "train" else [0]:
        middle = int(np.clip(volume.middle_slice_index + offset, 0, volume.slice_count - 1))
        slice_2d = volume.thick_slice(middle)
        tissues, _ = tissues_and_landmark(labels[middle])
        everywhere = np.ones(tissues.shape, dtype=bool)
        regions = find_regions(tissues, (tissues == Tissue.DISC).astype(np.float32), None, everywhere, spacing)
        for disc in regions.discs:
            values = labels[middle][disc.mask]
            level = next((name for name, value in DISC_LABELS.items() if value == np.bincount(values).argmax()), "")
            fluid = fluid_signal(slice_2d, regions.canal, disc.axis, spacing)
            if level in case.grades and fluid:
                samples.append(_sample(case, level, slice_2d, disc.mask, disc.axis, fluid, spacing))
    return samples


CUT_MM = 48.0
"""Half side of the part of the slice that is kept around a disc: a turned and shifted 64 mm crop fits."""


def _sample(
    case: LabelledCase,
    level: str,
    slice_2d: NDArray[np.float32],
    mask: NDArray[np.bool_],
    axis: DiscAxis,
    fluid: float,
    spacing: tuple[float, float],
    found_by: str = "",
) -> DiscSample:
    cut, shifted = [], []
    for center, step, size in zip(axis.center_mm, spacing, slice_2d.shape, strict=True):
        first = int(np.clip(np.floor((center - CUT_MM) / step), 0, size - 1))
        last = int(np.clip(np.ceil((center + CUT_MM) / step), 1, size))
        cut.append(slice(first, last))
        shifted.append(center - first * step)
    return DiscSample(
        patient=case.patient,
        source=case.source,
        split=case.split,
        level=level,
        grade=case.grades[level],
        slice_2d=np.ascontiguousarray(slice_2d[tuple(cut)]),
        mask=np.ascontiguousarray(mask[tuple(cut)]),
        axis=DiscAxis((shifted[0], shifted[1]), axis.angle_degrees),
        fluid=fluid,
        spacing_mm=spacing,
        subject=case.subject,
        found_by=found_by,
    )


def collect_samples(datasets: Sequence[LabelledDataset], segmentation_model: str | None) -> list[DiscSample]:
    """Return the graded discs of all training and tuning patients; test patients are not read.

    Parameters
    ----------
    datasets : sequence of LabelledDataset
    segmentation_model : str or None
        Finds the discs of cases without masks; None for the built-in default.
    """
    from tqdm import tqdm

    from ...grading.device import choose_device
    from ...models.store import find_model

    cases = [case for dataset in datasets for split in ("train", "tune") for case in dataset.cases_in(split)]
    cases = [case for case in cases if case.grades]
    segmenter = Segmenter(find_model(segmentation_model, "segmentation"), choose_device("auto")[0])
    return [sample for case in tqdm(cases, desc="Discs", unit="patient") for sample in samples_of_case(case, segmenter)]


def split_samples(
    samples: list[DiscSample], recipe: GradingRecipe, seed: int
) -> tuple[list[DiscSample], list[DiscSample]]:
    """Split discs into training and tuning: by patient, or at random as in the study (with a warning)."""
    if recipe.split_by_patient:
        return [s for s in samples if s.split == "train"], [s for s in samples if s.split == "tune"]
    print(
        "Discs are split at random, as in the study: discs of one patient are in both sets, so the figures on the "
        "tuning set are too good."
    )
    discs = sorted(set(map(disc_of, samples)))
    drawn = np.random.default_rng(seed).permutation(len(discs))[: round(len(discs) * STUDY_TUNING_SHARE)]
    tuning = {discs[index] for index in drawn}  # with all slices of a disc
    parts: tuple[list[DiscSample], list[DiscSample]] = ([], [])
    for sample in samples:
        parts[disc_of(sample) in tuning].append(sample)
    return parts


STUDY_TUNING_SHARE = 72 / 372
"""Of the discs that are not tested: 300 for training and 72 for tuning in the study."""
