"""Folders of volumes or pictures with label maps and a table of grades turned into a labelled data set."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..imaging.reading import PICTURE_SUFFIXES, read_volume
from ..imaging.volume import ImagingError, SagittalVolume
from ..pfirrmann import LEVELS_BY_LABEL, Tissue
from ..progress import ListProgress, unwatched
from .dicom_masks import DICOM_ENDING, read_labels
from .discs import TISSUE_VALUES, labelled_mask, require_order_of_tissues, transition_note
from .labelled import LabelledDataset, read_grades
from .level_points import read_level_points
from .manifest import GRADES_NAME, LEVELS_NAME, DatasetError
from .sources import KNOWN_SOURCES, PublicSource
from .splits import packaged_splits, read_splits, split_patients
from .tables import read_table, same_letters
from .writing import CaseToWrite, require_free, write_dataset

VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd", ".gipl")
IMAGE_ENDING, LABELS_ENDING = "_t2", "_labels"
PICTURES_COLUMNS: dict[str, tuple[str, ...]] = {"patient": (), "nominal_pixel_mm": (), "geometry": ()}
PICTURES_NAME, PLAUSIBLE = "images.csv", "plausible"
"""Table of the pictures' pixel sizes, and its word for a size that fits what is shown."""


PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"})
UNNAMED = "patient"


@dataclass(frozen=True)
class _Source:
    """Files and grades of one patient in the folder that is imported."""

    patient: str
    image: Path
    labels: Path | None
    grades: dict[str, int]
    level_points: dict[str, tuple[float, float]]
    pixel_size_mm: float | None = None

    @property
    def is_picture(self) -> bool:
        return self.image.name.lower().endswith(PICTURE_SUFFIXES)


def import_folder(
    source: Path | str,
    destination: Path | str,
    name: str | None = None,
    splits: Path | None = None,
    seed: int = 0,
    pixel_size_mm: float | None = None,
    licence: str | None = None,
    attribution: str | None = None,
    replace: bool = False,
    progress: ListProgress = unwatched,
) -> LabelledDataset:
    """Turn a folder of images, label maps and grades into a labelled data set.

    The folder holds ``<patient>_t2`` (a volume in any format of SimpleITK, or a picture), where there is one
    ``<patient>_labels`` (tissue values 0-3, or those of disc levels, on the voxels of the volume; or a DICOM
    Segmentation, ``.dcm``), and ``grades.csv`` with the columns patient, level and pfirrmann. Discs without levels are
    numbered from the bottom; where a mask has as many as the patient has graded discs, each gets the label of its
    level. Where the folder has ``levels.csv`` (patient, level, column, row), the points in
    it name the discs of the pictures; where it has ``images.csv`` (patient, nominal_pixel_mm, geometry), the pixel size
    of pictures whose geometry is ``plausible`` is taken from there, and that of the others is unknown.

    Parameters
    ----------
    source, destination : Path
        Folder to read and folder to make.
    name : str, optional
        Name of the data set; by default that of the source folder. Frozen splits are found by it.
    splits : Path, optional
        JSON file of patients by split, instead of the frozen splits that come with the module.
    seed : int
        For the split of patients whom no file of splits knows.
    pixel_size_mm : float, optional
        Pixel size of pictures; without it their scale is marked as unknown.
    licence, attribution : str, optional
        By default those of a public source known by `name`.
    replace : bool
        Whether a data set already at `destination` is replaced.
    progress : callable, optional
        Wraps the list of what is imported, as `tqdm.tqdm` does.

    Raises
    ------
    DatasetError
        If the folder holds nothing usable, or something in it cannot be read.
    """
    source, destination = Path(source), Path(destination)
    require_free(destination, replace)
    found = _find_sources(source, pixel_size_mm)
    name = name or source.resolve().name
    splits_path = splits or packaged_splits(name)
    known = KNOWN_SOURCES.get(name, PublicSource("", ""))
    return write_dataset(
        destination,
        name=name,
        cases=_cases(progress(found)),
        splits=split_patients(
            [entry.patient for entry in found], read_splits(splits_path) if splits_path else None, seed
        ),
        licence=known.licence if licence is None else licence,
        attribution=known.attribution if attribution is None else attribution,
        provenance={
            "imported_from": source.resolve().name,
            "splits": "seeded" if splits_path is None else "file" if splits else "packaged",
            "seed": seed,
            "picture_pixel_size_mm": pixel_size_mm,
        },
        replace=replace,
    )


