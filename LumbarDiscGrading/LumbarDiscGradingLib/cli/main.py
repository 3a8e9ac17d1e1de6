"""Entry point of the command ``lumbar-disc-grading``; each sub-command has a module of its own."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..errors import UserError
from ..imaging.file_names import is_plain, printable
from . import (
    ablate_command,
    compare_command,
    cross_validate_command,
    dataset_command,
    evaluate_command,
    grade_command,
    models_command,
    series_command,
    study_command,
    train_command,
)
from .complaint import complain, drained, told_of


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="lumbar-disc-grading",
        description="Segment and grade the lumbar discs of sagittal T2-weighted MRI. "
        "Research software, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(explain=lambda error: None, failed=1)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        grade_command,
        series_command,
        models_command,
        dataset_command,
        train_command,
        cross_validate_command,
        ablate_command,
        evaluate_command,
        compare_command,
        study_command,
    ):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 something failed, 2 wrong usage.

    What the user can mend is told in a sentence, by `told_of` or by what the command sets as ``explain``; it ends with
    the status that the command sets as ``failed``. Whatever else is raised is a fault of the program and goes on.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be of any bytes
    try:
        return drained(_run(arguments))
    except SystemExit as leaving:  # help, version and wrong usage
        raise SystemExit(drained(int(leaving.code or 0))) from None


def _run(arguments: Sequence[str] | None) -> int:
    parsed = make_parser().parse_args(arguments)
    try:
        _require_plain_names(parsed)
        return int(parsed.func(parsed) or 0)
    except KeyboardInterrupt:
        return complain("Stopped.", 130)
    except Exception as error:
        told = told_of(error) or parsed.explain(error)
        if told is None:
            raise
        return complain(told, parsed.failed)


def _require_plain_names(parsed: argparse.Namespace) -> None:
    """Refuse files and folders with names that are not UTF-8, but for what is only read and given as text."""
    for value in vars(parsed).values():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path) and not is_plain(str(path)):
                raise UserError(f"The name {printable(str(path))} is not UTF-8; rename the file or folder.")


if __name__ == "__main__":
    sys.exit(main())
