"""The spinal canal on slices side by side, by narrow strips along it, which cost a sixth of whole slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ...imaging.canvas import Grid, normalized_slice
from ...imaging.volume import SagittalVolume
from ...pfirrmann import Tissue
from ..discs import components
from ..segmenter import Segmenter, SliceSegmentation
from .smooth_line import smooth_line

STRIP_COLUMNS, WIDE_STRIP_COLUMNS = 80, 96
"""50 mm and 60 mm at the network's pixel size: the canal with what is in front of it and behind. In 40 mm the canal at
the sacrum, which runs steeply through them, was seen on the wrong slices. The wide ones are for slices far from the
first, where the line is led on and the canal lies beside it."""
NEAR_LINE_COLUMNS = 20
"""A strip along a line no further than this from the one known now still shows the canal."""
COARSENESS = 2
"""Where the canal lies on a slice is seen at half the resolution too, though not how deep it is."""
LEAST_DEPTH_MM = 4.0
"""Less canal than this at a height is none."""
GAP_MM, GAP_BLOCKS = 16.0, 8
"""Parts of the canal nearer to each other than this are one (a narrowed level parts it); what is apart is none. The
gap is measured in so many blocks of pixels."""
LINE_SMOOTHING_MM = 15.0
"""Standard deviation along the spine of the smoothing of the canal's line on the slices."""


@dataclass(eq=False)
class CanalStrips:
    """The canal on the slices looked at, by the rows of one canvas.

    Attributes
    ----------
    grid : Grid
        The canvas; upright, as the slice is stored.
    start : int
        Canonical index of the slice on which the canal was seen first.
    canal : ndarray of float32, shape of the canvas
        Greatest probability of the canal on the slices seen.
    depths_mm : dict
        By slice index the depth of the canal, front to back, at each row.
    """

    grid: Grid
    start: int
    canal: NDArray[np.float32]
    depths_mm: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _lines: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    _pictures: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    line: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.line = _line(self.canal, self.grid.pixel_size_mm)

    @classmethod
    def along(cls, segmentation: SliceSegmentation) -> CanalStrips:
        """Begin with the canal of a whole slice."""
        return cls(segmentation.grid, segmentation.slice_index, segmentation.probabilities[Tissue.CANAL].copy())

    @classmethod
    def coarsely(cls, volume: SagittalVolume, segmenter: Segmenter, index: int) -> CanalStrips:
        """Begin with the canal of a slice seen at half the resolution."""
        spacing, shape = (volume.spacing_mm[1], volume.spacing_mm[2]), volume.voxels.shape[1:]
        coarse = Grid.fitting(shape, spacing, segmenter.pixel_size_mm * COARSENESS)
        picture = coarse.sample(normalized_slice(volume.voxels[index]), spacing)
        seen = segmenter.probabilities(picture[None])[0, Tissue.CANAL]
        grid = Grid.fitting(shape, spacing, segmenter.pixel_size_mm)
        at = coarse.from_mm(grid.to_mm(np.indices(grid.shape).reshape(2, -1).T)).round().astype(int)
        row, column = np.clip(at, 0, np.array(coarse.shape) - 1).T
        return cls(grid, index, seen[row, column].reshape(grid.shape))

    @property
    def indices(self) -> list[int]:
        """Canonical indices of the slices looked at, in order."""
        return sorted(self.depths_mm)

    @property
    def area_mm2(self) -> float:
        """Area of the canal seen, without what lies apart from most of it."""
        return np.count_nonzero(_canal_of(self.canal, self.grid.pixel_size_mm)) * self.grid.pixel_size_mm**2

    @property
    def shown(self) -> NDArray[np.bool_]:
        """At which rows any canal was seen."""
        depth = _canal_of(self.canal, self.grid.pixel_size_mm).sum(axis=1) * self.grid.pixel_size_mm
        return depth >= LEAST_DEPTH_MM

    def depths(self) -> NDArray[np.float64]:
        """Return the depth of the canal in mm, shape (slices in order, rows of the canvas)."""
        return np.stack([self.depths_mm[index] for index in self.indices])

    def looked_at(self, index: int) -> NDArray[np.bool_]:
        """Return at which rows a slice was looked at, near the line that is known now."""
        line = self._lines.get(index)
        return np.abs(self.line - (np.inf if line is None else line)) <= NEAR_LINE_COLUMNS

    def look(
        self, volume: SagittalVolume, segmenter: Segmenter, indices: Sequence[int], rows: slice, width: int
    ) -> None:
        """Look at slices, as one batch, at some rows of the canvas, and lead the line on by what is seen there.

        Parameters
        ----------
        volume : SagittalVolume
        segmenter : Segmenter
        indices : sequence of int
            Canonical.
        rows : slice
        width : int
            Columns of a strip.
        """
        spacing = (volume.spacing_mm[1], volume.spacing_mm[2])
        columns = np.round(self.line[rows]).astype(int)[:, None] + np.arange(width) - width // 2
        inside = (columns >= 0) & (columns < self.grid.shape[1])
        row = np.nonzero(inside)[0]
        strips = np.zeros((len(indices), *columns.shape), dtype=np.float32)
        for strip, index in zip(strips, indices, strict=True):
            if index not in self._pictures:
                self._pictures[index] = self.grid.sample(normalized_slice(volume.voxels[index]), spacing)
            strip[inside] = self._pictures[index][rows][row, columns[inside]]
        canals = segmenter.probabilities(strips)[:, Tissue.CANAL]
        for index, canal in zip(indices, canals, strict=True):
            depth = self.depths_mm.setdefault(index, np.zeros(len(self.line)))
            depth[rows] = np.maximum(depth[rows], canal.sum(axis=1) * self.grid.pixel_size_mm)
            self._lines.setdefault(index, np.full(len(self.line), np.inf))[rows] = self.line[rows]
        seen = self.canal[rows]
        seen[row, columns[inside]] = np.maximum(seen[row, columns[inside]], canals.max(axis=0)[inside])
        self.line = _line(self.canal, self.grid.pixel_size_mm)


