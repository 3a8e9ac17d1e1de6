"""A study exported as a labelled data set with its readings, or for nnU-Net or MONAI; whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...atomic import building
from ...dataset.manifest import SPLITS, DatasetError
from ...dataset.splits import STUDY_PROPORTIONS, split_patients
from ...dataset.writing import CaseToWrite, write_dataset
from ...pfirrmann import LEVELS_BY_LABEL
from ...progress import ListProgress, unwatched
from ..errors import StudyError
from ..log.events import LOG_NAME, event_line, valid_events
from ..protocol import Task
from ..storage.documents import read_document, write_document
from ..storage.durable_files import make_folder, not_saved, read_limited, write_durable
from ..study.cases import CASE_NAME, LARGEST_IMAGE_BYTES, SURROUNDINGS_NAME
from ..study.reference import ReferenceCase, reference_case
from ..study.selection import Selection, selection_of
from ..study.states import StudyStates
from ..study.study import LARGEST_READING_BYTES, STUDY_NAME, Study
from .deidentification import IdentifierMapping
from .export_card import card
from .export_check import MANIFEST_NAME, READINGS_FOLDER, identity_problems, list_files
from .layouts import Content, Layout, write_monai, write_nnunet


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes
    ----------
    splits : dict
        Cases by split.
    masks, grades : int
        Cases with reference masks, and discs with a reference grade.
    unfinished : tuple of str
        Cases left out since nothing of them is finished.
    """

    folder: Path
    splits: dict[str, list[str]]
    masks: int
    grades: int
    unfinished: tuple[str, ...]


def export_study(
    study: Study,
    folder: Path | str,
    layout: Layout = Layout.DATASET,
    *,
    proportions: Mapping[str, float] = STUDY_PROPORTIONS,
    seed: int = 0,
    licence: str = "",
    attribution: str = "",
    mapping: Path | None = None,
    progress: ListProgress = unwatched,
) -> ExportReport:
    """Export what is finished; `folder` appears only when everything in it is complete.

    Patients, not cases or discs, are parted into training, tuning and test sets, so that cases of one patient stay
    together. A test patient is a test patient in each later export with the same seed and proportions
    (`dataset.splits.split_patients`).

    Parameters
    ----------
    proportions, seed : mapping, int
        Of the split.
    licence, attribution : str
        Written into manifest and card.
    mapping : Path, optional
        The mapping file; nothing is exported if an original identifier in it is found in the result. By default the one
        beside the study, if there.
    progress : callable, optional
        Wraps the list of cases.

    Raises
    ------
    StudyError
        If the folder is taken or cannot be written, nothing is finished, or a reading is damaged.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"{folder} exists already and is not empty; choose another folder for the export.")
    states = StudyStates(study)
    finished = [c for c in study.case_ids if any(states.is_finished(c, task) for task in study.protocol.tasks)]
    if layout is not Layout.DATASET:  # other tools take nothing without masks
        finished = [c for c in finished if states.is_finished(c, Task.MASKS)]
    if not finished:
        raise StudyError("No case is finished yet, so there is nothing to export; see 'study status'.")
    splits = split_cases(study, finished, proportions, seed)
    table = IdentifierMapping(mapping, study.folder) if mapping else IdentifierMapping.beside(study.folder)
    selection = selection_of(study.folder)
    selection = selection and selection.of_cases(finished)
    counts = {"masks": 0, "grades": 0}

    def references() -> Iterator[ReferenceCase]:
        for name in progress(finished):
            reference = reference_case(states, name)
            counts["masks"] += reference.masks is not None
            counts["grades"] += len(reference.grades)
            yield reference

    content = Content(study.protocol.name, licence, attribution, study.protocol.levels, references(), splits)
    try:
        with building(folder) as partial:
            if layout is Layout.DATASET:
                write_dataset(
                    partial,
                    name=content.name,
                    cases=map(_case_to_write, content.references),
                    splits=splits,
                    licence=licence,
                    attribution=attribution,
                    provenance={"exported_from": "annotation study", "splits": "seeded", "seed": seed},
                )
                _write_readings(study, partial / READINGS_FOLDER, finished, selection)
            else:
                (write_nnunet if layout is Layout.NNUNET else write_monai)(partial, content)
            text = card(study.protocol, layout.value, splits, counts, licence, attribution, selection)
            write_durable(partial / "README.md", text.encode("utf-8"))
            problems = identity_problems(partial, table.identifiers())
            if problems:
                raise StudyError(f"Nothing was exported: {problems[0]}")
            manifest = {"layout": layout.value, "study": content.name, "files": list_files(partial)}
            write_document(partial / MANIFEST_NAME, "export", manifest)
    except DatasetError as error:
        raise StudyError(str(error)) from None
    except OSError as error:
        raise not_saved(folder, error) from None
    left = tuple(case for case in study.case_ids if case not in set(finished))
    return ExportReport(folder, splits, counts["masks"], counts["grades"], left)


def split_cases(
    study: Study, cases: Sequence[str], proportions: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Part cases into training, tuning and test sets by their patients.

    Raises
    ------
    StudyError
        If the proportions are not three numbers of 0 or more with a sum above 0.
    """
    shares = [proportions.get(split, -1.0) for split in SPLITS]
    if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise StudyError("The proportions must be three numbers of 0 or more, for training, tuning and test.")
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(study.case(case).patient, []).append(case)
    parted = split_patients(by_patient, None, seed, proportions)
    return {split: sorted(case for p in patients for case in by_patient[p]) for split, patients in parted.items()}


