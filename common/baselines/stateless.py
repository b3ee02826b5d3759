"""Searchers that keep no state but the index of the history."""

from collections.abc import Callable
from typing import Any

import chex
import jax

from common import compilation, types, unseen
from common import history as history_lib
from common import objectives as objectives_lib


def searcher(
    space: types.SearchSpace,
    choose: Callable[[chex.PRNGKey, unseen.Known, int], tuple[chex.Array, chex.Array]] | None,
    *,
    config: Any,
    name: str,
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns a searcher whose proposals follow from the history.

    Args:
      choose: (key, the indexed history, count) -> (int32[count, L], bool[count]): unseen, distinct proposals, and which
        there are; random unseen architectures take the places of the others. None: all are random.
      config: settings with `count`.
      objectives: of the search; by default the fitness.
    """

    @compilation.in_32_bits
    def init(pool: chex.Array, key: chex.PRNGKey, history: history_lib.History) -> unseen.Index:
        del key
        return unseen.empty_index(pool, history)

    @compilation.in_32_bits
    def propose(
        pool: chex.Array, key: chex.PRNGKey, state: unseen.Index, history: history_lib.History, *, count: int
    ) -> tuple[chex.Array, unseen.Index]:
        known = unseen.know(pool, state, history, count=count)
        chosen = unseen.empty_batch(known, count)
        if choose is not None:
            choose_key, key = jax.random.split(key)
            chosen = choose(choose_key, known, count)
        return unseen.complete(key, space, known, *chosen), known.index

    pool = unseen.pool_of(space)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
        objectives=objectives,
    )


def after_random(
    space: types.SearchSpace,
    choose: Callable[[chex.PRNGKey, unseen.Known, int], tuple[chex.Array, chex.Array]],
    *,
    config: Any,
    name: str,
) -> types.Searcher:
    """Returns `searcher` with random proposals until the history has `config.num_initial` rows."""

    def choose_later(key, known, count):
        is_later = known.history.size >= config.num_initial
        free = unseen.empty_batch(known, count)
        return jax.lax.cond(is_later, lambda key: choose(key, known, count), lambda _: free, key)

    return searcher(space, choose_later, config=config, name=name)
