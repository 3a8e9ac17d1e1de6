"""How a command says what went wrong."""

from __future__ import annotations

import sys

from ..errors import UserError


def complain(message: str, exit_code: int = 1) -> int:
    """Say in one line on standard error what went wrong, and return the command's exit code."""
    print(" ".join(message.split()), file=sys.stderr)
    return exit_code


def told_of(error: BaseException) -> str | None:
    """Return what the user is told of an error; None for a fault of the program, unless the command can explain it."""
    return str(error) if isinstance(error, (UserError, OSError)) else None


def why_not_run(error: BaseException) -> str | None:
    """Return in a few words why networks could not run on this machine, None where the error is another one."""
    if isinstance(error, (RuntimeError, MemoryError)):
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def missing_extra(error: BaseException, what: str) -> str | None:
    """Return the sentence for a library that only the extra ``train`` installs, None where the error is another one."""
    return f"{what} needs {error.name}; install the extra 'train'." if isinstance(error, ModuleNotFoundError) else None
