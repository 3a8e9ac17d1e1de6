"""Images, and readings made elsewhere, brought into a study: de-identified, each image once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...dataset.dicom_masks import read_labels
from ...dataset.discs import labelled_mask, require_order_of_tissues, transition_note
from ...dataset.manifest import DatasetError
from ...imaging.reading import read_volume
from ...imaging.volume import ImagingError, SagittalVolume
from ...pfirrmann import LEVELS_BY_LABEL, Tissue
from ...progress import ListProgress, unwatched
from ..disc_grading import DiscGrading, codes
from ..errors import StudyError
from ..log.events import Event, now
from ..protocol import READING_ROLE, Task
from ..storage.durable_files import make_folder, write_durable
from ..storage.grade_files import grades_bytes
from ..storage.segmentation_files import mask_levels, segmentation_bytes
from ..study.cases import StudyCase, content_sha256
from ..study.study import Study
from ..work.comparison_log import log_comparisons
from ..work.session import ReaderSession
from .deidentification import IdentifierMapping, MappingRow
from .sources import ImportSource, find_sources

LEVEL_VALUES = tuple(LEVELS_BY_LABEL)


@dataclass
class ImportReport:
    """What an import did.

    Attributes
    ----------
    added : list of str
        New cases.
    duplicates : list of tuple
        Path that was left out, and the case that has the same voxels.
    failed : list of tuple
        Path, and why it could not be imported.
    notes : list of str
        What else should be known, one sentence each.
    readings : int
        Readings that were brought in.
    """

    added: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    readings: int = 0


def import_sources(
    study: Study,
    paths: Sequence[Path | str],
    reader: str | None = None,
    mapping: Path | None = None,
    pixel_size_mm: float | None = None,
    progress: ListProgress = unwatched,
    series: str | None = None,
) -> ImportReport:
    """Bring files and folders into a study.

    Nothing of them is kept but voxels, geometry and the allow-list of acquisition parameters. Original identifiers go
    into the mapping file outside the study. Images with the voxels of a case that is there already are left out.

    Parameters
    ----------
    reader : str, optional
        Discs and grades that come with the images become this reader's signed readings; grades with a reader of their
        own become that reader's. Without it they are left out. Vertebrae and canal are kept with the image.
    mapping : Path, optional
        By default ``<study>-mapping.csv`` beside the study.
    pixel_size_mm : float, optional
        Of pictures; without it their scale is marked as unknown.
    series : str, optional
        Which series of each DICOM study to read, as `read_volume` takes it.

    Raises
    ------
    StudyError
        If a source does not exist or holds nothing, the study has no such reader, or nothing can be written.
    """
    if reader is not None:
        study.protocol.reader(reader)
    table = IdentifierMapping(mapping, study.folder) if mapping else IdentifierMapping.beside(study.folder)
    report = ImportReport()
    sources = [source for path in paths for source in find_sources(Path(path))]
    known = {study.case(case).content_sha256: case for case in study.case_ids}
    came_along = False
    for source in progress(sources):
        try:
            read = read_volume(source.path, pixel_size_mm if source.kind == "picture" else None, series, source.study)
            source = _with_segmentation(source, read, report)
            came_along |= bool(source.labels or source.grades)
            case = _import_image(study, source, read, table, known, report)
            if reader is not None:
                report.readings += _import_readings(study, case, source, reader, report)
        except (ImagingError, DatasetError) as error:
            report.failed.append((str(source.path), str(error)))
    if reader is None and came_along:
        report.notes.append("Masks and grades that came with the images were left out; name their reader to keep them.")
    return report


def _import_image(
    study: Study,
    source: ImportSource,
    read: SagittalVolume,
    table: IdentifierMapping,
    known: dict[str, str],
    report: ImportReport,
) -> StudyCase:
    """Add an image, or return the case that has the same voxels."""
    volume = replace(read, voxels=_storable(read.voxels), notes=())
    content = content_sha256(volume)
    if content in known:
        case = study.case(known[content])
        if not any(row.case == case.id for row in table.rows):  # an earlier import was broken off before it
            table.add(MappingRow(case.id, case.patient, source.source_patient, str(source.path)))
        report.duplicates.append((str(source.path), case.id))
        return case
    case = study.add_case(
        volume,
        kind="picture" if source.kind == "picture" else "volume",
        patient=table.patient_of(source.source_patient),
        acquisition=source.acquisitions.get(next(iter(read.source.dicom_files), source.path), {}),
        source_kind=source.kind,
        surroundings=_surroundings(source, volume),
    )
    table.add(MappingRow(case.id, case.patient, source.source_patient, str(source.path)))
    known[content] = case.id
    report.added.append(case.id)
    if source.study is not None:
        report.notes += [f"Case {case.id}: {note}" for note in read.notes]
    return case


def _with_segmentation(source: ImportSource, read: SagittalVolume, report: ImportReport) -> ImportSource:
    """Return a DICOM study with the Segmentation of the series that was read as its labels, if it has one."""
    files = read.source.dicom_files
    if source.study is None or not files:
        return source
    series = next((frame.series_uid for frame in source.study.frames if frame.path == files[0]), "")
    usable = []
    for path in source.segmentations.get(series, []):
        try:
            read_labels(path, read.to_stored(read.voxels).shape, read.stored_index_to_lps, path.name)
            usable.append(path)
        except DatasetError as error:
            report.notes.append(f"{error} The image was imported without it.")
    if len(usable) > 1:
        report.notes.append(
            f"{source.path.name} has {len(usable)} segmentations of its discs, of which none was taken; leave one."
        )
    return replace(source, labels=usable[0]) if len(usable) == 1 else source


def _surroundings(source: ImportSource, volume: SagittalVolume) -> NDArray[np.uint8] | None:
    """Read vertebrae and canal from the label map that came along."""
    if source.labels is None:
        return None
    stored_shape = volume.to_stored(volume.voxels).shape
    labels = _labels_on(source.labels, stored_shape, volume.stored_index_to_lps, source.labels.name)
    require_order_of_tissues(np.where(np.isin(labels, LEVEL_VALUES), Tissue.DISC, labels), source.labels.name)
    return np.where(np.isin(labels, (Tissue.VERTEBRA, Tissue.CANAL)), labels, 0).astype(np.uint8)


def _labels_on(path: Path, shape: tuple[int, ...], index_to_lps: NDArray[np.float64], whose: str) -> NDArray:
    """Read masks in canonical order; they must lie on the stored grid of their image."""
    return SagittalVolume.from_stored(read_labels(path, shape, index_to_lps, whose), index_to_lps).voxels


def _storable(voxels: NDArray) -> NDArray:
    """Return voxels as integers where that loses nothing, else as 32-bit floats."""
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= 4:
        return voxels
    if voxels.dtype.kind in "fiu" and np.array_equal(voxels, np.rint(voxels)) and np.abs(voxels).max() < 32768:
        return voxels.astype(np.int16)
    return voxels.astype(np.float32)


def _import_readings(study: Study, case: StudyCase, source: ImportSource, reader: str, report: ImportReport) -> int:
    graded = {level for _, level in source.grades}
    if outside := sorted(graded - set(study.protocol.levels)):
        report.notes.append(f"Case {case.id}: {', '.join(outside)} are no levels of this study and were left out.")
    if note := transition_note(graded):
        report.notes.append(f"Case {case.id}: {note}")
    by_reader: dict[str, dict[str, int]] = {}
    for (named, level), grade in source.grades.items():
        by_reader.setdefault(named or reader, {})[level] = grade
    count = 0
    if source.labels is not None:
        labels = _level_masks(study, case, source.labels, graded, report)
        if labels is not None:
            count += import_masks(study, case, reader, labels)
    for named, grades in by_reader.items():
        try:
            count += import_grades(study, case, named, grades)
        except StudyError as error:
            report.notes.append(f"Case {case.id}: grades of {named[:40]!r} were left out: {error}")
    return count


def _level_masks(
    study: Study, case: StudyCase, path: Path, levels: set[str], report: ImportReport
) -> NDArray[np.uint8] | None:
    """Read a label map of tissues or disc levels as masks by level, canonical order; None if levels are not known."""
    canonical = _labels_on(path, case.shape, case.index_to_lps(), case.id)
    values = set(np.unique(canonical).tolist())
    if values <= {0, *LEVELS_BY_LABEL, *(int(tissue) for tissue in Tissue if tissue is not Tissue.DISC)}:
        mask = canonical.astype(np.uint8)
    elif values <= {int(tissue) for tissue in Tissue}:
        mask, trusted, count = labelled_mask(canonical, levels or study.protocol.levels)
        if not trusted:
            report.notes.append(
                f"Case {case.id}: its mask has {count} discs, not {len(levels or study.protocol.levels)}; "
                "levels are not certain, so it was left out."
            )
            return None
    else:
        raise DatasetError(f"{path.name} has values that are neither tissues (0-3) nor disc levels; relabel it.")
    wanted = [value for value, level in LEVELS_BY_LABEL.items() if level in study.protocol.levels]
    return np.where(np.isin(mask, wanted), mask, 0).astype(np.uint8)


def import_masks(study: Study, case: StudyCase, reader: str, labels: NDArray[np.uint8]) -> int:
    """Make masks a reader's signed reading; return 1, or 0 where there is one already or nothing in them.

    Raises
    ------
    StudyError
        If the reader is no annotator, or, as `NotSavedError`, nothing can be written.
    """
    matrix = case.index_to_lps()
    grid = SagittalVolume.from_stored(np.zeros(case.shape, np.uint8), matrix)
    content = segmentation_bytes(grid.to_stored(labels), matrix, tags={"Reader": reader})
    levels = {"levels": list(mask_levels(labels))}
    return _signed(study, case, reader, Task.MASKS, content, levels) if labels.any() else 0


def import_grades(study: Study, case: StudyCase, reader: str, grades: dict[str, int]) -> int:
    """Make grades a reader's signed reading; return 1, or 0 where there is one already or nothing in them.

    Raises
    ------
    StudyError
        If the reader is no grader, or, as `NotSavedError`, nothing can be written.
    """
    discs = {level: DiscGrading(level, grade) for level, grade in grades.items() if level in study.protocol.levels}
    content = grades_bytes(case.id, reader, 1, discs)
    return _signed(study, case, reader, Task.GRADES, content, {"grades": codes(discs)}) if discs else 0


def _signed(study: Study, case: StudyCase, reader: str, task: Task, content: bytes, facts: Event) -> int:
    if READING_ROLE[task] not in study.protocol.reader(reader).roles or task not in study.protocol.tasks:
        raise StudyError(f"{reader} is no {READING_ROLE[task].value} of this study; add the role or name another.")
    history, path = study.histories[reader], study.safe(study.reading_path(reader, case.id, task))
    if history.reading(case.id, task).begun:
        return 0
    make_folder(path.parent)
    write_durable(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    event = {"kind": "signed", "at": now(), "case": case.id, "task": task.value, "round": 1, "sha256": sha256}
    history.append({**event, **facts, "imported": True})
    if task is Task.MASKS:
        with contextlib.suppress(StudyError):  # a comparison can be made again at any time
            log_comparisons(ReaderSession(study, reader), case.id)
    return 1
