"""Frames put together into stacks by where they lie, within named tolerances, whatever their identifiers say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dicom_frames import DicomFrame

COSINE_TOLERANCE = 0.01
"""Direction cosines that differ by no more belong to one stack (about half a degree)."""

PIXEL_SPACING_TOLERANCE = 0.005
"""Share by which pixel spacings may differ in one stack: 0.6875 and 0.688 are one, 0.6875 and 0.7 are not."""

SAME_POSITION_MM = 0.05
"""Frames nearer to each other than this along the slice normal lie at one position."""

POSITION_TOLERANCE_MM = 0.1
POSITION_TOLERANCE_SHARE = 0.05
"""Slice distances may differ by this much, or by this share of the distance, before slices count as missing."""

STATION_MM = 10.0
"""Frames at one depth that are shifted further than this within their plane are of two stations."""

SHARE_OF_POSITIONS = 0.75
"""What tells frames at one position apart must leave a part with at least this share of all positions: an acquisition
number that counts the slices does not."""

LEAST_LONE_SLICES = 3
"""Slices of as many series are put together only where there are three: two are always evenly spaced."""

SPLIT_KEYS = (
    "echo_time_ms",
    "echo_number",
    "acquisition",
    "temporal_position",
    "image_type",
    "diffusion_b_value",
    "labels",
)
"""What may tell frames at one position apart, in the order in which it is tried."""

SamePixels = Callable[[DicomFrame, DicomFrame], bool]


@dataclass(frozen=True)
class DicomStack:
    """Frames of one orientation, matrix and contrast, in the order of their position along the slice normal.

    Attributes
    ----------
    frames : tuple of DicomFrame
    repeated : int
        How many frames were left out because the same pixels lie at the same place.
    """

    frames: tuple[DicomFrame, ...]
    repeated: int = 0

    @property
    def first(self) -> DicomFrame:
        """The frame with the lowest position; it stands for what all have in common."""
        return self.frames[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the frames, each once."""
        return tuple(dict.fromkeys(frame.path for frame in self.frames))

    @property
    def series_uids(self) -> frozenset[str]:
        """The series that the frames come from; mostly one."""
        return frozenset(frame.series_uid for frame in self.frames)

    @property
    def slice_distance_mm(self) -> float:
        """Usual distance of neighbouring frames, 0 where there is none."""
        if len(self.frames) < 2 or not self.first.has_geometry:
            return 0.0
        return float(np.median(np.diff(_depths(self.frames))))

    @property
    def has_repeated_positions(self) -> bool:
        """Whether several frames lie at one position although nothing in their headers tells them apart."""
        return bool(self.first.has_geometry and _repeat(self.frames))

    @property
    def lowest_mm(self) -> float:
        """How far the image reaches to the feet: the lowest corner along the patient's axis."""
        frame = self.first
        spacing = frame.pixel_spacing_mm or (1.0, 1.0)
        down = np.array(frame.column_direction_lps) * spacing[0] * frame.rows
        across = np.array(frame.row_direction_lps) * spacing[1] * frame.columns
        corner = np.array(frame.position_lps)
        return float(min((corner + a * down + b * across)[2] for a in (0, 1) for b in (0, 1)))


def stacks_of(frames: Iterable[DicomFrame], same_pixels: SamePixels = lambda one, other: False) -> list[DicomStack]:
    """Put the frames of one person together into stacks.

    Frames of one series, matrix, orientation and pixel spacing are one stack; where positions repeat, what was stored
    twice is left out, and echo, acquisition … tell the others apart. Stacks of several series that complete each other
    to one evenly spaced stack of one contrast are one.

    Parameters
    ----------
    frames : iterable of DicomFrame
    same_pixels : callable
        Whether two frames at one place have the same pixels; asked only where positions repeat.
    """
    groups: dict[tuple, list[DicomFrame]] = defaultdict(list)
    for frame in frames:
        groups[(frame.rows, frame.columns, frame.samples, frame.modality, frame.has_geometry)].append(frame)
    stacks: list[DicomStack] = []
    for members in groups.values():
        for alike in _clustered(members) if members[0].has_geometry else [members]:
            stacks += _stacks_on_one_grid(alike, same_pixels)
    return sorted(stacks, key=lambda stack: (stack.first.series_number or 0, stack.first.series_uid))


