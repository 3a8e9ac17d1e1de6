"""Reading the sagittal T2 series from DICOM files: stacks by geometry and contrast, slices sorted by position."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.filereader import read_partial

from .admission import UnsuitableImageError, mr_values, require_size
from .dicom_frames import DicomFrame, frames_of, without_name_of_exam
from .dicom_series import SeriesChoice, choose_series
from .dicom_study.people import numbered_people
from .dicom_study.stacks import DicomStack, stacks_of, step_tolerance_mm
from .file_integrity import UnreadableFileError, native_messages_hidden
from .stated_geometry import TYPICAL_FIELD_OF_VIEW_MM, sagittal_from_stored
from .volume import CLINICAL_SLICE_MM, ImagingError, SagittalVolume, VolumeSource

PREAMBLE_BYTES = 128
DICOM_MAGIC = b"DICM"
COLUMNS_TAG = 0x00280011
IMAGE_TAGS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImagePositionPatient")
"""One of these is in every image; anonymisers drop some."""
DICOM_SUFFIXES = (".dcm", ".ima")
CONTENTS_NAME = "DICOMDIR"
ONLY_CONTENTS = "A DICOMDIR only lists what a medium holds; give the folder in which it lies with the images beside it."
SKIPPED_NAMES = (CONTENTS_NAME, "LOCKFILE", "VERSION")
NO_IMAGE = "There is no DICOM image in it; give the folder that holds the DICOM files of the study."
NUMPY_SYNTAXES = (
    pydicom.uid.ImplicitVRLittleEndian,
    pydicom.uid.ExplicitVRLittleEndian,
    pydicom.uid.DeflatedExplicitVRLittleEndian,
    pydicom.uid.ExplicitVRBigEndian,
    pydicom.uid.RLELossless,
)
"""Transfer syntaxes decoded by pydicom alone; the others are decoded by SimpleITK's GDCM."""

RESCALE_KEYWORDS = (
    "RescaleSlope",
    "RescaleIntercept",
    "PixelValueTransformationSequence",
    "RealWorldValueMappingSequence",
)

SLICES_BESIDE_MIDDLE = 3
"""How many slices of clinical thickness are looked at on either side of the middle where pixels choose the series."""

