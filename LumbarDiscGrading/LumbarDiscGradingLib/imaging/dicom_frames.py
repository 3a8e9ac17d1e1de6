"""One frame of a DICOM image with what tells it apart from others."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
from numpy.typing import NDArray

from .acquisition import LOCALIZER_WORDS, Acquisition
from .dicom_study.people import Person
from .volume import ImagingError


@dataclass(frozen=True, kw_only=True)
class DicomFrame(Acquisition):
    """One two-dimensional frame: where it lies, how it was acquired, where its pixels are.

    Lengths are in mm, times in ms, vectors in LPS; what the header does not say is None or empty.
    """

    path: Path
    person: Person = field(default_factory=Person)
    inverted_about: float | None = None
    frame_index: int | None
    instance_uid: str
    series_uid: str
    rows: int
    columns: int
    position_lps: tuple[float, float, float] | None
    row_direction_lps: tuple[float, float, float] | None
    column_direction_lps: tuple[float, float, float] | None
    pixel_spacing_mm: tuple[float, float] | None
    slice_thickness_mm: float | None
    slope: float
    intercept: float
    window: tuple[float, float] | None

    @property
    def has_geometry(self) -> bool:
        """Whether the frame says where in the patient it lies; its pixel size may still be missing."""
        return None not in (self.position_lps, self.row_direction_lps, self.column_direction_lps)

    @property
    def normal_lps(self) -> NDArray[np.float64]:
        """Unit vector across the slice."""
        return np.cross(np.array(self.row_direction_lps), np.array(self.column_direction_lps))

    @property
    def depth_mm(self) -> float:
        """Position along the slice normal."""
        return float(self.normal_lps @ np.array(self.position_lps))


def frames_of(header: pydicom.Dataset, path: Path) -> tuple[DicomFrame, ...]:
    """Return the frames that a DICOM header describes, one or, for an enhanced multi-frame image, several.

    Parameters
    ----------
    header : pydicom.Dataset
        Read without pixels.
    path : Path
        The file it was read from.
    """
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        count = int(_number(header, "NumberOfFrames") or 1)
        if count > 1:  # multi-frame without positions: screen captures, cine
            return ()
        return (_frame(_Lookup(header), path, None),)
    shared = (header.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    stated = int(_number(header, "NumberOfFrames") or 1)
    if stated != len(per_frame):
        raise ImagingError(
            f"An enhanced image has {stated} frames but describes {len(per_frame)} of them; export the series again."
        )
    return tuple(_frame(_Lookup(header, groups, shared), path, index) for index, groups in enumerate(per_frame))


class _Lookup:
    """Finds an attribute in a frame's functional groups, the shared ones, or the header itself."""

    def __init__(self, header: pydicom.Dataset, *groups: pydicom.Dataset) -> None:
        self._header = header
        self._groups = groups

    def get(self, keyword: str) -> Any:
        with suppress(Exception):  # pydicom raises nearly anything on a value that does not fit its tag
            for groups in self._groups:
                for element in groups:
                    if element.VR == "SQ" and element.value and keyword in element.value[0]:
                        return element.value[0].get(keyword)
            return self._header.get(keyword)
        return None


def _frame(lookup: _Lookup, path: Path, index: int | None) -> DicomFrame:
    orientation = _numbers(lookup, "ImageOrientationPatient", 6)
    centers, widths = _numbers(lookup, "WindowCenter"), _numbers(lookup, "WindowWidth")
    thickness = _number(lookup, "SpacingBetweenSlices") or _number(lookup, "SliceThickness")
    slope, intercept = _number(lookup, "RescaleSlope") or 1.0, _number(lookup, "RescaleIntercept") or 0.0
    window = (centers[0], widths[0]) if centers and widths and widths[0] > 0 else None
    inverted_about = _inverted_about(lookup, slope, intercept)
    if window is not None and inverted_about is not None:
        window = inverted_about - window[0], window[1]
    return DicomFrame(
        path=path,
        frame_index=index,
        instance_uid=str(lookup.get("SOPInstanceUID") or ""),
        series_uid=str(lookup.get("SeriesInstanceUID") or ""),
        series_number=_integer(lookup, "SeriesNumber"),
        modality=str(lookup.get("Modality") or "").upper(),
        study_uid=str(lookup.get("StudyInstanceUID") or ""),
        rows=_integer(lookup, "Rows") or 0,
        columns=_integer(lookup, "Columns") or 0,
        samples=_integer(lookup, "SamplesPerPixel") or 1,
        position_lps=cast("tuple[float, float, float] | None", _numbers(lookup, "ImagePositionPatient", 3)),
        row_direction_lps=_unit(orientation[:3]) if orientation else None,
        column_direction_lps=_unit(orientation[3:]) if orientation else None,
        pixel_spacing_mm=cast("tuple[float, float] | None", _numbers(lookup, "PixelSpacing", 2)),
        slice_thickness_mm=abs(thickness) if thickness else None,
        person=_person(lookup),
        inverted_about=inverted_about,
        echo_time_ms=_number(lookup, "EchoTime") or _number(lookup, "EffectiveEchoTime") or None,
        repetition_time_ms=_number(lookup, "RepetitionTime") or None,
        inversion_time_ms=_number(lookup, "InversionTime") or _number(lookup, "InversionTimes"),
        echo_number=_integer(lookup, "EchoNumbers"),
        acquisition=_integer(lookup, "AcquisitionNumber"),
        temporal_position=_integer(lookup, "TemporalPositionIdentifier"),
        diffusion_b_value=_number(lookup, "DiffusionBValue"),
        image_type=_words(lookup, "FrameType") or _words(lookup, "ImageType"),
        scanning_sequence=_words(lookup, "ScanningSequence"),
        scan_options=_words(lookup, "ScanOptions"),
        suppression=_words(lookup, "SpectrallySelectedSuppression"),
        inversion_recovery=str(lookup.get("InversionRecovery") or "").upper() == "YES",
        stated_contrast=str(lookup.get("AcquisitionContrast") or "").upper(),
        body_part=str(lookup.get("BodyPartExamined") or "").upper(),
        labels=_labels(lookup),
        protocol=str(lookup.get("ProtocolName") or "").lower(),
        slope=slope,
        intercept=intercept,
        window=window,
    )


