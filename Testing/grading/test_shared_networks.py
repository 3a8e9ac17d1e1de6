"""Networks that processes share: requests that wait go through them together, and each gets its own answer."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from LumbarDiscGradingLib.grading import shared_networks
from LumbarDiscGradingLib.grading.shared_networks import MergedPasses


class Doubled(nn.Module):
    """Doubles images and tells their means; its first pass waits until the others are asked for."""

    def __init__(self, refuses: Callable[[torch.Tensor], bool] = lambda batch: False) -> None:
        super().__init__()
        self.refuses, self.passes = refuses, []
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.passes.append(tuple(batch.shape))
        self.began.set()
        assert self.may_go_on.wait(30)
        if self.refuses(batch):
            raise RuntimeError("out of memory")
        return batch * 2, batch.mean(dim=(1, 2, 3))


def images(value: int, count: int = 1, rows: int = 4) -> np.ndarray:
    return np.full((count, 1, rows, 8), value, dtype=np.float32)


def answers(network: Doubled, asked: Sequence[np.ndarray], most_images: int = 32) -> list:
    """Ask for the first, and for the others while it is on its way; return the answers, or the errors."""
    passes = MergedPasses({"doubled": network}, torch.device("cpu"), most_images)
    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(passes.ask, "doubled", asked[0])]
        assert network.began.wait(30)
        for number, one in enumerate(asked[1:], 1):
            futures.append(pool.submit(passes.ask, "doubled", one))
            while passes.waiting() < number:
                threading.Event().wait(0.001)
        network.may_go_on.set()
        ended = [future.exception() or future.result() for future in futures]
    passes.close()
    return ended


def test_what_waits_goes_through_a_network_together_and_each_gets_its_own() -> None:
    network = Doubled()
    ended = answers(network, [images(1), images(2), images(3, count=2), images(4)])
    assert network.passes == [(1, 1, 4, 8), (4, 1, 4, 8)]
    for value, count, (doubled, means) in zip((1, 2, 3, 4), (1, 1, 2, 1), ended, strict=True):
        assert doubled.tolist() == (images(value, count) * 2).tolist()
        assert means.tolist() == [value] * count


def test_other_shapes_and_more_images_than_allowed_are_passes_of_their_own() -> None:
    network = Doubled()
    ended = answers(network, [images(1), images(2), images(3, rows=6), images(4, count=2), images(5)], most_images=3)
    assert network.passes == [(1, 1, 4, 8), (3, 1, 4, 8), (1, 1, 6, 8), (1, 1, 4, 8)]
    assert [means[0] for _, means in ended] == [1, 2, 3, 4, 5]


def test_where_a_card_has_no_room_for_all_each_is_asked_alone() -> None:
    network = Doubled(refuses=lambda batch: len(batch) > 1)
    ended = answers(network, [images(1), images(2), images(3)])
    assert network.passes == [(1, 1, 4, 8), (2, 1, 4, 8), (1, 1, 4, 8), (1, 1, 4, 8)]
    assert [means[0] for _, means in ended] == [1, 2, 3]


def test_only_who_asked_for_the_impossible_hears_of_it() -> None:
    network = Doubled(refuses=lambda batch: bool((batch == 2).any()))
    ended = answers(network, [images(1), images(2), images(3)])
    assert [means[0] for _, means in (ended[0], ended[2])] == [1, 3]
    with pytest.raises(RuntimeError, match="out of memory"):
        raise ended[1]


class Refused(nn.Module):
    """Has no room for two images, and remembers what its passes took."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[weakref.ref] = []
        self.alive_before: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.alive_before.append(sum(taken() is not None for taken in self.taken))
        features = batch + 1
        self.taken.append(weakref.ref(features))
        if len(batch) > 1:
            raise RuntimeError("out of memory")
        return features


def test_what_a_failed_pass_took_is_given_back_before_the_next() -> None:
    gc.disable()
    try:
        network = Refused()
        passes = MergedPasses({"refused": network}, torch.device("cpu"))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="out of memory"):
                passes.ask("refused", images(1, count=2))
            passes.ask("refused", images(1))
        passes.close()
        assert network.alive_before == [0] * 4
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_the_card_itself_fails_no_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()
    monkeypatch.setattr(shared_networks, "device_problem", lambda device: "an illegal memory access")
    network = Doubled(refuses=lambda batch: True)
    network.may_go_on.set()
    passes = MergedPasses({"doubled": network}, torch.device("meta"), give_up=given_up.set)
    threading.Thread(target=passes.ask, args=("doubled", images(1)), daemon=True).start()
    assert given_up.wait(30)
    passes.close()
