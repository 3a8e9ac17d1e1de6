"""One frame of a DICOM image with what tells it apart from others, and stacks of frames that belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
from numpy.typing import NDArray

from .acquisition import Acquisition

ORIENTATION_DECIMALS = 2
"""Direction cosines that agree to this many decimals belong to one stack (0.01 is about half a degree)."""

SAME_POSITION_MM = 0.05
"""Frames nearer to each other than this along the slice normal lie at one position."""

SPLIT_KEYS = ("echo_time_ms", "acquisition", "temporal_position", "image_type", "diffusion_b_value")
"""What may tell frames at one position apart, in the order in which it is tried."""


@dataclass(frozen=True, kw_only=True)
class DicomFrame(Acquisition):
    """One two-dimensional frame: where it lies, how it was acquired, where its pixels are.

    Lengths are in mm, times in ms, vectors in LPS; what the header does not say is None or empty.
    """

    path: Path
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


@dataclass(frozen=True)
class DicomStack:
    """Frames of one series, orientation, matrix and contrast, in the order of their position along the slice normal."""

    frames: tuple[DicomFrame, ...]

    @property
    def first(self) -> DicomFrame:
        """The frame with the lowest position; it stands for what all have in common."""
        return self.frames[0]

    @property
    def slice_distance_mm(self) -> float:
        """Usual distance of neighbouring frames, 0 where there is none."""
        if len(self.frames) < 2 or not self.first.has_geometry:
            return 0.0
        return float(np.median(np.diff([frame.depth_mm for frame in self.frames])))

    @property
    def has_repeated_positions(self) -> bool:
        """Whether several frames lie at one position although nothing in their headers tells them apart."""
        return bool(self.first.has_geometry and _positions_repeat(self.frames))


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
    return tuple(_frame(_Lookup(header, groups, shared), path, index) for index, groups in enumerate(per_frame))


def stacks_of(frames: Iterable[DicomFrame]) -> tuple[DicomStack, ...]:
    """Group frames by series, orientation and matrix, and by echo, acquisition … where positions repeat."""
    groups: dict[tuple, list[DicomFrame]] = defaultdict(list)
    seen: set[tuple[str, int | None]] = set()
    for frame in frames:
        identity = (frame.instance_uid, frame.frame_index)
        if frame.instance_uid and identity in seen:
            continue  # the same image stored twice
        seen.add(identity)
        groups[_stack_key(frame)].append(frame)
    stacks = [stack for members in groups.values() for stack in _split(members, SPLIT_KEYS)]
    return tuple(sorted(stacks, key=lambda stack: (stack.first.series_number or 0, stack.first.series_uid)))


def _stack_key(frame: DicomFrame) -> tuple:
    key: tuple = (frame.series_uid, frame.rows, frame.columns, frame.samples)
    if not frame.has_geometry:
        return (*key, None)
    cosines = (
        np.round([*(frame.row_direction_lps or ()), *(frame.column_direction_lps or ())], ORIENTATION_DECIMALS) + 0.0
    )
    spacing = np.round(frame.pixel_spacing_mm or (), 3)
    return (*key, tuple(cosines.tolist()), tuple(spacing.tolist()))


def _split(frames: list[DicomFrame], keys: tuple[str, ...]) -> list[DicomStack]:
    if not frames[0].has_geometry:
        return [DicomStack(tuple(frames))]
    frames = sorted(frames, key=lambda frame: frame.depth_mm)
    if not _positions_repeat(frames) or not keys:
        return [DicomStack(tuple(frames))]
    parts: dict[Any, list[DicomFrame]] = defaultdict(list)
    for frame in frames:
        parts[getattr(frame, keys[0])].append(frame)
    return [stack for part in parts.values() for stack in _split(part, keys[1:])]


def _positions_repeat(frames: Iterable[DicomFrame]) -> bool:
    depths = np.array([frame.depth_mm for frame in frames])
    return bool(np.any(np.diff(depths) < SAME_POSITION_MM))


class _Lookup:
    """Finds an attribute in a frame's functional groups, the shared ones, or the header itself."""

    def __init__(self, header: pydicom.Dataset, *groups: pydicom.Dataset) -> None:
        self._header = header
        self._groups = groups

    def get(self, keyword: str) -> Any:
        for groups in self._groups:
            for element in groups:
                if element.VR == "SQ" and element.value and keyword in element.value[0]:
                    return element.value[0].get(keyword)
        return self._header.get(keyword)


def _frame(lookup: _Lookup, path: Path, index: int | None) -> DicomFrame:
    orientation = _numbers(lookup, "ImageOrientationPatient", 6)
    centers, widths = _numbers(lookup, "WindowCenter"), _numbers(lookup, "WindowWidth")
    thickness = _number(lookup, "SpacingBetweenSlices") or _number(lookup, "SliceThickness")
    echo_time = _number(lookup, "EchoTime")
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
        echo_time_ms=echo_time if echo_time is not None else _number(lookup, "EffectiveEchoTime"),
        repetition_time_ms=_number(lookup, "RepetitionTime"),
        inversion_time_ms=_number(lookup, "InversionTime"),
        acquisition=_integer(lookup, "AcquisitionNumber"),
        temporal_position=_integer(lookup, "TemporalPositionIdentifier"),
        diffusion_b_value=_number(lookup, "DiffusionBValue"),
        image_type=_words(lookup, "FrameType") or _words(lookup, "ImageType"),
        scanning_sequence=_words(lookup, "ScanningSequence"),
        scan_options=_words(lookup, "ScanOptions"),
        body_part=str(lookup.get("BodyPartExamined") or "").upper(),
        labels=" ".join(
            str(lookup.get(keyword) or "") for keyword in ("SeriesDescription", "ProtocolName", "SequenceName")
        ).lower(),
        slope=_number(lookup, "RescaleSlope") or 1.0,
        intercept=_number(lookup, "RescaleIntercept") or 0.0,
        window=(centers[0], widths[0]) if centers and widths and widths[0] > 0 else None,
    )


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
