"""A grading result and its corrections as text that a scene keeps, and back."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..grading.corrections import Correction, DiscAdded, DiscRemoved, GradeSet, LevelSet, MaskEdited, NotAssessable
from ..grading.result import (
    DiscGrade,
    DiscMeasurements,
    DiscOffset,
    GradingResult,
    ModelUse,
    SpineCourse,
    TakenOut,
)
from ..imaging.volume import ImagingError, SagittalVolume
from ..pfirrmann import Group

LAYOUT = 4
"""Version of the text's layout: 4 where the coverage of prediction sets is stated, which version 3 cannot read, 3 where
discs lie on slices of their own, 2 where a disc was taken out or found again, else 1."""

_CORRECTIONS = {cls.__name__: cls for cls in (LevelSet, GradeSet, NotAssessable, DiscRemoved)}
_WITH_MASK = {cls.__name__: cls for cls in (MaskEdited, DiscAdded)}


class StoredResultError(ImagingError):
    """What the scene keeps cannot be read back; the message is one sentence for the user."""


def to_text(result: GradingResult, corrections: Sequence[Correction]) -> str:
    """Return a result and its corrections as JSON; the volume itself is not in it."""
    return json.dumps(
        {
            "layout": _layout_of(result, corrections),
            "input_sha256": result.volume.source.sha256,
            "voxels_sha256": voxels_sha256(result.volume),
            "index_to_lps": result.volume.index_to_lps.tolist(),
            "slice_index": result.slice_index,
            "slice_reason": result.slice_reason,
            "discs": [_disc_to_dict(disc, result.slice_index) for disc in result.discs],
            "label_slice": _packed(result.label_slice),
            "tissue_slice": _packed(result.tissue_slice),
            "missing_levels": result.missing_levels,
            "warnings": result.warnings,
            "models": [model.to_dict() for model in result.models],
            "device": result.device,
            "timings_s": result.timings_s,
            "versions": result.versions,
            "naming_confidence": result.naming_confidence,
            "course": None if result.course is None else asdict(result.course),
            "taken_out": [asdict(disc) for disc in result.taken_out],
            "corrections": [_correction_to_dict(correction, result.slice_index) for correction in corrections],
        }
    )


def voxels_sha256(volume: SagittalVolume) -> str:
    """Return a hash of a volume's intensities in canonical order, the same wherever the volume lies."""
    voxels = volume.voxels
    if voxels.dtype in (np.float16, bool):
        voxels = voxels.astype(np.float32)  # as the scene keeps them
    return hashlib.sha256(np.ascontiguousarray(voxels).tobytes()).hexdigest()


