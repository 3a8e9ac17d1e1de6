"""`CaseRanking`: what trained models say of the cases, kept in the study so that ordering them needs no torch.

It is no reading, and readers are shown nothing of it but the order of their unread cases (`informativeness`).
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...pfirrmann import GROUPS, TASKS
from ..errors import StudyError
from ..log.events import now
from ..storage.documents import document_bytes, parse_document
from ..storage.durable_files import (
    make_folder,
    one_writer,
    read_limited,
    remove_stale_temporaries,
    require_inside,
    write_durable,
)
from ..study.study import Study

RANKING_FOLDER = "ranking"
LARGEST_RANKING_BYTES = 1 << 26
MOST_RANKINGS = 50

_FILE_NAME = re.compile(r"[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class RankingModel:
    """A trained model that ranked cases.

    Attributes
    ----------
    task : str
        ``segmentation`` or ``grading``.
    sha256 : str
        Of its manifest and weights.
    """

    task: str
    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class CaseScores:
    """What the models say of one case.

    Attributes
    ----------
    image_sha256 : str
        Of the image that they saw.
    groups : mapping of str to tuple of float
        Probabilities of mild, moderate and serious by level, of the discs that were found.
    mask_uncertainty : float
        0 to 1: uncertain over expected disc area; 1 where no disc was found.
    """

    image_sha256: str
    groups: Mapping[str, tuple[float, float, float]]
    mask_uncertainty: float

    def grade_uncertainty(self, levels: Sequence[str]) -> float:
        """Return the mean entropy of the groups over levels, 0 (sure) to 1; a disc not found counts 1."""
        found = [normalized_entropy(self.groups[level]) if level in self.groups else 1.0 for level in levels]
        return sum(found) / len(found)


@dataclass
class CaseRanking:
    """Scores of a study's cases by two models, as one file of the study holds them.

    Attributes
    ----------
    models : tuple of RankingModel
        Segmentation, grading.
    at : str
        UTC of the last change, empty before the first.
    """

    path: Path
    models: tuple[RankingModel, ...]
    cases: dict[str, CaseScores] = field(default_factory=dict)
    at: str = ""

    @classmethod
    def of_models(cls, study: Study, models: Sequence[RankingModel]) -> CaseRanking:
        """Return what two models have said of the cases so far; nothing where they have not been asked yet.

        Raises
        ------
        StudyError
            If they are not one model for each task, or the file is damaged.
        """
        by_task = {model.task: model for model in models}
        if len(models) != len(TASKS) or set(by_task) != set(TASKS):
            raise StudyError("Cases are ranked by one model for segmentation and one for grading.")
        ordered = tuple(by_task[task] for task in TASKS)
        path = _folder(study) / f"{_key(ordered)}.json"
        try:
            return cls.read(path)
        except FileNotFoundError:
            return cls(path, ordered)

    @classmethod
    def read(cls, path: Path) -> CaseRanking:
        """Read a ranking.

        Raises
        ------
        FileNotFoundError
            If there is none.
        StudyError
            If it is refused or damaged.
        """
        document = parse_document(read_limited(path, LARGEST_RANKING_BYTES), "ranking", str(path))
        by_task = {entry["task"]: RankingModel(**entry) for entry in document["models"]}
        names = [entry["case"] for entry in document["cases"]]
        models = tuple(by_task[task] for task in TASKS if task in by_task)
        if len(models) != len(TASKS) or path.name != f"{_key(models)}.json" or len(set(names)) < len(names):
            raise StudyError(f"{path} is not what ranked the cases; remove it and run 'study rank' again.")
        cases = {entry["case"]: _scores(entry, path) for entry in document["cases"]}
        return cls(path, models, cases, document["at"])

    def save(self) -> None:
        """Write the ranking; what another program has added in the meantime stays in it.

        Raises
        ------
        NotSavedError
            If it could not be saved.
        StudyError
            If what is there is damaged.
        """
        make_folder(self.path.parent)
        remove_stale_temporaries(self.path.parent)
        with one_writer(self.path.parent):
            with contextlib.suppress(FileNotFoundError):
                self.cases = {**CaseRanking.read(self.path).cases, **self.cases}
            self.at = now()
            write_durable(self.path, self._content())

    def _content(self) -> bytes:
        models = [{"task": m.task, "name": m.name, "version": m.version, "sha256": m.sha256} for m in self.models]
        entries = [
            {
                "case": case,
                "image_sha256": scores.image_sha256,
                "mask_uncertainty": round(scores.mask_uncertainty, 4),
                "discs": [
                    {"level": level, "groups": [round(p, 4) for p in groups]} for level, groups in scores.groups.items()
                ],
            }
            for case, scores in sorted(self.cases.items())
        ]
        return document_bytes("ranking", {"at": self.at, "models": models, "cases": entries})


def latest_ranking(study: Study) -> CaseRanking | None:
    """Return the ranking of a study that was added to last, None where no model has ranked it."""
    try:
        with os.scandir(_folder(study)) as entries:
            names = sorted(entry.name for entry in entries if _FILE_NAME.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StudyError(f"The rankings cannot be read ({error.strerror}); check the folder's permissions.") from None
    if len(names) > MOST_RANKINGS:
        raise StudyError(f"The study holds {len(names)} rankings; remove those of models that are not used any more.")
    found = [CaseRanking.read(_folder(study) / name) for name in names]
    return max(found, key=lambda ranking: (ranking.at, ranking.path.name), default=None)


def normalized_entropy(probabilities: Sequence[float]) -> float:
    """Return the entropy of the groups' probabilities over that of a blind guess, 0 to 1."""
    total = sum(probabilities)
    if total <= 0:
        return 1.0
    shares = [p / total for p in probabilities if p > 0]
    return max(0.0, -sum(share * math.log(share) for share in shares) / math.log(len(GROUPS)))


def _folder(study: Study) -> Path:
    folder = study.folder / RANKING_FOLDER
    require_inside(study.folder, folder)
    return folder


def _key(models: Sequence[RankingModel]) -> str:
    return hashlib.sha256(" ".join(model.sha256 for model in models).encode("ascii")).hexdigest()[:16]


def _scores(entry: Mapping[str, Any], path: Path) -> CaseScores:
    groups = {disc["level"]: tuple(float(p) for p in disc["groups"]) for disc in entry["discs"]}
    if len(groups) < len(entry["discs"]):
        raise StudyError(f"{path} names a disc of case {entry['case']} twice; remove it and run 'study rank' again.")
    return CaseScores(entry["image_sha256"], groups, float(entry["mask_uncertainty"]))  # type: ignore[arg-type]
