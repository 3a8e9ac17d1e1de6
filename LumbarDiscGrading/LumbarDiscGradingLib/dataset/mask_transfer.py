"""Masks of a volume carried over to a picture of the same spine: registered in the plane, checked, or refused.

The picture is one slice of another sequence, taken in the same session but not in the same place, and may be stretched.
Points at the posterior margins of the discs start the registration and check it; intensities around the spine refine
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..imaging.crop import disc_axis
from ..imaging.volume import SagittalVolume
from ..pfirrmann import DISC_LABELS, LEVELS_UPWARD, Tissue
from .discs import separate_discs

SEARCHED_MM, SEARCH_STEP_MM = 9.0, 1.8
"""How far to both sides of the volume's middle the picture's slice is looked for, and in which steps."""
SLAB_MM = 4.0
"""Thickness of a clinical slice: as much of the volume is averaged."""
MARGIN_MM = 3.0
"""What lies this near to a disc's last pixel is its posterior margin."""
LEAST_PIXELS = 60
"""A smaller part of a mask is the rim of a disc beside the slice."""
AROUND_MM = (45.0, 30.0, 35.0)
"""In front of, behind, and above and below the points: what is compared."""
LEAST_COMMON_LEVELS = 4
HISTOGRAM_BINS = 32
LEVEL_SHIFTS = (0, -1, 1)
"""Masks whose lowest disc was left out, or that begin with a sacral one, are named wrongly by counting."""

MOST_POINT_MM, MOST_WORST_POINT_MM = 6.0, 8.0
"""Median and largest distance of the carried margins from the points, which a reader sets a few millimetres behind."""
LEAST_CORRELATION = 0.6
"""Of the two images around the spine, once they are registered."""
MOST_STRETCH, MOST_SHEAR = 1.35, 0.15
"""Ratio of the two scales of the transform, and its shear: more is no stretched picture."""


@dataclass(frozen=True)
class Transfer:
    """A mask carried over to a picture.

    Attributes
    ----------
    mask : ndarray of uint8, shape (rows, columns)
        Labels on the picture's pixels.
    slice_index : int
        Middle slice of the volume that shows the same.
    pixel_mm : tuple of float
        Size of the picture's pixels along rows and columns, by the registration.
    point_mm : tuple of float
        Median and largest distance of the carried discs' margins from the points.
    correlation : float
        Of the two images around the spine.
    stretch, shear : float
        Of the transform.
    level_shift : int
        By how many levels the discs of the volume's mask had to be renamed upward to lie on the points.
    problem : str
        Why the mask is not to be used, as half a sentence; empty where it passed.
    """

    mask: NDArray[np.uint8]
    slice_index: int
    pixel_mm: tuple[float, float]
    point_mm: tuple[float, float]
    correlation: float
    stretch: float
    shear: float
    level_shift: int
    problem: str


def transfer_mask(
    volume: SagittalVolume, mask: NDArray[np.uint8], picture: NDArray, points: Mapping[str, tuple[float, float]]
) -> Transfer | None:
    """Carry the labels of a volume over to a picture of the same spine.

    Parameters
    ----------
    volume : SagittalVolume
    mask : ndarray of uint8, shape (slices, rows, columns)
        Tissues, and discs by level. Discs without a level are named from the bottom upward first.
    picture : ndarray, shape (rows, columns)
    points : mapping of str to tuple of float
        Row and column of the posterior margin of the disc of each level on the picture.

    Returns
    -------
    Transfer or None
        None where fewer than `LEAST_COMMON_LEVELS` levels have both a point and a disc.
    """
    mask = _with_levels(mask)
    tried = [(shift, _shifted(mask, shift)) for shift in LEVEL_SHIFTS]
    found = [
        (fit.correlation, shift, shifted)
        for shift, shifted in tried
        if (fit := _best_fit(volume, shifted, picture, points, [volume.middle_slice_index])) is not None
    ]
    if not found:
        return None
    _, shift, mask = max(found, key=lambda entry: entry[0])
    fit = _best_fit(volume, mask, picture, points, _searched(volume))
    if fit is None:
        return None
    pixel_mm, stretch, shear = _shape_of(fit.transform, fit.pixel_mm)
    on_picture = fit.carried(mask, volume.spacing_mm, picture)
    apart = _point_distances(on_picture, points, pixel_mm)
    transfer = Transfer(
        on_picture, fit.slice_index, pixel_mm, apart, fit.correlation, stretch, shear, shift, problem=""
    )
    return replace(transfer, problem=_problem(transfer))


