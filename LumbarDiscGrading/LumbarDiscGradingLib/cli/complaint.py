"""How a command says what went wrong."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from ..errors import UserError


def complain(message: str, exit_code: int = 1) -> int:
    """Say in one line on standard error what went wrong, and return the command's exit code."""
    print(" ".join(message.split()), file=sys.stderr)
    return exit_code


def drained(status: int) -> int:
    """Bring standard output to its end and return the exit status; where it cannot be written, that is a failure.

    It is said in one line, unless a failure was said already, and the interpreter does not try again when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "w") as sink, suppress(OSError, ValueError):
            os.dup2(sink.fileno(), sys.stdout.fileno())
        if error.errno == errno.EPIPE or status:  # who reads no more needs not be told
            return status
        return complain(f"Standard output cannot be written ({error.strerror}); what was saved to files is kept.")
    return status


def told_of(error: BaseException) -> str | None:
    """Return what the user is told of an error; None for a fault of the program, unless the command can explain it."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        return f"What was to be written does not fit ({error.strerror}); make room and run it again."
    return str(error) if isinstance(error, (UserError, OSError)) else None


def why_not_run(error: BaseException) -> str | None:
    """Return in a few words why networks could not run on this machine, None where the error is another one."""
    if isinstance(error, (RuntimeError, MemoryError)):
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def missing_extra(error: BaseException, what: str) -> str | None:
    """Return the sentence for a library that only the extra ``train`` installs, None where the error is another one."""
    return f"{what} needs {error.name}; install the extra 'train'." if isinstance(error, ModuleNotFoundError) else None
