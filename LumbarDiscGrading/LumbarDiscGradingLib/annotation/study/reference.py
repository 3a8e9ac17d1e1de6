"""What counts as the reference of a case: agreed readings, peer-reviewed masks, and what an adjudicator decided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...dataset.writing import Reading
from ...pfirrmann import DISC_LABELS
from ..disc_grading import NOT_ASSESSABLE
from ..errors import StudyError
from ..protocol import Task
from .cases import StudyCase
from .states import CaseState, StudyStates


@dataclass(frozen=True)
class ReferenceCase:
    """A case with what counts as its reference."""

    case: StudyCase
    masks: NDArray[np.uint8] | None
    grades: dict[str, int]
    readings: tuple[Reading, ...]

    def labels(self) -> NDArray[np.uint8] | None:
        """Return the masks with the vertebrae and the canal that came with the image, None where there are no masks."""
        around = self.case.surroundings() if self.masks is not None else None
        if self.masks is None or around is None:
            return self.masks
        return np.where(self.masks == 0, around, self.masks).astype(np.uint8)


def consensus_grades(states: StudyStates, case_id: str) -> dict[str, int]:
    """Return the reference Pfirrmann grade by level; discs that could not be assessed or settled are left out.

    Empty while the grades of the case are not finished.
    """
    if not states.is_finished(case_id, Task.GRADES):
        return {}
    readings = states.signed_readings(case_id, Task.GRADES)
    settled = dict(readings[0].grades)
    adjudication = states.adjudication(case_id, Task.GRADES)
    for disagreement in states.disagreements(case_id, Task.GRADES):
        decision = adjudication[1].decisions.get(disagreement.level, {}) if adjudication else {}
        settled[disagreement.level] = decision.get("grade", NOT_ASSESSABLE)
    levels = states.study.protocol.levels
    return {level: settled[level] for level in levels if settled.get(level, NOT_ASSESSABLE) != NOT_ASSESSABLE}


def consensus_masks(states: StudyStates, case_id: str) -> NDArray[np.uint8] | None:
    """Return the reference masks of a case in canonical order, None while they are not finished.

    Of two agreeing readings that of the reader with more years of experience is taken. Under the rule ``leave out``
    the discs on which readings disagree are left out.
    """
    if not states.is_finished(case_id, Task.MASKS):
        return None
    study = states.study
    readings = states.signed_readings(case_id, Task.MASKS)
    adjudication = states.adjudication(case_id, Task.MASKS)
    if adjudication is not None:
        adjudicator, record = adjudication
        if record.sha256 is None:
            raise StudyError(f"The adjudicated masks of case {case_id} are missing; adjudicate the case again.")
        return study.masks(study.adjudication_path(adjudicator, case_id), case_id, record.sha256).voxels
    chosen = max(readings, key=lambda reading: study.protocol.reader(reading.reader).years_of_experience)
    labels = study.masks(chosen.path, case_id, chosen.sha256).voxels
    if states.state(case_id, Task.MASKS) is CaseState.DISCORDANT:
        disputed = [DISC_LABELS[found.level] for found in states.disagreements(case_id, Task.MASKS)]
        labels = np.where(np.isin(labels, disputed), 0, labels).astype(np.uint8)
    return labels


def reference_case(states: StudyStates, case_id: str) -> ReferenceCase:
    """Return a case with its reference masks and grades and the single readings."""
    study = states.study
    masks = consensus_masks(states, case_id) if Task.MASKS in study.protocol.tasks else None
    grades = consensus_grades(states, case_id) if Task.GRADES in study.protocol.tasks else {}
    readings = tuple(
        Reading(level, code, reading.reader)
        for reading in states.signed_readings(case_id, Task.GRADES)
        for level, code in reading.grades.items()
        if code != NOT_ASSESSABLE
    )
    return ReferenceCase(study.case(case_id), masks, grades, readings)
