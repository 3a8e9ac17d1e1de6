"""Voxels and geometry of image files, without any windowing: what masks need, and what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..imaging.stated_geometry import index_to_lps_of
from .manifest import DatasetError


def read_stored(path: Path) -> tuple[NDArray, NDArray[np.float64]]:
    """Read an image file as it is stored.

    Returns
    -------
    ndarray, shape (k, j, i)
        Values as stored.
    ndarray, shape (4, 4)
        Maps (i, j, k, 1) to LPS mm.

    Raises
    ------
    DatasetError
        If the file cannot be read or is not a scalar 3-D image.
    """
    reader = _header_read(path)
    try:
        return sitk.GetArrayFromImage(reader.Execute()), index_to_lps_of(reader)
    except RuntimeError:
        raise _unreadable(path) from None


def read_grid(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Read the voxel grid of an image file from its header.

    Returns
    -------
    tuple of int
        Shape (k, j, i).
    ndarray, shape (4, 4)
        As from `read_stored`, which raises the same.
    """
    reader = _header_read(path)
    columns, rows, slices = reader.GetSize()
    return (slices, rows, columns), index_to_lps_of(reader)


def write_stored(path: Path, array: NDArray, index_to_lps: NDArray[np.float64]) -> None:
    """Write an array (k, j, i) with its geometry to `path`, compressed."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    spacing = np.linalg.norm(index_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((index_to_lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(index_to_lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _header_read(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise _unreadable(path) from None
    if reader.GetNumberOfComponents() != 1 or reader.GetDimension() != 3:
        raise DatasetError(f"{path} is not a scalar 3-D image; convert it to one value per voxel.")
    return reader


def _unreadable(path: Path) -> DatasetError:
    return DatasetError(f"{path} cannot be read as an image; replace or remove it.")
