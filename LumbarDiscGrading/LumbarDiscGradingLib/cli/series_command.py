"""The command ``series``: what a DICOM folder holds, which series of it would be graded, and why not the others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .complaint import complain

if TYPE_CHECKING:
    from ..imaging.dicom import DicomStudy
    from ..imaging.dicom_series import SeriesChoice

TAKEN = "taken"
HEADINGS = ("", "number", "plane", "contrast", "images", "echo ms", "pixel mm", "words", "why not", "SeriesInstanceUID")
UNSTATED = "-"
GAP = "  "


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command; it sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "series",
        help="list the series of a DICOM folder, and which one would be graded",
        description="List the series of a DICOM folder and its subfolders: what each one is, which one 'grade' takes, "
        "and why not the others. Of their descriptions only words are shown that tell how an image was acquired; "
        "others may name the patient. 'grade --series' and 'study import --series' take another one. Headers are "
        "read, pixels only where headers do not tell images apart.",
        epilog="Exit status: 0 a series would be graded; 1 none would be, with one line on standard error that says "
        "why; 2 wrong usage.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="DICOM folder, or one DICOM file")
    add_series_option(parser)
    parser.set_defaults(func=_series)


def add_series_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which series of a DICOM study to take."""
    parser.add_argument(
        "--series",
        metavar="UID|NUMBER|TEXT",
        help="the series to take from a DICOM study: its SeriesInstanceUID, its number, or a part of its description "
        "(default: the sagittal T2 series is found)",
    )


def _series(arguments: argparse.Namespace) -> int:
    from ..imaging.dicom import open_dicom
    from ..imaging.volume import ImagingError

    folder = Path(arguments.folder)
    if not folder.exists():
        return complain(f"{folder}: There is no such file or folder; check the path.")
    study = open_dicom(folder)
    try:
        choice = study.choice(arguments.series)
        _print_table(_rows(study, choice))
        study.require_whole(choice.taken)
    except ImagingError as error:
        return complain(f"{folder}: {error}")
    for note in (*choice.notes[1:], *study.left_out(choice.taken)):
        print(f"Note: {note}")
    return 0


def _rows(study: DicomStudy, choice: SeriesChoice) -> list[tuple[str, ...]]:
    from ..imaging.acquisition import contrast_of
    from ..imaging.dicom_series import plane_of
    from ..imaging.dicom_study.series_words import acquisition_words

    several = len(set(study.people)) > 1
    rows: list[tuple[str, ...]] = []
    for stack, reason in zip(choice.stacks, choice.reasons, strict=True):
        first = stack.first
        spacing_mm = first.pixel_spacing_mm
        whose = f"person {study.person_on(stack) + 1}: " if several else ""
        rows.append(
            (
                TAKEN if not reason else "",
                UNSTATED if first.series_number is None else str(first.series_number),
                plane_of(stack).value,
                contrast_of(first).value,
                str(len(stack.frames)),
                UNSTATED if first.echo_time_ms is None else f"{first.echo_time_ms:.0f}",
                UNSTATED if spacing_mm is None else f"{spacing_mm[0]:.2f}",
                acquisition_words(first.labels) or UNSTATED,
                f"{whose}{reason}" if reason else whose.removesuffix(": "),
                min(stack.series_uids) or UNSTATED,
            )
        )
    return rows


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        print(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
