"""One process that holds the networks on a card, for worker processes that read, decode and write beside it."""

from __future__ import annotations

import contextlib
import ctypes.util
import multiprocessing
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

from ...errors import UserError
from .graders import make_grader

SECONDS_TO_END = 15.0
NAME = "networks"
"""Of the process that holds them."""


def has_card(device: str) -> bool:
    """Whether a device that can be used is a card, which workers should share; torch is loaded only where it may be.

    Raises
    ------
    UserError
        If the device cannot be used.
    """
    if device == "cpu" or (device == "auto" and not _has_cuda_driver()):
        return False
    from ...grading.device import choose_device

    return choose_device(device)[0].type != "cpu"


def _has_cuda_driver() -> bool:
    return ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None


@contextlib.contextmanager
def networks_on(device: str, models: Sequence[str]) -> Iterator[str]:
    """Hold the networks in a process of their own while this is open; yields the address for `use_shared`.

    Parameters
    ----------
    device, models
        As `make_grader` takes them.

    Raises
    ------
    UserError
        If the process cannot be started, or a device or model cannot be used.
    """
    from ...cohort.processes import interrupts_kept_from_children

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_hold, name=NAME, args=(there, device, tuple(models)), daemon=True)
    with interrupts_kept_from_children():
        process.start()
    there.close()
    try:
        with here:
            try:
                address = here.recv()
            except EOFError:
                raise UserError(f"The process that is to run the networks on {device} cannot be started.") from None
        if isinstance(address, UserError):
            raise address
        yield address
    finally:
        process.terminate()
        process.join(SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()


def _hold(connection: Connection, device: str, models: tuple[str, ...]) -> None:
    from ...cohort.processes import end_with_parent
    from ...grading.shared_networks import serve

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        grader = make_grader(device, models)
    except UserError as error:
        connection.send(UserError(str(error)))
        return
    serve(grader, connection.send)
