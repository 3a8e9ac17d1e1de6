"""The names of all discs of a slice at once: the best chain along the spine under what is seen of each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..discs import DiscRegion
from .sight import LevelSight

POSITIONS = 12
"""Lumbosacral disc and the eleven above it: more are not in a lumbar field of view."""
MOST_SKIPPED = 2
"""Levels in a row that may lack their disc."""
BEYOND_SIGHT = np.log(0.5)
"""Score of a disc above the levels that the network looks for."""
LEFT_OUT_WITHIN, LEFT_OUT_BELOW, LEFT_OUT_ABOVE = -4.0, -3.0, -3.0
"""Scores of a region that is no disc: between others, below them (in the sacrum), and above them."""
STEP_SPREAD, TURN_SPREAD_DEGREES = 0.22, 30.0
"""Of the distance of neighbours (as a logarithm) and of the line between them against the discs' short axes."""
WORST_FIT = -6.0
SURE_COUNT, DOUBTED_COUNT = 12.0, 8.0
"""For the position that a disc has by counting from a junction that is in view: where nothing speaks against the count,
and where something does. On tuning pictures sure counts were always right (111 of 111); other scanners will show some
that are wrong, so that a plain sight outweighs them."""
LEAST = 1e-3
"""No sight is surer than this."""


@dataclass(frozen=True)
class Chain:
    """The discs that follow each other along the spine, with their levels.

    Attributes
    ----------
    discs : tuple of DiscRegion
        From the feet upward.
    positions : tuple of int
        0 for the lumbosacral disc, upward.
    middle : DiscRegion
        The disc in the middle of the chain.
    middle_position : int
    scores : ndarray, shape (POSITIONS,)
        Score of the best chain in which the middle disc has each position.
    below : tuple of DiscRegion
        Regions below the chain that were left out.
    unseen : tuple of int
        Positions of looked-for levels at or below the chain's lowest disc that are probably not in view.
    """

    discs: tuple[DiscRegion, ...]
    positions: tuple[int, ...]
    middle: DiscRegion
    middle_position: int
    scores: NDArray[np.float64]
    below: tuple[DiscRegion, ...]
    unseen: tuple[int, ...]

    def confidence(self, temperature: float) -> float:
        """Return the probability that the names are right: that of the middle disc's among all that it could have.

        Parameters
        ----------
        temperature : float
            Fitted to patients; without it (1) the levels would count as if each were independent evidence, but where
            one is mistaken, all are.
        """
        weights = np.exp((self.scores - self.scores.max()) / temperature)
        return float(weights[self.middle_position] / weights.sum())


