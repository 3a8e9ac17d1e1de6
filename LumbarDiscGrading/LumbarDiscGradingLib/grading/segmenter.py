"""The segmentation network at work: slices of a volume in, tissue probabilities on their canvas out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..imaging.canvas import Grid, normalized_slice
from ..imaging.volume import SagittalVolume
from ..pfirrmann import Tissue
from .naming.sight import LevelSight

if TYPE_CHECKING:
    import torch

    from ..models.folder import TrainedModel


@dataclass(frozen=True)
class SliceSegmentation:
    """Tissue probabilities of one slice.

    Attributes
    ----------
    slice_index : int
        Canonical index.
    grid : Grid
        The canvas on the slice; its mm are those of `spacing_mm`.
    spacing_mm : tuple of float
        Pixel spacing of the slice along rows and columns (an estimate where the scale is not known).
    probabilities : ndarray of float32, shape (4, rows, columns)
        Background, vertebra, disc, canal on the canvas.
    lumbosacral : ndarray of float32, shape (rows, columns), or None
        Probability that a disc at this pixel is L5-S1.
    sight : LevelSight or None
        Where the disc of each level is seen; None where the model does not tell.
    """

    slice_index: int
    grid: Grid
    spacing_mm: tuple[float, float]
    probabilities: NDArray[np.float32]
    lumbosacral: NDArray[np.float32] | None
    sight: LevelSight | None = None

    def area_mm2(self, tissue: Tissue) -> float:
        """Return the expected area of a tissue in mm2."""
        return float(self.probabilities[tissue].sum()) * self.grid.pixel_size_mm**2

    def on_slice(
        self, slice_shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32] | None]:
        """Return tissue classes, disc probability and landmark on the slice's own pixels."""

        def back(values: NDArray) -> NDArray[np.float32]:
            return self.grid.sample_back(values, slice_shape, self.spacing_mm)

        tissue_maps = np.stack([back(self.probabilities[tissue]) for tissue in Tissue if tissue != Tissue.BACKGROUND])
        background = 1.0 - tissue_maps.sum(axis=0)
        tissues = np.concatenate([background[None], tissue_maps]).argmax(axis=0).astype(np.uint8)
        landmark = back(self.lumbosacral) if self.lumbosacral is not None else None
        return tissues, tissue_maps[Tissue.DISC - 1], landmark


SLICE_NORMALIZATION = {"name": "robust_range_square_root", "parameters": {"percentiles": [0.5, 99.5]}}
"""What `imaging.canvas.normalized_slice` does, as the manifest of a segmentation model names it."""


def require_normalization(model: TrainedModel, expected: dict) -> None:
    """Refuse a model that was trained on intensities made in another way than here.

    Raises
    ------
    ModelError
        If the manifest's input contract is not `expected`.
    """
    from ..models.manifest import ModelError

    found = model.manifest["input"]["normalization"]
    if found != expected:
        raise ModelError(
            f"The model {model.name} needs the input normalization {found['name']!r}, which this version does not make "
            f"(it makes {expected['name']!r}); choose another model."
        )


