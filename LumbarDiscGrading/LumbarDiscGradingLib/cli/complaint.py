"""How a command says what went wrong."""

from __future__ import annotations

import sys


def complain(message: str, exit_code: int = 1) -> int:
    """Say in one line on standard error what went wrong, and return the command's exit code."""
    print(" ".join(message.split()), file=sys.stderr)
    return exit_code
