"""What all commands that train networks have alike: options, and how they say what goes wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .complaint import complain

TASKS = ("segmentation", "grading")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
"""Lightning's names; ``gpu`` is CUDA or MPS, whichever is there."""


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


def guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn what goes wrong in a training, as far as the user can mend it, into a line on standard error."""

    def run_guarded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except ModuleNotFoundError as error:
            return complain(f"Training needs {error.name}; install the extra 'train'.")
        except (ValueError, OSError) as error:
            return complain(str(error))
        except MemoryError:
            return complain(f"The computer's memory is full; {LESS_MEMORY}.")
        except RuntimeError as error:
            from ..grading.fallback import card_problem

            problem = card_problem(error)
            if problem is None:
                raise
            return complain(f"The graphics card failed ({problem}); {LESS_MEMORY}, or use --accelerator cpu.")

    return run_guarded


LESS_MEMORY = "take a smaller batch with --set batch_size=N"
