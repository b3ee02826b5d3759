"""Searches that begin with the best architectures by a known cost, or of another search, instead of random ones.

The zero-cost warm-up of Abdelfattah et al. (arXiv:2101.08134, section 4.2): where a number that costs nothing, such as
a zero-cost score, ranks architectures at all, the first evaluations are better spent on its best ones. The results of a
search on another task do likewise (the transfer of arXiv:1906.06832).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common import history as history_lib
from common import types, unseen
from common.records import measurements

By = Annotated[
    str | None,
    "what to evaluate first: the best architectures by a cost that is known from the row, such as synflow (- before it "
    "if smaller is better), or by the mean rank of several, such as synflow,zen; or those of a search on another task "
    "(its export, a file .jsonl or .csv); by default those that the algorithm chooses",
]
Num = Annotated[
    int, "with warm_up: architectures that are evaluated first", configs.Range(at_least=1), configs.Needs("warm_up")
]
Costs = Mapping[str, Callable[[chex.Array], chex.Array]]
NUM_SAMPLED = 4096  # random architectures that are ranked where the space is too large to list
NUM_KEPT = 2048


def searcher(
    searcher: types.Searcher, space: types.SearchSpace, costs: Costs, by: str | None, *, num: int, seed: int = 0
) -> types.Searcher:
    """Returns a searcher that proposes the best architectures by a known cost first, and then continues as `searcher`.

    Args:
      searcher: the search algorithm; what it proposes depends on the history, so that its own first architectures are
        replaced as far as it counts them by the history.
      costs: name -> archs int[B, L] -> float[B], see `types.Evaluator.costs`.
      by: name of the cost, such as "synflow" where larger is better, or "-params" where smaller is, or several such as
        "synflow,zen"; or a file of measurements, see `measurements.read`; None: `searcher`.
      num: architectures that are proposed so, 1 to `NUM_KEPT`; rounds are not cut.
      seed: of the random architectures that are ranked where the space is too large to list.

    Raises:
      ValueError: the cost is not known from the row, no architecture has it, the file is invalid, or `num` is out of
        range.
    """
    if by is None:
        return searcher
    archs = ranked(space, costs, by, seed=seed)[:NUM_KEPT]
    if not 1 <= num <= len(archs):
        raise ValueError(f"num_warm_up must be from 1 to {len(archs)}; got {num}")
    return first(searcher, archs, num)


def first(searcher: types.Searcher, archs: np.ndarray, num: int) -> types.Searcher:
    """Returns a searcher that proposes the unseen rows of int32[P, L] in their order until `num` rows are known."""
    partial = jax.tree_util.Partial
    return searcher._replace(
        init=partial(_init, partial(searcher.init)),
        propose=partial(_propose, jnp.asarray(archs), jnp.int32(num), partial(searcher.propose)),
        diagnostics=partial(_diagnostics, partial(searcher.diagnostics)),
    )


def _init(init, key, history):
    return init(key, history), history.size


def _propose(best, num, propose, key, state, history, *, count):
    state, start = state
    archs, state = propose(key, state, history, count=count)

    def take():
        is_old = history_lib.contains(history, best)
        unseen_first = best[jnp.argsort(is_old, stable=True)[:count]]
        return jnp.where(jnp.sum(~is_old) >= count, unseen_first, archs)

    archs = jax.lax.cond(history.size - start < num, take, lambda: archs)
    return archs, (state, start)


def _diagnostics(diagnostics, state, history):
    return diagnostics(state[0], history)


def ranked(space: types.SearchSpace, costs: Costs, by: str, *, seed: int = 0) -> np.ndarray:
    """Returns int32[P, L], the architectures of a space, the best by known costs, or measured in a file, first.

    Those of a space are ordered by `mean_ranks` of the costs. Of a space that is too large to list they are
    `NUM_SAMPLED` random ones, of a file those in it. Ties keep lexicographic order, or that of the file.

    Raises:
      ValueError: as `searcher`.
    """
    if by.endswith(measurements.SUFFIXES):
        found = measurements.read(by, space)
        return found.archs[np.argsort(-found.fitness, kind="stable")]  # NaN last
    if not costs:
        raise ValueError(f"no costs of {space.name} are known from the row; leave warm_up out")
    names = by.split(",")
    for name in names:
        configs.one_of("warm_up", name.lstrip("+-"), costs)
    archs = np.asarray(unseen.pool_of(space))
    if not len(archs):
        archs = np.unique(np.asarray(space.sample(jax.random.key(seed), NUM_SAMPLED)), axis=0)
    return archs[np.argsort(-mean_ranks(space, costs, names, archs), kind="stable")]


def mean_ranks(space: types.SearchSpace, costs: Costs, names: Sequence[str], archs: np.ndarray) -> np.ndarray:
    """Returns float64[P], the mean over costs of the rank of each of int32[P, L] `archs`: the larger the better.

    Equal values have the mean of their ranks; architectures without a finite value come last.

    Args:
      costs: name -> archs int[B, L] -> float[B].
      names: of costs of which larger values are better, or with - before them.

    Raises:
      ValueError: no architecture has a finite value of a cost.
    """
    total = np.zeros(len(archs))
    for name in names:
        values = np.asarray(costs[name.lstrip("+-")](archs), np.float64) * (-1 if name.startswith("-") else 1)
        if not np.isfinite(values).any():
            raise ValueError(f"no architecture of {space.name} has a finite {name.lstrip('+-')}; leave it out")
        values = np.where(np.isfinite(values), values, -np.inf)
        ordered = np.sort(values)
        total += np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")
    return total / (2 * len(names))
