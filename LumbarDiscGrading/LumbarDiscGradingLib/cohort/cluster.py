"""The scans of a cohort on a Dask cluster, whose scheduler hands them out and replaces what dies."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import UserError
from .processes import (
    MOST_DEATHS_IN_A_ROW,
    SECONDS_TO_END,
    THREAD_VARIABLES,
    interrupts_kept_from_children,
    threads_each,
)
from .rows import not_graded
from .scan import Outcome, Scan

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
SECONDS_TO_CONNECT = 30
FEWEST_HANDED_OUT = 8
"""So many scans are waiting at least, so that a cluster that grows with its work has a reason to begin."""


class ClusterError(UserError):
    """The cluster cannot do the work."""


def outcomes(
    scans: Iterable[Scan],
    task: Callable[[Scan], Outcome],
    address: str,
    jobs: int,
    folder: Path,
    same: Callable[[], dict[str, str]] = dict,
) -> Iterator[Outcome]:
    """Do a task for each scan on a Dask cluster.

    A scan is taken from ``scans`` when the cluster is free for it, so that any number of them can come. One at a time
    is done in a worker process, whatever threads it has. A scan on which two workers died has failed; where the
    scheduler gives up at the first death, it is tried once more when all others are done.

    Parameters
    ----------
    scans : iterable of Scan
    task : callable
        Equal tasks that a process gets one after the other share what they made there.
    address : str
        Of the scheduler, path of its file, or ``local`` for a cluster on this machine.
    jobs : int
        Count of worker processes of ``local``.
    folder : Path
        Output folder, which each worker has to see under this path.
    same : callable
        Is called here and by each worker, and has to return the same: names and the hashes of what bears them.

    Yields
    ------
    Outcome
        In order of completion.

    Raises
    ------
    ClusterError
        If dask.distributed is missing, the scheduler is not reached or gets lost, or a worker is not fit for the work.
    """
    if jobs < 1:
        raise ClusterError("A cluster needs at least one worker process.")
    with _client(address, jobs) as client, _sign_in(folder) as sign:
        work = _sendable(_OnWorker(task, sign, __version__, same, same()))
        suspects: list[Scan] = []
        given_up_in_a_row = 0
        for scan, ended in _through(scans, work, client, address):
            if isinstance(ended, Outcome):
                given_up_in_a_row = 0
                yield ended
                continue
            given_up_in_a_row += 1
            if given_up_in_a_row == MOST_DEATHS_IN_A_ROW:
                raise ClusterError(
                    f"The workers of the cluster died on {given_up_in_a_row} scans one after the other and did nothing "
                    "between; they may have too little memory."
                )
            if ended > 1:
                yield not_graded(scan, "failed", _why(ended))
            else:
                suspects.append(scan)
        for scan, ended in _through(suspects, work, client, address, alone=True):
            yield ended if isinstance(ended, Outcome) else not_graded(scan, "failed", _why(ended + 1))


def _why(deaths: int) -> str:
    return (
        f"{deaths} workers of the cluster died on it; it may need more memory than they have, or crash what decodes it."
    )


def _through(
    scans: Iterable[Scan], work: Callable[[bytes], Outcome], client: Client, address: str, alone: bool = False
) -> Iterator[tuple[Scan, Outcome | int]]:
    """Yield each scan once with its outcome, or with how many workers died with it before the scheduler gave it up."""
    from distributed import CancelledError, TimeoutError, as_completed, wait
    from distributed.protocol.pickle import dumps
    from distributed.scheduler import KilledWorker

    coming = iter(scans)
    handed_out: dict[Future, Scan] = {}
    ended = as_completed(loop=client.loop, with_results=True, raise_errors=False)

    def hand_out() -> None:
        most = 1 if alone else _most_handed_out(client, address)
        while len(handed_out) < most and (scan := next(coming, None)) is not None:
            future = client.submit(work, dumps(scan), pure=False)
            handed_out[future] = scan
            ended.add(future)

    try:
        hand_out()
        for future, result in ended:
            scan = handed_out.pop(future)
            if future.status in ("cancelled", "lost"):
                raise ClusterError(_lost(address))
            hand_out()
            if future.status == "finished":
                yield scan, result
            elif isinstance(result[1], KilledWorker):
                yield scan, result[1].allowed_failures + 1
            else:
                raise _told(result[1])
    finally:
        if address == LOCAL and handed_out:  # the processes are about to be ended
            with suppress(TimeoutError, CancelledError):
                wait(list(handed_out), timeout=SECONDS_TO_END)


def _told(error: Exception) -> Exception:
    """Return what is to be raised here where a worker raised an error."""
    if isinstance(error, (ImportError, AttributeError)) and __name__.split(".")[0] in str(error):
        return ClusterError(
            f"A worker cannot import LumbarDiscGrading ({error}); install version {__version__} on all machines."
        )
    return error


def _most_handed_out(client: Client, address: str) -> int:
    """Return for how many scans there is a place, each worker with one that waits behind that which it does."""
    if address == LOCAL:
        return len(client.cluster.workers)
    try:
        return max(FEWEST_HANDED_OUT, 2 * len(client.nthreads()))
    except OSError:
        raise ClusterError(_lost(address)) from None


def _lost(address: str) -> str:
    return (
        f"The connection to the scheduler at {address} was lost; what is graded is kept: start the cluster and run the "
        "same command again for the rest."
    )


@contextmanager
def _client(address: str, jobs: int) -> Iterator[Client]:
    """Connect to a scheduler, of this machine's own cluster where ``local`` is asked for."""
    try:
        import dask
        from distributed import Client, LocalCluster, TimeoutError
    except ImportError:
        raise ClusterError("--cluster needs dask.distributed; install the extra 'cohort'.") from None
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if address == LOCAL:
            stack.enter_context(dask.config.set(_local_settings(jobs)))
            with interrupts_kept_from_children():  # also from those that its thread starts later
                cluster = LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=None,
                    dashboard_address="127.0.0.1:0",  # None takes the usual port all the same
                )
            stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster))
            return
        where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
        try:
            client = Client(**where, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split())
            raise ClusterError(
                f"No Dask scheduler answers at {address} ({reason}); give its address, as tcp://host:8786, or its file."
            ) from None
        yield stack.enter_context(client)


