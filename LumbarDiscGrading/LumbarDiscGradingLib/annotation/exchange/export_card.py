"""The card of an exported data set: what it is, how it was read, who may be in it, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ... import __version__
from ..protocol import READING_ROLE, Protocol
from ..study.selection import Selection


def card(
    protocol: Protocol,
    layout: str,
    splits: Mapping[str, Sequence[str]],
    counts: Mapping[str, int],
    licence: str,
    attribution: str,
    selection: Selection | None,
) -> str:
    """Return the text of ``README.md``."""
    lines = [
        f"# {_line(protocol.name)}",
        "",
        "Lumbar discs on sagittal T2-weighted MRI, exported from an annotation study of LumbarDiscGrading "
        f"{__version__} (layout: {layout}).",
        "For research use only. Not for diagnosis or treatment decisions.",
        "",
        f"- Cases: {', '.join(f'{len(cases)} {split}' for split, cases in splits.items())}; parted by patient.",
        f"- Reference: {counts['masks']} cases with masks, {counts['grades']} graded discs (Pfirrmann 1-5).",
        f"- Levels: {', '.join(protocol.levels)}.",
    ]
    for task in protocol.tasks:
        readers = protocol.with_role(READING_ROLE[task])
        years = ", ".join(f"{reader.id} ({reader.years_of_experience:g} years)" for reader in readers)
        each = "two readers" if protocol.readings_of(task) == 2 else "one reader"
        lines.append(f"- {task.value.capitalize()} read by {years}; each case by {each}.")
    lines += [f"- {sentence}" for sentence in selection.sentences()] if selection else []
    lines += [
        f"- Masks {'peer-reviewed before they counted' if protocol.peer_review else 'not peer-reviewed'}"
        f"{'; pre-filled by a model where the event log says so' if protocol.model_prefill else ''}.",
        f"- Disagreements: {protocol.adjudication.value} (masks below a Dice of {protocol.dice_limit:g} disagree).",
        "- De-identified: voxels, geometry and an allow-list of acquisition parameters; no names, dates or "
        "identifiers. Comments and reasons of readers are theirs: read them before passing the data on.",
        f"- Licence: {_line(licence) or 'not stated'}. Attribution: {_line(attribution) or 'not stated'}.",
        "- Check: `lumbar-disc-grading study verify FOLDER` compares each file with its SHA-256 in `manifest.json`.",
        "",
    ]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
