"""The command ``grade``: volumes in; segments, table, JSON, picture and scene out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..cohort.scan import Scan
from ..errors import UserError
from .complaint import complain
from .grading.graders import add_model_option
from .grading.summary import print_summary
from .grading.task import GradeTask, graded_into, put_away_tools, told_of_scan, tools
from .grading.workers import add_worker_options, wrong_usage
from .progress import files_seen
from .series_command import add_series_option

if TYPE_CHECKING:
    from ..cohort.finding import Found
    from ..cohort.scan import Outcome
    from ..imaging.volume import SagittalVolume

DEFAULT_OUTPUT = "lumbar-disc-grading"
SAMPLE_NAME = "sample"
DEVICES = "auto, cpu, cuda, cuda:N or mps"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "grade",
        help="segment and grade the discs of volumes",
        description="Segment and grade the lumbar discs of sagittal T2-weighted volumes on their mid-sagittal slice. "
        "For an input STEM it writes STEM_discs.seg.nrrd (segments that Slicer opens on the volume), STEM_grades.csv, "
        "STEM_result.json and STEM_overview.png, with --scene STEM.mrb as well, with --evidence STEM_evidence.png and "
        "STEM_evidence.nrrd. A folder may hold many studies and volumes, at any depth; where more than one scan is "
        "found, cohort.csv (a row a disc) and cohort_scans.csv (a row a scan) tell of all, and the same command run "
        "again does only what is missing.",
        epilog="Exit status: 0 all inputs graded; 1 some failed, with one line each on standard error, the others "
        "graded; 2 wrong usage; 130 stopped by Ctrl+C. Research software, not a medical device.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="volume file (.nrrd .nii .nii.gz .mha ...), DICOM folder, 2-D picture with the head up and the front to "
        "the left, or a folder of many studies and volumes; without any, the built-in sample is graded",
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="table (CSV) of what is to be graded in place of INPUTs: column input and, if wanted, identifier, "
        "pixel_size, series, slice, age, sex",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(DEFAULT_OUTPUT), metavar="DIR", help=f"folder (default: {DEFAULT_OUTPUT})"
    )
    parser.add_argument("--device", default="auto", help=f"{DEVICES} (default: auto)")
    parser.add_argument(
        "--slice",
        type=int,
        dest="stored_slice",
        metavar="N",
        help="slice to grade, 0-based along the volume's sagittal axis as stored (default: chosen by content)",
    )
    parser.add_argument(
        "--pixel-size", type=float, metavar="MM", help="pixel size of pictures in mm (default: estimated, no mm then)"
    )
    add_series_option(parser)
    parser.add_argument("--scene", action="store_true", help="write a Slicer scene (.mrb) as well")
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="show where the grading network looked on each disc: a picture, and a volume to lay over the input",
    )
    parser.add_argument(
        "--dicom",
        action="store_true",
        help="write a DICOM segmentation (STEM_seg.dcm) and a structured report (STEM_report.dcm) as well; of DICOM "
        "inputs only, with the identity of the patient and the study; needs highdicom",
    )
    add_model_option(parser)
    add_worker_options(parser)
    parser.set_defaults(func=_grade)


def _grade(arguments: argparse.Namespace) -> int:
    if arguments.list is not None and arguments.inputs:
        return complain("Give INPUTs or --list, not both.", 2)
    if wrong := wrong_usage(arguments):
        return complain(wrong, 2)
    from ..cohort.journal import JOURNAL_FOLDER, WORK_FOLDER
    from ..cohort.scan_list import read_scan_list, with_identifiers
    from .grading.cohort import grade_cohort, print_reasons
    from .grading.workers import who_grades

    if arguments.dicom:
        from ..report.dicom.coding import require_highdicom

        require_highdicom()
    listed = None if arguments.list is None else read_scan_list(arguments.list, _scan_as_asked(arguments))
    found = _found(arguments)
    one = listed is None and len(found.candidates) < 2 and not (arguments.output / JOURNAL_FOLDER).exists()
    one = one or not (listed or arguments.inputs)
    with_workers = arguments.jobs or arguments.cluster
    one = one and not with_workers
    workplace = arguments.output if one else arguments.output / JOURNAL_FOLDER / WORK_FOLDER
    summaries = listed is None and _all_named(arguments.inputs, found) and not with_workers
    task = _task(arguments, workplace, summaries)
    outcomes = who_grades(task, arguments.jobs, arguments.cluster)  # what cannot be used is said before any writing
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return complain(f"The output folder {arguments.output} cannot be made ({error.strerror}); choose another.")
    if not os.access(arguments.output, os.W_OK) or not arguments.output.is_dir():
        return complain(f"The output folder {arguments.output} cannot be written; choose another.")
    try:
        if one:
            status = _grade_one(arguments, found, task)
            print_reasons([why for _, why in found.skipped])
            return status
        if listed is not None:
            return grade_cohort(task, lambda earlier: (with_identifiers(listed, earlier), []), outcomes)
        if found.others:
            print(f"Files that are no images, by their names or their content: {found.others}.")
        return grade_cohort(task, partial(_named, arguments, found), outcomes)
    finally:
        put_away_tools(task)


def _task(arguments: argparse.Namespace, workplace: Path, summaries: bool) -> GradeTask:
    options = arguments.scene, arguments.evidence, arguments.dicom
    folders = (str(arguments.output), str(workplace))
    if arguments.cluster:  # other machines and processes start in folders of their own
        folders = (os.path.abspath(arguments.output), os.path.abspath(workplace))
    return GradeTask(*folders, arguments.device, tuple(arguments.model), *options, summaries)


def _found(arguments: argparse.Namespace) -> Found:
    from ..cohort.finding import find_candidates

    with files_seen() as watch:
        return find_candidates(arguments.inputs, arguments.output, watch)


def _scan_as_asked(arguments: argparse.Namespace) -> Scan:
    """Return what the command line says of every scan, as a scan without input."""
    return Scan("", "", arguments.series, arguments.pixel_size, arguments.stored_slice)


def _all_named(inputs: Sequence[str], found: Found) -> bool:
    named = {os.path.abspath(path) for path in inputs}
    return all(candidate.path in named and not candidate.files for candidate in found.candidates)


def _named(arguments: argparse.Namespace, found: Found, earlier: Mapping[str, str]) -> tuple[list[Scan], list[Outcome]]:
    """Return what was found as scans with identifiers, and what is skipped."""
    from ..cohort.naming import identifiers
    from ..cohort.rows import not_graded

    asked = _scan_as_asked(arguments)
    names = iter(identifiers([*found.candidates, *(candidate for candidate, _ in found.skipped)], earlier))
    scans = [
        replace(asked, identifier=next(names), input=candidate.path, files=candidate.files)
        for candidate in found.candidates
    ]
    skipped = [not_graded(Scan(next(names), candidate.path), "skipped", why) for candidate, why in found.skipped]
    return scans, skipped


def _grade_one(arguments: argparse.Namespace, found: Found, task: GradeTask) -> int:
    path = next((candidate.path for candidate in found.candidates), None)
    if path is not None and os.path.abspath(arguments.inputs[0]) == path:
        path = arguments.inputs[0]  # as the user writes it
    grader, files = tools(task)
    try:
        volume = _read(path, arguments.pixel_size, arguments.series)
        result = graded_into(files, volume, arguments.stored_slice, grader)
    except Exception as error:
        told = told_of_scan(error, arguments.output)
        if told is None:
            raise
        return complain(f"{'the built-in sample' if path is None else path}: {told}")
    print_summary(result, arguments.output)
    return 0


def _read(path: str | None, pixel_size_mm: float | None, series: str | None) -> SagittalVolume:
    if path is None:
        if series is not None:
            raise UserError("The built-in sample is no DICOM study; leave --series out.")
        from ..imaging.phantom import lumbar_phantom

        volume = lumbar_phantom().volume
        return replace(volume, source=replace(volume.source, name=SAMPLE_NAME))
    from ..imaging.reading import read_volume

    return read_volume(path, pixel_size_mm, series)