def is_regular(depths: NDArray[np.float64]) -> bool:
    """Whether slices at these depths, in order, are evenly spaced and none lies on another."""
    steps = np.diff(depths)
    if not len(steps):
        return True
    return bool(steps.min() >= SAME_POSITION_MM and np.ptp(steps) <= step_tolerance_mm(steps))


def step_tolerance_mm(steps: NDArray[np.float64]) -> float:
    """Return by how much the distances of neighbouring slices may differ."""
    return max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_SHARE * float(np.median(steps)))


def _clustered(frames: list[DicomFrame]) -> list[list[DicomFrame]]:
    """Group frames by orientation and pixel spacing; each is compared with the first of a group, within tolerances."""
    clusters: list[tuple[NDArray, NDArray, list[DicomFrame]]] = []
    for frame in frames:
        cosines = np.array([*(frame.row_direction_lps or ()), *(frame.column_direction_lps or ())])
        spacing = np.array(frame.pixel_spacing_mm or (0.0, 0.0))
        for known_cosines, known_spacing, members in clusters:
            if np.abs(cosines - known_cosines).max() <= COSINE_TOLERANCE and np.allclose(
                spacing, known_spacing, rtol=PIXEL_SPACING_TOLERANCE, atol=0
            ):
                members.append(frame)
                break
        else:
            clusters.append((cosines, spacing, [frame]))
    return [members for _, _, members in clusters]


def _stacks_on_one_grid(frames: list[DicomFrame], same_pixels: SamePixels) -> list[DicomStack]:
    by_series: dict[str, list[DicomFrame]] = defaultdict(list)
    for frame in frames:
        by_series[frame.series_uid].append(frame)
    if not frames[0].has_geometry:
        return [DicomStack(tuple(members)) for members in by_series.values()]
    parts: list[DicomStack] = []
    for members in by_series.values():
        kept = _without_copies(members, same_pixels)
        split = _told_apart(kept)
        parts.append(DicomStack(split[0], len(members) - len(kept)))
        parts += [DicomStack(part) for part in split[1:]]
    return _completed(parts, same_pixels)


def _without_copies(frames: Sequence[DicomFrame], same_pixels: SamePixels) -> list[DicomFrame]:
    """Leave out frames that have the place and the pixels of another one."""
    kept: list[DicomFrame] = []
    for frame in sorted(frames, key=lambda frame: frame.depth_mm):
        if not any(
            _same_place(frame, other) and frame.echo_time_ms == other.echo_time_ms and same_pixels(frame, other)
            for other in _neighbours(kept, frame)
        ):
            kept.append(frame)
    return kept


def _neighbours(kept: list[DicomFrame], frame: DicomFrame) -> Iterable[DicomFrame]:
    for other in reversed(kept):
        if frame.depth_mm - other.depth_mm >= SAME_POSITION_MM:
            return
        yield other


def _same_place(one: DicomFrame, other: DicomFrame) -> bool:
    apart = np.array(one.position_lps) - np.array(other.position_lps)
    return bool(np.linalg.norm(apart) < SAME_POSITION_MM)


def _told_apart(frames: Sequence[DicomFrame]) -> list[tuple[DicomFrame, ...]]:
    """Split frames of one series where positions repeat, by the first thing that tells them apart."""
    frames = sorted(frames, key=lambda frame: frame.depth_mm)
    if not _repeat(frames):
        return [tuple(frames)]
    for parts in (_stations(frames), *(_parts_by(frames, key) for key in SPLIT_KEYS)):
        if len(parts) > 1 and _is_sensible(parts, frames):
            return [piece for part in parts for piece in _told_apart(part)]
    return [tuple(frames)]