@dataclass(frozen=True)
class _Fit:
    """A slice of the volume registered to the picture."""

    correlation: float
    slice_index: int
    transform: sitk.Transform
    pixel_mm: float

    def carried(
        self, mask: NDArray[np.uint8], spacing_mm: tuple[float, float, float], picture: NDArray
    ) -> NDArray[np.uint8]:
        """Return the labels of the slice on the picture's pixels."""
        labels = _image(mask[self.slice_index].astype(np.float32), spacing_mm[1:])
        onto = _image(picture, (self.pixel_mm, self.pixel_mm))
        return sitk.GetArrayFromImage(
            sitk.Resample(labels, onto, self.transform, sitk.sitkNearestNeighbor, 0.0)
        ).astype(np.uint8)


def _best_fit(
    volume: SagittalVolume,
    mask: NDArray[np.uint8],
    picture: NDArray,
    points: Mapping[str, tuple[float, float]],
    slices: list[int],
) -> _Fit | None:
    """Register each of several slices, and return the one that fits best."""
    _, row_mm, column_mm = volume.spacing_mm
    fixed_pixels = _window(picture)
    best: _Fit | None = None
    for index in slices:
        margins = _margins(mask[index], (row_mm, column_mm))
        levels = [level for level in points if level in margins]
        if len(levels) < LEAST_COMMON_LEVELS:
            continue
        start = _Start.of(np.array([points[level] for level in levels]), np.array([margins[level] for level in levels]))
        fixed = _image(fixed_pixels, (start.pixel_mm, start.pixel_mm))
        moving = _image(_window(volume.thick_slice(index, SLAB_MM)), (row_mm, column_mm))
        compared = start.compared(np.array(list(points.values())), picture.shape)
        transform = _registered(fixed, moving, compared, start.transform)
        score = _correlation(fixed, moving, compared, transform)
        if best is None or score > best.correlation:
            best = _Fit(score, index, transform, start.pixel_mm)
    return best


