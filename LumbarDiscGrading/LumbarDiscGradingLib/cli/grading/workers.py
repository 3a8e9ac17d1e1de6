"""Who grades the scans of a cohort: this process, worker processes, or a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...cohort.running import Outcomes
from ...cohort.scan import Outcome, Scan
from .card import may_be_card, networks_on
from .graders import model_hashes
from .task import GradeTask, tools


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `who_grades` takes."""
    parser.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help="worker processes on this machine, which share its cores (default: none, the command grades itself)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="Dask cluster that grades: address of its scheduler (tcp://host:8786), its scheduler file, or 'local' for "
        "one on this machine of --jobs processes; INPUTs and --output lie on a folder that all its machines share; "
        "needs the extra 'cohort'",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def wrong_usage(arguments: argparse.Namespace) -> str | None:
    """Return what is wrong with the options, as a sentence."""
    if arguments.jobs and arguments.cluster not in (None, "local"):
        return "--jobs is for this machine; the cluster itself says how many workers it has: leave --jobs out."
    if (arguments.jobs or arguments.cluster) and not (arguments.inputs or arguments.list):
        return "--jobs and --cluster are for many scans; name INPUTs or a --list."
    return None


def who_grades(task: GradeTask, jobs: int | None, cluster: str | None) -> Outcomes:
    """Return what runs a task on scans.

    Parameters
    ----------
    task : GradeTask
        With absolute paths, where a cluster gets it.
    jobs, cluster
        As the options say.

    Raises
    ------
    UserError
        If a device or model cannot be used.
    """
    if cluster is not None:
        from ...cohort.cluster import outcomes as by_cluster
        from ...cohort.processes import usable_cores

        hashes = partial(model_hashes, task.models)
        hashes()
        jobs = jobs or usable_cores()
        return partial(by_cluster, task=task, address=cluster, jobs=jobs, folder=Path(task.output), same=hashes)
    if jobs is not None:
        from ...cohort.processes import outcomes as by_processes

        model_hashes(task.models)
        if not task.evidence and may_be_card(task.device):  # evidence needs gradients, of networks in its own process
            return partial(sharing_networks, task=task, jobs=jobs)
        return partial(by_processes, task=task, jobs=jobs)
    tools(task)
    return lambda scans: map(task, scans)


def sharing_networks(scans: Sequence[Scan], task: GradeTask, jobs: int) -> Iterator[Outcome]:
    """Run a task on scans in worker processes, which share the networks of one process more on the task's device.

    A card's memory holds the networks once then, and what the workers ask at a time goes through it as one batch.
    Figures may differ in their last digits from those of one process: a card rounds by the size of the batch. Where
    the device is ``auto`` and the card does not work, each worker has networks of its own on the CPU.

    Parameters
    ----------
    scans : sequence of Scan
    task : GradeTask
    jobs : int
        Worker processes.

    Yields
    ------
    Outcome
        In order of completion.

    Raises
    ------
    UserError, OSError
        As `cohort.processes.outcomes`, and where the process with the networks cannot be started or ends.
    """
    from ...cohort.processes import outcomes as by_processes

    if not scans:
        return
    with networks_on(task.device, task.models) as held:
        if task.device != "auto" or not held.on_cpu:
            yield from by_processes(scans, replace(task, networks=held.address), jobs)
            return
    yield from by_processes(scans, task, jobs)
