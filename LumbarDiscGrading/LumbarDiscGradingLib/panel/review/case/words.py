"""How a case that is open is named and colored for its reader."""

from __future__ import annotations

from datetime import datetime

from slicer.i18n import tr as _

from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.reading_now import Mark
from ....annotation.work.reading_task import ReadingTask
from ....annotation.work.work_item import WorkItem
from ....pfirrmann import NOT_GRADED_COLOR, group_of_grade

NOT_GRADED_TINT = (238, 196, 222)
"""A lighter tint of `NOT_GRADED_COLOR`, for every other disc."""


def plain(item: WorkItem, text: str) -> str:
    """Return a message about an item that names it by its title only: where cases repeat, their names are hidden."""
    if item.title == item.case:
        return text
    return text.replace(f"case {item.case}", item.title).replace(item.case, item.title)


def elsewhere_sentence(mark: Mark) -> str:
    """Return what to tell a reader who has the same case open in another window."""
    text = _("This case is open in another window of yours{since}; neither sees what the other saves: close one.")
    opened = datetime.fromisoformat(mark.since).astimezone() if mark.since else None
    return text.format(since=_(" since {time}").format(time=f"{opened:%H:%M}") if opened else "")


def disc_color(work: CaseAtHand, level: str) -> tuple[int, int, int]:
    """Return the RGB color, 0-255, of the group that the reader gave to a disc; before, one of two tints of purple.

    Neighbours have different tints, so that a stroke at the wrong level is seen.
    """
    grade = work.disc(level).pfirrmann if isinstance(work, ReadingTask) else None
    if grade is not None:
        return group_of_grade(grade).color
    upward = work.levels[::-1]
    return NOT_GRADED_TINT if level in upward and upward.index(level) % 2 else NOT_GRADED_COLOR
