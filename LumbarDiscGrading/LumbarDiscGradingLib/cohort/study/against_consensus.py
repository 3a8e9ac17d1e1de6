"""The grades and masks of a cohort against the consensus of a study, by case and level, without running a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.exchange.deidentification import IdentifierMapping
from ...annotation.protocol import Task
from ...annotation.study.cases import IMAGE_NAME, content_sha256
from ...annotation.study.reference import ReferenceCase, reference_case
from ...annotation.study.selection import selection_of
from ...annotation.study.states import StudyStates
from ...annotation.study.study import Study
from ...dataset.labelled import LabelledCase, person_count, slices_with_discs
from ...evaluation.files import Evaluation
from ...evaluation.pictures import PictureStore
from ...evaluation.scores import DiscScore, ScoredCase, score_stored
from ...grading.result import DiscGrade, GradingResult, missing_lumbar_levels
from ...imaging.volume import ImagingError, SagittalVolume
from ...pfirrmann import GRADES, GROUPS, LEVELS_BY_LABEL, TASKS, Tissue, group_of_grade
from ...progress import ListProgress, unwatched
from .graded_scans import CohortDisc, CohortError, GradedCohort, GradedScan
from .scan_files import SAME_PLACE_MM, ScanReader, scan_masks

STUDY_PATIENTS = "study"
"""What the patients are called where the cases are not chosen from a cohort."""
NOT_IN_TABLE: dict[str, Any] = dict.fromkeys(f"p_{grade}" for grade in GRADES)
"""Probabilities of the single grades: the cohort's table has none."""
NO_GRADE: dict[str, Any] = {
    **dict.fromkeys(("predicted_grade", "confident", *(f"p_{group.value}" for group in GROUPS))),
    "pfirrmann_set": "",
}
"""Of a disc that the program calls not assessable."""

OWN_PREFILL = "in {}, annotators began with the masks that are measured here, so Dice is higher than of drawn masks"
NO_MASKS = "in {}, the cohort's masks are not there, so nothing is said of masks and names"
OTHER_SLICE = "in {}, the reader drew on another slice than was graded, so nothing is said of masks and names"


def evaluate_against_consensus(
    cohort: GradedCohort,
    study: Study,
    pictures: PictureStore | None = None,
    mapping: Path | None = None,
    progress: ListProgress = unwatched,
) -> Evaluation:
    """Compare what a cohort says of the finished cases of a study with their consensus.

    A case is found in the cohort by the hash of its input, which a study knows whose cases were taken from a cohort;
    else by its voxels, for which the inputs of the cohort are read, those of the mapping file first. Where the study
    has masks and those of the cohort are there, discs are compared by their place, else by their level.

    Parameters
    ----------
    pictures : PictureStore, optional
        Keeps the slices of cases of which the cohort's masks are there.
    mapping : Path, optional
        By default the one beside the study; none is needed.
    progress : callable, optional
        Wraps the list of cases.

    Raises
    ------
    CohortError
        If the scans were graded by several models, none of them is a finished case, or a scan's files do not say what
        the tables say.
    StudyError
        If a reading of the study is damaged.
    """
    if len(cohort.models) > len(TASKS):
        names = ", ".join(f"{model.name} ({model.sha256[:12]})" for model in cohort.models)
        raise CohortError(
            f"The scans of {cohort.folder} were graded by several models ({names}); grade all of them with one, into "
            "a folder of their own."
        )
    comparison = _Comparison(study, pictures)
    finished = [case for case in study.case_ids if comparison.is_finished(case)]
    scans, unread = _scans_of(finished, cohort, study, mapping)
    for case in progress(sorted(scans)):
        comparison.add(case, scans[case])
    if not scans:
        raise CohortError(
            f"None of the {len(finished)} finished cases of {study.folder} is among the {len(cohort.scans)} graded "
            f"scans of {cohort.folder}{_that_were_read(unread)}; see 'study status', or grade the scans of the study."
        )
    remarks = comparison.remarks()
    if not comparison.scores:
        said = " ".join(remarks)
        raise CohortError(f"Nothing can be compared: {said} Draw on the slice that was graded, or grade again.")
    left_out = {
        f"finished, but not among the graded scans of the cohort{_that_were_read(unread)}": set(finished) - set(scans),
        "not finished": set(study.case_ids) - set(finished),
    }
    remarks += [f"Left out, {why}: {_names(cases)}." for why, cases in left_out.items() if cases]
    return Evaluation.of(
        comparison.scores,
        split=comparison.patients_are,
        models=[
            {"name": m.name, "version": comparison.versions.get(m.sha256, ""), "task": m.task, "sha256": m.sha256}
            for m in cohort.models
        ],
        data=[{"name": study.protocol.name, "patients": person_count(comparison.scores)}],
        remarks=remarks,
    )


