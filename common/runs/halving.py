"""Successive halving: many trainings, of which the best continue (arXiv:1502.07943)."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence

Row = tuple[int, ...]
FACTOR = 3  # a third continues, rounded up, three times as long


def successive_halving(
    first: Mapping[Row, float],
    epochs: Sequence[int],
    measure: Callable[[list[Row], int], Mapping[Row, float]],
) -> list[tuple[int, dict[Row, float]]]:
    """Returns the stages: for each the epochs, and {row: fitness} of the trainings of which it consists.

    Args:
      first: {row: fitness} of all trainings after the first of `epochs`.
      epochs: after which the trainings are compared, ascending.
      measure: (rows, the best first; epochs) -> {row: fitness} after so many epochs, of those that are to be compared;
        none: the time is up, which ends the halving.
    """
    stages = [(epochs[0], dict(first))]
    for stage, stop in enumerate(epochs[1:], start=1):
        last = stages[-1][1]
        chosen = sorted(last, key=last.get, reverse=True)[: math.ceil(len(first) / FACTOR**stage)]
        found = dict(measure(chosen, stop))
        if not found:
            break
        stages.append((stop, found))
    return stages


def in_order(fitness: Sequence[float], *, count: int, factor: float = FACTOR) -> list[tuple[int, int]]:
    """Returns the order in which trainings continue while others are still proposed (arXiv:1810.05934).

    After each round the best of all results that have not continued do, as long as these are at most one of `factor`
    results; after the last round all others, the best first.

    Args:
      fitness: of the first, short trainings, in the order of the proposals.
      count: proposals of a round.
      factor: at most the number of trainings.

    Returns:
      For each training (number of results that were known then, its index).

    Raises:
      ValueError: the factor is below 1, or so large that no training would continue.
    """
    if not 1 <= factor <= len(fitness):
        raise ValueError(f"factor must be from 1 to {len(fitness)}, the trainings, or none continues; got {factor:g}")
    order, waiting = [], []
    for start in range(0, len(fitness), count):
        known = min(start + count, len(fitness))
        for at in range(start, known):
            heapq.heappush(waiting, (-fitness[at], at))
        num = len(fitness) if known == len(fitness) else int(known / factor)
        order += [(known, heapq.heappop(waiting)[1]) for _ in range(num - len(order))]
    return order
