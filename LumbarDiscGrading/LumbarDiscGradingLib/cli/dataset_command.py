"""The command ``dataset``: import folders into a labelled data set, carry masks over to pictures, and verify."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..dataset.manifest import SPLITS
from .progress import with_progress


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command and its sub-commands; each sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "dataset",
        help="import, extend or verify a labelled data set",
        description="Work with labelled data sets: images, fixed-value masks, grades and a split by patient.",
    )
    commands = parser.add_subparsers(dest="dataset_command", required=True, metavar="COMMAND")
    _add_import(commands)
    _add_transfer(commands)
    verify = commands.add_parser(
        "verify",
        help="check a data set against its manifest",
        description="Check the manifest of a data set, and every file against the hash written there.",
    )
    verify.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the data set")
    verify.set_defaults(func=_verify)


def _add_import(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "import",
        help="make a data set from a folder of images, masks and grades",
        description="Make a labelled data set from a folder with PATIENT_t2 (a volume or a picture), PATIENT_labels "
        "where there is a mask (0 background, 1 vertebra, 2 disc, 3 canal, or values of disc levels; or a DICOM "
        "Segmentation, .dcm), and grades.csv (patient,level,pfirrmann). "
        "Patients are split for training, tuning and test by the frozen split that comes with the module where it "
        "knows them, the others at random in the proportions 300/72/94.",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder to read")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="folder of the new data set")
    parser.add_argument("--name", help="name of the data set (default: that of the source folder)")
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="JSON file with the patients of train, tune and test"
    )
    parser.add_argument("--seed", type=int, default=0, help="for the random split (default: 0)")
    parser.add_argument(
        "--pixel-size", type=float, metavar="MM", help="pixel size of pictures in mm (default: unknown)"
    )
    parser.add_argument("--licence", help="licence of images and labels (default: that of a known public source)")
    parser.add_argument("--attribution", help="how the sources must be cited (default: as of a known public source)")
    parser.add_argument("--replace", action="store_true", help="replace a data set already at DESTINATION")
    parser.set_defaults(func=_import)


def _add_transfer(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "transfer",
        help="carry masks of volumes over to pictures of the same patients",
        description="Register the volume of each patient to the picture of the same patient in the plane, from points "
        "at the discs and by intensities around the spine, carry the mask over, and make a data set of the pictures "
        "whose masks pass: discs by their points, images that correlate, no implausible stretch.",
    )
    parser.add_argument("volumes", type=Path, metavar="VOLUMES", help="data set of volumes with masks")
    parser.add_argument("pictures", type=Path, metavar="PICTURES", help="data set of pictures with points by level")
    parser.add_argument("destination", type=Path, metavar="DESTINATION", help="folder of the new data set")
    parser.add_argument("--name", help="name of the data set (default: that of PICTURES with _masks behind it)")
    parser.add_argument("--replace", action="store_true", help="replace a data set already at DESTINATION")
    parser.set_defaults(func=_transfer)


def _transfer(arguments: argparse.Namespace) -> int:
    from ..dataset.labelled import LabelledDataset
    from ..dataset.transferred_set import transfer_set

    dataset = transfer_set(
        LabelledDataset.open(arguments.volumes),
        LabelledDataset.open(arguments.pictures),
        arguments.destination,
        name=arguments.name,
        replace_there=arguments.replace,
        tell=print,
        progress=with_progress("Registering"),
    )
    print(f"{dataset.name}: {len(dataset.cases)} pictures with a mask in {dataset.folder}.")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from ..dataset.importing import import_folder

    dataset = import_folder(
        arguments.source,
        arguments.destination,
        name=arguments.name,
        splits=arguments.splits,
        seed=arguments.seed,
        pixel_size_mm=arguments.pixel_size,
        licence=arguments.licence,
        attribution=arguments.attribution,
        replace=arguments.replace,
        progress=with_progress("Importing"),
    )
    counts = ", ".join(f"{len(dataset.cases_in(split))} {split}" for split in SPLITS)
    masks = sum(case.has_mask for case in dataset.cases)
    grades = sum(len(case.grades) for case in dataset.cases)
    print(f"{dataset.name}: {len(dataset.cases)} patients ({counts}), {masks} with a mask, {grades} graded discs.")
    for case in dataset.cases:
        for note in case.notes:
            print(f"Patient {case.patient} ({case.split}): {note}")
    if not all(case.pixel_size_known for case in dataset.cases):
        print("The scale of pictures is not known; give it with --pixel-size if it is.")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from ..dataset.labelled import LabelledDataset

    dataset = LabelledDataset.open(arguments.dataset)
    problems = dataset.verify()
    for problem in problems:
        print(f"{arguments.dataset}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{dataset.name}: {len(dataset.cases)} patients, all files as written.")
    return 1 if problems else 0