def _with_levels(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Name discs that have no level from the bottom upward; any wrong name is a matter of the shift."""
    if not (mask == Tissue.DISC).any():
        return mask
    numbers = separate_discs(mask == Tissue.DISC)
    named = np.where(mask == Tissue.DISC, 0, mask).astype(np.uint8)
    for number, level in enumerate(LEVELS_UPWARD, start=1):
        named[numbers == number] = DISC_LABELS[level]
    return named


def _shifted(mask: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    """Rename each disc to the level so many above its own; what then has no level is background."""
    table = np.arange(256, dtype=np.uint8)
    for position, level in enumerate(LEVELS_UPWARD):
        there = position + shift
        table[DISC_LABELS[level]] = DISC_LABELS[LEVELS_UPWARD[there]] if 0 <= there < len(LEVELS_UPWARD) else 0
    return table[mask]


def _problem(found: Transfer) -> str:
    if found.point_mm[0] > MOST_POINT_MM or found.point_mm[1] > MOST_WORST_POINT_MM:
        return f"the discs lie {found.point_mm[0]:.1f} mm from the points, {found.point_mm[1]:.1f} mm at most"
    if found.correlation < LEAST_CORRELATION:
        return f"the images around the spine correlate by {found.correlation:.2f} only"
    if found.stretch > MOST_STRETCH or found.shear > MOST_SHEAR:
        return f"the picture would be stretched {found.stretch:.2f} times and sheared by {found.shear:.2f}"
    return ""


def _searched(volume: SagittalVolume) -> list[int]:
    through = volume.spacing_mm[0]
    step = max(1, round(SEARCH_STEP_MM / through))
    most = int(SEARCHED_MM / through)
    middle = volume.middle_slice_index
    offsets = range(-(most // step) * step, most + 1, step)
    return [middle + offset for offset in offsets if 0 <= middle + offset < volume.slice_count]


def _window(pixels: NDArray) -> NDArray[np.float32]:
    low, high = np.percentile(pixels, (1.0, 99.0))
    return np.sqrt(np.clip((pixels.astype(np.float32) - low) / max(float(high - low), 1e-6), 0.0, 1.0))


def _image(pixels: NDArray, spacing_mm: tuple[float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(pixels, dtype=np.float32))
    image.SetSpacing((float(spacing_mm[1]), float(spacing_mm[0])))
    return image


def _margins(labels: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> dict[str, NDArray[np.float64]]:
    """Return the posterior margin (row, column), in mm, of each named disc on a slice."""
    margins = {}
    for level, value in DISC_LABELS.items():
        pixels = np.argwhere(labels == value)
        if len(pixels) < LEAST_PIXELS:
            continue
        axis = disc_axis(pixels, spacing_mm)
        places = pixels * np.array(spacing_mm)
        along = places @ axis.along
        margins[level] = places[along >= along.max() - MARGIN_MM].mean(axis=0)
    return margins


def _point_distances(
    labels: NDArray[np.uint8], points: Mapping[str, tuple[float, float]], pixel_mm: tuple[float, float]
) -> tuple[float, float]:
    margins = _margins(labels, pixel_mm)
    apart = [
        float(np.linalg.norm(margins[level] - np.array(point) * pixel_mm)) if level in margins else np.inf
        for level, point in points.items()
    ]
    return float(np.median(apart)), float(np.max(apart))


@dataclass(frozen=True)
class _Start:
    """The similarity that lays the points of the picture on the margins of the volume's discs."""

    pixel_mm: float
    transform: sitk.AffineTransform

    @classmethod
    def of(cls, points: NDArray[np.float64], margins_mm: NDArray[np.float64]) -> _Start:
        """Fit by least squares (Umeyama): `points` in pixels, `margins_mm` in mm, shape (n, 2), row and column."""
        about, onto = points.mean(axis=0), margins_mm.mean(axis=0)
        first, second = points - about, margins_mm - onto
        left, values, right = np.linalg.svd(second.T @ first)
        sign = np.array([1.0, np.sign(np.linalg.det(left @ right))])
        rotation = left @ np.diag(sign) @ right
        pixel_mm = float((values * sign).sum() / (first**2).sum())
        transform = sitk.AffineTransform(2)
        swapped = rotation[::-1, ::-1]  # ITK counts (x, y): column before row
        transform.SetMatrix([float(value) for value in swapped.ravel()])
        transform.SetCenter([float(value) for value in (about * pixel_mm)[::-1]])
        transform.SetTranslation([float(value) for value in (onto - about * pixel_mm)[::-1]])
        return cls(pixel_mm, transform)

    def compared(self, points: NDArray[np.float64], shape: tuple[int, ...]) -> sitk.Image:
        """Return the mask of what is compared, on the picture."""
        front, back, beyond = (size / self.pixel_mm for size in AROUND_MM)
        rows, columns = np.indices(shape)
        order = points[np.argsort(points[:, 0])]
        middle = np.interp(rows[:, 0], order[:, 0], order[:, 1])[:, None]
        inside = (columns > middle - front) & (columns < middle + back)
        inside &= (rows > order[0, 0] - beyond) & (rows < order[-1, 0] + beyond)
        image = sitk.GetImageFromArray(inside.astype(np.uint8))
        image.SetSpacing((self.pixel_mm, self.pixel_mm))
        return image


def _registered(
    fixed: sitk.Image, moving: sitk.Image, compared: sitk.Image, start: sitk.AffineTransform
) -> sitk.Transform:
    """Refine a transform: first as a rigid one with one scale, then with all freedom in the plane."""
    similarity = sitk.Similarity2DTransform()
    similarity.SetMatrix(start.GetMatrix())
    similarity.SetCenter(start.GetCenter())
    similarity.SetTranslation(start.GetTranslation())
    coarse = _optimized(fixed, moving, compared, similarity, (4, 2), (2.0, 1.0))
    affine = sitk.AffineTransform(2)
    refined = sitk.Similarity2DTransform(coarse)
    affine.SetMatrix(refined.GetMatrix())
    affine.SetCenter(refined.GetCenter())
    affine.SetTranslation(refined.GetTranslation())
    return _optimized(fixed, moving, compared, affine, (3, 1), (1.5, 0.5))


def _optimized(
    fixed: sitk.Image,
    moving: sitk.Image,
    compared: sitk.Image,
    transform: sitk.Transform,
    shrink: tuple[int, ...],
    smooth: tuple[float, ...],
) -> sitk.Transform:
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    registration.SetMetricFixedMask(compared)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(1.0, 0.01, 100, 0.6, 1e-6)
    registration.SetOptimizerScalesFromPhysicalShift()
    registration.SetShrinkFactorsPerLevel(shrink)
    registration.SetSmoothingSigmasPerLevel(smooth)
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    registration.SetNumberOfWorkUnits(1)
    registration.SetInitialTransform(transform, inPlace=False)
    result = registration.Execute(fixed, moving)
    return result.GetNthTransform(0) if isinstance(result, sitk.CompositeTransform) else result


def _correlation(fixed: sitk.Image, moving: sitk.Image, compared: sitk.Image, transform: sitk.Transform) -> float:
    moved = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0))
    inside = sitk.GetArrayFromImage(compared) > 0
    return float(np.corrcoef(sitk.GetArrayFromImage(fixed)[inside], moved[inside])[0, 1])


def _shape_of(transform: sitk.Transform, pixel_mm: float) -> tuple[tuple[float, float], float, float]:
    """Return the picture's pixel size along rows and columns, the ratio of the two, and the shear."""
    matrix = np.array(sitk.AffineTransform(transform).GetMatrix()).reshape(2, 2)
    down, back = matrix[:, 1], matrix[:, 0]
    along_rows, along_columns = float(np.linalg.norm(down)), float(np.linalg.norm(back))
    shear = abs(float(down @ back)) / (along_rows * along_columns)
    stretch = max(along_rows, along_columns) / min(along_rows, along_columns)
    return (pixel_mm * along_rows, pixel_mm * along_columns), stretch, shear
