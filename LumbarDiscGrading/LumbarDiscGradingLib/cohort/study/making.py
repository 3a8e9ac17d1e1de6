"""A study whose cases come from a graded cohort: chosen by rule, de-identified, with the model's masks if allowed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...annotation.errors import NotSavedError, StudyError
from ...annotation.exchange.deidentification import IdentifierMapping
from ...annotation.exchange.importing import ImportReport, import_image
from ...annotation.protocol import Protocol, Task
from ...annotation.storage.durable_files import make_folder, not_saved
from ...annotation.study.selection import MOST_CASES, Rule, Selection
from ...annotation.study.states import StudyStates
from ...annotation.study.study import Study, require_unused
from ...annotation.work.session import ReaderSession
from ...atomic import building, replacing
from ...imaging.volume import ImagingError, SagittalVolume
from ...progress import ListProgress, unwatched
from .case_choice import taken_scans
from .graded_scans import CohortError, GradedCohort, GradedScan
from .scan_files import ScanReader, scan_masks


@dataclass(frozen=True)
class CohortStudyReport:
    """What making a study from a cohort came to.

    Attributes
    ----------
    selection : Selection
        As it stands in the study.
    left_out : tuple of (str, str)
        Identifier in the cohort of each scan that was chosen but not usable, and why.
    notes : tuple of str
        What else should be known, one sentence each.
    """

    selection: Selection
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def study_from_cohort(
    folder: Path,
    protocol: Protocol,
    cohort: GradedCohort,
    rule: Rule = Rule.ALL,
    count: int | None = None,
    seed: int = 0,
    mapping: Path | None = None,
    progress: ListProgress = unwatched,
) -> CohortStudyReport:
    """Make a study of scans of a cohort; the folder and the mapping file appear whole or not at all.

    Images are de-identified as `import_sources` does it. What the models made of a scan does not get into the study,
    but for its masks, as drafts of the annotators, where the protocol allows them to start from a model's. The numbers
    of the cases tell nothing of the order in which they were chosen. A chosen scan whose files are not those that were
    graded is left out, and the next one taken.

    Parameters
    ----------
    rule, seed : Rule, int
        As in `taken_scans`.
    count : int, optional
        How many cases; by default as many as there are.
    mapping : Path, optional
        By default ``<study>-mapping.csv`` beside the study; there must be none yet.
    progress : callable, optional
        Wraps the numbers of the cases.

    Raises
    ------
    CohortError
        If the cohort has no or fewer graded scans, or none of them is usable.
    StudyError
        If the folder or the mapping file is there already or cannot be written.
    """
    require_unused(folder)
    identities = IdentifierMapping(mapping, folder) if mapping else IdentifierMapping.beside(folder)
    if identities.path.exists():
        raise StudyError(f"{identities.path} exists already; move it away, or name another one with --mapping.")
    if not cohort.scans:
        raise CohortError(f"{cohort.folder} has no graded scan; grade scans into it first.")
    wanted = len(cohort.scans) if count is None else count
    if not 0 < wanted <= min(len(cohort.scans), MOST_CASES):
        raise CohortError(
            f"{cohort.folder} has {len(cohort.scans)} graded scans, and a study takes 1 to {MOST_CASES} of them, not "
            f"{wanted}; choose with --cases."
        )
    try:
        with building(folder) as partial:
            filling = _Filling(Study.create(partial, protocol), partial.parent / "mapping.csv", wanted)
            taken = taken_scans(cohort.scans, rule, seed, protocol.levels, filling.take)
            for _ in progress(range(wanted)):
                next(taken, None)
            if not filling.scans:
                raise CohortError(f"None of the {len(cohort.scans)} graded scans can be used: {filling.left_out[0][1]}")
            filling.prefill()
            selection = Selection(
                rule,
                seed,
                len(cohort.scans),
                len(filling.left_out),
                filling.prefills,
                tuple(map(vars, cohort.models)),
                {case: scan.input_sha256 for case, scan in filling.scans.items()},
            )
            selection.write(partial)
            _write_identities(filling.table, identities.path)
    except OSError as error:
        raise not_saved(folder, error) from None
    return CohortStudyReport(selection, tuple(filling.left_out), tuple(filling.report.notes))


class _Filling:
    """A new study that takes scans one after the other."""

    def __init__(self, study: Study, mapping: Path, wanted: int) -> None:
        self.study, self.table = study, IdentifierMapping(mapping, study.folder)
        self.prefills = study.protocol.model_prefill and Task.MASKS in study.protocol.tasks
        self.scans: dict[str, GradedScan] = {}
        self.left_out: list[tuple[str, str]] = []
        self.report = ImportReport()
        self._reader, self._known = ScanReader(), dict[str, str]()
        self._names = [f"C{number:04d}" for number in range(1, wanted + 1)]
        random.SystemRandom().shuffle(self._names)  # not by the seed, from which the order could be worked out

    def take(self, scan: GradedScan) -> bool:
        """Add a scan as a case; False, with the reason kept, where it is not usable."""
        try:
            source, volume = self._reader.read(scan)
            if self.prefills:
                _masks(scan, volume)
            added = len(self.report.added)
            name = self._names[added]
            case = import_image(self.study, source, volume, self.table, self._known, self.report, name)
            if len(self.report.added) == added:
                raise CohortError("Its image is that of another chosen scan.")
        except NotSavedError:
            raise
        except (CohortError, ImagingError) as error:
            self.left_out.append((scan.identifier, str(error)))
            return False
        self.scans[case.id] = scan
        return True

    def prefill(self) -> None:
        """Let each annotator start from the model's masks, where the protocol allows it."""
        if not self.prefills:
            return
        states = StudyStates(self.study)
        for case, scan in sorted(self.scans.items()):
            volume = self.study.case(case).volume()
            masks = _masks(scan, volume)
            for reader in states.readers_of(case, Task.MASKS):
                with ReaderSession(self.study, reader, states).open_case(case) as opened:
                    opened.prefill_masks(masks, scan.models[0].sha256)
                    opened.choose_slice(int(np.argmax([len(np.unique(plane)) for plane in masks])))  # most discs


def _masks(scan: GradedScan, volume: SagittalVolume) -> NDArray[np.uint8]:
    masks = scan_masks(scan, volume)
    if masks is None or not masks.any():
        raise CohortError(f"{scan.segmentation_path.name} is not there or empty; grade the scan again.")
    return masks


def _write_identities(table: IdentifierMapping, path: Path) -> None:
    make_folder(path.parent)
    try:
        with replacing(path) as temporary:
            temporary.touch(0o600)
            temporary.write_bytes(table.path.read_bytes())
    except OSError as error:
        raise not_saved(path, error) from None
