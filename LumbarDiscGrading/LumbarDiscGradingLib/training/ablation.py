"""What each choice of a recipe is worth: the recipe with one choice undone, against it, on the same patients."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evaluation.comparison import Difference, compare_scores
from ..evaluation.files import DISCS_NAME
from ..evaluation.measures import ALL_DISCS
from ..evaluation.scores import DiscScore, read_scores, write_scores
from .errors import TrainingError
from .recipes import Recipe, changed_recipe, recipe_settings
from .run_record import RECIPE, require_same, write_record

GRADING_ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "crop times mask, as in the study": ("mask_use=multiplied",),
    "mask as second channel": ("mask_use=channel",),
    "no mask": ("mask_use=none",),
    "three groups instead of five grades": ("ordinal=false",),
    "no first round": ("first_round_folds=0",),
    "no softened targets": ("label_smoothing=0",),
    "no attention": ("attention=false",),
    "shallower (4 convolutions)": ("widths=16,32,64,128",),
    "deeper (6 convolutions)": ("widths=16,32,64,128,256,256",),
    "half as wide": ("widths=8,16,32,64,128",),
    "twice as wide": ("widths=32,64,128,256,512",),
    "the study's augmentation": ("augment=paper",),
    "sources and grades as frequent as they are": ("balance_sources=false",),
    "the study's network and targets": (
        "mask_use=multiplied",
        "ordinal=false",
        "label_smoothing=0",
        "balance_sources=false",
        "augment=paper",
        "widths=64,128,256,512,512",
    ),
}
"""Choices of the grading recipe undone, and a shallower, a deeper, a narrower and a wider network."""

SEGMENTATION_ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "no physics-minded augmentation": ("gentle_share=1",),
    "no gentle patches": ("gentle_share=0",),
    "no self-training on TSE": ("self_training_epoch=none",),
    "last weights instead of their average": ("average_decay=none",),
    "no fitted contour": ("fit_contour=false",),
    "discs alone, as in the study": ("tissues=false",),
    "half as wide": ("base_width=8",),
}
"""Choices of the segmentation recipe undone, and a narrower network."""

ARCHITECTURE = ("tissues", "base_width")
"""Settings of the segmentation recipe that no training which goes on from a model can change."""

FIGURES = (
    "median disc Dice",
    "mean disc Dice",
    "lumbar discs found and rightly named",
    "graded discs found",
    "quadratic kappa of the groups",
    "balanced accuracy of the groups",
)
"""Those of them that a recipe's task has are in the table."""
TABLE_NAME = "ablation.csv"
UNCHANGED = "recipe"
RECORD_NAME = "measured.json"
"""What the figures beside it were measured with."""


def ablate(
    recipe: Recipe,
    measure: Callable[[Recipe, Path], Sequence[DiscScore]],
    ablations: Mapping[str, Sequence[str]],
    folder: Path,
    asked: Mapping[str, Any],
) -> list[tuple[str, Difference]]:
    """Measure a recipe and its ablations, and compare each with the recipe.

    What was measured lies in a folder for each, which `evaluate --predictions` and `compare` read; what is there
    already is not measured again. The table is written anew after each ablation.

    Parameters
    ----------
    recipe : SegmentationRecipe or GradingRecipe
    measure : callable
        From a recipe and a folder for the run to scores.
    ablations : mapping of str to sequence of str
        Changes, as `recipes.changed_recipe` takes them, by what they are called; what changes nothing is left out.
    folder : Path
    asked : mapping
        What decides the figures besides the recipe, JSON-ready: seed, patients, models.

    Returns
    -------
    list of tuple
        What was changed, and a figure of a data set with and without the change.

    Raises
    ------
    TrainingError
        If what is there already was measured with something else, or does not say with what.
    """
    unchanged = _scores(measure, recipe, folder / UNCHANGED, asked)
    rows: list[tuple[str, Difference]] = []
    for name, changes in ablations.items():
        changed_to = changed_recipe(recipe, changes)
        if changed_to == recipe:
            continue
        changed = _scores(measure, changed_to, folder / " ".join(changes).replace("=", "-"), asked)
        for difference in compare_scores(unchanged, changed).differences:
            one_source = difference.source in {score.source for score in unchanged}
            if one_source and difference.part == ALL_DISCS and difference.name in FIGURES:
                rows.append((name, difference))
        write_table(rows, folder / TABLE_NAME)
    return rows


def of_one_architecture(ablations: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Leave out the ablations that change a network's architecture.

    >>> sorted(of_one_architecture({"narrow": ("base_width=8",), "only gentle": ("gentle_share=1",)}))
    ['only gentle']
    """
    return {name: changes for name, changes in ablations.items() if _settings(changes).isdisjoint(ARCHITECTURE)}


def of_settings(ablations: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, Sequence[str]]:
    """Choose the ablations that change one of some settings of the recipe.

    Raises
    ------
    TrainingError
        If a setting is changed by none of them.

    Examples
    --------
    >>> of_settings({"narrow": ("base_width=8",), "only gentle": ("gentle_share=1",)}, ["base_width"])
    {'narrow': ('base_width=8',)}
    """
    known = sorted(set().union(*map(_settings, ablations.values())))
    if unknown := next((name for name in names if name not in known), None):
        raise TrainingError(f"No ablation changes {unknown!r}; those that are changed are {', '.join(known)}.")
    return {name: changes for name, changes in ablations.items() if not _settings(changes).isdisjoint(names)}


def _settings(changes: Sequence[str]) -> set[str]:
    return {change.partition("=")[0] for change in changes}


def write_table(rows: Sequence[tuple[str, Difference]], path: Path) -> None:
    """Write an ablation's table: ``old`` is the recipe, ``new`` the recipe with the change."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = [{"change": name, **difference.row()} for name, difference in rows]
        writer = csv.DictWriter(stream, list(table[0]) if table else ["change"])
        writer.writeheader()
        writer.writerows(table)


def ablation_text(rows: Sequence[tuple[str, Difference]]) -> str:
    """Return an ablation's table as Markdown, figures of one data set in one row."""
    columns = list(dict.fromkeys((row.source, row.name) for _, row in rows))
    lines = [
        "| changed | " + " | ".join(f"{source}: {name}" for source, name in columns) + " |",
        "| --- |" + " --- |" * len(columns),
        "| nothing | " + " | ".join(f"{_first(rows, column).old:.3f}" for column in columns) + " |",
    ]
    for changed in dict.fromkeys(name for name, _ in rows):
        own = {(row.source, row.name): row for name, row in rows if name == changed}
        lines.append(f"| {changed} | " + " | ".join(_cell(own.get(column)) for column in columns) + " |")
    return "\n".join(lines)


def _cell(row: Difference | None) -> str:
    return "" if row is None else f"{row.new:.3f} ({row.difference:+.3f}, {row.low:+.3f} to {row.high:+.3f})"


def _first(rows: Sequence[tuple[str, Difference]], column: tuple[str, str]) -> Difference:
    return next(row for _, row in rows if (row.source, row.name) == column)


def _scores(
    measure: Callable[[Recipe, Path], Sequence[DiscScore]], recipe: Recipe, folder: Path, asked: Mapping[str, Any]
) -> Sequence[DiscScore]:
    table = folder / DISCS_NAME
    record, path = {RECIPE: recipe_settings(recipe), **asked}, folder / RECORD_NAME
    if table.exists() or any(folder.rglob("*.ckpt")):
        require_same(record, path, "choose another --output")
    else:
        write_record(record, path)
    if not table.exists():
        write_scores(measure(recipe, folder), table)
    return read_scores(table)