def _local_settings(jobs: int) -> dict[str, object]:
    import dask

    name, threads = "distributed.nanny.pre-spawn-environ", str(threads_each(jobs))
    environment = {variable: os.environ.get(variable, threads) for variable in THREAD_VARIABLES}
    environment["DASK_LOGGING__DISTRIBUTED"] = "critical"
    return {"distributed.scheduler.allowed-failures": 0, name: dask.config.get(name) | environment}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log from the terminal: what the user is to know is told in sentences."""
    loggers = [
        logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("distributed")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _sign_in(folder: Path) -> Iterator[Path]:
    """Put an empty file into the output folder, by which workers know that they see the same folder."""
    sign = folder.absolute() / f".grading-cluster-{uuid.uuid4().hex}"
    sign.touch()
    try:
        yield sign
    finally:
        sign.unlink(missing_ok=True)


def _sendable(work: _OnWorker) -> Callable[[bytes], Outcome]:
    """Return the work in a form that any worker can take; one without this library says so and does not end itself."""
    from distributed.protocol.pickle import dumps

    packed = dumps(work)

    def unpacked(scan: bytes) -> Outcome:
        from distributed.protocol.pickle import loads

        return loads(packed)(loads(scan))

    return unpacked


_ONE_AT_A_TIME = threading.Lock()
_FIT_FOR: set[Path] = set()


@dataclass(frozen=True)
class _OnWorker:
    """The task as a worker does it: one scan at a time, after a look whether it is fit for the work."""

    task: Callable[[Scan], Outcome]
    sign: Path
    version: str
    same: Callable[[], dict[str, str]]
    hashes: dict[str, str]

    def __call__(self, scan: Scan) -> Outcome:
        with _ONE_AT_A_TIME:
            if self.sign not in _FIT_FOR:
                self._require_fit()
                _FIT_FOR.add(self.sign)
            return self.task(scan)

    def _require_fit(self) -> None:
        from distributed import get_worker

        name = get_worker().address
        if __version__ != self.version:
            raise ClusterError(
                f"The worker {name} runs version {__version__} and this command {self.version}; install the same."
            )
        if not self.sign.exists() or not os.access(self.sign.parent, os.W_OK):
            raise ClusterError(
                f"The worker {name} does not see the output folder {self.sign.parent}, or cannot write there; "
                "name a folder that all machines share under the same path."
            )
        other = [name for name, sha256 in self.same().items() if sha256 != self.hashes[name]]
        if other:
            raise ClusterError(
                f"The worker {name} has another model for {' and '.join(other)} than this command; install the same."
            )
