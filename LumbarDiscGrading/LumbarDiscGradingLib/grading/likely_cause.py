"""Why no lumbar discs were found on an image, tried out: turned, mirrored, or scaled wrongly, they would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..imaging.volume import SagittalVolume
from .input_checks import FAT_SUPPRESSED, NOT_T2
from .plausibility import WRONG_SCALE, ImplausibleResultError, NoDiscsError, Verdict

TO_LOAD = "load a sagittal T2-weighted lumbar series"
UPSIDE_DOWN, MIRRORED, QUARTER = "upside down", "mirrored front to back", "turned by a quarter"
QUARTER_MIRRORED = "turned by a quarter and mirrored"
QUARTERS = (QUARTER, QUARTER_MIRRORED)
"""An image that is upside down is turned by half, so that its front is at the back, or mirrored so that it is not."""
_TURNS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    (UPSIDE_DOWN, lambda voxels: voxels[:, ::-1]),
    (UPSIDE_DOWN, lambda voxels: voxels[:, ::-1, ::-1]),
    (MIRRORED, lambda voxels: voxels[:, :, ::-1]),
    (QUARTER, lambda voxels: np.rot90(voxels, 1, axes=(1, 2))),
    (QUARTER, lambda voxels: np.rot90(voxels, -1, axes=(1, 2))),
    (QUARTER_MIRRORED, lambda voxels: voxels.transpose(0, 2, 1)),
    (QUARTER_MIRRORED, lambda voxels: voxels.transpose(0, 2, 1)[:, ::-1, ::-1]),
)
FIELD_OF_VIEW_MM = (180.0, 450.0)
"""Height of a lumbar series, commonly 260 to 300 mm; another scale is tried only where it gives such a height."""
_SCALES = (2.0, 0.5)
_CONTRASTS = {
    NOT_T2: "fluid is not bright, as on a T1-weighted image",
    FAT_SUPPRESSED: "fat and marrow are dark, as on a fat-suppressed image",
}


def refusal(disc_count: int, verdict: Verdict, lies: str, scaled: bool, contrast: tuple[str, ...]) -> NoDiscsError:
    """Return the error for an image on which no row of lumbar discs was found, with its likely cause.

    Parameters
    ----------
    disc_count : int
        How many discs were found.
    verdict : Verdict
    lies : str
        From `orientation_cause`.
    scaled : bool
        From `scale_cause`.
    contrast : tuple of str
        From `input_checks.contrast_warnings`.
    """
    if lies:
        return ImplausibleResultError(
            f"The image looks {lies}: turn it so that the head is up and the front to the left, and grade it again."
        )
    found = f"What was found cannot be the lumbar discs ({verdict.fault})"
    if scaled or verdict.cause:
        return ImplausibleResultError(f"{found}: {verdict.cause or WRONG_SCALE}, and grade the image again.")
    if not disc_count:
        return NoDiscsError(f"No intervertebral disc was found; {TO_LOAD}.")
    causes = [cause for warning, cause in _CONTRASTS.items() if warning in contrast]
    cause = causes[0] if causes else "another contrast, another part of the body or a slice beside the spine is likely"
    return ImplausibleResultError(f"{found}: {cause}; {TO_LOAD}.")


def orientation_cause(
    volume: SagittalVolume,
    slice_index: int,
    is_spine: Callable[[SagittalVolume], bool],
    quarters: bool = True,
) -> str:
    """Return in words how the image lies, if a lumbar spine is on it once it is turned; empty if none is.

    Parameters
    ----------
    volume : SagittalVolume
    slice_index : int
        Canonical index of the slice to try on.
    is_spine : callable
        Tells whether a lumbar spine is on a volume of one slice.
    quarters : bool
        Try quarter turns as well; discs that were found one above the other rule them out.
    """
    one = volume.voxels[slice_index : slice_index + 1]
    for cause, turned in _TURNS:
        if quarters or cause not in QUARTERS:
            voxels = np.ascontiguousarray(turned(one))
            if is_spine(_with_voxels(volume, voxels, cause in QUARTERS)):
                return cause
    return ""


def scale_cause(volume: SagittalVolume, slice_index: int, is_spine: Callable[[SagittalVolume], bool]) -> bool:
    """Tell whether a lumbar spine is on the slice once its pixels are taken for twice or half as large."""
    if not volume.scale_known:
        return False
    one = np.ascontiguousarray(volume.voxels[slice_index : slice_index + 1])
    height_mm = one.shape[1] * volume.spacing_mm[1]
    for factor in _SCALES:
        if not FIELD_OF_VIEW_MM[0] < factor * height_mm < FIELD_OF_VIEW_MM[1]:
            continue
        matrix = volume.index_to_lps.copy()
        matrix[:3, 1:3] *= factor
        if is_spine(replace(volume, voxels=one, index_to_lps=matrix)):
            return True
    return False


def _with_voxels(volume: SagittalVolume, voxels: np.ndarray, quarter: bool) -> SagittalVolume:
    """Put turned voxels on the volume's grid; after a quarter turn rows are as far apart as columns were."""
    matrix = volume.index_to_lps.copy()
    if quarter:
        _, row_mm, column_mm = volume.spacing_mm
        matrix[:3, 1] *= column_mm / row_mm
        matrix[:3, 2] *= row_mm / column_mm
    return replace(volume, voxels=voxels, index_to_lps=matrix)
