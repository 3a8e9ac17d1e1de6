"""The one thing that all errors which a user can meet have in common."""

from __future__ import annotations


class UserError(ValueError):
    """Something cannot be done as asked; the message is one sentence for the user: what is wrong and what to do.

    Each room derives its own from it, so that commands and panels need one guard for all. Whatever else is raised is a
    fault of the program.
    """
