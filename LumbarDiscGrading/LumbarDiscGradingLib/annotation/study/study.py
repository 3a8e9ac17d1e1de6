"""`Study`: a study folder opened; protocol, cases and what the readers' logs say. Writes nothing but new cases."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ..errors import StudyError
from ..log.history import ReaderHistory
from ..protocol import Protocol, Task
from ..storage.documents import read_document, write_document
from ..storage.durable_files import make_folder, read_expected, require_inside
from ..storage.segmentation_files import parse_segmentation
from .cases import StudyCase, add_case, is_case_name

STUDY_NAME = "study.json"
CASES_FOLDER, READERS_FOLDER = "cases", "readers"
LARGEST_READING_BYTES = 1 << 27


class Study:
    """A study on disk.

    ::

        study.json                              protocol
        cases/C0001/image.nrrd, case.json       de-identified image, what is known of it
        readers/anna/events.jsonl               what anna did, when, how long
        readers/anna/cases/C0001/grades.json    anna's grades
        readers/anna/cases/C0001/masks.seg.nrrd anna's masks

    Attributes
    ----------
    histories : dict of str to ReaderHistory
        By reader.

    Examples
    --------
    >>> study = Study.open("study")  # doctest: +SKIP
    >>> study.case("C0001").volume().spacing_mm  # doctest: +SKIP
    """

    def __init__(self, folder: Path, protocol: Protocol) -> None:
        self.folder = folder
        self.protocol = protocol
        self.histories: dict[str, ReaderHistory] = {}
        self._case_ids: tuple[str, ...] = ()
        self._cases: dict[str, StudyCase] = {}
        self.refresh()

    @classmethod
    def create(cls, folder: Path | str, protocol: Protocol) -> Study:
        """Make a study in a folder that is new or empty.

        Raises
        ------
        StudyError
            If the folder holds something, the protocol is not valid, or nothing can be written there.
        """
        folder = Path(folder)
        require_unused(folder)
        make_folder(folder)
        for name in (CASES_FOLDER, READERS_FOLDER):
            make_folder(folder / name)
        write_document(folder / STUDY_NAME, "study", protocol.to_json())
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str) -> Study:
        """Open a study; images and readings are read only when asked for."""
        folder = Path(folder)
        try:
            document = read_document(folder / STUDY_NAME, "study")
        except (FileNotFoundError, NotADirectoryError):
            raise StudyError(f"{folder} is no study: it has no {STUDY_NAME}; make one with 'study create'.") from None
        return cls(folder, Protocol.from_json(document))

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Names of the cases, sorted."""
        return self._case_ids

    @property
    def revision(self) -> int:
        """How many events have been taken in: as long as it stays the same, so do all states."""
        return sum(history.events for history in self.histories.values())

    def refresh(self) -> None:
        """Take in the cases and events that were added since the last call."""
        self._case_ids = _case_names(self.folder / CASES_FOLDER)
        for reader in self.protocol.readers:
            if reader.id not in self.histories:
                self.histories[reader.id] = ReaderHistory(reader.id, self.reader_folder(reader.id))
            self.histories[reader.id].refresh()

    def case(self, case_id: str) -> StudyCase:
        """Return what is known of a case."""
        if case_id not in self._cases:
            if not is_case_name(case_id) or case_id not in self._case_ids:
                raise StudyError(f"The study has no case {case_id[:64]!r}; see the list of cases.")
            self._cases[case_id] = StudyCase.read(self.folder / CASES_FOLDER / case_id)
        return self._cases[case_id]

    def add_case(
        self,
        volume: SagittalVolume,
        *,
        kind: str = "volume",
        patient: str | None = None,
        acquisition: Mapping[str, Any] | None = None,
        source_kind: str = "volume",
        case_id: str | None = None,
        surroundings: NDArray[np.uint8] | None = None,
    ) -> StudyCase:
        """Add an image as a new case; nothing but its voxels, geometry and `acquisition` is kept.

        Parameters
        ----------
        surroundings : ndarray of uint8, shape (slices, rows, columns), optional
            Vertebrae and canal as `pfirrmann.Tissue` values, where a label map came with the image. They are no
            reading, but training on an export needs them.

        Raises
        ------
        StudyError
            If `case_id` or `patient` cannot be used, or, as `NotSavedError`, nothing can be written.
        """
        for name in (case_id, patient):
            if name is not None and not is_case_name(name):
                raise StudyError(f"{name[:64]!r} cannot name a case; use letters, digits, - and _ only.")
        case = add_case(
            self.folder / CASES_FOLDER,
            volume,
            patient=patient,
            kind=kind,
            acquisition=acquisition or {},
            source_kind=source_kind,
            case_id=case_id,
            surroundings=surroundings,
        )
        self._case_ids = tuple(sorted({*self._case_ids, case.id}))
        self._cases[case.id] = case
        return case

    def reader_folder(self, reader: str) -> Path:
        """Return the folder of a reader, inside the study for sure; it need not exist."""
        folder = self.folder / READERS_FOLDER / self.protocol.reader(reader).id
        require_inside(self.folder, folder)
        return folder

    def reading_path(self, reader: str, case_id: str, task: Task, round_number: int = 1) -> Path:
        """Return the path of a reading's file; `safe` before anything is read or written there."""
        suffix = "" if round_number == 1 else f".{round_number}"
        name = f"masks{suffix}.seg.nrrd" if task is Task.MASKS else f"grades{suffix}.json"
        return self._case_folder(reader, case_id) / name

    def review_path(self, reviewer: str, case_id: str, annotator: str) -> Path:
        """Return the path of the masks that a peer reviewer corrected; `safe` before use."""
        return self._case_folder(reviewer, case_id) / f"review-{self.protocol.reader(annotator).id}.seg.nrrd"

    def adjudication_path(self, adjudicator: str, case_id: str) -> Path:
        """Return the path of an adjudicator's masks; `safe` before use."""
        return self._case_folder(adjudicator, case_id) / "adjudication.seg.nrrd"

    def safe(self, path: Path) -> Path:
        """Return a path of the study, or raise `StudyError` if its folder, links followed, leads out of it."""
        require_inside(self.folder, path.parent)
        return path

    def masks(self, path: Path, case_id: str, sha256: str | None = None) -> SagittalVolume:
        """Read a mask file of a case.

        Parameters
        ----------
        sha256 : str, optional
            The file must have this hash.

        Returns
        -------
        SagittalVolume
            Its voxels are `pfirrmann.DISC_LABELS` values, aligned with those of the image.

        Raises
        ------
        StudyError
            If it is missing, damaged, does not lie on the image, or is another file than the one expected.
        """
        case = self.case(case_id)
        content = read_expected(self.safe(path), LARGEST_READING_BYTES)
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise StudyError(f"{path} is not what its reader saved; restore it from a backup, or read the case again.")
        matrix = case.index_to_lps()
        labels = parse_segmentation(content, str(path), case.shape, matrix)
        return SagittalVolume.from_stored(labels, matrix, scale_known=case.scale_known)

    def _case_folder(self, reader: str, case_id: str) -> Path:
        if not is_case_name(case_id):
            raise StudyError(f"{case_id[:64]!r} cannot name a case; use letters, digits, - and _ only.")
        return self.folder / READERS_FOLDER / self.protocol.reader(reader).id / "cases" / case_id


def require_unused(folder: Path) -> None:
    """Raise `StudyError` unless a folder for a new study is not there yet, or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"{folder} exists already and is not empty; choose another folder for the study.")


def _case_names(folder: Path) -> tuple[str, ...]:
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(e.name for e in entries if is_case_name(e.name) and e.is_dir(follow_symlinks=False)))
    except OSError as error:
        raise StudyError(f"{folder} cannot be read ({error.strerror}); restore it from a backup.") from None
