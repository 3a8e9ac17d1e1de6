"""The protocol of a study: who reads what, how often, and how disagreements are settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from ..pfirrmann import DISC_LABELS, LUMBAR_LEVELS
from .errors import StudyError


class Task(str, Enum):
    """What is read; its value is the word shown to users."""

    MASKS = "masks"
    GRADES = "grades"


class Role(str, Enum):
    """What a reader does in a study; its value is the word shown to users."""

    ANNOTATOR = "annotator"
    PEER_REVIEWER = "peer reviewer"
    GRADER = "grader"
    ADJUDICATOR = "adjudicator"


READING_ROLE = {Task.MASKS: Role.ANNOTATOR, Task.GRADES: Role.GRADER}
"""The role that reads a task."""


class AdjudicationRule(str, Enum):
    """Who settles a disagreement."""

    ADJUDICATOR = "adjudicator"
    LEAVE_OUT = "leave out"


@dataclass(frozen=True)
class Reader:
    """A reader under a pseudonym.

    Attributes
    ----------
    id : str
        Lower-case letters, digits, ``_`` and ``-``; also the name of the reader's folder.
    """

    id: str
    roles: tuple[Role, ...]
    years_of_experience: float = 0.0


@dataclass(frozen=True)
class Protocol:
    """The rules of a study.

    Attributes
    ----------
    levels : tuple of str
        Disc levels that are read, head to feet.
    double_masks, double_grades : bool
        Whether two readers read each case.
    peer_review : bool
        Whether masks are reviewed before they count.
    repeat_share : float
        Share of the cases, 0-1, that a reader gets a second time.
    order_seed : int
        Decides who reads what in which order.
    dice_limit : float
        Two masks of a disc disagree below this Dice.
    model_prefill, active_learning, graders_see_masks : bool
        What the protocol allows.
    """

    name: str
    readers: tuple[Reader, ...]
    tasks: tuple[Task, ...] = (Task.MASKS, Task.GRADES)
    levels: tuple[str, ...] = LUMBAR_LEVELS
    double_masks: bool = False
    double_grades: bool = True
    peer_review: bool = True
    repeat_share: float = 0.0
    order_seed: int = 0
    adjudication: AdjudicationRule = AdjudicationRule.ADJUDICATOR
    dice_limit: float = 0.8
    model_prefill: bool = False
    active_learning: bool = False
    graders_see_masks: bool = False
    _by_id: Mapping[str, Reader] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check what a schema cannot: that each reader occurs once and each role that is needed is filled."""
        object.__setattr__(self, "_by_id", {reader.id: reader for reader in self.readers})
        if len(self._by_id) < len(self.readers):
            raise StudyError("The protocol names a reader twice; give each reader once, with all roles.")
        for task in self.tasks:
            needed, found = self.readings_of(task), len(self.with_role(READING_ROLE[task]))
            if found < needed:
                raise StudyError(
                    f"The protocol needs {needed} {READING_ROLE[task].value}{'s' * (needed > 1)} to read {task.value}, "
                    f"found {found}; add a reader with that role."
                )
        if self.peer_review and Task.MASKS in self.tasks and not self.with_role(Role.PEER_REVIEWER):
            raise StudyError("The protocol asks for peer review but names no peer reviewer; add one or switch it off.")

    def readings_of(self, task: Task) -> int:
        """Return how many readers read each case."""
        return 2 if (self.double_masks if task is Task.MASKS else self.double_grades) else 1

    def with_role(self, role: Role) -> tuple[Reader, ...]:
        """Return the readers that have a role."""
        return tuple(reader for reader in self.readers if role in reader.roles)

    def reader(self, reader_id: str) -> Reader:
        """Return a reader.

        Raises
        ------
        StudyError
            If the study has no such reader.
        """
        if reader_id not in self._by_id:
            raise StudyError(f"The study has no reader {reader_id!r}; choose one of {', '.join(sorted(self._by_id))}.")
        return self._by_id[reader_id]

    def to_json(self) -> dict[str, Any]:
        """Return the entries of ``study.json``."""
        content = {key: value for key, value in asdict(self).items() if key != "_by_id"}
        content["double_reading"] = {"masks": content.pop("double_masks"), "grades": content.pop("double_grades")}
        content["adjudication"] = {"rule": self.adjudication.value, "dice_limit": content.pop("dice_limit")}
        content["tasks"] = [task.value for task in self.tasks]
        content["levels"] = list(self.levels)
        content["readers"] = [
            {"id": r.id, "roles": [role.value for role in r.roles], "years_of_experience": r.years_of_experience}
            for r in self.readers
        ]
        return content

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Protocol:
        """Make a protocol from a checked ``study.json``.

        Raises
        ------
        StudyError
            If its readers do not fit its rules.
        """
        order = list(DISC_LABELS)
        return cls(
            name=document["name"],
            readers=tuple(
                Reader(entry["id"], tuple(Role(role) for role in entry["roles"]), float(entry["years_of_experience"]))
                for entry in document["readers"]
            ),
            tasks=tuple(task for task in Task if task.value in document["tasks"]),
            levels=tuple(sorted(document["levels"], key=order.index)),
            double_masks=document["double_reading"]["masks"],
            double_grades=document["double_reading"]["grades"],
            peer_review=document["peer_review"],
            repeat_share=float(document["repeat_share"]),
            order_seed=int(document["order_seed"]),
            adjudication=AdjudicationRule(document["adjudication"]["rule"]),
            dice_limit=float(document["adjudication"]["dice_limit"]),
            model_prefill=document["model_prefill"],
            active_learning=document["active_learning"],
            graders_see_masks=document["graders_see_masks"],
        )
