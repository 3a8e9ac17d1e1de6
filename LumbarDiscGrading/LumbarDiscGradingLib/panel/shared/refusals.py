"""The one guard of the panel: what is refused is told to the user, and the panel goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import UserError


@contextmanager
def refusals_told(say: Callable[[str], None]) -> Iterator[None]:
    """Guard a block: it ends where something is refused, and the user is told why; faults of the program pass.

    Parameters
    ----------
    say : callable
        Called with the sentence of the `UserError`.

    Examples
    --------
    >>> with refusals_told(print):
    ...     raise UserError("The image is cut off; export it again.")
    The image is cut off; export it again.
    """
    try:
        yield
    except UserError as error:
        say(str(error))
