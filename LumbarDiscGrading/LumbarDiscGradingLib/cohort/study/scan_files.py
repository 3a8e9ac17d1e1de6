"""The image and the masks of a graded scan, if they are still those that were graded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.errors import StudyError
from ...annotation.exchange.sources import ImportSource, find_sources
from ...annotation.storage.segmentation_files import parse_segmentation
from ...imaging.file_names import as_on_disk
from ...imaging.reading import read_volume
from ...imaging.volume import ImagingError, SagittalVolume
from ...pfirrmann import DISC_LABELS
from .graded_scans import CohortError, GradedScan

SAME_PLACE_MM = 0.05
"""The centre of a disc's mask moves farther than this when somebody edits it."""


@dataclass
class ScanReader:
    """Reads the inputs of scans; of a folder that holds many studies each header is read once."""

    _sources: dict[Path, list[ImportSource]] = field(default_factory=dict)

    def read(self, scan: GradedScan) -> tuple[ImportSource, SagittalVolume]:
        """Read the input of a scan as it was read for grading.

        Raises
        ------
        CohortError
            If it is not there any more, or another one than was graded.
        ImagingError
            If it cannot be read.
        """
        path = next((path for path in map(Path, (scan.input, as_on_disk(scan.input))) if path.exists()), None)
        if path is None or not scan.input:
            raise CohortError("Its input is not where it was when it was graded; move it back, or grade it again.")
        refused: CohortError | ImagingError | None = None
        for source in sorted(self._sources_in(path), key=lambda source: not _has_series(source, scan.series)):
            try:
                pixel_mm = _given_pixel_mm(scan.stored_result()) if source.kind == "picture" else None
                volume = read_volume(source.path, pixel_mm, scan.series or None, source.study)
            except ImagingError as error:
                refused = error
                continue
            if volume.source.sha256 == scan.input_sha256:
                return source, volume
            refused = CohortError("Its input has been changed since it was graded; grade it again.")
        raise refused or CohortError("Its input holds no image any more; grade it again.")

    def _sources_in(self, path: Path) -> list[ImportSource]:
        if path not in self._sources:
            try:
                self._sources[path] = find_sources(path)
            except (StudyError, OSError) as error:
                raise CohortError(f"Its input cannot be read ({error}); grade it again.") from None
        return self._sources[path]


def _has_series(source: ImportSource, series: str) -> bool:
    return source.study is not None and any(frame.series_uid == series for frame in source.study.frames)


def _given_pixel_mm(stored: dict[str, Any] | None) -> float | None:
    """Return the pixel size that was given for a picture, None where its scale was only estimated."""
    return float(stored["input"]["spacing_mm"][1]) if stored and stored["input"]["scale_known"] else None


def scan_masks(scan: GradedScan, volume: SagittalVolume) -> NDArray[np.uint8] | None:
    """Read the model's masks of a scan.

    Parameters
    ----------
    volume : SagittalVolume
        The image of the scan.

    Returns
    -------
    ndarray of uint8, shape (slices, rows, columns), or None
        `pfirrmann.DISC_LABELS` values in canonical order; None where there is no file of them.

    Raises
    ------
    CohortError
        If they do not lie on the image, or are not those that were graded.
    """
    path, matrix = scan.segmentation_path, volume.stored_index_to_lps
    shape = volume.to_stored(volume.voxels).shape
    try:
        labels = parse_segmentation(path.read_bytes(), path.name, shape, matrix)
    except FileNotFoundError:
        return None
    except (StudyError, OSError):
        raise CohortError(f"{path.name} are no masks on the image of the scan; grade it again.") from None
    canonical = SagittalVolume.from_stored(labels, matrix).voxels
    stored = scan.stored_result()
    if stored is not None and not _are_as_graded(canonical, volume, stored):
        raise CohortError(f"{path.name} has been changed since it was graded; grade the scan again.")
    return canonical


def _are_as_graded(labels: NDArray[np.uint8], volume: SagittalVolume, stored: dict[str, Any]) -> bool:
    centers = {DISC_LABELS[disc["level"]]: disc["center_lps_mm"] for disc in stored["discs"]}
    if set(np.unique(labels).tolist()) - {0} != set(centers):
        return False
    for value, center in centers.items():
        slices, rows, columns = np.nonzero(labels == value)
        found = volume.lps_mm(int(slices[0]), float(rows.mean()), float(columns.mean()))
        if np.ptp(slices) > 0 or np.abs(np.subtract(found, center)).max() > SAME_PLACE_MM:
            return False
    return True
