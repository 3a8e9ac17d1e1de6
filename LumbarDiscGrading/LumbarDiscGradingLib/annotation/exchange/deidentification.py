"""What of an image's header is kept: the entries of an allow-list, nothing else. No name, date, text or identifier."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom

from ...imaging.file_names import printable
from ..errors import StudyError
from ..storage.csv_files import safe_cell
from ..storage.durable_files import append_line, make_folder, not_saved, read_limited

MANUFACTURERS = ("siemens", "philips", "canon", "toshiba", "hitachi", "fujifilm", "united imaging", "ge")
"""Words by which a manufacturer is recognised; any other text becomes ``other``."""

ALLOWED_NUMBERS = {
    "MagneticFieldStrength": "magnetic_field_strength_t",
    "RepetitionTime": "repetition_time_ms",
    "EchoTime": "echo_time_ms",
    "FlipAngle": "flip_angle_degrees",
    "EchoTrainLength": "echo_train_length",
    "SliceThickness": "slice_thickness_mm",
    "SpacingBetweenSlices": "spacing_between_slices_mm",
}
"""DICOM attributes that are kept as numbers, and their names in ``case.json``."""

MAPPING_COLUMNS = ("case", "patient", "source_patient", "source")
LARGEST_MAPPING_BYTES = 1 << 26
SHORTEST_TELLING_IDENTIFIER = 4
"""Shorter identifiers, such as 17, occur in any file by chance and are not searched for."""


def acquisition_of(header: pydicom.Dataset) -> dict[str, Any]:
    """Return what is kept of a DICOM header.

    Returns
    -------
    dict
        Entries of ``acquisition`` in ``case.schema.json``.
    """
    kept: dict[str, Any] = {}
    for keyword, name in ALLOWED_NUMBERS.items():
        try:
            number = float(header.get(keyword))
        except (TypeError, ValueError):
            continue
        if math.isfinite(number) and 0 <= number < 1e5:
            kept[name] = int(number) if keyword == "EchoTrainLength" else number
    if kept.get("magnetic_field_strength_t", 0) > 30:  # some scanners state it in gauss
        kept["magnetic_field_strength_t"] = kept["magnetic_field_strength_t"] / 1e4
    if kept.get("flip_angle_degrees", 0) > 360:
        del kept["flip_angle_degrees"]
    if str(header.get("Modality", "")) == "MR":
        kept["modality"] = "MR"
    if str(header.get("MRAcquisitionType", "")) in ("2D", "3D"):
        kept["acquisition_type"] = str(header.get("MRAcquisitionType"))
    words = str(header.get("Manufacturer", "")).casefold().replace("general electric", "ge").split()
    if words:
        text = " ".join(words)
        known = (name for name in MANUFACTURERS if (name in words if name == "ge" else name in text))
        kept["manufacturer"] = next(known, "other")
    return kept


@dataclass(frozen=True)
class MappingRow:
    """Which source a case came from; the only place where an original identifier is kept."""

    case: str
    patient: str
    source_patient: str
    source: str


class IdentifierMapping:
    """The file that leads from pseudonyms back to the sources; outside the study, readable by its owner only.

    Parameters
    ----------
    study_folder : Path
        The file must not lie in it.

    Raises
    ------
    StudyError
        If it lies inside the study or cannot be read.
    """

    def __init__(self, path: Path, study_folder: Path) -> None:
        self.path = path
        real, root = os.path.realpath(path), os.path.realpath(study_folder)
        if os.path.commonpath([real, root]) == root:
            raise StudyError(f"{path} would lie inside the study and go out with it; keep the mapping elsewhere.")
        self.rows = list(self._read())

    @classmethod
    def beside(cls, study_folder: Path) -> IdentifierMapping:
        """Return the mapping at its usual place, next to the study folder."""
        folder = Path(os.path.abspath(study_folder))
        return cls(folder.with_name(f"{folder.name}-mapping.csv"), folder)

    def patient_of(self, source_patient: str) -> str | None:
        """Return the pseudonym of a patient who was imported before."""
        wanted = safe_cell(printable(source_patient))
        return next((row.patient for row in self.rows if row.source_patient == wanted), None)

    def add(self, row: MappingRow) -> None:
        """Add a row durably."""
        if not self.path.exists():
            make_folder(self.path.parent)
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except OSError as error:
                raise not_saved(self.path, error) from None
            append_line(self.path, ",".join(MAPPING_COLUMNS))
        row = MappingRow(*(safe_cell(printable(" ".join(str(cell).split()))) for cell in vars(row).values()))
        stream = io.StringIO()
        csv.writer(stream, lineterminator="").writerow(vars(row).values())
        append_line(self.path, stream.getvalue())
        self.rows.append(row)

    def identifiers(self) -> set[str]:
        """Return the original identifiers that are long enough to be searched for."""
        found = {row.source_patient.rsplit("/", 1)[-1].lstrip("'") for row in self.rows}
        return {name for name in found if len(name) >= SHORTEST_TELLING_IDENTIFIER}

    def _read(self) -> Iterable[MappingRow]:
        try:
            text = read_limited(self.path, LARGEST_MAPPING_BYTES).decode("utf-8")
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            raise StudyError(f"{self.path} is not readable as CSV in UTF-8; restore it from a backup.") from None
        for row in csv.DictReader(io.StringIO(text)):
            if all(row.get(column) is not None for column in MAPPING_COLUMNS):
                yield MappingRow(*(row[column] for column in MAPPING_COLUMNS))
