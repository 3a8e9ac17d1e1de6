"""Does the evidence map show what the grade hangs on? Deletion test of several methods on labelled data sets.

``python Testing/Benchmarks/benchmark_evidence.py --data SPIDER_SPACE SUDIRMAN_T2`` grades the tuning patients and, for
each disc and method, takes the tenth of the crop with the strongest evidence, and the tenth with the weakest, out of
the image (replaced by the crop's mean, or by the blurred crop). Printed is by how much the probability of the disc's
group falls, in how many discs the strongest costs more than the weakest, what it costs to take out the strongest
evidence of the second group instead, and how alike the maps of the two groups and those of a network of random weights
are (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018). A blob over the disc's mask is the method to beat.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "LumbarDiscGrading"))

from LumbarDiscGradingLib.dataset.labelled import LabelledDataset
from LumbarDiscGradingLib.grading import evidence
from LumbarDiscGradingLib.grading.classifier import Classifier
from LumbarDiscGradingLib.grading.discs import region_of_mask
from LumbarDiscGradingLib.grading.grader import DiscGrader, NoDiscsError
from LumbarDiscGradingLib.pfirrmann import GROUPS, Group, group_probabilities

AREA = 0.1
"""Share of the crop that is taken out."""
BATCH = 16
RANDOM_DISCS = 64
"""The maps of random weights are compared for so many discs."""
Method = Callable[[Classifier, NDArray[np.float32], list[Group]], NDArray[np.float32]]


def grad_cam(classifier: Classifier, inputs: NDArray[np.float32], groups: list[Group]) -> NDArray[np.float32]:
    """Grad-CAM on the last feature layer (Selvaraju et al., ICCV 2017), resized to the crop."""
    kept: list[torch.Tensor] = []
    hook = classifier.network.attention.register_forward_hook(lambda module, given, output: kept.append(output))
    try:
        # a gradient at the input makes every layer keep its graph, whatever the parameters ask for
        odds = evidence.group_log_odds(classifier, torch.from_numpy(inputs).requires_grad_(True), groups)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(odds.sum(), kept[0])
    weighted = (gradient.mean((2, 3), keepdim=True) * kept[0].detach()).sum(1, keepdim=True)
    return torch.nn.functional.interpolate(weighted, inputs.shape[2:], mode="bilinear")[:, 0].numpy()


def blob(classifier: Classifier, inputs: NDArray[np.float32], groups: list[Group]) -> NDArray[np.float32]:
    """Return the disc's mask, smoothed: knows where the disc lies and nothing of the network."""
    return np.stack([evidence.smoothed_crop(mask, 2.0) for mask in inputs[:, 1]])


def from_mean(classifier: Classifier, inputs: NDArray[np.float32], groups: list[Group]) -> NDArray[np.float32]:
    """Integrated gradients from the crop's mean instead of the blurred crop."""
    flat = inputs.copy()
    flat[:, 0] = inputs[:, 0].mean(axis=(1, 2), keepdims=True)
    return evidence.integrated_gradients(classifier, flat, inputs, groups)


METHODS: dict[str, Method] = {
    "blob over the mask": blob,
    "Grad-CAM, last layer": grad_cam,
    "integrated gradients from the blur": evidence.evidence_density,
    "integrated gradients from the mean": from_mean,
}


def inputs_of_split(grader: DiscGrader, datasets: list[LabelledDataset], split: str) -> NDArray[np.float32]:
    """Return what the grading network sees of all discs of a split."""
    inputs = []
    for case in (case for dataset in datasets for case in dataset.cases_in(split)):
        try:
            result = grader.grade(case.volume())
        except NoDiscsError:
            continue
        spacing = result.volume.spacing_mm[1:]
        regions = [region_of_mask(result.label_slice == disc.label_value, spacing) for disc in result.discs]
        inputs.append(evidence.inputs_of(result, regions, spacing, grader.classifier.channels))
    order = np.random.default_rng(0).permutation(sum(map(len, inputs)))
    return np.concatenate(inputs)[order]


