"""Doubts about an image that do not stop the grading but must be said."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..pfirrmann import Tissue

LEAST_PIXELS = 50
"""Fewer pixels of a tissue do not tell its signal."""
FLUID_OVER_MARROW = 1.15
"""On T2-weighted images the canal's fluid is brighter than vertebral marrow; on T1-weighted ones it is darker."""
FLUID_PERCENTILE, FAT_PERCENTILE = 75, 95
"""Fluid is the bright part of the canal (nerve roots are darker); fat the brightest of what is around the spine."""
SUPPRESSED_MARROW_TIMES_FAT = 0.088
"""Signal of marrow times that of fat, both over that of fluid: on T2 TSE and T2 SPACE fat is about as bright as fluid
and marrow a third (0.09-1 in 446 images of 417 patients); suppression darkens both, to 0.01-0.06."""
BLURRED_DETAIL, DETAIL_MM, STRUCTURE_MM = 0.15, 0.7, 4.0
"""Contrast of what is finer than `DETAIL_MM` over that of what is finer than `STRUCTURE_MM`: 0.22 or more in the same
images; 0.10 or less once they are smoothed to a resolution of 3.5 mm, at which end plates and annulus are lost."""
NOISE_OVER_SIGNAL = 0.05
"""Noise in the marrow over the signal of fluid (of marrow where that is brighter): 0.036 at most in the same images."""

LEAST_SIDE = 8
"""Fewer pixels along a side of what the discs span tell nothing of detail."""

NOT_T2 = "The image does not look T2-weighted (fluid is not bright); Pfirrmann grades need a T2-weighted image."
FAT_SUPPRESSED = (
    "The image looks fat-suppressed (fat and marrow are dark beside fluid, as on STIR); "
    "Pfirrmann grades need a T2-weighted image without it."
)
UNCHECKED_CONTRAST = "No spinal canal was recognized; the contrast could not be checked."
BLURRED = "The image is too blurred to see the structure of the discs; check each grade."
NOISY = "The image is so noisy that masks and grades may be wrong; check each of them."


def contrast_warnings(slice_2d: NDArray, tissues: NDArray[np.uint8]) -> tuple[str, ...]:
    """Say so where the image does not look T2-weighted, or fat is suppressed.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    tissues : ndarray of uint8, shape (rows, columns)
        Tissue classes as found by the network.
    """
    canal, marrow = slice_2d[tissues == Tissue.CANAL], slice_2d[tissues == Tissue.VERTEBRA]
    if canal.size < LEAST_PIXELS or marrow.size < LEAST_PIXELS:
        return (UNCHECKED_CONTRAST,)
    fluid, marrow_signal = float(np.percentile(canal, FLUID_PERCENTILE)), float(np.median(marrow))
    if fluid < FLUID_OVER_MARROW * marrow_signal:
        return (NOT_T2,)
    around = slice_2d[tissues == Tissue.BACKGROUND]
    fat = float(np.percentile(around, FAT_PERCENTILE)) if around.size else fluid
    return (FAT_SUPPRESSED,) if fat * marrow_signal < SUPPRESSED_MARROW_TIMES_FAT * fluid**2 else ()


def quality_warnings(slice_2d: NDArray, tissues: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> tuple[str, ...]:
    """Say so where the image is too blurred or too noisy to be read.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)
    tissues : ndarray of uint8, shape (rows, columns)
    spacing_mm : tuple of float
    """
    spine = tissues != Tissue.BACKGROUND
    canal, marrow = tissues == Tissue.CANAL, tissues == Tissue.VERTEBRA
    if canal.sum() < LEAST_PIXELS or marrow.sum() < LEAST_PIXELS:
        return ()
    rows, columns = (np.flatnonzero((tissues == Tissue.DISC).any(axis=axis)) for axis in (1, 0))
    if not len(rows) or min(rows[-1] - rows[0], columns[-1] - columns[0]) < LEAST_SIDE:
        return ()
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    image, inside = np.asarray(slice_2d[box], dtype=np.float32), spine[box]
    fine, coarse = (float(_without_smooth(image, size, spacing_mm)[inside].std()) for size in (DETAIL_MM, STRUCTURE_MM))
    if fine < BLURRED_DETAIL * coarse:
        return (BLURRED,)
    noise = _noise(image)[marrow[box][1:-1, 1:-1]]
    signal = max(float(np.percentile(slice_2d[canal], FLUID_PERCENTILE)), float(np.median(slice_2d[marrow])))
    return (NOISY,) if noise.size and float(np.median(np.abs(noise))) > NOISE_OVER_SIGNAL * signal else ()


def _without_smooth(image: NDArray[np.float32], size_mm: float, spacing_mm: tuple[float, float]) -> NDArray[np.float32]:
    """Return what a Gaussian of a standard deviation takes away."""
    smooth = sitk.GetImageFromArray(image)
    smooth.SetSpacing((spacing_mm[1], spacing_mm[0]))
    gaussian = sitk.SmoothingRecursiveGaussianImageFilter()
    gaussian.SetSigma(size_mm)
    gaussian.SetNumberOfWorkUnits(1)  # one slice is too small to share
    return image - sitk.GetArrayFromImage(gaussian.Execute(smooth))


def _noise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mixed second differences, without the edge, scaled so that their median size is the noise's sigma.

    After Immerkaer, Fast noise variance estimation, Comput Vis Image Underst 64(2):300-302, 1996.
    """
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    mixed = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return mixed * (1.4826 / 6.0)