def _parts_by(frames: Sequence[DicomFrame], key: str) -> list[list[DicomFrame]]:
    parts: dict[Any, list[DicomFrame]] = defaultdict(list)
    for frame in frames:
        parts[getattr(frame, key)].append(frame)
    return list(parts.values())


def _stations(frames: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Split frames by where they lie within their plane."""
    stations: list[tuple[NDArray, list[DicomFrame]]] = []
    for frame in frames:
        place = _in_plane_mm(frame, frames[0])
        known = next((members for where, members in stations if np.abs(place - where).max() <= STATION_MM), None)
        if known is None:
            stations.append((place, [frame]))
        else:
            known.append(frame)
    return [members for _, members in stations]


def _is_sensible(parts: list[list[DicomFrame]], frames: Sequence[DicomFrame]) -> bool:
    positions = 1 + int(np.sum(np.diff(_depths(frames)) >= SAME_POSITION_MM))
    return max(len(part) for part in parts) >= SHARE_OF_POSITIONS * positions


def _completed(parts: list[DicomStack], same_pixels: SamePixels) -> list[DicomStack]:
    """Put parts of one contrast together that make one evenly spaced stack."""
    by_signature: dict[tuple, list[DicomStack]] = defaultdict(list)
    for part in parts:
        by_signature[_signature(part)].append(part)
    done: list[DicomStack] = []
    for members in by_signature.values():
        lone = [part for part in members if len(part.frames) == 1]
        joined = _joined(members, same_pixels) or (len(lone) < len(members) and _joined(lone, same_pixels)) or None
        if joined is None:
            done += members
        else:
            done += [
                joined,
                *(part for part in members if not set(part.frames) & set(joined.frames) and part not in lone),
            ]
    return done


def _joined(parts: list[DicomStack], same_pixels: SamePixels) -> DicomStack | None:
    if len(parts) < 2:
        return None
    frames = sorted((frame for part in parts for frame in part.frames), key=lambda frame: frame.depth_mm)
    if all(len(part.frames) == 1 for part in parts):
        kept = _without_copies(frames, same_pixels)
        if len(kept) < LEAST_LONE_SLICES:
            return None
    else:
        kept = list(frames)
    steps = _steps(kept)
    if not is_regular(_depths(kept)) or np.abs(steps - steps.mean(axis=0)).max() > POSITION_TOLERANCE_MM * 10:
        return None
    return DicomStack(tuple(kept), len(frames) - len(kept) + sum(part.repeated for part in parts))


def _signature(part: DicomStack) -> tuple:
    frame = part.first
    return (
        frame.labels,
        frame.image_type,
        *(None if time is None else round(time) for time in (frame.echo_time_ms, frame.repetition_time_ms)),
        frame.inversion_time_ms,
        frame.echo_number,
        frame.scan_options,
        frame.diffusion_b_value,
        frame.person.study_uid if len(part.frames) > 1 else "",
    )


def _depths(frames: Sequence[DicomFrame]) -> NDArray[np.float64]:
    """Depths of all frames along the normal of the first one."""
    normal = frames[0].normal_lps
    return np.array([float(normal @ np.array(frame.position_lps)) for frame in frames])


def _in_plane_mm(frame: DicomFrame, reference: DicomFrame) -> NDArray[np.float64]:
    apart = np.array(frame.position_lps) - np.array(reference.position_lps)
    return np.array([apart @ np.array(reference.row_direction_lps), apart @ np.array(reference.column_direction_lps)])


def _steps(frames: Sequence[DicomFrame]) -> NDArray[np.float64]:
    return np.diff(np.array([frame.position_lps for frame in frames]), axis=0)


def _repeat(frames: Sequence[DicomFrame]) -> bool:
    return bool(np.any(np.diff(_depths(frames)) < SAME_POSITION_MM))
