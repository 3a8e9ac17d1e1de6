"""The network's canvas: a 512 x 512 grid of fixed physical pixel size laid over a sagittal slice, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

CANVAS_SHAPE = (512, 512)
CANVAS_PIXEL_SIZE_MM = 0.625
"""Pixel size of the canvas: 512 pixels cover 320 mm, a lumbar field of view."""

MAX_CANVAS = 1024
"""Rows and columns of the largest canvas: 640 mm, a whole spine."""

INPUT_LOW_PERCENTILE, INPUT_HIGH_PERCENTILE = 0.5, 99.5
"""Robust intensity range of a slice that the network sees."""


def normalized_slice(slice_2d: NDArray) -> NDArray[np.float32]:
    """Window a slice automatically for the network.

    The robust range of the whole slice (0.5th to 99.5th percentile) is mapped to 0-1, clipped, and compressed by a
    square root, since subcutaneous fat next to a surface coil is many times brighter than the spine.

    Parameters
    ----------
    slice_2d : ndarray, shape (rows, columns)

    Returns
    -------
    ndarray of float32, shape (rows, columns), values 0-1
    """
    values = np.asarray(slice_2d, dtype=np.float32)
    low, high = np.percentile(values, (INPUT_LOW_PERCENTILE, INPUT_HIGH_PERCENTILE))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros_like(values)
    return np.sqrt(np.clip((values - low) / (high - low), 0.0, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Grid:
    """A rectangular grid of square pixels laid over a slice: the network's canvas or a disc crop.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the grid.
    pixel_size_mm : float
    center_mm : tuple of float
        Position of the grid's centre on the slice in mm: row and column index times the slice's pixel spacing.
    rotation_degrees : float
        Direction of the grid's columns on the slice, turned from the slice's columns towards its rows.
    """

    shape: tuple[int, int]
    pixel_size_mm: float
    center_mm: tuple[float, float]
    rotation_degrees: float = 0.0

    @classmethod
    def over(
        cls,
        slice_shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        pixel_size_mm: float = CANVAS_PIXEL_SIZE_MM,
        shape: tuple[int, int] = CANVAS_SHAPE,
    ) -> Grid:
        """Lay a canvas centred over a slice of `slice_shape` pixels at `spacing_mm` (rows, columns)."""
        center = tuple((size - 1) / 2 * step for size, step in zip(slice_shape, spacing_mm, strict=True))
        return cls(shape, pixel_size_mm, center)  # type: ignore[arg-type]

    @classmethod
    def fitting(
        cls,
        slice_shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        pixel_size_mm: float = CANVAS_PIXEL_SIZE_MM,
        rotation_degrees: float = 0.0,
    ) -> Grid:
        """Lay a canvas over a slice, trimmed or grown in steps of 16 pixels to the slice's field of view.

        A fully convolutional network sees the same as on the full canvas, without computing its empty margins, and a
        field of view larger than the canvas is not cut.
        """
        extent = np.array(slice_shape) * np.array(spacing_mm)
        angle = np.radians(abs(rotation_degrees))
        turned = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ extent
        rows, columns = (int(np.clip(16 * np.ceil(size / pixel_size_mm / 16), 64, MAX_CANVAS)) for size in turned)
        canvas = cls.over(slice_shape, spacing_mm, pixel_size_mm, (rows, columns))
        return cls(canvas.shape, pixel_size_mm, canvas.center_mm, rotation_degrees)

    def part(self, first: tuple[int, int], shape: tuple[int, int]) -> Grid:
        """Return the part of the grid that begins at a row and column and has `shape`; it may reach over the edge."""
        middle = np.array(first) + (np.array(shape) - 1) / 2
        row, column = self.to_mm(middle[None])[0]
        return Grid(shape, self.pixel_size_mm, (float(row), float(column)), self.rotation_degrees)

    @property
    def matrix_mm(self) -> NDArray[np.float64]:
        """The (2, 3) matrix from grid (row, column, 1) to slice position in mm (along rows, along columns)."""
        angle = np.radians(self.rotation_degrees)
        # a grid column step runs along (sin, cos) in (row, column) mm, a grid row step at right angles to it
        linear = self.pixel_size_mm * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = (np.array(self.shape) - 1) / 2
        return np.column_stack([linear, np.array(self.center_mm) - linear @ middle])

    def to_mm(self, row_column: NDArray) -> NDArray[np.float64]:
        """Map grid positions, shape (n, 2), to slice positions in mm, shape (n, 2)."""
        matrix = self.matrix_mm
        return np.asarray(row_column, dtype=float) @ matrix[:, :2].T + matrix[:, 2]

    def from_mm(self, position_mm: NDArray) -> NDArray[np.float64]:
        """Map slice positions in mm, shape (n, 2), to grid positions, shape (n, 2)."""
        matrix = self.matrix_mm
        return (np.asarray(position_mm, dtype=float) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def sample(self, slice_2d: NDArray, spacing_mm: tuple[float, float], nearest: bool = False) -> NDArray[np.float32]:
        """Resample a slice onto the grid; zero outside the slice.

        A slice sampled much more finely than the grid is smoothed first, so that nothing aliases.

        Parameters
        ----------
        slice_2d : ndarray, shape (rows, columns)
        spacing_mm : tuple of float
            Pixel spacing of the slice along rows and columns.
        nearest : bool
            Nearest neighbour, for masks.

        Returns
        -------
        ndarray of float32, shape `shape`
        """
        image = sitk.GetImageFromArray(np.ascontiguousarray(slice_2d, dtype=np.float32))
        image.SetSpacing((float(spacing_mm[1]), float(spacing_mm[0])))
        if not nearest:
            image = _antialiased(image, self.pixel_size_mm)
        return _resample(image, self.shape, self._itk_geometry(), nearest)

    def sample_back(
        self, values: NDArray, slice_shape: tuple[int, int], spacing_mm: tuple[float, float], nearest: bool = False
    ) -> NDArray[np.float32]:
        """Resample values on the grid, shape `shape`, back onto the pixels of the slice; zero outside the grid."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32))
        spacing, origin, direction = self._itk_geometry()
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction)
        geometry = ((float(spacing_mm[1]), float(spacing_mm[0])), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))
        return _resample(image, slice_shape, geometry, nearest)

    def _itk_geometry(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        matrix = self.matrix_mm
        swapped = matrix[::-1]  # ITK counts (column, row)
        linear = swapped[:, 1::-1] / self.pixel_size_mm
        return (self.pixel_size_mm,) * 2, tuple(swapped[:, 2]), tuple(linear.ravel())


def _antialiased(image: sitk.Image, pixel_size_mm: float) -> sitk.Image:
    # variance that a box of the new pixel adds over one of the old (uniform distribution: width^2 / 12)
    sigmas = [np.sqrt(max(pixel_size_mm**2 - step**2, 0.0) / 12) for step in image.GetSpacing()]
    if max(sigma / step for sigma, step in zip(sigmas, image.GetSpacing(), strict=True)) < 0.3:
        return image
    return sitk.DiscreteGaussian(image, [float(max(sigma, 1e-3)) ** 2 for sigma in sigmas], 16, 0.02, True)


def _resample(image: sitk.Image, shape: tuple[int, int], geometry: tuple, nearest: bool) -> NDArray[np.float32]:
    spacing, origin, direction = geometry
    interpolator = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    size = (int(shape[1]), int(shape[0]))
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfWorkUnits(1)  # on one slice, threads beside those of torch cost more than they save
    resampler.SetSize(size)
    resampler.SetInterpolator(interpolator)
    resampler.SetOutputOrigin(origin)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputDirection(direction)
    resampler.SetDefaultPixelValue(0.0)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    return sitk.GetArrayFromImage(resampler.Execute(image))