def best_chain(
    discs: Sequence[DiscRegion],
    sight: LevelSight,
    counted: Mapping[int, int] | None = None,
    count_weight: float = 0.0,
) -> Chain:
    """Choose which regions are discs, and the level of each, all at once.

    The score of a chain is the sum of the logarithms of the probability of each level near its disc's back (of lying
    elsewhere or out of view, for a level without a disc), of how well distances and directions fit a spine, and of a
    cost for each region that is left out. The best chain is found by dynamic programming; the same for each level that
    one middle disc could have yields the probabilities of the shifted names.

    Parameters
    ----------
    discs : sequence of DiscRegion
        From the feet upward; at least one.
    sight : LevelSight
    counted : mapping of int to int, optional
        Position of each disc, by its index, by counting.
    count_weight : float
        What is added to the score of that position.
    """
    near = np.clip(sight.near([disc.posterior_mm for disc in discs]), 0.0, 1.0)
    table = _Table(tuple(discs), near)
    first = table.best()
    middle = first[len(first) // 2][0]
    scores = np.array([table.through(middle, position) for position in range(POSITIONS)])
    if counted is not None and middle in counted:
        scores[counted[middle]] += count_weight
    middle_position = int(np.argmax(scores))
    best = table.chain_through(middle, middle_position)
    chosen = [index for index, _ in best]
    lowest = best[0][1]
    return Chain(
        discs=tuple(discs[index] for index in chosen),
        positions=tuple(position for _, position in best),
        middle=discs[middle],
        middle_position=middle_position,
        scores=scores,
        below=tuple(discs[: chosen[0]]),
        unseen=tuple(p for p in range(min(lowest, len(sight.absent))) if sight.absent[p] > 0.5),
    )


class _Table:
    """Scores of all chains.

    Parameters
    ----------
    discs : tuple of DiscRegion
    near : ndarray, shape (discs, levels)
        Probability of each level near each disc's back.
    """

    def __init__(self, discs: tuple[DiscRegion, ...], near: NDArray[np.float64]) -> None:
        self.discs, self.count, seen = discs, len(discs), near.shape[1]
        self.single = np.full((self.count, POSITIONS), BEYOND_SIGHT)
        self.single[:, :seen] = np.log(near + LEAST)
        self.elsewhere = np.zeros(POSITIONS)
        self.elsewhere[:seen] = np.log(np.clip(1.0 - near.sum(axis=0), LEAST, 1.0))
        self.below_sum = np.concatenate([[0.0], np.cumsum(self.elsewhere)])
        self.usual_mm = _usual_step_mm(discs)
        self.links = {
            (i, j): _fits(discs[i], discs[j], self.usual_mm) + LEFT_OUT_WITHIN * (j - i - 1)
            for i in range(self.count)
            for j in range(i + 1, min(self.count, i + 4))
        }
        self.up, self.up_from = self._passed(upward=True)
        self.down, self.down_from = self._passed(upward=False)

    def _start(self, index: int, position: int) -> float:
        return LEFT_OUT_BELOW * index + float(self.below_sum[position])

    def _end(self, index: int, position: int) -> float:
        above = float(self.below_sum[-1] - self.below_sum[position + 1])
        return LEFT_OUT_ABOVE * (self.count - 1 - index) + above

    def _passed(self, upward: bool) -> tuple[NDArray[np.float64], dict[tuple[int, int], tuple[int, int]]]:
        """Return the best score of the part of a chain below (or above) each disc at each position, and the way."""
        scores = np.full((self.count, POSITIONS), -np.inf)
        came: dict[tuple[int, int], tuple[int, int]] = {}
        order = range(self.count) if upward else reversed(range(self.count))
        for index in order:
            for position in range(POSITIONS):
                scores[index, position] = self._start(index, position) if upward else self._end(index, position)
                for (i, j), fits in self.links.items():
                    if index != (j if upward else i):
                        continue
                    other = i if upward else j
                    for skipped in range(MOST_SKIPPED + 1):
                        there = position - 1 - skipped if upward else position + 1 + skipped
                        if not 0 <= there < POSITIONS:
                            continue
                        low, high = min(position, there), max(position, there)
                        link = fits[skipped] + float(self.below_sum[high] - self.below_sum[low + 1])
                        score = scores[other, there] + self.single[other, there] + link
                        if score > scores[index, position]:
                            scores[index, position], came[index, position] = score, (other, there)
        return scores, came

    def through(self, index: int, position: int) -> float:
        """Return the score of the best chain in which a disc has a position."""
        return float(self.up[index, position] + self.single[index, position] + self.down[index, position])

    def best(self) -> list[tuple[int, int]]:
        """Return the best chain: disc and position from the feet upward."""
        index, position = np.unravel_index(int(np.argmax(self.up + self.single + self.down)), self.up.shape)
        return self.chain_through(int(index), int(position))

    def chain_through(self, index: int, position: int) -> list[tuple[int, int]]:
        """Return the best chain in which a disc has a position."""
        chain = [(index, position)]
        while chain[0] in self.up_from:
            chain.insert(0, self.up_from[chain[0]])
        while chain[-1] in self.down_from:
            chain.append(self.down_from[chain[-1]])
        return chain


def _usual_step_mm(discs: Sequence[DiscRegion]) -> float:
    steps = [float(np.linalg.norm(above.center_mm - below.center_mm)) for below, above in pairwise(discs)]
    return float(np.median(steps)) if steps else 36.0


def _fits(below: DiscRegion, above: DiscRegion, usual_mm: float) -> NDArray[np.float64]:
    """Return how well two discs follow each other with 0, 1, ... levels between them."""
    line = above.center_mm - below.center_mm
    length = max(float(np.linalg.norm(line)), 1e-3)
    steps = np.arange(1, MOST_SKIPPED + 2)
    stretch = np.log(length / (usual_mm * steps)) / STEP_SPREAD
    cosine = abs(line @ (below.axis.across + above.axis.across)) / (2 * length)
    turn = float(np.degrees(np.arccos(min(cosine, 1.0)))) / TURN_SPREAD_DEGREES
    return np.maximum(-0.5 * stretch**2, WORST_FIT) + max(-0.5 * turn**2, WORST_FIT)
