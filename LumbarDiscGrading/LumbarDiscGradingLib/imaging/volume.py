"""`SagittalVolume`: voxels in one canonical sagittal order with their LPS geometry, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

MAX_OBLIQUE_DEGREES = 30.0
"""Slices tilted further than this from the patient's sagittal plane are not taken for sagittal."""

CANONICAL_AXES_LPS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Directions (LPS) nearest to the canonical axes: slices to the left, rows to the feet, columns to the back."""


class ImagingError(UserError):
    """An image cannot be used; the message is one sentence for the user: what is wrong and what to do."""


class NotSagittalError(ImagingError):
    """The volume has no sagittal slices that could be read."""


CLINICAL_SLICE_MM = 4.0
"""Usual slice thickness of sagittal T2-weighted TSE."""


@dataclass(frozen=True)
class VolumeSource:
    """Where a volume came from.

    Attributes
    ----------
    name : str
        Stem used for output files and node names.
    path : str
        File or folder as given by the user; empty for a volume made in memory.
    sha256 : str
        Hash of the input's bytes (see `reading.read_volume`); empty for a volume made in memory.
    modality : str
        DICOM modality (``MR``, ``CT`` …) or empty when unknown.
    window : tuple of float or None
        DICOM window centre and width, when the file has one.
    dicom_files : tuple of Path
        The DICOM files that the voxels were read from, in any order; empty where they were not.
    series_uid : str
        SeriesInstanceUID of these files, by which `reading.read_volume` finds them again; empty where there is none.
    """

    name: str = "volume"
    path: str = ""
    sha256: str = ""
    modality: str = ""
    window: tuple[float, float] | None = None
    dicom_files: tuple[Path, ...] = ()
    series_uid: str = ""


@dataclass(frozen=True)
class SagittalVolume:
    """A scalar volume in canonical sagittal order.

    Attributes
    ----------
    voxels : ndarray, shape (slices, rows, columns)
        Finite intensities. Slices run from the patient's right to left, rows head to feet, columns front to back.
    index_to_lps : ndarray, shape (4, 4)
        Maps (slice, row, column, 1) to LPS millimetres; voxel centres.
    stored_axes : tuple of int
        For each canonical axis the axis of the stored array, numpy order (k, j, i).
    stored_flipped : tuple of bool
        For each canonical axis whether it runs against the stored one.
    source : VolumeSource
    notes : tuple of str
        What was done to the data on the way in, one sentence each.
    scale_known : bool
        False when the pixel size is only an estimate (a picture without ``--pixel-size``).
    """

    voxels: NDArray
    index_to_lps: NDArray[np.float64]
    stored_axes: tuple[int, int, int] = (0, 1, 2)
    stored_flipped: tuple[bool, bool, bool] = (False, False, False)
    source: VolumeSource = field(default_factory=VolumeSource)
    notes: tuple[str, ...] = ()
    scale_known: bool = True

    @classmethod
    def from_stored(
        cls,
        array: NDArray,
        index_to_lps: NDArray[np.float64],
        source: VolumeSource | None = None,
        notes: tuple[str, ...] = (),
        scale_known: bool = True,
    ) -> SagittalVolume:
        """Reorder a stored array into canonical sagittal order, without interpolation.

        Parameters
        ----------
        array : ndarray, shape (k, j, i)
            Voxels as SimpleITK, VTK and Slicer give them to numpy.
        index_to_lps : ndarray, shape (4, 4)
            Maps (i, j, k, 1) to LPS millimetres, as ITK defines it.

        Raises
        ------
        NotSagittalError
            If no axis lies within 30 degrees of the patient's left-right axis, or the in-plane sampling of the sagittal
            planes is too coarse to be a sagittal acquisition.
        ImagingError
            If the geometry is not a regular grid.
        """
        ijk_matrix = np.asarray(index_to_lps, dtype=float)
        kji_columns = ijk_matrix[:3, 2::-1]  # direction times spacing of the stored numpy axes
        spacing = np.linalg.norm(kji_columns, axis=0)
        if array.ndim != 3 or not np.all(np.isfinite(ijk_matrix)) or np.any(spacing <= 0):
            raise ImagingError("The voxel spacing or orientation is not valid; export the series again.")
        directions = kji_columns / spacing
        axes, flipped = _nearest_axes(directions)
        _require_sagittal(directions[:, axes[0]], spacing[list(axes)], array.shape, axes)
        voxels = np.transpose(array, axes)
        origin = ijk_matrix[:3, 3].copy()
        columns = kji_columns[:, list(axes)].copy()
        for axis, flip in enumerate(flipped):
            if flip:
                origin += columns[:, axis] * (voxels.shape[axis] - 1)
                columns[:, axis] = -columns[:, axis]
        voxels = voxels[tuple(slice(None, None, -1) if flip else slice(None) for flip in flipped)]
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = columns, origin
        if any(voxels.strides):  # blank voxels that take no room stay so
            voxels = np.ascontiguousarray(voxels)
        return cls(voxels, matrix, axes, flipped, source or VolumeSource(), tuple(notes), scale_known)

    @property
    def slice_count(self) -> int:
        """Number of sagittal slices."""
        return int(self.voxels.shape[0])

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres in mm along slices, rows and columns."""
        a, b, c = np.linalg.norm(self.index_to_lps[:3, :3], axis=0)
        return float(a), float(b), float(c)

    @property
    def middle_slice_index(self) -> int:
        """Canonical index of the geometric middle slice."""
        return (self.slice_count - 1) // 2 if self.slice_count else 0

    def thick_slice(self, slice_index: int, thickness_mm: float = CLINICAL_SLICE_MM) -> NDArray[np.float32]:
        """Average the slices around a canonical slice up to a clinical slice thickness.

        Thin 3-D slices are noisy, and grades are defined on slices of about 4 mm; a slice that is already as thick, or
        the only one, is returned as it is.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
        """
        half = max(0, round((thickness_mm / self.spacing_mm[0] - 1) / 2))
        first, last = max(0, slice_index - half), min(self.slice_count, slice_index + half + 1)
        return self.voxels[first:last].astype(np.float32).mean(axis=0)

    def stored_slice_index(self, slice_index: int) -> int:
        """Return the 0-based index of a canonical slice along the sagittal axis of the stored array."""
        return self.slice_count - 1 - slice_index if self.stored_flipped[0] else slice_index

    def canonical_slice_index(self, stored_index: int) -> int:
        """Return the canonical index of the slice at `stored_index` along the stored sagittal axis.

        Raises
        ------
        ImagingError
            If there is no such slice.
        """
        if not 0 <= stored_index < self.slice_count:
            raise ImagingError(f"There is no slice {stored_index}; the volume has slices 0 to {self.slice_count - 1}.")
        return self.stored_slice_index(stored_index)  # a flip is its own inverse

    def slice_center_lps_mm(self, slice_index: int) -> tuple[float, float, float]:
        """Return the centre of a canonical slice in LPS mm, rounded to a micrometre."""
        _, rows, columns = self.voxels.shape
        x, y, z = self.lps_mm(slice_index, (rows - 1) / 2, (columns - 1) / 2)
        return x, y, z

    def lps_mm(self, slice_index: float, row: float, column: float) -> tuple[float, float, float]:
        """Return the LPS position in mm of a canonical index, rounded to a micrometre."""
        point = self.index_to_lps @ np.array([slice_index, row, column, 1.0])
        x, y, z = (np.round(point[:3], 3) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0
        return x, y, z

    def index_of_lps(self, lps_mm: Sequence[float]) -> tuple[float, float, float]:
        """Return the canonical index (slice, row, column), in parts of a voxel, of a position in LPS mm."""
        slice_index, row, column = np.linalg.inv(self.index_to_lps)[:3] @ np.array([*lps_mm, 1.0])
        return float(slice_index), float(row), float(column)

    def to_stored(self, canonical: NDArray) -> NDArray:
        """Put an array of shape (slices, rows, columns) back into the stored order (k, j, i)."""
        flips = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.stored_flipped)
        return np.ascontiguousarray(np.transpose(canonical[flips], np.argsort(self.stored_axes)))

    def canonical(self, stored: NDArray) -> NDArray:
        """Put an array of the stored order (k, j, i) into the shape (slices, rows, columns); undoes `to_stored`."""
        flips = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.stored_flipped)
        return np.ascontiguousarray(np.transpose(stored, self.stored_axes)[flips])

    @property
    def stored_index_to_lps(self) -> NDArray[np.float64]:
        """The (4, 4) matrix from stored (i, j, k, 1) to LPS mm, as the file has it."""
        columns, origin = self.index_to_lps[:3, :3].copy(), self.index_to_lps[:3, 3].copy()
        for axis, flip in enumerate(self.stored_flipped):
            if flip:
                origin += columns[:, axis] * (self.voxels.shape[axis] - 1)
                columns[:, axis] = -columns[:, axis]
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = columns[:, np.argsort(self.stored_axes)][:, ::-1], origin
        return matrix