class Segmenter:
    """A segmentation model on a device.

    Parameters
    ----------
    model : TrainedModel
        Of the task ``segmentation``.
    device : torch.device
    """

    def __init__(self, model: TrainedModel, device: torch.device) -> None:
        import torch

        from ..models.manifest import LOCATOR_KEY

        model.require_task("segmentation")
        require_normalization(model, SLICE_NORMALIZATION)
        self.model, self.device = model, device
        self.network = model.load(device).to(memory_format=torch.channels_last)
        self.pixel_size_mm = float(model.manifest["input"]["pixel_size_mm"])
        self.outputs = list(model.manifest["outputs"])
        self.locator = model.load_level_locator(device)
        self.locator_entry = model.manifest.get(LOCATOR_KEY, {})

    def segment(
        self,
        volume: SagittalVolume,
        slice_indices: list[int],
        scale: float = 1.0,
        rotation_degrees: float = 0.0,
    ) -> list[SliceSegmentation]:
        """Segment slices in one batch.

        Parameters
        ----------
        volume : SagittalVolume
        slice_indices : list of int
            Canonical indices.
        scale : float
            Factor on the volume's pixel spacing, for pictures whose scale is estimated.
        rotation_degrees : float
            How far the canvas is turned so that the spine stands upright on it.
        """
        spacing = (volume.spacing_mm[1] * scale, volume.spacing_mm[2] * scale)
        grid = Grid.fitting(volume.voxels.shape[1:], spacing, self.pixel_size_mm, rotation_degrees)
        return self._segment(volume, [(index, grid) for index in slice_indices], spacing, sees_levels=True)

    def segment_part(self, volume: SagittalVolume, index: int, grid: Grid) -> SliceSegmentation:
        """Segment the part of a slice that a grid covers, without looking for the levels."""
        return self._segment(volume, [(index, grid)], (volume.spacing_mm[1], volume.spacing_mm[2]), False)[0]

    def probabilities(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the tissue probabilities of pictures as the network sees them, as one batch.

        Parameters
        ----------
        pictures : ndarray of float32, shape (pictures, rows, columns)

        Returns
        -------
        ndarray of float32, shape (pictures, tissues and the landmark behind them, rows, columns)
        """
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(pictures))[:, None].to(self.device)
        with torch.inference_mode(), reduced_precision(self.device):
            return self._maps(batch).cpu().numpy()

    def _segment(
        self,
        volume: SagittalVolume,
        grids: Sequence[tuple[int, Grid]],
        spacing: tuple[float, float],
        sees_levels: bool,
    ) -> list[SliceSegmentation]:
        """Segment grids of one shape, each on a slice, in one batch; levels are looked for on one and the same grid."""
        import torch

        windowed = {index: normalized_slice(volume.voxels[index]) for index, _ in grids}
        images = np.stack([grid.sample(windowed[index], spacing) for index, grid in grids])
        batch = torch.from_numpy(images)[:, None].to(self.device)
        with torch.inference_mode(), reduced_precision(self.device):
            maps_on_device = self._maps(batch)
            sights: Sequence[LevelSight | None] = [None] * len(grids)
            if sees_levels:
                sights = self._sights(batch, maps_on_device, grids[0][1])
            maps = maps_on_device.cpu().numpy()
        tissues = len(Tissue)
        return [
            SliceSegmentation(
                index,
                grid,
                spacing,
                maps[i, :tissues],
                maps[i, tissues] if maps.shape[1] > tissues else None,
                sights[i],
            )
            for i, (index, grid) in enumerate(grids)
        ]

    def _maps(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        return self.tissue_maps(self.network(batch.contiguous(memory_format=torch.channels_last)).float())

    def sight_of(self, picture: NDArray[np.float32], segmentation: SliceSegmentation) -> LevelSight | None:
        """Return where the levels are seen on a picture whose segmentation is known; both are on one canvas."""
        import torch

        if self.locator is None or segmentation.lumbosacral is None:
            return None
        maps = np.concatenate([segmentation.probabilities, segmentation.lumbosacral[None]])
        with torch.inference_mode(), reduced_precision(self.device):
            image, tensor = (torch.from_numpy(values)[None].to(self.device) for values in (picture[None], maps))
            return self._sights(image, tensor, segmentation.grid)[0]

    def _sights(self, images: torch.Tensor, maps: torch.Tensor, grid: Grid) -> Sequence[LevelSight | None]:
        """Return where the levels are seen on each image of a batch."""
        if self.locator is None:
            return [None] * len(images)
        pooling = int(self.locator_entry["pooling"])
        from ..networks.level_locator import BLOCK

        logits, absence = self.locator(locator_input(images, maps, pooling))
        shape = logits.shape
        together = locations(logits, absence)
        places, absent = together[..., :-1].reshape(shape).cpu().numpy(), together[..., -1].cpu().numpy()
        return [
            LevelSight(
                tuple(self.locator_entry["levels"]),
                places[i],
                absent[i],
                grid,
                pooling * BLOCK,
                float(self.locator_entry["temperature"]),
            )
            for i in range(len(images))
        ]

    def tissue_maps(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits into tissue probabilities, with the landmark's behind them where the model has one."""
        import torch

        names = [tissue.name.lower() for tissue in Tissue]
        if self.outputs == ["background", "disc"]:
            background, disc = logits.softmax(1).unbind(1)
            none = torch.zeros_like(disc)
            return torch.stack([background, none, disc, none], dim=1)
        if self.outputs == names:
            return logits.softmax(1)
        return torch.cat([logits[:, :4].softmax(1), logits[:, 4:5].sigmoid()], dim=1)


def locator_input(images: torch.Tensor, maps: torch.Tensor, pooling: int) -> torch.Tensor:
    """Return what the network that looks for levels sees; training and grading make it here alike.

    Parameters
    ----------
    images : Tensor, shape (batch, 1, rows, columns)
        As the segmentation network sees them.
    maps : Tensor, shape (batch, 5, rows, columns)
        Probabilities of the tissues and, behind them, of the lumbosacral disc.
    pooling : int
        Pixels along a side that are averaged.

    Returns
    -------
    Tensor, shape (batch, 5, coarse rows, coarse columns)
        Image, vertebra, disc, canal, lumbosacral disc.
    """
    import torch

    lumbosacral = maps[:, 4:5] * maps[:, 2:3]
    stacked = torch.cat([images.float(), maps[:, 1:4].float(), lumbosacral.float()], dim=1)
    return torch.nn.functional.avg_pool2d(stacked, pooling)


def locations(logits: torch.Tensor, absence: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of all places and, last, of absence, shape (batch, levels, places + 1)."""
    import torch

    return torch.cat([logits.float().flatten(2), absence.float()[..., None]], dim=2).softmax(2)


def reduced_precision(device: torch.device) -> torch.autocast:
    """Return the autocast for a device: half precision on CUDA, bfloat16 on CPUs that compute in it, else none."""
    import torch

    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    hardware = device.type == "cpu" and _cpu_computes_bfloat16()
    return torch.autocast("cpu", torch.bfloat16, enabled=hardware)


def _cpu_computes_bfloat16() -> bool:
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
