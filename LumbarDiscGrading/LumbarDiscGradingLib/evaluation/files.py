"""An evaluation on disk: JSON, CSV, pictures and the report, written together, and read again."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..dataset.labelled import person_count
from .failures import Failure, failures_of
from .measures import PAPER_FIGURES, PAPER_QUARTILES, PAPER_TABLE_2
from .metrics import Figure, confusion, figures_of, metrics_of, sources_of
from .scores import DiscScore, EvaluationError, read_scores, write_scores

DISCS_NAME = "discs.csv"
METRICS_NAME = "metrics.json"
FIGURES_NAME = "figures.csv"
FAILURES_NAME = "failures.csv"
REPORT_NAME = "report.html"
PICTURES_FOLDER = "pictures"
CONTACT_SHEETS_FOLDER = "contact_sheets"
STORED_ROWS = "stored rows"
"""Split of an evaluation that was put together from earlier ones."""


@dataclass(frozen=True)
class Evaluation:
    """What two models reached on patients, with all its figures.

    Attributes
    ----------
    scores : tuple of DiscScore
    figures : tuple of Figure
    failures : tuple of Failure
        Worst first.
    metrics : tuple of dict
        Headline figures of each data set, as a model's manifest takes them.
    models : tuple of dict
        ``name``, ``version``, ``task``, ``sha256``.
    data : tuple of dict
        ``name``, ``licence``, ``attribution``, ``patients`` of each data set.
    split : str
        Patients of which split.
    degradation : str
        What was done to the volumes first; empty for nothing.
    problems : tuple of str
        Patients in whom no disc was found, and why.
    """

    scores: tuple[DiscScore, ...]
    figures: tuple[Figure, ...]
    failures: tuple[Failure, ...]
    metrics: tuple[dict[str, Any], ...]
    models: tuple[Mapping[str, Any], ...] = ()
    data: tuple[Mapping[str, Any], ...] = ()
    split: str = ""
    degradation: str = ""
    problems: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        scores: Sequence[DiscScore],
        *,
        split: str,
        models: Sequence[Mapping[str, Any]] = (),
        data: Sequence[Mapping[str, Any]] = (),
        degradation: str = "",
        problems: Sequence[str] = (),
    ) -> Evaluation:
        """Work out all figures.

        Raises
        ------
        EvaluationError
            If there are no discs.
        """
        if not scores:
            raise EvaluationError(
                f"No patient of the split '{split}' has a reference grade or mask to compare with; choose another one."
            )
        figures, metrics = figures_of(scores), []
        for source in sorted({score.source for score in scores}):
            count = person_count(score for score in scores if score.source == source)
            label = f"{source}, {count} {split} patients" + (f", {degradation}" if degradation else "")
            metrics += metrics_of([figure for figure in figures if figure.source == source], label)
        return cls(
            tuple(scores),
            tuple(figures),
            tuple(failures_of(scores)),
            tuple(metrics),
            tuple(models),
            tuple(data),
            split,
            degradation,
            tuple(problems),
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything but the rows of the discs as JSON-ready data."""
        tables = {
            source: {
                "groups": confusion(scores).tolist(),
                "grades": confusion(scores, of_grades=True).tolist(),
            }
            for source, scores in sources_of(self.scores).items()
        }
        return {
            "models": [dict(model) for model in self.models],
            "data": [dict(entry) for entry in self.data],
            "split": self.split,
            "degradation": self.degradation,
            "metrics": list(self.metrics),
            "figures": [figure.row() for figure in self.figures],
            "confusion": tables,
            "failures": [failure.row() for failure in self.failures],
            "problems": list(self.problems),
            "study": {**PAPER_FIGURES, "quartiles": PAPER_QUARTILES, "table 2": PAPER_TABLE_2},
        }


def write_tables(evaluation: Evaluation, folder: Path) -> None:
    """Write discs, figures and failures as CSV and everything as JSON.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_scores(evaluation.scores, folder / DISCS_NAME)
    _write_rows([figure.row() for figure in evaluation.figures], folder / FIGURES_NAME)
    _write_rows([failure.row() for failure in evaluation.failures], folder / FAILURES_NAME)
    text = json.dumps(evaluation.as_json(), indent=1, allow_nan=False)
    (folder / METRICS_NAME).write_text(text + "\n", encoding="utf-8")


def read_stored(paths: Sequence[Path]) -> tuple[list[DiscScore], list[Mapping[str, Any]]]:
    """Read the rows of one or several evaluations, and the models that stand beside them.

    Raises
    ------
    EvaluationError
        If a table cannot be read, or a patient is in two of them.
    """
    scores: list[DiscScore] = []
    models: dict[str, Mapping[str, Any]] = {}
    seen: dict[tuple[str, str], Path] = {}
    for path in paths:
        own = read_scores(path)
        for source, patient in sorted({(score.source, score.patient) for score in own}):
            if (source, patient) in seen:
                raise EvaluationError(
                    f"Patient {patient} of {source} is in {seen[source, patient]} and {path}; give each patient once."
                )
            seen[source, patient] = path
        scores += own
        models |= {str(model.get("sha256")): model for model in stored_models(path.parent)}
    return scores, list(models.values())


def stored_models(folder: Path) -> list[Mapping[str, Any]]:
    """Return the models that an evaluation's folder names; none where it names none."""
    try:
        models = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))["models"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []


def _write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["none"])
        writer.writeheader()
        writer.writerows(rows)
