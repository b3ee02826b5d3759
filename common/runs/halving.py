"""Successive halving: many trainings, of which the best continue (arXiv:1502.07943)."""

import math
from collections.abc import Callable, Mapping, Sequence

Row = tuple[int, ...]
FACTOR = 3  # a third continues, three times as long


def successive_halving(
    first: Mapping[Row, float],
    epochs: Sequence[int],
    measure: Callable[[list[Row], int], Mapping[Row, float]],
    *,
    factor: float = FACTOR,
) -> list[tuple[int, dict[Row, float]]]:
    """Returns the stages: for each the epochs, and {row: fitness} of the trainings of which it consists.

    Args:
      first: {row: fitness} of all trainings after the first of `epochs`.
      epochs: after which the trainings are compared, ascending.
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


def best(stages: Sequence[tuple[int, Mapping[Row, float]]]) -> Row:
    """Returns the best row of the last stage."""
    return max(stages[-1][1], key=stages[-1][1].get)
