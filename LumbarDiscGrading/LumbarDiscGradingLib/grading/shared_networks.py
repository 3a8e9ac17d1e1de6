"""Networks that several processes share: one process holds them on a card and merges what the others ask at a time.

One slice does not fill a card. So the processes that read and decode scans hand their pictures to the one that holds
the networks; whatever waits there when a pass ends goes through the next one together.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import UserError
from .device import device_problem
from .segmenter import reduced_precision

if TYPE_CHECKING:
    from .grader import DiscGrader

MOST_IMAGES = 32
"""In one pass: a slice of 512 x 512 pixels takes some 100 MB of a card on its way through the U-Net."""

MOST_WAITING = 128
"""Processes that connect at one time."""

Arrays = tuple[NDArray, ...]


class NetworksGoneError(UserError):
    """The process that holds the networks is not there any more."""


@dataclass(frozen=True)
class _Request:
    """Images that a network is to see, and where the answer goes."""

    network: str
    images: NDArray
    answer: Future[Arrays] = field(default_factory=Future)


class MergedPasses:
    """Networks that any number of threads ask; what waits at a time goes through a network as one batch.

    Parameters
    ----------
    networks : mapping of str to Module
        On `device`; each takes a batch and returns a tensor or several, the batch in front.
    device : torch.device
    most_images : int
        In one pass; a single request may have more.
    give_up : callable
        Is called where no later request could be answered: the device works no more, or this program has a fault.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        device: torch.device,
        most_images: int = MOST_IMAGES,
        give_up: Callable[[], object] = lambda: None,
    ) -> None:
        self.networks, self.device, self.most_images, self.give_up = networks, device, most_images, give_up
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._runner = threading.Thread(target=self._run, daemon=True)
        self._runner.start()

    def ask(self, network: str, images: NDArray) -> Arrays:
        """Return what a network makes of images, shape (images, channels, rows, columns).

        Raises
        ------
        RuntimeError
            With the words of torch where these images alone do not go through the network.
        """
        request = _Request(network, images)
        self._waiting.put(request)
        return request.answer.result()

    def waiting(self) -> int:
        """Return how many requests no pass has taken yet."""
        return self._waiting.qsize()

    def close(self) -> None:
        """End when what waits is answered."""
        self._waiting.put(None)
        self._runner.join()

    def _run(self) -> None:
        try:
            while self._answer_what_waits():
                pass
        except BaseException:
            self.give_up()
            raise

    def _answer_what_waits(self) -> bool:
        """Wait for a request, and answer it with those that wait beside it; return whether more may come."""
        requests = [self._waiting.get()]
        with suppress(queue.Empty):
            while True:
                requests.append(self._waiting.get_nowait())
        for together in _batches([request for request in requests if request is not None], self.most_images):
            self._answer(together)
        return None not in requests

    def _answer(self, requests: Sequence[_Request]) -> None:
        """Answer requests with one pass; where it fails, as for lack of memory, with one for each."""
        problem = ""
        try:
            outputs = self._passed(requests[0].network, np.concatenate([request.images for request in requests]))
        except Exception as error:  # whose traceback would keep what the pass took of the card's memory
            problem = str(error) or type(error).__name__
        if problem:
            if self.device.type != "cpu" and device_problem(self.device) is not None:
                raise RuntimeError(problem)
            if len(requests) == 1:
                requests[0].answer.set_exception(RuntimeError(problem))
                return
            for request in requests:
                self._answer([request])
            return
        ends = np.cumsum([len(request.images) for request in requests])[:-1]
        for request, *parts in zip(requests, *(np.split(output, ends) for output in outputs), strict=True):
            request.answer.set_result(tuple(parts))

    def _passed(self, network: str, images: NDArray) -> Arrays:
        batch = torch.from_numpy(images).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), reduced_precision(self.device):
            outputs = self.networks[network](batch)
        tensors = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(tensor.float().cpu().numpy() for tensor in tensors)


