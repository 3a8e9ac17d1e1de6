"""The gate between two models: what is better, what is worse, and what the patients do not show, figure by figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from ..dataset.labelled import person_count, person_of
from ..measures.bootstrap import interval
from .measures import ALL_DISCS, LOWER_IS_BETTER, chosen_scores, measured_parts
from .metrics import ALL_SOURCES, Drawn, json_ready, sources_of
from .scores import DiscScore, EvaluationError

GATE_FIGURES = (
    "median disc Dice",
    "lumbar discs found and rightly named",
    "graded discs found",
    "quadratic kappa of the groups",
    "balanced accuracy of the groups",
    "expected calibration error of the groups",
)
"""These decide, over all patients together; the others tell where a difference comes from."""
ZERO = 1e-9


class Verdict(str, Enum):
    """What a comparison shows."""

    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "not shown to differ"


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same patients.

    Attributes
    ----------
    source, part, name : str
        As in `metrics.Figure`.
    old, new : float
        NaN where it is not defined.
    difference, low, high : float
        New minus old, with its 95 % paired bootstrap interval by patient; NaN where it is not defined.
    patients : int
        Patients with discs that count for either model.
    verdict : Verdict
    """

    source: str
    part: str
    name: str
    old: float
    new: float
    difference: float
    low: float
    high: float
    patients: int
    verdict: Verdict

    def row(self) -> dict[str, Any]:
        """Return the difference as JSON-ready data; what is not defined is None."""
        row = {field: json_ready(value) for field, value in asdict(self).items()}
        return {**row, "verdict": self.verdict.value}


@dataclass(frozen=True)
class Comparison:
    """Two models on the same patients.

    Attributes
    ----------
    differences : tuple of Difference
        Of every source and part.
    patients : int
        That both were measured on.
    left_out : int
        Patients with a case that only one was measured on.
    """

    differences: tuple[Difference, ...]
    patients: int
    left_out: int

    @property
    def gate(self) -> tuple[Difference, ...]:
        """The differences that decide."""
        widest = ALL_SOURCES if any(d.source == ALL_SOURCES for d in self.differences) else None
        return tuple(
            d
            for d in self.differences
            if d.part == ALL_DISCS and d.name in GATE_FIGURES and (widest is None or d.source == widest)
        )

    @property
    def verdict(self) -> Verdict:
        """Worse if a figure that decides is worse; else better if one is better."""
        verdicts = {difference.verdict for difference in self.gate}
        return next((v for v in (Verdict.WORSE, Verdict.BETTER) if v in verdicts), Verdict.NOT_SHOWN)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON-ready data."""
        return {
            "verdict": self.verdict.value,
            "patients": self.patients,
            "left_out": self.left_out,
            "gate": [difference.row() for difference in self.gate],
            "differences": [difference.row() for difference in self.differences],
        }


def compare_scores(old: Sequence[DiscScore], new: Sequence[DiscScore]) -> Comparison:
    """Compare two models by their scores on the same patients.

    In each round of the bootstrap the same patients are drawn for both, so that what is hard about a patient
    cancels out.

    Raises
    ------
    EvaluationError
        If no patient is in both.
    """
    old, new = _with_known_subjects(old, new)
    old_cases, new_cases = ({(score.source, score.patient) for score in scores} for scores in (old, new))
    both = old_cases & new_cases
    if not both:
        raise EvaluationError("No patient was measured with both models; give evaluations of the same data and split.")
    left_out = {person_of(score) for score in (*old, *new) if (score.source, score.patient) not in both}
    old, new = ([score for score in scores if (score.source, score.patient) in both] for scores in (old, new))
    new_sources = sources_of(new)
    differences = []
    for source, own in sources_of(old).items():
        differences += _differences(source, own, new_sources[source])
    return Comparison(tuple(differences), person_count(old), len(left_out))


def _with_known_subjects(old: Sequence[DiscScore], new: Sequence[DiscScore]) -> tuple[list[DiscScore], list[DiscScore]]:
    """Give both the subjects that either has: tables of earlier versions have none."""
    known = {(s.source, s.patient): s.subject for s in (*old, *new) if s.subject not in ("", s.patient)}
    first, second = (
        [replace(s, subject=known.get((s.source, s.patient), s.patient)) for s in scores] for scores in (old, new)
    )
    return first, second


def _differences(source: str, old: list[DiscScore], new: list[DiscScore]) -> list[Difference]:
    drawn = Drawn.of([person_of(score) for score in old])
    differences = []
    for part, measure, belongs in measured_parts([*old, *new]):
        values, rounds, patients = [], [], set()
        for scores in (old, new):
            chosen = chosen_scores(measure, scores, belongs)
            patients |= {person_of(score) for score in chosen}
            if not chosen:
                values.append(float("nan"))
                rounds.append(np.full(len(drawn.times), np.nan))
                continue
            statistic = measure.statistic(chosen)
            values.append(float(statistic(np.ones((1, len(chosen))))[0]))
            rounds.append(statistic(drawn.weights(chosen)))
        low, high = interval(rounds[1] - rounds[0])
        before, after = values
        verdict = _verdict(low, high, measure.name in LOWER_IS_BETTER)
        differences.append(
            Difference(source, part, measure.name, before, after, after - before, low, high, len(patients), verdict)
        )
    return differences


def _verdict(low: float, high: float, lower_is_better: bool) -> Verdict:
    if lower_is_better:
        low, high = -high, -low
    if low > ZERO:
        return Verdict.BETTER
    return Verdict.WORSE if high < -ZERO else Verdict.NOT_SHOWN


def comparison_text(comparison: Comparison, old_name: str, new_name: str) -> str:
    """Return a comparison as text: the verdict, the figures that decide, then what else differs."""
    width = max((len(difference.name) for difference in comparison.differences), default=0)
    count = f"{comparison.patients} patient{'' if comparison.patients == 1 else 's'}"
    lines = [
        f"{new_name} against {old_name}, {count}: {comparison.verdict.value}.",
        "New minus old with its 95 % interval (paired bootstrap by patient).",
    ]
    if comparison.left_out:
        lines.append(f"Patients that only one of them was measured on, left out: {comparison.left_out}.")
    lines += ["", *(_line(difference, width) for difference in comparison.gate)]
    shown = {id(difference) for difference in comparison.gate}
    others = [
        difference
        for difference in comparison.differences
        if id(difference) not in shown and difference.verdict is not Verdict.NOT_SHOWN
    ]
    lines += ["", "Where else they differ, each figure by itself:" if others else "Nowhere else shown to differ."]
    lines += [f"  {_where(difference)}: {_line(difference, 0)}" for difference in others]
    return "\n".join(lines) + "\n"


def _where(difference: Difference) -> str:
    return ", ".join(filter(None, (difference.source, difference.part)))


def _line(difference: Difference, width: int) -> str:
    d = difference
    change = f"{d.difference:+.3f} ({d.low:+.3f} to {d.high:+.3f})" if np.isfinite(d.low) else "no interval"
    return f"{d.name:{width}}  {d.old:.3f} -> {d.new:.3f}  {change}  {d.verdict.value}, {d.patients} patients"