def _canal_of(canal: NDArray[np.float32], pixel_size_mm: float) -> NDArray[np.float32]:
    """Return the probability of the canal where it is seen: the part that has most pixels, small gaps allowed."""
    seen = canal > 0.5
    if not seen.any():
        return np.zeros_like(canal)
    block, radius = max(1, round(GAP_MM / GAP_BLOCKS / pixel_size_mm)), GAP_BLOCKS // 2
    padded = np.pad(seen, [(0, -length % block) for length in seen.shape])
    blocks = padded.reshape(padded.shape[0] // block, block, -1, block).any(axis=(1, 3)).astype(np.uint8)
    joined = sitk.GetArrayFromImage(sitk.BinaryDilate(sitk.GetImageFromArray(blocks), [radius, radius])) > 0
    rows, columns = seen.shape
    parts = (part.repeat(block, axis=0).repeat(block, axis=1)[:rows, :columns] for part in components(joined))
    largest = max(parts, key=lambda part: np.count_nonzero(part & seen))
    return np.where(seen & largest, canal, 0.0)


def _line(canal: NDArray[np.float32], pixel_size_mm: float) -> NDArray[np.float64]:
    """Return the column of the canal at each row, smoothed and led on where there is none; the middle without any.

    Parameters
    ----------
    canal : ndarray, shape (rows, columns)
        Probability.
    pixel_size_mm : float
    """
    shown = _canal_of(canal, pixel_size_mm)
    depth = shown.sum(axis=1)
    rows = np.flatnonzero(depth * pixel_size_mm >= LEAST_DEPTH_MM)
    if not len(rows):
        return np.full(len(canal), (canal.shape[1] - 1) / 2)
    columns = (shown[rows] @ np.arange(canal.shape[1])) / depth[rows]
    return smooth_line(rows, columns, depth[rows], len(canal), LINE_SMOOTHING_MM / pixel_size_mm)
