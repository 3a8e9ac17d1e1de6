"""The command ``study``: annotation studies without the panel. Needs no Slicer and, but for ``rank``, no torch."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ..annotation.errors import StudyError
from ..pfirrmann import DISC_LABELS
from .progress import with_progress
from .rank_command import add_rank
from .series_command import add_series_option

if TYPE_CHECKING:
    from ..annotation.agreement.agreement import GradeAgreement, MaskAgreement
    from ..annotation.exchange.importing import ImportReport
    from ..annotation.protocol import Protocol, Reader

ROLES = {"annotator": "annotator", "reviewer": "peer reviewer", "grader": "grader", "adjudicator": "adjudicator"}
"""Words on the command line for the roles."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command and its sub-commands; each sets ``func``, which returns the exit code."""
    parser = subparsers.add_parser(
        "study",
        help="run an annotation study: create, import, status, agreement, rank, lock, unlock, export, verify",
        description="Work with annotation studies: folders of plain files in which readers draw and grade discs, "
        "blind to each other, with peer review and adjudication.",
    )
    commands = parser.add_subparsers(dest="study_command", required=True, metavar="COMMAND")
    for add in (_add_create, _add_import, _add_status, _add_agreement, add_rank, _add_lock, _add_export, _add_verify):
        add(commands)


def _add_create(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "create",
        help="make a new study",
        description="Make a study folder with its protocol (study.json).",
        epilog="Example: study create spine --reader anna:annotator:3 --reader ben:reviewer:8 --reader carl:grader:5 "
        "--reader dora:grader:15 --reader emil:adjudicator:20",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder to make")
    parser.add_argument("--name", help="name of the study (default: that of the folder)")
    parser.add_argument(
        "--reader",
        action="append",
        default=[],
        metavar="ID:ROLE[,ROLE]...[:YEARS]",
        help=f"a reader under a pseudonym, with roles ({', '.join(ROLES)}) and years of experience; may be repeated",
    )
    parser.add_argument("--like", type=Path, metavar="STUDY|EXPORT", help="take the protocol of this study or export")
    parser.add_argument("--tasks", default="masks,grades", help="what is read (default: masks,grades)")
    parser.add_argument("--levels", help="disc levels, by commas (default: L1-L2 to L5-S1)")
    parser.add_argument("--double-masks", action="store_true", help="two annotators draw each case")
    parser.add_argument("--single-grades", action="store_true", help="one grader grades each case instead of two")
    parser.add_argument("--no-peer-review", action="store_true", help="masks count as soon as they are signed")
    parser.add_argument("--leave-out-disagreements", action="store_true", help="do not adjudicate, leave discs out")
    parser.add_argument("--dice-limit", type=float, default=0.8, help="two masks disagree below it (default: 0.8)")
    parser.add_argument("--repeats", type=float, default=0.0, metavar="SHARE", help="share of cases read twice, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="decides who reads what in which order (default: 0)")
    parser.add_argument("--allow-prefill", action="store_true", help="annotators may start from a model's masks")
    parser.add_argument("--allow-active-learning", action="store_true", help="a model may order the unread cases")
    parser.add_argument("--graders-see-masks", action="store_true", help="show graders the finished masks")
    parser.set_defaults(func=_create)


def _add_import(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "import",
        help="bring images and readings into a study",
        description="Import DICOM folders (with the DICOM Segmentation of a series), volume files, folders with "
        "PATIENT_t2, PATIENT_labels and grades.csv, or an export of a study. Images are de-identified: voxels, "
        "geometry and an allow-list of acquisition parameters are kept. Original identifiers go into a "
        "mapping file beside the study, never into it. Images that the study has already are left out. What is burnt "
        "into the pixels of an image stays in it.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY")
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="file or folder to import")
    parser.add_argument("--reader", metavar="ID", help="whose readings the masks and grades become that come along")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="mapping file (default: STUDY-mapping.csv)")
    parser.add_argument("--pixel-size", type=float, metavar="MM", help="pixel size of pictures in mm")
    add_series_option(parser)
    parser.set_defaults(func=_import)


def _add_status(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "status", help="show how far a study has got", description="Count cases by state, and each reader's work."
    )
    parser.add_argument("study", type=Path, metavar="STUDY")
    parser.add_argument("--cases", action="store_true", help="list each case with its states")
    parser.set_defaults(func=_status)