def _that_were_read(unread: int) -> str:
    return f" ({unread} of which cannot be read any more, so their images are not known)" if unread else ""


def _scans_of(
    cases: Sequence[str], cohort: GradedCohort, study: Study, mapping: Path | None
) -> tuple[dict[str, GradedScan], int]:
    """Return the scan of each case that has one, and how many scans could not be read to see whose they are."""
    selection = selection_of(study.folder)
    inputs = selection.inputs if selection else {}
    by_hash = {scan.input_sha256: scan for scan in reversed(cohort.scans)}
    found = {case: by_hash[inputs[case]] for case in cases if inputs.get(case) in by_hash}
    wanted = {study.case(case).content_sha256: case for case in cases if case not in inputs}
    unread = 0
    if wanted:
        table = IdentifierMapping(mapping, study.folder) if mapping else IdentifierMapping.beside(study.folder)
        sources = {row.source for row in table.rows}
        rest = [scan for scan in by_hash.values() if scan.input_sha256 not in inputs.values()]
        reader = ScanReader()
        for scan in sorted(rest, key=lambda scan: scan.input not in sources):
            if not wanted:
                break
            try:
                case = wanted.pop(content_sha256(reader.read(scan)[1]), None)
            except (CohortError, ImagingError):
                unread += 1
                continue
            if case is not None:
                found[case] = scan
    return found, unread


class _Comparison:
    """The scores of the cases compared so far, and what is to be told of them."""

    def __init__(self, study: Study, pictures: PictureStore | None) -> None:
        self._study, self._states, self._pictures = study, StudyStates(study), pictures
        self._selection = selection_of(study.folder)
        self.patients_are = self._selection.patients_are if self._selection else STUDY_PATIENTS
        self.scores: list[DiscScore] = []
        self.versions: dict[str, str] = {}
        self._told: dict[str, list[str]] = {OWN_PREFILL: [], NO_MASKS: [], OTHER_SLICE: []}
        self._not_assessable = 0

    def is_finished(self, case: str) -> bool:
        return any(self._states.is_finished(case, task) for task in self._study.protocol.tasks)

    def add(self, case_id: str, scan: GradedScan) -> None:
        """Compare a case."""
        reference, labels = reference_case(self._states, case_id), None
        volume = reference.case.volume()
        masks = scan_masks(scan, volume)
        if stored := scan.stored_result():  # which raises where it says something else than the tables
            self.versions |= {model["sha256"]: model.get("version", "") for model in stored["models"]}
        result = _result(scan, volume, masks)
        if reference.masks is not None:
            labels = reference.labels() if self._has_place(reference, result, masks) else None
        scored = score_stored(self._labelled(reference), volume, labels, result)
        if self._pictures is not None and masks is not None:
            self._pictures.keep(scored)
        if labels is not None and self._began_with(case_id, scan):
            self._told[OWN_PREFILL].append(case_id)
        self.scores += self._as_in_table(scored, scan)

    def remarks(self) -> list[str]:
        """Return what whoever reads the figures must know."""
        said = list(self._selection.sentences()) if self._selection else []
        for text, cases in self._told.items():
            if cases:
                sentence = text.format(f"{len(cases)} case{'s' * (len(cases) > 1)}")
                said.append(f"{sentence[0].upper()}{sentence[1:]}: {_names(cases)}.")
        if self._not_assessable:
            said.append(f"Not assessable to the program, so without a grade here: {self._not_assessable} discs.")
        return said

    def _has_place(
        self, reference: ReferenceCase, result: GradingResult | None, masks: NDArray[np.uint8] | None
    ) -> bool:
        """Whether the masks of study and cohort can be compared."""
        if masks is None:
            self._told[NO_MASKS].append(reference.case.id)
            return False
        if result is not None and not set(result.slices) <= set(slices_with_discs(reference.masks).tolist()):
            self._told[OTHER_SLICE].append(reference.case.id)
            return False
        return True

    def _began_with(self, case: str, scan: GradedScan) -> bool:
        """Whether an annotator of a case began with the masks of the model that is measured."""
        readers = self._states.readers_of(case, Task.MASKS)
        began = {self._study.histories[reader].reading(case, Task.MASKS).model_sha256 for reader in readers}
        return scan.models[0].sha256 in began

    def _labelled(self, reference: ReferenceCase) -> LabelledCase:
        case = reference.case
        return LabelledCase(
            patient=case.id,
            source=self._study.protocol.name,
            split="",
            kind=case.kind,
            grades=reference.grades,
            levels_trusted=True,
            pixel_size_known=case.scale_known,
            image_path=case.folder / IMAGE_NAME,
            subject=case.patient,
        )

    def _as_in_table(self, scored: ScoredCase, scan: GradedScan) -> list[DiscScore]:
        """Return scores with nothing but what the table of the cohort says."""
        grades = {disc.level: disc.pfirrmann for disc in scan.discs}
        self._not_assessable += sum(grades.get(score.named_level, 0) is None for score in scored.scores)
        return [
            replace(score, **NOT_IN_TABLE, **({} if grades.get(score.named_level) else NO_GRADE))
            for score in scored.scores
        ]


