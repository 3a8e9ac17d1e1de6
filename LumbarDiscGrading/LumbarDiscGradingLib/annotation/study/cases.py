"""The cases of a study: de-identified images with what is known of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...imaging.volume import ImagingError, SagittalVolume, VolumeSource
from ...pfirrmann import Tissue
from ..errors import StudyError
from ..storage.documents import read_document, write_document
from ..storage.durable_files import (
    TEMPORARY_SUFFIX,
    flush_folder,
    make_folder,
    not_saved,
    read_expected,
    write_durable,
)
from ..storage.nrrd_files import MAX_HEADER_BYTES, nrrd_bytes, nrrd_matrix, parse_nrrd

CASE_NAME, IMAGE_NAME, SURROUNDINGS_NAME = "case.json", "image.nrrd", "surroundings.nrrd"
CASE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
LARGEST_IMAGE_BYTES = 1 << 30
SURROUNDING_VALUES = {int(tissue) for tissue in Tissue if tissue is not Tissue.DISC}
"""What may stand in ``surroundings.nrrd``: background, vertebra, canal."""


@dataclass(frozen=True)
class StudyCase:
    """What is known of a case without reading its image.

    Attributes
    ----------
    id, patient : str
        Pseudonyms; cases of one patient share `patient`.
    kind : str
        ``volume`` or ``picture``.
    image_sha256, content_sha256 : str
        Of the image file, and of the voxels in canonical order.
    shape : tuple of int
        Stored shape (k, j, i).
    surroundings_sha256 : str or None
        Of the file with vertebrae and canal, None where nobody has labelled them.
    scale_known : bool
        False when the pixel size is only nominal.
    window : tuple of float or None
        DICOM window centre and width.
    acquisition : dict
        What the allow-list let through.
    source_kind : str
        ``dicom``, ``volume`` or ``picture``.
    """

    id: str
    patient: str
    kind: str
    image_sha256: str
    content_sha256: str
    shape: tuple[int, int, int]
    surroundings_sha256: str | None
    scale_known: bool
    window: tuple[float, float] | None
    acquisition: dict[str, Any]
    source_kind: str
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> StudyCase:
        """Read ``case.json``."""
        try:
            document = read_document(folder / CASE_NAME, "case")
        except FileNotFoundError:
            raise StudyError(f"{folder} has no {CASE_NAME}; restore it from a backup or import again.") from None
        if document["case"] != folder.name:
            raise StudyError(f"{folder} holds the case {document['case']}; give the folder its name back.")
        image, window = document["image"], document["window"]
        return cls(
            document["case"],
            document["patient"],
            document["kind"],
            image["sha256"],
            image["content_sha256"],
            tuple(image["shape"]),
            document["surroundings_sha256"],
            document["scale_known"],
            (float(window[0]), float(window[1])) if window else None,
            document["acquisition"],
            document["provenance"]["source_kind"],
            folder,
        )

    def volume(self) -> SagittalVolume:
        """Read the image in canonical sagittal order, checked against its hash."""
        path = self.folder / IMAGE_NAME
        array, matrix = self._grid(path, self.image_sha256)
        source = VolumeSource(self.id, str(path), self.image_sha256, "MR", window=self.window)
        try:
            return SagittalVolume.from_stored(array, matrix, source, (), self.scale_known)
        except ImagingError as error:
            raise StudyError(f"The image of case {self.id} is not usable: {error}") from None

    def surroundings(self) -> NDArray[np.uint8] | None:
        """Read the vertebrae and the spinal canal that came with the image, None for none.

        Returns
        -------
        ndarray of uint8, shape (slices, rows, columns)
            `pfirrmann.Tissue` values without discs, canonical order.
        """
        if self.surroundings_sha256 is None:
            return None
        path = self.folder / SURROUNDINGS_NAME
        array, matrix = self._grid(path, self.surroundings_sha256)
        if not set(np.unique(array).tolist()) <= SURROUNDING_VALUES:
            raise StudyError(f"{path} holds more than vertebrae and canal; restore it from a backup.")
        return SagittalVolume.from_stored(array.astype(np.uint8), matrix).voxels

    def _grid(self, path: Path, sha256: str) -> tuple[NDArray, NDArray[np.float64]]:
        content = read_expected(path, LARGEST_IMAGE_BYTES)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StudyError(f"{path} has been changed since it was imported; restore it from a backup.")
        array, matrix, _ = parse_nrrd(content, str(path), self.shape)
        if array.shape != self.shape:
            raise StudyError(f"{path} has another size than {CASE_NAME} says; restore it from a backup.")
        return array, matrix

    def index_to_lps(self) -> NDArray[np.float64]:
        """Read the (4, 4) matrix from stored (i, j, k, 1) to LPS mm from the image's header."""
        path = self.folder / IMAGE_NAME
        return nrrd_matrix(read_expected(path, LARGEST_IMAGE_BYTES, MAX_HEADER_BYTES), str(path))


