"""What can go wrong in a study; each message is one sentence for the user: what is wrong and what to do.

Whatever reads a study raises `StudyError` where a file is missing, damaged or refused, and whatever writes to it raises
`NotSavedError`. Docstrings name what is to be expected besides.
"""

from __future__ import annotations

from ..errors import UserError


class StudyError(UserError):
    """A study cannot be used as asked."""


class WorkflowError(StudyError):
    """The protocol or the state of a case does not allow a step."""


class BlindedError(WorkflowError):
    """A reader asked for a reading that must stay hidden until the own one is signed."""


class NotSavedError(StudyError):
    """Nothing was saved; what was to be saved is still in memory."""


class ChangedElsewhereError(NotSavedError):
    """The same reader saved the same reading somewhere else in the meantime."""