def _add_agreement(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "agreement",
        help="show how far readers agree",
        description="Weighted kappa with its 95% interval (bootstrap by patient), percent agreement, confusion tables, "
        "repeated readings, Dice, mean surface distance and time per case, of the signed readings before adjudication.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write tables (CSV) and agreement.png there")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.set_defaults(func=_agreement)


def _add_lock(commands: argparse._SubParsersAction) -> None:
    for name, what in (
        ("lock", "Lock finished cases, so that nothing of them can be reopened or decided anew."),
        ("unlock", "Unlock cases, with a reason that is logged."),
    ):
        parser = commands.add_parser(name, help=f"{name} cases that are finished", description=what)
        parser.add_argument("study", type=Path, metavar="STUDY", help="folder of the study")
        parser.add_argument("--reader", required=True, metavar="ID", help="an adjudicator or a peer reviewer")
        parser.add_argument("--task", required=True, choices=("masks", "grades"), help=f"what is to be {name}ed")
        parser.add_argument(
            "--case",
            action="append",
            default=[],
            metavar="CASE",
            help="a case, may be repeated (default: all that can)",
        )
        if name == "unlock":
            parser.add_argument("--reason", required=True, help="why, kept in the study's log")
        parser.set_defaults(func=_lock)


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export",
        help="export the finished cases as a data set",
        description="Export what is finished, with a split by patient. The layout 'dataset' is what 'train' reads, and "
        "holds the single readings too; 'nnunet' is nnU-Net v2 raw data, 'monai' a MONAI data list.",
    )
    parser.add_argument("study", type=Path, metavar="STUDY")
    parser.add_argument("output", type=Path, metavar="DIR", help="folder to make")
    parser.add_argument("--layout", choices=("dataset", "nnunet", "monai"), default="dataset")
    parser.add_argument(
        "--split",
        default="300/72/94",
        metavar="TRAIN/TUNE/TEST",
        help="proportions of training, tuning and test patients (default: 300/72/94)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--licence", default="", help="licence of images and labels")
    parser.add_argument("--attribution", default="", help="how the data must be cited")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="mapping file whose identifiers must not occur")
    parser.set_defaults(func=_export)


def _add_verify(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "verify",
        help="check an export or a study",
        description="Compare each file of an export with its hash, or the images and signed readings of a study with "
        "what was signed.",
    )
    parser.add_argument("folder", type=Path, metavar="EXPORT|STUDY")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="mapping file whose identifiers must not occur")
    parser.set_defaults(func=_verify)


def _create(arguments: argparse.Namespace) -> int:
    from ..annotation.study.study import Study

    study = Study.create(arguments.study, _protocol(arguments))
    print(f"{study.protocol.name}: made in {arguments.study} for {len(study.protocol.readers)} readers; import images.")
    return 0


def _protocol(arguments: argparse.Namespace) -> Protocol:
    from ..annotation.protocol import AdjudicationRule, Protocol, Task

    if arguments.like is not None:
        return _protocol_of(arguments.like)
    rule = AdjudicationRule.LEAVE_OUT if arguments.leave_out_disagreements else AdjudicationRule.ADJUDICATOR
    words = [word.strip() for word in arguments.tasks.split(",")]
    if not words or set(words) - {task.value for task in Task}:
        raise StudyError(f"The tasks are masks and grades, not {arguments.tasks!r}.")
    levels = set(arguments.levels.split(",")) if arguments.levels else None
    if levels and levels - set(DISC_LABELS):
        raise StudyError(f"{', '.join(sorted(levels - set(DISC_LABELS)))} is no disc level; use such as L4-L5.")
    return Protocol(
        name=arguments.name or arguments.study.resolve().name,
        readers=tuple(_reader(text) for text in arguments.reader),
        tasks=tuple(task for task in Task if task.value in words),
        **({"levels": tuple(level for level in DISC_LABELS if level in levels)} if levels else {}),
        double_masks=arguments.double_masks,
        double_grades=not arguments.single_grades,
        peer_review=not arguments.no_peer_review,
        repeat_share=arguments.repeats,
        order_seed=arguments.seed,
        adjudication=rule,
        dice_limit=arguments.dice_limit,
        model_prefill=arguments.allow_prefill,
        active_learning=arguments.allow_active_learning,
        graders_see_masks=arguments.graders_see_masks,
    )


