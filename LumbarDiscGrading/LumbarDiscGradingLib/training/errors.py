"""What can go wrong in a training; each message is one sentence for the user: what is wrong and what to do."""

from __future__ import annotations

from ..errors import UserError


class TrainingError(UserError):
    """A training cannot be done, or gone on with, as asked."""
