"""Worker processes of one machine: each does one scan at a time, and one that dies is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..errors import UserError
from .rows import not_graded
from .scan import Outcome, Scan

MOST_DEATHS_IN_A_ROW = 20
"""Where so many workers die and no scan between them is done, it is not the scans."""
MOST_FAILED_STARTS = 3
SECONDS_TO_END = 15.0
"""Where a run is stopped, a worker may end the scan in its hands, so that nothing half is left, but not for longer."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class WorkersError(UserError):
    """Worker processes cannot do the work."""


def outcomes(scans: Iterable[Scan], task: Callable[[Scan], Outcome], jobs: int) -> Iterator[Outcome]:
    """Do a task for each scan in worker processes.

    A scan is taken from ``scans`` when a worker is free for it, so that any number of them can come. Where a worker
    dies, its scan is tried once more when all others are done, with no other worker beside it; a scan on which
    two workers died has failed.

    Parameters
    ----------
    scans : iterable of Scan
    task : callable
        Is sent to each worker once; what it makes there and keeps serves all scans of the worker.
    jobs : int
        Count of workers; the cores of the machine are shared out between them.

    Yields
    ------
    Outcome
        In order of completion.

    Raises
    ------
    WorkersError
        If workers cannot be started, or die whatever they are given.
    UserError, OSError
        If the task raises it; `RuntimeError` where it raises anything else.
    """
    threads = threads_each(jobs)
    suspects: list[Scan] = []
    for scan, ended in _through(scans, task, jobs, threads):
        if isinstance(ended, Outcome):
            yield ended
        else:
            suspects.append(scan)
    for scan, ended in _through(suspects, task, 1, threads, alone=True):
        yield ended if isinstance(ended, Outcome) else not_graded(scan, "failed", ended.sentence)


def threads_each(jobs: int) -> int:
    """Return how many threads each of so many workers takes, so that together they fill the cores."""
    return max(1, usable_cores() // jobs)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def interrupts_kept_from_children() -> Iterator[None]:
    """Start processes in here that Ctrl+C does not reach, not even while they start; their parent ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starts with the first process, and lets interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Death:
    """How a worker died with a scan in its hands."""

    exit_code: int | None

    @property
    def how(self) -> str:
        if self.exit_code is None or self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        try:
            return signal.Signals(-self.exit_code).name
        except ValueError:
            return f"signal {-self.exit_code}"

    @property
    def sentence(self) -> str:
        return (
            f"Two worker processes died on it ({self.how}); it may need more memory than there is, or crash what "
            "decodes it."
        )


class _Worker:
    """A process with the scan that it has; it is started for its first one."""

    def __init__(self, task: Callable[[Scan], Outcome], scan: Scan, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=_work, args=(far_end, threads), daemon=True)
        self.scan, self.started = scan, False
        with interrupts_kept_from_children():
            self.process.start()
        far_end.close()
        self.send(task)
        self.send(scan)

    def send(self, what: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # that it died is heard when it is read
            self.connection.send(what)

    def answer(self) -> Outcome | Exception | _Death | None:
        """Return what it sends; None for its word that it started."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.end()
            return _Death(self.process.exitcode)

    def end(self) -> None:
        """Wait until the process is gone, and see to it that it goes."""
        self.connection.close()
        see_ended(self.process)


def _through(
    scans: Iterable[Scan],
    task: Callable[[Scan], Outcome],
    jobs: int,
    threads: int,
    alone: bool = False,
) -> Iterator[tuple[Scan, Outcome | _Death]]:
    """Yield each scan once with what became of it.

    Scans that are alone killed a worker before, so that they may kill one after the other.
    """
    coming, returned = iter(scans), deque[Scan]()
    busy: list[_Worker] = []
    left: list[_Worker] = []
    deaths_in_a_row = failed_starts = 0

    def next_scan() -> Scan | None:
        return returned.popleft() if returned else next(coming, None)

    try:
        while True:
            while len(busy) < jobs and (scan := next_scan()) is not None:
                busy.append(_Worker(task, scan, threads))
            if not busy:
                return
            heard = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in heard]:
                scan, answer = worker.scan, worker.answer()
                if answer is None:
                    worker.started, failed_starts = True, 0
                elif isinstance(answer, Exception):
                    raise answer
                elif isinstance(answer, _Death):
                    busy.remove(worker)
                    if not worker.started:
                        failed_starts += 1
                        if failed_starts == MOST_FAILED_STARTS:
                            raise WorkersError(f"Worker processes cannot be started here ({answer.how}).")
                        returned.append(scan)
                        continue
                    deaths_in_a_row += 1
                    if deaths_in_a_row == MOST_DEATHS_IN_A_ROW and not alone:
                        raise WorkersError(
                            f"{deaths_in_a_row} worker processes died one after the other ({answer.how}) and did "
                            "nothing between; there may be too little memory for so many: try fewer with --jobs."
                        )
                    yield scan, answer
                else:
                    deaths_in_a_row = 0
                    following = next_scan()
                    if following is None:
                        busy.remove(worker)
                        left.append(worker)
                        worker.connection.close()
                    else:
                        worker.scan = following
                        worker.send(following)
                    yield scan, answer
    finally:
        for worker in busy:
            worker.connection.close()
        for worker in (*busy, *left):
            worker.end()


def _work(connection: Connection, threads: int) -> None:
    """Do the task for scan after scan, until the other end of the connection is closed or gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be kept from this process
    threading.Thread(target=end_with_parent, daemon=True).start()
    for variable in THREAD_VARIABLES:  # read when the libraries are loaded, which the task does
        os.environ.setdefault(variable, str(threads))
    with contextlib.suppress(EOFError, ConnectionResetError, BrokenPipeError):
        try:
            task = connection.recv()
        except Exception as error:
            connection.send(_raised(error))
            return
        connection.send(None)
        while True:
            scan = connection.recv()
            try:
                answer = task(scan)
            except Exception as error:
                answer = _raised(error)
            connection.send(answer)


def see_ended(process: BaseProcess) -> None:
    """Wait until a process that was told to end is gone, and see to it that it goes."""
    process.join(SECONDS_TO_END)
    if process.is_alive():
        process.kill()
        process.join()


def end_with_parent() -> None:
    """End at once where the parent was killed: the next run may do the same scan and not meet this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _raised(error: Exception) -> Exception:
    """Return an error as it can be sent: what a user is told as it is, a fault of the program with where it was."""
    if isinstance(error, UserError):
        return UserError(str(error))
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return RuntimeError("".join(traceback.format_exception(error)))
