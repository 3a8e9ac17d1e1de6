"""How often discs are rightly named on pictures with points: as they are, without the sacrum, and stretched.

Run: python Testing/Benchmarks/benchmark_naming.py --data spider_t2 sudirman_t2 --split tune

Each picture is named twice, by all that the model sees and by counting alone (as with a model without a locator of
levels). Without the sacrum: all below the middle of L5 is blank; a name of a level out of view is then wrong, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "LumbarDiscGrading"))

from LumbarDiscGradingLib.dataset.labelled import LabelledCase, LabelledDataset
from LumbarDiscGradingLib.evaluation.scores import discs_at_points
from LumbarDiscGradingLib.grading.grader import DiscGrader, NoDiscsError
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.measures.bootstrap import interval
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS

AS_IS, NO_SACRUM, STRETCHED = "as they are", "sacrum out of view", "rows stretched by a quarter"
STRETCH, ROUNDS = 1.25, 2000
BELOW_L4_L5 = 0.4
"""Of the way from the point of L4-L5 to that of L5-S1: where the blank begins."""

Points = Mapping[str, tuple[float, float]]


def changed(kind: str, volume: SagittalVolume, points: Points) -> tuple[SagittalVolume, dict[str, tuple[float, float]]]:
    """Return the changed picture and the points that are in view."""
    if kind == NO_SACRUM:
        first = int(points["L4-L5"][0] + BELOW_L4_L5 * (points["L5-S1"][0] - points["L4-L5"][0]))
        voxels = volume.voxels.copy()
        voxels[:, first:] = 0
        return replace(volume, voxels=voxels), {name: place for name, place in points.items() if name != "L5-S1"}
    if kind == STRETCHED:
        voxels = ndimage.zoom(volume.voxels, (1, STRETCH, 1), order=1)
        return replace(volume, voxels=voxels), {name: (row * STRETCH, col) for name, (row, col) in points.items()}
    return volume, dict(points)


def named(grader: DiscGrader, volume: SagittalVolume, points: Points) -> tuple[bool, bool, bool]:
    """Return whether all is rightly named, whether a doubt was said, and whether a level out of view was claimed."""
    try:
        result = grader.grade(volume)
    except NoDiscsError:
        return False, True, False
    found = discs_at_points(result.label_slice, points)
    claimed = any((result.label_slice == DISC_LABELS[level]).any() for level in LUMBAR_LEVELS if level not in points)
    right = not claimed and all(found.get(level) == level for level in points)
    return right, result.levels_doubted, claimed


def rows(grader: DiscGrader, cases: list[LabelledCase]) -> Iterator[str]:
    """Yield a row of the table for each change and way of naming."""
    locator = grader.segmenter.locator
    for kind in (AS_IS, NO_SACRUM, STRETCHED):
        for way, network in (("seen and counted", locator), ("counted", None)):
            grader.segmenter.locator = network
            outcomes = np.array([named(grader, *changed(kind, case.volume(), case.level_points)) for case in cases])
            right, doubted, claimed = outcomes.T
            drawn = np.random.default_rng(0).integers(len(right), size=(ROUNDS, len(right)))
            low, high = interval(right[drawn].mean(axis=1))
            yield (
                f"| {kind} | {way} | {right.sum()} of {len(cases)} ({low:.2f}-{high:.2f}) | "
                f"{(~right & ~doubted).sum()} | {(right & doubted).sum()} | {claimed.sum()} |"
            )
    grader.segmenter.locator = locator


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DATASET", help="data sets with points")
    parser.add_argument("--split", choices=("train", "tune", "test"), default="tune")
    parser.add_argument("--model", metavar="NAME|FOLDER", help="segmentation model (default: the built-in one)")
    arguments = parser.parse_args()
    grader = DiscGrader("cpu", arguments.model)
    print("| pictures | named by | patients all right | wrong, not said | right, doubted | claims out of view |")
    print("| --- | --- | --- | --- | --- | --- |")
    for folder in arguments.data:
        dataset = LabelledDataset.open(folder)
        cases = [case for case in dataset.cases_in(arguments.split) if set(LUMBAR_LEVELS) <= set(case.level_points)]
        print(f"| {dataset.name} | | | | | |")
        for row in rows(grader, cases):
            print(row, flush=True)


if __name__ == "__main__":
    main()
