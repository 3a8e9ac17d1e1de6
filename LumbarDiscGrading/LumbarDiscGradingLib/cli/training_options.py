"""What all commands that train networks have alike: options, and what they say where a training cannot run."""

from __future__ import annotations

import argparse
from pathlib import Path

from .complaint import missing_extra

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""Lightning's names; ``gpu`` is CUDA or MPS, whichever is there."""
LESS_MEMORY = "take a smaller batch with --set batch_size=N"


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add data, output folder, changes of the recipe, seed, accelerator and the model that finds discs."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DATASET", help="labelled data sets")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the recipe, such as epochs=20; may be given several times",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--accelerator",
        choices=ACCELERATORS,
        default="auto",
        metavar="NAME",
        help=f"Lightning accelerator: {', '.join(ACCELERATORS)} (default: auto)",
    )
    parser.add_argument(
        "--segmentation-model",
        metavar="NAME|FOLDER",
        help="for grading: finds the discs where a data set has no masks (default: the built-in one)",
    )
    parser.set_defaults(explain=_explained)


def _explained(error: Exception) -> str | None:
    """Return what the user is told of an error in a training, as far as the user can mend it."""
    from ..grading.fallback import card_problem

    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"The computer's memory is full; {LESS_MEMORY}."
    if problem := card_problem(error):
        return f"The graphics card failed ({problem}); {LESS_MEMORY}, or use --accelerator cpu."
    return missing_extra(error, "Training")
