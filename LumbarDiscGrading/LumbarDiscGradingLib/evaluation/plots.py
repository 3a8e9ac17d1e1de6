"""The report's plots: ROC curves as in the study's Fig. 3, reliability, Dice by level; for light and dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from scipy.stats import binom
from sklearn.metrics import roc_curve

from ..measures.classification import CALIBRATION_BINS, calibration_bins, pairwise_score
from ..pfirrmann import GROUPS, Group
from .measures import LUMBAR, auc_name, graded_scores
from .scores import DiscScore

INK, ACCENT = "#1b1e21", "#0072b2"
"""Replaced by the page's own where a plot stands in a page, so that they are seen on dark pages too."""
PAIR_STYLES = ((ACCENT, "-"), ("#cc79a7", "--"), (INK, "-."))
"""Colour and dashes of the pairs of groups; none has the colour of a group (palette of Okabe and Ito)."""
PANEL_INCHES = 3.5
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.hashsalt": "lumbar-disc-grading",
}

Sources = Mapping[str, Sequence[DiscScore]]


@rc_context(_STYLE)
def roc_plot(sources: Sources, auc: Mapping[tuple[str, str], float]) -> Plot | None:
    """Return the ROC curves of each pair of groups, a panel for each source; None where nothing can be drawn.

    Parameters
    ----------
    sources : mapping
        Scores by the name of their source.
    auc : mapping
        Value by source and name (`measures.auc_name`), for the legend.
    """
    usable = {name: graded_scores(scores) for name, scores in sources.items()}
    usable = {name: scores for name, scores in usable.items() if len({_group(score) for score in scores}) > 1}
    if not usable:
        return None
    plot, panels = _panels(len(usable))
    for axes, (name, scores) in zip(panels, usable.items(), strict=True):
        reference = np.array([_group(score) for score in scores])
        probabilities = np.array([score.group_probabilities for score in scores])
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.4)
        for pair, (color, dashes) in zip(combinations(range(len(GROUPS)), 2), PAIR_STYLES, strict=True):
            chosen = np.isin(reference, pair)
            if len(set(reference[chosen])) < 2:
                continue
            score = pairwise_score(probabilities[chosen], *pair)
            off, hit, _ = roc_curve(reference[chosen] == pair[1], score, drop_intermediate=False)
            label = f"{auc_name(*pair).removeprefix('AUC ')}: {auc.get((name, auc_name(*pair)), np.nan):.2f}"
            axes.plot(off, hit, dashes, color=color, linewidth=2, label=label)
        axes.set(xlabel="1 − specificity", ylabel="Sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
        axes.set_title(f"{name} ({len(scores)} discs)", fontsize=10.5)
        axes.legend(loc="lower right", title="AUC", alignment="left")
    return plot


@rc_context(_STYLE)
def reliability_plot(sources: Sources) -> Plot | None:
    """Return how often the most probable group was right against its probability, a panel for each source.

    A bar shows where 95 % of a bin's shares lie if its probability is right (binomial).
    """
    usable = {name: chosen for name, scores in sources.items() if (chosen := graded_scores(scores))}
    if not usable:
        return None
    plot, panels = _panels(len(usable))
    for axes, (name, scores) in zip(panels, usable.items(), strict=True):
        top = np.array([max(score.group_probabilities) for score in scores])
        right = np.array([score.group_pair is not None and len(set(score.group_pair)) == 1 for score in scores])
        bins = calibration_bins(top)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.4)
        for index in range(CALIBRATION_BINS):
            chosen = bins == index
            if chosen.any():
                place = (top[chosen].mean(), right[chosen].mean())
                ends = binom.ppf((0.025, 0.975), chosen.sum(), place[0]) / chosen.sum()
                axes.plot([place[0]] * 2, ends, color=INK, linewidth=3, alpha=0.25, solid_capstyle="butt")
                axes.scatter(*place, s=18 + 260 * chosen.mean(), color=ACCENT, alpha=0.85, zorder=3)
                axes.annotate(str(chosen.sum()), place, xytext=(9, -9), textcoords="offset points", fontsize=8)
        axes.set(xlabel="Probability of the most probable group", ylabel="Share right")
        axes.set(xlim=(0.3, 1.03), ylim=(-0.04, 1.05))
        axes.set_title(f"{name} ({len(scores)} discs)", fontsize=10.5)
    return plot


@rc_context(_STYLE)
def dice_plot(sources: Sources) -> Plot | None:
    """Return the Dice of each disc by its level, coloured and shaped by its reference group."""
    scores = [score for own in sources.values() for score in own if score.dice is not None and score.level in LUMBAR]
    levels = [level for level in LUMBAR if any(score.level == level for score in scores)]
    if not levels:
        return None
    plot = Plot(figsize=(1.9 + 1.05 * len(levels), PANEL_INCHES), layout="constrained")
    axes = plot.add_subplot()
    marks: tuple[tuple[Group | None, str], ...] = (*zip(GROUPS, "o^s", strict=True), (None, "x"))
    for place, level in enumerate(levels):
        own = [score for score in scores if score.level == level]
        values = sorted(float(score.dice or 0.0) for score in own)
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        axes.plot([place - 0.3, place + 0.3], [middle, middle], color=INK, linewidth=2)
        axes.plot([place - 0.36, place - 0.36], [low, high], color=INK, linewidth=1.2)
        across = np.linspace(-0.22, 0.22, len(own)) if len(own) > 1 else np.zeros(1)
        shuffled = np.random.default_rng(place).permutation(across)
        for group, mark in marks:
            chosen = [n for n, score in enumerate(own) if _named_group(score) is group]
            color = INK if group is None else tuple(part / 255 for part in group.color)
            dice = [own[n].dice for n in chosen]
            axes.scatter(place + shuffled[chosen], dice, s=26, marker=mark, color=color, linewidths=1.2, zorder=3)
    there = {_named_group(score) for score in scores}
    for group, mark in marks:
        if group in there:
            color = INK if group is None else tuple(part / 255 for part in group.color)
            axes.scatter([], [], s=26, marker=mark, color=color, label=group.value if group else "not graded")
    axes.set_xticks(range(len(levels)), levels)
    axes.set(ylabel="Dice", ylim=(min(0.6, min(float(s.dice or 0.0) for s in scores) - 0.02), 1.0))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="Reference")
    return plot


@rc_context(_STYLE)
def inline_svg(plot: Plot, prefix: str, label: str) -> str:
    """Return a plot as SVG to stand in a page, its ink in the page's text colour.

    Parameters
    ----------
    plot : matplotlib.figure.Figure
    prefix : str
        Makes the identifiers of this plot different from those of others in the page.
    label : str
        What the plot shows, for readers who cannot see it.
    """
    stream = io.StringIO()
    plot.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(?<=[\s"])id="', f'id="{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    text = text.replace(INK, "currentColor").replace(ACCENT, "var(--accent)")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


@rc_context(_STYLE)
def save_png(plot: Plot, path: str) -> None:
    """Write a plot as a picture on white paper."""
    plot.savefig(path, dpi=200, facecolor="white")


def _panels(count: int) -> tuple[Plot, list[Axes]]:
    plot = Plot(figsize=(PANEL_INCHES * count, PANEL_INCHES * 1.04), layout="constrained")
    return plot, [plot.add_subplot(1, count, n + 1) for n in range(count)]


def _group(score: DiscScore) -> int:
    return -1 if score.group_pair is None else score.group_pair[0]


def _named_group(score: DiscScore) -> Group | None:
    return next((group for group in GROUPS if score.grade in group.grades), None)