def _nearest_axes(directions: NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Choose for each canonical axis the stored axis nearest to it, all three together, and whether it is flipped."""
    cosines = CANONICAL_AXES_LPS @ directions  # (canonical, stored)
    axes = max(permutations(range(3)), key=lambda order: sum(abs(cosines[c, s]) for c, s in enumerate(order)))
    flipped = tuple(bool(cosines[c, s] < 0) for c, s in enumerate(axes))
    return axes, flipped  # type: ignore[return-value]


MAX_IN_PLANE_SPACING_MM = 2.0
"""Sagittal pixels larger than this (an axial or coronal stack cut across its slices) cannot show a disc."""


def _require_sagittal(normal: NDArray, spacing: NDArray, shape: tuple[int, ...], axes: tuple[int, int, int]) -> None:
    tilt = np.degrees(np.arccos(np.clip(abs(CANONICAL_AXES_LPS[0] @ normal), 0.0, 1.0)))
    if tilt > MAX_OBLIQUE_DEGREES:
        raise NotSagittalError(
            f"No sagittal slices: the nearest planes are tilted {tilt:.0f} degrees from sagittal "
            f"(at most {MAX_OBLIQUE_DEGREES:.0f}); load the sagittal T2 series."
        )
    if max(spacing[1:]) > MAX_IN_PLANE_SPACING_MM or min(shape[axes[1]], shape[axes[2]]) < 2:
        raise NotSagittalError(
            f"No sagittal slices: across its sagittal planes the volume has pixels of {spacing[1]:.1f} x "
            f"{spacing[2]:.1f} mm (an axial or coronal series?); load the sagittal T2 series."
        )
