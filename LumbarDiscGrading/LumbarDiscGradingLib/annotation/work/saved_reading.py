"""`OpenCase`: a case opened for reading. Drafts save themselves; a signed reading changes only after reopening."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...imaging.volume import SagittalVolume
from ..disc_grading import DiscGrading, codes
from ..errors import ChangedElsewhereError, NotSavedError, StudyError, WorkflowError
from ..log.events import Event, now, required_reason
from ..log.history import ReadingRecord
from ..protocol import Task
from ..storage.documents import LARGEST_DOCUMENT_BYTES
from ..storage.durable_files import make_folder, one_writer, read_limited, remove_stale_temporaries, write_durable
from ..storage.grade_files import grades_bytes, parse_grades
from ..storage.segmentation_files import fitting_labels, mask_levels, parse_segmentation, segmentation_bytes
from ..study.states import CaseState
from ..study.study import LARGEST_READING_BYTES
from .comparison_log import log_comparisons
from .opened_case import OpenedCase
from .seat import ReaderSeat


class OpenCase(OpenedCase):
    """One case as its reader reads it.

    Each grade and each change of a mask is saved at once. What could not be saved stays here, `unsaved` names it, and
    `save` or `save_elsewhere` may be tried again.

    Attributes
    ----------
    round : int
        2 when the case is read again for intra-reader agreement; nothing of the first reading is shown then.
    tasks : tuple of Task
        What this reader reads of it.
    discs : dict of str to DiscGrading
        The grades, by level.
    masks : ndarray of uint8, shape (slices, rows, columns), or None
        `pfirrmann.DISC_LABELS` values in canonical order.
    slice_index : int or None
        Canonical index of the slice that the reader chose.
    unsaved : set of Task
        What is not on the disk yet.
    recovered : tuple of Task
        Drafts found although the program that made them ended without closing the case.
    problem : str
        Why nothing can be written, if that is so already on opening; empty else.
    """

    def __init__(self, session: ReaderSeat, case_id: str, round_number: int, tasks: tuple[Task, ...]) -> None:
        super().__init__(session, case_id, round_number)
        self.round = round_number
        self.tasks = tasks
        self.discs: dict[str, DiscGrading] = {}
        self.masks: NDArray[np.uint8] | None = None
        self.unsaved: set[Task] = set()
        self.problem = ""
        self._on_disk: dict[Task, str | None] = {}
        self._model_sha256 = ""
        session.study.safe(self._path(tasks[0]))
        self._seconds = {task: self._record(task).seconds for task in tasks}
        self.slice_index = next((s for task in tasks if (s := self._record(task).slice_index) is not None), None)
        unclosed = [task for task in tasks if self._load(task)]
        self.recovered = () if self.open_elsewhere else tuple(unclosed)
        remove_stale_temporaries(self._path(tasks[0]).parent)
        try:
            for task in tasks:
                session.log({"kind": "opened", **self._about(task)})
        except NotSavedError as error:
            self.problem = str(error)
        self.keep_alive()

    def __enter__(self) -> OpenCase:
        """Return the open case."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the case, unless an error is on its way."""
        if kind is None:
            self.close()

    def is_signed(self, task: Task) -> bool:
        """Whether this reading is signed."""
        return self._record(task).signed

    def seconds(self, task: Task) -> float:
        """Return the time spent on this reading."""
        return self._seconds[task]

    def missing_levels(self, task: Task) -> tuple[str, ...]:
        """Return the levels of the protocol that have no grade, or no mask, yet."""
        there = codes(self.discs) if task is Task.GRADES else () if self.masks is None else mask_levels(self.masks)
        return tuple(level for level in self.session.study.protocol.levels if level not in there)

    def grade(
        self,
        level: str,
        pfirrmann: int | None,
        *,
        assessable: bool = True,
        confidence: int | None = None,
        comment: str = "",
        seconds: float | None = None,
    ) -> None:
        """Set what the reader says of one disc, and save: `judge` for scripts.

        Parameters
        ----------
        pfirrmann : int or None
            1 to 5; None takes the grade back, or goes with ``assessable=False``.
        confidence : int, optional
            1 unsure, 2 fairly sure, 3 sure.
        seconds : float, optional
            Spent on it; as measured where it is not given.

        Raises
        ------
        StudyError
            As `judge`, and if the values contradict each other.
        NotSavedError
            If it could not be saved; it is kept here.
        """
        self.judge(DiscGrading(level, pfirrmann, assessable, confidence, comment), seconds)

    def judge(self, disc: DiscGrading, seconds: float | None = None) -> None:
        """Set what the reader says of one disc, and save.

        Parameters
        ----------
        seconds : float, optional
            Spent on it; as measured since the last change where it is not given.

        Raises
        ------
        StudyError
            If the level is not in the protocol, or the reading is signed.
        NotSavedError
            If it could not be saved; it is kept here.
        """
        self._require_draft(Task.GRADES)
        if disc.level not in self.session.study.protocol.levels:
            raise StudyError(f"{disc.level} is not read in this study; its levels are "
                             f"{', '.join(self.session.study.protocol.levels)}.")  # fmt: skip
        self.discs[disc.level] = disc
        self._note_change(Task.GRADES, seconds)
        self.save(Task.GRADES)

    def set_masks(self, labels: NDArray[np.uint8], seconds: float | None = None) -> None:
        """Set the masks after a change of theirs, and save.

        Parameters
        ----------
        labels : ndarray of uint8, shape (slices, rows, columns)
            `pfirrmann.DISC_LABELS` values in canonical order, 0 outside; copied.
        seconds : float, optional
            Spent on it; as measured since the last change where it is not given.

        Raises
        ------
        StudyError
            If they do not fit the image, hold other values, or the reading is signed.
        NotSavedError
            If they could not be saved; they are kept here.
        """
        self._require_draft(Task.MASKS)
        self.masks = fitting_labels(labels, self.volume)
        self._note_change(Task.MASKS, seconds)
        self.save(Task.MASKS)

    def prefill_masks(self, labels: NDArray[np.uint8], model_sha256: str) -> None:
        """Start from the masks of a model, where the protocol allows it and nothing has been drawn yet.

        Raises
        ------
        WorkflowError
            If the protocol does not allow it or there are masks already.
        """
        if not self.session.study.protocol.model_prefill:
            raise WorkflowError("The protocol does not allow masks to be pre-filled by a model; draw them.")
        if self.masks is not None and self.masks.any():
            raise WorkflowError("There are masks already; a model fills in empty cases only.")
        self._model_sha256 = model_sha256
        self.set_masks(labels)

    def choose_slice(self, slice_index: int) -> None:
        """Remember the slice that the reader chose (canonical index).

        Raises
        ------
        NotSavedError
            If it could not be saved.
        """
        if not 0 <= slice_index < self.volume.slice_count:
            raise StudyError(f"The image has no slice {slice_index}.")
        self.slice_index = int(slice_index)
        self.session.log({"kind": "slice", **self._about(self.tasks[0]), "slice": self.slice_index})

    def save(self, task: Task, overwrite: bool = False) -> None:
        """Save a draft; when this returns it is on the disk and reads back.

        Parameters
        ----------
        overwrite : bool
            Save even if the same reader saved another draft elsewhere in the meantime.

        Raises
        ------
        ChangedElsewhereError
            If another window of the same reader saved this reading since it was opened here.
        NotSavedError
            If it could not be saved.
        """
        content, path = self._content(task), self.session.study.safe(self._path(task))
        make_folder(path.parent)
        with one_writer(self.session.folder):
            self.session.history.refresh()
            self._require_draft(task)
            if not overwrite and _file_sha256(path) != self._on_disk[task]:
                raise ChangedElsewhereError(
                    f"The {task.value} of case {self.case.id} were saved in another window since they were opened "
                    "here; reload them, or save these over them."
                )
            write_durable(path, content)
            self._on_disk[task] = hashlib.sha256(content).hexdigest()
            self.session.history.append({"at": now(), "kind": "saved", **self._about(task), **self._facts(task)})
        self.unsaved.discard(task)
        self.problem = ""

    def reload(self, task: Task) -> None:
        """Throw away what is here and take what is on the disk."""
        self.session.history.refresh()
        self._load(task)
        self.unsaved.discard(task)

    def save_elsewhere(self, elsewhere: Path | str) -> tuple[Path, ...]:
        """Write what is here into another folder, for the day when the study cannot be written.

        Returns
        -------
        tuple of Path
            The files, named as in the study.

        Raises
        ------
        NotSavedError
            If that folder cannot be written either.
        """
        folder = self._folder_elsewhere(elsewhere)
        paths = []
        for task in self.tasks:
            if self.discs if task is Task.GRADES else self.masks is not None:
                paths.append(folder / self._path(task).name)
                write_durable(paths[-1], self._content(task))
        self.kept_elsewhere = str(elsewhere)
        return tuple(paths)

    def sign(self, task: Task, without: Collection[str] = ()) -> None:
        """Sign a reading: from now on it counts, and others may be seen.

        Parameters
        ----------
        without : collection of str
            Levels of the protocol that the reader means to leave without a mask, since the image does not show them.

        Raises
        ------
        WorkflowError
            If a disc is not judged yet, there are no masks, a level has no mask though that was not said to be meant,
            or it is signed already.
        NotSavedError
            If it could not be saved.
        """
        self._require_draft(task)
        missing = self.missing_levels(task)
        if task is Task.GRADES and missing:
            raise WorkflowError(f"{', '.join(missing)} has no grade yet; grade it or mark it as not assessable.")
        if task is Task.MASKS and (self.masks is None or not self.masks.any()):
            raise WorkflowError("There are no masks yet; draw the discs, then sign.")
        forgotten = [level for level in missing if level not in without]
        if forgotten:
            raise WorkflowError(f"{', '.join(forgotten)} has no mask yet; draw it, or say that it cannot be drawn.")
        self.save(task)
        with one_writer(self.session.folder):
            if _file_sha256(self._path(task)) != self._on_disk[task]:
                raise ChangedElsewhereError(f"The {task.value} were saved in another window; reload them, then sign.")
            self.session.history.append({"at": now(), "kind": "signed", **self._about(task), **self._facts(task)})
        if task is Task.MASKS:
            with contextlib.suppress(StudyError):  # a comparison can be made again at any time
                log_comparisons(self.session, self.case.id)

    def reopen(self, task: Task, reason: str) -> None:
        """Take a signature back; the signed file is kept beside the draft.

        Raises
        ------
        WorkflowError
            If it is not signed, no reason is given, or the case is locked.
        NotSavedError
            If it could not be saved.
        """
        record, session = self._record(task), self.session
        reason = required_reason(reason)
        if not record.signed:
            raise WorkflowError(f"The {task.value} of case {self.case.id} are not signed; go on with the draft.")
        if session.states.state(self.case.id, task) is CaseState.LOCKED:
            raise WorkflowError(
                f"The {task.value} of case {self.case.id} are locked; ask an adjudicator to unlock them."
            )
        path = self._path(task)
        stem, dot, ending = path.name.partition(".")
        write_durable(path.with_name(f"{stem}-signed-{record.reopened + 1}{dot}{ending}"), path.read_bytes())
        others = [r for r in session.states.signed_readings(self.case.id, task) if r.reader != session.reader.id]
        event = {"kind": "reopened", **self._about(task), "reason": reason, "after_seeing": bool(others)}
        session.log(event)

    def close(self, discard: bool = False) -> None:
        """Close the case.

        Parameters
        ----------
        discard : bool
            Close even if something is not saved.

        Raises
        ------
        NotSavedError
            If something is not saved; nothing is closed then.
        """
        if self.unsaved and not discard:
            names = " and ".join(sorted(task.value for task in self.unsaved))
            raise NotSavedError(f"The {names} of case {self.case.id} are not saved; save them, here or elsewhere.")
        with contextlib.suppress(NotSavedError):
            for task in self.tasks:
                self.session.log({"kind": "closed", **self._about(task), "seconds": round(self._seconds[task], 1)})
        self._release()

    def _record(self, task: Task) -> ReadingRecord:
        return self.session.history.reading(self.case.id, task, self.round)

    def _path(self, task: Task) -> Path:
        return self.session.study.reading_path(self.session.reader.id, self.case.id, task, self.round)

    def _about(self, task: Task) -> Event:
        return {"case": self.case.id, "task": task.value, "round": self.round}

    def _facts(self, task: Task) -> Event:
        facts: Event = {"seconds": round(self._seconds[task], 1), "sha256": self._on_disk[task]}
        if task is Task.GRADES:
            facts["grades"] = codes(self.discs)
        elif self.masks is not None:
            facts["levels"] = list(mask_levels(self.masks))
        if task is Task.MASKS and self._model_sha256:
            facts["model_sha256"] = self._model_sha256
        return facts

    def _content(self, task: Task) -> bytes:
        if task is Task.GRADES:
            return grades_bytes(self.case.id, self.session.reader.id, self.round, self.discs)
        if self.masks is None:
            raise WorkflowError("There are no masks to save.")
        volume, grades = self.volume, {level: disc.pfirrmann for level, disc in self.discs.items() if disc.pfirrmann}
        return segmentation_bytes(
            volume.to_stored(self.masks), volume.stored_index_to_lps, grades, {"Reader": self.session.reader.id}
        )

    def _require_draft(self, task: Task) -> None:
        if task not in self.tasks:
            raise WorkflowError(f"{self.session.reader.id} does not read the {task.value} of case {self.case.id}.")
        if self._record(task).signed:
            raise WorkflowError(f"The {task.value} of case {self.case.id} are signed; reopen them with a reason first.")

    def _note_change(self, task: Task, seconds: float | None) -> None:
        self._seconds[task] += self._time_spent(seconds)
        self.unsaved.add(task)
        self.kept_elsewhere = ""

    def _load(self, task: Task) -> bool:
        """Take what is on the disk; return whether it is a draft that a crash left behind."""
        path, record = self._path(task), self._record(task)
        try:
            content = read_limited(path, LARGEST_DOCUMENT_BYTES if task is Task.GRADES else LARGEST_READING_BYTES)
        except FileNotFoundError:
            self._on_disk[task] = None
            if record.sha256 is not None:
                raise StudyError(f"{path} is missing; restore it from a backup.") from None
            return False
        self._on_disk[task] = hashlib.sha256(content).hexdigest()
        if record.signed and self._on_disk[task] != record.sha256:
            raise StudyError(f"{path} is not what was signed; restore it from a backup.")
        if task is Task.GRADES:
            self.discs = parse_grades(content, str(path), self.case.id, self.session.reader.id)
        else:
            matrix = self.case.index_to_lps()
            labels = parse_segmentation(content, str(path), self.case.shape, matrix)
            self.masks = SagittalVolume.from_stored(labels, matrix).voxels
        return not record.signed and (record.is_open or self._on_disk[task] != record.sha256)


def _file_sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_limited(path, LARGEST_READING_BYTES)).hexdigest()
    except FileNotFoundError:
        return None