def _protocol_of(folder: Path) -> Protocol:
    from ..annotation.exchange.export_check import READINGS_FOLDER
    from ..annotation.protocol import Protocol
    from ..annotation.storage.documents import read_document
    from ..annotation.study.study import STUDY_NAME

    for path in (folder / STUDY_NAME, folder / READINGS_FOLDER / STUDY_NAME):
        if path.is_file():
            return Protocol.from_json(read_document(path, "study"))
    raise StudyError(f"{folder} is neither a study nor an export with readings; give the folder of one.")


def _reader(text: str) -> Reader:
    from ..annotation.protocol import Reader, Role

    name, _, rest = text.partition(":")
    roles, _, years = rest.partition(":")
    try:
        return Reader(name, tuple(Role(ROLES[word]) for word in roles.split(",")), float(years or 0))
    except (KeyError, ValueError):
        raise StudyError(
            f"{text!r} is no reader; write ID:ROLE[,ROLE]...[:YEARS] with the roles {', '.join(ROLES)}."
        ) from None


def _import(arguments: argparse.Namespace) -> int:
    from ..annotation.exchange.importing import import_sources
    from ..annotation.exchange.reimport import import_export, is_export
    from ..annotation.study.study import Study

    study = Study.open(arguments.study)
    reports = [import_export(study, path, with_progress("Importing")) for path in arguments.sources if is_export(path)]
    others = [path for path in arguments.sources if not is_export(path)]
    if others:
        reports.append(
            import_sources(
                study,
                others,
                arguments.reader,
                arguments.mapping,
                arguments.pixel_size,
                with_progress("Importing"),
                arguments.series,
            )
        )
    return max(_print_import(report) for report in reports)


def _print_import(report: ImportReport) -> int:
    print(f"{len(report.added)} cases and {report.readings} readings imported, "
          f"{len(report.duplicates)} duplicates left out.")  # fmt: skip
    for path, case in report.duplicates:
        print(f"Left out: {path} has the voxels of case {case}.")
    for note in report.notes:
        print(note)
    for path, reason in report.failed:
        print(f"{path}: {' '.join(reason.split())}", file=sys.stderr)
    return 1 if report.failed else 0


def _status(arguments: argparse.Namespace) -> int:
    from ..annotation.study.states import CaseState, StudyStates
    from ..annotation.study.study import Study
    from ..annotation.work.session import Duty, ReaderSession

    study = Study.open(arguments.study)
    states = StudyStates(study)
    found = {(c, t): states.state(c, t) for c in study.case_ids for t in study.protocol.tasks}
    print(f"{study.protocol.name}: {len(study.case_ids)} cases, {len(study.protocol.readers)} readers")
    for task in study.protocol.tasks:
        counts = Counter(state for (_, t), state in found.items() if t is task)
        print(f"  {task.value}: " + ", ".join(f"{counts[state]} {state.value}" for state in CaseState if counts[state]))
    for reader in study.protocol.readers:
        session = ReaderSession(study, reader.id, states)
        for duty in Duty:
            for task in study.protocol.tasks:
                progress = session.progress(task, duty)
                if progress.total:
                    time = f", {progress.seconds / progress.done:.0f} s a case" if progress.done else ""
                    print(f"  {reader.id}: {duty.value} {task.value} {progress.done}/{progress.total}{time}")
    for reader_id, history in study.histories.items():
        if history.log.unreadable_lines:
            print(f"  {reader_id}: {history.log.unreadable_lines} unreadable lines in the event log were passed over.")
    if arguments.cases:
        for case in study.case_ids:
            print(f"  {case}  " + ", ".join(f"{task.value} {found[case, task].value}" for task in study.protocol.tasks))
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    from ..annotation.protocol import Task
    from ..annotation.study.states import CaseState
    from ..annotation.work.session import ReaderSession

    session, task = ReaderSession.open(arguments.study, arguments.reader), Task(arguments.task)
    states, locking = session.states, arguments.study_command == "lock"
    locked = [c for c in session.study.case_ids if states.state(c, task) is CaseState.LOCKED]
    finished = [c for c in session.study.case_ids if c not in locked and states.is_finished(c, task)]
    cases = arguments.case or (finished if locking else locked)
    for case in cases:
        if locking:
            session.lock(case, task)
        else:
            session.unlock(case, task, arguments.reason)
    count = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    print(f"{arguments.study}: {count} {arguments.study_command}ed ({task.value}).")
    return 0