DEFAULT_SLICE_THICKNESS_MM = 4.0
"""Used for a single slice whose thickness is not stated (no result depends on it)."""


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM, by its content."""
    return _has_preamble(path) or (path.suffix.lower() in DICOM_SUFFIXES and header_of(path) is not None)


@dataclass(frozen=True)
class DicomStudy:
    """The images of a DICOM file or folder as their headers describe them; pixels are read when they are needed.

    Attributes
    ----------
    frames : tuple of DicomFrame
    is_single_file : bool
        The images are those of one file that the user gave, so its contrast is the user's choice.
    refused : tuple of str
        Why images were left out, a sentence each.
    """

    frames: tuple[DicomFrame, ...]
    is_single_file: bool = False
    refused: tuple[str, ...] = ()

    @cached_property
    def people(self) -> list[int]:
        """For each frame the number of the person that it shows."""
        return people_on(self.frames)

    @cached_property
    def stacks(self) -> tuple[DicomStack, ...]:
        """The stacks that the frames make, those of each person apart."""
        return tuple(
            stack
            for person in sorted(set(self.people))
            for stack in stacks_of(
                (frame for frame, number in zip(self.frames, self.people, strict=True) if number == person),
                _same_pixels,
            )
        )

    def choice(self, series: str | None = None) -> SeriesChoice:
        """Choose the stack to grade; see `choose_series`.

        Raises
        ------
        ImagingError
            If there is no DICOM image.
        """
        if not self.frames:
            raise UnreadableFileError(next(iter(self.refused), NO_IMAGE))
        return choose_series(self.stacks, series, self.is_single_file, _middle_slices)

    def volume(self, name: str, series: str | None = None) -> tuple[SagittalVolume, tuple[Path, ...]]:
        """Read the chosen stack; return it with the files whose pixels were read.

        Parameters
        ----------
        name : str
            Name for the volume.
        series : str, optional
            Which series to read, as `choose_series` takes it.

        Raises
        ------
        ImagingError
            If there is no DICOM image, no suitable series, or the chosen one has missing slices.
        """
        choice = self.choice(series)
        stack = choice.taken
        volume = _volume_of(stack, name, (*choice.notes, *self.left_out(stack)))
        return volume, stack.files

    def person_on(self, stack: DicomStack) -> int:
        """Return the number of the person that a stack shows."""
        return self.people[self.frames.index(stack.first)]

    def left_out(self, stack: DicomStack) -> tuple[str, ...]:
        """Say what of the study was left out beside a stack that a reader would not expect to be, a sentence each."""
        said = []
        count, person = len(set(self.people)), self.person_on(stack)
        studies = {frame.study_uid for frame, number in zip(self.frames, self.people, strict=True) if number == person}
        if len(studies - {""}) > 1:
            said.append(
                f"The folder holds {len(studies - {''})} studies of one person, and the series was chosen from all of "
                "them: give the folder of one study, or name the series."
            )
        if count > 1:
            others = sum(number != person for number in self.people)
            said.append(
                f"The folder seems to hold images of {count} people; {others} images of the others were left out: "
                f"give the folder of one person."
            )
        if len(stack.frames) == 1 and len(self.frames) > 1:
            said.append(f"A single slice was taken out of {len(self.frames)} images; check that the series is whole.")
        if stack.repeated:
            said.append(f"{stack.repeated} images with the place and pixels of others were counted once.")
        return (*said, *self.refused)

    def require_whole(self, stack: DicomStack) -> None:
        """Refuse a stack with missing, shifted or repeated slices.

        Raises
        ------
        ImagingError
        """
        _require_one_at_each_position(stack)
        _index_to_lps(stack)


def open_dicom(path: Path) -> DicomStudy:
    """Read the headers of one DICOM file, or of those in a folder and its subfolders, each once."""
    if path.is_file() and path.name.upper() == CONTENTS_NAME:
        return DicomStudy((), refused=(ONLY_CONTENTS,))
    return open_files([path], True) if path.is_file() else open_files(files_below(path))


def open_files(files: Iterable[Path], is_single_file: bool = False) -> DicomStudy:
    """Read the headers of the DICOM images among some files, each once."""
    scanned = [(file, frames) for file, _, frames in headers_in(files)]
    return DicomStudy(
        without_name_of_exam(frame for _, frames in scanned if not isinstance(frames, str) for frame in frames),
        is_single_file,
        tuple(dict.fromkeys(frames for _, frames in scanned if isinstance(frames, str))),
    )


def headers_in(files: Iterable[Path]) -> Iterator[tuple[Path, pydicom.Dataset, tuple[DicomFrame, ...] | str]]:
    """Read the headers of the DICOM images among some files, each once.

    Yields
    ------
    file : Path
    header : pydicom.Dataset
    frames : tuple of DicomFrame or str
        What the image consists of, or why it cannot be used.
    """
    for file in files:
        suffix = file.suffix.lower()
        may_lack_preamble = suffix in DICOM_SUFFIXES or suffix[1:].isdigit() or not suffix  # names are often UIDs
        if file.name.upper() in SKIPPED_NAMES or not (may_lack_preamble or _has_preamble(file)):
            continue
        header = header_of(file)
        if header is None:
            continue
        try:
            with _pydicom_quiet():
                frames: tuple[DicomFrame, ...] | str = frames_of(header, file)
        except ImagingError as error:
            frames = str(error)
        yield file, header, frames


def _has_preamble(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(PREAMBLE_BYTES + len(DICOM_MAGIC))[PREAMBLE_BYTES:] == DICOM_MAGIC


def header_of(path: Path, up_to_size: bool = False) -> pydicom.Dataset | None:
    """Read a DICOM header without its pixels; None for what is not a DICOM image.

    Parameters
    ----------
    path : Path
    up_to_size : bool
        Leave out what comes after rows and columns, in less than half the time: person, study and series come before.
    """
    try:
        with _pydicom_quiet(), path.open("rb") as file:
            if up_to_size:
                header = read_partial(file, lambda tag, *_: tag > COLUMNS_TAG, force=True)
            else:
                header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            is_image = "Rows" in header and "Columns" in header and any(tag in header for tag in IMAGE_TAGS)
    except Exception:  # pydicom raises nearly anything on bytes that are not DICOM
        return None
    return header if is_image else None


@contextmanager
def _pydicom_quiet() -> Iterator[None]:
    """Silence pydicom's remarks on tags, which quote their values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, linked ones included, each folder once."""
    found, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [path for name in names if (path := Path(root) / name).is_file()]
    return sorted(found)


def people_on(frames: tuple[DicomFrame, ...]) -> list[int]:
    """Return for each frame the number of the person that it shows, as `numbered_people`."""
    return numbered_people([frame.person for frame in frames], [frame.path.parent for frame in frames])


def _same_pixels(one: DicomFrame, other: DicomFrame) -> bool:
    """Whether two frames have the same values; those that cannot be decoded are not the same."""
    try:
        first, second = (
            values if frame.frame_index is None else values[frame.frame_index]
            for frame, values in ((frame, _decode(frame.path)) for frame in (one, other))
        )
    except UnreadableFileError:
        return False
    return bool(np.array_equal(first, second)) and (one.slope, one.intercept) == (other.slope, other.intercept)


