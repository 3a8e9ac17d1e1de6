"""`GradeTask`: one scan of a cohort graded and written, in whichever process it is called."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...cohort.scan import Outcome, Scan
from ...errors import UserError
from ..complaint import told_of, why_not_run
from .files import ResultFiles
from .graders import make_grader
from .summary import print_summary

if TYPE_CHECKING:
    from ...grading.grader import DiscGrader
    from ...grading.result import GradingResult
    from ...imaging.volume import SagittalVolume

DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True)
class GradeTask:
    """Grades a scan, writes its files and tells what became of it; the networks are loaded once a process.

    Parameters
    ----------
    output, workplace : str
        Folders of the results, and of files in the making.
    device : str
    models : tuple of str
        As `make_grader` takes them.
    scene, evidence, dicom : bool
        What is written beside the files of every result.
    summaries : bool
        Print what was found.
    networks : str
        Address of the process that holds the networks (`grading.shared_networks`); empty where each process that
        grades holds its own on `device`.
    """

    output: str
    workplace: str
    device: str
    models: tuple[str, ...]
    scene: bool = False
    evidence: bool = False
    dicom: bool = False
    summaries: bool = False
    networks: str = ""

    def __call__(self, scan: Scan) -> Outcome:
        """Grade a scan; whatever goes wrong with it is its outcome.

        Raises
        ------
        UserError
            If a device or model cannot be used, there is no room left, or the process that holds the networks is gone:
            no other scan could be graded either.
        """
        from ...cohort.page.thumbnails import make_thumbnail
        from ...cohort.rows import graded, not_graded
        from ...grading.shared_networks import NetworksGoneError

        grader, files = tools(self)
        try:
            result = graded_into(files, _volume(scan), scan.stored_slice, grader)
            make_thumbnail(Path(self.output), scan.identifier, Path(self.workplace))
        except NetworksGoneError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise UserError(
                    f"There is no room left for results in {self.output}; make room, and run the same command again to "
                    "go on."
                ) from None
            return not_graded(scan, "failed", told_of_scan(error, self.output) or _fault(error))
        if self.summaries:
            print_summary(result, Path(self.output))
        return graded(scan, result)


@lru_cache(maxsize=1)
def tools(task: GradeTask) -> tuple[DiscGrader, ResultFiles]:
    """Return what grades and writes for a task; it is made once a process.

    Raises
    ------
    UserError
        If a device or model cannot be used.
    """
    files = ResultFiles(Path(task.output), task.scene, task.evidence, task.dicom, Path(task.workplace))
    if not task.networks:
        return make_grader(task.device, task.models), files
    from ...grading.shared_networks import use_shared

    return use_shared(make_grader("cpu", task.models), task.networks), files


def put_away_tools(task: GradeTask) -> None:
    """Let go of what `tools` made for a task in this process, if it did."""
    if tools.cache_info().currsize:
        tools(task)[1].close()
        tools.cache_clear()


def _volume(scan: Scan) -> SagittalVolume:
    """Read a scan under its identifier: what the folder is called may name the patient."""
    from ...cohort.fingerprint import study_of
    from ...imaging.reading import read_volume

    volume = read_volume(scan.input, scan.pixel_size_mm, scan.series, study_of(scan))
    return replace(volume, source=replace(volume.source, name=scan.identifier))


def graded_into(
    files: ResultFiles, volume: SagittalVolume, stored_slice: int | None, grader: DiscGrader
) -> GradingResult:
    """Grade a volume and write the files of its result under its name.

    Raises
    ------
    UserError, OSError, RuntimeError
        `told_of_scan` tells the user of them.
    """
    index = None if stored_slice is None else volume.canonical_slice_index(stored_slice)
    if files.dicom and not volume.source.dicom_files:
        raise UserError("--dicom needs DICOM images to refer to, and this input has none; leave --dicom out.")
    result = grader.grade(volume, index)
    files.write(result, volume.source.name, grader.evidence(result) if files.evidence else None)
    return result


def told_of_scan(error: Exception, folder: str | Path) -> str | None:
    """Return what the user is told of an error at a scan; None for a fault of the program."""
    if isinstance(error, OSError):
        return f"the results cannot be written to {folder} ({error.strerror or error})."
    if reason := why_not_run(error):
        return f"could not be graded ({reason}); try --device cpu, or check the file."
    return told_of(error)


def _fault(error: Exception) -> str:
    """Say of a fault of the program where it lies; its own words may quote the image."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return f"could not be graded: a fault of the program ({type(error).__name__} in {place}); please report it."