def content_sha256(volume: SagittalVolume) -> str:
    """Return a hash of a volume's voxels that does not depend on file format, voxel type or axis order."""
    digest = hashlib.sha256(repr(volume.voxels.shape).encode("ascii"))
    for plane in volume.voxels:
        digest.update(np.ascontiguousarray(plane, dtype="<f4").tobytes())
    return digest.hexdigest()


def add_case(
    cases_folder: Path,
    volume: SagittalVolume,
    *,
    patient: str | None,
    kind: str,
    acquisition: Mapping[str, Any],
    source_kind: str,
    case_id: str | None = None,
    surroundings: NDArray[np.uint8] | None = None,
) -> StudyCase:
    """Write a new case; its folder appears whole under its name or not at all.

    Parameters
    ----------
    patient : str or None
        Pseudonym of the patient; None for a new patient, who gets the name of the case.
    case_id : str, optional
        By default the next free number.
    surroundings : ndarray of uint8, shape (slices, rows, columns), optional
        Vertebrae and canal as `pfirrmann.Tissue` values; anything else in it is dropped.

    Raises
    ------
    StudyError
        If `case_id` is taken, or, as `NotSavedError`, the folder cannot be written.
    """
    make_folder(cases_folder)
    partial = cases_folder / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    stored = volume.to_stored(volume.voxels)
    if stored.dtype.kind not in "iuf" or stored.dtype.itemsize > 4 or stored.dtype == np.float16:
        stored = stored.astype(np.float32)
    content, around = nrrd_bytes(stored, volume.stored_index_to_lps), None
    if surroundings is not None and surroundings.any():
        kept = np.where(np.isin(surroundings, sorted(SURROUNDING_VALUES)), surroundings, 0).astype(np.uint8)
        around = nrrd_bytes(volume.to_stored(kept), volume.stored_index_to_lps)
    document = {
        "kind": kind,
        "image": {
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_sha256": content_sha256(volume),
            "shape": list(stored.shape),
        },
        "surroundings_sha256": hashlib.sha256(around).hexdigest() if around else None,
        "scale_known": volume.scale_known,
        "window": list(volume.source.window) if volume.source.window else None,
        "acquisition": dict(acquisition),
        "provenance": {"source_kind": source_kind, "software": f"LumbarDiscGrading {__version__}"},
    }
    try:
        make_folder(partial)
        write_durable(partial / IMAGE_NAME, content)
        if around:
            write_durable(partial / SURROUNDINGS_NAME, around)
        while True:
            name = case_id or _next_id(cases_folder)
            write_document(partial / CASE_NAME, "case", {"case": name, "patient": patient or name, **document})
            if _took_name(partial, cases_folder / name):
                return StudyCase.read(cases_folder / name)
            if case_id is not None:
                raise StudyError(f"The study has a case {case_id} already; import it under another name.")
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _next_id(cases_folder: Path) -> str:
    numbers = [int(name[1:]) for name in os.listdir(cases_folder) if re.fullmatch(r"C\d{1,9}", name)]
    return f"C{max(numbers, default=0) + 1:04d}"


def _took_name(partial: Path, folder: Path) -> bool:
    """Rename a folder unless the name is taken: a second importer may have been faster."""
    if folder.exists():
        return False
    try:
        os.rename(partial, folder)
    except OSError as error:
        if folder.exists():
            return False
        raise not_saved(folder, error) from None
    with contextlib.suppress(OSError):
        flush_folder(folder.parent)
    return True


def is_case_name(name: str) -> bool:
    """Whether a name may be that of a case."""
    return CASE_PATTERN.fullmatch(name) is not None
