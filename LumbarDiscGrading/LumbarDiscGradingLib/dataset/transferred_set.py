"""Pictures without masks and volumes with masks of the same patients, made into pictures with masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..imaging.volume import SagittalVolume
from ..progress import ListProgress, unwatched
from .labelled import LabelledCase, LabelledDataset, person_of
from .manifest import SPLITS, DatasetError
from .mask_transfer import Transfer, transfer_mask
from .writing import CaseToWrite, write_dataset

Told = Callable[[str], None]


def transfer_set(
    volumes: LabelledDataset,
    pictures: LabelledDataset,
    destination: Path | str,
    name: str | None = None,
    replace_there: bool = False,
    tell: Told = lambda line: None,
    progress: ListProgress = unwatched,
) -> LabelledDataset:
    """Write a data set of the pictures whose masks could be carried over from the volume of the same patient.

    Patients are the same where their pseudonyms are. The splits are those of the pictures.

    Parameters
    ----------
    volumes : LabelledDataset
        With masks.
    pictures : LabelledDataset
        With points.
    destination : Path
    name : str, optional
        By default that of the pictures with ``_masks`` behind it.
    replace_there : bool
        Whether a data set already at `destination` is replaced.
    tell : callable
        Called with a line on each patient: what was measured, and why a mask is left out.
    progress : callable
        Wraps what is iterated over.

    Raises
    ------
    DatasetError
        If no mask passes, or a patient is in another split in the one set than in the other.
    """
    masked = {person_of(case)[1]: case for case in volumes.cases if case.has_mask}
    both = [case for case in pictures.cases if case.level_points and person_of(case)[1] in masked]
    torn = sorted(case.patient for case in both if masked[person_of(case)[1]].split != case.split)
    if torn:
        raise DatasetError(f"{volumes.name} and {pictures.name} have patient {torn[0]} in different splits; mend one.")
    cases = list(_carried([(masked[person_of(case)[1]], case) for case in both], tell, progress))
    if not cases:
        raise DatasetError(f"No mask of {volumes.name} could be carried over to a picture of {pictures.name}.")
    there = {case.patient for case in cases}
    splits = {part: [case.patient for case in pictures.cases_in(part) if case.patient in there] for part in SPLITS}
    return write_dataset(
        destination,
        name=name or f"{pictures.name}_masks",
        cases=cases,
        splits=splits,
        licence=pictures.manifest["licence"],
        attribution=f"{pictures.manifest['attribution']} Masks carried over from {volumes.name}: "
        f"{volumes.manifest['attribution']}",
        provenance={"masks_from": volumes.name, "pictures_from": pictures.name},
        replace=replace_there,
    )


def _carried(
    pairs: Sequence[tuple[LabelledCase, LabelledCase]],
    tell: Told,
    progress: ListProgress,
) -> Iterator[CaseToWrite]:
    for with_mask, with_points in progress(pairs):
        mask, picture = with_mask.mask(), with_points.volume()
        if mask is None:
            continue
        found = transfer_mask(with_mask.volume(), mask, picture.voxels[0], with_points.level_points)
        tell(f"Patient {with_points.patient} ({with_points.split}): {_in_words(found)}")
        if found is None or found.problem:
            continue
        yield CaseToWrite(
            with_points.patient,
            _rescaled(picture, found.pixel_mm),
            found.mask[None],
            with_points.grades,
            kind="picture",
            notes=(f"Mask carried over: {_in_words(found)}",),
            level_points=with_points.level_points,
        )


def _in_words(found: Transfer | None) -> str:
    if found is None:
        return "left out, too few levels have both a disc and a point."
    middle, most = found.point_mm
    rows, columns = found.pixel_mm
    measured = (
        f"correlation {found.correlation:.2f}, points {middle:.1f} mm apart, {most:.1f} at most, "
        f"pixels {rows:.3f} x {columns:.3f} mm"
    )
    return f"left out, {found.problem} ({measured})." if found.problem else f"{measured}."


def _rescaled(picture: SagittalVolume, pixel_mm: tuple[float, float]) -> SagittalVolume:
    """Return a picture with the pixel size that the registration found."""
    matrix = picture.index_to_lps.copy()
    matrix[:3, 1] *= pixel_mm[0] / picture.spacing_mm[1]
    matrix[:3, 2] *= pixel_mm[1] / picture.spacing_mm[2]
    return replace(picture, voxels=np.ascontiguousarray(picture.voxels), index_to_lps=matrix, scale_known=True)
