"""Training of the U-Net: losses, metrics, self-training, and the model folder at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from ...atomic import replacing
from ...dataset.labelled import LabelledDataset
from ...imaging.canvas import Grid, normalized_slice
from ...pfirrmann import Tissue
from ..errors import TrainingError
from ..mask_targets import shows_discs_at, tissues_and_landmark
from ..recipes import SegmentationRecipe
from ..run_folder import LOADER_WORKERS, OWN_LABELS_NAME, RunFolder, new_module
from ..run_record import RunOptions, run_record
from .contour_offset import best_offset, take_off_disc_logit
from .module import TISSUE_COUNT, SegmentationModule
from .slices import IGNORED, SlicePatches, TrainingCase

SURE_PROBABILITY = 0.85
"""A pixel of the network's own prediction trains it only where its class is at least this probable."""


class SegmentationData(L.LightningDataModule):
    """Patches of training patients, middle slices of tuning patients, own predictions where there is no mask.

    Where only discs were drawn, the tissues around them are the network's own predictions, too.
    """

    def __init__(
        self,
        datasets: list[LabelledDataset],
        recipe: SegmentationRecipe,
        seed: int,
        workers: int = LOADER_WORKERS,
        own_labels: Path | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.workers, self.seed, self.own_labels = recipe, workers, seed, own_labels
        cases = [case for dataset in datasets for case in dataset.cases]
        load = TrainingCase.load
        masked = [load(c) for c in cases if c.split == "train" and c.has_mask]
        if not masked:
            raise TrainingError("None of the training patients has a mask; give a data set with masks.")
        self.training = [case for case in masked if not (recipe.tissues and case.discs_alone)]
        self.discs_alone = [case for case in masked if recipe.tissues and case.discs_alone]
        self.tuning = [load(c) for c in cases if c.split == "tune" and c.has_mask]
        self.unlabelled = [load(c) for c in cases if c.split == "train" and not c.has_mask]
        self.incomplete = [*self.unlabelled, *self.discs_alone]
        if not self.training and recipe.self_training_epoch != 0:
            raise TrainingError(
                "The masks of all training patients have discs alone, without vertebrae and canal: go on from a model "
                "(--preset refine --start-from), which knows those."
            )
        steps = recipe.steps_per_epoch or max(1, len(self.training) // recipe.batch_size)
        self.patches = SlicePatches(self.training, replace(recipe, steps_per_epoch=steps), seed)

    def train_dataloader(self) -> DataLoader:
        """Return the loader of an epoch."""
        self.patches.epoch = self.trainer.current_epoch if self.trainer else 0
        start = self.recipe.self_training_epoch
        if start is not None and self.incomplete and not self.patches.pseudo and self.patches.epoch >= start:
            self.patches.pseudo = self._own_labels()
            if not self.patches.cases and not self.patches.pseudo:
                raise TrainingError("The model finds no lumbar spine on the slices where discs were drawn.")
        return DataLoader(self.patches, self.recipe.batch_size, num_workers=self.workers, drop_last=True)

    def _own_labels(self) -> list[TrainingCase]:
        """Label what has no mask or discs alone, once a run: a run that is resumed goes on with the same labels."""
        if self.own_labels is not None and self.own_labels.exists():
            return read_labels(self.own_labels, self.incomplete)
        labelled = label_by_network(self.trainer.lightning_module, self.incomplete, self.recipe)
        print(f"{len(labelled)} of {len(self.incomplete)} pictures without whole masks train by the network's labels.")
        if self.own_labels is not None and self.trainer.is_global_zero:
            write_labels(self.own_labels, labelled)
        return labelled

    def val_dataloader(self) -> DataLoader:
        """Return the middle slice of each tuning patient on the whole canvas."""
        items = []
        for case in self.tuning:
            middle = case.middle
            drawn = case.known_labels[middle]
            grid = Grid.over(drawn.shape, case.spacing_mm[1:], self.recipe.pixel_size_mm)
            image = grid.sample(normalized_slice(case.voxels[middle]), case.spacing_mm[1:])
            labels = grid.sample(drawn, case.spacing_mm[1:], nearest=True).astype(np.uint8)
            tissues, landmark = tissues_and_landmark(labels)
            if not self.recipe.tissues:
                tissues = (tissues == Tissue.DISC).astype(np.uint8)
            items.append((image[None], tissues, landmark))
        return DataLoader(items, batch_size=1)


@torch.inference_mode()
def label_by_network(
    module: SegmentationModule, cases: list[TrainingCase], recipe: SegmentationRecipe
) -> list[TrainingCase]:
    """Label cases by the network itself; unsure pixels are `IGNORED`, implausible cases left out.

    A case is plausible where at least five discs' worth of sure disc pixels and a canal are found, and, where the
    places of its discs are known, exactly those discs (`mask_targets.shows_discs_at`). Discs that were
    drawn stay as they are; discs that the network sees elsewhere on such a slice are `IGNORED`.
    """
    was_training = module.training
    module.eval()
    classes = np.arange(TISSUE_COUNT, dtype=np.uint8) if recipe.tissues else np.array([0, Tissue.DISC], dtype=np.uint8)
    labelled = []
    for case in cases:
        middle = case.middle
        spacing = case.spacing_mm[1:]
        shape = case.voxels.shape[1:]
        grid = Grid.over(shape, spacing, recipe.pixel_size_mm)
        image = torch.from_numpy(grid.sample(normalized_slice(case.voxels[middle]), spacing))[None, None]
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision.startswith("bf16")):
            probabilities = module(image.to(module.device)).float()[0, : len(classes)].softmax(0).cpu().numpy()
        best, tissue = probabilities.max(0), classes[probabilities.argmax(0)]
        tissue[best < SURE_PROBABILITY] = IGNORED
        on_slice = grid.sample_back(tissue, shape, spacing, nearest=True).astype(np.uint8)
        disc_mm2 = float((on_slice == Tissue.DISC).sum()) * spacing[0] * spacing[1]
        canal_mm2 = float((on_slice == Tissue.CANAL).sum()) * spacing[0] * spacing[1]
        there = shows_discs_at(on_slice == Tissue.DISC, case.level_points)
        if there and disc_mm2 > PLAUSIBLE_DISC_MM2 and (canal_mm2 > PLAUSIBLE_CANAL_MM2 or not recipe.tissues):
            if case.discs_alone:
                drawn = case.known_labels[middle]
                on_slice = np.where(drawn > 0, drawn, np.where(on_slice == Tissue.DISC, IGNORED, on_slice))
            labelled.append(case.middle_alone(on_slice))
    module.train(was_training)
    return labelled


def write_labels(path: Path, labelled: list[TrainingCase]) -> None:
    """Keep the network's own labels, by patient and source."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **{f"{case.source}/{case.patient}": case.labels for case in labelled})


def read_labels(path: Path, cases: list[TrainingCase]) -> list[TrainingCase]:
    """Give the cases the labels that were kept for them; those without are left out."""
    with np.load(path, allow_pickle=False) as kept:
        return [case.middle_alone(kept[key][0]) for case in cases if (key := f"{case.source}/{case.patient}") in kept]


PLAUSIBLE_DISC_MM2 = 5 * 120.0
"""Five small degenerated discs on a slice (a lumbar disc is about 35 mm by 8 mm)."""
PLAUSIBLE_CANAL_MM2 = 1000.0
"""A canal 10 mm deep along 100 mm."""


def train_segmentation(
    datasets: list[LabelledDataset],
    recipe: SegmentationRecipe,
    run_folder: Path,
    options: RunOptions,
) -> SegmentationModule:
    """Train a U-Net; checkpoints and ``metrics.csv`` go to `run_folder`.

    Parameters
    ----------
    datasets : list of LabelledDataset
        Patients are taken by the splits of their data sets; test patients are never read.
    recipe : SegmentationRecipe
    run_folder : Path
    options : RunOptions

    Raises
    ------
    TrainingError
        If no training patient has a mask, all have discs alone and there is no model to go on from, or that is of
        another architecture.
    """
    data = SegmentationData(datasets, recipe, options.seed, own_labels=run_folder / OWN_LABELS_NAME)
    module = new_module(SegmentationModule, recipe, options)
    patients = [case for dataset in datasets for case in dataset.cases_in("train")]
    run = RunFolder(run_folder, options, run_record(recipe, patients, options))
    run.fit(module, data, limit_val_batches=None if data.tuning else 0)
    if recipe.fit_contour:
        take_off_disc_logit(module, best_offset(module, ([*data.training, *data.discs_alone], data.tuning)))
    return module