def from_text(text: str, volume: SagittalVolume) -> tuple[GradingResult, tuple[Correction, ...]]:
    """Return the result and the corrections that `to_text` wrote, on their volume where it lay then.

    Raises
    ------
    StoredResultError
        If the text is not readable, of a newer layout, or the volume is another one.
    """
    try:
        stored = json.loads(text)
        if stored["layout"] > LAYOUT:
            raise StoredResultError("The grading in this scene was saved by a newer version; update LumbarDiscGrading.")
        result = GradingResult(
            volume=volume,
            slice_index=stored["slice_index"],
            slice_reason=stored["slice_reason"],
            discs=tuple(_disc_from_dict(disc) for disc in stored["discs"]),
            label_slice=_unpacked(stored["label_slice"]),
            tissue_slice=_unpacked(stored["tissue_slice"]),
            missing_levels=tuple(stored["missing_levels"]),
            warnings=tuple(stored["warnings"]),
            models=tuple(ModelUse(**model) for model in stored["models"]),
            device=stored["device"],
            timings_s=stored["timings_s"],
            versions=stored["versions"],
            naming_confidence=stored.get("naming_confidence"),
            course=_course_from_dict(stored.get("course")),
            taken_out=tuple(TakenOut(**disc) for disc in stored.get("taken_out", [])),
        )
        corrections = tuple(_correction_from_dict(correction) for correction in stored["corrections"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        if isinstance(error, StoredResultError):
            raise
        raise StoredResultError("The grading in this scene cannot be read back; grade the volume again.") from error
    of_this_volume = (
        result.label_slice.shape == volume.voxels.shape[1:]
        and all(0 <= index < volume.slice_count for index in result.slices)
        and stored.get("voxels_sha256") in (None, voxels_sha256(volume))
    )
    if not of_this_volume:
        raise StoredResultError(
            "The grading in this scene was made from another volume or before this one was changed; "
            "grade the volume again."
        )
    place = np.array(stored.get("index_to_lps", volume.index_to_lps), dtype=float)
    source = replace(volume.source, sha256=stored.get("input_sha256", volume.source.sha256))  # of what was graded
    return placed_on(result, replace(volume, index_to_lps=place, source=source)), corrections


def placed_on(result: GradingResult, volume: SagittalVolume) -> GradingResult:
    """Return a result on its volume where that lies now; what is known in pixels stays, places in mm follow."""
    discs = tuple(
        replace(disc, center_lps_mm=volume.lps_mm(result.slice_of(disc), *disc.center_row_column))
        for disc in result.discs
    )
    return replace(result, volume=volume, discs=discs)


def _packed(array: NDArray) -> dict[str, Any]:
    content = np.ascontiguousarray(array, dtype=np.uint8)
    return {"shape": list(content.shape), "zlib": base64.b64encode(zlib.compress(content.tobytes(), 6)).decode()}


def _unpacked(packed: dict[str, Any]) -> NDArray[np.uint8]:
    content = zlib.decompress(base64.b64decode(packed["zlib"]))
    return np.frombuffer(content, dtype=np.uint8).reshape(packed["shape"]).copy()


def _disc_to_dict(disc: DiscGrade, main_slice: int) -> dict[str, Any]:
    stored = {**asdict(disc), "group": disc.group.value}
    if disc.slice_index in (None, main_slice):
        del stored["slice_index"]
    if not disc.grade_set:  # versions that know no such sets can read the others
        del stored["grade_set"]
    return stored


def _course_from_dict(stored: dict[str, Any] | None) -> SpineCourse | None:
    return None if stored is None else SpineCourse(tuple(DiscOffset(**disc) for disc in stored["discs"]))


def _disc_from_dict(stored: dict[str, Any]) -> DiscGrade:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    values["group"] = Group(stored["group"])
    values["measurements"] = DiscMeasurements(**stored["measurements"])
    return DiscGrade(**values)


def _layout_of(result: GradingResult, corrections: Sequence[Correction]) -> int:
    if result.set_coverage is not None:
        return 4
    drawn = [c.disc for c in corrections if isinstance(c, MaskEdited | DiscAdded)]
    if any(map(_slice_taken, corrections)):
        return 3
    if any(disc.slice_index not in (None, result.slice_index) for disc in (*result.discs, *drawn)):
        return 3
    return 2 if result.taken_out or any(map(_is_new_in_layout_2, corrections)) else 1


def _is_new_in_layout_2(correction: Correction) -> bool:
    found_again = isinstance(correction, DiscAdded) and correction.found_on_slice is not None
    return found_again or isinstance(correction, DiscRemoved)


def _correction_to_dict(correction: Correction, main_slice: int) -> dict[str, Any]:
    kind = type(correction).__name__
    if kind in _WITH_MASK:
        with_mask = cast("MaskEdited | DiscAdded", correction)
        return {
            "kind": kind,
            "disc": _disc_to_dict(with_mask.disc, main_slice),
            "mask": _packed(with_mask.mask),
            **({"found_on_slice": correction.found_on_slice} if isinstance(correction, DiscAdded) else {}),
            **_slice_taken(correction),
        }
    return {"kind": kind, **asdict(correction)}


def _slice_taken(correction: Correction) -> dict[str, int]:
    taken = correction.taken_from_slice if isinstance(correction, MaskEdited) else None
    return {} if taken is None else {"taken_from_slice": taken}


def _correction_from_dict(stored: dict[str, Any]) -> Correction:
    values = dict(stored)
    kind = values.pop("kind")
    if kind in _WITH_MASK:
        where = tuple(values[key] for key in ("found_on_slice", "taken_from_slice") if key in values)
        return _WITH_MASK[kind](_disc_from_dict(values["disc"]), _unpacked(values["mask"]).astype(bool), *where)
    return _CORRECTIONS[kind](**values)
