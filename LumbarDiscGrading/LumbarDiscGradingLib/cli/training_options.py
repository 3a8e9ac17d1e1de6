"""Options that all commands which train networks have alike."""

from __future__ import annotations

import argparse
from pathlib import Path

TASKS = ("segmentation", "grading")


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
    parser.add_argument("--accelerator", default="auto", help="Lightning accelerator: auto, cpu, gpu (default: auto)")
    parser.add_argument(
        "--segmentation-model",
        metavar="NAME|FOLDER",
        help="for grading: finds the discs where a data set has no masks (default: the built-in one)",
    )
