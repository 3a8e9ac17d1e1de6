"""One process that holds the networks on a card, for worker processes that read, decode and write beside it."""

from __future__ import annotations

import contextlib
import ctypes.util
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ...errors import UserError
from .graders import make_grader

NAME = "networks"
"""Of the process that holds them."""
LONGEST_SOCKET_PATH = 100
"""The system takes 104 or 108 bytes."""


@dataclass(frozen=True)
class HeldNetworks:
    """Networks that a process holds: its address for `use_shared`, and whether they run on the CPU there."""

    address: str
    on_cpu: bool


def may_be_card(device: str) -> bool:
    """Whether a device can be a card, which workers should share.

    Nothing is put on it, since some cards let only one process in; torch is loaded only where there may be one.

    Raises
    ------
    UserError
        If the device cannot be used.
    """
    if device == "cpu" or (device == "auto" and not _has_cuda_driver()):
        return False
    from ...grading.device import choose_device, cuda_device_count

    cards = cuda_device_count()
    if device == "auto" or (cards and device in ("cuda", *(f"cuda:{number}" for number in range(cards)))):
        return cards > 0
    return choose_device(device)[0].type != "cpu"


def _has_cuda_driver() -> bool:
    if sys.platform == "win32":
        return ctypes.util.find_library("nvcuda") is not None
    return ctypes.util.find_library("cuda") is not None or Path("/dev/nvidiactl").exists()


@contextlib.contextmanager
def networks_on(device: str, models: Sequence[str]) -> Iterator[HeldNetworks]:
    """Hold the networks in a process of their own while this is open.

    Parameters
    ----------
    device, models
        As `make_grader` takes them.

    Raises
    ------
    UserError
        If the process cannot be started, or a device or model cannot be used.
    """
    from ...cohort.processes import interrupts_kept_from_children, see_ended

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with _place_for_socket() as address:
        process = context.Process(target=_hold, name=NAME, args=(there, address, device, tuple(models)), daemon=True)
        with interrupts_kept_from_children():
            process.start()
        there.close()
        try:
            yield _opened(here, device)
        finally:
            process.terminate()
            see_ended(process)


@contextlib.contextmanager
def _place_for_socket() -> Iterator[str | None]:
    """Make a folder for a socket of this user, and remove it at the end; yields None where sockets have no path."""
    if os.name != "posix":
        yield None
        return
    folder = tempfile.mkdtemp(prefix="networks-")
    if len(os.fsencode(folder)) > LONGEST_SOCKET_PATH - len("/socket"):
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="networks-", dir="/tmp")
    try:
        yield f"{folder}/socket"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opened(connection: Connection, device: str) -> HeldNetworks:
    with connection:
        try:
            answer = connection.recv()
        except EOFError:
            raise UserError(f"The process that is to run the networks ({device}) died as it started.") from None
    if isinstance(answer, UserError):
        raise answer
    return answer


def _hold(connection: Connection, address: str | None, device: str, models: tuple[str, ...]) -> None:
    """Serve networks until this process is ended; say on the connection where, or why not."""
    from ...cohort.processes import end_with_parent
    from ...grading.shared_networks import serve

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be kept from this process
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        grader = make_grader(device, models)
        on_cpu = grader.device.type == "cpu"
        serve(grader, address, lambda opened: connection.send(HeldNetworks(opened, on_cpu)))
    except UserError as error:
        connection.send(UserError(str(error)))
    except Exception as error:  # such as a card without room for the networks
        reason = (str(error) or type(error).__name__).splitlines()[0]
        connection.send(UserError(f"The networks cannot be run in a process of their own ({device}: {reason})."))