def _batches(requests: Sequence[_Request], most_images: int) -> list[list[_Request]]:
    """Return requests of one network and one shape together, as many as one pass may have."""
    batches: list[list[_Request]] = []
    open_ones: dict[tuple, list[_Request]] = {}
    for request in requests:
        kind = (request.network, request.images.dtype.str, request.images.shape[1:])
        batch = open_ones.get(kind)
        if batch is None or sum(len(one.images) for one in batch) + len(request.images) > most_images:
            batch = open_ones[kind] = []
            batches.append(batch)
        batch.append(request)
    return batches


def networks_of(grader: DiscGrader) -> dict[str, nn.Module]:
    """Return the networks of a grader by name."""
    networks = {"segmentation": grader.segmenter.network, "grading": grader.classifier.network}
    if grader.segmenter.locator is not None:
        networks["levels"] = grader.segmenter.locator
    return networks


def serve(grader: DiscGrader, address: str | None, opened: Callable[[str], None]) -> None:
    """Let other processes of this user on this machine use the networks of a grader; does not return.

    Where no later request could be answered, as when the card works no more, this process ends.

    Parameters
    ----------
    grader : DiscGrader
        On the card.
    address : str or None
        Where to listen: path of a socket that is not there yet; None for a name that the system gives.
    opened : callable
        Is given the address for `use_shared`. Who connects has to know the key of this process
        (`multiprocessing.current_process().authkey`), as processes of one parent do.

    Raises
    ------
    OSError
        If the address cannot be used.
    """
    passes = MergedPasses(networks_of(grader), grader.device, give_up=partial(os._exit, 1))
    with Listener(address, backlog=MOST_WAITING) as listener:
        opened(str(listener.address))
        while True:
            with suppress(OSError):  # of one that went while it came
                connection = listener.accept()
                threading.Thread(target=_serve_one, args=(connection, passes, grader.device_name), daemon=True).start()


def _serve_one(connection: Connection, passes: MergedPasses, device_name: str) -> None:
    with connection, suppress(EOFError, OSError, AuthenticationError):  # the other end is gone, or has another key
        deliver_challenge(connection, current_process().authkey)  # here, where one that is silent keeps nobody waiting
        answer_challenge(connection, current_process().authkey)
        connection.send(device_name)
        while True:
            network, images = connection.recv()
            try:
                answer: Arrays | str = passes.ask(network, images)
            except Exception as error:
                answer = str(error)
            connection.send(answer)


class _RemoteNetwork(nn.Module):
    """Stands for a network that another process holds; it gives no gradients.

    Parameters
    ----------
    name : str
        One of `networks_of`.
    connection : Connection
        To `serve`.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        super().__init__()
        self.name, self.connection = name, connection

    def forward(self, batch: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return what the network makes of a batch.

        Raises
        ------
        NetworksGoneError
            If the process that holds it is gone.
        RuntimeError
            With the words of that process, where the batch did not go through it.
        """
        try:
            self.connection.send((self.name, batch.contiguous().numpy()))
            answer = self.connection.recv()
        except BaseException as error:
            self.connection.close()  # half an answer may be in it, and the next one is not to be read for this one
            if not isinstance(error, EOFError | OSError):
                raise
            raise NetworksGoneError(
                "The process that runs the networks ended; run the same command again to go on."
            ) from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        tensors = tuple(torch.from_numpy(array) for array in answer)
        return tensors[0] if len(tensors) == 1 else tensors


def use_shared(grader: DiscGrader, address: str) -> DiscGrader:
    """Let a grader on the CPU use the networks of the process that serves them, which has the same models.

    Parameters
    ----------
    grader : DiscGrader
        Is changed, and returned. It makes no evidence any more, which needs gradients.
    address : str
        From `serve`.

    Raises
    ------
    NetworksGoneError
        If that process is gone.
    """
    try:
        connection = Client(address, authkey=current_process().authkey)
        grader.device_name = connection.recv()
    except (EOFError, OSError):
        raise NetworksGoneError(
            "The process that runs the networks cannot be reached; run the same command again to go on."
        ) from None
    remote = {name: _RemoteNetwork(name, connection) for name in networks_of(grader)}
    grader.segmenter.network, grader.classifier.network = remote["segmentation"], remote["grading"]
    grader.segmenter.locator = remote.get("levels")
    return grader
