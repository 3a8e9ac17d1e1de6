"""`Selection`: how the cases of a study were chosen from a cohort that models had graded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from ..storage.documents import read_document, write_document

SELECTION_NAME = "selection.json"
MOST_CASES = 20_000


class Rule(str, Enum):
    """How cases were chosen; its value is the word on the command line and in the file."""

    ALL = "all"
    RANDOM = "random"
    GRADE = "grade"
    DOUBT = "doubt"


_PATIENTS_ARE = {
    Rule.ALL: "cohort",
    Rule.RANDOM: "randomly chosen",
    Rule.GRADE: "grade-balanced",
    Rule.DOUBT: "doubt-chosen",
}
_IN_WORDS = {
    Rule.ALL: "all of them",
    Rule.RANDOM: "drawn at random",
    Rule.GRADE: "balanced over the grades that the model gave",
    Rule.DOUBT: "those that the model was least sure of",
}


@dataclass(frozen=True)
class Selection:
    """How cases were chosen from a cohort; ``selection.json`` of a study.

    Attributes
    ----------
    rule : Rule
    seed : int
        Of what was drawn.
    graded : int
        Scans that the cohort had.
    left_out : int
        Scans that were chosen but could not be used.
    prefilled : bool
        Whether the annotators start from the model's masks.
    models : tuple of dict
        ``task``, ``name`` and ``sha256`` of those that graded the cohort.
    inputs : mapping of str to str
        Hash of the input that was graded, by case.
    """

    rule: Rule
    seed: int
    graded: int
    left_out: int
    prefilled: bool
    models: tuple[Mapping[str, str], ...]
    inputs: Mapping[str, str]

    @property
    def is_representative(self) -> bool:
        """Whether figures of these cases estimate those of the cohort."""
        return self.rule in (Rule.ALL, Rule.RANDOM)

    @property
    def patients_are(self) -> str:
        """What the patients are called beside a figure."""
        return _PATIENTS_ARE[self.rule]

    def sentences(self) -> tuple[str, ...]:
        """Return what whoever reads figures of the study must know."""
        seed = "" if self.rule is Rule.ALL else f" (seed {self.seed})"
        out = f"; {self.left_out} could not be used" if self.left_out else ""
        of = f"{len(self.inputs)} cases of a cohort of {self.graded} graded scans"
        said = [f"{of}: {_IN_WORDS[self.rule]}{seed}{out}."]
        if not self.is_representative:
            said.append("Agreement and accuracy in such cases do not estimate those of the whole cohort.")
        if self.prefilled:
            said.append("Masks began as the model's, so they agree more with it, and with each other, than drawn ones.")
        return tuple(said)

    def of_cases(self, cases: Collection[str]) -> Selection:
        """Return it without the inputs of other cases."""
        return replace(self, inputs={case: sha256 for case, sha256 in self.inputs.items() if case in cases})

    def write(self, folder: Path) -> None:
        """Write it into the folder of a study or of an export's readings."""
        content: dict[str, Any] = {**vars(self), "rule": self.rule.value, "models": list(map(dict, self.models))}
        inputs = sorted(content.pop("inputs").items())
        content["cases"] = [{"case": case, "input_sha256": sha256} for case, sha256 in inputs]
        write_document(folder / SELECTION_NAME, "selection", content)


def selection_of(folder: Path) -> Selection | None:
    """Read how the cases of a study were chosen; None where they were not chosen from a cohort.

    Raises
    ------
    StudyError
        If the file is damaged.
    """
    try:
        document = read_document(folder / SELECTION_NAME, "selection")
    except FileNotFoundError:
        return None
    facts = {key: document[key] for key in ("seed", "graded", "left_out", "prefilled")}
    inputs = {entry["case"]: entry["input_sha256"] for entry in document["cases"]}
    return Selection(rule=Rule(document["rule"]), models=tuple(document["models"]), inputs=inputs, **facts)