def _middle_slices(stack: DicomStack) -> SagittalVolume | None:
    """Read the slices of a stack around its middle, some of thin ones; None where they cannot be read."""
    step = max(1, round(CLINICAL_SLICE_MM / stack.slice_distance_mm))
    middle, reach = len(stack.frames) // 2, SLICES_BESIDE_MIDDLE * step
    frames = stack.frames[max(middle - reach, middle % step) : middle + reach + 1 : step]
    try:
        return _volume_of(DicomStack(frames), "", ())
    except ImagingError:
        return None


def _require_one_at_each_position(stack: DicomStack) -> None:
    if stack.has_repeated_positions:
        raise ImagingError(
            "Several images of the chosen series lie at one position and nothing in their headers tells them apart; "
            "export the sagittal T2 series alone."
        )


def _volume_of(stack: DicomStack, name: str, notes: tuple[str, ...]) -> SagittalVolume:
    first = stack.first
    _require_one_at_each_position(stack)
    require_size((len(stack.frames), first.rows, first.columns), bytes_per_voxel=2)
    index_to_lps = _index_to_lps(stack)
    array, padding = mr_values(np.stack(_pixels(stack)), first.modality)
    window = next((frame.window for frame in stack.frames if frame.window), None)
    source = VolumeSource(name, modality=first.modality, window=window, series_uid=min(stack.series_uids, default=""))
    return sagittal_from_stored(array, index_to_lps, source, notes + padding, first.pixel_spacing_mm is not None)


def _index_to_lps(stack: DicomStack) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from (column, row, slice, 1) to LPS mm; refuse missing slices."""
    first = stack.first
    row_spacing_mm, column_spacing_mm = first.pixel_spacing_mm or (TYPICAL_FIELD_OF_VIEW_MM / first.rows,) * 2
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(first.row_direction_lps) * column_spacing_mm
    matrix[:3, 1] = np.array(first.column_direction_lps) * row_spacing_mm
    matrix[:3, 3] = first.position_lps
    if len(stack.frames) == 1:
        matrix[:3, 2] = first.normal_lps * (first.slice_thickness_mm or DEFAULT_SLICE_THICKNESS_MM)
        return matrix
    positions = np.array([frame.position_lps for frame in stack.frames])
    steps = np.diff(np.array([frame.depth_mm for frame in stack.frames]))
    tolerance_mm = step_tolerance_mm(steps)
    missing = int(np.round(steps / np.median(steps) - 1).clip(0).sum())
    if np.ptp(steps) > tolerance_mm:
        count = (
            f"{missing} slice{'s are' if missing > 1 else ' is'} missing"
            if missing
            else "the slices are unevenly spaced"
        )
        raise ImagingError(f"In the chosen series {count}; export the complete series again.")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    if np.linalg.norm(np.cross(step, first.normal_lps)) > tolerance_mm:
        raise ImagingError(
            "The slices of the chosen series are shifted against each other; load the original sagittal T2 series."
        )
    matrix[:3, 2] = step
    return matrix


def _pixels(stack: DicomStack) -> list[NDArray]:
    """Return the rescaled pixels of each frame; a file with several frames is decoded once."""
    planes: list[NDArray] = []
    decoded_path: Path | None = None
    for frame in stack.frames:
        if frame.path != decoded_path:
            values = _decode(frame.path)
            decoded_path = frame.path
        plane = values if frame.frame_index is None else values[frame.frame_index]
        if plane.shape != (frame.rows, frame.columns):
            raise UnsuitableImageError("The DICOM images are not grey-scale; load the original sagittal T2 series.")
        if (frame.slope, frame.intercept) != (1.0, 0.0):
            plane = plane.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
        if frame.inverted_about is not None:
            plane = np.float32(frame.inverted_about) - plane.astype(np.float32)
        planes.append(plane)
    return planes


def _decode(path: Path) -> NDArray:
    """Decode the stored values of one file, before rescaling."""
    try:
        with native_messages_hidden(), _pydicom_quiet():
            dataset = pydicom.dcmread(path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
            if dataset.file_meta.TransferSyntaxUID in NUMPY_SYNTAXES:
                return dataset.pixel_array
            return _decode_with_gdcm(dataset)
    except Exception:  # on damaged pixel data pydicom and GDCM raise nearly anything
        raise UnreadableFileError(
            "A DICOM image of the chosen series is damaged or compressed in an unknown way; export the series "
            "again, uncompressed."
        ) from None


def _decode_with_gdcm(dataset: pydicom.Dataset) -> NDArray:
    """Decode compressed pixels; without the tags by which GDCM would rescale some of them and not others."""
    groups = [dataset, *dataset.get("SharedFunctionalGroupsSequence", ())]
    for part in [*groups, *dataset.get("PerFrameFunctionalGroupsSequence", ())]:
        for keyword in RESCALE_KEYWORDS:
            if keyword in part:
                delattr(part, keyword)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "image.dcm"
        dataset.save_as(copy)
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
    return values if "NumberOfFrames" in dataset else values[0]
