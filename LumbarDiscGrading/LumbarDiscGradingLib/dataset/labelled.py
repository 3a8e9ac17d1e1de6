"""`LabelledDataset`: a checked data set on disk whose cases read their image, mask and grades when asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..file_hash import file_sha256
from ..imaging.volume import ImagingError, SagittalVolume, VolumeSource
from ..pfirrmann import DISC_LABELS, GRADES, Tissue
from .image_files import read_grid, read_stored
from .level_points import read_level_points
from .manifest import GRADES_NAME, LEVELS_NAME, SPLITS, DatasetError, label_table, read_manifest
from .tables import read_table

GRADES_COLUMNS = {
    "patient": ("patient id", "case", "subject", "name", "patient name", "id"),
    "level": ("disc", "disk", "disc level", "ivd", "ivd level"),
    "pfirrmann": ("pfirrmann grade", "pfirrmann grading", "grade"),
    "reader": ("rater", "observer", "grader"),
}
"""Columns of a table of grades, and the other names under which they are found."""

MASK_TOLERANCE_MM = 0.05
"""Largest distance between corresponding corners of an image and its mask."""


@dataclass(frozen=True)
class LabelledCase:
    """One case of a data set; mostly there is one of each patient.

    Attributes
    ----------
    patient : str
        Pseudonym of the case, unique in the data set.
    source : str
        Name of the data set.
    split : str
        ``train``, ``tune`` or ``test``.
    kind : str
        ``volume`` or ``picture`` (a single slice).
    grades : dict of str to int
        Reference Pfirrmann grade by disc level; empty when there is none.
    levels_trusted : bool
        False when the discs of the mask could not be matched to the graded levels; they keep the value of the tissue
        class then, and the case is left out of scores by level.
    pixel_size_known : bool
        False when the pixel size is only nominal.
    image_path : Path
    mask_path : Path or None
    notes : tuple of str
    subject : str
        Pseudonym of the person, the same in all cases of that person; empty for `patient`. Use `person_of`.
    level_points : dict of str to tuple of float
        Row and column, in pixels of the picture, of the posterior margin of the disc of a level; empty when there are
        none.
    """

    patient: str
    source: str
    split: str
    kind: str
    grades: dict[str, int]
    levels_trusted: bool
    pixel_size_known: bool
    image_path: Path
    mask_path: Path | None = None
    notes: tuple[str, ...] = ()
    subject: str = ""
    level_points: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def has_mask(self) -> bool:
        """Whether the case has a mask."""
        return self.mask_path is not None

    def volume(self) -> SagittalVolume:
        """Read the image in canonical sagittal order, voxel values as stored.

        Raises
        ------
        DatasetError
            If the file is missing or not a sagittal volume.
        """
        array, matrix = read_stored(self.image_path)
        source = VolumeSource(name=self.patient, path=str(self.image_path), modality="MR")
        try:
            return SagittalVolume.from_stored(array, matrix, source, self.notes, self.pixel_size_known)
        except ImagingError as error:
            raise DatasetError(f"The image of patient {self.patient} in {self.source} is not usable: {error}") from None

    def mask(self) -> NDArray[np.uint8] | None:
        """Read the mask, None when the case has none.

        Returns
        -------
        ndarray of uint8, shape (slices, rows, columns)
            `pfirrmann.Tissue` and `pfirrmann.DISC_LABELS` values, aligned with the voxels of `volume`.

        Raises
        ------
        DatasetError
            If the file is missing, has an unknown value, or does not lie on the image.
        """
        if self.mask_path is None:
            return None
        array, matrix = read_stored(self.mask_path)
        image_shape, image_matrix = read_grid(self.image_path)
        require_same_grid(array.shape, matrix, image_shape, image_matrix, self.patient)
        unknown = set(np.unique(array).tolist()) - {int(value) for value in label_table()}
        if unknown:
            raise DatasetError(f"The mask of patient {self.patient} has unknown values {sorted(unknown)}; correct it.")
        return SagittalVolume.from_stored(array.astype(np.uint8), matrix).voxels


def is_disc(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a mask has a disc, named or not."""
    return np.isin(labels, (Tissue.DISC, *DISC_LABELS.values()))