def _labels(lookup: Any) -> str:
    """Join what names a series; a protocol name that alone speaks of a localizer is that of the whole exam."""
    description, protocol, sequence = (
        str(lookup.get(keyword) or "").lower() for keyword in ("SeriesDescription", "ProtocolName", "SequenceName")
    )
    if description and not LOCALIZER_WORDS.search(description) and LOCALIZER_WORDS.search(protocol):
        protocol = ""
    return " ".join((description, protocol, sequence)).strip()


def without_name_of_exam(frames: Iterable[DicomFrame]) -> tuple[DicomFrame, ...]:
    """Leave out of the labels a protocol name that speaks of a localizer and that several series of the frames share.

    Parameters
    ----------
    frames : iterable of DicomFrame
        Of one study or of one person.
    """
    frames = tuple(frames)
    series_by_protocol: dict[str, set[str]] = {}
    for frame in frames:
        if LOCALIZER_WORDS.search(frame.protocol):
            series_by_protocol.setdefault(frame.protocol, set()).add(frame.series_uid)
    shared = {protocol for protocol, series in series_by_protocol.items() if len(series) > 1}
    return tuple(
        replace(frame, labels=frame.labels.replace(frame.protocol, "", 1).strip())
        if frame.protocol in shared
        else frame
        for frame in frames
    )


def _person(lookup: Any) -> Person:
    keywords = (
        "PatientID",
        "IssuerOfPatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
    )
    return Person(*(str(lookup.get(keyword) or "").strip() for keyword in keywords))


def _inverted_about(lookup: Any, slope: float, intercept: float) -> float | None:
    """Return the sum of the lowest and the highest possible value where low values are to be shown bright."""
    inverse = str(lookup.get("PresentationLUTShape") or "").upper() == "INVERSE"
    if str(lookup.get("PhotometricInterpretation") or "").upper() != "MONOCHROME1" and not inverse:
        return None
    bits, signed = _integer(lookup, "BitsStored") or 16, bool(_integer(lookup, "PixelRepresentation"))
    return slope * (-1 if signed else 2**bits - 1) + 2 * intercept


def _numbers(lookup: Any, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    value = lookup.get(keyword)
    if value is None or value == "":
        return None
    values = value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]
    try:
        numbers = tuple(float(item) for item in values)
    except (TypeError, ValueError):
        return None
    if not numbers or not np.all(np.isfinite(numbers)) or (count is not None and len(numbers) != count):
        return None
    return numbers


def _number(lookup: Any, keyword: str) -> float | None:
    numbers = _numbers(lookup, keyword)
    return numbers[0] if numbers else None


def _integer(lookup: Any, keyword: str) -> int | None:
    number = _number(lookup, keyword)
    return None if number is None else int(number)


def _words(lookup: Any, keyword: str) -> tuple[str, ...]:
    value = lookup.get(keyword)
    if not value:
        return ()
    return tuple(str(item).upper() for item in ([value] if isinstance(value, str) else value))


def _unit(vector: tuple[float, ...]) -> tuple[float, float, float] | None:
    length = float(np.linalg.norm(vector))
    if length == 0:
        return None
    x, y, z = (np.array(vector) / length).tolist()
    return x, y, z