def _agreement(arguments: argparse.Namespace) -> int:
    from ..annotation.agreement.agreement import MaskAgreement, study_agreement
    from ..annotation.agreement.tables import write_agreement_tables
    from ..annotation.study.study import Study

    study = Study.open(arguments.study)
    agreement = study_agreement(study, arguments.resamples, arguments.seed, with_progress("Comparing"))
    for pair in sorted(agreement.pairs(), key=lambda pair: isinstance(pair[0], MaskAgreement)):
        for found in pair:
            if found.discs:
                print(_agreement_line(found))
    for time in agreement.known_times():
        print(f"{time.reader}, {time.task.value}: {time.seconds.median:.0f} s a case (median of "
              f"{time.seconds.count})")  # fmt: skip
    if not any((agreement.grades, agreement.masks, agreement.repeated_grades, agreement.repeated_masks)):
        print("No case has two signed readings yet.")
    if arguments.output is not None:
        from ..report.agreement_picture import save_agreement_picture

        tables = write_agreement_tables(agreement, arguments.output)
        save_agreement_picture(agreement, arguments.output / "agreement.png")
        print(f"Written to {arguments.output}: agreement.png, {', '.join(path.name for path in tables)}")
    return 0


def _agreement_line(found: GradeAgreement | MaskAgreement) -> str:
    from ..annotation.agreement.agreement import ALL_LEVELS, GradeAgreement, interval_text

    readers = f"{found.first}, repeated" if found.repeated else f"{found.first} and {found.second}"
    head = readers if found.level == ALL_LEVELS else f"  {found.level}"
    shown = interval_text(found.interval, 3, "not defined")
    if isinstance(found, GradeAgreement):
        linear = interval_text(found.kappa_linear.with_ends, 3, "not defined")
        return (
            f"{head}: {found.discs} discs of {found.patients} patients, {100 * found.agreed_share:.1f}% same grade, "
            f"quadratic kappa {shown}, linear {linear}"
        )
    return (
        f"{head}: {found.discs} masks, Dice {shown}, surface distance {found.surface_mm.median:.2f} mm, "
        f"{found.only_one} by one reader only, {found.conflicts} level conflicts"
    )


def _export(arguments: argparse.Namespace) -> int:
    from ..annotation.exchange.export import export_study
    from ..annotation.exchange.layouts import Layout
    from ..annotation.study.study import Study

    report = export_study(
        Study.open(arguments.study),
        arguments.output,
        Layout(arguments.layout),
        proportions=_proportions(arguments.split),
        seed=arguments.seed,
        licence=arguments.licence,
        attribution=arguments.attribution,
        mapping=arguments.mapping,
        progress=with_progress("Exporting"),
    )
    counts = ", ".join(f"{len(cases)} {split}" for split, cases in report.splits.items())
    print(f"{report.folder}: {counts} cases, {report.masks} with masks, {report.grades} graded discs.")
    if report.unfinished:
        shown = ", ".join(report.unfinished[:10]) + (" …" if len(report.unfinished) > 10 else "")
        print(f"{len(report.unfinished)} cases are not finished and were left out: {shown}")
    return 0


def _proportions(text: str) -> dict[str, float]:
    from ..dataset.manifest import SPLITS

    try:
        return dict(zip(SPLITS, map(float, text.split("/")), strict=True))
    except ValueError:
        raise StudyError(f"A split is three numbers such as 300/72/94, not {text!r}.") from None


def _verify(arguments: argparse.Namespace) -> int:
    from ..annotation.exchange.deidentification import IdentifierMapping
    from ..annotation.exchange.export_check import verify_export
    from ..annotation.study.study import STUDY_NAME, Study
    from ..annotation.study.verification import verify_study

    if (arguments.folder / STUDY_NAME).is_file():
        study = Study.open(arguments.folder)
        problems, whole = verify_study(study), f"{len(study.case_ids)} cases, all images and signed readings as written"
    else:
        table = IdentifierMapping(arguments.mapping, arguments.folder) if arguments.mapping else None
        problems = verify_export(arguments.folder, table.identifiers() if table else ())
        whole = "all files as written"
    for problem in problems:
        print(f"{arguments.folder}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{arguments.folder}: {whole}.")
    return 1 if problems else 0