def slices_with_discs(mask: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the indices of the slices on which a mask of shape (slices, rows, columns) has discs."""
    return np.flatnonzero(is_disc(mask).any(axis=(1, 2)))


class OfPerson(Protocol):
    """A case, or something found in it."""

    @property
    def patient(self) -> str:
        """Pseudonym of the case."""

    @property
    def source(self) -> str:
        """Name of the data set."""

    @property
    def subject(self) -> str:
        """Pseudonym of the person; empty for `patient`."""


def person_of(item: OfPerson) -> tuple[str, str]:
    """Return data set and pseudonym of a person, who counts once, with however many cases, in folds and intervals."""
    return item.source, item.subject or item.patient


def person_count(items: Iterable[OfPerson]) -> int:
    """Return of how many people cases, or things found in them, are."""
    return len({person_of(item) for item in items})


@dataclass(frozen=True)
class LabelledDataset:
    """A labelled data set on disk.

    Attributes
    ----------
    name : str
    folder : Path
    cases : tuple of LabelledCase
        In the order of the manifest.
    manifest : dict
        The checked content of ``dataset.json``.

    Examples
    --------
    >>> dataset = LabelledDataset.open(Path("study"))  # doctest: +SKIP
    >>> for case in dataset.cases_in("train"):  # doctest: +SKIP
    ...     volume, mask = case.volume(), case.mask()
    """

    name: str
    folder: Path
    cases: tuple[LabelledCase, ...]
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path | str) -> LabelledDataset:
        """Open the data set in `folder`; images are read only when a case is asked for them.

        Raises
        ------
        DatasetError
            If the folder is not a valid data set or lacks one of its files.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        grades = _reference_grades(folder / GRADES_NAME, {case["patient"] for case in manifest["cases"]})
        points = read_level_points(folder / LEVELS_NAME) if "levels" in manifest else {}
        split_of = {patient: split for split in SPLITS for patient in manifest["splits"][split]}
        cases = tuple(
            LabelledCase(
                patient=entry["patient"],
                source=manifest["name"],
                split=split_of[entry["patient"]],
                kind=entry["kind"],
                grades=grades.get(entry["patient"], {}),
                levels_trusted=entry["levels_trusted"],
                pixel_size_known=entry["pixel_size_known"],
                image_path=folder / entry["image"]["path"],
                mask_path=folder / entry["mask"]["path"] if entry["mask"] else None,
                notes=tuple(entry["notes"]),
                subject=entry.get("subject", entry["patient"]),
                level_points=points.get(entry["patient"], {}),
            )
            for entry in manifest["cases"]
        )
        for case in cases:
            for path in (case.image_path, case.mask_path):
                if path is not None and not path.is_file():
                    raise DatasetError(f"{path} is missing from the data set; copy it back or import again.")
        return cls(manifest["name"], folder, cases, manifest)

    def cases_in(self, split: str) -> tuple[LabelledCase, ...]:
        """Return the cases of one split.

        Raises
        ------
        DatasetError
            If `split` is not ``train``, ``tune`` or ``test``.
        """
        if split not in SPLITS:
            raise DatasetError(f"A split is one of {', '.join(SPLITS)}, not {split!r}.")
        return tuple(case for case in self.cases if case.split == split)

    def verify(self) -> list[str]:
        """Compare every file with the hash in the manifest and return the problems, one sentence each."""
        entries = [self.manifest[table] for table in ("grades", "levels") if table in self.manifest]
        for case in self.manifest["cases"]:
            entries += [entry for entry in (case["image"], case["mask"]) if entry]
        problems = []
        for entry in entries:
            path = self.folder / entry["path"]
            if not path.is_file():
                problems.append(f"{entry['path']} is missing.")
            elif file_sha256(path) != entry["sha256"]:
                problems.append(f"{entry['path']} has been changed since the data set was written.")
        return problems


def require_same_grid(
    mask_shape: tuple[int, ...], mask_matrix: NDArray, shape: tuple[int, ...], matrix: NDArray, patient: str
) -> None:
    """Raise `DatasetError` unless a mask has the voxel grid of its image.

    Parameters
    ----------
    mask_shape, shape : tuple of int
        Stored shapes (k, j, i).
    mask_matrix, matrix : ndarray, shape (4, 4)
        Stored (i, j, k, 1) to LPS mm.
    patient : str
        Named in the message.
    """
    corners = np.array([(i, j, k, 1) for k in (0, shape[0]) for j in (0, shape[1]) for i in (0, shape[2])]).T
    apart = np.abs((mask_matrix - matrix) @ corners).max()
    if tuple(mask_shape) != tuple(shape) or apart > MASK_TOLERANCE_MM:
        raise DatasetError(
            f"The mask of patient {patient} does not lie on the image's voxels; export it with the image's geometry."
        )


def _reference_grades(path: Path, patients: set[str]) -> dict[str, dict[str, int]]:
    """Read the reference grades (rows without a reader) by patient and level."""
    grades: dict[str, dict[str, int]] = {}
    for patient, level, grade, reader in read_grades(path):
        if patient not in patients:
            raise DatasetError(f"{path} grades patient {patient}, who has no image; remove the row or add the image.")
        if not reader:
            grades.setdefault(patient, {})[level] = grade
    return grades


def read_grades(path: Path) -> list[tuple[str, str, int, str]]:
    """Read a table of grades with the columns ``patient``, ``level``, ``pfirrmann`` and, if there, ``reader``.

    The columns may have the other names of `GRADES_COLUMNS`; the table may be one of `read_table`.

    Returns
    -------
    list of tuple
        Patient, level, Pfirrmann grade, reader (empty for a reference grade).

    Raises
    ------
    DatasetError
        If a column is missing, a level or grade is unknown, or a disc has two grades from the same reader.
    """
    result: dict[tuple[str, str, str], int] = {}
    for line, row in enumerate(read_table(path, GRADES_COLUMNS, optional=("reader",)), start=2):
        patient, level, text, reader = (row.get(column, "") for column in GRADES_COLUMNS)
        if not patient or level not in DISC_LABELS or text not in {str(grade) for grade in GRADES}:
            raise DatasetError(
                f"{path}, line {line}: expected patient, level (as L4-L5) and pfirrmann (1 to 5), "
                f"found {patient!r}, {level!r}, {text!r}; correct the row."
            )
        if (patient, level, reader) in result:
            raise DatasetError(f"{path}, line {line}: patient {patient} has {level} twice; remove one of the rows.")
        result[patient, level, reader] = int(text)
    return [(patient, level, grade, reader) for (patient, level, reader), grade in result.items()]