def _result(scan: GradedScan, volume: SagittalVolume, masks: NDArray[np.uint8] | None) -> GradingResult | None:
    """Return the result that the tables and the masks of a scan tell; None for a scan without a listed disc."""
    if not scan.discs:
        return None
    found = (*scan.discs, *_without_row(scan, volume, masks))
    slices = [volume.canonical_slice_index(disc.slice_index) for disc in found]
    for row, index in zip(found, slices, strict=True):
        apart = np.subtract(volume.slice_center_lps_mm(index), row.slice_center_lps_mm)
        if np.abs(apart).max() > SAME_PLACE_MM:
            raise CohortError(f"The slice of {scan.identifier} does not lie in its image; grade the scan again.")
    common, discs = max(slices, key=slices.count), []
    labels = np.zeros(volume.voxels.shape[1:], np.uint8) if masks is None else masks.max(axis=0)
    for disc, index in zip(map(_disc, found), slices, strict=True):
        own = np.zeros_like(labels, dtype=bool) if masks is None else masks[index] == disc.label_value
        labels[own] = disc.label_value
        y, x = np.argwhere(own).mean(axis=0).tolist() if own.any() else disc.center_row_column
        discs.append(replace(disc, slice_index=index, center_row_column=(y, x)).within(common))
    return GradingResult(
        volume=volume,
        slice_index=common,
        slice_reason="",
        discs=tuple(discs),
        label_slice=labels,
        tissue_slice=np.where(labels > 0, Tissue.DISC, Tissue.BACKGROUND).astype(np.uint8),
        missing_levels=missing_lumbar_levels(tuple(disc.level for disc in scan.discs)),
        warnings=(scan.doubts,) if scan.doubts else (),
        naming_confidence=scan.naming_confidence,
    )


def _without_row(scan: GradedScan, volume: SagittalVolume, masks: NDArray[np.uint8] | None) -> list[CohortDisc]:
    """Return the discs that have a mask and no row: those above the levels that tables list."""
    rows, listed = [], {disc.level for disc in scan.discs}
    for value in np.unique(masks).tolist() if masks is not None else ():
        level = LEVELS_BY_LABEL.get(value)
        if level is not None and level not in listed:
            index = int((masks == value).any(axis=(1, 2)).argmax())
            place = volume.stored_slice_index(index), volume.slice_center_lps_mm(index)
            rows.append(CohortDisc(level, (1.0, 0.0, 0.0), None, *place, False, (), ""))
    return rows


def _disc(disc: CohortDisc) -> DiscGrade:
    likeliest = GROUPS[int(np.argmax(disc.group_probabilities))]
    grade = disc.pfirrmann or likeliest.grades[0]
    return DiscGrade(
        level=disc.level,
        group=group_of_grade(grade),
        group_probabilities=disc.group_probabilities,
        pfirrmann=grade,
        grade_probabilities=(0.0, 0.0, 0.0, 0.0, 0.0),
        confident=disc.confident,
        center_lps_mm=(0.0, 0.0, 0.0),
        center_row_column=(0.0, 0.0),
        assessable=disc.pfirrmann is not None,
        grade_set=disc.grade_set,
    )


def _names(cases: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(cases))
