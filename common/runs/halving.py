"""Successive halving: many trainings, of which the best continue (arXiv:1502.07943)."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence

from common import config as configs

Row = tuple[int, ...]
FACTOR = 3  # a third continues, rounded up, three times as long


def successive_halving(
    first: Mapping[Row, float],
    epochs: Sequence[int | None],
    measure: Callable[[list[Row], int | None], Mapping[Row, float]],
    factor: int = FACTOR,
) -> list[tuple[int | None, dict[Row, float]]]:
    """Returns the stages: for each the epochs, and {row: fitness} of the trainings of which it consists.

    Args:
      first: {row: fitness} of all trainings after the first of `epochs`.
      epochs: after which the trainings are compared, ascending; None: all.
      measure: (rows, the best first; epochs) -> {row: fitness} after so many epochs, of those that are to be compared;
        none: the time is up, which ends the halving.
      factor: one of so many continues, rounded up.
    """
    stages = [(epochs[0], dict(first))]
    for stage, stop in enumerate(epochs[1:], start=1):
        last = stages[-1][1]
        chosen = sorted(last, key=last.get, reverse=True)[: math.ceil(len(first) / factor**stage)]
        found = dict(measure(chosen, stop))
        if not found:
            break
        stages.append((stop, found))
    return stages


def stops(num: int, *, num_epochs: int, factor: int) -> tuple[int, ...]:
    """Returns the epochs after which trainings are compared, ascending; the last are all epochs.

    Each stage has `factor` times the epochs of the one before, those of the first rounded down, and there are as many
    as leave 1 to `factor` trainings in the last one.

    Args:
      num: trainings of the first stage.
      num_epochs: of a training that is not stopped.
      factor: one of so many continues.

    Raises:
      ValueError: the factor is below 2, there are fewer trainings than that, or the first stage is below one epoch.
    """
    configs.require(
        (factor >= 2, f"the factor of a halving must be at least 2, as one of so many continues; got {factor}"),
        (num >= factor, f"a halving by {factor} needs at least {factor} trainings, or none is dropped; got {num}"),
    )
    parts = 1
    while parts * factor <= num:
        parts *= factor
    if num_epochs < parts:
        raise ValueError(
            f"halving {num} trainings by {factor} begins with 1/{parts} of the epochs, less than one of {num_epochs}; "
            f"train for at least {parts} epochs (--proxy_num_epochs), or fewer architectures"
        )
    found = []
    while parts:
        found.append(num_epochs // parts)
        parts //= factor
    return tuple(found)


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