def _find_sources(folder: Path, pixel_size_mm: float | None) -> list[_Source]:
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the folder that holds the images and {GRADES_NAME}.")
    grades: dict[str, dict[str, int]] = {}
    if (folder / GRADES_NAME).is_file():
        for patient, level, grade, _ in read_grades(folder / GRADES_NAME):
            grades.setdefault(patient, {})[level] = grade
    images = _files_by_patient(folder, IMAGE_ENDING, VOLUME_SUFFIXES + PICTURE_SUFFIXES)
    labels = _files_by_patient(folder, LABELS_ENDING, (*VOLUME_SUFFIXES, DICOM_ENDING))
    if not images:
        raise DatasetError(f"{folder} holds no image named like 001{IMAGE_ENDING}.nrrd or 001{IMAGE_ENDING}.png.")
    points = read_level_points(folder / LEVELS_NAME) if (folder / LEVELS_NAME).is_file() else {}
    if not labels and not grades and not points:
        raise DatasetError(f"{folder} has neither masks (001{LABELS_ENDING}.nrrd) nor {GRADES_NAME}; add one of them.")
    orphans = sorted((set(labels) | set(grades) | set(points)) - set(images))
    if orphans:
        raise DatasetError(f"{folder} has labels but no image of patient {', '.join(orphans[:5])}; add the image.")
    sizes = _pixel_sizes(folder / PICTURES_NAME)
    names = plain_names(images)
    return [
        _Source(
            names[name],
            path,
            labels.get(name),
            grades.get(name, {}),
            points.get(name, {}),
            pixel_size_mm if sizes is None else sizes.get(name),
        )
        for name, path in sorted(images.items())
    ]


def plain_names(patients: Collection[str]) -> dict[str, str]:
    """Return for each patient the name in the data set: plain letters, digits, and ``. _ -``; no name twice.

    Names that are plain already stay as they are.
    """
    names = {patient: patient for patient in patients if PLAIN_NAME.fullmatch(patient)}
    for patient in sorted(set(patients) - set(names)):
        letters = unicodedata.normalize("NFKD", patient.translate(TWO_LETTERS))
        letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", letters).strip("_.-") or UNNAMED
        taken, number = set(names.values()), 2
        while (numbered := plain if number == 2 and plain not in taken else f"{plain}_{number}") in taken:
            number += 1
        names[patient] = numbered
    return names


def _pixel_sizes(path: Path) -> dict[str, float] | None:
    """Read the pixel sizes of the pictures that have a plausible one; None where there is no table of pictures."""
    if not path.is_file():
        return None
    rows = read_table(path, PICTURES_COLUMNS)
    try:
        return {row["patient"]: float(row["nominal_pixel_mm"]) for row in rows if row["geometry"] == PLAUSIBLE}
    except ValueError:
        raise DatasetError(f"{path} has a nominal_pixel_mm that is no number; correct the row.") from None


def _files_by_patient(folder: Path, ending: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((suffix for suffix in suffixes if path.name.lower().endswith(ending + suffix)), None)
        if suffix is None or not path.is_file():
            continue
        patient = same_letters(path.name[: -len(ending + suffix)])
        if patient in files:
            raise DatasetError(f"{path} and {files[patient].name} are of the same patient; keep one of them.")
        files[patient] = path
    return files


def _cases(sources: Iterable[_Source]) -> Iterator[CaseToWrite]:
    for entry in sources:
        volume = _volume(entry, entry.pixel_size_mm)
        kind = "picture" if entry.is_picture else "volume"
        transition = transition_note(entry.grades)
        notes: tuple[str, ...] = (transition,) if transition else ()
        if entry.labels is None:
            yield CaseToWrite(
                entry.patient, volume, grades=entry.grades, kind=kind, notes=notes, level_points=entry.level_points
            )
            continue
        mask, trusted, count = _mask(entry, volume)
        if not trusted:
            notes += (f"The mask has {count} discs, {len(entry.grades)} are graded: levels not trusted.",)
        yield CaseToWrite(entry.patient, volume, mask, entry.grades, (), kind, trusted, notes)


def _volume(entry: _Source, pixel_size_mm: float | None) -> SagittalVolume:
    try:
        return read_volume(entry.image, pixel_size_mm if entry.is_picture else None)
    except ImagingError as error:
        raise DatasetError(f"{entry.image}: {error}") from None


def _mask(entry: _Source, volume: SagittalVolume) -> tuple[NDArray[np.uint8], bool, int]:
    """Read a mask in the canonical order of its volume, whether its levels are sure, and how many discs it has."""
    assert entry.labels is not None
    stored_shape = volume.to_stored(volume.voxels).shape
    array = read_labels(entry.labels, stored_shape, volume.stored_index_to_lps, entry.patient)
    labels = SagittalVolume.from_stored(array, volume.stored_index_to_lps).voxels
    values = set(np.unique(labels).tolist())
    tissue_values = {int(tissue) for tissue in Tissue}
    unknown = set() if values <= tissue_values else values - {*LEVELS_BY_LABEL, *tissue_values - {Tissue.DISC}}
    if unknown:
        raise DatasetError(
            f"{entry.labels} has the values {sorted(unknown)}; expected {TISSUE_VALUES}, or for discs the values of "
            "their levels alone."
        )
    is_level = np.isin(labels, list(LEVELS_BY_LABEL))
    tissues = np.where(is_level, Tissue.DISC, labels).astype(np.uint8)
    require_order_of_tissues(tissues, str(entry.labels))
    if not is_level.any():
        return labelled_mask(tissues, entry.grades)
    levels = {LEVELS_BY_LABEL[value] for value in values & set(LEVELS_BY_LABEL)}
    trusted = set(entry.grades) <= levels
    return labels.astype(np.uint8) if trusted else tissues, trusted, len(levels)
