"""Entry point of the command ``lumbar-disc-grading``; each sub-command has a module of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from . import (
    ablate_command,
    compare_command,
    cross_validate_command,
    dataset_command,
    evaluate_command,
    grade_command,
    models_command,
    study_command,
    train_command,
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="lumbar-disc-grading",
        description="Segment and grade the lumbar discs of sagittal T2-weighted MRI. "
        "Research software, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        grade_command,
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
    """Run a command and return its exit status: 0 done, 1 something failed, 2 wrong usage."""
    parsed = make_parser().parse_args(arguments)
    try:
        return int(parsed.func(parsed) or 0)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