def without(inputs: NDArray[np.float32], maps: NDArray[np.float32], strongest: bool, blur: bool) -> NDArray[np.float32]:
    """Return inputs whose tenth of strongest or weakest evidence is taken out of the image."""
    left = inputs.copy()
    noise = np.random.default_rng(0).random(maps.shape[1:]) * 1e-9  # places of equal evidence in random order
    for crop, values in zip(left, maps, strict=True):
        order = np.argsort((np.clip(values, 0, None) + noise).ravel())
        count = round(AREA * order.size)
        chosen = order[-count:] if strongest else order[:count]
        filled = evidence.smoothed_crop(crop[0], evidence.BLUR_MM) if blur else np.full_like(crop[0], crop[0].mean())
        crop[0].ravel()[chosen] = filled.ravel()[chosen]
    return left


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[float]:
    """Return the correlation of the maps of each disc."""
    return [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(first, second, strict=True)]


def random_weights(classifier: Classifier, device: torch.device) -> Classifier:
    """Return the classifier with every convolution and linear layer drawn anew."""
    torch.manual_seed(0)
    other = Classifier(classifier.model, device)
    for module in other.network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.reset_parameters()
    return other


def measured(method: Method, grader: DiscGrader, inputs: NDArray[np.float32]) -> dict[str, NDArray]:
    """Return what a method is measured by, for each disc."""
    classifier, found = grader.classifier, {}
    other = random_weights(classifier, grader.device)
    for first in range(0, len(inputs), BATCH):
        batch = inputs[first : first + BATCH]
        before = np.array([group_probabilities(p) for p in classifier.grade_probabilities(batch)])
        ranked = np.argsort(-before, axis=1)
        own, second = ([GROUPS[n] for n in ranked[:, place]] for place in (0, 1))
        maps, maps_second = method(classifier, batch, own), method(classifier, batch, second)
        row = {"other group": likeness(maps, maps_second)}
        if first < RANDOM_DISCS:
            row["random"] = likeness(maps, method(other, batch, own))
        for name, shown, strongest, blur in (
            ("strongest, mean", maps, True, False),
            ("weakest, mean", maps, False, False),
            ("second, mean", maps_second, True, False),
            ("strongest, blur", maps, True, True),
            ("weakest, blur", maps, False, True),
        ):
            after = classifier.grade_probabilities(without(batch, shown, strongest, blur))
            rest = np.array([group_probabilities(p) for p in after])
            row[name] = [b[r[0]] - a[r[0]] for b, a, r in zip(before, rest, ranked, strict=True)]
        for name, values in row.items():
            found.setdefault(name, []).extend(values)
    return {name: np.array(values) for name, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--split", choices=("train", "tune"), default="tune")
    parser.add_argument("--method", choices=tuple(METHODS), action="append", help="only this one; may be repeated")
    arguments = parser.parse_args()
    grader = DiscGrader("cpu")
    inputs = inputs_of_split(grader, [LabelledDataset.open(folder) for folder in arguments.data], arguments.split)
    print(f"{len(inputs)} discs; falls of the group's probability, mean")
    for name, method in ((name, METHODS[name]) for name in arguments.method or METHODS):
        found = measured(method, grader, inputs)
        print(name, flush=True)
        for kind in ("mean", "blur"):
            strongest, weakest = found[f"strongest, {kind}"], found[f"weakest, {kind}"]
            print(
                f"  replaced by the {kind}: strongest {strongest.mean():+.3f}, weakest {weakest.mean():+.3f}, "
                f"strongest costs more in {np.mean(strongest > weakest):.3f}"
            )
        print(f"  strongest of the second group, replaced by the mean: {found['second, mean'].mean():+.3f}")
        print(f"  correlation with the second group {found['other group'].mean():+.2f}, ", end="")
        print(f"with random weights {found['random'].mean():+.2f} ({np.abs(found['random']).mean():.2f} absolute)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