def _case_to_write(reference: ReferenceCase) -> CaseToWrite:
    case, masks = reference.case, reference.masks
    there = set() if masks is None else {LEVELS_BY_LABEL[v] for v in np.unique(masks).tolist() if v}
    missing = [level for level in reference.grades if masks is not None and level not in there]
    notes = (f"Graded but without a mask: {', '.join(missing)}.",) if missing else ()
    return CaseToWrite(
        case.id,
        case.volume(),
        reference.labels(),
        reference.grades,
        reference.readings,
        case.kind,
        notes=notes,
        subject=case.patient,
    )


def _write_readings(study: Study, folder: Path, cases: Sequence[str], selection: Selection | None) -> None:
    """Copy what readers signed and decided, as files and events, so that the study can be made again from it."""
    kept = set(cases)
    make_folder(folder / "cases")
    write_document(folder / STUDY_NAME, "study", study.protocol.to_json())
    if selection is not None:
        selection.write(folder)
    for case in cases:
        document = read_document(study.case(case).folder / CASE_NAME, "case")
        write_document(folder / "cases" / f"{case}.json", "case", document)
        if document["surroundings_sha256"]:
            around = read_limited(study.case(case).folder / SURROUNDINGS_NAME, LARGEST_IMAGE_BYTES)
            write_durable(folder / "cases" / f"{case}.nrrd", around)
    for reader in study.protocol.readers:
        source = study.reader_folder(reader.id)
        if not (source / LOG_NAME).exists():
            continue
        target = folder / "readers" / reader.id
        make_folder(target)
        events = [event for event in valid_events(source / LOG_NAME) if event["case"] in kept]
        write_durable(target / LOG_NAME, "".join(event_line(event) + "\n" for event in events).encode("ascii"))
        for case in cases:
            _copy_reading(study, reader.id, case, target / case)


def _copy_reading(study: Study, reader: str, case: str, target: Path) -> None:
    """Copy the files that a reader's log speaks of."""
    history = study.histories[reader]
    named = [
        (study.reading_path(reader, case, task, number), history.reading(case, task, number).sha256)
        for task in Task
        for number in (1, 2)
    ]
    named += [(study.review_path(reader, c, a), r.sha256) for (c, a), r in history.reviews.items() if c == case and a]
    adjudication = history.adjudications.get((case, Task.MASKS))
    named.append((study.adjudication_path(reader, case), adjudication.sha256 if adjudication else None))
    for path, sha256 in named:
        if sha256 is not None:
            make_folder(target)
            write_durable(target / path.name, read_limited(study.safe(path), LARGEST_READING_BYTES))
