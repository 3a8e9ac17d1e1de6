"""To the superuser nothing is read-only; a test of what may not be written has to give that up first."""

from __future__ import annotations

import ctypes
import os
import sys

CAPABILITY_VERSION_3 = 0x20080522
"""Of Linux's ``capget`` and ``capset``: the sets effective, permitted and inheritable, each of two 32-bit words."""
MAY_WRITE_EVERYWHERE = 1 << 1
"""CAP_DAC_OVERRIDE; the right to read everywhere is another."""
MAY_READ_EVERYWHERE = 1 << 2
"""CAP_DAC_READ_SEARCH."""
NOBODY = 65534


def give_up_writing_everywhere() -> None:
    """Let the permissions of files hold for this process too; does nothing unless it is the superuser's.

    On Linux all can still be read, also where the checkout lies below a folder that is closed to others. Elsewhere
    the process becomes *nobody*'s, who has to be able to read the checkout.

    Raises
    ------
    OSError
        If the system refuses.
    """
    _give_up(MAY_WRITE_EVERYWHERE)


def give_up_reading_everywhere() -> None:
    """Let the permissions of files hold for this process, those to read them too; what it needs it has to import first.

    Otherwise as `give_up_writing_everywhere`.
    """
    _give_up(MAY_WRITE_EVERYWHERE | MAY_READ_EVERYWHERE)


def _give_up(rights: int) -> None:
    if os.geteuid() != 0:
        return
    if sys.platform != "linux":
        os.setuid(NOBODY)
        return
    library = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if library.capget(header, sets) == 0:
        sets[0] &= ~rights
        if library.capset(header, sets) == 0:
            return
    raise OSError(ctypes.get_errno(), "The superuser's rights to all files cannot be given up.")
