"""Which scans of a cohort become the cases of a study: all, at random, balanced over the grades, or by doubt."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from ...annotation.study.assignment import draw
from ...annotation.study.selection import Rule
from ...pfirrmann import GRADES
from .graded_scans import GradedScan


def taken_scans(
    scans: Sequence[GradedScan], rule: Rule, seed: int, levels: Sequence[str], take: Callable[[GradedScan], bool]
) -> Iterator[GradedScan]:
    """Yield scans one after the other, best first by a rule, that could be taken.

    Parameters
    ----------
    scans : sequence of GradedScan
    rule : Rule
        `Rule.RANDOM`: in an order drawn by `seed`. `Rule.GRADE`: the next is drawn among the scans with a disc of the
        Pfirrmann grade, the model's, that the scans taken so far have fewest of. `Rule.DOUBT`: scans first whose whole
        result the program doubts, then those with the least sure disc or names of levels.
    levels : sequence of str
        Discs of these levels count.
    take : callable
        Tries to take a scan; one for which it returns False is passed over.
    """
    drawn = sorted(scans, key=lambda scan: draw(seed, "choice", scan.identifier))
    if rule is Rule.GRADE:
        yield from _balanced(drawn, levels, take)
        return
    yield from filter(take, sorted(drawn, key=_sureness) if rule is Rule.DOUBT else drawn)


def _sureness(scan: GradedScan) -> tuple[bool, float]:
    named = 1.0 if scan.naming_confidence is None else scan.naming_confidence
    return not scan.doubts, min(scan.lowest_probability or 0.0, named)


def _balanced(
    drawn: Sequence[GradedScan], levels: Sequence[str], take: Callable[[GradedScan], bool]
) -> Iterator[GradedScan]:
    grades = {s.identifier: Counter(d.pfirrmann for d in s.discs if d.pfirrmann and d.level in levels) for s in drawn}
    waiting = {grade: deque(scan for scan in drawn if grades[scan.identifier][grade]) for grade in GRADES}
    counts = dict.fromkeys(GRADES, 0)
    tried: set[str] = set()
    while left := [grade for grade in GRADES if waiting[grade]]:
        scan = waiting[min(left, key=lambda grade: counts[grade])].popleft()
        if scan.identifier not in tried:
            tried.add(scan.identifier)
            if take(scan):
                for grade, count in grades[scan.identifier].items():
                    counts[grade] += count
                yield scan
    yield from (scan for scan in drawn if scan.identifier not in tried and take(scan))
