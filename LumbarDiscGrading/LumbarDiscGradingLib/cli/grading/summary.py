"""A result in a few lines on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...grading.result import GradingResult


def print_summary(result: GradingResult, folder: Path) -> None:
    """Print what was found and where it was written."""
    from ...pfirrmann import ROMAN_GRADES
    from ...report.text import is_barely_doubtful, possible_grades

    stem = result.volume.source.name
    print(f"{stem}: slice {result.stored_slice_index} ({result.slice_reason})")
    for doubt in result.doubts:
        print(f"  DOUBT: {doubt}")
    for disc in result.discs:
        if not disc.assessable:
            print(f"  {disc.level:7} {disc.group_word}: {disc.warnings[0].removeprefix(f'{disc.level}: ')}")
            continue
        doubt = f"  possible: {possible}" if (possible := possible_grades(disc)) else ""
        doubt = doubt or ("  low confidence" if is_barely_doubtful(disc) else "")
        grade = f"Pfirrmann {ROMAN_GRADES[disc.pfirrmann]:3}"
        print(f"  {disc.level:7} {disc.group.value:9} {grade}  p {max(disc.group_probabilities):.2f}{doubt}")
    if result.naming_confidence is not None:
        print(f"  Names of the levels: right with p {result.naming_confidence:.2f}")
    for note in (*result.volume.notes, *(warning for warning in result.warnings if warning not in result.doubts)):
        print(f"  Note: {note}")
    print(f"  Written to {folder}: {stem}_overview.png and the other files of {stem}")
