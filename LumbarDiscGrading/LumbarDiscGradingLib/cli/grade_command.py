"""The command ``grade``: volumes in; segments, table, JSON, picture and scene out."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .complaint import complain, told_of, why_not_run
from .series_command import add_series_option

if TYPE_CHECKING:
    from ..grading.evidence import EvidenceMap
    from ..grading.grader import DiscGrader
    from ..grading.result import GradingResult
    from ..headless.core import SlicerCore
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
        "STEM_evidence.nrrd.",
        epilog="Exit status: 0 all inputs graded; 1 some failed, with one line each on standard error, the others "
        "graded; 2 wrong usage. Research software, not a medical device.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="volume file (.nrrd .nii .nii.gz .mha ...), DICOM folder, or 2-D picture with the head up and the front "
        "to the left; without any, the built-in sample is graded",
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
    parser.set_defaults(func=_grade)


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the models of `make_grader`."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME|FOLDER",
        help="model to use, once for each task: a folder, or the name of an installed or built-in model",
    )


def make_grader(device: str, models: Sequence[str]) -> DiscGrader:
    """Make a grader from what the command line says.

    Raises
    ------
    UserError
        If a device or model cannot be used, or two models are of one task.
    """
    from ..grading.grader import DiscGrader
    from ..models.store import open_model

    by_task: dict[str, str] = {}
    for name in models:
        task = open_model(name).task
        if task in by_task:
            raise UserError(f"Two models for {task} were given ({by_task[task]} and {name}); give one for each task.")
        by_task[task] = name
    return DiscGrader(device, by_task.get("segmentation"), by_task.get("grading"))


def _grade(arguments: argparse.Namespace) -> int:
    if arguments.dicom:
        from ..report.dicom.coding import require_highdicom

        require_highdicom()
    grader = make_grader(arguments.device, arguments.model)
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return complain(f"The output folder {arguments.output} cannot be made ({error.strerror}); choose another.")
    if not os.access(arguments.output, os.W_OK) or not arguments.output.is_dir():
        return complain(f"The output folder {arguments.output} cannot be written; choose another.")
    failures, stems = 0, _Stems()
    with _Writer(arguments.output, arguments.scene, arguments.dicom) as writer:
        for path in arguments.inputs or [None]:
            failures += _grade_one(path, arguments, grader, writer, stems)
    return 1 if failures else 0


def _grade_one(
    path: str | None, arguments: argparse.Namespace, grader: DiscGrader, writer: _Writer, stems: _Stems
) -> int:
    shown = path if path is not None else "the built-in sample"
    try:
        volume = _read(path, arguments.pixel_size, arguments.series)
        index = None if arguments.stored_slice is None else volume.canonical_slice_index(arguments.stored_slice)
        if arguments.dicom and not volume.source.dicom_files:
            raise UserError("--dicom needs DICOM images to refer to, and this input has none; leave --dicom out.")
        result = grader.grade(volume, index)
        evidence = grader.evidence(result) if arguments.evidence else None
        stem = stems.unused(volume.source.name)
        writer.write(result, stem, evidence)
    except Exception as error:
        told = _told_of(error, arguments.output)
        if told is None:
            raise
        return complain(f"{shown}: {told}")
    _print_summary(result, stem, arguments.output)
    return 0


def _told_of(error: Exception, folder: Path) -> str | None:
    if isinstance(error, OSError):
        return f"the results cannot be written to {folder} ({error.strerror or error})."
    if reason := why_not_run(error):
        return f"could not be graded ({reason}); try --device cpu, or check the file."
    return told_of(error)


def _read(path: str | None, pixel_size_mm: float | None, series: str | None) -> SagittalVolume:
    if path is None:
        if series is not None:
            raise UserError("The built-in sample is no DICOM study; leave --series out.")
        from dataclasses import replace

        from ..imaging.phantom import lumbar_phantom

        volume = lumbar_phantom().volume
        return replace(volume, source=replace(volume.source, name=SAMPLE_NAME))
    from ..imaging.reading import read_volume

    return read_volume(path, pixel_size_mm, series)


class _Stems:
    """Names for output files; inputs of the same name do not overwrite each other."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def unused(self, name: str) -> str:
        stem, number = name, 2
        while stem.lower() in self._used:
            stem, number = f"{name}_{number}", number + 1
        self._used.add(stem.lower())
        return stem


class _Writer:
    """Writes the files of a result into the output folder, all or none."""

    def __init__(self, folder: Path, scene: bool, dicom: bool) -> None:
        self.folder, self.scene, self.dicom = folder, scene, dicom
        self._core: SlicerCore | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._core is not None:
            self._core.close()

    def write(self, result: GradingResult, stem: str, evidence: EvidenceMap | None = None) -> None:
        from ..headless.core import SlicerCore
        from ..report import evidence_picture, overview, tables
        from ..scene import files

        if self._core is None:
            self._core = SlicerCore()
        with tempfile.TemporaryDirectory(prefix=".grading-", dir=self.folder) as partial_name:
            partial = Path(partial_name)
            files.write_segmentation(result, partial / f"{stem}_discs.seg.nrrd", self._core)
            tables.write_grades_csv(result, partial / f"{stem}_grades.csv")
            tables.write_result_json(result, partial / f"{stem}_result.json")
            overview.save(result, partial / f"{stem}_overview.png")
            if evidence is not None:
                evidence_picture.save_picture(result, evidence, partial / f"{stem}_evidence.png")
                evidence_picture.save_volume(evidence, partial / f"{stem}_evidence.nrrd")
            if self.dicom:
                from ..report.dicom.writing import write_dicom

                write_dicom(result, partial / f"{stem}_seg.dcm", partial / f"{stem}_report.dcm")
            if self.scene:
                files.write_scene(result, partial / f"{stem}.mrb", self._core, evidence)
            for file in sorted(partial.iterdir()):
                shutil.move(file, self.folder / file.name)


def _print_summary(result: GradingResult, stem: str, folder: Path) -> None:
    from ..pfirrmann import ROMAN_GRADES
    from ..report.text import is_barely_doubtful, possible_grades

    print(f"{stem}: slice {result.stored_slice_index} ({result.slice_reason})")
    for doubt in result.doubts:
        print(f"  DOUBT: {doubt}")
    for disc in result.discs:
        if not disc.assessable:
            print(f"  {disc.level:7} {disc.group_word}: {disc.warnings[0].removeprefix(f'{disc.level}: ')}")
            continue
        doubt = f"  possible: {possible}" if (possible := possible_grades(disc)) else ""
        doubt = doubt or ("  low confidence" if is_barely_doubtful(disc) else "")
        grade = f"Pfirrmann {ROMAN_GRADES[disc.pfirrmann]:3}"
        print(f"  {disc.level:7} {disc.group.value:9} {grade}  p {max(disc.group_probabilities):.2f}{doubt}")
    if result.naming_confidence is not None:
        print(f"  Names of the levels: right with p {result.naming_confidence:.2f}")
    for note in (*result.volume.notes, *(warning for warning in result.warnings if warning not in result.doubts)):
        print(f"  Note: {note}")
    print(f"  Written to {folder}: {stem}_overview.png and the other files of {stem}")
