"""Out-of-fold segmentations: each patient with a mask by a U-Net that never saw that patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold
from tqdm import tqdm

from ...dataset.labelled import LabelledCase, LabelledDataset, person_of
from ...evaluation.scores import DiscScore, scored_cases
from ...grading.grader import DiscGrader
from ...models.folder import TrainedModel
from ..errors import TrainingError
from ..recipes import SegmentationRecipe
from ..run_record import RECORD_NAME, TRAINING_PATIENTS, RunOptions, patient_names, recorded
from .export import save_segmentation_model
from .train import train_segmentation


def cross_validate_segmentation(
    datasets: Sequence[LabelledDataset],
    recipe: SegmentationRecipe,
    folder: Path,
    options: RunOptions,
    folds: int = 5,
    with_test: bool = False,
    start_from: Path | None = None,
) -> list[DiscScore]:
    """Train a U-Net for each fold of patients on the others, and find and name the fold's discs by it.

    Grades are left out of the scores: the grading network that the pipeline needs may have seen the patients.

    Parameters
    ----------
    datasets : sequence of LabelledDataset
        Patients with masks are folded; of those without, the training patients join in every fold.
    recipe : SegmentationRecipe
    folder : Path
        Each fold's run and model are a folder in it.
    options : RunOptions
    folds : int
    with_test : bool
        Fold the test patients, too. They then train the other folds' networks, which are never shipped.
    start_from : Path, optional
        The `folder` of an earlier cross-validation: each fold goes on from its network of that fold.

    Returns
    -------
    list of DiscScore
        One for each reference disc.

    Raises
    ------
    TrainingError
        If there are fewer patients than folds, or a network to go on from has seen, or may have seen, its fold's
        patients.
    """
    patients = list(
        dict.fromkeys(
            person_of(case)
            for dataset in datasets
            for case in dataset.cases
            if case.has_mask and (with_test or case.split != "test")
        )
    )
    if len(patients) < folds:
        raise TrainingError(f"There are {len(patients)} patients with masks, too few for {folds} folds.")
    scores: list[DiscScore] = []
    splitter = KFold(folds, shuffle=True, random_state=options.seed)
    for number, (others, held) in enumerate(splitter.split(np.arange(len(patients))), start=1):
        run = folder / f"fold-{number}"
        trained, tested = ({patients[index] for index in part} for part in (others, held))
        training = [_training_on(dataset, trained, tested) for dataset in datasets]
        fold = options.of_fold(number)
        if start_from is not None:
            held_out = [case for dataset in datasets for case in dataset.cases if person_of(case) in tested]
            fold = replace(fold, start_from=_start(start_from / run.name, held_out))
        module = train_segmentation(training, recipe, run, fold)
        model = save_segmentation_model(
            module, run / "model", f"unet-{run.name}", "1.0", training, seed=fold.seed, start_from=fold.start_from
        )
        grader = DiscGrader("auto", model.folder)
        cases = list(_ungraded(datasets, tested))
        for scored in scored_cases(grader, tqdm(cases, desc=f"Fold {number}", unit="patient")):
            scores += [replace(score, predicted_grade=None, confident=None) for score in scored.scores]
    return scores


def _training_on(
    dataset: LabelledDataset, trained: set[tuple[str, str]], tested: set[tuple[str, str]]
) -> LabelledDataset:
    """Return a data set whose training patients are those to train on and those without masks; nobody else is in it."""
    cases = tuple(
        replace(case, split="train")
        for case in dataset.cases
        if (person_of(case) in trained if case.has_mask else case.split == "train" and person_of(case) not in tested)
    )
    return replace(dataset, cases=cases)


def _start(run: Path, tested: Sequence[LabelledCase]) -> TrainedModel:
    """Return the network of a fold's earlier run, if that has not seen those who are to be tested."""
    seen = recorded(run / RECORD_NAME, TRAINING_PATIENTS, advice="begin the folds anew")
    if both := set(seen) & set(patient_names(tested)):
        raise TrainingError(
            f"The network in {run} was trained on {len(both)} of the patients that it would be tested on; go on with "
            "the same --data, --folds, --seed and --with-test as there."
        )
    return TrainedModel.open(run / "model").require_task("segmentation")


def _ungraded(datasets: Sequence[LabelledDataset], patients: set[tuple[str, str]]) -> Iterator[LabelledCase]:
    for dataset in datasets:
        for case in dataset.cases:
            if case.has_mask and person_of(case) in patients:
                yield replace(case, grades={})
